{# What holds of every row: those of which it does not, or of which it cannot be told, are told. #}
{% test row_rule(model, expression) %}
select *
from {{ model }}
where ({{ expression }}) is not true
{% endtest %}
