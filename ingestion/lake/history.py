"""Rows of the past in the order they were about: what rules are tried on.

Here: reading `raw.observation` and `raw.report` in batches. Not here: what is made of them (`orchestration.alerts.history`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect

_LIMITS: Final = EngineLimits(memory_limit="1GB", threads=2)
_BATCH: Final = 50_000


def observations(
    address: LakeAddress, start: dt.datetime, end: dt.datetime, *, feeds: Sequence[str], properties: Sequence[str] | None
) -> Iterator[tuple[Any, ...]]:
    """Yield observations of some feeds and properties (None: all) in [start, end), the oldest first.

    Each is (feed, source, asset_ref, property, observed_at, value, value_text, unit, message_id), the instant in microseconds since 1970.

    Raises:
        VigieError: the lake does not answer.
    """
    named = "" if properties is None else "AND property IN (SELECT unnest(?))"
    sql = f"""
        SELECT feed, source, asset_ref, property, epoch_us(observed_at), value, value_text, unit, message_id
        FROM {ALIAS}.raw.observation
        WHERE feed IN (SELECT unnest(?)) AND observed_at >= ? AND observed_at < ? {named}
        ORDER BY observed_at, feed, asset_ref, property, landing_seq, position
    """
    parameters: list[Any] = [list(feeds), start, end, *([] if properties is None else [list(properties)])]
    yield from _rows(address, sql, parameters)


def reports(address: LakeAddress, start: dt.datetime, end: dt.datetime, *, feeds: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield reports of some feeds as they were revised in [start, end), the oldest first.

    Each is (feed, source, report_ref, category, subcategory, description, opened_at, closed_at, status, commune, street, longitude,
    latitude, asset_ref, duplicate_of, revised_at), instants in microseconds since 1970.

    Raises:
        VigieError: the lake does not answer.
    """
    sql = f"""
        SELECT feed, source, report_ref, category, subcategory, description, epoch_us(opened_at), epoch_us(closed_at), status, commune,
            street, longitude, latitude, asset_ref, duplicate_of, epoch_us(coalesce(revised_at, opened_at)) AS told_at
        FROM {ALIAS}.raw.report
        WHERE feed IN (SELECT unnest(?)) AND coalesce(revised_at, opened_at) >= ? AND coalesce(revised_at, opened_at) < ?
        ORDER BY told_at, feed, report_ref, landing_seq, position
    """
    yield from _rows(address, sql, [list(feeds), start, end])


def _rows(address: LakeAddress, sql: str, parameters: list[Any]) -> Iterator[tuple[Any, ...]]:
    with connect(address, limits=_LIMITS, read_only=True) as con:
        found = con.execute(sql, parameters)
        while rows := found.fetchmany(_BATCH):
            yield from rows
