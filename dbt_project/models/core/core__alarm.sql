-- One row per alarm: what it is by its last line, and what became of it.
with event as (
    select * from {{ ref('core__alarm_event') }}
),

last_line as (
    select * from event
    qualify row_number() over (
        partition by alarm_id
        order by seq desc
    ) = 1
),

life as (
    select
        alarm_id,
        min(recorded_at) as recorded_at,
        min(recorded_at) filter (where kind = 'acknowledged') as first_acknowledged_at,
        arg_min(actor, seq) filter (where kind = 'acknowledged') as first_acknowledged_by,
        arg_min(suppressed_by, seq) filter (where kind = 'suppressed') as first_suppressed_by,
        bool_or(is_shelved) as was_shelved,
        bool_or(is_out_of_service) as was_out_of_service,
        bool_or(is_chattering) as was_chattering,
        count(*) filter (where kind = 'work_order') as work_order_events
    from event
    group by alarm_id
),

shown as (
    select
        alarm_id,
        min(announced_at) as first_presented_at,
        count(*) as annunciations
    from {{ ref('core__alarm_annunciation') }}
    group by alarm_id
),

-- An alarm says its feed, or its equipment the source: the territory and whose it is are those of both, where that is one.
feeds_of_source as (
    select
        source,
        case when count(distinct territory) = 1 then min(territory) end as territory,
        case when count(distinct owner_authority) = 1 then min(owner_authority) end as owner_authority
    from {{ ref('stg_feed') }}
    group by source
),

known as (
    select
        last_line.*,
        coalesce(feed.owner_authority, feeds_of_source.owner_authority) as feed_authority,
        coalesce(feed.territory, feeds_of_source.territory) as territory,
        coalesce(code.asset_id, last_line.asset_id, {{ asset_key('last_line.source', 'last_line.asset_ref') }}) as asset_key
    from last_line
    left join {{ ref('stg_feed') }} as feed on last_line.alarm_feed = feed.feed
    left join feeds_of_source on last_line.source = feeds_of_source.source
    asof left join {{ ref('core__asset_code') }} as code
        on
            {{ asset_key('last_line.source', 'last_line.asset_ref') }} = code.asset_key
            and last_line.first_raised_at >= code.valid_from
),

failure as (
    select
        episode_id,
        asset_key,
        fault_type,
        min(started_at) as started_at,
        max(case when is_end_unknown then started_at else coalesce(ended_at, timestamptz 'infinity') end) as ended_at,
        min(started_at) filter (where evidence_kind = 'report') as first_reported_at
    from {{ ref('core__failure_evidence') }}
    where kind = 'failure' and asset_key is not null
    group by episode_id, asset_key, fault_type
),

-- Of the failures the alarm is about (same equipment and fault, at the same time), whether a citizen told first.
compared as (
    select
        known.alarm_id,
        min(failure.first_reported_at) as first_reported_at
    from known
    inner join failure
        on
            known.asset_key = failure.asset_key
            and known.fault_type = failure.fault_type
            and coalesce(known.returned_at, timestamptz 'infinity') >= failure.started_at
            and known.started_at <= failure.ended_at
    group by known.alarm_id
)

select
    known.alarm_id,
    known.alarm_key,
    known.territory,
    cast(timezone('{{ var("command_post_time_zone") }}', life.recorded_at) as date) as local_date,
    known.rule,
    known.priority,
    known.domain,
    known.fault_type,
    known.alarm_feed as feed,
    known.source,
    known.asset_ref,
    known.asset_key,
    known.asset_type,
    -- What was not known of the equipment when it spoke, and is now.
    coalesce(known.commune, equipment.commune) as commune,
    {{ owner_authority('known.owner_authority', 'equipment.owner_authority', 'known.feed_authority') }} as owner_authority,
    known.state,
    known.is_active,
    known.started_at,
    known.first_raised_at as raised_at,
    life.recorded_at,
    shown.first_presented_at,
    life.first_acknowledged_at,
    life.first_acknowledged_by,
    known.returned_at,
    known.closed_at,
    {{ seconds_between('shown.first_presented_at', 'life.first_acknowledged_at') }} as acknowledgement_seconds,
    case when not known.is_active then {{ seconds_between('known.raised_at', 'known.returned_at') }} end as active_seconds,
    {{ seconds_between('life.recorded_at', 'known.closed_at') }} as open_seconds,
    known.activations,
    cast(coalesce(shown.annunciations, 0) as integer) as annunciations,
    known.escalation as escalations,
    life.first_suppressed_by,
    life.was_shelved,
    life.was_out_of_service,
    life.was_chattering,
    cast(life.work_order_events as integer) as work_order_events,
    known.arrive_by,
    known.safe_by,
    known.restore_by,
    compared.first_reported_at,
    -- At the same instant nobody was first, as in prevention. Not judged without a failure that both could tell of.
    case
        when compared.alarm_id is not null
            then known.first_raised_at < coalesce(compared.first_reported_at, timestamptz 'infinity')
    end as is_detected_first
from known
inner join life on known.alarm_id = life.alarm_id
left join shown on known.alarm_id = shown.alarm_id
left join {{ ref('core__equipment') }} as equipment on known.asset_key = equipment.asset_id
left join compared on known.alarm_id = compared.alarm_id
order by known.alarm_id
