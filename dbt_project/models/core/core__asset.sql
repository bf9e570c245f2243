select
    asset.asset_key,
    identity.asset_id,
    asset.source,
    asset.asset_ref,
    asset.feed,
    asset.territory,
    asset.asset_type,
    asset.parent_ref,
    asset.parent_key,
    asset.name,
    asset.commune,
    asset.street,
    asset.longitude,
    asset.latitude,
    asset.geometry,
    asset.rated_power_w,
    asset.installed_on,
    asset.model,
    asset.status,
    asset.is_remote,
    case when asset.is_remote then 'remote' when not asset.is_remote then 'other' else 'unknown' end as piloting,
    asset.owner_authority,
    asset.valid_from
from {{ ref('core__asset_history') }} as asset
inner join {{ ref('core__asset_identity') }} as identity on asset.asset_key = identity.asset_key
where asset.is_current
order by asset.asset_key
