{{ citizen_relation('day') }}
