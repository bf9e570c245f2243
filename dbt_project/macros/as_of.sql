{# The instant at which what is open is judged: as_of where the run states it, else its start. #}
{% macro as_of() -%}
    {%- set stated = run_setting('as_of') -%}
    timestamptz '{{ stated if stated != '' else run_started_at.strftime('%Y-%m-%dT%H:%M:%SZ') }}'
{%- endmacro %}
