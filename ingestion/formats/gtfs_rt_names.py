"""GTFS-Realtime: what all its entities share: identities, instants and their trust, texts, names of enumerated values.

Here: small functions over protobuf messages. Not here: which rows they become (`gtfs_rt_vehicle`, `gtfs_rt_trip`, `gtfs_rt_alert`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from ingestion.formats.wire import ObservationRow, WireBatch
from ingestion.formats.wire_values import is_too_long

REASONS: Final[dict[str, str]] = {
    "too_large": "the message is longer than a message may be",
    "too_many": "more entities than a message may hold",
    "not_gtfs_rt": "neither the binary, the JSON nor the text form of a GTFS-Realtime message",
    "no_header": "a message without header: nothing says that it is GTFS-Realtime",
    "invalid_entity": "a member of the entity has another type than GTFS-Realtime gives it",
    "no_id": "an entity without id, which GTFS-Realtime requires",
    "deleted": "the source withdrew the entity, and does not say what it was about",
    "not_read": "a shape, a stop or a modification of trips: experimental, and a matter of the timetable",
    "empty_entity": "an entity that holds nothing",
    "no_vehicle": "a position without vehicle or trip: whose it is cannot be known",
    "no_trip": "an update without trip or route: what it is about cannot be known",
    "no_informed_entity": "an alert that says of nothing that it concerns it",
    "no_stop": "an update of a stop that states neither its sequence nor its id",
    "no_instant": "nothing dates it",
    "not_an_instant": "not seconds since 1970",
    "in_the_future": "later than the message that holds it",
    "invalid_position": "no place on Earth, or the one where no satellite was heard (0, 0)",
    "out_of_range": "a number that the quantity cannot have",
    "not_utf8": "a text that is not UTF-8",
    "nul_character": "a NUL character, which no database stores",
    "text_too_long": "a text longer than the lake holds (32 KiB)",
}
GOOD: Final = "good"
UNCERTAIN: Final = "uncertain"
BAD: Final = "bad"
# Best practices of GTFS-Realtime: what a message holds should be at most 90 seconds old (vehicles, trips).
FRESH_S: Final = 90
# A bus in town makes some 18 km/h: in five minutes 1.5 km, three or four stops. Such a position no longer says where it is.
STALE_S: Final = 300
# How far clocks of vehicles and of the server may differ: MobilityData's validator allows the same minute (E050).
AHEAD_S: Final = 60
# GTFS dates from 2005: an earlier number is no date. After 2100 it counts milliseconds, the usual error (validator, E001).
_FIRST_S: Final = 1_104_537_600
_LAST_S: Final = 4_102_444_800
MICRO: Final = 1_000_000


class Refused(Exception):
    """An entity, or a value of one, that cannot be read; the arguments are the reason and what people are told."""


def refused(reason: str, said: object = None) -> Refused:
    """Return the exception of a reason."""
    detail = REASONS[reason] if said is None else f"{REASONS[reason]}: {str(said)[:120]}"
    return Refused(reason, detail.replace("\0", "\ufffd"))  # what is quoted may hold the NUL that no database stores


@dataclass(slots=True)
class Feed:
    """What the entities of one message share.

    Attributes:
        batch: what rows are appended to.
        sent: the header's timestamp in seconds since 1970; None where it has none.
        received: when the broker stored the message, in microseconds since 1970.
    """

    batch: WireBatch
    sent: int | None
    received: int | None

    def now(self) -> int:
        """Return when the message was made, else when it came, in microseconds.

        Raises:
            Refused: neither is known.
        """
        if self.sent is not None:
            return self.sent * MICRO
        if self.received is None:
            raise refused("no_instant")
        return self.received

    def dated(self, seconds: int) -> tuple[int, str]:
        """Return the instant of an entity in microseconds, and how far it is trusted: see FRESH_S and STALE_S.

        Args:
            seconds: its timestamp; 0 where it has none.

        Raises:
            Refused: it is no instant, in the future of its message, or there is none.
        """
        if not seconds:
            return self.now(), UNCERTAIN
        at = micros(seconds)
        if self.sent is None:
            return at, UNCERTAIN  # how old it is cannot be known
        age = self.sent - seconds
        if age < -AHEAD_S:
            raise refused("in_the_future", f"by {-age} seconds")
        return at, GOOD if age <= FRESH_S else UNCERTAIN if age <= STALE_S else BAD


def micros(seconds: int) -> int:
    """Return seconds since 1970 as microseconds.

    Raises:
        Refused: they are none.
    """
    if not _FIRST_S <= seconds < _LAST_S:
        raise refused("not_an_instant", seconds)
    return seconds * MICRO


def iso(seconds: int) -> str:
    """Return seconds since 1970 as people and programs read an instant.

    >>> iso(1646696956)
    '2022-03-08T00:02:36+00:00'

    Raises:
        Refused: they are none.
    """
    return dt.datetime.fromtimestamp(micros(seconds) / MICRO, dt.UTC).isoformat()


def text_of(value: Any) -> str:
    """Return a text as the lake keeps it; empty where there is none.

    Raises:
        Refused: it is not UTF-8 (the library gives its bytes), holds a NUL, or is too long.
    """
    if not value:
        return ""
    if type(value) is not str:
        raise refused("not_utf8", value)
    if "\0" in value:
        raise refused("nul_character")
    if is_too_long(value):
        raise refused("text_too_long")
    return value


def trip_ref(trip: Any) -> str | None:
    """Return the reference of a trip: `trip:<id>`, and which run of it where that is stated; None when it says neither trip nor route.

    A trip of the timetable runs every day: with `start_date` (and `start_time`, for lines that run by frequency) it is one run.
    """
    identifier, route = text_of(trip.trip_id), text_of(trip.route_id)
    if not identifier and not route:
        return None
    ref = f"trip:{identifier}" if identifier else f"trip:route/{route}/{trip.direction_id}"
    date, time = text_of(trip.start_date), text_of(trip.start_time)
    return f"{ref}@{date}{'T' if date and time else ''}{time}" if date or time else ref


def vehicle_ref(vehicle: Any) -> str | None:
    """Return the reference of a vehicle: `vehicle:<id>`, else its label, else its plate; None when it states none."""
    named = text_of(vehicle.id) or text_of(vehicle.label) or text_of(vehicle.license_plate)
    return f"vehicle:{named}" if named else None


def in_french(translated: Any) -> str:
    """Return a text of several languages: the French one, else the first; empty where there is none."""
    first = ""
    for translation in translated.translation:
        text = text_of(translation.text)
        if text and text_of(translation.language).lower().startswith("fr"):
            return text
        first = first or text
    return first


def number(value: float, low: float, high: float) -> float:
    """Return a number of single precision, without the digits that doubling it adds.

    Raises:
        Refused: it is not finite, or outside its bounds.
    """
    if not math.isfinite(value) or not low <= value <= high:
        raise refused("out_of_range", value)
    return round(value, 6)


def name_of(message: Any, field: str) -> str:
    """Return the name of an enumerated field's value; its number where a later version of the norm added it."""
    return _name(message.DESCRIPTOR, field, getattr(message, field))


@lru_cache(maxsize=1_024)  # fields and values of the norm are some hundred; senders may add any number
def _name(descriptor: Any, field: str, value: int) -> str:
    found = descriptor.fields_by_name[field].enum_type.values_by_number.get(value)
    return str(value) if found is None else str(found.name)


def add_texts(feed: Feed, position: int, ref: str, at: int, quality: str | None, texts: Iterable[tuple[str, str]]) -> None:
    """Append texts of one asset; empty ones are none."""
    for name, text in texts:
        if text:
            feed.batch.observations.append(ObservationRow(position, ref, name, at, None, text, None, quality))
