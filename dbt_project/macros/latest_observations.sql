{#
  CTEs that end in `latest`: the latest revision of each observation of the touched days, of the properties that have a
  `told` column (`value` or `value_text`) there.

  It reads the raw table itself, up to the landing that the staging view shows. Revisions are rare: ranking every key of a
  year took 55 s, finding the few that come more than once 4 s. So only those are ranked, by the rule of stg_observation (two
  keys of one hash are ranked too, and both kept).
#}
{% macro latest_observations(observation, told) -%}
landed as not materialized (
    {{ touched_rows(observation, 'observed_at', where=landed_by_staging('observation')) }}
),

-- A property is mostly figures or mostly words: the other kind is not even read.
spoken as materialized (
    select distinct property from landed
    where {{ told }} is not null
),

keyed as not materialized (
    select
        *,
        hash(feed, asset_ref, property, observed_at) as key_hash
    from landed
    where property in (select spoken.property from spoken)
),

revised as materialized (
    select key_hash
    from keyed
    group by key_hash
    having count(*) > 1
),

latest as not materialized (
    select * from keyed
    where key_hash not in (select revised.key_hash from revised)
    union all
    select * from (
        select * from keyed
        where key_hash in (select revised.key_hash from revised)
        qualify {{ latest_revision('feed, asset_ref, property, observed_at') }}
    ) as ranked
)
{%- endmacro %}
