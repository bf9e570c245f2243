{#
  How a model remembers what it has seen: work_meta.model_state(model, landing_seq, rules_digest, reach_days).

  - A staging view records the last landing it shows (its upper bound).
  - An incremental model records the last landing its rows hold: the bound of the staging view it reads.
  - rules_digest is a digest of the declared rules (zones, state rules, fault rules) its rows depend on, of the feeds that
    had landed by then: when somebody edits a rule, what it changes is not in the touched days, so the model is redone.
  - reach_days: the longest interval among the readings up to that landing (models of readings only).

  - landing_seq -1: every day that is not closed is to be built again (the rules have changed).

  The line is written by a post-hook, in the transaction of the rows. A table without a line is a first build that was
  killed (dbt-duckdb creates and fills partitioned tables in separate transactions): it is dropped at the start of
  the run, and built whole. So is a table whose columns are no longer those of its contract (an upgrade).
#}

{% macro state_relation() -%}
    {{ return(api.Relation.create(database=target.database, schema=target.schema ~ '_meta', identifier='model_state', type='table')) }}
{%- endmacro %}

{% macro raw_relation(name) -%}
    {{ return(api.Relation.create(database=target.database, schema='raw', identifier=name, type='table')) }}
{%- endmacro %}

{# The first value of a query's first row, or none. #}
{% macro scalar(sql) -%}
    {% set rows = run_query(sql).rows %}
    {{ return(rows[0][0] if rows | length > 0 else none) }}
{%- endmacro %}

{# {landing_seq, rules_digest, reach_days} of a model, or none when it has no line. #}
{% macro model_state(name) -%}
    {% set rows = run_query("select landing_seq, rules_digest, reach_days from " ~ state_relation() ~ " where model = '" ~ name ~ "'").rows %}
    {{ return({'landing_seq': rows[0][0] | int, 'rules_digest': rows[0][1], 'reach_days': rows[0][2]} if rows | length > 0 else none) }}
{%- endmacro %}

{#
  What the platform says of a run: the environment of the process that runs dbt, else the var of the same name (runs by
  hand, unit tests). A var that changed at each run would cost dbt its partial parse: four seconds of every build. At
  parse time the environment is not read, so that dbt does not take it for a part of the project.
#}
{% macro run_setting(name) -%}
    {% if not execute %}{{ return(var(name) | string) }}{% endif %}
    {{ return(env_var('DBT_ENV_CUSTOM_ENV_VIGIE_' ~ name | upper, var(name) | string)) }}
{%- endmacro %}

{# The last landing that staging views made in this run show. #}
{% macro max_landing_seq() -%}
    {% set given = run_setting('max_landing_seq') %}
    {% if given != '' %}{{ return(given | int) }}{% endif %}
    {{ return(scalar("select coalesce(max(landing_seq), 0) from " ~ raw_relation('landing')) | int) }}
{%- endmacro %}

{# The filter of a staging view. Unit tests give their own rows, all of them landed. #}
{% macro landed() -%}
    {%- if not execute or model.resource_type == 'unit_test' -%} true
    {%- else -%} landing_seq <= {{ max_landing_seq() }}
    {%- endif -%}
{%- endmacro %}

{# The last landing an incremental model may see: what the staging view it reads shows. #}
{% macro upper_bound(touched_by) -%}
    {% set state = model_state('stg_' ~ touched_by) %}
    {% if state is none %}
        {% do exceptions.raise_compiler_error("stg_" ~ touched_by ~ " has not been built: build it first (dbt build --select +" ~ model.name ~ ")") %}
    {% endif %}
    {{ return(state.landing_seq) }}
{%- endmacro %}

{#
  The digest of the declared rules a model depends on, over the feeds that had landed by `landing_seq`.
  `rules`: {raw table: [columns]}; every table has a column `feed`, or `territory`.
#}
{% macro rules_digest(rules, landing_seq) -%}
    {% if not rules %}{{ return('') }}{% endif %}
    {% set feeds = "select distinct feed from " ~ raw_relation('landing') ~ " where landing_seq <= " ~ landing_seq %}
    {% set parts = [] %}
    {% for table, columns in rules.items() %}
        {% set listed = columns | map('string') | join(", '|', ") %}
        {% if table == 'territory' %}
            {% set scope = "territory in (select territory from " ~ raw_relation('feed') ~ " where feed in (" ~ feeds ~ "))" %}
        {% else %}
            {% set scope = "feed in (" ~ feeds ~ ")" %}
        {% endif %}
        {% do parts.append("select concat('" ~ table ~ "|', " ~ listed ~ ") as line from " ~ raw_relation(table) ~ " where " ~ scope) %}
    {% endfor %}
    {{ return(scalar("select md5(coalesce(string_agg(line, chr(10) order by line), '')) from (" ~ parts | join(' union all ') ~ ")")) }}
{%- endmacro %}

{# on-run-start: the state table exists; tables without a valid line are dropped, so that they are built whole. #}
{% macro prepare_model_state() -%}
    {% if not execute or flags.WHICH not in ('run', 'build') %}{{ return('') }}{% endif %}
    {% set state = state_relation() %}
    {% if adapter.get_relation(state.database, state.schema, state.identifier) is none %}
        {% do adapter.create_schema(state) %}
        {% do run_query("create table if not exists " ~ state ~ " (model varchar, landing_seq bigint, rules_digest varchar, reach_days integer)") %}
    {% elif 'reach_days' not in adapter.get_columns_in_relation(state) | map(attribute='name') %}
        {# A lake made before there was this column. #}
        {% do adapter.ensure_transaction() %}
        {% do run_query("alter table " ~ state ~ " add column reach_days integer") %}
        {% do adapter.commit() %}
    {% endif %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.unique_id in selected_resources
          and node.config.incremental_strategy == 'touched_days' %}
        {% set relation = adapter.get_relation(node.database, node.schema, node.alias) %}
        {% if relation is not none %}
            {% set known = model_state(node.name) %}
            {% set why = none %}
            {% set rules_changed = 'the rules it depends on have changed' %}
            {% if known is none %}
                {% set why = 'its first build did not end' %}
            {% elif known.landing_seq < 0 or known.rules_digest != rules_digest(node.config.meta.get('rules'), known.landing_seq) %}
                {% set why = rules_changed %}
            {% elif adapter.get_columns_in_relation(relation) | map(attribute='name') | list != node.columns.keys() | list %}
                {% set why = 'its columns have changed' %}
            {% endif %}
            {% if why %}
                {% do log(node.name ~ ' is built whole: ' ~ why, info=true) %}
                {# The look-ups above may have begun a transaction, which dbt would roll back: this one is committed. #}
                {% do adapter.ensure_transaction() %}
                {% if why == rules_changed and closed_days('date') != 'false' %}
                    {# Days whose raw rows have expired could not be built again: all others are, in their place. #}
                    {% do run_query("update " ~ state ~ " set landing_seq = -1 where model = '" ~ node.name ~ "'") %}
                {% else %}
                    {% do adapter.drop_relation(relation) %}
                {% endif %}
                {% do adapter.commit() %}
            {% endif %}
        {% endif %}
    {% endfor %}
    {{ return('') }}
{%- endmacro %}

{# post-hook, in the transaction of the rows. #}
{% macro record_model_state() -%}
    {%- if execute -%}
        {%- set meta = model.config.meta -%}
        {%- if meta.get('touched_by') -%}
            {%- set bound = upper_bound(meta.touched_by) -%}
            {%- set digest = rules_digest(meta.get('rules'), bound) -%}
            {%- set reach = longest_reading_days(model_state(model.name), bound) if meta.touched_by == 'energy_reading' else 'null' -%}
        {%- else -%}
            {%- set bound = max_landing_seq() -%}
            {%- set digest = '' -%}
            {%- set reach = 'null' -%}
        {%- endif -%}
        delete from {{ state_relation() }} where model = '{{ model.name }}';
        insert into {{ state_relation() }} (model, landing_seq, rules_digest, reach_days) values ('{{ model.name }}', {{ bound }}, '{{ digest }}', {{ reach }});
    {%- endif -%}
{%- endmacro %}

{# The filter of a model that reads a raw table itself: the landings its staging view shows. #}
{% macro landed_by_staging(name) -%}
    {%- if not execute or model.resource_type == 'unit_test' -%} true
    {%- else -%} landing_seq <= {{ upper_bound(name) }}
    {%- endif -%}
{%- endmacro %}
