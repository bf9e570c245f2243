{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'observation',
        'day_column': 'utc_date',
        'rules': {'feed': ['feed', 'territory', 'domain'], 'territory': ['territory', 'time_zone']},
    },
) }}

-- depends_on: {{ ref('stg_observation') }}

-- The few hours that daily indicators of air and water are made of, taken once out of those of every lamp: from the touched days
-- of core__observation_hourly, which this run has already made.
select
    hourly.feed,
    hourly.source,
    hourly.asset_ref,
    hourly.asset_key,
    hourly.territory,
    feed.domain,
    hourly.property,
    hourly.unit,
    hourly.observed_hour,
    hourly.utc_date,
    hourly.local_date,
    hourly.observations,
    hourly.value_min,
    hourly.value_max,
    hourly.value_mean,
    hourly.value_last
from {{ ref('core__observation_hourly') }} as hourly
inner join {{ ref('stg_feed') }} as feed on hourly.feed = feed.feed
where
    {{ is_touched_day('hourly.utc_date') }}
    and (
        -- RT too: the feed of a radio network carries the sensors of every service.
        (feed.domain in ('PAT', 'RT') and hourly.property in ('air_temperature', 'co2', 'relative_humidity'))
        or (feed.domain = 'EAU' and hourly.property in ('water_level', 'discharge', 'flood_vigilance'))
    )
order by hourly.utc_date
