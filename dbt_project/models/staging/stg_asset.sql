select
    feed,
    source,
    asset_ref,
    asset_type,
    parent_ref,
    name,
    commune,
    street,
    longitude,
    latitude,
    geometry,
    rated_power_w,
    installed_on,
    model,
    status,
    is_remote,
    owner_authority,
    identity,
    coalesce(effective_at, received_at) as effective_at,
    landing_seq
from {{ source('raw', 'asset') }}
where {{ landed() }}
-- Several feeds may describe the assets of one source: their revisions make one history.
qualify {{ latest_revision('source, asset_ref, coalesce(effective_at, received_at)') }}
