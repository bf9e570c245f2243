"""JSON messages: bytes to a document, within bounds, and without what is personal.

Here: JSON and its dangers. Not here: what any format says with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from ingestion.formats.wire import WireBatch, WireOptions

REASONS: Final[dict[str, str]] = {
    "too_large": "the message is longer than a message may be",
    "not_utf8": "the message is not UTF-8, which JSON is written in",
    "invalid_json": "the message is not JSON (NaN, Infinity and numbers past a double are none)",
    "too_deep": "the message is nested deeper than any real one",
    "duplicate_key": "an object holds the same name twice: which one is meant is not known",
}
# What a reject quotes of a message that cannot be read; `raw.message` or the file holds it whole.
QUOTED_BYTES: Final = 4_096
_DECODER: Final = msgspec.json.Decoder()
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_SPACED_COLONS: Final = (b" :", b"\n:", b"\r:", b"\t:")


class Unreadable(Exception):
    """A message that cannot be read; the arguments are its reason and what people are told."""


def quoted(payload: bytes, options: WireOptions) -> str | None:
    """Return what a reject quotes of a message: nothing where which of its bytes are personal cannot be told."""
    return None if options.personal else payload[:QUOTED_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")


def reject_unreadable(batch: WireBatch, after: int, error: Unreadable, payload: bytes, options: WireOptions) -> int:
    """Set a whole message aside as one record, and return 1: what a decoder returns for it."""
    reason, detail = error.args
    batch.reject(after + 1, reason, detail, quoted(payload, options))
    return 1


def read_json(payload: bytes, options: WireOptions) -> Any:
    """Return the document of a message.

    >>> read_json(b'{"a": [1, 2.5, null]}', WireOptions())
    {'a': [1, 2.5, None]}

    Raises:
        Unreadable: it is too long, nested too deep, no JSON, or says the same name twice.
    """
    if len(payload) > options.max_bytes:
        raise Unreadable("too_large", f"{len(payload):,} bytes: {REASONS['too_large']} ({options.max_bytes:,})")
    payload = payload.removeprefix(_BYTE_ORDER_MARK)
    try:
        document = _DECODER.decode(payload)
        keys = _survey(document, options.max_depth)
    except RecursionError as error:
        raise Unreadable("too_deep", f"{REASONS['too_deep']} ({options.max_depth})") from error
    except ValueError as error:  # msgspec.DecodeError and UnicodeDecodeError are of this kind
        reason = "invalid_json" if _is_utf8(payload) else "not_utf8"
        raise Unreadable(reason, f"{REASONS[reason]}: {error}") from error
    # The decoder keeps the last of two members of one name. Where members and `":` do not add up, a slower look tells. (Texts may
    # hold `":` and only make it more; white space before a colon would make it less.)
    if payload.count(b'":') != keys or any(space in payload for space in _SPACED_COLONS):
        _refuse_duplicates(payload)
    return document


def without(document: Any, names: Iterable[str]) -> Any:
    """Return a document without the members of these names, wherever they stand (no paths: `ngsi` has its own, for its own shapes)."""
    wanted = frozenset(names)
    if not wanted:
        return document
    if type(document) is list:
        return [without(v, wanted) for v in document]
    if type(document) is dict:
        return {k: without(v, wanted) for k, v in document.items() if k not in wanted}
    return document


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _survey(value: Any, left: int) -> int:
    """Return how many members the objects of a document hold.

    Raises:
        RecursionError: it is nested deeper than `left`.
    """
    kind = type(value)
    if kind is dict:
        keys = len(value)
        values = value.values()
    elif kind is list:
        keys = 0
        values = value
    else:
        return 0
    if left <= 0:
        raise RecursionError
    for inner in values:
        kind = type(inner)
        if kind is dict or kind is list:
            keys += _survey(inner, left - 1)
    return keys


def _refuse_duplicates(payload: bytes) -> None:
    def pairs(members: list[tuple[str, Any]]) -> None:
        names = {name for name, _ in members}
        if len(names) < len(members):
            raise Unreadable("duplicate_key", REASONS["duplicate_key"])

    # Numbers are not looked at: the fast decoder has read them, and int() would refuse very long ones.
    json.loads(payload, object_pairs_hook=pairs, parse_int=str, parse_float=str)
