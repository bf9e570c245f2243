-- Those that were declared, and those that only the ledger knows: what a broken or withdrawn contract landed is no secret.
with known as (
    select distinct feed from {{ ref('core__landing_daily') }}
    union
    select feed from {{ ref('stg_feed') }}
)

select
    known.feed,
    coalesce(feed.title, case known.feed when 'vigie.alarm-journal' then 'Journal des alarmes' else known.feed end) as title,
    feed.contract,
    feed.domain,
    feed.source,
    feed.territory,
    feed.territory_time_zone,
    {{ owner_authority('feed.owner_authority') }} as owner_authority,
    feed.owner,
    feed.steward,
    feed.publisher,
    feed.licence,
    feed.freshness_minutes,
    feed.retention_days,
    feed.has_personal_columns,
    feed.feed is not null as is_declared
from known
left join {{ ref('stg_feed') }} as feed on known.feed = feed.feed
order by known.feed
