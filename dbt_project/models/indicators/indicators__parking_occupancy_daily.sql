-- Weighted by time: an hour of which a quarter is known weighs a quarter.
with day as (
    select
        hourly.feed,
        hourly.territory,
        hourly.asset_key,
        hourly.local_date,
        {% for column in ['owner_authority', 'name', 'commune', 'longitude', 'latitude'] -%}
            any_value(hourly.{{ column }}) as {{ column }},
        {% endfor -%}
        arg_max(hourly.capacity, hourly.observed_hour) as capacity,
        fsum(hourly.known_minutes) as known_minutes,
        fsum(hourly.closed_minutes) as closed_minutes,
        fsum(hourly.free_places_mean * hourly.known_minutes) / nullif(fsum(hourly.known_minutes), 0) as free_places_mean,
        fsum(hourly.occupancy_pct * hourly.known_minutes)
        / nullif(fsum(hourly.known_minutes) filter (where hourly.occupancy_pct is not null), 0) as occupancy_pct,
        fsum(hourly.occupied_place_hours) as occupied_place_hours,
        fsum(hourly.offered_place_hours) as offered_place_hours,
        max(hourly.occupancy_pct) as peak_occupancy_pct,
        arg_max(hourly.local_hour, hourly.occupancy_pct) as peak_local_hour,
        fsum(hourly.full_minutes) as full_minutes,
        coalesce(fsum(hourly.known_minutes) filter (where hourly.is_saturated), 0) as saturated_minutes
    from {{ ref('indicators__parking_occupancy_hourly') }} as hourly
    group by hourly.feed, hourly.territory, hourly.asset_key, hourly.local_date
)

select
    day.feed,
    day.territory,
    day.owner_authority,
    day.asset_key,
    day.name,
    day.commune,
    day.longitude,
    day.latitude,
    day.local_date,
    day.capacity,
    round(day.known_minutes, 2) as known_minutes,
    round(day.closed_minutes, 2) as closed_minutes,
    -- The whole day but what is known: the days on which it began and ceased to tell, too.
    round(greatest(
        0, {{ seconds_between('calendar.starts_at', 'calendar.ends_at') }} / 60 - day.known_minutes - day.closed_minutes
    ), 2) as unknown_minutes,
    round(day.free_places_mean, 2) as free_places_mean,
    round(day.occupancy_pct, 2) as occupancy_pct,
    round(day.occupied_place_hours, 4) as occupied_place_hours,
    round(day.offered_place_hours, 4) as offered_place_hours,
    round(day.peak_occupancy_pct, 2) as peak_occupancy_pct,
    day.peak_local_hour,
    round(day.full_minutes, 2) as full_minutes,
    round(day.saturated_minutes, 2) as saturated_minutes
from day
inner join {{ ref('core__calendar_day') }} as calendar
    on day.territory = calendar.territory and day.local_date = calendar.local_date
order by day.local_date, day.feed, day.asset_key
