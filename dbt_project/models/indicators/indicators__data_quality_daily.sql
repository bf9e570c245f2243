-- One row per feed and local day, from the first day it landed to the day of judgement: a day without data is a row too.
with landing as (
    -- A local day holds parts of two UTC days; the wait between them is counted as well.
    select
        *,
        {{ seconds_between(
            'max(last_landing_at) over (partition by feed order by first_landing_at rows between unbounded preceding and 1 preceding)',
            'first_landing_at'
        ) }} as entry_gap_seconds
    from {{ ref('core__landing_daily') }}
),

account as (
    select
        feed,
        local_date,
        sum(landings) as landings,
        sum(received) as received,
        sum(stored) as stored,
        sum(duplicate) as duplicate,
        sum(rejected) as rejected,
        sum(rejected_values) as rejected_values,
        sum(canonical_rows) as canonical_rows,
        sum(unbalanced_landings) as unbalanced_landings,
        max(last_landing_at) as last_landing_at,
        max(greatest(longest_gap_seconds, entry_gap_seconds)) as longest_gap_seconds
    from landing
    group by feed, local_date
),

spread as (
    select
        feed,
        local_date,
        lateness_minutes,
        sum(records) as records,
        sum(sum(records)) over (
            partition by feed, local_date
            order by lateness_minutes
        ) as records_up_to,
        sum(sum(records)) over (partition by feed, local_date) as records_in_all
    from {{ ref('core__lateness_daily') }}
    -- What is dated after its reception is counted apart: its lateness means nothing.
    where lateness_minutes >= 0
    group by feed, local_date, lateness_minutes
),

lateness as (
    select
        feed,
        local_date,
        sum(records) as records_dated,
        coalesce(sum(records) filter (where lateness_minutes <= 15), 0) as records_within_15min,
        coalesce(sum(records) filter (where lateness_minutes <= 60), 0) as records_within_1h,
        coalesce(sum(records) filter (where lateness_minutes <= 1440), 0) as records_within_24h,
        min(lateness_minutes) filter (where records_up_to >= 0.5 * records_in_all) as p50_minutes,
        min(lateness_minutes) filter (where records_up_to >= 0.95 * records_in_all) as p95_minutes
    from spread
    group by feed, local_date
),

future as (
    select
        feed,
        local_date,
        sum(records) as records_from_future
    from {{ ref('core__lateness_daily') }}
    where lateness_minutes < 0
    group by feed, local_date
),

span as (
    select
        feed.*,
        coalesce(feed.territory_time_zone, 'UTC') as zone,
        account.first_day,
        greatest({{ as_of() }}, account.last_landing_at) as judged_at
    from {{ ref('core__feed') }} as feed
    inner join (
        select
            feed,
            min(local_date) as first_day,
            max(last_landing_at) as last_landing_at
        from account
        group by feed
    ) as account on feed.feed = account.feed
),

day as (
    select
        *,
        cast(
            unnest(generate_series(first_day, cast(timezone(zone, judged_at) as date), interval 1 day)) as date
        ) as local_date
    from span
),

told as (
    select
        day.*,
        account.feed is not null as has_landed,
        account.landings,
        account.received,
        account.stored,
        account.duplicate,
        account.rejected,
        account.rejected_values,
        account.canonical_rows,
        account.unbalanced_landings,
        account.longest_gap_seconds,
        lateness.records_dated,
        lateness.records_within_15min,
        lateness.records_within_1h,
        lateness.records_within_24h,
        lateness.p50_minutes,
        lateness.p95_minutes,
        future.records_from_future,
        max(account.last_landing_at) over (
            partition by day.feed
            order by day.local_date
        ) as last_landing_at,
        least(timezone(day.zone, cast(day.local_date + interval 1 day as timestamp)), day.judged_at) as ends_at
    from day
    left join account on day.feed = account.feed and day.local_date = account.local_date
    left join lateness on day.feed = lateness.feed and day.local_date = lateness.local_date
    left join future on day.feed = future.feed and day.local_date = future.local_date
),

waited as (
    select
        *,
        {{ seconds_between('last_landing_at', 'ends_at') }} / 3600 as hours_since_landing,
        greatest(longest_gap_seconds, {{ seconds_between('last_landing_at', 'ends_at') }}) / 3600 as longest_silence_hours,
        freshness_minutes / 60 as promised_hours
    from told
)

select
    feed,
    title,
    contract,
    domain,
    territory,
    owner_authority,
    local_date,
    has_landed,
    cast(coalesce(landings, 0) as bigint) as landings,
    cast(coalesce(received, 0) as bigint) as received,
    cast(coalesce(stored, 0) as bigint) as stored,
    cast(coalesce(duplicate, 0) as bigint) as duplicate,
    cast(coalesce(rejected, 0) as bigint) as rejected,
    cast(coalesce(rejected_values, 0) as bigint) as rejected_values,
    cast(coalesce(canonical_rows, 0) as bigint) as canonical_rows,
    -- Records landed again are taken off the account: where that leaves nothing, or less than nothing, there is no share.
    case when received > 0 and rejected >= 0 then round(rejected / received, 6) end as rejected_share,
    case when received > 0 and duplicate >= 0 then round(duplicate / received, 6) end as duplicate_share,
    coalesce(unbalanced_landings, 0) = 0 as is_balanced,
    cast(coalesce(records_dated, 0) as bigint) as records_dated,
    cast(coalesce(records_within_15min, 0) as bigint) as records_within_15min,
    cast(coalesce(records_within_1h, 0) as bigint) as records_within_1h,
    cast(coalesce(records_within_24h, 0) as bigint) as records_within_24h,
    cast(coalesce(records_from_future, 0) as bigint) as records_from_future,
    cast(p50_minutes as integer) as lateness_p50_minutes,
    cast(p95_minutes as integer) as lateness_p95_minutes,
    last_landing_at,
    round(hours_since_landing, 3) as hours_since_landing,
    round(longest_silence_hours, 3) as longest_silence_hours,
    promised_hours,
    hours_since_landing > promised_hours as is_late,
    longest_silence_hours <= promised_hours as is_promise_kept
from waited
order by feed, local_date
