with measured as (
    select * from {{ ref('core__energy_daily') }}
    where direction = 'consumption'
),

-- A meter may feed several cabinets: what each is commanded to consume adds up. One unknown makes the sum unknown.
lighting as (
    select
        measured.feed,
        measured.meter_ref,
        measured.local_date,
        case when count(*) = count(night.expected_wh) then fsum(night.expected_wh) end as expected_wh,
        case when count(*) = count(night.commanded_power_w) then fsum(night.commanded_power_w) end as commanded_power_w,
        array_to_string(list_sort(list(distinct night.cabinet_key)), ', ') as cabinet_key
    from measured
    inner join {{ source('raw', 'meter_link') }} as link
        on
            measured.feed = link.feed
            and measured.meter_ref = link.meter_ref
            and measured.local_date >= cast(link.valid_from as date)
            and measured.local_date < coalesce(cast(link.valid_to as date), date '9999-12-31')
    inner join {{ ref('core__lighting_night') }} as night
        on night.cabinet_key = {{ asset_key('link.source', 'link.asset_ref') }} and measured.local_date = night.local_date
    group by measured.feed, measured.meter_ref, measured.local_date
),

-- The hours of a local day, as its clocks show them: 23 or 25 when they change.
local_hour as (
    select
        hours.territory,
        hours.local_date,
        cast(isodow(hours.local_date) as integer) as iso_weekday,
        cast(hour(timezone(territory.time_zone, hours.hour_at)) as integer) as local_hour
    from (
        select
            day.territory,
            day.local_date,
            unnest(generate_series(
                timezone(zone.time_zone, cast(day.local_date as timestamp)),
                timezone(zone.time_zone, cast(day.local_date + interval 1 day as timestamp)) - interval 1 hour,
                interval 1 hour
            )) as hour_at
        from (
            select distinct
                territory,
                local_date
            from measured
        ) as day
        inner join {{ source('raw', 'territory') }} as zone on day.territory = zone.territory
    ) as hours
    inner join {{ source('raw', 'territory') }} as territory on hours.territory = territory.territory
),

profiled as (
    select
        measured.feed,
        measured.meter_ref,
        measured.local_date,
        -- An hour of the week the reference period never saw leaves the day without expectation.
        case when count(*) = count(profile.expected_wh) then fsum(profile.expected_wh) end as expected_wh
    from measured
    inner join (
        select distinct
            feed,
            meter_ref
        from {{ ref('core__energy_profile') }}
    ) as known
        on measured.feed = known.feed and measured.meter_ref = known.meter_ref
    inner join local_hour on measured.territory = local_hour.territory and measured.local_date = local_hour.local_date
    left join {{ ref('core__energy_profile') }} as profile
        on
            measured.feed = profile.feed
            and measured.meter_ref = profile.meter_ref
            and local_hour.iso_weekday = profile.iso_weekday
            and local_hour.local_hour = profile.local_hour
    group by measured.feed, measured.meter_ref, measured.local_date
),

expected as (
    select
        measured.*,
        case
            when lighting.meter_ref is not null then 'lighting'
            when profiled.meter_ref is not null then 'time_of_week'
        end as method,
        case when lighting.meter_ref is not null then lighting.expected_wh else profiled.expected_wh end as expected_wh,
        lighting.commanded_power_w,
        lighting.cabinet_key,
        coalesce(
            baseline.tolerance_pct,
            case when lighting.meter_ref is not null then {{ var('lighting_tolerance_pct') }} end
        ) as tolerance_pct
    from measured
    left join lighting
        on
            measured.feed = lighting.feed
            and measured.meter_ref = lighting.meter_ref
            and measured.local_date = lighting.local_date
    left join profiled
        on
            measured.feed = profiled.feed
            and measured.meter_ref = profiled.meter_ref
            and measured.local_date = profiled.local_date
    left join {{ ref('core__meter_baseline') }} as baseline
        on measured.feed = baseline.feed and measured.meter_ref = baseline.meter_ref
),

judged as (
    select
        *,
        -- Covered more than once: readings overlap, and which to believe is not known.
        abs(coverage_share - 1) <= 1 - {{ var('energy_min_coverage_share') }} as is_complete,
        energy_wh - expected_wh as excess_wh
    from expected
)

select
    judged.feed,
    judged.territory,
    meter.owner_authority,
    meter.commune,
    meter.street,
    meter.site_kind,
    meter.site_key,
    meter.building_key,
    meter.name,
    meter.longitude,
    meter.latitude,
    judged.meter_ref,
    judged.meter_key,
    judged.cabinet_key,
    judged.local_date,
    judged.energy_wh as measured_wh,
    judged.coverage_share,
    judged.method,
    round(judged.expected_wh, 3) as expected_wh,
    judged.tolerance_pct,
    case when judged.is_complete then round(judged.excess_wh, 3) end as excess_wh,
    case when judged.is_complete then round(100 * judged.excess_wh / nullif(judged.expected_wh, 0), 3) end as excess_pct,
    case
        when judged.expected_wh is null then 'no_reference'
        when not judged.is_complete then 'incomplete'
        when judged.excess_wh > judged.expected_wh * judged.tolerance_pct / 100 then 'over'
        when judged.excess_wh < -judged.expected_wh * judged.tolerance_pct / 100 then 'under'
        else 'normal'
    end as verdict,
    -- At least an hour wholly by day (by night) must have been measured.
    case
        when judged.commanded_power_w > 0 and judged.daylight_seconds >= 3600
            then judged.daylight_wh / (judged.daylight_seconds / 3600) > judged.commanded_power_w * {{ var('lit_share') }}
    end as is_day_burner,
    case
        when judged.expected_wh > 0 and judged.method = 'lighting' and judged.is_complete and judged.dark_seconds >= 3600
            then judged.dark_wh < judged.expected_wh * {{ var('lit_share') }}
    end as is_dark_by_night,
    round(judged.energy_wh / 1000, 6) as measured_kwh,
    round(judged.energy_wh / 1000 * factor.eur_per_kwh, 4) as measured_eur,
    round(judged.energy_wh / 1000 * factor.kgco2e_per_kwh, 4) as measured_kgco2e,
    case when judged.is_complete then round(judged.excess_wh / 1000, 6) end as excess_kwh,
    case when judged.is_complete then round(judged.excess_wh / 1000 * factor.eur_per_kwh, 4) end as excess_eur,
    case when judged.is_complete then round(judged.excess_wh / 1000 * factor.kgco2e_per_kwh, 4) end as excess_kgco2e
from judged
left join {{ ref('core__meter') }} as meter on judged.meter_key = meter.meter_key
left join {{ source('raw', 'energy_factor') }} as factor
    on
        judged.territory = factor.territory
        and judged.local_date >= cast(factor.valid_from as date)
        and judged.local_date < coalesce(cast(factor.valid_to as date), date '9999-12-31')
order by judged.local_date, judged.meter_key
