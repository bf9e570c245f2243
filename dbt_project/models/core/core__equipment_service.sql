-- When each piece of equipment was in service: what its descriptions say together. A code that is declared to stand for it (a
-- radio, a maintenance code) adds nothing: it may be older than the equipment it is on.
with described as (
    select
        identity.asset_id,
        history.asset_key,
        history.valid_from,
        coalesce(history.valid_to, timestamptz 'infinity') as valid_to,
        identity.is_declared,
        bool_and(identity.is_declared) over (partition by identity.asset_id) as is_all_declared
    from {{ ref('core__asset_history') }} as history
    inner join {{ ref('core__asset_identity') }} as identity on history.asset_key = identity.asset_key
    -- What has been taken away cannot fail; nor can what is no equipment, the places of a map.
    where
        lower(coalesce(history.status, '')) not in ('removed', 'retired', 'decommissioned')
        and lower(coalesce(history.asset_type, '')) not in ('commune', 'street')
),

reach as (
    select
        *,
        max(valid_to) over (
            partition by asset_id
            order by valid_from, valid_to, asset_key
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from described
    where not is_declared or is_all_declared
),

islanded as (
    select
        *,
        sum(cast(reached_at is null or reached_at < valid_from as integer)) over (
            partition by asset_id
            order by valid_from, valid_to, asset_key
            rows unbounded preceding
        ) as island
    from reach
)

select
    asset_id,
    min(valid_from) as valid_from,
    case when isfinite(max(valid_to)) then max(valid_to) end as valid_to
from islanded
group by asset_id, island
order by asset_id, valid_from
