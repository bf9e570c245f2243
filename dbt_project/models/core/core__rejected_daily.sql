{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook=["{{ take_back_examples() }}", "{{ record_model_state() }}"],
    meta={
        'touched_by': 'rejected',
        'day_column': 'utc_date',
        'rules': {
            'feed': ['feed', 'territory', 'owner_authority', 'has_personal_columns'],
            'territory': ['territory', 'time_zone'],
        },
    },
) }}

with reject as (
    select
        rejected.*,
        feed.territory,
        {{ owner_authority('feed.owner_authority') }} as authority,
        cast(timezone(coalesce(feed.territory_time_zone, 'UTC'), rejected.received_at) as date) as local_date,
        -- A detail may quote the value that was refused; of a feed with personal columns, or that nobody declared, none is shown.
        case when not coalesce(feed.has_personal_columns, true) then rejected.detail end as example
    from {{ ref('stg_rejected') }} as rejected
    left join {{ ref('stg_feed') }} as feed on rejected.feed = feed.feed
    where {{ is_touched_day('rejected.received_on') }}
)

select
    feed,
    received_on as utc_date,
    local_date,
    territory,
    authority as owner_authority,
    scope,
    reason,
    count(*) as rejects,
    arg_max(example, (landing_seq, position)) as example_detail,
    min(received_at) as first_received_at,
    max(received_at) as last_received_at
from reject
group by feed, received_on, local_date, territory, authority, scope, reason
order by utc_date
