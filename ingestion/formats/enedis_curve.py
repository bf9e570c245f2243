"""Enedis load curves: points of curves, by column, to energies in Wh over [start, end).

Here: the arithmetic that all flows share (power times step, units, directions, which side of its interval a point is stamped on) and
the account of what cannot be translated. Not here: the flows' own shapes (`enedis_json`, `enedis_xml`, `enedis_csv`), local times
(`enedis_time`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from ingestion.formats.enedis_time import day_after, instants, local_midnight, step_of
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import without
from ingestion.formats.wire_values import conversion, to_json

REASONS: Final[dict[str, str]] = {
    "no_meter": "the curve names no meter (PRM)",
    "no_unit": "the curve states no unit: whether it is power or energy is not known",
    "unknown_unit": "the unit of the curve is not known",
    "not_active_energy": "the curve is of no active power or energy: it is not stored",
    "unknown_direction": "the curve is neither of consumption (CONS) nor of injection (PROD)",
    "no_instant": "the point states no instant",
    "not_an_instant": "the instant of the point cannot be read",
    "skipped_local_time": "the instant has no zone, and no clock of the feed's zone showed it: spring skips that hour",
    "ambiguous_local_time": "the instant has no zone and falls into the hour that autumn repeats, and the order of points tells not which",
    "no_step": "neither the point nor its curve states a step",
    "not_a_step": "the step is no duration of a load curve",
    "no_value": "the point states no value",
    "not_a_number": "the value is no number",
    "nul_character": "a NUL character, which no database stores",
}
_DIRECTIONS: Final = {
    "cons": "consumption",
    "consumption": "consumption",
    "consommation": "consumption",
    "soutirage": "consumption",
    "prod": "injection",
    "production": "injection",
    "injection": "injection",
}
# Active energy and active power; every other quantity (ERI, ERC, PRI, PRC, reactive; E, tension; PMA, apparent) is left out.
_ACTIVE: Final = frozenset({"ea", "pa", "energie active", "puissance active"})
# Meters of sites above 36 kVA (C1-C4, P1-P3) give 5 or 10 minutes and stamp the beginning; Linky meters (C5, P4) give 15, 30 or 60
# and stamp the end. Source: Enedis, implementation guide of R4x 2.0.3; the SGE data of both kinds (consometers/sge-proxy).
_LONGEST_STEP_OF_LARGE_SITES_US: Final = 10 * 60 * 1_000_000
_HOUR_US: Final = 3_600_000_000
# Points held before they become a table: 100,000 take about 30 MB as Python texts.
FLUSH_POINTS: Final = 100_000


@dataclass(frozen=True)
class Curve:
    """What a curve's points share.

    Attributes:
        meter_ref: the PRM.
        direction: consumption or injection.
        factor: what a value is multiplied with: to W when `is_power`, else to Wh.
        is_power: whether values are mean powers over their step.
        stamped: the side of its interval that a point's instant is: `start`, `end`, or None when the flow does not tell.
        period: the dates the curve was asked for, [first, last), as written: what tells the side where the flow does not.
        problem: why no point of it can be stored.
        about: what a reject quotes of it.
    """

    meter_ref: str = ""
    direction: str = "consumption"
    factor: float = 1.0
    is_power: bool = True
    stamped: str | None = None
    period: tuple[Any, Any] = (None, None)
    problem: str | None = None
    about: dict[str, Any] = field(default_factory=dict)


def curve_of(
    meter: Any,
    quantity: Any,
    direction: Any,
    unit: Any,
    *,
    stamped: str | None = None,
    period: tuple[Any, Any] = (None, None),
) -> Curve:
    """Return what a flow says of a curve, with its problem if its points cannot be stored.

    >>> curve_of("1", "EA", "CONS", "kW").factor, curve_of("1", "ERI", "CONS", "varh").problem, curve_of("1", "EA", "CONS", "").problem
    (1000.0, 'not_active_energy', 'no_unit')
    """
    about = {"prm": meter, "quantity": quantity, "direction": direction, "unit": unit}
    reference = str(meter).strip() if type(meter) in (str, int) else ""
    side = _DIRECTIONS.get(_folded(direction))
    problem = None
    how = conversion(unit)
    if "\0" in reference:
        problem = "nul_character"
    elif not reference:
        problem = "no_meter"
    elif quantity not in (None, "") and _folded(quantity) not in _ACTIVE:
        problem = "not_active_energy"
    elif unit in (None, ""):
        problem = "no_unit"
    elif how is None:
        problem = "unknown_unit"
    elif how.canonical not in ("W", "W.h"):
        problem = "not_active_energy"
    elif side is None:
        problem = "unknown_direction"
    if problem is not None or how is None or side is None:
        return Curve(problem=problem, about=about)
    return Curve(reference, side, how.factor, how.canonical == "W", stamped, period, None, about)


class Points(NamedTuple):
    """Points of curves, by column.

    `position` and `curve` (its index) are arrays of int64; `d` the instants, `v` the values, `p` the steps and `q` the qualities, as
    written: lists, or series of texts. Points of a curve stand in the order of the source.
    """

    position: Any
    curve: Any
    d: Any
    v: Any
    p: Any
    q: Any


def add(points: Points, curves: Sequence[Curve], batch: WireBatch, options: WireOptions) -> None:
    """Append the energies of points to a batch, and reject what is none.

    Args:
        points: the points.
        curves: what points share.
        batch: what it is appended to.
        options: the zone of instants that state none.
    """
    zone = options.time_zone
    utc, problem = instants(points.d, points.curve, zone)
    v, p = _series(points.v), _texts(points.p)
    steps = {text: step_of(text) for text in p.unique().to_list()}
    is_day = p.replace_strict({t: s == "day" for t, s in steps.items()}, default=False, return_dtype=pl.Boolean)
    step = p.replace_strict({t: s if type(s) is int else None for t, s in steps.items()}, default=None, return_dtype=pl.Int64)
    frame = pl.DataFrame(
        {
            "position": points.position,
            "curve": points.curve,
            "at": utc,
            "value": numbers(v),
            "step": step,
            "is_day": is_day,
            "q": _texts(points.q),
        }
    )
    reasons = _reasons(frame, problem, v, p, _of_curves([c.problem for c in curves], points.curve, pl.String))
    if reasons is not None:
        for row, reason in enumerate(reasons):
            if reason is not None:
                _reject(batch, row, reason, points, curves, options)
        frame = frame.filter(reasons.is_null())
    if frame.height:
        batch.tables.append(("energy_reading", _energies(frame, curves, zone).to_arrow()))
    batch.checkpoint()


def _reasons(frame: pl.DataFrame, time: pl.Series | None, v: pl.Series, p: pl.Series, curve: pl.Series) -> pl.Series | None:
    """Return the first reason why each point cannot be stored; None when all can."""
    clean = time is None and curve.null_count() == len(curve) and frame["value"].null_count() == 0
    nul = frame["q"].str.contains("\0", literal=True).any()
    if clean and not nul and (frame["is_day"].all() or frame["step"].null_count() == 0):
        return None
    empty = [column.is_null() | (column.cast(pl.String).str.strip_chars() == "") for column in (v, p)]
    none = pl.lit(None, dtype=pl.String)
    reasons = [
        none if curve.null_count() == len(curve) else curve,
        none if time is None else time,
        pl.when(empty[1]).then(pl.lit("no_step")),
        pl.when(frame["step"].is_null() & ~frame["is_day"]).then(pl.lit("not_a_step")),
        pl.when(empty[0]).then(pl.lit("no_value")),
        pl.when(frame["value"].is_null()).then(pl.lit("not_a_number")),
        pl.when(frame["q"].str.contains("\0", literal=True)).then(pl.lit("nul_character")),
    ]
    found = pl.select(pl.coalesce(reasons)).to_series()
    return found if found.null_count() < len(found) else None


def _energies(good: pl.DataFrame, curves: Sequence[Curve], zone: str) -> pl.DataFrame:
    index = good["curve"].to_numpy()
    step = good["step"]
    at = good["at"]
    start, end = at, at + step
    if good["is_day"].any():
        # A day is as long as its clock says: 23, 24 or 25 hours, from the midnight that names it.
        end = pl.select(pl.when(good["is_day"]).then(day_after(at, zone)).otherwise(end)).to_series()
    ended = _of_curves(_ended(good, curves, zone), index, pl.Boolean) & ~good["is_day"]
    if ended.any():
        start = pl.select(pl.when(ended).then(at - step).otherwise(start)).to_series()
        end = pl.select(pl.when(ended).then(at).otherwise(end)).to_series()
    energy = good["value"] * _of_curves([c.factor for c in curves], index, pl.Float64)
    power = _of_curves([c.is_power for c in curves], index, pl.Boolean)
    if power.any():
        hours_us = (end - start).cast(pl.Float64)
        energy = pl.select(pl.when(power).then(energy * hours_us / _HOUR_US).otherwise(energy)).to_series()
    return pl.DataFrame(
        {
            "_position": good["position"],
            "meter_ref": _of_curves([c.meter_ref for c in curves], index, pl.String),
            "start_at": start,
            "end_at": end,
            "energy_wh": energy,
            "direction": _of_curves([c.direction for c in curves], index, pl.String),
            "quality": good["q"],
        }
    )


def _ended(good: pl.DataFrame, curves: Sequence[Curve], zone: str) -> list[bool]:
    """Return which curves stamp the end of intervals.

    Where the flow does not tell, the period asked for does: a point at its very beginning can only begin an interval, and a last
    point at its very end only end one. Else the step does (see above).
    """
    ended = [c.stamped == "end" for c in curves]
    unsaid = [i for i, c in enumerate(curves) if c.stamped is None]
    if not unsaid:
        return ended
    seen = good.group_by("curve").agg(pl.col("at").min().alias("first"), pl.col("at").max().alias("last"), pl.col("step").min())
    for number, first, last, step in seen.iter_rows():
        curve = curves[number]
        if curve.stamped is not None or step is None:
            continue
        begins, ends = (local_midnight(d, zone) for d in curve.period)
        if begins is not None and first == begins and last != ends:
            continue
        is_at_end = ends is not None and last == ends and first != begins
        ended[number] = is_at_end or step > _LONGEST_STEP_OF_LARGE_SITES_US
    return ended


def _reject(batch: WireBatch, row: int, reason: str, points: Points, curves: Sequence[Curve], options: WireOptions) -> None:
    about = curves[int(points.curve[row])].about
    original = {**about, "at": points.d[row], "value": points.v[row], "step": points.p[row], "quality": points.q[row]}
    said = to_json(without(original, options.personal)).replace("\\u0000", "\\ufffd")
    detail = f"{REASONS[reason]}: {str(about.get('unit'))[:32]!r}" if reason == "unknown_unit" else REASONS[reason]
    batch.reject(int(points.position[row]), reason, detail, said)


def numbers(written: pl.Series) -> pl.Series:
    """Return numbers, of numbers or of texts with decimal points or commas; null where there is none.

    >>> numbers(pl.Series(["12", "1,5", "1 204,5", "NaN", "1.204,5", "douze", None])).to_list()
    [12.0, 1.5, 1204.5, None, None, None, None]
    """
    if written.dtype != pl.String:
        return _finite(written.cast(pl.Float64, strict=False))
    read = written.cast(pl.Float64, strict=False)
    if read.null_count() > written.null_count():
        # French texts: a decimal comma, thousands apart by (unbreakable) spaces. With a point as well, which is which is not known.
        plain = written.str.replace_all("[ \u00a0\u202f]", "").str.replace(",", ".", literal=True)
        is_french = written.str.strip_chars().str.contains(r"^[+-]?[0-9][0-9 \u{a0}\u{202f}]*(?:,[0-9]+)?$")
        again = pl.select(pl.when(is_french).then(plain)).to_series().cast(pl.Float64, strict=False)
        read = pl.select(pl.coalesce(read, again)).to_series()
    return _finite(read)


def _finite(read: pl.Series) -> pl.Series:
    if read.is_finite().all():
        return read
    return pl.select(pl.when(read.is_finite()).then(read)).to_series()


def _series(values: Any) -> pl.Series:
    """Return a column of numbers where all are, else of texts."""
    if type(values) is list and values and type(values[0]) in (int, float):
        try:
            return pl.Series(values, dtype=pl.Float64, strict=True)
        except (TypeError, OverflowError):
            return _texts(values)  # there are texts among them
    return _texts(values)


def _texts(values: Any) -> pl.Series:
    """Return a column of texts: as written, and what JSON has no text for as it writes it."""
    if type(values) is not list:
        return values if isinstance(values, pl.Series) else pl.Series(values, dtype=pl.String)
    if values and type(values[0]) is str and values.count(values[0]) == len(values):  # steps and qualities mostly are one
        return pl.Series([values[0]], dtype=pl.String).new_from_index(0, len(values))
    try:
        return pl.Series(values, dtype=pl.String, strict=True)
    except TypeError:
        return pl.Series([v if type(v) is str or v is None else _text(v) for v in values], dtype=pl.String)


def _text(value: Any) -> str:
    return str(value) if type(value) in (int, float) else to_json(value)


def _of_curves(values: Sequence[Any], index: Any, dtype: Any) -> pl.Series:
    """Return what curves share as a column of their points."""
    return pl.Series(values, dtype=dtype).gather(pl.Series(np.asarray(index), dtype=pl.UInt32))


def _folded(text: Any) -> str:
    """Return a word without accents, case and spaces around it."""
    if type(text) is not str:
        return ""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(c for c in decomposed if not unicodedata.combining(c))
