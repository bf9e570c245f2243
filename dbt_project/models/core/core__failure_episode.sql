with episode as (
    select
        episode_id,
        min(territory) as territory,
        any_value(asset_key) as asset_key,
        any_value(place_key) as place_key,
        any_value(kind) as kind,
        any_value(fault_type) as fault_type,
        min(asset_type) as asset_type,
        min(commune) as commune,
        min(started_at) as started_at,
        -- On a tie the equipment itself is the witness, then the citizen, then the crew.
        arg_min(
            evidence_kind,
            (started_at, case evidence_kind when 'state' then 1 when 'report' then 2 else 3 end)
        ) as detected_by,
        arg_min(
            owner_authority,
            (started_at, case evidence_kind when 'state' then 1 when 'report' then 2 else 3 end, evidence_key)
        ) as owner_authority,
        count(*) filter (where evidence_kind = 'state') as states,
        count(*) filter (where evidence_kind = 'report') as reports,
        count(*) filter (where evidence_kind = 'intervention') as interventions,
        -- Who knows best when it ended: the equipment, then the crew, then the desk that closed the case.
        max(ended_at) filter (where evidence_kind = 'state') as state_ended_at,
        max(ended_at) filter (where evidence_kind = 'intervention') as intervention_ended_at,
        max(ended_at) filter (where evidence_kind = 'report') as report_ended_at,
        count(*) filter (where ended_at is null and not is_end_unknown and evidence_kind = 'state') as states_open,
        count(*) filter (where ended_at is null and not is_end_unknown and evidence_kind = 'intervention') as interventions_open,
        count(*) filter (where ended_at is null and not is_end_unknown and evidence_kind = 'report') as reports_open
    from {{ ref('core__failure_evidence') }}
    group by episode_id
),

judged as (
    select
        *,
        case
            when states > 0 then case when states_open = 0 then state_ended_at end
            when interventions > 0 and (interventions_open > 0 or intervention_ended_at is not null)
                then case when interventions_open = 0 then intervention_ended_at end
            when reports_open = 0 then report_ended_at
        end as ended_at,
        case
            when states > 0 then states_open > 0
            when interventions > 0 and (interventions_open > 0 or intervention_ended_at is not null) then interventions_open > 0
            else reports_open > 0
        end as is_open
    from episode
),

followed as (
    select
        *,
        lag(ended_at) over (
            partition by place_key, kind, fault_type
            order by started_at, episode_id
        ) as previous_ended_at
    from judged
)

select
    episode.episode_id,
    episode.territory,
    episode.kind,
    episode.fault_type,
    episode.asset_key,
    asset.name,
    coalesce(asset.asset_type, episode.asset_type) as asset_type,
    coalesce(asset.piloting, 'unknown') as piloting,
    asset.model,
    asset.parent_id as parent_key,
    coalesce(asset.commune, episode.commune) as commune,
    asset.street,
    -- The equipment's where it is known; else what the first of its papers, or its feed, says.
    episode.owner_authority,
    episode.started_at,
    episode.ended_at,
    episode.is_open,
    not episode.is_open and episode.ended_at is null as is_end_unknown,
    case when episode.ended_at is not null then {{ seconds_between('episode.started_at', 'episode.ended_at') }} end
        as duration_seconds,
    episode.detected_by,
    cast(episode.states as integer) as states,
    cast(episode.reports as integer) as reports,
    cast(episode.interventions as integer) as interventions,
    episode.previous_ended_at,
    coalesce(
        episode.asset_key is not null
        and episode.started_at >= episode.previous_ended_at
        and {{ seconds_between('episode.previous_ended_at', 'episode.started_at') }} <= {{ var('repeat_failure_days') }} * 86400,
        false
    ) as is_repeat
from followed as episode
left join {{ ref('core__equipment') }} as asset on episode.asset_key = asset.asset_id
order by episode.started_at, episode.episode_id
