{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(local_date)', 'month(local_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'report',
        'day_column': 'local_date',
        'rules': {
            'feed': ['feed', 'territory', 'owner_authority', 'tells_end'],
            'territory': ['territory', 'time_zone'],
            'feed_fault_rule': ['feed', 'rule_order', 'category_like', 'subcategory_like', 'fault_type', 'asset_type'],
        },
    },
) }}

with recursive touched as (
    {{ dated(ref('stg_report'), 'opened_at') }}
),

-- Links to a report that is not (or not yet) known lead nowhere: such a report stands for itself.
link as (
    select
        child.feed,
        child.report_ref,
        child.duplicate_of
    from {{ ref('stg_report') }} as child
    inner join {{ ref('stg_report') }} as parent on child.feed = parent.feed and child.duplicate_of = parent.report_ref
),

walk as (
    select
        feed,
        report_ref,
        duplicate_of as reached,
        [report_ref] as path,
        duplicate_of = report_ref as is_cycle
    from link
    where report_ref in (select touched.report_ref from touched)
    union all
    select
        walk.feed,
        walk.report_ref,
        link.duplicate_of,
        list_append(walk.path, walk.reached),
        list_contains(walk.path, link.duplicate_of) or link.duplicate_of = walk.reached
    from walk
    inner join link on walk.feed = link.feed and walk.reached = link.report_ref
    where not walk.is_cycle
),

-- A chain ends at its root; a cycle has none, so each report that leads into one stands for itself, and says so.
root as (
    select
        feed,
        report_ref,
        arg_max(reached, len(path)) as root_ref,
        bool_or(is_cycle) as is_cycle
    from walk
    group by feed, report_ref
),

ruled as (
    select
        touched.feed,
        touched.report_ref,
        arg_min(rule.fault_type, rule.rule_order) as fault_type,
        arg_min(struct_pack(asset_type := rule.asset_type), rule.rule_order).asset_type as asset_type
    from touched
    inner join {{ source('raw', 'feed_fault_rule') }} as rule
        on
            touched.feed = rule.feed
            and lower(coalesce(touched.category, '')) like rule.category_like escape '\'
            and lower(coalesce(touched.subcategory, '')) like rule.subcategory_like escape '\'
    group by touched.feed, touched.report_ref
)

select
    {{ record_key('report.feed', 'report.report_ref') }} as report_key,
    report.feed,
    report.source,
    report.territory,
    report.report_ref,
    report.local_date,
    report.channel,
    report.category,
    report.subcategory,
    report.status,
    report.opened_at,
    report.acknowledged_at,
    report.closed_at,
    report.commune,
    report.district,
    report.street,
    report.longitude,
    report.latitude,
    report.asset_ref,
    {{ asset_key('report.source', 'report.asset_ref') }} as asset_key,
    report.duplicate_of,
    case when root.is_cycle or root.root_ref is null then report.report_ref else root.root_ref end as root_report_ref,
    {{ record_key('report.feed', 'root_report_ref') }} as root_report_key,
    root.root_ref is not null and not root.is_cycle as is_duplicate,
    coalesce(root.is_cycle, false) as is_duplicate_cycle,
    ruled.fault_type,
    ruled.asset_type as fault_asset_type,
    -- A feed that never says when a case ends says nothing of the open ones either.
    report.tells_end,
    case when report.closed_at is not null then false when report.tells_end is not false then true end as is_open,
    coalesce(report.closed_at < report.opened_at, false) as is_closed_before_opened,
    coalesce(report.acknowledged_at < report.opened_at, false) as is_acknowledged_before_opened,
    case when report.closed_at >= report.opened_at then {{ seconds_between('report.opened_at', 'report.closed_at') }} end
        as closing_seconds,
    case
        when report.acknowledged_at >= report.opened_at
            then {{ seconds_between('report.opened_at', 'report.acknowledged_at') }}
    end as acknowledgement_seconds,
    report.authority as owner_authority
from touched as report
left join root on report.feed = root.feed and report.report_ref = root.report_ref
left join ruled on report.feed = ruled.feed and report.report_ref = ruled.report_ref
order by report.local_date
