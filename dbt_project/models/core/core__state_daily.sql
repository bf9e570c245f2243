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

with {{ latest_observations(source('raw', 'observation'), 'value_text') }},

-- By day, not by hour: a state lasts, and 24 rows a day that say the same would be a quarter of the observations.
daily as (
    select
        feed,
        source,
        asset_ref,
        property,
        value_text,
        {{ utc_day_number('observed_at') }} as day_number,
        count(*) as observations,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at
    from latest
    where value_text is not null
    group by feed, source, asset_ref, property, value_text, {{ utc_day_number('observed_at') }}
)

select
    daily.feed,
    daily.source,
    daily.asset_ref,
    {{ asset_key('daily.source', 'daily.asset_ref') }} as asset_key,
    feed.territory,
    daily.property,
    daily.value_text,
    date '1970-01-01' + cast(daily.day_number as integer) as utc_date,
    daily.observations,
    daily.first_observed_at,
    daily.last_observed_at
from daily
inner join {{ ref('stg_feed') }} as feed on daily.feed = feed.feed
order by utc_date
