-- Every trace of a failure (state episodes, confirmed reports, curative work orders) with the episode it belongs to.
-- Whatever code each names its equipment by, it is the one equipment (core__asset_code): a light that the GIS, the lighting CMS
-- and its radio know by three codes fails once.
with report as (
    select
        report.* exclude (asset_key),
        coalesce(code.asset_id, report.asset_key) as asset_key,
        case
            when report.is_closed_before_opened then null
            else report.closed_at
        end as ended_at
    from {{ ref('core__report') }} as report
    asof left join {{ ref('core__asset_code') }} as code
        on report.asset_key = code.asset_key and report.opened_at >= code.valid_from
    -- `rejected`: the desk found nothing. Without a declared rule, a report is about no equipment.
    where report.fault_type is not null and lower(coalesce(report.status, '')) <> 'rejected'
),

work as (
    select
        work.* exclude (asset_key),
        coalesce(code.asset_id, work.asset_key) as asset_key,
        link.root_report_key
    from {{ ref('core__intervention') }} as work
    asof left join {{ ref('core__asset_code') }} as code
        on work.asset_key = code.asset_key and work.requested_at >= code.valid_from
    left join {{ ref('core__intervention_report') }} as link on work.intervention_key = link.intervention_key
    where work.kind = 'curative' and lower(coalesce(work.status, '')) not in ('cancelled', 'rejected')
),

-- What two codes of one equipment tell at the same time is one failure.
told as (
    select
        state.* exclude (asset_key),
        state.asset_key as told_key,
        coalesce(code.asset_id, state.asset_key) as asset_key
    from {{ ref('core__state_failure') }} as state
    asof left join {{ ref('core__asset_code') }} as code
        on state.asset_key = code.asset_key and state.started_at >= code.valid_from
),

told_reach as (
    select
        *,
        max(coalesce(ended_at, timestamptz 'infinity')) over (
            partition by asset_key, kind, fault_type
            order by started_at, ended_at, told_key
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from told
),

told_island as (
    select
        *,
        sum(cast(reached_at is null or reached_at < started_at as integer)) over (
            partition by asset_key, kind, fault_type
            order by started_at, ended_at, told_key
            rows unbounded preceding
        ) as island
    from told_reach
),

state as (
    select
        *,
        min(started_at) over (partition by asset_key, kind, fault_type, island) as episode_started_at
    from told_island
),

-- What a crew found outweighs what was reported: its equipment and its fault hold for the report it answers.
found as (
    select
        root_report_key,
        arg_min(asset_key, requested_at) as asset_key,
        arg_min(fault_type, requested_at) as fault_type
    from work
    where root_report_key is not null
    group by root_report_key
),

-- Of the duplicates of one case, the first that names its equipment.
named as (
    select
        root_report_key,
        arg_min(asset_key, opened_at) as asset_key,
        arg_min(fault_type, opened_at) as fault_type,
        arg_min(fault_asset_type, opened_at) as asset_type
    from report
    group by root_report_key
),

paper as (
    select
        'report' as evidence_kind,
        report.report_key as evidence_key,
        report.feed,
        report.territory,
        coalesce(found.asset_key, named.asset_key) as asset_key,
        -- Without equipment, an episode of its place, keyed by the case.
        coalesce(found.asset_key, named.asset_key, 'report:' || report.root_report_key) as place_key,
        coalesce(found.fault_type, named.fault_type) as fault_type,
        named.asset_type,
        report.commune,
        report.owner_authority,
        report.opened_at as started_at,
        report.ended_at,
        -- Closed before opened: when it ended is not known, and it is not open either.
        report.is_closed_before_opened or coalesce(report.closed_at is null and not report.tells_end, false) as is_end_unknown
    from report
    inner join named on report.root_report_key = named.root_report_key
    left join found on report.root_report_key = found.root_report_key
    union all
    select
        'intervention',
        work.intervention_key,
        work.feed,
        work.territory,
        coalesce(found.asset_key, named.asset_key, work.asset_key),
        coalesce(
            found.asset_key, named.asset_key, work.asset_key,
            'report:' || work.root_report_key, 'intervention:' || work.intervention_key
        ),
        coalesce(found.fault_type, named.fault_type, work.fault_type),
        coalesce(named.asset_type, work.fault_asset_type),
        work.commune,
        work.owner_authority,
        work.requested_at,
        case when work.restored_at >= work.requested_at then work.restored_at end,
        coalesce(work.restored_at < work.requested_at, false) or coalesce(work.restored_at is null and not work.tells_end, false)
    from work
    left join found on work.root_report_key = found.root_report_key
    left join named on work.root_report_key = named.root_report_key
    where coalesce(found.fault_type, named.fault_type, work.fault_type) is not null
),

-- The papers of one case, and those of one equipment and fault that overlap, tell of one failure.
reach as (
    select
        *,
        max(case when is_end_unknown then started_at else coalesce(ended_at, timestamptz 'infinity') end) over (
            partition by place_key, fault_type
            order by started_at, evidence_key
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from paper
),

islanded as (
    select
        *,
        sum(cast(reached_at is null or reached_at < started_at as integer)) over (
            partition by place_key, fault_type
            order by started_at, evidence_key
            rows unbounded preceding
        ) as island
    from reach
),

trail as (
    select
        place_key,
        fault_type,
        island,
        any_value(asset_key) as asset_key,
        min(started_at) as started_at,
        max(case when is_end_unknown then started_at else coalesce(ended_at, timestamptz 'infinity') end) as reached_at
    from islanded
    group by place_key, fault_type, island
),

-- A paper trail that overlaps a failure its equipment reported by itself tells of that failure: of the first it meets.
met as (
    select
        trail.place_key,
        trail.fault_type,
        trail.island,
        min(state.episode_started_at) as state_started_at
    from trail
    inner join state
        on
            trail.asset_key = state.asset_key
            and trail.fault_type = state.fault_type
            and trail.started_at <= coalesce(state.ended_at, timestamptz 'infinity')
            and trail.reached_at >= state.started_at
    where state.kind = 'failure'
    group by trail.place_key, trail.fault_type, trail.island
),

evidence as (
    select
        'state' as evidence_kind,
        told_key || ':' || fault_type || ':' || cast(epoch_us(started_at) as varchar) as evidence_key,
        feed,
        territory,
        asset_key,
        asset_key as place_key,
        kind,
        fault_type,
        cast(null as varchar) as asset_type,
        cast(null as varchar) as commune,
        cast(null as varchar) as owner_authority,
        started_at,
        ended_at,
        false as is_end_unknown,
        episode_started_at,
        'state' as episode_origin
    from state
    union all
    select
        islanded.evidence_kind,
        islanded.evidence_key,
        islanded.feed,
        islanded.territory,
        islanded.asset_key,
        islanded.place_key,
        'failure',
        islanded.fault_type,
        islanded.asset_type,
        islanded.commune,
        islanded.owner_authority,
        islanded.started_at,
        islanded.ended_at,
        islanded.is_end_unknown,
        coalesce(met.state_started_at, trail.started_at),
        case when met.state_started_at is null then 'paper' else 'state' end
    from islanded
    inner join trail
        on islanded.place_key = trail.place_key and islanded.fault_type = trail.fault_type and islanded.island = trail.island
    left join met
        on islanded.place_key = met.place_key and islanded.fault_type = met.fault_type and islanded.island = met.island
)

select
    -- The same inputs give the same id on every build.
    md5(concat_ws(
        '|', evidence.place_key, evidence.kind, evidence.fault_type, evidence.episode_origin,
        epoch_us(evidence.episode_started_at)
    )) as episode_id,
    evidence.episode_started_at,
    evidence.evidence_kind,
    evidence.evidence_key,
    evidence.feed,
    evidence.territory,
    evidence.asset_key,
    evidence.place_key,
    evidence.kind,
    evidence.fault_type,
    evidence.asset_type,
    evidence.commune,
    {{ owner_authority('equipment.owner_authority', 'evidence.owner_authority', 'feed.owner_authority') }} as owner_authority,
    evidence.started_at,
    evidence.ended_at,
    evidence.is_end_unknown
from evidence
left join {{ ref('core__equipment') }} as equipment on evidence.asset_key = equipment.asset_id
left join {{ ref('stg_feed') }} as feed on evidence.feed = feed.feed
order by episode_id, evidence.started_at, evidence.evidence_kind, evidence.evidence_key
