"""The truth of electricity: what each cabinet was to take, took, and what its meter told, by local day.

Here: nights and energy. Not here: the other tables of the truth (`truth`), power itself (`meters`).
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ingestion.simulator import behaviour as b
from ingestion.simulator.clock import DAY, HOUR, at_local, local_days, sun
from ingestion.simulator.meters import STEP, Meters, Span, by_cabinet, common, lit_spans, minus, rectangles
from ingestion.simulator.world import World

_TEXT, _INT, _FLOAT, _BOOL, _DATE = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.date32()
# A cabinet burned by day when lights burned an hour between sunrise and sunset, was dark when nine tenths of its scheduled time were.
BURNS_LEAST: Final = HOUR
DARK_LEAST: Final = 0.9
SCHEMAS: Final[dict[str, pa.Schema]] = {
    "nights": pa.schema(
        [
            ("cabinet_ref", _TEXT),
            ("meter_ref", _TEXT),
            ("local_date", _DATE),
            *[
                (n, _FLOAT)
                for n in ("scheduled_seconds", "lit_seconds", "dark_seconds", "expected_wh", "consumed_wh", "by_night_wh", "by_day_wh")
            ],
            ("day_burning_seconds", _FLOAT),
            ("day_burning_share", _FLOAT),
            ("is_day_burner", _BOOL),
            ("is_dark", _BOOL),
        ]
    ),
    "energy": pa.schema(
        [
            ("meter_ref", _TEXT),
            ("cabinet_ref", _TEXT),
            ("local_date", _DATE),
            *[(n, _FLOAT) for n in ("consumed_wh", "expected_wh", "excess_wh", "excess_pct", "tolerance_pct")],
            ("verdict", _TEXT),
            ("readings", _INT),
            ("readings_sent", _INT),
            ("measured_wh", _FLOAT),
        ]
    ),
}


def rows(world: World, start: int, end: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of `nights` and `energy`: the local days that lie wholly in [start, end), seconds since 1970."""
    found: dict[str, list[dict[str, Any]]] = {"nights": [], "energy": []}
    read = Meters(world)
    for day in local_days(start, end):
        midnight, after = at_local(day), at_local(day + dt.timedelta(days=1))
        if midnight < start or after > end:
            continue
        failures = by_cabinet(world, midnight, after)
        true, shown, is_sent = _half_hours(read, midnight, after)
        for number in range(len(world.territory.cabinets)):
            night = _night(world, number, day, failures.get(number, []))
            consumed = float(true[:, number].sum())
            found["nights"].append({**night, "consumed_wh": consumed})
            found["energy"].append(
                {
                    "meter_ref": night["meter_ref"],
                    "cabinet_ref": night["cabinet_ref"],
                    "local_date": day,
                    **_judged(consumed, float(night["expected_wh"])),
                    "readings": len(true),
                    "readings_sent": int(is_sent[:, number].sum()),
                    "measured_wh": float(shown[:, number][is_sent[:, number]].sum()),
                }
            )
    return found


def _half_hours(read: Meters, midnight: int, after: int) -> tuple[Any, Any, Any]:
    """Return energy, what meters show and what is sent, of the half-hours of a local day (46 to 50 rows)."""
    days = range(midnight // DAY, (after - 1) // DAY + 1)
    low = (midnight - days[0] * DAY) // STEP
    high = low + (after - midnight) // STEP
    true = np.concatenate([read.true_wh(d) for d in days])[low:high]
    values = [read.values(d) for d in days]
    return true, np.concatenate([v for v, _ in values])[low:high], np.concatenate([s for _, s in values])[low:high]


def _judged(consumed: float, expected: float) -> dict[str, Any]:
    excess = consumed - expected
    margin = expected * b.TOLERANCE_PCT / 100
    verdict = "over" if excess > margin else "under" if excess < -margin else "normal"
    return {
        "consumed_wh": consumed,
        "expected_wh": expected,
        "excess_wh": excess,
        "excess_pct": 100 * excess / expected if expected else None,
        "tolerance_pct": b.TOLERANCE_PCT,
        "verdict": verdict,
    }


def _night(world: World, number: int, day: dt.date, failures: list[Any]) -> dict[str, Any]:
    cabinet = world.territory.cabinets[number]
    midnight, after = at_local(day), at_local(day + dt.timedelta(days=1))
    rises, sets = sun(world.preset.latitude, world.preset.longitude, day)
    scheduled = lit_spans(world.preset, cabinet, day, with_switch=False)
    switched = lit_spans(world.preset, cabinet, day)
    dark: list[Span] = [(x.started, x.ended) for x in failures if x.process == "cabinet-dark"]
    burning: list[Span] = [(x.started, x.ended) for x in failures if x.process == "day-burner"]
    scheduled_s = _length(scheduled)
    dark_s = scheduled_s - _length(minus(scheduled, dark))
    burning_s = _length(minus(minus(common([(rises, sets)], burning), switched), dark))
    share = sum(
        1.0 if x.feeder < 0 else world.territory.feeders[x.feeder].rated_w / cabinet.rated_w for x in failures if x.process == "day-burner"
    )
    power = rectangles(world, number, midnight, after, failures)
    by_day = sum(w * _length(common([(a, z)], [(rises, sets)])) for a, z, w in power) / HOUR
    total = sum(w * (z - a) for a, z, w in power) / HOUR
    return {
        "cabinet_ref": cabinet.ref,
        "meter_ref": cabinet.meter_ref,
        "local_date": day,
        "scheduled_seconds": scheduled_s,
        "lit_seconds": _length(minus(switched, dark)),
        "dark_seconds": dark_s,
        "expected_wh": cabinet.commanded_w * scheduled_s / HOUR,
        "by_night_wh": total - by_day,
        "by_day_wh": by_day,
        "day_burning_seconds": burning_s,
        "day_burning_share": min(share, 1.0) if burning_s > 0 else 0.0,
        "is_day_burner": burning_s >= BURNS_LEAST,
        "is_dark": scheduled_s > 0 and dark_s >= DARK_LEAST * scheduled_s,
    }


def _length(spans: list[Span]) -> float:
    return sum(z - a for a, z in spans)
