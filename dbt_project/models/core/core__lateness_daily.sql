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

-- depends_on: {{ ref('stg_landing') }}

-- What each row tells of last: a reading can be sent when its interval is over, a paper that is closed tells of its closing. What
-- describes equipment is about no instant.
{% set told_at = {
    'observation': 'observed_at',
    'energy_reading': 'end_at',
    'report': 'greatest(opened_at, acknowledged_at, closed_at, revised_at)',
    'intervention': 'greatest(requested_at, acknowledged_at, dispatched_at, arrived_at, made_safe_at, restored_at, revised_at)',
} %}

with
{% for table, instant in told_at.items() %}
    {{ table }} as (
        select
            feed,
            received_on,
            {{ quarter_number('received_at') }} as received_quarter,
            {{ lateness_minutes(instant, 'received_at') }} as lateness_minutes,
            count(*) as records
        from {{ source('raw', table) }}
        where {{ landed_by_staging('landing') }} and {{ is_touched_day('received_on') }}
        group by all
    ),
{% endfor %}
-- Zones are worked out once per quarter of an hour (no zone is off UTC by less), not once per row.
arrived as (
    {% for table in told_at %}
        select * from {{ table }}
        {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    arrived.feed,
    arrived.received_on as utc_date,
    cast(timezone(feed.territory_time_zone, {{ quarter_start('arrived.received_quarter') }}) as date) as local_date,
    feed.territory,
    {{ owner_authority('feed.owner_authority') }} as owner_authority,
    arrived.lateness_minutes,
    cast(sum(arrived.records) as bigint) as records
from arrived
inner join {{ ref('stg_feed') }} as feed on arrived.feed = feed.feed
group by all
order by utc_date
