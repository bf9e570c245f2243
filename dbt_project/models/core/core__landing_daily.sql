{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'landing',
        'day_column': 'utc_date',
        'rules': {'feed': ['feed', 'territory', 'owner_authority'], 'territory': ['territory', 'time_zone']},
    },
) }}

with line as (
    select
        landing.*,
        feed.territory,
        {{ owner_authority('feed.owner_authority') }} as authority,
        -- A feed that nobody declared has no zone: its days are those of UTC.
        cast(timezone(coalesce(feed.territory_time_zone, 'UTC'), landing.received_at) as date) as local_date
    from {{ ref('stg_landing') }} as landing
    left join {{ ref('stg_feed') }} as feed on landing.feed = feed.feed
    where {{ is_touched_day('landing.received_on') }}
),

spaced as (
    select
        *,
        lag(received_at) over (
            partition by feed, received_on, local_date
            order by received_at, landing_seq
        ) as previous_at
    from line
)

select
    feed,
    received_on as utc_date,
    local_date,
    territory,
    authority as owner_authority,
    count(*) as landings,
    cast(sum(received) as bigint) as received,
    cast(sum(stored) as bigint) as stored,
    cast(sum(duplicate) as bigint) as duplicate,
    cast(sum(rejected) as bigint) as rejected,
    cast(sum(rejected_values) as bigint) as rejected_values,
    cast(sum(canonical_rows) as bigint) as canonical_rows,
    count(*) filter (where received <> stored + duplicate + rejected) as unbalanced_landings,
    min(first_event_at) as first_event_at,
    max(last_event_at) as last_event_at,
    min(received_at) as first_landing_at,
    max(received_at) as last_landing_at,
    max({{ seconds_between('previous_at', 'received_at') }}) as longest_gap_seconds
from spaced
group by feed, received_on, local_date, territory, authority
order by utc_date
