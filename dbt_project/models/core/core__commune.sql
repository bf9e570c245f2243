select
    asset_key as commune_key,
    territory,
    asset_ref as commune_ref,
    coalesce(name, asset_ref) as name,
    geometry,
    longitude,
    latitude,
    valid_from
from {{ ref('core__asset') }}
where asset_type = 'commune'
order by commune_key
