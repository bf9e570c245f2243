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

-- The hour first, days and zones after: they are worked out once per hour, not once per observation.
with hourly as (
    select
        feed,
        source,
        asset_ref,
        property,
        time_bucket(interval 1 hour, observed_at) as observed_hour,
        max(unit) as unit,
        count(*) as observations,
        min(value) as value_min,
        max(value) as value_max,
        -- A compensated sum, rounded: the order in which threads add must not show.
        round(fsum(value), 6) as value_sum,
        count(value) as values_counted,
        arg_min(value, observed_at) as value_first,
        arg_max(value, observed_at) as value_last,
        arg_min(value_text, observed_at) as text_first,
        arg_max(value_text, observed_at) as text_last,
        min(observed_at) as first_observed_at,
        max(observed_at) as last_observed_at,
        count(*) filter (where quality = 'good') as observations_good,
        count(*) filter (where quality = 'uncertain') as observations_uncertain,
        count(*) filter (where quality = 'bad') as observations_bad
    from {{ ref('stg_observation') }}
    where {{ is_touched_instant('observed_at') }}
    group by feed, source, asset_ref, property, time_bucket(interval 1 hour, observed_at)
),

local_hour as (
    select
        seen.feed,
        seen.observed_hour,
        feed.territory,
        cast(timezone(feed.territory_time_zone, seen.observed_hour) as date) as local_date,
        -- A night bears the date of its evening: noon to noon.
        cast(timezone(feed.territory_time_zone, seen.observed_hour) - interval 12 hour as date) as night_of
    from (
        select distinct
            feed,
            observed_hour
        from hourly
    ) as seen
    inner join {{ ref('stg_feed') }} as feed on seen.feed = feed.feed
)

select
    hourly.feed,
    hourly.source,
    hourly.asset_ref,
    {{ asset_key('hourly.source', 'hourly.asset_ref') }} as asset_key,
    local_hour.territory,
    hourly.property,
    hourly.unit,
    hourly.observed_hour,
    cast(timezone('UTC', hourly.observed_hour) as date) as utc_date,
    local_hour.local_date,
    local_hour.night_of,
    hourly.observations,
    hourly.value_min,
    hourly.value_max,
    round(hourly.value_sum / nullif(hourly.values_counted, 0), 6) as value_mean,
    hourly.value_sum,
    hourly.value_first,
    hourly.value_last,
    hourly.text_first,
    hourly.text_last,
    hourly.first_observed_at,
    hourly.last_observed_at,
    hourly.observations_good / hourly.observations as good_share,
    hourly.observations_uncertain / hourly.observations as uncertain_share,
    hourly.observations_bad / hourly.observations as bad_share,
    (hourly.observations - hourly.observations_good - hourly.observations_uncertain - hourly.observations_bad)
    / hourly.observations as unstated_share
from hourly
inner join local_hour on hourly.feed = local_hour.feed and hourly.observed_hour = local_hour.observed_hour
-- One file per day: written unsorted, a year made 10,000 files.
order by utc_date
