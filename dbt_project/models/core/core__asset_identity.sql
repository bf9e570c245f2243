-- Which assets of several sources are one piece of equipment: what the territory declares (asset_crosswalk), else the identity
-- codes that they have carried, by a chain of them. Walked over (asset, code) pairs: a code that many assets share costs its
-- number, not its square.
with recursive asset as (
    select
        asset_key,
        source,
        asset_ref,
        territory,
        nullif(trim(identity), '') as identity,
        lower(coalesce(status, '')) in ('removed', 'retired', 'decommissioned') as is_gone
    from {{ ref('core__asset_history') }}
    where is_current
),

declared as (
    select
        {{ asset_key('crosswalk.source', 'crosswalk.asset_ref') }} as asset_key,
        {{ asset_key('crosswalk.canonical_source', 'crosswalk.canonical_ref') }} as canonical_key,
        crosswalk.territory || ':' || trim(crosswalk.identity) as code
    from {{ source('raw', 'asset_crosswalk') }} as crosswalk
    inner join {{ source('raw', 'territory') }} as territory on crosswalk.territory = territory.territory
    where
        timezone(territory.time_zone, {{ as_of() }}) >= coalesce(cast(crosswalk.valid_from as timestamp), timestamp '1900-01-01')
        and timezone(territory.time_zone, {{ as_of() }}) < coalesce(cast(crosswalk.valid_to as timestamp), timestamp '9999-12-31')
),

carried as (
    -- What is declared of a code outweighs what its source writes.
    select distinct
        asset.asset_key,
        asset.territory || ':' || trim(history.identity) as code
    from {{ ref('core__asset_history') }} as history
    inner join asset on history.asset_key = asset.asset_key
    where trim(history.identity) <> '' and asset.asset_key not in (select declared.asset_key from declared)
    union
    select
        asset.asset_key,
        coalesce(declared.code, '=' || declared.canonical_key)
    from declared
    inner join asset on declared.asset_key = asset.asset_key
    union
    select
        asset.asset_key,
        '=' || asset.asset_key
    from declared
    inner join asset on declared.canonical_key = asset.asset_key
),

reached as (
    select
        asset_key,
        code
    from carried
    union
    select
        reached.asset_key,
        onward.code
    from reached
    inner join carried as shared on reached.code = shared.code
    inner join carried as onward on shared.asset_key = onward.asset_key
),

-- Every asset of a group reaches the same codes: the smallest names the group.
named as (
    select
        asset_key,
        min(code) as group_code
    from reached
    group by asset_key
),

grouped as (
    select
        asset.*,
        coalesce(named.group_code, asset.asset_key) as group_code,
        declared.asset_key is not null as is_declared,
        canonical.asset_key as canonical_key,
        asset.asset_key in (select target.canonical_key from declared as target) as is_canonical
    from asset
    left join named on asset.asset_key = named.asset_key
    left join declared on asset.asset_key = declared.asset_key
    left join asset as canonical on declared.canonical_key = canonical.asset_key
),

-- What one source calls by two codes is two pieces of equipment, unless it is declared or one of them is gone: a group that says
-- otherwise is to be looked at, and joins nobody meanwhile.
ambiguous as (
    select group_code
    from (
        select group_code from grouped
        where not is_declared and not is_gone
        group by group_code, source
        having count(*) > 1
    ) as crowded
    group by group_code
)

select
    grouped.asset_key,
    grouped.source,
    grouped.asset_ref,
    grouped.territory,
    grouped.identity,
    case
        when ambiguous.group_code is not null then coalesce(grouped.canonical_key, grouped.asset_key)
        else first_value(grouped.asset_key) over (
            partition by grouped.group_code
            order by not grouped.is_canonical, grouped.is_declared, grouped.asset_key
        )
    end as asset_id,
    cast(count(*) over (partition by grouped.group_code) as integer) as group_assets,
    grouped.is_declared,
    ambiguous.group_code is not null as is_ambiguous
from grouped
left join ambiguous on grouped.group_code = ambiguous.group_code
order by grouped.asset_key
