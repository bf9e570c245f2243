-- What a meter usually consumes at each hour of the week, learnt on its declared reference period and on nothing else.
with reading as (
    select
        reading.feed,
        reading.meter_ref,
        reading.start_at,
        reading.end_at,
        reading.energy_wh,
        feed.territory_time_zone as time_zone,
        timezone(feed.territory_time_zone, cast(baseline.reference_start as timestamp)) as reference_start_at,
        timezone(feed.territory_time_zone, cast(baseline.reference_end as timestamp)) as reference_end_at
    from {{ ref('stg_energy_reading') }} as reading
    inner join {{ ref('core__meter_baseline') }} as baseline
        on reading.feed = baseline.feed and reading.meter_ref = baseline.meter_ref
    inner join {{ ref('stg_feed') }} as feed on reading.feed = feed.feed
    where reading.direction = 'consumption' and {{ within_reference_periods('reading.start_at') }}
),

spread as (
    select
        *,
        unnest(generate_series(
            time_bucket(interval 1 hour, start_at),
            time_bucket(interval 1 hour, end_at - interval 1 microsecond),
            interval 1 hour
        )) as hour_at
    from reading
    where start_at >= reference_start_at and end_at <= reference_end_at
),

hourly as (
    select
        feed,
        meter_ref,
        time_zone,
        hour_at,
        fsum(
            energy_wh * {{ overlap_seconds('start_at', 'end_at', 'hour_at', 'hour_at + interval 1 hour') }}
            / {{ seconds_between('start_at', 'end_at') }}
        ) as energy_wh,
        fsum({{ overlap_seconds('start_at', 'end_at', 'hour_at', 'hour_at + interval 1 hour') }}) as measured_seconds
    from spread
    group by feed, meter_ref, time_zone, hour_at
)

select
    feed,
    meter_ref,
    {{ record_key('feed', 'meter_ref') }} as meter_key,
    cast(isodow(timezone(time_zone, hour_at)) as integer) as iso_weekday,
    cast(hour(timezone(time_zone, hour_at)) as integer) as local_hour,
    round(favg(energy_wh), 6) as expected_wh,
    cast(count(*) as integer) as hours_learnt
from hourly
-- Half-measured hours would teach half the consumption. A second is lost to rounding at most.
where measured_seconds between 3599 and 3601
group by feed, meter_ref, isodow(timezone(time_zone, hour_at)), hour(timezone(time_zone, hour_at))
order by meter_key, iso_weekday, local_hour
