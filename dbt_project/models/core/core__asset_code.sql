-- The equipment each code has stood for, and since when: an asof join on (asset_key, valid_from) says what a row of any instant
-- is about. A radio that moved from one light to another stood for the first until then.
{% set always = "timestamptz '1900-01-01 00:00:00+00'" -%}
with declared as (
    select
        {{ asset_key('crosswalk.source', 'crosswalk.asset_ref') }} as asset_key,
        crosswalk.source,
        crosswalk.asset_ref,
        coalesce(timezone(territory.time_zone, cast(crosswalk.valid_from as timestamp)), {{ always }}) as valid_from,
        timezone(territory.time_zone, cast(crosswalk.valid_to as timestamp)) as valid_to,
        coalesce(canonical.asset_id, carrier.asset_id) as asset_id
    from {{ source('raw', 'asset_crosswalk') }} as crosswalk
    inner join {{ source('raw', 'territory') }} as territory on crosswalk.territory = territory.territory
    left join {{ ref('core__asset_identity') }} as canonical
        on {{ asset_key('crosswalk.canonical_source', 'crosswalk.canonical_ref') }} = canonical.asset_key
    left join (
        select
            territory,
            identity,
            min(asset_id) as asset_id
        from {{ ref('core__asset_identity') }}
        where identity is not null and not is_ambiguous
        group by territory, identity
    ) as carrier
        on crosswalk.territory = carrier.territory and trim(crosswalk.identity) = carrier.identity
),

-- Outside its declared periods a code stands for itself, where it is an asset; else for nothing that is known.
undeclared as (
    select distinct
        asset_key,
        source,
        asset_ref,
        {{ always }} as valid_from
    from declared
    union
    select
        asset_key,
        source,
        asset_ref,
        valid_to
    from declared
    where valid_to is not null
),

period as (
    select
        asset_key,
        source,
        asset_ref,
        asset_id,
        valid_from,
        'crosswalk' as origin
    from declared
    union all
    select
        undeclared.asset_key,
        undeclared.source,
        undeclared.asset_ref,
        own.own_id,
        undeclared.valid_from,
        'undeclared'
    from undeclared
    left join (select asset_key as own_id from {{ ref('core__asset_identity') }}) as own on undeclared.asset_key = own.own_id
    anti join declared on undeclared.asset_key = declared.asset_key and undeclared.valid_from = declared.valid_from
    union all
    select
        identity.asset_key,
        identity.source,
        identity.asset_ref,
        identity.asset_id,
        {{ always }},
        'inventory'
    from {{ ref('core__asset_identity') }} as identity
    where identity.asset_key not in (select declared.asset_key from declared)
)

select
    asset_key,
    source,
    asset_ref,
    asset_id,
    valid_from,
    origin
from period
order by asset_key, valid_from
