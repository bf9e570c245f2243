-- A work order names the report it answers. References are those of the source system the two feeds share; failing that,
-- of any feed of the territory. A reference that several feeds know is taken from the first of them by name.
with report as (
    select
        report_key,
        root_report_key,
        report_ref,
        feed,
        source,
        territory
    from {{ ref('core__report') }}
)

select
    intervention.intervention_key,
    arg_min(report.report_key, (cast(report.source <> intervention.source as integer), report.feed)) as report_key,
    arg_min(report.root_report_key, (cast(report.source <> intervention.source as integer), report.feed)) as root_report_key
from {{ ref('core__intervention') }} as intervention
inner join report on intervention.territory = report.territory and intervention.report_ref = report.report_ref
group by intervention.intervention_key
order by intervention.intervention_key
