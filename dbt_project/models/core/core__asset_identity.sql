-- Two assets are the same equipment when they have carried the same identity code in the same territory, or are linked
-- by a chain of such codes. Walked over (asset, code) pairs: a code that many assets share costs its number, not its square.
with recursive asset as (
    select
        asset_key,
        source,
        asset_ref,
        territory,
        nullif(trim(identity), '') as identity
    from {{ ref('core__asset_history') }}
    where is_current
),

carried as (
    select distinct
        asset.asset_key,
        asset.territory || ':' || trim(history.identity) as code
    from {{ ref('core__asset_history') }} as history
    inner join asset on history.asset_key = asset.asset_key
    where trim(history.identity) <> ''
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
        coalesce(named.group_code, asset.asset_key) as group_code
    from asset
    left join named on asset.asset_key = named.asset_key
),

-- What one source calls by two codes is two pieces of equipment: a group that says otherwise is to be looked at.
ambiguous as (
    select group_code
    from (
        select group_code from grouped
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
    min(grouped.asset_key) over (partition by grouped.group_code) as asset_id,
    cast(count(*) over (partition by grouped.group_code) as integer) as group_assets,
    ambiguous.group_code is not null as is_ambiguous
from grouped
left join ambiguous on grouped.group_code = ambiguous.group_code
order by grouped.asset_key
