"""Nested JSON to flat records: dotted names, exploded arrays.

Here: the shape of records, on values already decoded. Not here: files.

A record's own fields keep their names, `{"a": {"b": 1}}` giving `a.b`; along a records path every record also sees the
scalar fields of what encloses it, under their path from the top. Arrays that are not exploded stay JSON text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

KEY: Final = "_key"
VALUE: Final = "_value"

Flat = dict[str, str | None]


class Number(str):
    """A number as it was written: `1.10` stays `1.10`, and no digit of an identifier is lost."""

    __slots__ = ()


class TooDeep(Exception):
    """A value is nested deeper than the bound."""


class NoSuchPath(Exception):
    """The records path leads nowhere; the argument says where it stops."""


def _encode_number(value: Any) -> msgspec.Raw:
    if isinstance(value, Number):
        return msgspec.Raw(value.encode())
    # msgspec asks so of a type that cannot be written.
    raise NotImplementedError(type(value))


_DECODER: Final = msgspec.json.Decoder(float_hook=Number)
_ENCODER: Final = msgspec.json.Encoder(enc_hook=_encode_number)


def decode(data: bytes | str) -> Any:
    """Decode JSON, numbers kept as written (except integers' leading minus zero).

    Raises:
        ValueError: it is not JSON (`msgspec.DecodeError` and `UnicodeDecodeError` are of this kind).
        RecursionError: it is nested deeper than any bound.
    """
    return _DECODER.decode(data)


def to_json(value: Any) -> str:
    """Return a decoded value as JSON text again."""
    return _ENCODER.encode(value).decode()


def text(value: Any) -> str | None:
    """Return a decoded value as text: strings as they are, null as None, the rest as JSON."""
    if value is None:
        return None
    if isinstance(value, str):
        return str(value)
    return to_json(value)


def flatten(value: Any, depth: int) -> Flat:
    """Return one record: an object by dotted names, an array by `_1`, `_2`…, a scalar as `_value`.

    Raises:
        TooDeep: nested deeper than `depth`.
    """
    out: Flat = {}
    if isinstance(value, dict):
        _flatten_object(value, "", out, depth, arrays=True)
    elif isinstance(value, list):
        out.update((f"_{i}", text(v)) for i, v in enumerate(value, start=1))
    else:
        out[VALUE] = text(value)
    return out


def _flatten_object(value: dict[str, Any], prefix: str, out: Flat, depth: int, *, arrays: bool, skip: str | None = None) -> None:
    if depth <= 0:
        raise TooDeep
    for key, item in value.items():
        if key == skip:
            continue
        if isinstance(item, dict) and item:
            _flatten_object(item, f"{prefix}{key}.", out, depth - 1, arrays=arrays)
        elif arrays or not isinstance(item, list):
            out[f"{prefix}{key}"] = text(item)


def records(document: Any, path: str | None, depth: int) -> Iterator[tuple[Flat, Any]]:
    """Yield the records of a document, each with what it sees of what encloses it.

    Args:
        document: the decoded document. The elements of an array are records (or documents, where there is a path).
        path: names separated by dots, each an array to explode or an object to enter; `*` for the values of an object,
            whose key is then seen as `_key` (or for the elements of an array inside an array).
        depth: how deep objects may nest.

    Raises:
        NoSuchPath: a step of the path is nowhere in the document.
        TooDeep: nested deeper than `depth`.
    """
    steps = path.split(".") if path else []
    walk = _Walk(steps, depth)
    for root in _items(document):
        yield from walk.records(root, 0, "", {})
    for at, step in enumerate(steps):
        if walk.sought[at] and not walk.found[at]:
            raise NoSuchPath(step if not at else f"{step} (under {'.'.join(steps[:at])})")


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


class _Walk:
    def __init__(self, steps: list[str], depth: int) -> None:
        self._steps, self._depth = steps, depth
        self.sought, self.found = [0] * len(steps), [0] * len(steps)

    def records(self, node: Any, at: int, prefix: str, context: Flat) -> Iterator[tuple[Flat, Any]]:
        if at == len(self._steps):
            yield context, node
            return
        step = self._steps[at]
        if isinstance(node, list):  # an array directly inside an array: entered by `*`, or on the way to a name
            for item in node:
                yield from self.records(item, at + (step == "*"), prefix, context)
            return
        self.sought[at] += 1
        if not isinstance(node, dict) or (step != "*" and step not in node):
            return
        self.found[at] += 1
        if step == "*":
            name = KEY if KEY not in context else f"{KEY}_{at + 1}"
            for key, value in node.items():
                for item in _items(value):
                    yield from self.records(item, at + 1, prefix, {**context, name: key})
            return
        seen = dict(context)
        _flatten_object(node, prefix, seen, self._depth, arrays=False, skip=step)
        for item in _items(node[step]):
            yield from self.records(item, at + 1, f"{prefix}{step}.", seen)
