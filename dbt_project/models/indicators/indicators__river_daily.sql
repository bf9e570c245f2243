-- The highest of each day, of each gauge or stretch of river: level, discharge, flood vigilance (1 green to 4 red).
with hour as (
    select
        hourly.*,
        coalesce(code.asset_id, hourly.asset_key) as asset_id
    from {{ ref('core__environment_hourly') }} as hourly
    asof left join {{ ref('core__asset_code') }} as code
        on hourly.asset_key = code.asset_key and hourly.observed_hour >= code.valid_from
    where hourly.domain = 'EAU'
),

day as (
    select
        territory,
        asset_id,
        local_date,
        max(value_max) filter (where property = 'water_level') as water_level_max_m,
        arg_max(observed_hour, value_max) filter (where property = 'water_level') as highest_hour,
        min(value_min) filter (where property = 'water_level') as water_level_min_m,
        max(value_max) filter (where property = 'discharge') as discharge_max_m3_s,
        cast(max(value_max) filter (where property = 'flood_vigilance') as integer) as vigilance,
        cast(coalesce(sum(observations) filter (where property = 'water_level'), 0) as integer) as levels
    from hour
    group by territory, asset_id, local_date
)

select
    day.territory,
    day.asset_id as asset_key,
    asset.name,
    asset.commune,
    asset.longitude,
    asset.latitude,
    day.local_date,
    day.water_level_max_m,
    day.highest_hour,
    day.water_level_min_m,
    round(
        day.water_level_max_m - lag(day.water_level_max_m) over (
            partition by day.asset_id
            order by day.local_date
        ), 4
    ) as water_level_change_m,
    day.discharge_max_m3_s,
    day.levels,
    day.vigilance,
    case day.vigilance when 1 then 'vert' when 2 then 'jaune' when 3 then 'orange' when 4 then 'rouge' end as vigilance_colour
from day
left join {{ ref('core__equipment') }} as asset on day.asset_id = asset.asset_id
order by day.local_date, asset_key
