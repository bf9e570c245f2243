-- Was a citizen answered before the desk opened again? The deadline of a report is the opening of the desk (9:00) on the first
-- working day after the day it was opened, in the territory's time: a call of Friday, at 8:00 or at 22:00, is to be answered by
-- Monday 9:00. Answered is acknowledged, or closed.
with working as (
    select
        calendar.territory,
        calendar.local_date,
        timezone(
            territory.time_zone, calendar.local_date + time '{{ var('desk_opens_at') }}'
        ) as desk_opens_at
    from {{ ref('core__calendar_day') }} as calendar
    inner join {{ source('raw', 'territory') }} as territory on calendar.territory = territory.territory
    where calendar.is_working_day
),

-- A source that never told of an acknowledgement, and does not tell ends, says nothing of answers either.
telling as (
    select
        feed,
        bool_or(acknowledged_at is not null) as tells_acknowledgement
    from {{ ref('core__report') }}
    group by feed
),

due as (
    select
        report.report_key,
        report.territory,
        report.local_date,
        report.opened_at,
        report.is_acknowledged_before_opened or report.is_closed_before_opened as is_sequence_impossible,
        telling.tells_acknowledgement or coalesce(report.tells_end, false) as tells_answer,
        least(report.acknowledged_at, report.closed_at) as answered_at,
        working.desk_opens_at as answer_due_at
    from {{ ref('core__report') }} as report
    inner join telling on report.feed = telling.feed
    asof left join working on report.territory = working.territory and report.local_date < working.local_date
)

select
    report_key,
    territory,
    local_date,
    answered_at,
    answer_due_at,
    case
        -- Times out of order say nothing of the delay.
        when is_sequence_impossible then null
        when answered_at is not null then answered_at <= answer_due_at
        -- Not answered, and too late already: missed. Not answered, and time left: nobody can tell yet.
        when tells_answer and {{ as_of() }} > answer_due_at then false
    end as is_answered_in_time
from due
order by local_date, report_key
