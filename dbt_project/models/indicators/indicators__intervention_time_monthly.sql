select
    territory,
    cast(date_trunc('month', local_date) as date) as month,
    owner_authority,
    category,
    fault_type,
    cast(count(*) as integer) as cases,
    cast(count(*) filter (where not is_open) as integer) as cases_closed,
    cast(count(*) filter (where is_open) as integer) as cases_open,
    cast(count(*) filter (where is_sequence_impossible) as integer) as cases_impossible,
    cast(count(handling_seconds) as integer) as cases_timed,
    round(coalesce(fsum(handling_seconds), 0) / 3600, 4) as handling_hours,
    round(quantile_cont(handling_seconds, 0.5) / 3600, 4) as p50_hours,
    round(quantile_cont(handling_seconds, 0.9) / 3600, 4) as p90_hours,
    cast(count(is_gti_kept) as integer) as gti_judged,
    cast(count(*) filter (where is_gti_kept) as integer) as gti_kept,
    round(count(*) filter (where is_gti_kept) / nullif(count(is_gti_kept), 0), 6) as gti_kept_share,
    cast(count(is_gtrp_kept) as integer) as gtrp_judged,
    cast(count(*) filter (where is_gtrp_kept) as integer) as gtrp_kept,
    round(count(*) filter (where is_gtrp_kept) / nullif(count(is_gtrp_kept), 0), 6) as gtrp_kept_share,
    cast(count(is_gtr_kept) as integer) as gtr_judged,
    cast(count(*) filter (where is_gtr_kept) as integer) as gtr_kept,
    round(count(*) filter (where is_gtr_kept) / nullif(count(is_gtr_kept), 0), 6) as gtr_kept_share
from {{ ref('indicators__intervention_time_case') }}
group by territory, date_trunc('month', local_date), owner_authority, category, fault_type
order by territory, month, owner_authority, category, fault_type
