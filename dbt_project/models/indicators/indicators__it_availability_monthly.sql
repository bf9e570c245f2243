-- Silence longer than the feed's declared freshness is an outage, from the last sign of life to the next. An asset is judged
-- against its feed's own watermark: while the whole feed is silent, that is one outage of the system, and none of its assets'.
with segment as (
    select
        heard.feed,
        heard.asset_ref,
        heard.asset_key,
        heard.started_at,
        least(heard.last_seen_at, {{ as_of() }}) as last_seen_at,
        feed.territory,
        feed.domain,
        feed.owner_authority,
        feed.territory_time_zone,
        feed.freshness_minutes
    from {{ ref('core__heard_segment') }} as heard
    inner join {{ ref('stg_feed') }} as feed on heard.feed = feed.feed
    where heard.started_at < {{ as_of() }}
),

watermark as (
    select
        feed,
        max(last_seen_at) as heard_until
    from segment
    where asset_ref is null
    group by feed
),

-- What is judged, and over which time: since it was first heard, until it was taken away.
unit as (
    select
        segment.feed,
        segment.asset_ref,
        segment.asset_key,
        any_value(segment.territory) as territory,
        any_value(segment.domain) as domain,
        any_value(segment.owner_authority) as feed_authority,
        any_value(segment.territory_time_zone) as time_zone,
        any_value(segment.freshness_minutes) as freshness_minutes,
        min(segment.started_at) as starts_at,
        max(segment.last_seen_at) as last_seen_at
    from segment
    group by segment.feed, segment.asset_ref, segment.asset_key
),

service as (
    select
        asset_id,
        case when bool_and(valid_to is not null) then max(valid_to) end as taken_away_at
    from {{ ref('core__equipment_service') }}
    group by asset_id
),

known as (
    select
        unit.*,
        coalesce(code.asset_id, unit.asset_key) as asset_id,
        least(coalesce(service.taken_away_at, {{ as_of() }}), {{ as_of() }}) as ends_at
    from unit
    asof left join {{ ref('core__asset_code') }} as code
        on unit.asset_key = code.asset_key and unit.last_seen_at >= code.valid_from
    left join service on code.asset_id = service.asset_id
),

gap as (
    select
        segment.feed,
        segment.asset_ref,
        segment.freshness_minutes,
        segment.last_seen_at as from_at,
        coalesce(
            lead(segment.started_at) over (
                partition by segment.feed, segment.asset_ref
                order by segment.started_at
            ),
            case when segment.asset_ref is null then {{ as_of() }} else watermark.heard_until end
        ) as until_at
    from segment
    inner join watermark on segment.feed = watermark.feed
),

silence as (
    select
        feed,
        asset_ref,
        from_at,
        until_at
    from gap
    where {{ seconds_between('from_at', 'until_at') }} > freshness_minutes * 60
),

planned as (
    select
        works.feed,
        works.asset_ref,
        timezone(feed.territory_time_zone, cast(works.starts_at as timestamp)) as from_at,
        timezone(feed.territory_time_zone, cast(works.ends_at as timestamp)) as until_at
    from {{ source('raw', 'planned_maintenance') }} as works
    inner join {{ ref('stg_feed') }} as feed on works.feed = feed.feed
),

-- Time that is not judged: declared works; for an asset, the silences of its whole feed too.
excuse as (
    select
        unit.feed,
        unit.asset_ref,
        'planned' as kind,
        planned.from_at,
        planned.until_at
    from unit
    inner join planned
        on unit.feed = planned.feed and (planned.asset_ref is null or unit.asset_ref = planned.asset_ref)
    union all
    select
        unit.feed,
        unit.asset_ref,
        'system' as kind,
        silence.from_at,
        silence.until_at
    from unit
    inner join silence on unit.feed = silence.feed and silence.asset_ref is null
    where unit.asset_ref is not null
),

reach as (
    select
        *,
        max(until_at) over (
            partition by feed, asset_ref
            order by from_at, until_at, kind
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from excuse
),

islanded as (
    select
        *,
        sum(cast(reached_at is null or reached_at < from_at as integer)) over (
            partition by feed, asset_ref
            order by from_at, until_at, kind
            rows unbounded preceding
        ) as island
    from reach
),

excused as (
    select
        feed,
        asset_ref,
        min(from_at) as from_at,
        max(until_at) as until_at
    from islanded
    group by feed, asset_ref, island
),

-- An outage is what is left of a silence: its pieces that nothing excuses are told by what is excused of it.
excused_silence as (
    select
        silence.feed,
        silence.asset_ref,
        silence.from_at as silent_from_at,
        greatest(silence.from_at, excused.from_at) as from_at,
        least(silence.until_at, excused.until_at) as until_at
    from silence
    inner join excused
        on
            silence.feed = excused.feed
            and silence.asset_ref is not distinct from excused.asset_ref
            and silence.from_at < excused.until_at
            and silence.until_at > excused.from_at
),

outage as (
    select
        silence.feed,
        silence.asset_ref,
        silence.from_at,
        silence.until_at
    from silence
    left join (
        select
            feed,
            asset_ref,
            silent_from_at,
            fsum({{ seconds_between('from_at', 'until_at') }}) as excused_seconds
        from excused_silence
        group by feed, asset_ref, silent_from_at
    ) as spared
        on
            silence.feed = spared.feed
            and silence.asset_ref is not distinct from spared.asset_ref
            and silence.from_at = spared.silent_from_at
    -- What is silent a little longer than its feed (its last message came first) is no outage of its own.
    inner join {{ ref('stg_feed') }} as feed on silence.feed = feed.feed
    where
        {{ seconds_between('silence.from_at', 'silence.until_at') }} - coalesce(spared.excused_seconds, 0)
        > feed.freshness_minutes * 60
),

piece as (
    select
        feed,
        asset_ref,
        'span' as kind,
        starts_at as from_at,
        ends_at as until_at
    from known
    union all
    select
        feed,
        asset_ref,
        'excused',
        from_at,
        until_at
    from excused
    union all
    select
        feed,
        asset_ref,
        'outage',
        from_at,
        until_at
    from outage
    union all
    select
        excused_silence.feed,
        excused_silence.asset_ref,
        'spared',
        excused_silence.from_at,
        excused_silence.until_at
    from excused_silence
    inner join outage
        on
            excused_silence.feed = outage.feed
            and excused_silence.asset_ref is not distinct from outage.asset_ref
            and excused_silence.silent_from_at = outage.from_at
    union all
    select
        feed,
        asset_ref,
        kind,
        from_at,
        until_at
    from excuse
),

month as (
    {{ months_since('(select territory, starts_at as first_at from unit)') }}
),

monthly as (
    select
        known.feed,
        known.asset_ref,
        month.month,
        {% for kind in ['span', 'excused', 'outage', 'spared', 'planned', 'system'] -%}
            coalesce(fsum(
                {{ overlap_seconds(
                    'greatest(piece.from_at, known.starts_at)', 'least(piece.until_at, known.ends_at)', 'month.starts_at', 'month.ends_at'
                ) }}
            ) filter (where piece.kind = '{{ kind }}'), 0) as {{ kind }}_seconds,
        {% endfor -%}
        count(*) filter (where piece.kind = 'outage' and piece.from_at >= month.starts_at and piece.from_at < known.ends_at)
            as outages
    from known
    inner join piece on known.feed = piece.feed and known.asset_ref is not distinct from piece.asset_ref
    inner join month
        on known.territory = month.territory and piece.until_at > month.starts_at and piece.from_at < month.ends_at
    group by known.feed, known.asset_ref, month.month
    having span_seconds > 0
)

select
    known.territory,
    monthly.month,
    known.feed,
    known.domain,
    case when known.asset_ref is null then 'system' else 'asset' end as level,
    known.asset_key,
    known.asset_id,
    asset.name,
    asset.asset_type,
    asset.commune,
    asset.longitude,
    asset.latitude,
    {{ owner_authority('asset.owner_authority', 'known.feed_authority') }} as owner_authority,
    round(monthly.span_seconds / 3600, 4) as observed_hours,
    round(monthly.planned_seconds / 3600, 4) as planned_hours,
    round(monthly.system_seconds / 3600, 4) as system_silent_hours,
    round((monthly.span_seconds - monthly.excused_seconds) / 3600, 4) as judged_hours,
    case when known.freshness_minutes is not null then cast(monthly.outages as integer) end as outages,
    case when known.freshness_minutes is not null then round((monthly.outage_seconds - monthly.spared_seconds) / 3600, 4) end
        as down_hours,
    case
        when known.freshness_minutes is not null
            then round(
                100 * (
                    1 - (monthly.outage_seconds - monthly.spared_seconds)
                    / nullif(monthly.span_seconds - monthly.excused_seconds, 0)
                ), 4
            )
    end as availability_pct,
    case
        when known.freshness_minutes is null then 'no_freshness'
        when monthly.span_seconds - monthly.excused_seconds <= 0 then 'no_judged_time'
    end as not_judged_reason
from monthly
inner join known on monthly.feed = known.feed and monthly.asset_ref is not distinct from known.asset_ref
left join {{ ref('core__equipment') }} as asset on known.asset_id = asset.asset_id
order by known.territory, monthly.month, known.feed, known.asset_key nulls first
