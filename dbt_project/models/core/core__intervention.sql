{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(local_date)', 'month(local_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'intervention',
        'day_column': 'local_date',
        'rules': {
            'feed': ['feed', 'territory', 'owner_authority', 'tells_end'],
            'territory': ['territory', 'time_zone'],
            'feed_fault_rule': ['feed', 'rule_order', 'category_like', 'subcategory_like', 'fault_type', 'asset_type'],
        },
    },
) }}

with touched as (
    {{ dated(ref('stg_intervention'), 'requested_at') }}
),

-- A work order has no category: only the rules of its feed that ask for none apply, where it names no fault itself.
ruled as (
    select
        feed,
        arg_min(fault_type, rule_order) as fault_type,
        arg_min(struct_pack(asset_type := asset_type), rule_order).asset_type as asset_type
    from {{ source('raw', 'feed_fault_rule') }}
    where '' like category_like escape '\' and '' like subcategory_like escape '\'
    group by feed
)

select
    {{ record_key('work.feed', 'work.intervention_ref') }} as intervention_key,
    work.feed,
    work.source,
    work.territory,
    work.intervention_ref,
    work.local_date,
    work.kind,
    coalesce(work.fault_type, ruled.fault_type) as fault_type,
    ruled.asset_type as fault_asset_type,
    work.status,
    work.report_ref,
    work.asset_ref,
    {{ asset_key('work.source', 'work.asset_ref') }} as asset_key,
    work.requested_at,
    work.acknowledged_at,
    work.dispatched_at,
    work.arrived_at,
    work.made_safe_at,
    work.restored_at,
    coalesce(work.suspended_minutes, 0) * 60 as suspended_seconds,
    work.commune,
    work.street,
    work.longitude,
    work.latitude,
    -- A feed that never says when a case ends says nothing of the open ones either.
    work.tells_end,
    case when work.restored_at is not null then false when work.tells_end is not false then true end as is_open,
    -- Each step against the latest of the steps before it: a crew may skip steps, not go back in time.
    coalesce(work.acknowledged_at < work.requested_at, false)
    or coalesce(work.dispatched_at < work.requested_at, false)
    or coalesce(work.arrived_at < greatest(work.requested_at, work.dispatched_at), false)
    or coalesce(work.made_safe_at < greatest(work.requested_at, work.dispatched_at, work.arrived_at), false)
    or coalesce(work.restored_at < greatest(work.requested_at, work.dispatched_at, work.arrived_at), false)
        as is_sequence_impossible,
    case when work.restored_at >= work.requested_at then {{ seconds_between('work.requested_at', 'work.restored_at') }} end
        as restoration_seconds,
    work.authority as owner_authority
from touched as work
left join ruled on work.feed = ruled.feed
order by work.local_date
