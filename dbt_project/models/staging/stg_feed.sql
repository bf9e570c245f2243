select
    feed.feed,
    feed.title,
    feed.contract,
    feed.domain,
    feed.source,
    feed.territory,
    territory.time_zone as territory_time_zone,
    feed.owner_authority,
    coalesce(feed.flap_window_minutes, 0) as flap_window_minutes,
    coalesce(feed.bridges_communication_gap, false) as bridges_communication_gap,
    feed.freshness_minutes,
    feed.tells_end
from {{ source('raw', 'feed') }} as feed
inner join {{ source('raw', 'territory') }} as territory on feed.territory = territory.territory
