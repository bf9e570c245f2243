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
            'feed': ['feed', 'territory', 'freshness_minutes', 'bridges_communication_gap'],
            'feed_state_rule': ['feed', 'property', 'value_text', 'failed_below', 'failed_above', 'state', 'fault_type'],
        },
    },
) }}

-- It reads the raw table itself, up to the landing that the staging view shows: depends_on: {{ ref('stg_observation') }}

with rule as (
    select * from {{ source('raw', 'feed_state_rule') }}
),

landed as not materialized (
    {{ touched_rows(source('raw', 'observation'), 'observed_at', where=landed_by_staging('observation')) }}
),

-- First the days on which some revision tells of a failure: few rows are left to order. The raw table is read here,
-- as the staging view would rank every revision of the year; which revision counts is decided below, on what is left.
suspect as (
    select distinct
        observation.feed,
        observation.asset_ref,
        observation.property,
        {{ utc_day_number('observation.observed_at') }} as utc_day
    from landed as observation
    inner join rule on observation.feed = rule.feed and observation.property = rule.property
    where
        (rule.value_text = observation.value_text and rule.state <> 'ok')
        or (rule.value_text is null and (observation.value < rule.failed_below or observation.value > rule.failed_above))
),

candidate as (
    select
        observation.feed,
        observation.source,
        observation.asset_ref,
        observation.property,
        observation.observed_at,
        observation.value,
        observation.value_text,
        suspect.utc_day
    from landed as observation
    inner join suspect
        on
            observation.feed = suspect.feed
            and observation.asset_ref = suspect.asset_ref
            and observation.property = suspect.property
            and {{ utc_day_number('observation.observed_at') }} = suspect.utc_day
    qualify row_number() over (
        partition by observation.feed, observation.asset_ref, observation.property, observation.observed_at
        order by observation.landing_seq desc, observation.position desc
    ) = 1
),

-- One property may tell of several faults: each is a series of its own. A value no rule knows says nothing.
told as (
    select
        candidate.feed,
        candidate.source,
        candidate.asset_ref,
        candidate.property,
        candidate.utc_day,
        candidate.observed_at,
        rule.fault_type,
        case
            when rule.value_text is not null then rule.state
            when candidate.value < rule.failed_below or candidate.value > rule.failed_above then 'failed'
            else 'ok'
        end as state
    from candidate
    inner join rule
        on
            candidate.feed = rule.feed
            and candidate.property = rule.property
            and (candidate.value_text = rule.value_text or (rule.value_text is null and candidate.value is not null))
),

-- Where the feed does not carry a failure over a silence longer than its declared freshness, the silence ends the run.
stepped as (
    select
        told.*,
        coalesce(lag(told.state) over series <> told.state, true)
        or (
            not feed.bridges_communication_gap
            and coalesce(
                {{ seconds_between('lag(told.observed_at) over series', 'told.observed_at') }}
                > feed.freshness_minutes * 60, false
            )
        ) as is_step
    from told
    inner join {{ ref('stg_feed') }} as feed on told.feed = feed.feed
    window series as (
        partition by told.feed, told.asset_ref, told.property, told.fault_type, told.utc_day
        order by told.observed_at
    )
),

run as (
    select
        *,
        sum(cast(is_step as integer)) over (
            partition by feed, asset_ref, property, fault_type, utc_day
            order by observed_at rows unbounded preceding
        ) as run_number
    from stepped
),

segment as (
    select
        feed,
        source,
        asset_ref,
        property,
        fault_type,
        utc_day,
        run_number,
        any_value(state) as state,
        min(observed_at) as started_at,
        max(observed_at) as last_seen_at,
        count(*) as observations
    from run
    group by feed, source, asset_ref, property, fault_type, utc_day, run_number
),

bounded as (
    select
        *,
        lead(started_at) over series as next_started_at,
        lead(state) over series as next_state,
        case when lag(state) over series = 'ok' then lag(started_at) over series end as ok_before_at
    from segment
    window series as (
        partition by feed, asset_ref, property, fault_type, utc_day
        order by run_number
    )
)

select
    feed,
    source,
    asset_ref,
    {{ asset_key('source', 'asset_ref') }} as asset_key,
    property,
    fault_type,
    state,
    date '1970-01-01' + cast(utc_day as integer) as utc_date,
    started_at,
    last_seen_at,
    -- Two runs of one state with a silence between: the first ends where it was last heard of.
    case when next_state = state then last_seen_at else next_started_at end as ended_at,
    case when next_state = state then 'silence' else next_state end as ended_by,
    ok_before_at,
    observations
from bounded
where state <> 'ok'
order by utc_date
