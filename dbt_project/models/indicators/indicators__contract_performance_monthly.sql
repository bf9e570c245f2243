-- What the declared contract (contract_target.csv) asks, and what was reached, month by month: energy saved against the
-- reference, guarantees kept, information systems available. What cannot be judged says why, and costs nothing.
with target as (
    select
        target.territory,
        nullif(trim(target.authority), '') as authority,
        target.objective,
        target.measure,
        nullif(trim(target.scope), '') as scope,
        target.target,
        target.penalty_eur,
        target.penalty_per,
        cast(target.valid_from as date) as valid_from,
        cast(target.valid_to as date) as valid_to,
        territory.time_zone,
        concat(
            target.territory, '|', target.objective, '|', target.measure, '|', target.authority, '|', target.scope, '|',
            target.valid_from
        ) as target_key
    from {{ source('raw', 'contract_target') }} as target
    inner join {{ source('raw', 'territory') }} as territory on target.territory = territory.territory
),

meter as (
    select
        feed,
        meter_key,
        territory,
        domain,
        owner_authority as authority
    from {{ ref('core__meter') }}
    where is_consumption
),

metered as (
    select
        meter_key,
        cast(date_trunc('month', local_date) as date) as month,
        fsum(energy_wh) / 1000 as energy_kwh,
        -- As for consumption: a day is believed when 95 % of it is measured, and not more than 105 %.
        count(*) filter (where abs(coverage_share - 1) <= 1 - {{ var('energy_min_coverage_share') }})
        = day(last_day(any_value(local_date))) as is_complete
    from {{ ref('core__energy_daily') }}
    where direction = 'consumption'
    group by meter_key, date_trunc('month', local_date)
),

begun as (
    select
        territory,
        timezone(time_zone, cast(valid_from as timestamp)) as first_at
    from target
    where valid_from is not null
    union all
    -- A target without a first day holds since there is anything to judge.
    select
        target.territory,
        timezone(target.time_zone, cast(evidence.first_on as timestamp))
    from target
    inner join (
        select
            territory,
            min(local_date) as first_on
        from {{ ref('core__energy_daily') }}
        group by territory
        union all
        select
            territory,
            min(local_date)
        from {{ ref('indicators__intervention_time_case') }}
        group by territory
        union all
        select
            territory,
            min(month)
        from {{ ref('indicators__it_availability_monthly') }}
        group by territory
    ) as evidence
        on target.territory = evidence.territory
    where target.valid_from is null
),

month as (
    {{ months_since('(select territory, first_at from begun where first_at < ' ~ as_of() ~ ')') }}
),

due as (
    select
        target.*,
        month.month,
        timezone(target.time_zone, cast(month.month + interval 1 month as timestamp)) <= {{ as_of() }} as is_month_over
    from target
    inner join month
        on
            target.territory = month.territory
            and month.month >= coalesce(target.valid_from, date '1900-01-01')
            and month.month < coalesce(target.valid_to, date '9999-12-31')
),

reference as (
    select
        due.target_key,
        due.month,
        max(declared.energy_kwh) filter (where declared.month is not null) as month_kwh,
        max(declared.energy_kwh) filter (where declared.month is null) as year_kwh
    from due
    inner join {{ source('raw', 'contract_reference') }} as declared
        on
            due.territory = declared.territory
            and due.authority is not distinct from nullif(trim(declared.authority), '')
            and due.scope is not distinct from nullif(trim(declared.scope), '')
            and (declared.month is null or month(due.month) = declared.month)
    where due.objective = 'saving'
    group by due.target_key, due.month
),

-- Against a reference by month, the month; against one of a whole year, the twelve months that end with it.
consumed as (
    select
        due.target_key,
        due.month,
        count(*) as meters,
        any_value(coalesce(reference.month_kwh, reference.year_kwh)) as reference_kwh,
        fsum(spent.energy_kwh) as measured_kwh,
        bool_and(coalesce(spent.is_complete, false)) as is_complete
    from due
    inner join meter
        on
            due.territory = meter.territory
            and (due.authority is null or due.authority = meter.authority)
            and (due.scope is null or due.scope in (meter.domain, meter.feed, meter.meter_key))
    left join reference on due.target_key = reference.target_key and due.month = reference.month
    left join lateral (
        select
            fsum(metered.energy_kwh) as energy_kwh,
            bool_and(metered.is_complete)
            and count(*)
            = case when reference.month_kwh is null and reference.year_kwh is not null then 12 else 1 end as is_complete
        from metered
        where
            meter.meter_key = metered.meter_key
            and metered.month <= due.month
            and metered.month
            > due.month - case
                when reference.month_kwh is null and reference.year_kwh is not null then interval 12 month
                else interval 1 month
            end
    ) as spent on true
    where due.objective = 'saving'
    group by due.target_key, due.month
),

kept as (
    select
        due.target_key,
        due.month,
        count(verdict.is_kept) as judged,
        count(*) filter (where verdict.is_kept) as kept
    from due
    inner join (
        select
            cases.territory,
            cases.owner_authority,
            cases.fault_type,
            fault.domain,
            cast(date_trunc('month', cases.local_date) as date) as month,
            unnest([
                struct_pack(measure := 'gti', is_kept := cases.is_gti_kept),
                struct_pack(measure := 'gtrp', is_kept := cases.is_gtrp_kept),
                struct_pack(measure := 'gtr', is_kept := cases.is_gtr_kept)
            ], recursive := true)
        from {{ ref('indicators__intervention_time_case') }} as cases
        left join {{ ref('core__fault_type') }} as fault on cases.fault_type = fault.fault_type
    ) as verdict
        on
            due.territory = verdict.territory
            and due.month = verdict.month
            and due.measure = verdict.measure
            and (due.authority is null or due.authority = verdict.owner_authority)
            and (due.scope is null or due.scope in (verdict.fault_type, verdict.domain))
    where due.objective = 'delay'
    group by due.target_key, due.month
),

available as (
    select
        due.target_key,
        due.month,
        fsum(it.judged_hours) filter (where it.availability_pct is not null) as judged_hours,
        fsum(it.down_hours) filter (where it.availability_pct is not null) as down_hours,
        min(it.not_judged_reason) as not_judged_reason
    from due
    inner join {{ ref('indicators__it_availability_monthly') }} as it
        on
            due.territory = it.territory
            and due.month = it.month
            and due.measure = it.level
            and (due.authority is null or due.authority = it.owner_authority)
            and (due.scope is null or due.scope in (it.feed, it.domain, it.asset_type))
    where due.objective = 'availability'
    group by due.target_key, due.month
),

reached as (
    select
        due.*,
        case due.objective
            when 'saving' then consumed.measured_kwh
            when 'delay' then kept.kept
            else available.judged_hours - available.down_hours
        end as measured,
        case due.objective
            when 'saving' then consumed.reference_kwh
            when 'delay' then kept.judged
            else available.judged_hours
        end as reference,
        case
            when due.objective = 'saving' and consumed.meters is null then 'no_meter'
            when due.objective = 'saving' and consumed.reference_kwh is null then 'no_reference'
            when due.objective = 'saving' and not due.is_month_over then 'month_not_over'
            when due.objective = 'saving' and not consumed.is_complete then 'incomplete'
            when due.objective = 'delay' and coalesce(kept.judged, 0) = 0 then 'no_case'
            when due.objective = 'availability' and coalesce(available.judged_hours, 0) = 0
                then coalesce(available.not_judged_reason, 'no_data')
            when not due.is_month_over then 'month_not_over'
        end as not_judged_reason
    from due
    left join consumed on due.target_key = consumed.target_key and due.month = consumed.month
    left join kept on due.target_key = kept.target_key and due.month = kept.month
    left join available on due.target_key = available.target_key and due.month = available.month
),

rated as (
    select
        *,
        case
            -- A month of energy says nothing before it is whole; shares of cases and hours can be followed as it goes.
            when objective = 'saving'
                then case when not_judged_reason is null then 100 * (1 - measured / reference) end
            else 100 * measured / nullif(reference, 0)
        end as achieved
    from reached
),

judged as (
    select
        *,
        case when not_judged_reason is null then round(achieved, 6) >= target end as is_met,
        case
            when objective = 'saving' then measured - reference * (1 - target / 100)
            when objective = 'delay' then reference - measured
            else reference * target / 100 - measured
        end as excess
    from rated
)

select
    territory,
    month,
    authority,
    objective,
    measure,
    scope,
    target as target_pct,
    round(achieved, 4) as achieved_pct,
    round(achieved - target, 4) as gap_points,
    is_met,
    round(measured, 4) as measured,
    round(reference, 4) as reference,
    case objective when 'saving' then 'kW.h' when 'delay' then 'cases' else 'h' end as unit,
    case when is_met then 0 when not is_met then round(excess, 4) end as shortfall,
    case
        when is_met and penalty_eur is not null then 0
        when not is_met and penalty_per = 'point' then round(penalty_eur * (target - achieved), 2)
        when not is_met and penalty_per = 'unit' then round(penalty_eur * excess, 2)
    end as penalty_eur,
    not_judged_reason
from judged
order by territory, month, authority, objective, measure, scope
