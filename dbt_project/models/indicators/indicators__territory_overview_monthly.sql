-- What each service counts, side by side: every figure is a sum of another model's, so that it is the same number there and here.
{%- set places = 'territory, owner_authority, commune, month' %}
{%- set case_counts = ['cases_opened', 'cases_resolved', 'gti_judged', 'gti_kept', 'gtr_judged', 'gtr_kept'] %}
with place as (
    select
        territory,
        lower(trim(name)) as commune_folded,
        -- Of two communes of one name, the first by key.
        arg_min(name, commune_key) as name,
        arg_min(outline, commune_key) as outline,
        arg_min(longitude, commune_key) as longitude,
        arg_min(latitude, commune_key) as latitude
    from {{ ref('core__commune') }}
    group by territory, lower(trim(name))
),

-- A case counts where it was opened, where it was resolved, and at the end of each month in between.
case_step as (
    select
        judged.territory,
        judged.owner_authority,
        judged.commune,
        cast(date_trunc('month', judged.local_date) as date) as month,
        1 as cases_opened,
        0 as cases_resolved,
        cast(judged.is_gti_kept is not null as integer) as gti_judged,
        cast(coalesce(judged.is_gti_kept, false) as integer) as gti_kept,
        cast(judged.is_gtr_kept is not null as integer) as gtr_judged,
        cast(coalesce(judged.is_gtr_kept, false) as integer) as gtr_kept,
        -- Nobody can call a case open when none of its sources ever says the end, nor one that was closed before it was opened.
        cast(judged.is_open is not null and not judged.is_closed_before_opened as integer) as step
    from {{ ref('indicators__intervention_time_case') }} as judged
    where judged.opened_at < {{ as_of() }}
    union all
    select
        judged.territory,
        judged.owner_authority,
        judged.commune,
        greatest(
            cast(date_trunc('month', timezone(territory.time_zone, judged.resolved_at)) as date),
            cast(date_trunc('month', judged.local_date) as date)
        ),
        0,
        1,
        0,
        0,
        0,
        0,
        -1
    from {{ ref('indicators__intervention_time_case') }} as judged
    inner join {{ source('raw', 'territory') }} as territory on judged.territory = territory.territory
    where judged.opened_at < {{ as_of() }} and judged.resolved_at < {{ as_of() }} and not judged.is_closed_before_opened
),

case_month as (
    select
        {{ places }},
        {% for column in case_counts -%}
            sum({{ column }}) as {{ column }},
        {% endfor -%}
        sum(step) as step
    from case_step
    group by {{ places }}
),

case_spine as (
    select
        place.territory,
        place.owner_authority,
        place.commune,
        month.month
    from (
        select
            territory,
            owner_authority,
            commune,
            min(month) as first_month
        from case_month
        group by territory, owner_authority, commune
    ) as place
    inner join (
        {{ months_since("(select territory, opened_at as first_at from " ~ ref('indicators__intervention_time_case') ~ ")") }}
    ) as month on place.territory = month.territory and place.first_month <= month.month
),

cases as (
    select
        spine.*,
        {% for column in case_counts -%}
            case_month.{{ column }},
        {% endfor -%}
        sum(coalesce(case_month.step, 0)) over (
            partition by spine.territory, spine.owner_authority, spine.commune
            order by spine.month rows unbounded preceding
        ) as cases_open
    from case_spine as spine
    left join case_month
        on
            spine.territory = case_month.territory
            and spine.owner_authority is not distinct from case_month.owner_authority
            and spine.commune is not distinct from case_month.commune
            and spine.month = case_month.month
),

counted as (
    select
        {{ places }},
        assets_in_service,
        in_service_hours,
        inventory_downtime_hours,
        failures_started,
        -- Those that the inventory's rates are of.
        case when in_service_hours is not null then failures_started end as inventory_failures,
        downtime_hours,
        open_at_month_end as failures_open,
        communication_losses_started
    from {{ ref('indicators__failure_frequency_monthly') }}
    union all by name
    select
        {{ places }},
        measured_kwh,
        measured_eur,
        measured_kgco2e,
        expected_kwh,
        excess_kwh,
        over_kwh,
        over_eur,
        over_kgco2e
    from {{ ref('indicators__energy_overconsumption_monthly') }}
    union all by name
    select
        {{ places }},
        {% for column in case_counts -%}
            {{ column }},
        {% endfor -%}
        cases_open
    from cases
    where cases_opened > 0 or cases_resolved > 0 or cases_open > 0
    union all by name
    select
        territory,
        owner_authority,
        commune,
        cast(date_trunc('month', local_date) as date) as month,
        1 as reports_received
    from {{ ref('core__report') }}
    where opened_at < {{ as_of() }}
    union all by name
    select
        territory,
        owner_authority,
        commune,
        cast(date_trunc('month', local_date) as date) as month,
        1 as alarms_raised
    from {{ ref('core__alarm') }}
    -- What the platform says of itself is of no territory: alarm_daily counts it.
    where territory is not null
),

named as (
    select
        counted.* exclude (commune),
        coalesce(place.name, nullif(trim(counted.commune), '')) as commune,
        place.outline,
        place.longitude,
        place.latitude
    from counted
    left join place on counted.territory = place.territory and lower(trim(counted.commune)) = place.commune_folded
)

select
    territory,
    owner_authority,
    commune,
    month,
    cast(sum(assets_in_service) as integer) as assets_in_service,
    round(fsum(in_service_hours), 4) as in_service_hours,
    round(fsum(inventory_downtime_hours), 4) as inventory_downtime_hours,
    cast(coalesce(sum(failures_started), 0) as integer) as failures_started,
    cast(sum(inventory_failures) as integer) as inventory_failures,
    round(coalesce(fsum(downtime_hours), 0), 2) as downtime_hours,
    cast(coalesce(sum(failures_open), 0) as integer) as failures_open_at_month_end,
    cast(coalesce(sum(communication_losses_started), 0) as integer) as communication_losses_started,
    {% for column in ['measured_kwh', 'measured_eur', 'measured_kgco2e', 'expected_kwh', 'excess_kwh', 'over_kwh', 'over_eur',
                      'over_kgco2e'] -%}
        round(fsum({{ column }}), 3) as {{ column }},
    {% endfor -%}
    {% for column in ['reports_received', 'cases_opened', 'cases_resolved'] -%}
        cast(coalesce(sum({{ column }}), 0) as integer) as {{ column }},
    {% endfor -%}
    cast(coalesce(sum(cases_open), 0) as integer) as cases_open_at_month_end,
    {% for column in ['gti_judged', 'gti_kept', 'gtr_judged', 'gtr_kept', 'alarms_raised'] -%}
        cast(coalesce(sum({{ column }}), 0) as integer) as {{ column }},
    {% endfor -%}
    any_value(outline) as outline,
    any_value(longitude) as longitude,
    any_value(latitude) as latitude
from named
group by territory, owner_authority, commune, month
order by territory, month, owner_authority, commune
