"""Columns of typed JSON records: what the quick ways of several formats share.

Here: from msgspec's structs to columns, texts and instants of a whole column at once. Not here: which members a format has. What cannot be
told by column raises `CloserLook`: the format then reads the same message record by record.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.formats.wire_local import micros

UNSET: Final = msgspec.UNSET
_SHORTEST_INSTANT: Final = 17  # "2026-11-22T08:00Z"
_INSTANT: Final = pa.timestamp("us", "UTC")
_EARLIEST: Final = micros(EARLIEST)
_LATEST: Final = micros(LATEST)
_ESCAPED_COLON: Final = b"\\u003"  # begins the escape of a colon, which a text then holds and the message does not show
_NO_TEXT: Final = pa.scalar(None, pa.string())


class CloserLook(Exception):
    """A message that is not for the quick way."""


def columns_of(payload: bytes, records: Sequence[msgspec.Struct], read: Iterable[str]) -> dict[str, Sequence[Any]]:
    """Return the values of the members that are read, by name, None where a record has none.

    Args:
        payload: the message.
        records: structs of one class, which forbids unknown members and whose members are scalars, `UNSET` where absent.
        read: the members wanted.

    Raises:
        CloserLook: the message says a name twice, or may: of two members of one name the decoder keeps the last, so the colons of
            the message must be those of its members and those within its texts.
    """
    wanted = frozenset(read)
    columns: dict[str, Sequence[Any]] = {}
    members = colons = 0
    names = records[0].__struct_encode_fields__
    for name, values in zip(names, zip(*map(msgspec.structs.astuple, records), strict=True), strict=True):
        absent = values.count(UNSET)
        members += len(values) - absent
        colons += _colons(values)
        if name in wanted:
            columns[name] = [None if v is UNSET else v for v in values] if absent else values
    if payload.count(b":") != members + colons or _ESCAPED_COLON in payload:
        raise CloserLook
    return columns


def texts(values: Sequence[Any]) -> pa.Array:
    """Return texts without the spaces around them, None for those that say nothing; integers are their digits."""
    if values.count(None) == len(values):
        return pa.nulls(len(values), pa.string())
    if int in set(map(type, values)):
        values = [None if v is None else str(v) for v in values]
    found = pc.utf8_trim_whitespace(pa.array(values, pa.string()))
    return pc.if_else(pc.equal(found, ""), _NO_TEXT, found)


def instants(*columns: Sequence[Any]) -> list[pa.Array]:
    """Return columns of instants as microseconds since 1970, UTC; None where there is none.

    Raises:
        CloserLook: one carries no offset, or lies outside the contract's bounds.
        pa.ArrowInvalid: one is no ISO 8601 instant.
    """
    # All at once: on some hundred records what Arrow takes is its calls.
    found = pa.array(itertools.chain.from_iterable(columns), pa.string())
    if found.null_count < len(found):
        # A time without offset Arrow refuses; a day alone it takes for midnight, UTC.
        if pc.min(pc.binary_length(found)).as_py() < _SHORTEST_INSTANT:
            raise CloserLook
        moments = found.cast(_INSTANT).cast(pa.int64())
        bounds = pc.min_max(moments)
        if bounds["min"].as_py() < _EARLIEST or bounds["max"].as_py() >= _LATEST:
            raise CloserLook
    else:
        moments = pa.nulls(len(found), pa.int64())
    length = len(columns[0])
    return [moments.slice(n * length, length) for n in range(len(columns))]


def _colons(values: Sequence[Any]) -> int:
    try:
        text = "".join(values)
    except TypeError:
        text = "".join([v for v in values if type(v) is str])
    return text.count(":")
