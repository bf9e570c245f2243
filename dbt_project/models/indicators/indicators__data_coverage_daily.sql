-- What day the data are about, whenever they came: from the first such day to the day of judgement; days of which nothing is
-- known are rows too.
with counted as (
    select
        feed,
        utc_date as data_date,
        sum(observations) as records
    from {{ ref('core__asset_seen_daily') }}
    group by feed, utc_date
    union all
    select
        feed,
        local_date as data_date,
        count(*) as records
    from {{ ref('core__report') }}
    group by feed, local_date
    union all
    select
        feed,
        local_date as data_date,
        count(*) as records
    from {{ ref('core__intervention') }}
    group by feed, local_date
    union all
    select
        feed,
        local_date as data_date,
        sum(readings) as records
    from {{ ref('core__energy_daily') }}
    group by feed, local_date
),

known as (
    select
        feed,
        data_date,
        sum(records) as records
    from counted
    group by feed, data_date
),

span as (
    select
        feed.feed,
        feed.title,
        feed.contract,
        feed.domain,
        feed.territory,
        feed.owner_authority,
        min(known.data_date) as first_date,
        cast(timezone(feed.territory_time_zone, {{ as_of() }}) as date) as last_date
    from known
    inner join {{ ref('core__feed') }} as feed on known.feed = feed.feed
    group by all
),

day as (
    select
        *,
        cast(
            unnest(
                generate_series(greatest(first_date, last_date - {{ var('coverage_days') }}), last_date, interval 1 day)
            ) as date
        ) as data_date
    from span
)

select
    day.feed,
    day.title,
    day.contract,
    day.domain,
    day.territory,
    day.owner_authority,
    day.data_date,
    cast(coalesce(known.records, 0) as bigint) as records,
    coalesce(known.records, 0) > 0 as has_data
from day
left join known on day.feed = known.feed and day.data_date = known.data_date
order by day.feed, day.data_date
