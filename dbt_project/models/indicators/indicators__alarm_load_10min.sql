-- What operators are shown, ten minutes by ten minutes (EEMUA 191), since the first alarm: quiet windows count too.
with shown as (
    select
        epoch_us(announced_at) // 600000000 as window_number,
        priority
    from {{ ref('core__alarm_annunciation') }}
),

spine as (
    select cast(unnest(generate_series(min(window_number), epoch_us({{ as_of() }}) // 600000000 - 1)) as bigint) as window_number
    from shown
),

counted as (
    select
        spine.window_number,
        count(shown.window_number) as alarms_presented,
        count(shown.window_number) filter (where shown.priority = 1) as critical_presented
    from spine
    left join shown on spine.window_number = shown.window_number
    group by spine.window_number
),

dated as (
    select
        *,
        make_timestamptz(window_number * 600000000) as window_start_at
    from counted
)

select
    window_start_at,
    cast(timezone('{{ var("command_post_time_zone") }}', window_start_at) as date) as local_date,
    cast(hour(timezone('{{ var("command_post_time_zone") }}', window_start_at)) as integer) as local_hour,
    cast(alarms_presented as integer) as alarms_presented,
    cast(critical_presented as integer) as critical_presented,
    {{ var('operators_on_duty') }} as operators_on_duty,
    alarms_presented / {{ var('operators_on_duty') }} as alarms_per_operator,
    alarms_presented / {{ var('operators_on_duty') }} < {{ var('alarm_target_10min') }} as is_within_target,
    -- The wall is one: each operator sees every alarm, so a flood is not shared out.
    alarms_presented > {{ var('alarm_flood_10min') }} as is_flood
from dated
order by window_start_at
