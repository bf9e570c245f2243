select
    feed,
    landing_seq,
    position,
    scope,
    reason,
    detail,
    received_at,
    received_on
from {{ source('raw', 'rejected') }}
where {{ landed() }}
