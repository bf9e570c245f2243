select
    feed.feed,
    feed.title,
    feed.contract,
    feed.domain,
    feed.source,
    feed.territory,
    territory.time_zone as territory_time_zone,
    feed.owner_authority,
    feed.owner,
    feed.steward,
    feed.publisher,
    feed.licence,
    coalesce(feed.flap_window_minutes, 0) as flap_window_minutes,
    coalesce(feed.bridges_communication_gap, false) as bridges_communication_gap,
    feed.freshness_minutes,
    feed.retention_days,
    feed.tells_end,
    -- Unknown counts as personal: nothing of its values may be shown.
    coalesce(feed.has_personal_columns, true) as has_personal_columns
from {{ source('raw', 'feed') }} as feed
inner join {{ source('raw', 'territory') }} as territory on feed.territory = territory.territory
