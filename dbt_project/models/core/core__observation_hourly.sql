{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'observation',
        'day_column': 'utc_date',
        'rules': {'feed': ['feed', 'territory'], 'territory': ['territory', 'time_zone']},
    },
) }}

-- depends_on: {{ ref('stg_observation') }}

with {{ latest_observations(source('raw', 'observation'), 'value') }},

-- The hour first, days and zones after: they are worked out once per hour, not once per observation.
hourly as (
    select
        feed,
        source,
        asset_ref,
        property,
        {{ utc_hour_number('observed_at') }} as hour_number,
        max(unit) as unit,
        count(*) as observations,
        min(value) as value_min,
        max(value) as value_max,
        -- A compensated sum, rounded: the order in which threads add must not show.
        round(fsum(value), 6) as value_sum,
        arg_min(value, observed_at) as value_first,
        arg_max(value, observed_at) as value_last,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) filter (where quality = 'good') as observations_good,
        count(*) filter (where quality = 'uncertain') as observations_uncertain,
        count(*) filter (where quality = 'bad') as observations_bad
    from latest
    where value is not null
    group by feed, source, asset_ref, property, {{ utc_hour_number('observed_at') }}
),

utc_hour as (
    select distinct
        feed,
        hour_number,
        make_timestamptz(hour_number * 3600000000) as observed_hour
    from hourly
),

local_hour as (
    select
        utc_hour.feed,
        utc_hour.hour_number,
        utc_hour.observed_hour,
        feed.territory,
        cast(timezone('UTC', utc_hour.observed_hour) as date) as utc_date,
        cast(timezone(feed.territory_time_zone, utc_hour.observed_hour) as date) as local_date,
        -- A night bears the date of its evening: noon to noon.
        cast(timezone(feed.territory_time_zone, utc_hour.observed_hour) - interval 12 hour as date) as night_of
    from utc_hour
    inner join {{ ref('stg_feed') }} as feed on utc_hour.feed = feed.feed
)

select
    hourly.feed,
    hourly.source,
    hourly.asset_ref,
    {{ asset_key('hourly.source', 'hourly.asset_ref') }} as asset_key,
    local_hour.territory,
    hourly.property,
    hourly.unit,
    local_hour.observed_hour,
    local_hour.utc_date,
    local_hour.local_date,
    local_hour.night_of,
    hourly.observations,
    hourly.value_min,
    hourly.value_max,
    round(hourly.value_sum / hourly.observations, 6) as value_mean,
    hourly.value_sum,
    hourly.value_first,
    hourly.value_last,
    hourly.first_observed_at,
    hourly.last_observed_at,
    hourly.observations_good / hourly.observations as good_share,
    hourly.observations_uncertain / hourly.observations as uncertain_share,
    hourly.observations_bad / hourly.observations as bad_share,
    (hourly.observations - hourly.observations_good - hourly.observations_uncertain - hourly.observations_bad)
    / hourly.observations as unstated_share
from hourly
inner join local_hour on hourly.feed = local_hour.feed and hourly.hour_number = local_hour.hour_number
-- One file per day: written unsorted, a year made 10,000 files.
order by local_hour.utc_date
