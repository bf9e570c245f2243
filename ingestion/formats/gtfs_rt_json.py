"""GTFS-Realtime: the JSON of senders that did not make it from the norm's messages.

Here: numbers where the norm has texts and the reverse, a message inside an answer, an entity that fits nowhere. Not here: the binary
and the text form, and JSON as the norm's libraries write it, which the library reads in one pass (`gtfs_rt`).

The norm has no JSON form. Libraries make one of its messages; networks also write their own, with the same names: identifiers as numbers,
instants with decimals, one stop where the norm has a list, the message inside an answer (`{"status": "OK", "response": {…}}`).
"""

from __future__ import annotations

import math
from typing import Any, Final

from google.protobuf import json_format  # type: ignore[import-untyped] # the library ships no types
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped] # likewise

from ingestion.formats.gtfs_rt_names import Refused, refused
from ingestion.formats.wire_values import number_of, to_json

_NEVER_NEGATIVE: Final = frozenset((FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64))
_WHOLE: Final = frozenset((*_NEVER_NEGATIVE, FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64))
_TRUTHS: Final = {"true": True, "false": False, "1": True, "0": False}
_EXACT: Final = 2**53  # past it a double does not hold every integer: what is written is left as it is
_ERRORS: Final = (json_format.ParseError, ValueError, TypeError, RecursionError)


def parse(document: Any, message: Any) -> dict[int, tuple[Refused, str]]:
    """Fill a message; an entity that cannot be read stays empty in its place.

    Args:
        document: decoded JSON.
        message: an empty `FeedMessage`.

    Returns:
        Why an entity cannot be read, and what it says, by its place among the entities.

    Raises:
        Refused: none of the message can be read.
    """
    try:
        json_format.ParseDict(document, message, ignore_unknown_fields=True)
        if message.HasField("header"):
            return {}
    except _ERRORS:
        pass  # what it does not take is looked at, member by member
    message.Clear()
    document = _inside(document)
    if type(document) is not dict:
        raise refused("not_gtfs_rt")
    head, found = document.get("header"), document.get("entity")
    try:
        if head is not None:
            message.header.SetInParent()
            json_format.ParseDict(_fitted(head, message.header.DESCRIPTOR), message.header, ignore_unknown_fields=True)
    except _ERRORS as error:
        raise refused("not_gtfs_rt", error) from error
    failed = {}
    for place, one in enumerate(found if type(found) is list else [] if found is None else [found]):
        entity = message.entity.add()
        try:
            json_format.ParseDict(_fitted(one, entity.DESCRIPTOR), entity, ignore_unknown_fields=True)
        except _ERRORS as error:
            entity.Clear()
            failed[place] = refused("invalid_entity", error), to_json(one)
    return failed


def _inside(document: Any) -> Any:
    """Return the message that an answer holds; the document itself where it holds none."""
    if type(document) is not dict or "header" in document:
        return document
    held = [v for v in document.values() if type(v) is dict and "header" in v]
    return held[0] if len(held) == 1 else document


def _fitted(value: Any, descriptor: Any) -> Any:
    """Return decoded JSON with the types that a message's fields have; what is null is not stated.

    Raises:
        TypeError: a message is no object.
    """
    if type(value) is not dict:
        raise TypeError(f"{descriptor.name} is no object")
    fields, camel = descriptor.fields_by_name, descriptor.fields_by_camelcase_name
    fitted = {}
    for name, inner in value.items():
        field = fields.get(name) or camel.get(name)
        if field is None or inner is None:
            continue
        if field.is_repeated:
            many = [_one(v, field) for v in (inner if type(inner) is list else [inner])]
            fitted[name] = [v for v in many if v is not None]
        elif (one := _one(inner, field)) is not None:
            fitted[name] = one
    return fitted


def _one(value: Any, field: Any) -> Any:
    """Return a value with its field's type; None where it says nothing, itself where it cannot be made to fit."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        # `false`, "" and [] stand for a message that is not there.
        return _fitted(value, field.message_type) if value or type(value) is dict else None
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return str(value) if type(value) in (int, float) else value
    if value == "":
        return None
    if kind in _WHOLE:
        return _whole(value, kind)
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return _TRUTHS.get(str(value).lower(), value)
    if kind == FieldDescriptor.CPPTYPE_ENUM and type(value) is str:
        return int(value) if value.isdecimal() else value.upper()
    return value


def _whole(value: Any, kind: int) -> Any:
    """Return a whole number: decimals of a second are cut off; below 0 where nothing is (a stop's sequence of -1) says none."""
    number = number_of(value) if type(value) is str else value
    if type(number) is float and math.isfinite(number) and abs(number) < _EXACT:
        number = math.floor(number)
    if type(number) is not int:
        return value
    return None if number < 0 and kind in _NEVER_NEGATIVE else number


__all__ = ["parse"]
