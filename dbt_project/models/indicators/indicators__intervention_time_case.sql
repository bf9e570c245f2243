with report as (
    select
        root_report_key as case_key,
        min(opened_at) as earliest_opened_at,
        min(acknowledged_at) filter (where not is_acknowledged_before_opened) as acknowledged_at,
        cast(count(*) as integer) as reports
    from {{ ref('core__report') }}
    group by root_report_key
),

work as (
    select
        coalesce(link.root_report_key, work.intervention_key) as case_key,
        cast(count(*) as integer) as interventions,
        min(work.requested_at) as requested_at,
        min(work.acknowledged_at) as acknowledged_at,
        min(work.dispatched_at) as dispatched_at,
        min(work.arrived_at) as arrived_at,
        min(work.made_safe_at) as made_safe_at,
        -- Several work orders for one case: restored when the last of them is.
        case when count(*) = count(work.restored_at) then max(work.restored_at) end as restored_at,
        sum(work.suspended_seconds) as suspended_seconds,
        bool_or(work.is_sequence_impossible) as is_sequence_impossible,
        bool_or(work.tells_end is not false) as tells_end,
        arg_min(struct_pack(
            feed := work.feed,
            territory := work.territory,
            fault_type := work.fault_type,
            commune := work.commune,
            street := work.street,
            longitude := work.longitude,
            latitude := work.latitude,
            asset_key := work.asset_key,
            owner_authority := work.owner_authority
        ), (work.requested_at, work.intervention_key)) as first_order
    from {{ ref('core__intervention') }} as work
    left join {{ ref('core__intervention_report') }} as link on work.intervention_key = link.intervention_key
    -- Planned maintenance answers nobody: it has no delay.
    where work.kind is distinct from 'preventive' and lower(coalesce(work.status, '')) not in ('cancelled', 'rejected')
    group by coalesce(link.root_report_key, work.intervention_key)
),

-- The failure a case is about, and the moment the equipment told of it by itself.
failure as (
    select
        coalesce(report.root_report_key, link.root_report_key, paper.evidence_key) as case_key,
        arg_min(paper.fault_type, paper.started_at) as fault_type,
        arg_min(paper.asset_key, paper.started_at) as asset_key,
        min(alarm.started_at) as alarm_at
    from {{ ref('core__failure_evidence') }} as paper
    -- Equalities alone: with the kind as a condition of its own, each paper is compared with each report.
    left join {{ ref('core__report') }} as report
        on case paper.evidence_kind when 'report' then paper.evidence_key end = report.report_key
    left join {{ ref('core__intervention_report') }} as link
        on case paper.evidence_kind when 'intervention' then paper.evidence_key end = link.intervention_key
    left join
        {{ ref('core__failure_evidence') }} as alarm
        on paper.episode_id = alarm.episode_id and alarm.evidence_kind = 'state'
    where paper.evidence_kind <> 'state'
    group by coalesce(report.root_report_key, link.root_report_key, paper.evidence_key)
),

opened as (
    select
        coalesce(root.report_key, work.case_key) as case_key,
        case when root.report_key is null then 'intervention' else 'report' end as origin,
        coalesce(root.feed, work.first_order.feed) as feed,
        coalesce(root.territory, work.first_order.territory) as territory,
        root.channel,
        root.category,
        root.subcategory,
        coalesce(failure.fault_type, root.fault_type, work.first_order.fault_type) as fault_type,
        coalesce(root.commune, work.first_order.commune) as commune,
        coalesce(root.street, work.first_order.street) as street,
        -- A position is one source's, never half of each.
        case when root.latitude is not null then root.longitude else work.first_order.longitude end as longitude,
        coalesce(root.latitude, work.first_order.latitude) as latitude,
        coalesce(failure.asset_key, root.asset_key, work.first_order.asset_key) as asset_key,
        {{ owner_authority('root.owner_authority', 'work.first_order.owner_authority') }} as owner_authority,
        coalesce(report.reports, 0) as reports,
        coalesce(work.interventions, 0) as interventions,
        coalesce(root.opened_at, work.requested_at) as opened_at,
        least(report.earliest_opened_at, work.requested_at, failure.alarm_at) as started_at,
        least(report.acknowledged_at, work.acknowledged_at) as acknowledged_at,
        work.dispatched_at,
        work.arrived_at,
        coalesce(work.made_safe_at, work.restored_at) as made_safe_at,
        work.restored_at,
        root.closed_at,
        coalesce(work.restored_at, root.closed_at) as resolved_at,
        coalesce(work.suspended_seconds, 0) as suspended_seconds,
        (root.report_key is not null and root.tells_end is not false) or coalesce(work.tells_end, false) as tells_end,
        coalesce(root.is_closed_before_opened, false) as is_closed_before_opened,
        coalesce(root.is_closed_before_opened, false)
        or coalesce(root.is_acknowledged_before_opened, false)
        or coalesce(work.is_sequence_impossible, false) as is_sequence_impossible,
        -- The desk found nothing, and no crew restored anything: there was no fault to guarantee.
        coalesce(lower(root.status) = 'rejected', false) and work.case_key is null as is_rejected
    from (
        select * from {{ ref('core__report') }}
        where report_key = root_report_key
    ) as root
    full outer join work on root.report_key = work.case_key
    left join report on root.report_key = report.case_key
    left join failure on coalesce(root.report_key, work.case_key) = failure.case_key
),

-- Each step read on both clocks at once: the wall's and the contract's.
step as (
    select
        step.case_key,
        step.milestone,
        {{ contract_clock('step.reached_at', 'calendar') }} as contract_at
    from (
        select
            case_key,
            territory,
            unnest([
                struct_pack(milestone := 'started', reached_at := started_at),
                struct_pack(milestone := 'acknowledged', reached_at := acknowledged_at),
                struct_pack(milestone := 'dispatched', reached_at := dispatched_at),
                struct_pack(milestone := 'arrived', reached_at := arrived_at),
                struct_pack(milestone := 'made_safe', reached_at := made_safe_at),
                struct_pack(milestone := 'resolved', reached_at := resolved_at),
                struct_pack(milestone := 'judged', reached_at := {{ as_of() }})
            ], recursive := true)
        from opened
    ) as step
    -- By instants: asked for the local date of each step, the engine worked it out for each pair of step and day (26 s a year).
    asof inner join {{ ref('core__calendar_day') }} as calendar
        on step.territory = calendar.territory and step.reached_at >= calendar.starts_at
    where step.reached_at < calendar.ends_at
),

clocked as (
    select
        {% for milestone in ['started', 'acknowledged', 'dispatched', 'arrived', 'made_safe', 'resolved', 'judged'] -%}
            max(contract_at) filter (where milestone = '{{ milestone }}') as {{ milestone }}_contract,
        {% endfor -%}
        case_key
    from step
    group by case_key
),

timed as (
    select
        opened.*,
        -- Nobody can call a case open when none of its sources ever says the end.
        case when opened.resolved_at is not null then false when opened.tells_end then true end as is_open,
        fault.gti_h,
        fault.gtrp_h,
        fault.gtr_h,
        fault.clock,
        {% for milestone in ['acknowledged', 'dispatched', 'arrived', 'made_safe'] -%}
            {{ seconds_between('opened.started_at', 'opened.' ~ milestone ~ '_at') }} as {{ milestone }}_seconds,
            clocked.{{ milestone }}_contract - clocked.started_contract as {{ milestone }}_contract_seconds,
        {% endfor -%}
        -- Declared suspensions (a part on order, no access) are not the crew's time.
        {{ seconds_between('opened.started_at', 'opened.resolved_at') }} - opened.suspended_seconds as resolved_seconds,
        -- They are told as a duration by the wall clock, without their instants: the contract's clock loses the share of it that
        -- they took. Taken off whole, a week's wait for a part would leave less than nothing of its contract hours.
        round(
            (clocked.resolved_contract - clocked.started_contract)
            * {{ running_share('opened.suspended_seconds', 'opened.started_at', 'opened.resolved_at') }}, 3
        ) as resolved_contract_seconds,
        {{ seconds_between('opened.opened_at', 'opened.resolved_at') }} as handling_seconds,
        {{ seconds_between('opened.started_at', as_of()) }} - opened.suspended_seconds as age_seconds,
        (clocked.judged_contract - clocked.started_contract)
        * {{ running_share('opened.suspended_seconds', 'opened.started_at', as_of()) }} as age_contract_seconds
    from opened
    left join clocked on opened.case_key = clocked.case_key
    left join {{ ref('core__fault_type') }} as fault on opened.fault_type = fault.fault_type
),

judged as (
    select
        {% for guarantee, milestone in [('gti', 'arrived'), ('gtrp', 'made_safe'), ('gtr', 'resolved')] -%}
            case
                when is_sequence_impossible or is_rejected then null
                when {{ milestone }}_at is not null
                    then
                        case clock when 'contract_hours' then {{ milestone }}_contract_seconds else {{ milestone }}_seconds end
                        <= {{ guarantee }}_h * 3600
                -- Still open past its time: missed, whatever comes. Closed without this step written: nobody can tell.
                when
                    is_open
                    and case clock when 'contract_hours' then age_contract_seconds else age_seconds end > {{ guarantee }}_h * 3600
                    then false
            end as is_{{ guarantee }}_kept,
        {% endfor -%}
        *
    from timed
)

select
    judged.case_key,
    judged.origin,
    judged.feed,
    judged.territory,
    cast(timezone(territory.time_zone, judged.opened_at) as date) as local_date,
    judged.channel,
    judged.category,
    judged.subcategory,
    judged.fault_type,
    judged.commune,
    judged.street,
    judged.longitude,
    judged.latitude,
    coalesce(code.asset_id, judged.asset_key) as asset_key,
    judged.owner_authority,
    judged.reports,
    judged.interventions,
    judged.started_at,
    judged.opened_at,
    judged.acknowledged_at,
    judged.dispatched_at,
    judged.arrived_at,
    judged.made_safe_at,
    judged.restored_at,
    judged.closed_at,
    judged.resolved_at,
    judged.is_open,
    judged.is_closed_before_opened,
    judged.is_sequence_impossible,
    judged.suspended_seconds,
    {% for column in ['acknowledged', 'dispatched', 'arrived', 'made_safe', 'resolved'] -%}
        case when not judged.is_sequence_impossible then judged.{{ column }}_seconds end as {{ column }}_seconds,
        case when not judged.is_sequence_impossible then judged.{{ column }}_contract_seconds end
            as {{ column }}_contract_seconds,
    {% endfor -%}
    case when not judged.is_sequence_impossible then judged.handling_seconds end as handling_seconds,
    case when judged.is_open then round({{ seconds_between('judged.opened_at', as_of()) }} / 3600, 2) end as open_hours,
    judged.gti_h,
    judged.gtrp_h,
    judged.gtr_h,
    judged.clock,
    judged.is_gti_kept,
    judged.is_gtrp_kept,
    judged.is_gtr_kept
from judged
inner join {{ source('raw', 'territory') }} as territory on judged.territory = territory.territory
asof left join {{ ref('core__asset_code') }} as code
    on judged.asset_key = code.asset_key and judged.started_at >= code.valid_from
order by local_date, judged.case_key
