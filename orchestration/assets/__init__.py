"""Dagster's assets: one file per kind. Parsing and SQL live elsewhere (`ingestion`, `dbt_project`)."""
