-- Codes that speak and that stand for no known equipment: for the steward, who adds them to an inventory or to the crosswalk.
-- Their rows are kept; once the code is known, they are that equipment's, as far back as they go.
with suspect as (
    select seen.*
    from {{ ref('core__asset_seen_daily') }} as seen
    anti join (
        select asset_key from {{ ref('core__asset_code') }}
        group by asset_key
        having bool_and(asset_id is not null)
    ) as known
        on seen.asset_key = known.asset_key
),

unknown as (
    select
        suspect.feed,
        suspect.source,
        suspect.asset_ref,
        suspect.asset_key,
        suspect.territory,
        cast(sum(suspect.observations) as bigint) as observations,
        min(suspect.first_observed_at) as first_observed_at,
        max(suspect.last_observed_at) as last_observed_at,
        list(distinct suspect.properties) as properties,
        -- Declared to stand for an equipment that nobody has described.
        bool_or(coalesce(code.origin = 'crosswalk', false)) as is_crosswalk_unresolved
    from suspect
    asof left join {{ ref('core__asset_code') }} as code
        on suspect.asset_key = code.asset_key and suspect.first_observed_at >= code.valid_from
    where code.asset_id is null
    group by suspect.feed, suspect.source, suspect.asset_ref, suspect.asset_key, suspect.territory
),

-- The same code but for case, dashes, spaces and leading zeros (`l-0012` and `L12`), where one known code alone reads so.
alike as (
    select
        territory,
        {{ bare_code('asset_ref') }} as bare,
        min(asset_key) as asset_key
    from {{ ref('core__asset') }}
    group by territory, {{ bare_code('asset_ref') }}
    having count(*) = 1
)

select
    unknown.feed,
    unknown.source,
    unknown.asset_ref,
    unknown.asset_key,
    unknown.territory,
    unknown.observations,
    unknown.first_observed_at,
    unknown.last_observed_at,
    array_to_string(list_sort(list_distinct(string_split(array_to_string(unknown.properties, ', '), ', '))), ', ') as properties,
    unknown.is_crosswalk_unresolved,
    alike.asset_key as suggested_asset_key
from unknown
left join alike on unknown.territory = alike.territory and {{ bare_code('unknown.asset_ref') }} = alike.bare
order by unknown.territory, unknown.asset_key, unknown.feed
