{# Where models are built: work_<layer>. Published schemas (core, indicators, open_data) are views made elsewhere. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}

{# core__report is built as work_core.report: the layer before `__` is the schema's business. #}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
    {%- if custom_alias_name -%}
        {{ custom_alias_name | trim }}
    {%- else -%}
        {{ node.name.split('__', 1) | last }}
    {%- endif -%}
{%- endmacro %}
