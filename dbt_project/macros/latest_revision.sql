{#
  The latest revision of each key: the source's own order where it states one (a revision without a date is the
  oldest), then the order of landing, then the position in the file.
#}
{% macro latest_revision(key, revision=none) -%}
    row_number() over (
        partition by {{ key }}
        order by {{ revision ~ ' desc nulls last, ' if revision }}landing_seq desc, position desc
    ) = 1
{%- endmacro %}
