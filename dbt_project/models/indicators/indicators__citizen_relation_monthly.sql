{{ citizen_relation('month') }}
