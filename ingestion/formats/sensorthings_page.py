"""OGC SensorThings: what is read of an observation, of a data array and of a page of them, in one pass.

Here: their shapes, as types that the JSON library fills, and which payloads may be read so. Not here: what becomes of them
(`sensorthings`), other entities (`sensorthings_entity`).
"""

from __future__ import annotations

from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct

ABSENT: Final = Raw()
UNUSUAL: Final = frozenset((dict, list, msgspec.UnsetType))
_NESTED: Final = (dict, list)
# Before and in its first entity a page says what it holds: enough to choose how it is read, for all are of one kind.
HEAD: Final = 2_048
NOT_PLAIN: Final = (b'"Datastream"', b'"MultiDatastream"', b'"dataArray"', b'"FeatureOfInterest"')
RESULT: Final = b'"result"'
_TIME: Final = b'"phenomenonTime"'


class Entry(Struct):
    """An observation, or a group of them as a data array: what is read of it, in one pass."""

    id: int | str | None = msgspec.field(default=None, name="@iot.id")
    phenomenon_time: str | None = msgspec.field(default=None, name="phenomenonTime")
    result_time: str | None = msgspec.field(default=None, name="resultTime")
    result: Any = UNSET
    result_quality: Any = msgspec.field(default=None, name="resultQuality")
    datastream: Raw = msgspec.field(default=ABSENT, name="Datastream")
    multi: Raw = msgspec.field(default=ABSENT, name="MultiDatastream")
    feature: Raw = msgspec.field(default=ABSENT, name="FeatureOfInterest")
    link: str | None = msgspec.field(default=None, name="Datastream@iot.navigationLink")
    multi_link: str | None = msgspec.field(default=None, name="MultiDatastream@iot.navigationLink")
    components: list[str] | None = None
    rows: list[list[Any]] | None = msgspec.field(default=None, name="dataArray")


class Plain(Struct, gc=False):
    """An observation of a page that is all of one datastream: less is read, and columns are made of it."""

    id: int | str | None = msgspec.field(default=None, name="@iot.id")
    phenomenon_time: str | None = msgspec.field(default=None, name="phenomenonTime")
    result_time: str | None = msgspec.field(default=None, name="resultTime")
    result: Any = UNSET
    result_quality: Any = msgspec.field(default=None, name="resultQuality")
    datastream: Raw = msgspec.field(default=ABSENT, name="Datastream")
    multi: Raw = msgspec.field(default=ABSENT, name="MultiDatastream")
    feature: Raw = msgspec.field(default=ABSENT, name="FeatureOfInterest")


class PlainPage(Struct):
    """A page of observations of one datastream."""

    value: list[Plain]
    next_link: str | None = msgspec.field(default=None, name="@iot.nextLink")


class Page(Struct):
    """A page of observations."""

    value: list[Entry]
    next_link: str | None = msgspec.field(default=None, name="@iot.nextLink")


read_plain: Final = msgspec.json.Decoder(PlainPage).decode
_read_page: Final = msgspec.json.Decoder(Page).decode
read_entry: Final = msgspec.json.Decoder(Entry).decode
read_entries: Final = msgspec.json.Decoder(list[Entry]).decode


def quickly(payload: bytes) -> tuple[list[Entry], str | None] | None:
    """Return the entries of a page of observations or a single one, and the page's next link; None when a closer look is needed."""
    is_page = b'"value"' in payload[:HEAD]
    try:
        page = _read_page(payload) if is_page else Page([read_entry(payload)])
    except (ValueError, RecursionError):  # msgspec.DecodeError, its ValidationError and UnicodeDecodeError are ValueErrors
        return None
    entries = page.value
    # As many results as the text has; else a name stands twice in an entry, or the entries are no observations.
    results = sum(e.result is not UNSET or (e.components is not None and "result" in e.components) for e in entries)
    if results != len(entries) or payload.count(RESULT) != results:
        return None
    # What is nested may be nested too deep, or say a name twice.
    held = {type(e.result) for e in entries} | {type(e.result_quality) for e in entries}
    for entry in entries:
        held.update(map(type, chain.from_iterable(entry.rows or ())))
    if not held.isdisjoint(_NESTED):
        return None
    if not any(bytes(e.datastream) or bytes(e.multi) or e.components for e in entries):
        times = sum(e.phenomenon_time is not None for e in entries)
        if payload.count(_TIME) != times:
            return None
    return entries, page.next_link
