with revision as (
    select
        asset.*,
        feed.territory,
        coalesce(asset.owner_authority, feed.owner_authority) as authority,
        lead(asset.effective_at) over (
            partition by asset.source, asset.asset_ref
            order by asset.effective_at
        ) as valid_to
    from {{ ref('stg_asset') }} as asset
    inner join {{ ref('stg_feed') }} as feed on asset.feed = feed.feed
)

select
    {{ asset_key('source', 'asset_ref') }} as asset_key,
    source,
    asset_ref,
    feed,
    territory,
    asset_type,
    parent_ref,
    {{ asset_key('source', 'parent_ref') }} as parent_key,
    name,
    commune,
    street,
    longitude,
    latitude,
    geometry,
    rated_power_w,
    installed_on,
    model,
    status,
    is_remote,
    authority as owner_authority,
    identity,
    effective_at as valid_from,
    valid_to,
    valid_to is null as is_current
from revision
order by asset_key, valid_from
