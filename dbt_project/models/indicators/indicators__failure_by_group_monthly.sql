-- Which kinds of equipment fail more than others: the same rates as failure_frequency_monthly, by cabinet, model, street and age.
with recursive climb as (
    select
        asset_id,
        asset_id as reached_id,
        parent_id,
        asset_type as reached_type,
        0 as steps
    from {{ ref('core__equipment') }}
    union all
    -- A light hangs on a feeder, the feeder on a cabinet; four steps leave room for boxes between.
    select
        climb.asset_id,
        above.asset_id as reached_id,
        above.parent_id,
        above.asset_type,
        climb.steps + 1
    from climb
    inner join {{ ref('core__equipment') }} as above on climb.parent_id = above.asset_id
    where climb.steps < 4 and lower(climb.reached_type) not like '%cabinet%'
),

cabinet as (
    select
        asset_id,
        arg_min(reached_id, steps) as cabinet_key
    from climb
    where lower(reached_type) like '%cabinet%' and steps > 0
    group by asset_id
),

equipment as (
    select
        asset.asset_id,
        asset.territory,
        asset.owner_authority,
        asset.asset_type,
        asset.installed_on,
        asset.model,
        concat_ws(', ', asset.street, asset.commune) as street,
        cabinet.cabinet_key
    from {{ ref('core__equipment') }} as asset
    left join cabinet on asset.asset_id = cabinet.asset_id
),

month as (
    {{ months_since(ref('core__failure_known_since')) }}
),

episode as (
    select
        *,
        case when is_open then {{ as_of() }} else coalesce(ended_at, started_at) end as down_until
    from {{ ref('core__failure_episode') }}
    where kind = 'failure' and asset_key is not null and started_at < {{ as_of() }}
),

-- Per piece of equipment first: each then counts in its four groups.
in_service as (
    select
        equipment.asset_id,
        month.month,
        fsum({{ overlap_seconds(
            'service.valid_from', "coalesce(service.valid_to, timestamptz 'infinity')", 'month.starts_at', 'month.ends_at'
        ) }}) as asset_seconds
    from {{ ref('core__equipment_service') }} as service
    inner join equipment on service.asset_id = equipment.asset_id
    inner join month
        on
            equipment.territory = month.territory
            and service.valid_from < month.ends_at
            and coalesce(service.valid_to, timestamptz 'infinity') > month.starts_at
    group by equipment.asset_id, month.month
),

failed as (
    select
        episode.asset_key as asset_id,
        month.month,
        count(*) filter (where episode.started_at >= month.starts_at) as failures_started,
        fsum(episode.duration_seconds) filter (where episode.started_at >= month.starts_at) as duration_seconds,
        count(episode.duration_seconds) filter (where episode.started_at >= month.starts_at) as durations,
        fsum({{ overlap_seconds('episode.started_at', 'episode.down_until', 'month.starts_at', 'month.ends_at') }})
            as down_seconds
    from episode
    inner join month
        on
            episode.territory = month.territory
            and episode.started_at < month.ends_at
            and (episode.down_until > month.starts_at or episode.started_at >= month.starts_at)
    group by episode.asset_key, month.month
),

followed as (
    select
        equipment.territory,
        in_service.month,
        equipment.owner_authority,
        equipment.asset_type,
        in_service.asset_seconds,
        coalesce(failed.failures_started, 0) as failures_started,
        coalesce(failed.duration_seconds, 0) as duration_seconds,
        coalesce(failed.durations, 0) as durations,
        coalesce(failed.down_seconds, 0) as down_seconds,
        unnest([
            struct_pack(dimension := 'cabinet', label := equipment.cabinet_key),
            struct_pack(dimension := 'model', label := equipment.model),
            struct_pack(dimension := 'street', label := nullif(equipment.street, '')),
            struct_pack(dimension := 'age', label := case
                when datesub('year', equipment.installed_on, in_service.month) < 5 then '00-04'
                when datesub('year', equipment.installed_on, in_service.month) < 10 then '05-09'
                when datesub('year', equipment.installed_on, in_service.month) < 15 then '10-14'
                when datesub('year', equipment.installed_on, in_service.month) < 20 then '15-19'
                when equipment.installed_on is not null then '20+'
            end)
        ], recursive := true)
    from in_service
    inner join equipment on in_service.asset_id = equipment.asset_id
    left join failed on in_service.asset_id = failed.asset_id and in_service.month = failed.month
)

select
    followed.territory,
    followed.month,
    followed.owner_authority,
    followed.dimension,
    followed.label as value,
    followed.asset_type,
    -- A cabinet is known by its name; a model, a street, an age are their own.
    coalesce(any_value(named.name), followed.label) as group_name,
    cast(count(*) as integer) as assets_in_service,
    cast(sum(followed.failures_started) as integer) as failures_started,
    round(100.0 * sum(followed.failures_started) / count(*), 4) as failures_per_100_assets,
    round(
        (fsum(followed.asset_seconds) - fsum(followed.down_seconds)) / 3600 / nullif(sum(followed.failures_started), 0), 2
    ) as mtbf_hours,
    round(fsum(followed.duration_seconds) / nullif(sum(followed.durations), 0) / 3600, 2) as mttr_hours,
    round(fsum(followed.down_seconds) / 3600, 2) as downtime_hours,
    round(100 * (1 - fsum(followed.down_seconds) / nullif(fsum(followed.asset_seconds), 0)), 4) as availability_pct,
    round(fsum(followed.asset_seconds) / 3600, 4) as in_service_hours,
    cast(sum(followed.durations) as integer) as failures_ended,
    round(fsum(followed.duration_seconds) / 3600, 4) as repair_hours
from followed
left join {{ ref('core__equipment') }} as named on followed.dimension = 'cabinet' and followed.label = named.asset_id
-- What the inventory does not say makes no group.
where followed.label is not null
group by followed.territory, followed.month, followed.owner_authority, followed.dimension, followed.label, followed.asset_type
order by followed.territory, followed.month, followed.owner_authority, followed.dimension, value, followed.asset_type
