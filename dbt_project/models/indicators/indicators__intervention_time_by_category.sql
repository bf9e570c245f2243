select
    feed,
    territory,
    owner_authority,
    category,
    cast(count(*) as integer) as cases,
    cast(count(handling_seconds) as integer) as cases_timed,
    cast(count(*) filter (where is_open) as integer) as cases_open,
    cast(count(*) filter (where is_closed_before_opened) as integer) as cases_closed_before_opened,
    cast(count(*) filter (where is_sequence_impossible) as integer) as cases_impossible,
    quantile_cont(handling_seconds, 0.5) / 3600 as p50_hours,
    quantile_cont(handling_seconds, 0.9) / 3600 as p90_hours,
    round(coalesce(fsum(handling_seconds), 0) / 3600, 4) as handling_hours
from {{ ref('indicators__intervention_time_case') }}
group by feed, territory, owner_authority, category
order by feed, owner_authority, category
