-- What state observations alone tell: day segments put end to end, then gaps shorter than the feed's flap window merged.
with rule as (
    select * from {{ source('raw', 'feed_state_rule') }}
),

segment as (
    select
        segment.*,
        lead(segment.started_at) over series as next_started_at,
        lead(segment.ok_before_at) over series as next_ok_at,
        feed.territory,
        feed.bridges_communication_gap,
        feed.flap_window_minutes,
        feed.freshness_minutes
    from {{ ref('core__state_segment') }} as segment
    inner join {{ ref('stg_feed') }} as feed on segment.feed = feed.feed
    window series as (
        partition by segment.feed, segment.asset_ref, segment.property, segment.fault_type
        order by segment.started_at
    )
),

series as (
    select distinct
        feed,
        asset_ref,
        property,
        fault_type
    from segment
    where ended_at is null
),

-- A segment that lasts to midnight may have ended on a day without any failure, which has no segment: the first good state
-- of each day, or the first hour that begins well, tells when. Only for series with such a segment.
well as (
    select
        daily.feed,
        daily.asset_ref,
        daily.property,
        rule.fault_type,
        daily.first_observed_at as well_at
    from {{ ref('core__state_daily') }} as daily
    inner join series on daily.feed = series.feed and daily.asset_ref = series.asset_ref and daily.property = series.property
    inner join rule
        on
            series.feed = rule.feed and series.property = rule.property and series.fault_type = rule.fault_type
            and daily.value_text = rule.value_text and rule.state = 'ok'
    union all
    select
        hourly.feed,
        hourly.asset_ref,
        hourly.property,
        rule.fault_type,
        min(hourly.first_observed_at)
    from {{ ref('core__observation_hourly') }} as hourly
    inner join series on hourly.feed = series.feed and hourly.asset_ref = series.asset_ref and hourly.property = series.property
    inner join rule
        on
            series.feed = rule.feed and series.property = rule.property and series.fault_type = rule.fault_type
            and rule.value_text is null
            and not coalesce(hourly.value_first < rule.failed_below, false)
            and not coalesce(hourly.value_first > rule.failed_above, false)
    group by hourly.feed, hourly.asset_ref, hourly.property, rule.fault_type, hourly.utc_date
),

recovered as (
    select
        segment.*,
        well.well_at
    from segment
    asof left join well
        on
            segment.feed = well.feed and segment.asset_ref = well.asset_ref
            and segment.property = well.property and segment.fault_type = well.fault_type
            and segment.last_seen_at < well.well_at
),

ended as (
    select
        * exclude (ended_at, ended_by),
        -- The first thing known after it: the end seen that day, a good day between, a good moment before the next
        -- segment, a silence the feed does not carry failures over, or the next segment itself.
        coalesce(
            ended_at,
            case when next_started_at is null or well_at < next_started_at then well_at end,
            next_ok_at,
            case
                when
                    not bridges_communication_gap
                    and {{ seconds_between('last_seen_at', 'next_started_at') }} > freshness_minutes * 60
                    then last_seen_at
            end,
            next_started_at
        ) as ended_at
    from recovered
),

-- Segments that touch form a chain: failed, not heard, failed again.
chained as (
    select
        *,
        coalesce(lag(ended_at) over series < started_at, true) as is_chain_start,
        coalesce(lag(state) over series <> state, true) as is_state_change
    from ended
    window series as (
        partition by feed, asset_ref, property, fault_type
        order by started_at
    )
),

numbered as (
    select
        *,
        sum(cast(is_chain_start as integer)) over series as chain,
        sum(cast(is_chain_start or is_state_change as integer)) over series as stretch
    from chained
    window series as (
        partition by feed, asset_ref, property, fault_type
        order by started_at rows unbounded preceding
    )
),

-- The end of a group is that of its last segment: unknown when that one still lasts.
failed as (
    select
        feed,
        territory,
        source,
        asset_ref,
        property,
        fault_type as told_of,
        fault_type,
        'failure' as kind,
        any_value(flap_window_minutes) as flap_window_minutes,
        min(started_at) filter (where state = 'failed') as started_at,
        case when bool_and(ended_at is not null) then max(ended_at) end as ended_at
    from numbered
    group by
        feed, territory, source, asset_ref, property, fault_type,
        -- Declared by the feed: does a failure run on while the equipment is not heard?
        case when bridges_communication_gap then chain else stretch end
    having count(*) filter (where state = 'failed') > 0
),

unheard as (
    select
        feed,
        territory,
        source,
        asset_ref,
        property,
        fault_type as told_of,
        'communication-loss' as fault_type,
        'communication_loss' as kind,
        any_value(flap_window_minutes) as flap_window_minutes,
        min(started_at) as started_at,
        case when bool_and(ended_at is not null) then max(ended_at) end as ended_at
    from numbered
    where state = 'communication_lost'
    group by feed, territory, source, asset_ref, property, fault_type, stretch
),

stretches as (
    select * from failed
    union all
    select * from unheard
),

-- Merge what is apart by less than the flap window (and what overlaps: several properties may tell of one fault).
reach as (
    select
        *,
        max(coalesce(ended_at, timestamptz 'infinity')) over (
            partition by source, asset_ref, kind, fault_type
            order by started_at, ended_at, feed, property, told_of
            rows between unbounded preceding and 1 preceding
        ) as reached_at
    from stretches
),

islanded as (
    select
        *,
        sum(cast(
            reached_at is null
            or (isfinite(reached_at) and {{ seconds_between('reached_at', 'started_at') }} > flap_window_minutes * 60) as integer
        )) over (
            partition by source, asset_ref, kind, fault_type
            -- To the last column that tells two stretches apart: both windows must see them in one order.
            order by started_at, ended_at, feed, property, told_of
            rows unbounded preceding
        ) as island
    from reach
)

select
    {{ asset_key('source', 'asset_ref') }} as asset_key,
    min(territory) as territory,
    min(feed) as feed,
    source,
    asset_ref,
    kind,
    fault_type,
    min(started_at) as started_at,
    case when bool_and(ended_at is not null) then max(ended_at) end as ended_at,
    cast(count(*) as integer) as stretches
from islanded
group by source, asset_ref, kind, fault_type, island
order by asset_key, kind, fault_type, started_at
