{%- set zone = "'" ~ var('command_post_time_zone') ~ "'" -%}
{%- set reasons = ['parent', 'joined', 'maintenance', 'flood'] -%}
with event as (
    select
        *,
        cast(timezone({{ zone }}, recorded_at) as date) as local_date
    from {{ ref('core__alarm_event') }}
),

-- Of what is hidden, alarms and not lines: one that moves from a parent to another is hidden once.
told as (
    select
        alarm_id,
        local_date,
        count(*) filter (where kind = 'raised') as alarms,
        count(*) filter (where kind in ('raised', 'reactivated')) as activations,
        {% for reason in reasons -%}
            coalesce(cast(bool_or(kind = 'suppressed' and suppressed_by = '{{ reason }}') as integer), 0) as by_{{ reason }},
        {% endfor -%}
        count(*) filter (where kind = 'shelved') as shelved,
        count(*) filter (where kind = 'out_of_service') as out_of_service,
        count(*) filter (where kind = 'chattering') as chattering,
        count(*) filter (where kind = 'escalated') as escalated
    from event
    group by alarm_id, local_date
),

shown as (
    select
        alarm_id,
        cast(timezone({{ zone }}, announced_at) as date) as local_date,
        count(*) as presented
    from {{ ref('core__alarm_annunciation') }}
    group by alarm_id, cast(timezone({{ zone }}, announced_at) as date)
),

-- How long each line of an alarm that is active was the last one. What equipment adds to an alarm that stands touches nothing.
standing as (
    select
        alarm_id,
        is_active and closed_at is null as is_standing,
        recorded_at + to_hours({{ var('stale_alarm_hours') }}) as stale_at,
        lead(recorded_at) over (
            partition by alarm_id
            order by seq
        ) as touched_at
    from event
    where kind <> 'updated'
),

stale_day as (
    select
        alarm_id,
        stale_at,
        touched_at,
        cast(unnest(generate_series(
            date_trunc('day', timezone({{ zone }}, stale_at)),
            date_trunc('day', timezone({{ zone }}, coalesce(touched_at, {{ as_of() }}))),
            interval 1 day
        )) as date) as local_date
    from standing
    where is_standing and stale_at < coalesce(touched_at, {{ as_of() }})
),

-- Counted at the end of the day, or of what has passed of it.
stale as (
    select
        alarm_id,
        local_date,
        least(timezone({{ zone }}, cast(local_date + 1 as timestamp)), {{ as_of() }}) as counted_at,
        stale_at,
        touched_at
    from stale_day
),

measured as (
    select
        alarm_id,
        local_date,
        alarms,
        activations,
        0 as presented,
        {% for reason in reasons -%}
            by_{{ reason }},
        {% endfor -%}
        shelved,
        out_of_service,
        chattering,
        escalated,
        0 as stale,
        cast(null as double) as acknowledgement_seconds,
        cast(null as boolean) as is_detected_first
    from told
    union all
    select
        alarm_id,
        local_date,
        0, 0, presented, {{ '0, ' * (reasons | length) }}0, 0, 0, 0, 0, null, null
    from shown
    union all
    select
        alarm_id,
        local_date,
        0, 0, 0, {{ '0, ' * (reasons | length) }}0, 0, 0, 0, 1, null, null
    from stale
    where stale_at < counted_at and coalesce(touched_at, timestamptz 'infinity') >= counted_at
    union all
    select
        alarm_id,
        cast(timezone({{ zone }}, coalesce(first_presented_at, recorded_at)) as date),
        0, 0, 0, {{ '0, ' * (reasons | length) }}0, 0, 0, 0, 0, acknowledgement_seconds, is_detected_first
    from {{ ref('core__alarm') }}
)

select
    alarm.territory,
    alarm.owner_authority,
    alarm.commune,
    measured.local_date,
    alarm.domain,
    alarm.priority,
    alarm.rule,
    cast(sum(measured.alarms) as integer) as alarms_raised,
    cast(sum(measured.activations) as integer) as activations,
    cast(sum(measured.presented) as integer) as alarms_presented,
    {% for reason in reasons -%}
        cast(sum(measured.by_{{ reason }}) as integer) as suppressed_by_{{ reason }},
    {% endfor -%}
    cast(sum(measured.shelved) as integer) as alarms_shelved,
    cast(sum(measured.out_of_service) as integer) as alarms_out_of_service,
    cast(sum(measured.chattering) as integer) as alarms_chattering,
    cast(sum(measured.stale) as integer) as alarms_stale,
    cast(sum(measured.escalated) as integer) as escalations,
    cast(count(measured.acknowledgement_seconds) as integer) as acknowledgements_known,
    -- For a mean over several rows; a median over several is of core.alarm.
    round(coalesce(fsum(measured.acknowledgement_seconds), 0), 3) as acknowledgement_sum_seconds,
    round(quantile_cont(measured.acknowledgement_seconds, 0.5), 3) as acknowledgement_p50_seconds,
    round(quantile_cont(measured.acknowledgement_seconds, 0.9), 3) as acknowledgement_p90_seconds,
    cast(count(measured.is_detected_first) as integer) as detections_judged,
    cast(count(*) filter (where measured.is_detected_first) as integer) as detected_first
from measured
inner join {{ ref('core__alarm') }} as alarm on measured.alarm_id = alarm.alarm_id
group by
    alarm.territory, alarm.owner_authority, alarm.commune, measured.local_date, alarm.domain, alarm.priority, alarm.rule
order by
    measured.local_date, alarm.rule, alarm.domain, alarm.priority, alarm.territory, alarm.owner_authority, alarm.commune
