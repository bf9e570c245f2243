select
    asset_key as street_key,
    territory,
    asset_ref as street_ref,
    coalesce(name, street, asset_ref) as name,
    commune,
    owner_authority,
    geometry,
    longitude,
    latitude,
    valid_from
from {{ ref('core__asset') }}
where lower(asset_type) = 'street'
order by street_key
