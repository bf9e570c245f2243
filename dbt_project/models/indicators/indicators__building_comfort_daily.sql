-- How the air of each building was while people were in it: hour by hour, each sensor for itself, weighted by the occupied part
-- of the hour. Occupied: the territory's declared hours of the building, else the contract's hours of working days.
with recursive hour as (
    select
        feed,
        asset_key,
        territory,
        domain,
        property,
        {{ utc_hour_number('observed_hour') }} as hour_number,
        local_date,
        value_mean,
        value_max
    from {{ ref('core__environment_hourly') }}
    where property in ('air_temperature', 'co2', 'relative_humidity')
),

-- By day: a code changes what it stands for at a local midnight. Asked for each hour, it took ten times as long.
sensor as (
    select
        told.feed,
        told.asset_key,
        told.territory,
        told.domain,
        told.local_date,
        coalesce(code.asset_id, told.asset_key) as asset_id
    from (
        select
            feed,
            asset_key,
            territory,
            domain,
            local_date,
            make_timestamptz(max(hour_number) * 3600000000) as last_hour
        from hour
        group by feed, asset_key, territory, domain, local_date
    ) as told
    asof left join {{ ref('core__asset_code') }} as code
        on told.asset_key = code.asset_key and told.last_hour >= code.valid_from
),

-- From a sensor up to the building that holds it; eight steps are a campus, its building, floor, wing, room, cupboard and box.
climb as (
    select
        asset_id,
        asset_id as reached_id,
        0 as steps
    from (select distinct asset_id from sensor) as known
    union all
    select
        climb.asset_id,
        equipment.parent_id,
        climb.steps + 1
    from climb
    inner join {{ ref('core__equipment') }} as equipment on climb.reached_id = equipment.asset_id
    where equipment.parent_id is not null and climb.steps < 8 and lower(equipment.asset_type) <> 'building'
),

housed as (
    select
        climb.asset_id,
        arg_min(climb.reached_id, climb.steps) as building_id
    from climb
    inner join {{ ref('core__equipment') }} as equipment on climb.reached_id = equipment.asset_id
    where lower(equipment.asset_type) = 'building'
    group by climb.asset_id
),

indoor as materialized (
    select
        sensor.*,
        -- In a feed of buildings, what is in no known building is a place of its own; elsewhere it may stand in the street.
        coalesce(housed.building_id, sensor.asset_id) as building_id
    from sensor
    left join housed on sensor.asset_id = housed.asset_id
    where housed.building_id is not null or sensor.domain = 'PAT'
),

day as (
    select
        indoor.building_id,
        indoor.territory,
        indoor.local_date,
        any_value(calendar.iso_weekday) as iso_weekday,
        any_value(calendar.is_holiday) as is_holiday,
        any_value(calendar.opens_at) as opens_at,
        any_value(calendar.closes_at) as closes_at,
        any_value(territory.time_zone) as time_zone,
        -- Of a place that no inventory knows: whose the feed is; the first by name where two feeds tell of it.
        min(feed.owner_authority) as feed_authority
    from indoor
    inner join {{ ref('stg_feed') }} as feed on indoor.feed = feed.feed
    inner join {{ ref('core__calendar_day') }} as calendar
        on indoor.territory = calendar.territory and indoor.local_date = calendar.local_date
    inner join {{ source('raw', 'territory') }} as territory on indoor.territory = territory.territory
    group by indoor.building_id, indoor.territory, indoor.local_date
),

declared as (
    select
        day.building_id,
        day.local_date,
        timezone(day.time_zone, cast(day.local_date as timestamp) + {{ minutes_of_day('hours.occupied_from') }}) as from_at,
        timezone(day.time_zone, cast(day.local_date as timestamp) + {{ minutes_of_day('hours.occupied_until') }}) as until_at,
        day.iso_weekday = hours.iso_weekday and (coalesce(hours.on_holidays, false) or not day.is_holiday) as is_open
    from {{ source('raw', 'occupancy_hours') }} as hours
    left join {{ ref('core__asset_identity') }} as identity
        on identity.asset_key = {{ asset_key('hours.source', 'hours.asset_ref') }}
    inner join day
        on
            day.building_id = coalesce(identity.asset_id, {{ asset_key('hours.source', 'hours.asset_ref') }})
            and day.local_date >= coalesce(cast(hours.valid_from as date), date '1900-01-01')
            and day.local_date < coalesce(cast(hours.valid_to as date), date '9999-12-31')
),

occupied as (
    select
        building_id,
        local_date,
        'declared' as occupancy,
        from_at,
        until_at
    from declared
    where is_open
    union all
    -- Hours declared for other weekdays say that nobody is there on this one.
    select
        day.building_id,
        day.local_date,
        'contract_hours',
        day.opens_at,
        day.closes_at
    from day
    anti join declared on day.building_id = declared.building_id and day.local_date = declared.local_date
    where day.opens_at is not null
),

band as materialized (
    select
        day.building_id,
        day.local_date,
        told.property,
        strftime(day.local_date, '%m-%d') >= '{{ var('heating_season')[0] }}'
        or strftime(day.local_date, '%m-%d') <= '{{ var('heating_season')[1] }}' as is_heating_season,
        case
            when own.property is not null then own.minimum
            when common.property is not null then common.minimum
            else told.minimum
        end as minimum,
        case
            when own.property is not null then own.maximum
            when common.property is not null then common.maximum
            else told.maximum
        end as maximum
    from day
    cross join (
        values
        ('air_temperature', {{ var('comfort_temperature_min') }}, {{ var('comfort_temperature_max') }}),
        ('co2', null, {{ var('comfort_co2_max') }}),
        -- Nothing is prescribed of humidity: without a declared band there is no verdict.
        ('relative_humidity', null, null)
    ) as told (property, minimum, maximum)
    left join (
        select
            band.*,
            coalesce(identity.asset_id, {{ asset_key('band.source', 'band.asset_ref') }}) as building_id
        from {{ source('raw', 'comfort_band') }} as band
        left join {{ ref('core__asset_identity') }} as identity
            on identity.asset_key = {{ asset_key('band.source', 'band.asset_ref') }}
        where band.asset_ref is not null
    ) as own
        on
            day.building_id = own.building_id
            and told.property = own.property
            and day.local_date >= coalesce(cast(own.valid_from as date), date '1900-01-01')
            and day.local_date < coalesce(cast(own.valid_to as date), date '9999-12-31')
    left join {{ source('raw', 'comfort_band') }} as common
        on
            day.territory = common.territory
            and common.asset_ref is null
            and told.property = common.property
            and day.local_date >= coalesce(cast(common.valid_from as date), date '1900-01-01')
            and day.local_date < coalesce(cast(common.valid_to as date), date '9999-12-31')
),

-- How much of each hour is occupied, from 0 to 1. Declared hours may overlap: an hour is not occupied twice.
occupied_hour as materialized (
    select
        building_id,
        local_date,
        hour_number,
        least(1, fsum({{ overlap_seconds(
            'from_at', 'until_at', 'make_timestamptz(hour_number * 3600000000)', 'make_timestamptz((hour_number + 1) * 3600000000)'
        ) }}) / 3600) as hours
    from (
        select
            *,
            unnest(
                range({{ utc_hour_number('from_at') }}, {{ utc_hour_number('until_at - interval 1 microsecond') }} + 1)
            ) as hour_number
        from occupied
    ) as spread
    group by building_id, local_date, hour_number
),

-- Made before the hours are looked up: else the engine joined every building with every other of the same hour.
placed as materialized (
    select
        indoor.building_id,
        hour.local_date,
        {{ record_key('hour.feed', 'hour.asset_key') }} as sensor,
        hour.property,
        hour.hour_number,
        hour.value_mean,
        hour.value_max
    from hour
    inner join indoor
        on hour.feed = indoor.feed and hour.asset_key = indoor.asset_key and hour.local_date = indoor.local_date
),

weighed as materialized (
    select
        placed.*,
        occupied_hour.hours
    from placed
    inner join occupied_hour
        on placed.building_id = occupied_hour.building_id and placed.hour_number = occupied_hour.hour_number
),

judged as (
    select
        weighed.*,
        coalesce(weighed.value_mean < band.minimum, false) as is_under,
        coalesce(weighed.value_mean > band.maximum, false) as is_over,
        coalesce(band.minimum, band.maximum) is not null as has_band,
        greatest(0, weighed.value_mean - band.maximum) as excess,
        greatest(0, band.minimum - weighed.value_mean) as lack,
        band.is_heating_season
    from weighed
    inner join band
        on weighed.building_id = band.building_id and weighed.local_date = band.local_date and weighed.property = band.property
),

{% set of_temperature = "filter (where property = 'air_temperature')" -%}
comfort as (
    select
        building_id,
        local_date,
        count(distinct sensor) as sensors,
        {% for name, property in [('temperature', 'air_temperature'), ('co2', 'co2'), ('humidity', 'relative_humidity')] -%}
            coalesce(fsum(hours) filter (where property = '{{ property }}'), 0) as {{ name }}_hours,
            fsum(hours * value_mean) filter (where property = '{{ property }}')
            / nullif(fsum(hours) filter (where property = '{{ property }}'), 0) as {{ name }}_mean,
            coalesce(fsum(hours) filter (where property = '{{ property }}' and has_band and not is_under and not is_over), 0)
            / nullif(fsum(hours) filter (where property = '{{ property }}' and has_band), 0) as {{ name }}_in_band_share,
            fsum(hours) filter (where property = '{{ property }}' and has_band) as {{ name }}_banded_hours,
            fsum(hours) filter (where property = '{{ property }}' and has_band and not is_under and not is_over)
                as {{ name }}_in_band_hours,
        {% endfor -%}
        coalesce(fsum(hours) filter (where property = 'air_temperature' and is_under), 0) as too_cold_hours,
        coalesce(fsum(hours) filter (where property = 'air_temperature' and is_over), 0) as too_hot_hours,
        fsum(hours * lack) {{ of_temperature }} as cold_degree_hours,
        fsum(hours * excess) {{ of_temperature }} as hot_degree_hours,
        fsum(hours * greatest(0, value_mean - {{ var('heating_limit') }}))
        filter (where property = 'air_temperature' and is_heating_season) as over_heating_degree_hours,
        max(value_max) filter (where property = 'co2') as co2_max,
        coalesce(fsum(hours) filter (where property = 'co2' and value_mean > {{ var('co2_action_ppm') }}), 0) as co2_action_hours
    from judged
    group by building_id, local_date
),

span as (
    select
        building_id,
        local_date,
        any_value(occupancy) as occupancy,
        fsum({{ seconds_between('from_at', 'until_at') }}) / 3600 as occupied_hours
    from occupied
    group by building_id, local_date
)

select
    day.territory,
    day.building_id as building_key,
    building.name,
    building.commune,
    building.longitude,
    building.latitude,
    {{ owner_authority('building.owner_authority', 'day.feed_authority') }} as owner_authority,
    day.local_date,
    coalesce(span.occupancy, 'unoccupied') as occupancy,
    round(coalesce(span.occupied_hours, 0), 4) as occupied_hours,
    cast(coalesce(comfort.sensors, 0) as integer) as sensors,
    round(coalesce(comfort.temperature_hours, 0), 4) as temperature_hours,
    round(comfort.temperature_mean, 4) as temperature_mean_c,
    round(coalesce(comfort.temperature_banded_hours, 0), 4) as temperature_banded_hours,
    round(coalesce(comfort.temperature_in_band_hours, 0), 4) as temperature_in_band_hours,
    round(comfort.temperature_in_band_share, 6) as temperature_in_band_share,
    round(coalesce(comfort.too_cold_hours, 0), 4) as too_cold_hours,
    round(coalesce(comfort.too_hot_hours, 0), 4) as too_hot_hours,
    round(comfort.cold_degree_hours, 4) as cold_degree_hours,
    round(comfort.hot_degree_hours, 4) as hot_degree_hours,
    round(comfort.over_heating_degree_hours, 4) as over_heating_degree_hours,
    round(coalesce(comfort.co2_hours, 0), 4) as co2_hours,
    round(comfort.co2_mean, 2) as co2_mean_ppm,
    comfort.co2_max as co2_max_ppm,
    round(coalesce(comfort.co2_banded_hours, 0), 4) as co2_banded_hours,
    round(coalesce(comfort.co2_in_band_hours, 0), 4) as co2_in_band_hours,
    round(comfort.co2_in_band_share, 6) as co2_in_band_share,
    round(coalesce(comfort.co2_action_hours, 0), 4) as co2_action_hours,
    round(coalesce(comfort.humidity_hours, 0), 4) as humidity_hours,
    round(comfort.humidity_mean, 2) as humidity_mean_pct,
    round(coalesce(comfort.humidity_banded_hours, 0), 4) as humidity_banded_hours,
    round(coalesce(comfort.humidity_in_band_hours, 0), 4) as humidity_in_band_hours,
    round(comfort.humidity_in_band_share, 6) as humidity_in_band_share
from day
left join span on day.building_id = span.building_id and day.local_date = span.local_date
left join comfort on day.building_id = comfort.building_id and day.local_date = comfort.local_date
left join {{ ref('core__equipment') }} as building on day.building_id = building.asset_id
order by day.local_date, building_key
