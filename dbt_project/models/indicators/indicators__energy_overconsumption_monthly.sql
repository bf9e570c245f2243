select
    feed,
    territory,
    -- One of each meter: it is described as it is now.
    {% for column in ['owner_authority', 'commune', 'street', 'site_kind', 'site_key', 'building_key', 'name', 'longitude',
                      'latitude'] -%}
        any_value({{ column }}) as {{ column }},
    {% endfor -%}
    meter_ref,
    meter_key,
    -- The last of the month, where the meter was linked anew.
    arg_max(cabinet_key, local_date) as cabinet_key,
    cast(date_trunc('month', local_date) as date) as month,
    cast(count(*) as integer) as days,
    cast(count(*) filter (where verdict in ('normal', 'over', 'under')) as integer) as days_judged,
    cast(count(*) filter (where verdict = 'over') as integer) as days_over,
    cast(count(*) filter (where verdict = 'under') as integer) as days_under,
    cast(count(*) filter (where verdict = 'incomplete') as integer) as days_incomplete,
    cast(count(*) filter (where is_day_burner) as integer) as days_burning_by_day,
    cast(count(*) filter (where is_dark_by_night) as integer) as nights_dark,
    round(fsum(measured_kwh), 3) as measured_kwh,
    round(fsum(measured_eur), 2) as measured_eur,
    round(fsum(measured_kgco2e), 3) as measured_kgco2e,
    -- Measured against expected on the days that were judged, and on no others.
    round(fsum(measured_kwh) filter (where verdict in ('normal', 'over', 'under')), 3) as judged_kwh,
    round(fsum(expected_wh) filter (where verdict in ('normal', 'over', 'under')) / 1000, 3) as expected_kwh,
    round(fsum(excess_kwh) filter (where verdict in ('normal', 'over', 'under')), 3) as excess_kwh,
    round(
        100 * fsum(excess_wh) filter (where verdict in ('normal', 'over', 'under'))
        / nullif(fsum(expected_wh) filter (where verdict in ('normal', 'over', 'under')), 0), 3
    ) as excess_pct,
    -- Of the days past the tolerance alone: what the savings of other days do not hide.
    {% for unit, digits in [('kwh', 3), ('eur', 2), ('kgco2e', 3)] -%}
        round(fsum(case when verdict = 'over' then excess_{{ unit }} when excess_{{ unit }} is not null then 0 end), {{ digits }})
            as over_{{ unit }},
    {% endfor -%}
    round(fsum(excess_eur) filter (where verdict in ('normal', 'over', 'under')), 2) as excess_eur,
    round(fsum(excess_kgco2e) filter (where verdict in ('normal', 'over', 'under')), 3) as excess_kgco2e
from {{ ref('indicators__energy_overconsumption_daily') }}
group by feed, territory, meter_ref, meter_key, date_trunc('month', local_date)
order by month, meter_key
