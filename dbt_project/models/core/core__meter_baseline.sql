-- The declared period a meter's usual consumption is learnt on, and the tolerance of its verdicts.
select
    meter.feed,
    meter.meter_ref,
    {{ record_key('meter.feed', 'meter.meter_ref') }} as meter_key,
    -- A baseline of the meter outweighs one of its whole feed.
    unnest(arg_min(struct_pack(
        reference_start := baseline.reference_start,
        reference_end := baseline.reference_end,
        tolerance_pct := baseline.tolerance_pct
    ), (cast(baseline.meter_ref is null as integer), baseline.reference_start)))
from (
    select distinct
        feed,
        meter_ref
    from {{ ref('core__energy_daily') }}
    where direction = 'consumption'
) as meter
inner join {{ source('raw', 'feed_baseline') }} as baseline
    on meter.feed = baseline.feed and (meter.meter_ref = baseline.meter_ref or baseline.meter_ref is null)
group by meter.feed, meter.meter_ref
order by meter_key
