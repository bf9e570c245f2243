{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(local_date)', 'month(local_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'energy_reading',
        'day_column': 'local_date',
        'rules': {
            'feed': ['feed', 'territory'],
            'territory': ['territory', 'time_zone', 'latitude', 'longitude'],
        },
    },
) }}

with reading as (
    select
        reading.*,
        feed.territory,
        feed.territory_time_zone as time_zone
    -- An interval may have begun days before the day it overlaps.
    from ({{ touched_rows(ref('stg_energy_reading'), 'start_at', before=reading_reach_days(), after=1) }}) as reading
    inner join {{ ref('stg_feed') }} as feed on reading.feed = feed.feed
),

-- A reading counts on every local day it overlaps, in proportion to the time it spends there. UTC days lead to local ones:
-- zones are worked out once per day, not once per reading (that took 18 s a year of 90 meters; this takes one).
spread as (
    select
        *,
        unnest(range({{ utc_day_number('start_at') }}, {{ utc_day_number('end_at - interval 1 microsecond') }} + 1)) as utc_day
    from reading
),

local_day as (
    select distinct
        territory,
        time_zone,
        utc_day,
        cast(unnest(generate_series(
            cast(timezone(time_zone, make_timestamptz(utc_day * 86400000000)) as date),
            cast(timezone(time_zone, make_timestamptz((utc_day + 1) * 86400000000 - 1)) as date),
            interval 1 day
        )) as date) as local_date
    from (
        select distinct
            territory,
            time_zone,
            utc_day
        from spread
    ) as seen
),

day as (
    select
        local_day.territory,
        local_day.utc_day,
        local_day.local_date,
        timezone(local_day.time_zone, cast(local_day.local_date as timestamp)) as day_starts_at,
        timezone(local_day.time_zone, cast(local_day.local_date + interval 1 day as timestamp)) as day_ends_at,
        sun.sunrise_at,
        sun.sunset_at
    from local_day
    left join {{ source('raw', 'sun_time') }} as sun
        on local_day.territory = sun.territory and local_day.local_date = sun.local_date
    where {{ is_touched_day('local_day.local_date') }}
),

shared as (
    select
        reading.*,
        day.local_date,
        {{ seconds_between('day.day_starts_at', 'day.day_ends_at') }} as day_seconds,
        {{ overlap_seconds('reading.start_at', 'reading.end_at', 'day.day_starts_at', 'day.day_ends_at') }} as shared_seconds,
        {{ seconds_between('reading.start_at', 'reading.end_at') }} as reading_seconds,
        -- Only intervals that lie wholly on one side of sunrise and sunset tell what burned by day or by night.
        reading.start_at >= day.sunrise_at and reading.end_at <= day.sunset_at as is_daylight,
        reading.end_at <= day.sunrise_at or reading.start_at >= day.sunset_at as is_dark
    from spread as reading
    inner join day
        on
            reading.territory = day.territory
            -- Once per local day: from the first UTC day on which the two meet.
            and reading.utc_day = day.utc_day
            and reading.utc_day
            = greatest({{ utc_day_number('reading.start_at') }}, {{ utc_day_number('day.day_starts_at') }})
            and reading.start_at < day.day_ends_at
            and reading.end_at > day.day_starts_at
)

select
    feed,
    source,
    territory,
    meter_ref,
    {{ record_key('feed', 'meter_ref') }} as meter_key,
    direction,
    local_date,
    round(fsum(energy_wh * shared_seconds / reading_seconds), 3) as energy_wh,
    count(*) as readings,
    round(fsum(shared_seconds), 3) as measured_seconds,
    any_value(day_seconds) as day_seconds,
    -- Overlapping readings can cover a day more than once; they are not trusted more than once.
    round(fsum(shared_seconds) / any_value(day_seconds), 6) as coverage_share,
    round(fsum(energy_wh * shared_seconds / reading_seconds) filter (where is_daylight), 3) as daylight_wh,
    coalesce(round(fsum(shared_seconds) filter (where is_daylight), 3), 0) as daylight_seconds,
    round(fsum(energy_wh * shared_seconds / reading_seconds) filter (where is_dark), 3) as dark_wh,
    coalesce(round(fsum(shared_seconds) filter (where is_dark), 3), 0) as dark_seconds
from shared
group by feed, source, territory, meter_ref, direction, local_date
order by local_date
