{#
  A condition on an instant: it may lie in a declared reference period, of whatever feed. Literals, so that only the files of
  those periods are read, however long the history.
#}
{% macro within_reference_periods(column) -%}
    {%- if not execute or model.resource_type == 'unit_test' -%} true
    {%- else -%}
        {%- set row = run_query("select min(reference_start) - interval 1 day, max(reference_end) + interval 1 day from "
            ~ raw_relation('feed_baseline')).rows[0] -%}
        {%- if row[0] is none -%} false
        {%- else -%} {{ column }} between timestamptz '{{ row[0] }}+00' and timestamptz '{{ row[1] }}+00'
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
