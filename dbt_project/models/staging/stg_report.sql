select
    feed,
    source,
    report_ref,
    channel,
    category,
    subcategory,
    opened_at,
    closed_at,
    acknowledged_at,
    status,
    commune,
    district,
    street,
    longitude,
    latitude,
    asset_ref,
    duplicate_of,
    owner_authority,
    landing_seq
from {{ source('raw', 'report') }}
where {{ landed() }}
qualify {{ latest_revision('feed, report_ref', revision='revised_at') }}
