-- From the first month in which anything could have told of a failure: before, none is known, which is not that none was.
with inventory as (
    select
        service.asset_id,
        asset.territory,
        asset.owner_authority,
        asset.asset_type,
        asset.commune,
        asset.piloting,
        service.valid_from,
        coalesce(service.valid_to, timestamptz 'infinity') as valid_to
    from {{ ref('core__equipment_service') }} as service
    inner join {{ ref('core__equipment') }} as asset on service.asset_id = asset.asset_id
),

episode as (
    select
        *,
        case
            when is_open then {{ as_of() }}
            -- An end that nobody knows makes no downtime: it would be invented.
            else coalesce(ended_at, started_at)
        end as down_until
    from {{ ref('core__failure_episode') }}
    where started_at < {{ as_of() }}
),

month as (
    {{ months_since(ref('core__failure_known_since')) }}
),

in_service as (
    select
        month.territory,
        month.month,
        inventory.owner_authority,
        inventory.asset_type,
        inventory.commune,
        inventory.piloting,
        count(distinct inventory.asset_id) as assets_in_service,
        fsum(
            {{ overlap_seconds('inventory.valid_from', 'inventory.valid_to', 'month.starts_at', 'month.ends_at') }}
        ) as asset_seconds
    from month
    inner join inventory
        on
            month.territory = inventory.territory
            and month.ends_at > inventory.valid_from
            and month.starts_at < inventory.valid_to
    group by
        month.territory, month.month, inventory.owner_authority, inventory.asset_type, inventory.commune, inventory.piloting
),

-- An episode counts in the month it starts; its downtime is split over the months it lasts.
failed as (
    select
        month.territory,
        month.month,
        episode.owner_authority,
        episode.asset_type,
        episode.commune,
        episode.piloting,
        count(*) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at) as failures_started,
        count(*) filter (where episode.kind = 'communication_loss' and episode.started_at >= month.starts_at)
            as communication_losses_started,
        count(*) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.is_repeat)
            as repeat_failures,
        count(*) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.is_end_unknown)
            as failures_end_unknown,
        count(*) filter (
            where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.detected_by = 'state'
        )
            as detected_by_state,
        count(*) filter (
            where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.detected_by = 'report'
        )
            as detected_by_report,
        count(*) filter (
            where episode.kind = 'failure' and episode.started_at >= month.starts_at and episode.detected_by = 'intervention'
        ) as detected_by_intervention,
        count(*) filter (
            where episode.kind = 'failure' and (episode.is_open or episode.ended_at >= month.ends_at)
        ) as open_at_month_end,
        -- Sums and counts, not means: a reader may put rows together.
        count(episode.duration_seconds) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at)
            as failures_ended,
        fsum(episode.duration_seconds) filter (where episode.kind = 'failure' and episode.started_at >= month.starts_at)
            as duration_seconds,
        fsum({{ overlap_seconds('episode.started_at', 'episode.down_until', 'month.starts_at', 'month.ends_at') }})
        filter (where episode.kind = 'failure') as downtime_seconds,
        -- Only the downtime of equipment in the inventory can be compared with the inventory's time in service.
        fsum({{ overlap_seconds('episode.started_at', 'episode.down_until', 'month.starts_at', 'month.ends_at') }})
        filter (where episode.kind = 'failure' and asset.asset_id is not null) as inventory_downtime_seconds
    from month
    inner join episode
        on
            month.territory = episode.territory
            and month.ends_at > episode.started_at
            -- An episode of no length still counts in its month.
            and (month.starts_at < episode.down_until or month.starts_at <= episode.started_at)
    left join {{ ref('core__equipment') }} as asset on episode.asset_key = asset.asset_id
    group by month.territory, month.month, episode.owner_authority, episode.asset_type, episode.commune, episode.piloting
)

select
    coalesce(failed.territory, in_service.territory) as territory,
    coalesce(failed.month, in_service.month) as month,
    coalesce(failed.owner_authority, in_service.owner_authority) as owner_authority,
    coalesce(failed.asset_type, in_service.asset_type) as asset_type,
    coalesce(failed.commune, in_service.commune) as commune,
    coalesce(failed.piloting, in_service.piloting) as piloting,
    cast(in_service.assets_in_service as integer) as assets_in_service,
    cast(coalesce(failed.failures_started, 0) as integer) as failures_started,
    round(100.0 * coalesce(failed.failures_started, 0) / in_service.assets_in_service, 4) as failures_per_100_assets,
    round(
        (in_service.asset_seconds - coalesce(failed.inventory_downtime_seconds, 0)) / 3600 / nullif(failed.failures_started, 0), 2
    ) as mtbf_hours,
    round(failed.duration_seconds / nullif(failed.failures_ended, 0) / 3600, 2) as mttr_hours,
    round(coalesce(failed.downtime_seconds, 0) / 3600, 2) as downtime_hours,
    round(100.0 * (1 - coalesce(failed.inventory_downtime_seconds, 0) / nullif(in_service.asset_seconds, 0)), 4)
        as availability_pct,
    round(in_service.asset_seconds / 3600, 4) as in_service_hours,
    case when in_service.asset_seconds is not null then round(coalesce(failed.inventory_downtime_seconds, 0) / 3600, 4) end
        as inventory_downtime_hours,
    cast(coalesce(failed.failures_ended, 0) as integer) as failures_ended,
    round(coalesce(failed.duration_seconds, 0) / 3600, 4) as repair_hours,
    cast(coalesce(failed.repeat_failures, 0) as integer) as repeat_failures,
    cast(coalesce(failed.open_at_month_end, 0) as integer) as open_at_month_end,
    cast(coalesce(failed.failures_end_unknown, 0) as integer) as failures_end_unknown,
    cast(coalesce(failed.communication_losses_started, 0) as integer) as communication_losses_started,
    cast(coalesce(failed.detected_by_state, 0) as integer) as detected_by_state,
    cast(coalesce(failed.detected_by_report, 0) as integer) as detected_by_report,
    cast(coalesce(failed.detected_by_intervention, 0) as integer) as detected_by_intervention
from failed
full outer join in_service
    on
        failed.territory = in_service.territory
        and failed.month = in_service.month
        and failed.owner_authority is not distinct from in_service.owner_authority
        and failed.asset_type is not distinct from in_service.asset_type
        and failed.commune is not distinct from in_service.commune
        and failed.piloting = in_service.piloting
order by territory, month, owner_authority, asset_type, commune, piloting
