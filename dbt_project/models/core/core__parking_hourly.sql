{{ config(
    materialized='incremental',
    incremental_strategy='touched_days',
    on_schema_change='fail',
    partitioned_by=['year(utc_date)', 'month(utc_date)'],
    post_hook="{{ record_model_state() }}",
    meta={
        'touched_by': 'observation',
        'day_column': 'utc_date',
        'reaches_next_day': true,
        'rules': {'feed': ['feed', 'territory', 'freshness_minutes'], 'territory': ['territory', 'time_zone']},
    },
) }}

-- It reads the raw table itself, up to the landing that the staging view shows: depends_on: {{ ref('stg_observation') }}

-- The day before too: what was told late in it holds into the day.
with landed as not materialized (
    {{ touched_rows(source('raw', 'observation'), 'observed_at', where=landed_by_staging('observation'), before=1) }}
),

latest as (
    select landed.*
    from landed
    where
        landed.property in ('free_places', 'capacity', 'status', 'opening_state')
        -- A lamp has a status too: only of what counts places.
        and landed.feed in (
            select told.feed from landed as told
            where told.property = 'free_places'
        )
    qualify {{ latest_revision('feed, asset_ref, property, observed_at') }}
),

opening as (
    select
        feed,
        asset_ref,
        observed_at,
        lower(value_text) in ('closed', 'ferme', 'fermé') as is_closed
    from latest
    where property in ('status', 'opening_state') and value_text is not null
),

free as (
    select
        latest.feed,
        latest.source,
        latest.asset_ref,
        latest.observed_at,
        -- A counter that has drifted below zero says that no place is left.
        greatest(latest.value, 0) as free_places,
        coalesce(opening.is_closed, false) as is_closed
    from latest
    asof left join opening
        on latest.feed = opening.feed and latest.asset_ref = opening.asset_ref and latest.observed_at >= opening.observed_at
    where latest.property = 'free_places' and latest.value is not null
),

-- A value holds until the next, and no longer than its feed may be silent; never more than a day.
held as (
    select
        free.*,
        least(
            coalesce(
                lead(free.observed_at) over (
                    partition by free.feed, free.asset_ref
                    order by free.observed_at
                ), timestamptz 'infinity'
            ),
            free.observed_at
            + to_minutes(cast(least(coalesce(feed.freshness_minutes, {{ var('parking_hold_minutes') }}), 1440) as bigint))
        ) as held_until
    from free
    inner join {{ ref('stg_feed') }} as feed on free.feed = feed.feed
),

spread as (
    select
        *,
        unnest(
            range({{ utc_hour_number('observed_at') }}, {{ utc_hour_number('held_until - interval 1 microsecond') }} + 1)
        ) as hour_number
    from held
),

shared as (
    select
        *,
        {{ overlap_seconds(
            'observed_at', 'held_until', 'make_timestamptz(hour_number * 3600000000)', 'make_timestamptz((hour_number + 1) * 3600000000)'
        ) }} as shared_seconds
    from spread
),

hourly as (
    select
        feed,
        source,
        asset_ref,
        hour_number,
        coalesce(fsum(shared_seconds) filter (where not is_closed), 0) as known_seconds,
        coalesce(fsum(shared_seconds) filter (where is_closed), 0) as closed_seconds,
        fsum(shared_seconds * free_places) filter (where not is_closed) as free_place_seconds,
        coalesce(fsum(shared_seconds) filter (where not is_closed and free_places = 0), 0) as full_seconds,
        min(free_places) filter (where not is_closed) as free_places_min,
        max(free_places) filter (where not is_closed) as free_places_max
    from shared
    group by feed, source, asset_ref, hour_number
),

stated as (
    select
        feed,
        source,
        asset_ref,
        {{ utc_hour_number('observed_at') }} as hour_number,
        arg_max(value, observed_at) as capacity
    from latest
    where property = 'capacity' and value > 0
    group by feed, source, asset_ref, {{ utc_hour_number('observed_at') }}
),

both_told as (
    select
        coalesce(hourly.feed, stated.feed) as feed,
        coalesce(hourly.source, stated.source) as source,
        coalesce(hourly.asset_ref, stated.asset_ref) as asset_ref,
        make_timestamptz(coalesce(hourly.hour_number, stated.hour_number) * 3600000000) as observed_hour,
        coalesce(hourly.known_seconds, 0) as known_seconds,
        coalesce(hourly.closed_seconds, 0) as closed_seconds,
        hourly.free_place_seconds,
        coalesce(hourly.full_seconds, 0) as full_seconds,
        hourly.free_places_min,
        hourly.free_places_max,
        stated.capacity
    from hourly
    full outer join stated
        on hourly.feed = stated.feed and hourly.asset_ref = stated.asset_ref and hourly.hour_number = stated.hour_number
)

select
    told.feed,
    told.source,
    told.asset_ref,
    {{ asset_key('told.source', 'told.asset_ref') }} as asset_key,
    feed.territory,
    told.observed_hour,
    cast(timezone('UTC', told.observed_hour) as date) as utc_date,
    cast(timezone(feed.territory_time_zone, told.observed_hour) as date) as local_date,
    round(told.known_seconds, 3) as known_seconds,
    round(told.closed_seconds, 3) as closed_seconds,
    round(told.free_place_seconds, 3) as free_place_seconds,
    round(told.full_seconds, 3) as full_seconds,
    told.free_places_min,
    told.free_places_max,
    told.capacity
from both_told as told
inner join {{ ref('stg_feed') }} as feed on told.feed = feed.feed
where {{ is_touched_day("cast(timezone('UTC', told.observed_hour) as date)") }}
order by utc_date
