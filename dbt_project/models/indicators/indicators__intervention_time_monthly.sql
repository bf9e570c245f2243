select
    territory,
    cast(date_trunc('month', local_date) as date) as month,
    category,
    fault_type,
    cast(count(*) as integer) as cases,
    cast(count(*) filter (where not is_open) as integer) as cases_closed,
    cast(count(*) filter (where is_open) as integer) as cases_open,
    cast(count(*) filter (where is_sequence_impossible) as integer) as cases_impossible,
    round(quantile_cont(handling_seconds, 0.5) / 3600, 4) as p50_hours,
    round(quantile_cont(handling_seconds, 0.9) / 3600, 4) as p90_hours,
    {% for guarantee in ['gti', 'gtrp', 'gtr'] -%}
    cast(count(is_{{ guarantee }}_kept) as integer) as {{ guarantee }}_judged,
    cast(count(*) filter (where is_{{ guarantee }}_kept) as integer) as {{ guarantee }}_kept,
    round(count(*) filter (where is_{{ guarantee }}_kept) / nullif(count(is_{{ guarantee }}_kept), 0), 6) as {{ guarantee }}_kept_share
    {{- ',' if not loop.last }}
    {% endfor %}
from {{ ref('indicators__intervention_time_case') }}
group by territory, date_trunc('month', local_date), category, fault_type
order by territory, month, category, fault_type
