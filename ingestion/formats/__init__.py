"""File formats: bytes to source tables that DuckDB can read.

Here: finding out what a file is from its content, bounding it, and exposing its records as written. Not here: what the
records mean (`ingestion.mapping`), where the files come from (`ingestion.connectors`).
"""

from ingestion.formats.model import Bounds, SourceTable
from ingestion.formats.opening import open_sources

__all__ = ["Bounds", "SourceTable", "open_sources"]
