{#
  Citizen relations by a period of local time ('day' or 'month'), authority, category and channel: what was opened, closed and left open. A
  backlog is counted at the end of each period, of feeds that tell ends; periods that hold nothing of an authority, category and channel have
  no line.
#}
{% macro citizen_relation(period) -%}
with report as (
    select
        report.*,
        cast(date_trunc('{{ period }}', report.local_date) as date) as opened_on,
        case
            when not report.is_closed_before_opened and report.closed_at < {{ as_of() }}
                then cast(date_trunc('{{ period }}', timezone(territory.time_zone, report.closed_at)) as date)
        end as closed_on,
        answer.is_answered_in_time
    from {{ ref('core__report') }} as report
    inner join {{ ref('core__report_answer') }} as answer on report.report_key = answer.report_key
    inner join {{ source('raw', 'territory') }} as territory on report.territory = territory.territory
    where report.opened_at < {{ as_of() }}
),

opened as (
    select
        territory,
        opened_on as period,
        owner_authority,
        category,
        channel,
        count(*) as reports_opened,
        count(*) filter (where is_duplicate) as duplicates,
        count(*) filter (where is_closed_before_opened or is_acknowledged_before_opened) as impossible,
        -- Of one request and its duplicates, the request is closed by work, the duplicates by being recognised.
        count(closing_seconds) filter (where not is_duplicate) as delays,
        round(fsum(closing_seconds) filter (where not is_duplicate) / 3600, 4) as closing_hours,
        round(quantile_cont(closing_seconds, 0.5) filter (where not is_duplicate) / 3600, 4) as closing_p50_hours,
        round(quantile_cont(closing_seconds, 0.9) filter (where not is_duplicate) / 3600, 4) as closing_p90_hours,
        count(is_answered_in_time) as answers_judged,
        count(*) filter (where is_answered_in_time) as answered_in_time
    from report
    group by territory, opened_on, owner_authority, category, channel
),

closed as (
    select
        territory,
        closed_on as period,
        owner_authority,
        category,
        channel,
        count(*) as reports_closed
    from report
    where closed_on is not null
    group by territory, closed_on, owner_authority, category, channel
),

-- Each report that can be open enters the backlog when it is opened, and leaves it when it is closed.
step as (
    select
        territory,
        opened_on as period,
        owner_authority,
        category,
        channel,
        1 as step
    from report
    where tells_end is not false and not is_closed_before_opened
    union all
    select
        territory,
        closed_on,
        owner_authority,
        category,
        channel,
        -1
    from report
    where closed_on is not null and tells_end is not false
),

moved as (
    select
        territory,
        period,
        owner_authority,
        category,
        channel,
        sum(step) as step
    from step
    group by territory, period, owner_authority, category, channel
),

reach as (
    select
        territory,
        owner_authority,
        category,
        channel,
        min(opened_on) as first_on
    from report
    group by territory, owner_authority, category, channel
),

spine as (
    select
        reach.territory,
        reach.owner_authority,
        reach.category,
        reach.channel,
        cast(unnest(generate_series(
            cast(reach.first_on as timestamp),
            date_trunc('{{ period }}', timezone(territory.time_zone, {{ as_of() }} - interval 1 microsecond)),
            interval 1 {{ period }}
        )) as date) as period
    from reach
    inner join {{ source('raw', 'territory') }} as territory on reach.territory = territory.territory
),

counted as (
    select
        spine.territory,
        spine.period,
        spine.owner_authority,
        spine.category,
        spine.channel,
        coalesce(opened.reports_opened, 0) as reports_opened,
        coalesce(opened.duplicates, 0) as duplicates,
        coalesce(opened.impossible, 0) as impossible,
        coalesce(closed.reports_closed, 0) as reports_closed,
        coalesce(sum(moved.step) over (
            partition by spine.territory, spine.owner_authority, spine.category, spine.channel
            order by spine.period rows unbounded preceding
        ), 0) as backlog,
        coalesce(opened.delays, 0) as delays,
        coalesce(opened.closing_hours, 0) as closing_hours,
        opened.closing_p50_hours,
        opened.closing_p90_hours,
        coalesce(opened.answers_judged, 0) as answers_judged,
        coalesce(opened.answered_in_time, 0) as answered_in_time
    from spine
    {% for part in ['opened', 'closed', 'moved'] -%}
        left join {{ part }}
            on
                spine.territory = {{ part }}.territory
                and spine.period = {{ part }}.period
                and spine.owner_authority is not distinct from {{ part }}.owner_authority
                and spine.category is not distinct from {{ part }}.category
                and spine.channel is not distinct from {{ part }}.channel
    {% endfor -%}
)

select
    territory,
    period as {{ 'local_date' if period == 'day' else 'month' }},
    owner_authority,
    category,
    channel,
    cast(reports_opened as integer) as reports_opened,
    cast(duplicates as integer) as duplicates,
    cast(reports_closed as integer) as reports_closed,
    cast(backlog as integer) as backlog,
    cast(impossible as integer) as reports_impossible,
    cast(delays as integer) as delays_known,
    closing_hours,
    closing_p50_hours,
    closing_p90_hours,
    cast(answers_judged as integer) as answers_judged,
    cast(answered_in_time as integer) as answered_in_time,
    round(answered_in_time / nullif(answers_judged, 0), 6) as answered_in_time_share
from counted
where reports_opened > 0 or reports_closed > 0 or backlog > 0
order by territory, {{ 'local_date' if period == 'day' else 'month' }}, owner_authority, category, channel
{%- endmacro %}
