select
    feed,
    source,
    intervention_ref,
    asset_ref,
    report_ref,
    fault_type,
    kind,
    requested_at,
    acknowledged_at,
    dispatched_at,
    arrived_at,
    made_safe_at,
    restored_at,
    suspended_minutes,
    status,
    crew,
    commune,
    street,
    longitude,
    latitude,
    owner_authority,
    landing_seq
from {{ source('raw', 'intervention') }}
where {{ landed() }}
qualify {{ latest_revision('feed, intervention_ref', revision='revised_at') }}
