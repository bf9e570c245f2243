{# on-run-start: the bounds an instance gives each DuckDB process; DuckDB's own choice where it gives none. #}
{% macro bound_engine() -%}
    {%- if env_var('VIGIE_DUCKDB_MEMORY_LIMIT', '') != '' -%}
        set global memory_limit = '{{ env_var('VIGIE_DUCKDB_MEMORY_LIMIT') }}';
    {%- endif -%}
    {%- if env_var('VIGIE_DUCKDB_THREADS', '') != '' -%}
        set global threads = {{ env_var('VIGIE_DUCKDB_THREADS') | int }};
    {%- endif -%}
{%- endmacro %}
