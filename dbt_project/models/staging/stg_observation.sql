select
    feed,
    source,
    asset_ref,
    property,
    observed_at,
    value,
    value_text,
    unit,
    quality,
    landing_seq
from {{ source('raw', 'observation') }}
where {{ landed() }}
-- The instant is in the partition: a filter on it goes below the window, and prunes files.
qualify {{ latest_revision('feed, asset_ref, property, observed_at') }}
