with revision as (
    select
        asset.*,
        feed.territory,
        feed.owner_authority as feed_authority,
        lead(asset.effective_at) over history as valid_to,
        -- A feed of assets describes each of them whole: what it leaves empty is empty. Messages about something else (a lamp's
        -- state, with its type and little more) describe a part: the rest stays as the last whole description left it.
        sum(cast(coalesce(feed.contract, '') = 'asset' as integer)) over (history rows unbounded preceding) as whole
    from {{ ref('stg_asset') }} as asset
    inner join {{ ref('stg_feed') }} as feed on asset.feed = feed.feed
    window history as (
        partition by asset.source, asset.asset_ref
        order by asset.effective_at
    )
)

{% set described = [
    'asset_type', 'parent_ref', 'name', 'commune', 'street', 'longitude', 'latitude', 'geometry', 'rated_power_w',
    'installed_on', 'model', 'status', 'is_remote', 'owner_authority', 'identity',
] -%}
, filled as (
    select
        source,
        asset_ref,
        feed,
        territory,
        {% for column in described -%}
            last_value({{ column }} ignore nulls) over since_whole as {{ column }},
        {% endfor -%}
        feed_authority,
        effective_at,
        valid_to
    from revision
    window since_whole as (
        partition by source, asset_ref, whole
        order by effective_at rows unbounded preceding
    )
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
    coalesce(owner_authority, feed_authority) as owner_authority,
    identity,
    effective_at as valid_from,
    valid_to,
    valid_to is null as is_current
from filled
order by asset_key, valid_from
