-- Occupancy of each car park, hour by hour, from the first hour it told of to the last; hours of silence stand there, empty.
with spine as (
    select
        feed,
        source,
        asset_ref,
        asset_key,
        territory,
        unnest(generate_series(min(observed_hour), max(observed_hour), interval 1 hour)) as observed_hour
    from {{ ref('core__parking_hourly') }}
    group by feed, source, asset_ref, asset_key, territory
),

hour as (
    select
        spine.*,
        coalesce(code.asset_id, spine.asset_key) as asset_id,
        timezone(territory.time_zone, spine.observed_hour) as local_hour_at
    from spine
    inner join {{ source('raw', 'territory') }} as territory on spine.territory = territory.territory
    asof left join {{ ref('core__asset_code') }} as code
        on spine.asset_key = code.asset_key and spine.observed_hour >= code.valid_from
),

known as (
    select
        hour.feed,
        hour.territory,
        hour.asset_id as asset_key,
        hour.observed_hour,
        cast(hour.local_hour_at as date) as local_date,
        cast(hour(hour.local_hour_at) as integer) as local_hour,
        declared.capacity as declared_capacity,
        -- What was last told of the capacity, before or in the hour.
        last_value(told.capacity ignore nulls) over (
            partition by hour.feed, hour.asset_ref
            order by hour.observed_hour rows unbounded preceding
        ) as told_capacity,
        coalesce(told.known_seconds, 0) as known_seconds,
        coalesce(told.closed_seconds, 0) as closed_seconds,
        told.free_place_seconds,
        coalesce(told.full_seconds, 0) as full_seconds,
        told.free_places_min
    from hour
    left join {{ ref('core__parking_hourly') }} as told
        on hour.feed = told.feed and hour.asset_ref = told.asset_ref and hour.observed_hour = told.observed_hour
    left join {{ source('raw', 'parking_capacity') }} as declared
        on
            hour.source = declared.source
            and hour.asset_ref = declared.asset_ref
            and cast(hour.local_hour_at as date) >= coalesce(cast(declared.valid_from as date), date '1900-01-01')
            and cast(hour.local_hour_at as date) < coalesce(cast(declared.valid_to as date), date '9999-12-31')
),

weighed as (
    select
        *,
        -- The territory's word first: it knows which places are let by the month.
        coalesce(declared_capacity, told_capacity) as capacity,
        case
            when declared_capacity is not null then 'declared'
            when told_capacity is not null then 'observed'
        end as capacity_origin,
        free_place_seconds / nullif(known_seconds, 0) as free_places_mean
    from known
),

measured as (
    select
        *,
        -- More free places than there are: none is taken.
        case
            when free_places_mean / capacity <= 1 then 100 * (1 - free_places_mean / capacity)
            when free_places_mean / capacity > 1 then 0
        end as occupancy_pct
    from weighed
)

select
    measured.feed,
    measured.territory,
    {{ owner_authority('asset.owner_authority', 'feed.owner_authority') }} as owner_authority,
    measured.asset_key,
    asset.name,
    asset.commune,
    asset.longitude,
    asset.latitude,
    measured.observed_hour,
    measured.local_date,
    measured.local_hour,
    measured.capacity,
    measured.capacity_origin,
    round(measured.known_seconds / 60, 4) as known_minutes,
    round(measured.closed_seconds / 60, 4) as closed_minutes,
    round(greatest(0, 3600 - measured.known_seconds - measured.closed_seconds) / 60, 4) as unknown_minutes,
    round(measured.free_places_mean, 4) as free_places_mean,
    measured.free_places_min,
    round(measured.occupancy_pct, 4) as occupancy_pct,
    -- What an occupancy over several hours or car parks is made of: places taken over places there are, both multiplied by time.
    round(measured.occupancy_pct / 100 * measured.capacity * measured.known_seconds / 3600, 6) as occupied_place_hours,
    case when measured.occupancy_pct is not null then round(measured.capacity * measured.known_seconds / 3600, 6) end
        as offered_place_hours,
    round(measured.full_seconds / 60, 4) as full_minutes,
    measured.occupancy_pct >= {{ var('parking_saturation_pct') }} as is_saturated
from measured
inner join {{ ref('stg_feed') }} as feed on measured.feed = feed.feed
left join {{ ref('core__equipment') }} as asset on measured.asset_key = asset.asset_id
order by measured.feed, measured.asset_key, measured.observed_hour
