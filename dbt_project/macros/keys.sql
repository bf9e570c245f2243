{# Assets are keyed (source, asset_ref); the key in one column. NULL when the code is unknown. #}
{% macro asset_key(source, asset_ref) -%}
    {{ source }} || ':' || {{ asset_ref }}
{%- endmacro %}

{# Reports and work orders are keyed (feed, reference); the key in one column. #}
{% macro record_key(feed, reference) -%}
    {{ feed }} || ':' || {{ reference }}
{%- endmacro %}

{# A code without what people write differently: case, separators, leading zeros of its numbers. #}
{% macro bare_code(code) -%}
    regexp_replace(regexp_replace(upper({{ code }}), '[^A-Z0-9]', '', 'g'), '(^|[A-Z])0+([0-9])', '\1\2', 'g')
{%- endmacro %}
