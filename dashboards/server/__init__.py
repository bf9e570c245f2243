"""What runs in Superset's own environment: its configuration, its one connection to the lake, its application.

Here: nothing that the rest of Vigie imports. Of Vigie, only `ingestion.lake` (the allow-list of queries, the lake's session) is
imported: it needs DuckDB, sqlglot and psycopg alone.
"""
