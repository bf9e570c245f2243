with day as (
    select
        calendar.*,
        territory.time_zone,
        coalesce(epoch_us(calendar.closes_at) - epoch_us(calendar.opens_at), 0) / 1000000 as contract_seconds
    from {{ source('raw', 'calendar_day') }} as calendar
    inner join {{ source('raw', 'territory') }} as territory on calendar.territory = territory.territory
)

select
    territory,
    local_date,
    timezone(time_zone, cast(local_date as timestamp)) as starts_at,
    timezone(time_zone, cast(local_date + interval 1 day as timestamp)) as ends_at,
    cast(isodow(local_date) as integer) as iso_weekday,
    is_holiday,
    holiday_name,
    is_working_day,
    opens_at,
    closes_at,
    cast(contract_seconds as double) as contract_seconds,
    -- Contract time between two instants is a subtraction of two readings of this clock (macro contract_clock).
    cast(
        coalesce(
            sum(contract_seconds) over (
                partition by territory
                order by local_date rows between unbounded preceding and 1 preceding
            ), 0
        ) as double
    ) as contract_seconds_before
from day
order by territory, local_date
