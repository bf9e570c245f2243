{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'observation',
        'day_column': 'utc_date',
        'rules': {
            'feed': ['feed', 'territory', 'domain', 'freshness_minutes'],
            'feed_state_rule': ['feed', 'property', 'value_text', 'failed_below', 'failed_above', 'state', 'fault_type'],
        },
    },
) }}

-- It reads the raw table itself, up to the landing that the staging view shows: depends_on: {{ ref('stg_observation') }}

with landed as not materialized (
    {{ touched_rows(source('raw', 'observation'), 'observed_at', where=landed_by_staging('observation')) }}
),

text_rule as (
    select
        feed,
        property,
        value_text,
        bool_or(state <> 'ok') as is_bad
    from {{ source('raw', 'feed_state_rule') }}
    where value_text is not null
    group by feed, property, value_text
),

number_rule as (
    select
        feed,
        property,
        max(failed_below) as failed_below,
        min(failed_above) as failed_above
    from {{ source('raw', 'feed_state_rule') }}
    where value_text is null
    group by feed, property
),

-- The systems of information: networks and video, and whatever sends heartbeats.
spoken as (
    select
        landed.feed,
        landed.source,
        landed.asset_ref,
        landed.property,
        landed.observed_at,
        landed.value,
        landed.value_text,
        {{ utc_day_number('landed.observed_at') }} as utc_day,
        bool_or(landed.property = 'heartbeat')
            over (partition by landed.feed, {{ utc_day_number('landed.observed_at') }}) as is_heartbeat_day
    from landed
    inner join {{ ref('stg_feed') }} as feed on landed.feed = feed.feed
    where
        feed.domain in ('RT', 'VP')
        or landed.feed in (
            select told.feed from landed as told
            where told.property = 'heartbeat'
        )
),

-- What is a sign of life: a heartbeat, where the feed sends them; else a state that its rules call well, where it has any; else
-- anything. That a system says of its camera that it is not heard is no sign of the camera's life. Revisions are not looked for:
-- whichever came, something was heard.
living as (
    select spoken.*
    from spoken
    left join text_rule
        on spoken.feed = text_rule.feed and spoken.property = text_rule.property and spoken.value_text = text_rule.value_text
    left join number_rule on spoken.feed = number_rule.feed and spoken.property = number_rule.property
    where
        case
            when spoken.is_heartbeat_day
                then
                    spoken.property = 'heartbeat'
                    and spoken.value is distinct from 0
                    and not coalesce(text_rule.is_bad, false)
            when spoken.feed in (select rule.feed from {{ source('raw', 'feed_state_rule') }} as rule)
                then
                    coalesce(not text_rule.is_bad, false)
                    or (
                        number_rule.feed is not null
                        and spoken.value is not null
                        and not coalesce(spoken.value < number_rule.failed_below, false)
                        and not coalesce(spoken.value > number_rule.failed_above, false)
                    )
            else true
        end
),

-- The feed itself is heard whatever it says, of whichever asset.
sign as (
    select
        feed,
        source,
        asset_ref,
        utc_day,
        observed_at
    from living
    union all
    select
        feed,
        cast(null as varchar),
        cast(null as varchar),
        utc_day,
        observed_at
    from spoken
),

stepped as (
    select
        sign.*,
        coalesce(
            {{ seconds_between('lag(sign.observed_at) over heard', 'sign.observed_at') }} > feed.freshness_minutes * 60, false
        ) as is_step
    from sign
    inner join {{ ref('stg_feed') }} as feed on sign.feed = feed.feed
    window heard as (
        partition by sign.feed, sign.asset_ref, sign.utc_day
        order by sign.observed_at
    )
),

run as (
    select
        *,
        sum(cast(is_step as integer)) over (
            partition by feed, asset_ref, utc_day
            order by observed_at rows unbounded preceding
        ) as run_number
    from stepped
)

select
    run.feed,
    any_value(run.source) as source,
    run.asset_ref,
    {{ asset_key('any_value(run.source)', 'run.asset_ref') }} as asset_key,
    feed.territory,
    date '1970-01-01' + cast(run.utc_day as integer) as utc_date,
    min(run.observed_at) as started_at,
    max(run.observed_at) as last_seen_at,
    count(*) as observations
from run
inner join {{ ref('stg_feed') }} as feed on run.feed = feed.feed
group by run.feed, run.asset_ref, feed.territory, run.utc_day, run.run_number
order by utc_date
