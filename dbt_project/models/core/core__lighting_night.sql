-- What a cabinet is commanded to consume on each local day: its lights' power, its regime's dimming and hours, the sun's night.
with regime as (
    select
        regime.*,
        {{ asset_key('regime.source', 'regime.cabinet_ref') }} as cabinet_key,
        cabinet.territory
    from {{ source('raw', 'lighting_regime') }} as regime
    inner join {{ ref('core__asset') }} as cabinet
        on cabinet.asset_key = {{ asset_key('regime.source', 'regime.cabinet_ref') }}
),

day as (
    select
        regime.cabinet_key,
        regime.territory,
        sun.local_date,
        timezone(territory.time_zone, cast(sun.local_date as timestamp)) as starts_at,
        timezone(territory.time_zone, cast(sun.local_date + interval 1 day as timestamp)) as ends_at,
        sun.sunrise_at,
        sun.sunset_at,
        coalesce(regime.dimming_pct, 100) as dimming_pct,
        coalesce(regime.driver_loss_pct, 0) as driver_loss_pct,
        -- Local times become instants on their own day: the night the clocks change is an hour shorter or longer.
        timezone(territory.time_zone, sun.local_date + cast(regime.off_from as time)) as off_from_at,
        timezone(territory.time_zone, sun.local_date + cast(regime.off_until as time)) as off_until_at
    from regime
    inner join {{ source('raw', 'territory') }} as territory on regime.territory = territory.territory
    inner join {{ source('raw', 'sun_time') }} as sun
        on
            regime.territory = sun.territory
            and sun.local_date >= cast(regime.valid_from as date)
            and sun.local_date < coalesce(cast(regime.valid_to as date), date '9999-12-31')
),

-- A local day has two dark ends: midnight to sunrise, sunset to midnight.
dark as (
    select
        *,
        starts_at as dark_from,
        sunrise_at as dark_until
    from day
    union all
    select
        *,
        sunset_at,
        ends_at
    from day
),

scheduled as (
    select
        cabinet_key,
        local_date,
        fsum({{ seconds_between('dark_from', 'dark_until') }}) as night_seconds,
        fsum(
            {{ seconds_between('dark_from', 'dark_until') }}
            - case
                when off_from_at is null or off_until_at is null then 0
                -- Off from 00:30 until 05:00: once in the day.
                when off_from_at < off_until_at
                    then {{ overlap_seconds('off_from_at', 'off_until_at', 'dark_from', 'dark_until') }}
                -- Off from 23:30 until 05:00: at both ends of the day.
                else
                    {{ overlap_seconds('starts_at', 'off_until_at', 'dark_from', 'dark_until') }}
                    + {{ overlap_seconds('off_from_at', 'ends_at', 'dark_from', 'dark_until') }}
            end
        ) as burning_seconds
    from dark
    group by cabinet_key, local_date
),

-- The lights behind the cabinet that evening, as the inventory knew them.
fed as (
    select
        day.cabinet_key,
        day.local_date,
        count(*) as lights,
        count(*) filter (where light.rated_power_w is null) as lights_without_power,
        fsum(light.rated_power_w) as rated_power_w
    from day
    inner join {{ ref('core__asset_history') }} as light
        on
            day.cabinet_key = light.parent_key
            and day.sunset_at >= light.valid_from
            and day.sunset_at < coalesce(light.valid_to, timestamptz 'infinity')
    where lower(coalesce(light.status, '')) not in ('removed', 'retired', 'decommissioned')
    group by day.cabinet_key, day.local_date
)

select
    day.cabinet_key,
    day.territory,
    day.local_date,
    cast(coalesce(fed.lights, 0) as integer) as lights,
    cast(coalesce(fed.lights_without_power, 0) as integer) as lights_without_power,
    fed.rated_power_w,
    scheduled.night_seconds,
    scheduled.burning_seconds,
    -- One light of unknown power makes the sum a falsehood: no expectation then.
    case
        when fed.lights_without_power = 0
            then round(fed.rated_power_w * (1 + day.driver_loss_pct / 100) * day.dimming_pct / 100, 6)
    end as commanded_power_w,
    case
        when fed.lights_without_power = 0
            then round(
                fed.rated_power_w * (1 + day.driver_loss_pct / 100) * day.dimming_pct / 100 * scheduled.burning_seconds / 3600, 3
            )
    end as expected_wh
from day
inner join scheduled on day.cabinet_key = scheduled.cabinet_key and day.local_date = scheduled.local_date
left join fed on day.cabinet_key = fed.cabinet_key and day.local_date = fed.local_date
order by day.cabinet_key, day.local_date
