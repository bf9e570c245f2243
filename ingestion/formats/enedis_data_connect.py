"""Enedis Data Connect before 2026 (v3 to v5), in JSON: `meter_reading.interval_reading[]`.

Here: members to columns, and the answers that are errors. Not here: what Data Connect answers since 2026, a measure as in R63
(`enedis_json`); units, times and energies (`enedis_curve`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ingestion.formats.enedis_curve import Points, add, curve_of
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES
from ingestion.formats.wire_values import to_json

_PRODUCTION: Final = re.compile(r"production", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def is_error(document: Any) -> bool:
    """Whether a document is what the service answers instead of measures: `error` (ADAM-ERR0123), or of its gateway.

    >>> is_error({"error": "no_data_found"}), is_error({"code": "900908", "message": "Resource forbidden"}), is_error({"code": 1})
    (True, True, False)
    """
    return type(document) is dict and ("error" in document or "fault" in document or {"code", "message"} <= document.keys())


def read_meter_readings(document: dict[str, Any], batch: WireBatch, after: int, topic: str | None, options: WireOptions) -> int:
    """Translate a load curve or daily energies.

    An instant ends its interval (the first of a day is 00:30); a date names its day. Which way the energy went stands in the address
    that was asked, not always in the answer.
    """
    position = after
    for meter in _meter_readings(document):
        readings = meter.get("interval_reading")
        if type(readings) is not list or not readings:
            position += 1
            batch.reject(position, "no_points", "a meter without any point", None if options.personal else to_json(meter)[:QUOTED_BYTES])
            continue
        kind = meter.get("reading_type")
        kind = kind if type(kind) is dict else {}
        way = kind.get("flow_direction", meter.get("flow_direction"))
        if way is None:
            way = "production" if topic is not None and _PRODUCTION.search(topic) else "consumption"
        curve = curve_of(meter.get("usage_point_id"), None, way, kind.get("unit"), stamped="end")
        step = kind.get("measuring_period")
        rows = [r if type(r) is dict else {} for r in readings]
        texts = (
            [r.get("date") for r in rows],
            [r.get("value") for r in rows],
            [r.get("interval_length") or step or _step_of_a_date(r.get("date")) for r in rows],
            [r.get("measure_type") for r in rows],
        )
        positions = np.arange(position + 1, position + 1 + len(rows))
        add(Points(positions, np.zeros(len(rows), dtype=np.int64), *texts), [curve], batch, options)
        position += len(rows)
    return position - after


def _meter_readings(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = document.get("meter_reading", document)
    for meter in found if type(found) is list else [found]:
        yield meter if type(meter) is dict else {}


def _step_of_a_date(date: Any) -> str | None:
    """Return the step of a point that states none: that of a date is its day."""
    return "P1D" if type(date) is str and _DATE.fullmatch(date.strip()) else None
