{# Assets are keyed (source, asset_ref); the key in one column. NULL when the code is unknown. #}
{% macro asset_key(source, asset_ref) -%}
    {{ source }} || ':' || {{ asset_ref }}
{%- endmacro %}

{# Reports and work orders are keyed (feed, reference); the key in one column. #}
{% macro record_key(feed, reference) -%}
    {{ feed }} || ':' || {{ reference }}
{%- endmacro %}
