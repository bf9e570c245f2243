-- One line per piece of equipment, however many sources describe it: of each column, what the asset that names it says, else the
-- first of the others that says anything.
{% set rank = '(asset.asset_key <> asset.asset_id, asset.asset_key)' -%}
select
    asset.asset_id,
    cast(count(*) as integer) as descriptions,
    array_to_string(list_sort(list(distinct asset.source)), ', ') as sources,
    {% for column in ['territory', 'asset_type', 'name', 'commune', 'street', 'geometry', 'rated_power_w',
                      'installed_on', 'model', 'status', 'owner_authority'] -%}
        arg_min(asset.{{ column }}, {{ rank }}) as {{ column }},
    {% endfor -%}
    {% for column in ['longitude', 'latitude'] -%}
        arg_min(asset.{{ column }}, {{ rank }}) filter (where asset.latitude is not null) as {{ column }},
    {% endfor -%}
    arg_min(coalesce(parent.asset_id, asset.parent_key), {{ rank }}) as parent_id,
    -- Piloted by one system, it is piloted.
    case when bool_or(asset.is_remote) then 'remote' when bool_or(not asset.is_remote) then 'other' else 'unknown' end as piloting
from {{ ref('core__asset') }} as asset
left join {{ ref('core__asset_identity') }} as parent on asset.parent_key = parent.asset_key
group by asset.asset_id
order by asset.asset_id
