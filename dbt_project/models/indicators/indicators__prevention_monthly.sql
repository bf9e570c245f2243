-- Who knew first: the equipment's own state, or a citizen. Failures only; a loss of communication concerns no citizen.
with witness as (
    select
        episode_id,
        min(started_at) filter (where evidence_kind = 'state') as seen_at,
        min(started_at) filter (where evidence_kind = 'report') as reported_at
    from {{ ref('core__failure_evidence') }}
    where kind = 'failure'
    group by episode_id
),

fault as (
    select
        episode.territory,
        cast(date_trunc('month', timezone(territory.time_zone, episode.started_at)) as date) as month,
        episode.owner_authority,
        episode.fault_type,
        episode.asset_type,
        episode.commune,
        episode.piloting,
        witness.reported_at,
        -- At the same instant nobody was first: the citizen is not told to have been spared the call.
        coalesce(witness.seen_at < coalesce(witness.reported_at, timestamptz 'infinity'), false) as is_seen_first,
        {{ seconds_between('witness.seen_at', 'witness.reported_at') }} as lead_seconds
    from {{ ref('core__failure_episode') }} as episode
    inner join witness on episode.episode_id = witness.episode_id
    inner join {{ source('raw', 'territory') }} as territory on episode.territory = territory.territory
    where episode.kind = 'failure' and episode.started_at < {{ as_of() }}
)

select
    territory,
    month,
    owner_authority,
    fault_type,
    asset_type,
    commune,
    piloting,
    cast(count(*) as integer) as faults,
    cast(count(*) filter (where is_seen_first) as integer) as seen_first,
    cast(count(*) filter (where is_seen_first and reported_at is null) as integer) as never_reported,
    cast(count(*) filter (where not is_seen_first and reported_at is not null) as integer) as reported_first,
    cast(count(*) filter (where not is_seen_first and reported_at is null) as integer) as found_by_crews,
    round(count(*) filter (where is_seen_first) / count(*), 6) as prevention_share,
    -- How long before the citizen, where one called in the end.
    round(quantile_cont(lead_seconds, 0.5) filter (where is_seen_first) / 3600, 4) as lead_p50_hours,
    round(quantile_cont(lead_seconds, 0.9) filter (where is_seen_first) / 3600, 4) as lead_p90_hours,
    cast(count(lead_seconds) filter (where is_seen_first) as integer) as leads_known,
    round(coalesce(fsum(lead_seconds) filter (where is_seen_first), 0) / 3600, 4) as lead_hours
from fault
group by territory, month, owner_authority, fault_type, asset_type, commune, piloting
order by territory, month, owner_authority, fault_type, asset_type, commune, piloting
