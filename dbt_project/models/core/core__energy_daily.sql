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
    from {{ ref('stg_energy_reading') }} as reading
    inner join {{ ref('stg_feed') }} as feed on reading.feed = feed.feed
    -- An interval may have begun days before the day it overlaps.
    where {{ is_touched_instant('start_at', before=reading_reach_days(), after=1) }}
),

-- A reading counts on every local day it overlaps, in proportion to the time it spends there.
spread as (
    select
        *,
        cast(unnest(generate_series(
            cast(timezone(time_zone, start_at) as date),
            cast(timezone(time_zone, end_at - interval 1 microsecond) as date),
            interval 1 day
        )) as date) as local_date
    from reading
),

touched as (
    select * from spread
    where {{ is_touched_day('local_date') }}
),

-- Zones are worked out once per day, not once per reading.
day as (
    select
        seen.*,
        timezone(seen.time_zone, cast(seen.local_date as timestamp)) as day_starts_at,
        timezone(seen.time_zone, cast(seen.local_date + interval 1 day as timestamp)) as day_ends_at,
        sun.sunrise_at,
        sun.sunset_at
    from (
        select distinct
            territory,
            time_zone,
            local_date
        from touched
    ) as seen
    left join {{ source('raw', 'sun_time') }} as sun on seen.territory = sun.territory and seen.local_date = sun.local_date
),

shared as (
    select
        touched.*,
        {{ seconds_between('day.day_starts_at', 'day.day_ends_at') }} as day_seconds,
        {{ overlap_seconds('touched.start_at', 'touched.end_at', 'day.day_starts_at', 'day.day_ends_at') }} as shared_seconds,
        {{ seconds_between('touched.start_at', 'touched.end_at') }} as reading_seconds,
        -- Only intervals that lie wholly on one side of sunrise and sunset tell what burned by day or by night.
        touched.start_at >= day.sunrise_at and touched.end_at <= day.sunset_at as is_daylight,
        touched.end_at <= day.sunrise_at or touched.start_at >= day.sunset_at as is_dark
    from touched
    inner join day on touched.territory = day.territory and touched.local_date = day.local_date
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
