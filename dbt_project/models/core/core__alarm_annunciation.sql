-- When an alarm appears on the wall: raised or raised again and shown, or shown again after it was hidden, shelved or out of
-- service.
-- What one turn of the store writes bears one instant: an alarm raised and hidden under its cabinet in one turn never appeared.
with turn as (
    select
        alarm_id,
        recorded_at,
        max(seq) as seq,
        arg_max(is_presented, seq) as is_presented,
        arg_max(rule, seq) as rule,
        arg_max(priority, seq) as priority,
        arg_max(domain, seq) as domain,
        bool_or(kind in ('raised', 'reactivated')) as is_raise
    from {{ ref('core__alarm_event') }}
    group by alarm_id, recorded_at
),

followed as (
    select
        *,
        lag(is_presented, 1, false) over (
            partition by alarm_id
            order by seq
        ) as was_presented
    from turn
)

select
    seq,
    alarm_id,
    recorded_at as announced_at,
    rule,
    priority,
    domain
from followed
where is_presented and (is_raise or not was_presented)
order by seq
