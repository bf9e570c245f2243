{#
  The local months of each territory, from the month of its earliest instant to the month of as_of: columns territory,
  month (first day), starts_at, ends_at (UTC; the last month ends at as_of). `earliest` is a relation with columns
  territory and first_at.
#}
{% macro months_since(earliest) -%}
    select
        spine.territory,
        spine.month,
        timezone(spine.time_zone, cast(spine.month as timestamp)) as starts_at,
        least(timezone(spine.time_zone, cast(spine.month + interval 1 month as timestamp)), {{ as_of() }}) as ends_at
    from (
        select
            first.territory,
            zone.time_zone,
            cast(unnest(generate_series(
                date_trunc('month', timezone(zone.time_zone, first.first_at)),
                date_trunc('month', timezone(zone.time_zone, {{ as_of() }} - interval 1 microsecond)),
                interval 1 month
            )) as date) as month
        from (select territory, min(first_at) as first_at from {{ earliest }} group by territory) as first
        inner join {{ source('raw', 'territory') }} as zone on first.territory = zone.territory
    ) as spine
{%- endmacro %}
