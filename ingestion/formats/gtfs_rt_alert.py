"""GTFS-Realtime: a service alert to observations of what it concerns.

Here: `Alert`. Not here: warnings of weather or floods, which come as CAP (`cap`).
"""

from __future__ import annotations

from typing import Any

from ingestion.formats.gtfs_rt_names import GOOD, UNCERTAIN, Feed, add_texts, in_french, iso, micros, name_of, refused, text_of, trip_ref
from ingestion.formats.wire import ObservationRow

Said = set[tuple[str, str, int]]


def add_alert(found: Any, identifier: str, position: int, feed: Feed, said: Said, *, is_over: bool) -> None:
    """Append what an alert says of each route, stop or trip that it concerns: `alert.<effect>`, 1 from its start, 0 from its end.

    Args:
        found: the alert.
        identifier: its entity's id.
        position: of the record.
        feed: what the message's entities share.
        said: (asset, property, instant) of the alerts before: another of the same effect gets its id in its name.
        is_over: the source withdrew it.

    Raises:
        Refused: nothing of it can be stored; nothing was appended.
    """
    refs = list(dict.fromkeys(ref for informed in found.informed_entity if (ref := _ref(informed)) is not None))
    if not refs:
        raise refused("no_informed_entity")
    header = in_french(found.header_text)
    changes = [(feed.now(), 0.0, GOOD)] if is_over else _changes(found, feed)
    texts = [
        ("cause", name_of(found, "cause") if found.HasField("cause") else ""),
        ("severity", name_of(found, "severity_level") if found.HasField("severity_level") else ""),
        ("until", iso(end) if (end := max((p.end for p in _periods(found)), default=0)) else ""),
        ("description", in_french(found.description_text)),
        ("url", in_french(found.url)),
    ]
    effect = f"alert.{name_of(found, 'effect').lower()}"
    for ref in refs:
        name = f"{effect}@{identifier}" if any((ref, effect, at) in said for at, _, _ in changes) else effect
        for at, value, quality in changes:
            said.add((ref, name, at))
            feed.batch.observations.append(ObservationRow(position, ref, name, at, value, header or None, "1", quality, identifier))
        at, _, quality = changes[0]
        add_texts(feed, position, ref, at, quality, ((f"{name}.{what}", text) for what, text in texts))


def _periods(found: Any) -> Any:
    return found.active_period or found.impact_period


def _changes(found: Any, feed: Feed) -> list[tuple[int, float, str]]:
    """Return when the alert begins (1) and ended (0): an end to come may still be moved, and is told as a text."""
    now = feed.now()
    changes: dict[int, tuple[float, str]] = {}
    for period in _periods(found):
        begin = (micros(period.start), GOOD) if period.start else (now, UNCERTAIN)
        if period.end and micros(period.end) <= now:
            changes.setdefault(micros(period.end), (0.0, GOOD))
            if not period.start:
                continue  # over, since when it was there is not known
        changes[begin[0]] = (1.0, begin[1])
    if not changes:
        changes[now] = (1.0, UNCERTAIN)
    return [(at, value, quality) for at, (value, quality) in sorted(changes.items())]


def _ref(informed: Any) -> str | None:
    """Return the reference of what an alert concerns: each selector narrows it; None where it selects nothing."""
    trip = trip_ref(informed.trip) if informed.HasField("trip") else None
    stop, route = text_of(informed.stop_id), text_of(informed.route_id)
    parts = [f"stop:{stop}"] if stop else []
    if trip is not None:
        parts.append(trip)
    elif route:
        parts.append(f"route:{route}")
        if informed.HasField("direction_id"):
            parts.append(f"direction:{informed.direction_id}")
    if parts:
        return "/".join(parts)  # a stop or a route has one agency and one type
    agency = text_of(informed.agency_id)
    parts = [f"agency:{agency}"] if agency else []
    if informed.HasField("route_type"):
        parts.append(f"route_type:{informed.route_type}")
    return "/".join(parts) or None
