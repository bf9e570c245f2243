{#
  Rows of a staging view with what their feed declares: territory, its zone, authority, whether ends are told. The rows of
  touched days only: which local day an instant falls on costs microseconds, so it is worked out for those near one.
#}
{% macro dated(staged, instant) -%}
    select * from (
        select
            staged.*,
            feed.territory,
            feed.tells_end,
            coalesce(staged.owner_authority, feed.owner_authority) as authority,
            cast(timezone(feed.territory_time_zone, staged.{{ instant }}) as date) as local_date
        from ({{ touched_rows(staged, instant, before=1, after=1) }}) as staged
        inner join {{ ref('stg_feed') }} as feed on staged.feed = feed.feed
    ) as dated
    where {{ is_touched_day('local_date') }}
{%- endmacro %}
