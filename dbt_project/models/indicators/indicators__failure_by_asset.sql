-- Only equipment that failed, in the months it was down: a line per sound light and month would say nothing 34,000 times.
with episode as (
    select
        *,
        case when is_open then {{ as_of() }} else coalesce(ended_at, started_at) end as down_until
    from {{ ref('core__failure_episode') }}
    where asset_key is not null and started_at < {{ as_of() }}
),

month as (
    {{ months_since('(select territory, started_at as first_at from episode)') }}
),

in_service as (
    select
        month.territory,
        month.month,
        service.asset_id,
        fsum({{ overlap_seconds(
            'service.valid_from', "coalesce(service.valid_to, timestamptz 'infinity')", 'month.starts_at', 'month.ends_at'
        ) }}) as asset_seconds
    from {{ ref('core__equipment_service') }} as service
    inner join {{ ref('core__equipment') }} as asset on service.asset_id = asset.asset_id
    inner join month
        on
            asset.territory = month.territory
            and month.ends_at > service.valid_from
            and month.starts_at < coalesce(service.valid_to, timestamptz 'infinity')
    where service.asset_id in (select episode.asset_key from episode)
    group by month.territory, month.month, service.asset_id
),

failed as (
    select
        month.territory,
        episode.asset_key,
        month.month,
        any_value(episode.asset_type) as asset_type,
        any_value(episode.commune) as commune,
        any_value(episode.street) as street,
        any_value(episode.model) as model,
        any_value(episode.parent_key) as parent_key,
        any_value(episode.piloting) as piloting,
        -- Of a code nobody described, two feeds may say two authorities: one of them, always the same.
        min(episode.owner_authority) as owner_authority,
        cast(count(*) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at) as integer)
            as failures_started,
        cast(
            count(*) filter (
                where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.is_repeat
            ) as integer
        ) as repeat_failures,
        cast(
            count(*) filter (where episode.kind = 'communication_loss' and episode.started_at >= month.starts_at) as integer
        ) as communication_losses_started,
        coalesce(
            fsum({{ overlap_seconds('episode.started_at', 'episode.down_until', 'month.starts_at', 'month.ends_at') }})
            filter (where episode.kind = 'failure'), 0
        ) as downtime_seconds,
        count(episode.ended_at) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at)
            as failures_ended,
        coalesce(
            fsum({{ seconds_between('episode.started_at', 'episode.ended_at') }})
            filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at), 0
        ) as duration_seconds,
        cast(
            count(*) filter (where episode.kind = 'failure' and (episode.is_open or episode.ended_at >= month.ends_at)) as integer
        ) as open_at_month_end
    from month
    inner join episode
        on
            month.territory = episode.territory
            and month.ends_at > episode.started_at
            and (month.starts_at < episode.down_until or month.starts_at <= episode.started_at)
    group by month.territory, episode.asset_key, month.month
)

select
    failed.territory,
    failed.asset_key,
    failed.month,
    failed.asset_type,
    asset.name,
    failed.commune,
    failed.street,
    asset.longitude,
    asset.latitude,
    failed.model,
    failed.parent_key,
    failed.piloting,
    failed.owner_authority,
    failed.failures_started,
    failed.repeat_failures,
    failed.communication_losses_started,
    failed.open_at_month_end,
    round(failed.downtime_seconds / 3600, 2) as downtime_hours,
    round(in_service.asset_seconds / 3600, 2) as in_service_hours,
    round((in_service.asset_seconds - failed.downtime_seconds) / 3600 / nullif(failed.failures_started, 0), 2) as mtbf_hours,
    round(failed.duration_seconds / nullif(failed.failures_ended, 0) / 3600, 2) as mttr_hours,
    round(100 * (1 - failed.downtime_seconds / nullif(in_service.asset_seconds, 0)), 4) as availability_pct,
    cast(failed.failures_ended as integer) as failures_ended,
    round(failed.duration_seconds / 3600, 4) as repair_hours
from failed
left join {{ ref('core__equipment') }} as asset on failed.asset_key = asset.asset_id
left join in_service
    on failed.territory = in_service.territory and failed.month = in_service.month and failed.asset_key = in_service.asset_id
order by failed.territory, failed.asset_key, failed.month
