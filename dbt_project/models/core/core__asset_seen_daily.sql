{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'observation',
        'day_column': 'utc_date',
        'rules': {'feed': ['feed', 'territory']},
    },
) }}

-- depends_on: {{ ref('stg_observation') }}

-- From the day's figures and words, which this run has already made: a fraction of its observations.
with seen as (
    select
        feed,
        source,
        asset_ref,
        asset_key,
        territory,
        property,
        utc_date,
        observations,
        first_observed_at,
        last_observed_at
    from {{ ref('core__observation_hourly') }}
    where {{ is_touched_day('utc_date') }}
    union all
    select
        feed,
        source,
        asset_ref,
        asset_key,
        territory,
        property,
        utc_date,
        observations,
        first_observed_at,
        last_observed_at
    from {{ ref('core__state_daily') }}
    where {{ is_touched_day('utc_date') }}
)

select
    feed,
    source,
    asset_ref,
    asset_key,
    territory,
    utc_date,
    cast(sum(observations) as bigint) as observations,
    min(first_observed_at) as first_observed_at,
    max(last_observed_at) as last_observed_at,
    array_to_string(list_sort(list(distinct property)), ', ') as properties
from seen
group by feed, source, asset_ref, asset_key, territory, utc_date
order by utc_date
