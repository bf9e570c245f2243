-- What each meter feeds, and whose it is. What the territory declares (meter_link) says it, else the meter's own line in an
-- inventory, else its feed.
with metered as (
    select
        meter_key,
        feed,
        meter_ref,
        any_value(source) as source,
        any_value(territory) as territory,
        bool_or(direction = 'consumption') as is_consumption
    from {{ ref('core__energy_daily') }}
    group by meter_key, feed, meter_ref
),

linked as (
    select
        link.feed,
        link.meter_ref,
        asset.asset_id,
        coalesce(cast(link.valid_from as date), date '1900-01-01') <= today.local_date as is_begun,
        -- What has not ended is what it feeds now; else what ended last.
        case
            when cast(link.valid_to as date) <= today.local_date then cast(link.valid_to as date)
            else date '9999-12-31'
        end as holds_until
    from {{ source('raw', 'meter_link') }} as link
    inner join (
        select
            feed,
            cast(timezone(territory_time_zone, {{ as_of() }}) as date) as local_date
        from {{ ref('stg_feed') }}
    ) as today on link.feed = today.feed
    inner join {{ ref('core__asset') }} as asset on asset.asset_key = {{ asset_key('link.source', 'link.asset_ref') }}
),

described as (
    select
        metered.feed,
        metered.meter_ref,
        coalesce(holder.asset_id, own.asset_id) as asset_id,
        own.owner_authority
    from metered
    inner join {{ ref('core__asset') }} as asset
        on asset.asset_key = {{ asset_key('metered.source', 'metered.meter_ref') }}
    inner join {{ ref('core__equipment') }} as own on asset.asset_id = own.asset_id
    left join {{ ref('core__equipment') }} as holder
        on own.parent_id = holder.asset_id and lower(holder.asset_type) in ('cabinet', 'building')
),

-- Of a meter that was moved, whom all it has fed belongs to, where that is one.
owned as (
    select
        linked.feed,
        linked.meter_ref,
        case when count(distinct equipment.owner_authority) = 1 then min(equipment.owner_authority) end as owner_authority
    from linked
    inner join {{ ref('core__equipment') }} as equipment on linked.asset_id = equipment.asset_id
    group by linked.feed, linked.meter_ref
),

fed as (
    select
        current_link.feed,
        current_link.meter_ref,
        current_link.asset_id
    from (
        select distinct
            feed,
            meter_ref,
            asset_id,
            holds_until = max(holds_until) over (partition by feed, meter_ref) as is_current
        from linked
        where is_begun
    ) as current_link
    where current_link.is_current
    union all
    select
        described.feed,
        described.meter_ref,
        described.asset_id
    from described
    anti join linked on described.feed = linked.feed and described.meter_ref = linked.meter_ref
),

lit as (
    select distinct asset.asset_id
    from {{ source('raw', 'lighting_regime') }} as regime
    inner join {{ ref('core__asset') }} as asset
        on asset.asset_key = {{ asset_key('regime.source', 'regime.cabinet_ref') }}
),

placed as (
    select
        fed.feed,
        fed.meter_ref,
        equipment.*,
        case
            when lit.asset_id is not null or lower(equipment.asset_type) = 'cabinet' then 'armoire'
            when lower(equipment.asset_type) = 'building' then 'bâtiment'
            else 'autre'
        end as kind
    from fed
    inner join {{ ref('core__equipment') }} as equipment on fed.asset_id = equipment.asset_id
    left join lit on fed.asset_id = lit.asset_id
),

-- Of several cabinets the first, by key, says where the meter is.
site as (
    select
        feed,
        meter_ref,
        array_to_string(list_sort(list(asset_id)), ', ') as site_key,
        array_to_string(list_sort(list(asset_id) filter (where kind = 'armoire')), ', ') as cabinet_key,
        array_to_string(list_sort(list(asset_id) filter (where kind = 'bâtiment')), ', ') as building_key,
        array_to_string(list_sort(list(name) filter (where name is not null)), ', ') as name,
        arg_min(kind, asset_id) as kind,
        arg_min(commune, asset_id) as commune,
        arg_min(street, asset_id) as street,
        arg_min(longitude, asset_id) as longitude,
        arg_min(latitude, asset_id) as latitude
    from placed
    group by feed, meter_ref
)

select
    metered.meter_key,
    metered.feed,
    metered.meter_ref,
    metered.source,
    metered.territory,
    feed.domain,
    metered.is_consumption,
    site.kind as site_kind,
    site.site_key,
    site.cabinet_key,
    site.building_key,
    site.name,
    site.commune,
    site.street,
    site.longitude,
    site.latitude,
    {{ owner_authority('owned.owner_authority', 'described.owner_authority', 'feed.owner_authority') }} as owner_authority
from metered
inner join {{ ref('stg_feed') }} as feed on metered.feed = feed.feed
left join owned on metered.feed = owned.feed and metered.meter_ref = owned.meter_ref
left join described on metered.feed = described.feed and metered.meter_ref = described.meter_ref
left join site on metered.feed = site.feed and metered.meter_ref = site.meter_ref
order by metered.meter_key
