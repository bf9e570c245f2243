{#
  A run touches only the days that received data, late data included.

  An incremental model declares `meta.touched_by` (the raw table whose landings touch it) and `meta.day_column`
  (the column of its own that tells the day). Its SQL recomputes touched days wholly, from staging; the strategy
  deletes these days (not the keys of the new rows: a touched day may have none left) and inserts what was computed.
  Days are written as literals: a range in a variable or a subquery would not prune files as well.
#}

{# Touched days as ISO dates in order; none when everything is touched. #}
{% macro touched_days() -%}
    {% if not execute or model.resource_type == 'unit_test' or not is_incremental() %}{{ return(none) }}{% endif %}
    {% set meta = model.config.meta %}
    {% set known = model_state(model.name) %}
    {% if known is none %}{{ return(none) }}{% endif %}
    {% set new = "landing_seq > " ~ known.landing_seq %}
    {% set reprocess_from = run_setting('reprocess_from') %}
    {% if reprocess_from != '' %}
        {# Days the platform was asked to build again, by the day received: as if their rows had just landed. #}
        {% set new = "(" ~ new ~ " or received_on between date '" ~ reprocess_from ~ "' and date '" ~ run_setting('reprocess_to') ~ "')" %}
    {% endif %}
    {% set since = new ~ " and landing_seq <= " ~ upper_bound(meta.touched_by) %}
    {% set finder = context['days_touched_by_' ~ meta.touched_by] %}
    {% set days = run_query(finder(since, "landing_seq <= " ~ upper_bound(meta.touched_by))).columns[0].values() | map('string') | list %}
    {{ return(days) }}
{%- endmacro %}

{# Observations: the UTC days of what landed. The instant is in the key, so a revision cannot move to another day. #}
{% macro days_touched_by_observation(since, landed) -%}
    select distinct date '1970-01-01' + cast({{ utc_day_number('observed_at') }} as integer) as day
    from {{ raw_relation('observation') }}
    where {{ since }}
    order by day
{%- endmacro %}

{# Readings: every local day that the old and new revisions of the touched intervals overlap, in their territory's zone. #}
{% macro days_touched_by_energy_reading(since, landed) -%}
    with touched as (
        select distinct feed, meter_ref, start_at, direction from {{ raw_relation('energy_reading') }} where {{ since }}
    ),
    span as (
        select distinct
            cast(timezone(t.time_zone, r.start_at) as date) as first_day,
            cast(timezone(t.time_zone, r.end_at - interval 1 microsecond) as date) as last_day
        from {{ raw_relation('energy_reading') }} r
        semi join touched using (feed, meter_ref, start_at, direction)
        join {{ raw_relation('feed') }} f on f.feed = r.feed
        join {{ raw_relation('territory') }} t on t.territory = f.territory
        where {{ landed }}
    )
    select distinct cast(unnest(generate_series(first_day, last_day, interval 1 day)) as date) as day from span order by day
{%- endmacro %}

{# Reports: the local days of every revision of the touched reports, and of the reports that call them a duplicate. #}
{% macro days_touched_by_report(since, landed) -%}
    with recursive touched as (
        select distinct feed, report_ref from {{ raw_relation('report') }} where {{ since }}
        union
        select r.feed, r.report_ref
        from {{ raw_relation('report') }} r
        join touched on touched.feed = r.feed and touched.report_ref = r.duplicate_of
        where {{ landed }}
    )
    {{ local_days_of_touched('report', 'report_ref', 'opened_at', landed) }}
{%- endmacro %}

{# Work orders: the local days of every revision of the touched ones. #}
{% macro days_touched_by_intervention(since, landed) -%}
    with touched as (
        select distinct feed, intervention_ref from {{ raw_relation('intervention') }} where {{ since }}
    )
    {{ local_days_of_touched('intervention', 'intervention_ref', 'requested_at', landed) }}
{%- endmacro %}

{% macro local_days_of_touched(table, key, instant, landed) -%}
    select distinct cast(timezone(t.time_zone, r.{{ instant }}) as date) as day
    from {{ raw_relation(table) }} r
    semi join touched using (feed, {{ key }})
    join {{ raw_relation('feed') }} f on f.feed = r.feed
    join {{ raw_relation('territory') }} t on t.territory = f.territory
    where {{ landed }}
    order by day
{%- endmacro %}

{# Consecutive days as [first, last] pairs. #}
{% macro day_ranges(days) -%}
    {% set ranges = [] %}
    {% for day in days %}
        {% set date = modules.datetime.date.fromisoformat(day) %}
        {% if ranges and (date - ranges[-1][1]).days == 1 %}
            {% do ranges.append([ranges.pop()[0], date]) %}
        {% else %}
            {% do ranges.append([date, date]) %}
        {% endif %}
    {% endfor %}
    {{ return(ranges) }}
{%- endmacro %}

{# A condition on a DATE column: its day is touched. #}
{% macro is_touched_day(column) -%}
    {%- set days = touched_days() -%}
    {{ day_condition(column, days) }}
{%- endmacro %}

{% macro day_condition(column, days) -%}
    {%- if days is none -%} true
    {%- elif days | length == 0 -%} false
    {%- else -%}
        (
        {%- for first, last in day_ranges(days) %}
            {{- ' or ' if not loop.first }}{{ column }} between date '{{ first }}' and date '{{ last }}'
        {%- endfor -%}
        )
    {%- endif -%}
{%- endmacro %}

{#
  A condition on an instant: it lies in a touched day, give or take `before` and `after` days (zones, intervals that
  begin earlier). The hull comes first: files are pruned by it whatever the engine makes of the disjunction.
#}
{% macro is_touched_instant(column, before=0, after=0) -%}
    {%- set days = touched_days() -%}
    {%- if days is none -%} true
    {%- elif days | length == 0 -%} false
    {%- else -%}
        {%- set day = modules.datetime.timedelta(days=1) -%}
        {%- set ranges = day_ranges(days) -%}
        {{ column }} >= timestamptz '{{ ranges[0][0] - day * before }} 00:00:00+00'
        and {{ column }} < timestamptz '{{ ranges[-1][1] + day * (after + 1) }} 00:00:00+00'
        {%- if ranges | length > 1 %}
        and (
            {%- for first, last in ranges %}
            {{- ' or ' if not loop.first }}{{ column }} >= timestamptz '{{ first - day * before }} 00:00:00+00' and {{ column }} < timestamptz '{{ last + day * (after + 1) }} 00:00:00+00'
            {%- endfor -%}
        )
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# The incremental strategy: replace the touched days. #}
{% macro get_incremental_touched_days_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name') | list) -%}
    {%- set day_column = model.config.meta.day_column -%}
    {%- set days = touched_days() -%}
    {%- do log(model.name ~ ': ' ~ ('every day' if days is none else days | length ~ ' touched days'), info=true) -%}
    delete from {{ arg_dict['target_relation'] }} where {{ is_touched_day(day_column) }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }} order by {{ day_column }};
{%- endmacro %}

{#
  How many days before a touched day a reading that overlaps it may begin: its longest interval, and a day for zones,
  which reach 14 hours from UTC.
#}
{% macro reading_reach_days() -%}
    {%- if not execute or model.resource_type == 'unit_test' or not is_incremental() -%}{{ return(1) }}{%- endif -%}
    {%- set longest = scalar("select coalesce(ceil(max(epoch(end_at) - epoch(start_at)) / 86400), 0) from " ~ raw_relation('energy_reading')) -%}
    {{ return(longest | int + 1) }}
{%- endmacro %}
