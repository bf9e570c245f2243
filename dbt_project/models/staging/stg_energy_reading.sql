select
    feed,
    source,
    meter_ref,
    start_at,
    end_at,
    energy_wh,
    direction,
    quality,
    landing_seq
from {{ source('raw', 'energy_reading') }}
where {{ landed() }}
-- The start is in the partition: a filter on it goes below the window, and prunes files.
qualify {{ latest_revision('feed, meter_ref, start_at, direction') }}
