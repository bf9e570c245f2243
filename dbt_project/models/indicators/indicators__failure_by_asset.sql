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
)

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
    any_value(episode.owner_authority) as owner_authority,
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
    round(coalesce(
        fsum({{ overlap_seconds('episode.started_at', 'episode.down_until', 'month.starts_at', 'month.ends_at') }})
        filter (where episode.kind = 'failure'), 0
    ) / 3600, 2) as downtime_hours,
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
order by month.territory, episode.asset_key, month.month
