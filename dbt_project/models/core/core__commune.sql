{#- The side of the square whose area a dropped corner may cut off (Visvalingam), degrees: 11 m, a pixel of a screen of ten
    kilometres; then 33, 110, 330 m, until the longest outline of the territory is short enough. More would deface a small commune. -#}
{%- set tolerances = [0.0001, 0.0003, 0.001, 0.003] -%}
{#- A map of 600 communes (a department) then weighs a megabyte at most. -#}
{%- set outline_chars = 2000 -%}
with described as (
    select
        *,
        -- What is no geometry leaves its commune without outline, and nothing else.
        try(st_geomfromgeojson(geometry)) as drawn
    from {{ ref('core__asset') }}
    where lower(asset_type) = 'commune'
),

mended as (
    select
        asset_key,
        territory,
        st_force2d(case when try(st_isvalid(drawn)) then drawn else try(st_makevalid(drawn)) end) as shape
    from described
),

shaped as (
    select
        asset_key,
        territory,
        case when st_geometrytype(shape) in ('POLYGON', 'MULTIPOLYGON') then shape end as shape
    from mended
),

-- Neighbours are simplified together, so that they still share their border: no gap, no overlap.
simplified as (
    select
        shaped.territory,
        tolerance.degrees,
        list(
            shaped.asset_key
            order by shaped.asset_key
        ) as asset_keys,
        st_coveragesimplify(
            list(
                shaped.shape
                order by shaped.asset_key
            ), tolerance.degrees
        ) as shapes
    from shaped
    cross join (select unnest({{ tolerances }}) as degrees) as tolerance
    where shaped.shape is not null
    group by shaped.territory, tolerance.degrees
),

dumped as (
    select
        simplified.territory,
        simplified.degrees,
        simplified.asset_keys,
        unnest(st_dump(simplified.shapes), recursive := true)
    from simplified
),

outlined as (
    select
        dumped.territory,
        dumped.degrees,
        dumped.asset_keys[dumped.path[1]] as asset_key,
        -- Five decimals are a metre: what follows is cut, alike for both neighbours.
        regexp_replace(
            cast(st_asgeojson(
                case
                    when count(*) = 1 then any_value(dumped.geom)
                    else st_collect(list(
                        dumped.geom
                        order by dumped.path
                    ))
                end
            ) as varchar),
            '(\.\d{5})\d+', '\1', 'g'
        ) as outline
    from dumped
    group by dumped.territory, dumped.degrees, dumped.asset_keys[dumped.path[1]]
),

weighed as (
    select
        *,
        max(length(outline)) over (partition by territory, degrees) > {{ outline_chars }} as is_long
    from outlined
)

select
    described.asset_key as commune_key,
    described.territory,
    described.asset_ref as commune_ref,
    coalesce(described.name, described.asset_ref) as name,
    described.owner_authority,
    described.geometry,
    chosen.outline,
    -- The extension asks for latitude first here, and here alone.
    round(st_area_spheroid(st_flipcoordinates(shaped.shape)) / 1000000, 4) as area_km2,
    -- A position is one source's, never half of each.
    round(
        case when described.latitude is not null then described.longitude else st_x(st_centroid(shaped.shape)) end, 6
    ) as longitude,
    round(coalesce(described.latitude, st_y(st_centroid(shaped.shape))), 6) as latitude,
    described.valid_from
from described
inner join shaped on described.asset_key = shaped.asset_key
left join (
    select * from weighed
    qualify row_number() over (
        partition by asset_key
        order by is_long, case when is_long then -degrees else degrees end
    ) = 1
) as chosen on described.asset_key = chosen.asset_key
order by commune_key
