{#
  A run touches only the days that received data, late data included.

  An incremental model declares `meta.touched_by` (the raw table whose landings touch it), `meta.day_column` (the column of
  its own that tells the day), and `meta.reaches_next_day` where what is told on a day counts on the next one too. Its SQL recomputes touched days wholly, from staging; the strategy
  deletes these days (not the keys of the new rows: a touched day may have none left) and inserts what was computed.
  Days are written as literals: a range in a variable or a subquery would not prune files as well.
#}

{# Touched days as ISO dates in order; none when everything is touched. #}
{% macro touched_days() -%}
    {% if not execute or model.resource_type == 'unit_test' or not is_incremental() %}{{ return(none) }}{% endif %}
    {% set meta = model.config.meta %}
    {% set known = model_state(model.name) %}
    {% if known is none or known.landing_seq < 0 %}{{ return(none) }}{% endif %}
    {% set new = "landing_seq > " ~ known.landing_seq %}
    {% set reprocess_from = run_setting('reprocess_from') %}
    {% if reprocess_from != '' %}
        {# Days the platform was asked to build again, by the day received: as if their rows had just landed. #}
        {% set new = "(" ~ new ~ " or received_on between date '" ~ reprocess_from ~ "' and date '" ~ run_setting('reprocess_to') ~ "')" %}
    {% endif %}
    {% set since = new ~ " and landing_seq <= " ~ upper_bound(meta.touched_by) %}
    {% set finder = context['days_touched_by_' ~ meta.touched_by] %}
    {% set days = run_query(finder(since, "landing_seq <= " ~ upper_bound(meta.touched_by))).columns[0].values() | map('string') | list %}
    {% if meta.get('reaches_next_day') %}
        {# What is told late in a day holds into the next one. #}
        {% set one = modules.datetime.timedelta(days=1) %}
        {% for day in days | list %}
            {% do days.append((modules.datetime.date.fromisoformat(day) + one).isoformat()) %}
        {% endfor %}
        {{ return(days | unique | sort) }}
    {% endif %}
    {{ return(days) }}
{%- endmacro %}

{# Observations: the UTC days of what landed. The instant is in the key, so a revision cannot move to another day. #}
{% macro days_touched_by_observation(since, landed) -%}
    select distinct date '1970-01-01' + cast({{ utc_day_number('observed_at') }} as integer) as day
    from {{ raw_relation('observation') }}
    where {{ since }}
    order by day
{%- endmacro %}

{#
  Readings: every local day that the old and new revisions of the touched intervals overlap, in their territory's zone. The
  start is in the key: revisions are searched among the days on which new intervals begin, and nowhere else.
#}
{% macro days_touched_by_energy_reading(since, landed) -%}
    {%- if not execute %}{{ return('') }}{% endif -%}
    {%- set begun = run_query("select distinct date '1970-01-01' + cast(" ~ utc_day_number('start_at') ~ " as integer) as day from "
        ~ raw_relation('energy_reading') ~ " where " ~ since ~ " order by day").columns[0].values() | map('string') | list -%}
    with touched as (
        select distinct feed, meter_ref, start_at, direction from {{ raw_relation('energy_reading') }} where {{ since }}
    ),
    revision as (
        {%- for range in instant_ranges(begun) %}
        {{- ' union all ' if not loop.first }}
        select * from {{ raw_relation('energy_reading') }}
        where {{ landed }} and start_at >= timestamptz '{{ range[0] }} 00:00:00+00' and start_at < timestamptz '{{ range[1] }} 00:00:00+00'
        {%- else %}
        select * from {{ raw_relation('energy_reading') }} where false
        {%- endfor %}
    ),
    span as (
        select distinct
            cast(timezone(t.time_zone, r.start_at) as date) as first_day,
            cast(timezone(t.time_zone, r.end_at - interval 1 microsecond) as date) as last_day
        from revision r
        semi join touched using (feed, meter_ref, start_at, direction)
        join {{ raw_relation('feed') }} f on f.feed = r.feed
        join {{ raw_relation('territory') }} t on t.territory = f.territory
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

{# The journal of alarms: the UTC days on which its new lines were written. #}
{% macro days_touched_by_alarm_journal(since, landed) -%}
    select distinct date '1970-01-01' + cast({{ utc_day_number('"at"') }} as integer) as day
    from {{ raw_relation('alarm_journal') }}
    where {{ since }}
    order by day
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
  The rows of a relation whose instant lies in a touched day, give or take `before` and `after` days (zones, intervals that
  begin earlier). One scan for each run of days: files are pruned by a range of literals, not by a disjunction (two days
  ten months apart opened 315 files, as two scans 4). Past `max_ranges` runs one scan of the hull costs less to plan.
#}
{% macro touched_rows(relation, column, where='true', before=0, after=0) -%}
    {%- for range in instant_ranges(touched_days(), before, after) %}
    {{- 'union all ' if not loop.first -}}
    select * from {{ relation }}
    where {{ where }}
        {%- if range is not none %}
        and {{ column }} >= timestamptz '{{ range[0] }} 00:00:00+00'
        and {{ column }} < timestamptz '{{ range[1] }} 00:00:00+00'
        {%- endif %}
    {% else -%}
    select * from {{ relation }} where false
    {%- endfor %}
{%- endmacro %}

{# [first, end) ranges of UTC days that hold the given local days; [none] when every day is meant. #}
{% macro instant_ranges(days, before=0, after=0, max_ranges=24) -%}
    {% if days is none %}{{ return([none]) }}{% endif %}
    {% set day = modules.datetime.timedelta(days=1) %}
    {% set ranges = [] %}
    {% for first, last in day_ranges(days) %}
        {% set start, end = first - day * before, last + day * (after + 1) %}
        {% if ranges and start <= ranges[-1][1] %}
            {% do ranges.append([ranges.pop()[0], end]) %}
        {% else %}
            {% do ranges.append([start, end]) %}
        {% endif %}
    {% endfor %}
    {{ return([[ranges[0][0], ranges[-1][1]]] if ranges | length > max_ranges else ranges) }}
{%- endmacro %}

{#
  A condition on rows of a model: their raw rows are no longer whole, because their feed's retention has passed
  (raw.retention_floor, which maintenance writes). Such days stay as they were built; a row that lands for one stays in the raw
  table and is set aside: built again from what is left, the day would lose all else. The floor's own day is closed with
  them: in zones east of UTC it begins before.
#}
{% macro closed_days(day_column) -%}
    {%- set floor = raw_relation('retention_floor') -%}
    {%- if adapter.get_relation(floor.database, floor.schema, floor.identifier) is none -%}{{ return('false') }}{%- endif -%}
    {%- set conditions = [] -%}
    {%- for row in run_query("select replace(feed, '''', ''''''), max(floor_on) from " ~ floor ~ " group by feed order by feed").rows -%}
        {%- do conditions.append("feed = '" ~ row[0] ~ "' and " ~ day_column ~ " <= date '" ~ row[1] ~ "'") -%}
    {%- endfor -%}
    {{ return(conditions | join(' or ') if conditions else 'false') }}
{%- endmacro %}

{# The incremental strategy: replace the touched days that are not closed. #}
{% macro get_incremental_touched_days_sql(arg_dict) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name') | list) -%}
    {%- set day_column = model.config.meta.day_column -%}
    {%- set days = touched_days() -%}
    {%- do log(model.name ~ ': ' ~ ('every day' if days is none else days | length ~ ' touched days'), info=true) -%}
    {%- set open = 'not (' ~ closed_days(day_column) ~ ')' -%}
    {%- set aside = scalar('select count(*) from ' ~ arg_dict['temp_relation'] ~ ' where not ' ~ open) -%}
    {%- if aside -%}
        {%- do log(model.name ~ ': ' ~ aside ~ ' rows of closed days are set aside (past the retention of their feed)', info=true) -%}
    {%- endif %}
    delete from {{ arg_dict['target_relation'] }} where {{ day_condition(day_column, days) }} and {{ open }};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }} where {{ open }} order by {{ day_column }};
{%- endmacro %}

{#
  How many days before a touched day a reading that overlaps it may begin: the longest interval there ever was, and a day
  for zones, which reach 14 hours from UTC. The longest so far is remembered (model_state), so that only news is looked at.
#}
{% macro reading_reach_days() -%}
    {%- if not execute or model.resource_type == 'unit_test' or not is_incremental() -%}{{ return(1) }}{%- endif -%}
    {{ return(longest_reading_days(model_state(model.name), upper_bound('energy_reading')) + 1) }}
{%- endmacro %}

{# Days of the longest interval up to a landing, given what was remembered of the landings before. #}
{% macro longest_reading_days(known, bound) -%}
    {%- set remembered = known.reach_days if known is not none and known.reach_days is not none else none -%}
    {%- set news = "landing_seq <= " ~ bound ~ (" and landing_seq > " ~ known.landing_seq if remembered is not none else "") -%}
    {%- set longest = scalar("select coalesce(ceil(max(epoch(end_at) - epoch(start_at)) / 86400), 0) from "
        ~ raw_relation('energy_reading') ~ " where " ~ news) -%}
    {{ return([longest | int, remembered or 0] | max) }}
{%- endmacro %}
