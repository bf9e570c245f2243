"""Rows that are canonical already: what another instance, a migration or the simulator writes.

Here: the contract that reads such a file. Not here: reading it (the same path as any other file).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ingestion.contracts.units import COLUMN_UNITS
from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed, FieldSpec, FieldType, FileConnector, FormatSpec, MapTo
from ingestion.mapping.expressions import check_expression

_TYPES: Final[dict[str, FieldType]] = {
    "VARCHAR": "string",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMPTZ": "datetime",
}


def canonical_feed(feed: Feed, columns: Iterable[str]) -> Feed:
    """Return a feed's contract as it reads a file whose columns are those of its canonical contract, in the lake's units.

    Canonical columns that the feed fills from personal ones are not read: they may not enter the main lake.

    Raises:
        WrongUse: the file lacks a column that the canonical contract requires.
    """
    contract = feed.canonical
    present = [c for c in columns if c in contract.columns and c not in _personal(feed)]
    missing = [c for c in contract.required if c not in present]
    if missing:
        raise WrongUse(
            f"the file has no column {missing[0]}, which rows of contract {contract.name} need",
            remedy=f"--canonical reads the columns of docs/architecture.md: {', '.join(contract.columns)}",
        )
    return feed.model_copy(
        update={
            "connector": FileConnector(),
            "format": FormatSpec(type="parquet"),
            "missingValues": [""],
            "decimalChar": ".",
            "dates": [],
            "time_zone": "UTC",
            "fields": [FieldSpec(name=c, type=_TYPES[contract.columns[c]]) for c in present],
            "mapping": {c: MapTo(column=c, unit=COLUMN_UNITS.get(c)) for c in present},
            "measures": [],
            "filter": None,
        }
    )


def _personal(feed: Feed) -> set[str]:
    """Return the canonical columns that the feed fills from personal columns."""
    declared = {f.name for f in feed.fields}
    found = set()
    for name, how in feed.mapping.items():
        used = {how.column} if how.column else check_expression(how.sql, declared) if how.sql else set()
        if used & feed.personal_columns:
            found.add(name)
    return found
