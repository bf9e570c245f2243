{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'alarm_journal',
        'day_column': 'utc_date',
    },
) }}

-- The journal as it is: nobody changes a line of it, so a day that gained lines is only read again.
with touched as (
    {{ touched_rows(ref('stg_alarm_journal'), 'recorded_at') }}
)

select
    seq,
    alarm_id,
    date '1970-01-01' + cast({{ utc_day_number('recorded_at') }} as integer) as utc_date,
    recorded_at,
    happened_at,
    kind,
    actor,
    alarm_key,
    rule,
    priority,
    domain,
    fault_type,
    alarm_feed,
    source,
    asset_ref,
    asset_id,
    asset_type,
    commune,
    owner_authority,
    state,
    is_active,
    is_acknowledged,
    is_presented,
    suppressed_by,
    parent_id,
    is_shelved,
    is_out_of_service,
    is_chattering,
    activations,
    escalation,
    started_at,
    raised_at,
    first_raised_at,
    acknowledged_at,
    returned_at,
    closed_at,
    arrive_by,
    safe_by,
    restore_by,
    feed
from touched
order by seq
