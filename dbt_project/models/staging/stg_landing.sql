select
    landing_seq,
    feed,
    contract,
    stream,
    received_at,
    received_on,
    received,
    stored,
    duplicate,
    rejected,
    rejected_values,
    canonical_rows,
    first_event_at,
    last_event_at
from {{ source('raw', 'landing') }}
where {{ landed() }}
