"""Connectors: bytes from elsewhere, as local files.

Here: files, REST sources and databases fetched into a work folder. Not here: what the bytes mean (`ingestion.formats`), and the
cursors' keeping: they are committed with the rows they fetched (`ingestion.landing`).
"""

from ingestion.connectors.fetching import fetch
from ingestion.connectors.model import Fetched, FetchFailed, Limits

__all__ = ["FetchFailed", "Fetched", "Limits", "fetch"]
