{#
  The ledger's own days: those on which something was received. A line of the ledger never changes, so a day that gained
  lines is only counted again.
#}
{% macro days_touched_by_landing(since, landed) -%}
    select distinct received_on as day
    from {{ raw_relation('landing') }}
    where {{ since }}
    order by day
{%- endmacro %}

{#
  Rejects: the same days; and where messages were landed again (they move their rejects to a line that takes records off the
  account: none received, or fewer than none rejected), every day on which their feed ever had rejects.
#}
{% macro days_touched_by_rejected(since, landed) -%}
    with line as (
        select feed, received_on, stream is not null and (received <= 0 or rejected < 0 or rejected_values < 0) as is_replay
        from {{ raw_relation('landing') }}
        where {{ since }}
    )
    select received_on as day from line
    union
    select received_on
    from {{ raw_relation('landing') }}
    where {{ landed }} and (rejected > 0 or rejected_values > 0) and feed in (select feed from line where is_replay)
    order by day
{%- endmacro %}

{#
  post-hook of rejected_daily: feeds that have come to declare personal columns, or are declared no more, keep no example, in days
  that are not built again either (closed_days).
#}
{% macro take_back_examples() -%}
    {%- if execute and model.resource_type != 'unit_test' -%}
        update {{ this }} set example_detail = null
        where example_detail is not null and feed not in (
            select feed from {{ raw_relation('feed') }} where not coalesce(has_personal_columns, true)
        );
    {%- endif -%}
{%- endmacro %}
