select
    local_date,
    cast(count(*) as integer) as windows,
    cast(sum(alarms_presented) as integer) as alarms_presented,
    cast(sum(critical_presented) as integer) as critical_presented,
    max(operators_on_duty) as operators_on_duty,
    round(avg(alarms_per_operator), 6) as alarms_per_operator_10min,
    max(alarms_presented) as worst_10min,
    cast(count(*) filter (where is_within_target) as integer) as windows_within_target,
    round(count(*) filter (where is_within_target) / count(*), 6) as within_target_share,
    cast(count(*) filter (where is_flood) as integer) as windows_in_flood,
    round(count(*) filter (where is_flood) / count(*), 6) as flood_share
from {{ ref('indicators__alarm_load_10min') }}
group by local_date
order by local_date
