"""The alarms in PostgreSQL: exactly one live alarm per key, an append-only journal, what people do."""
