{#
  Whose a row is: the first of those named that says, from what tells most of it (the equipment, the paper) to what tells least (its
  feed). What is blank says nothing. Row-level security rests on it: an analyst sees the rows of the analyst's own authority.
#}
{% macro owner_authority() -%}
    coalesce(
        {%- for said in varargs %}nullif(trim({{ said }}), ''){{ ', ' if not loop.last }}{% endfor -%}
    )
{%- endmacro %}
