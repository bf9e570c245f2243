-- Since when a territory's failures can be known: the first of what could have told of one. Before, an inventory that goes back
-- to 1980 would say that nothing failed, when nobody was asked.
select
    territory,
    min(first_at) as first_at
from (
    select
        territory,
        started_at as first_at
    from {{ ref('core__failure_evidence') }}
    union all
    select
        territory,
        opened_at
    from {{ ref('core__report') }}
    where fault_type is not null
    union all
    select
        territory,
        requested_at
    from {{ ref('core__intervention') }}
    union all
    select
        territory,
        first_observed_at
    from {{ ref('core__asset_seen_daily') }}
    where
        feed in (
            select rule.feed from {{ source('raw', 'feed_state_rule') }} as rule
        )
) as told
group by territory
order by territory
