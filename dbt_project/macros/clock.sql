{#
  The contract's clock at an instant: seconds of contract hours since the calendar began. `day` is the alias of the
  core__calendar_day row of the instant's local day. NULL outside the calendar: a duration is then unknown, not zero.
#}
{% macro contract_clock(instant, day) -%}
    ({{ day }}.contract_seconds_before + case
        when {{ day }}.opens_at is null then 0
        else greatest(0, least({{ seconds_between(day ~ '.opens_at', instant) }}, {{ day }}.contract_seconds))
    end)
{%- endmacro %}

{# Seconds from one instant to another, as a DOUBLE; negative when they are out of order. #}
{% macro seconds_between(first, last) -%}
    ((epoch_us({{ last }}) - epoch_us({{ first }})) / 1000000.0)
{%- endmacro %}

{# Seconds two intervals share; the end of the first may be NULL (still lasting): it then ends at `until`. #}
{% macro overlap_seconds(start_a, end_a, start_b, end_b) -%}
    greatest(0, (epoch_us(least({{ end_a }}, {{ end_b }})) - epoch_us(greatest({{ start_a }}, {{ start_b }}))) / 1000000.0)
{%- endmacro %}

{#
  The UTC hour and day of an instant, as numbers since 1970. On 76 million rows time_bucket over TIMESTAMPTZ asks the
  calendar library for each of them: a join on it took six minutes, on these two seconds.
#}
{% macro utc_hour_number(instant) -%}
    epoch_us({{ instant }}) // 3600000000
{%- endmacro %}

{% macro utc_day_number(instant) -%}
    epoch_us({{ instant }}) // 86400000000
{%- endmacro %}

{# The share of the time between two instants that was not suspended, from 0 to 1; 1 where no time went by. #}
{% macro running_share(suspended_seconds, first, last) -%}
    greatest(0, 1 - coalesce({{ suspended_seconds }} / nullif({{ seconds_between(first, last) }}, 0), 0))
{%- endmacro %}

{# A local time HH:MM (24:00 for the end of the day) as an interval since the day's beginning. #}
{% macro minutes_of_day(time) -%}
    to_minutes(cast(split_part({{ time }}, ':', 1) as bigint) * 60 + cast(split_part({{ time }}, ':', 2) as bigint))
{%- endmacro %}

{# The quarter of an hour of an instant, as a number since 1970, and the instant it begins at. #}
{% macro quarter_number(instant) -%}
    epoch_us({{ instant }}) // 900000000
{%- endmacro %}

{% macro quarter_start(quarter) -%}
    make_timestamptz({{ quarter }} * 900000000)
{%- endmacro %}

{#
  Minutes from an instant to its reception, rounded up to what a reader tells apart: the minute within the hour, the quarter
  within the day, then the day. 0: at once. -1: the instant is more than five minutes after reception; clocks that are set
  by the network differ by less.
#}
{% macro lateness_minutes(told_at, received_at) -%}
    {%- set minutes = '((epoch_us(' ~ received_at ~ ') - epoch_us(' ~ told_at ~ ')) / 60000000.0)' -%}
    cast(case
        when {{ minutes }} < -5 then -1
        when {{ minutes }} <= 0 then 0
        when {{ minutes }} <= 60 then ceil({{ minutes }})
        when {{ minutes }} <= 1440 then ceil({{ minutes }} / 15) * 15
        else ceil({{ minutes }} / 1440) * 1440
    end as integer)
{%- endmacro %}
