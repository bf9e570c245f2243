"""GTFS-Realtime: a message to its entities, in its binary form, its JSON form or its text form.

Here: the forms, the header, which entity is read by whom. Not here: what an entity says (`gtfs_rt_vehicle`, `gtfs_rt_trip`,
`gtfs_rt_alert`), the timetable (GTFS).

`decode` follows `ingestion.formats.wire.Decoder`. Entities stand for themselves, so that a differential message is read as a full one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf import json_format, text_format  # type: ignore[import-untyped] # the library ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # likewise
from google.transit.gtfs_realtime_pb2 import FeedMessage

from ingestion.formats.gtfs_rt_alert import Said, add_alert
from ingestion.formats.gtfs_rt_json import parse
from ingestion.formats.gtfs_rt_names import REASONS, Feed, Refused, micros, refused, text_of
from ingestion.formats.gtfs_rt_trip import StopColumns, add_trip
from ingestion.formats.gtfs_rt_vehicle import add_vehicle
from ingestion.formats.wire import ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json

# The library reads text at some 1 MB/s, a second for what people write by hand or a tool prints to look at.
_LONGEST_TEXT: Final = 1024 * 1024
_TEXT: Final = re.compile(rb"\s*(?:#|(?:header|entity)\s*[:{])")


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,  # noqa: ARG001 - a message says itself what it holds; other formats need it
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`): a record is an entity."""
    try:
        message, failed = _read(payload, options)
        entities = message.entity
        if len(entities) > options.max_records:
            raise refused("too_many", len(entities))
        feed = Feed(batch, _sent(message.header), received_at)
        if not entities:
            now = feed.now()
            quality = None if feed.sent is not None else "uncertain"
            batch.observations.append(ObservationRow(after + 1, "feed:gtfs-rt", "entities", now, 0.0, None, "{count}", quality))
            return 1
    except (Refused, Unreadable) as error:
        reason, detail = error.args
        batch.reject(after + 1, reason, detail)  # bytes cannot be quoted; the message itself is kept
        return 1
    stops, said = StopColumns(), set[tuple[str, str, int]]()
    for position, entity in enumerate(entities, start=after + 1):
        # An entity's own rows: `batch.mark` counts all contracts, which takes a fifth of the time of a vehicle.
        rows, assets, rejects = len(batch.observations), len(batch.assets), len(batch.rejects)
        if failed and (lost := failed.get(position - after - 1)) is not None:
            reason, detail = lost[0].args
            if options.personal:  # which of its members are personal cannot be told
                batch.reject(position, reason, REASONS[reason])
            else:
                batch.reject(position, reason, detail, lost[1][:QUOTED_BYTES])
            continue
        try:
            _entity(entity, position, feed, stops, said)
        except Refused as error:
            del batch.observations[rows:], batch.assets[assets:], batch.rejects[rejects:]
            reason, detail = error.args
            batch.reject(position, reason, detail, _original(entity))
    stops.flush(feed)
    return len(entities)


def _read(payload: bytes, options: WireOptions) -> tuple[Any, dict[int, tuple[Refused, str]]]:
    """Return a message without its personal fields, and why entities of it cannot be read, by their place.

    Raises:
        Refused, Unreadable: it is none.
    """
    if len(payload) > options.max_bytes:
        raise refused("too_large", f"{len(payload):,} bytes")
    message, failed = FeedMessage(), dict[int, tuple[Refused, str]]()
    try:
        if payload[:64].lstrip()[:1] == b"{" or payload[:3] == b"\xef\xbb\xbf":
            failed = parse(read_json(payload, options), message)
        elif _TEXT.match(payload):
            if len(payload) > _LONGEST_TEXT:
                raise refused("too_large", f"{len(payload):,} bytes of text")
            text_format.Parse(payload.decode(), message, allow_unknown_field=True)
        else:
            message.ParseFromString(payload)
    except (DecodeError, text_format.ParseError, ValueError, TypeError, RecursionError) as error:
        raise refused("not_gtfs_rt", error) from error
    if not message.HasField("header"):
        raise refused("no_header")
    if options.personal:
        _forget(message, options.personal)
    return message, failed


def _forget(message: Any, personal: frozenset[str]) -> None:
    for field, value in message.ListFields():
        if field.name in personal:
            message.ClearField(field.name)
        elif field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                _forget(inner, personal)


def _sent(header: Any) -> int | None:
    """Return the header's timestamp in seconds; None where it has none.

    Raises:
        Refused: it is none.
    """
    seconds: int = header.timestamp
    if not seconds:
        return None
    micros(seconds)
    return seconds


def _entity(entity: Any, position: int, feed: Feed, stops: StopColumns, said: Said) -> None:
    """Append what an entity says.

    Raises:
        Refused: nothing of it can be stored.
    """
    if not entity.id:
        raise refused("no_id")
    is_over = entity.is_deleted
    if is_over and not entity.HasField("alert"):
        raise refused("deleted")
    if entity.HasField("vehicle"):
        add_vehicle(entity.vehicle, position, feed)
    if entity.HasField("trip_update"):
        add_trip(entity.trip_update, position, feed, stops)
    if entity.HasField("alert"):
        add_alert(entity.alert, text_of(entity.id), position, feed, said, is_over=is_over)
    elif not (entity.HasField("vehicle") or entity.HasField("trip_update")):
        raise refused("not_read" if any(entity.HasField(n) for n in ("shape", "stop", "trip_modifications")) else "empty_entity")


def _original(entity: Any) -> str:
    """Return an entity as JSON, shortened; one whose texts are no UTF-8 in protobuf's text form, which escapes them."""
    try:
        written: str = json_format.MessageToJson(entity, indent=None, preserving_proto_field_name=True)
    except (ValueError, TypeError):
        written = str(entity)
    return written[:QUOTED_BYTES].replace("\0", "\ufffd")


__all__ = ["REASONS", "decode"]
