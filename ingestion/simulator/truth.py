"""The truth of a span: what happened, told by who made it happen, to compare indicators with.

Here: tables of the truth. Not here: any rule of the platform's models: nothing is computed from what was sent but what is named
so (`told_*`, `measured_wh`).
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.simulator import town, truth_energy
from ingestion.simulator.cases import Case
from ingestion.simulator.clock import HOUR, instant, open_seconds, seconds
from ingestion.simulator.scenarios import COURSES
from ingestion.simulator.systems import Scene
from ingestion.simulator.world import HIDES_MOST, World

# Hours of a real contract to arrive, make safe, restore, by the wall clock, of the faults that happen here.
GUARANTEES: Final[dict[str, tuple[float | None, float | None, float | None]]] = {
    "lamp-out": (72, None, 72),
    "cabinet-dark": (2, 12, 24),
    "street-on-by-day": (None, None, None),
}
# The name of a loss of communication, which is no fault of the referential.
COMMUNICATION_LOSS: Final = "communication-loss"
_INSTANT: Final = pa.timestamp("us", "UTC")
_TEXT, _INT, _FLOAT, _BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
SCHEMAS: Final[dict[str, pa.Schema]] = {
    "failures": pa.schema(
        [
            *[(n, _TEXT) for n in ("failure_key", "kind", "fault_type", "asset_ref", "asset_type", "cabinet_ref")],
            ("is_remote", _BOOL),
            ("cause", _TEXT),
            *[(n, _INSTANT) for n in ("started_at", "ended_at")],
            ("is_open_at_end", _BOOL),
            ("stretches", _INT),
            ("are_messages_kept", _BOOL),
            *[(n, _INSTANT) for n in ("told_from", "told_until", "seen_from", "seen_until")],
            ("scenario", _TEXT),
        ]
    ),
    "drifts": pa.schema(
        [("failure_key", _TEXT), ("cabinet_ref", _TEXT), ("started_at", _INSTANT), ("ended_at", _INSTANT), ("factor", _FLOAT)]
    ),
    "cases": pa.schema(
        [
            *[(n, _TEXT) for n in ("failure_key", "fault_type", "asset_ref", "report_feed", "root_report_ref")],
            ("report_refs", pa.list_(_TEXT)),
            ("intervention_ref", _TEXT),
            *[(n, _INSTANT) for n in ("clock_started_at", "alarm_at", "opened_at", "requested_at", "acknowledged_at", "dispatched_at")],
            *[(n, _INSTANT) for n in ("arrived_at", "made_safe_at", "restored_at", "closed_at")],
            ("suspended_seconds", _INT),
            *[(f"{n}_seconds", _INT) for n in ("arrived", "made_safe", "restored")],
            *[(f"{n}_contract_seconds", _INT) for n in ("arrived", "made_safe", "restored")],
            *[(f"is_{n}_met", _BOOL) for n in ("gti", "gtrp", "gtr")],
        ]
    ),
    "prevention": pa.schema(
        [
            *[(n, _TEXT) for n in ("failure_key", "fault_type", "asset_ref")],
            *[(n, _INSTANT) for n in ("first_state_at", "first_report_at")],
            ("first_seen_by", _TEXT),
            ("lead_seconds", _INT),
        ]
    ),
    "reports": pa.schema(
        [
            *[(n, _TEXT) for n in ("report_ref", "feed", "channel", "failure_key", "duplicate_of")],
            ("is_false", _BOOL),
            *[(n, _INSTANT) for n in ("opened_at", "acknowledged_at", "closed_at")],
        ]
    ),
    "interventions": pa.schema(
        [
            *[(n, _TEXT) for n in ("intervention_ref", "kind", "failure_key", "asset_ref", "fault_type")],
            *[(n, _INSTANT) for n in ("requested_at", "restored_at", "cancelled_at")],
        ]
    ),
    "equipment": pa.schema(
        [
            *[(n, _TEXT) for n in ("feed", "asset_ref", "kind")],
            *[(n, _INSTANT) for n in ("started_at", "ended_at", "told_from", "told_until")],
            ("scenario", _TEXT),
        ]
    ),
    "scenarios": pa.schema([*[(n, _TEXT) for n in ("scenario", "title", "phase")], ("started_at", _INSTANT), ("ended_at", _INSTANT)]),
    **truth_energy.SCHEMAS,
}


def write(world: World, folder: Path, start: dt.datetime, end: dt.datetime) -> dict[str, Path]:
    """Write the truth of [start, end), one Parquet per table of `SCHEMAS`; return the files by table."""
    written = {}
    for name, table in tables(world, start, end).items():
        written[name] = folder / f"{name}.parquet"
        pq.write_table(table, written[name], compression="zstd")
    return written


def tables(world: World, start: dt.datetime, end: dt.datetime) -> dict[str, pa.Table]:
    """Return the truth of [start, end) as tables of `SCHEMAS`.

    `failures`, `cases`, `prevention`, `equipment` and `scenarios` are about what is under way in the span, `reports` and
    `interventions` about what is opened in it, `nights` and `energy` about the local days that lie wholly in it. Instants are those
    that happened, also where they come after `end`: what nobody can know yet is told by comparing with it.
    """
    first, last = seconds(start), seconds(end)
    cases = world.cases(first, last)
    happened = [c for c in cases if c.failure.process != "drift"]
    told = {c.failure.key: told_span(world, c) for c in happened}
    reports, orders = world.papers(first, last)
    rows: dict[str, list[dict[str, Any]]] = {
        "failures": [_failure(world, c, told[c.failure.key], last) for c in happened],
        "drifts": [_drift(world, c) for c in cases if c.failure.process == "drift"],
        "cases": [_case(c, told[c.failure.key][0]) for c in happened if c.order is not None],
        "prevention": [_prevention(c, told[c.failure.key][0]) for c in happened if c.failure.kind == "failure"],
        "reports": [
            {
                "report_ref": r.ref,
                "feed": r.feed,
                "channel": r.channel,
                "failure_key": r.failure,
                "duplicate_of": r.duplicate_of,
                "is_false": r.is_false,
                "opened_at": instant(r.opened),
                "acknowledged_at": instant(r.acknowledged),
                "closed_at": instant(r.closed),
            }
            for r in reports
            if first <= r.opened < last
        ],
        "interventions": [
            {
                "intervention_ref": o.ref,
                "kind": o.kind,
                "failure_key": o.failure,
                "asset_ref": o.asset_ref,
                "fault_type": o.fault_type,
                "requested_at": instant(o.requested),
                "restored_at": _at(o.restored),
                "cancelled_at": _at(o.cancelled),
            }
            for o in orders
            if first <= o.requested < last
        ],
        "equipment": [_scene(s) for system in town.systems(world).values() for s in system.scenes(first, last)],
        "scenarios": [
            {"scenario": s.name, "title": COURSES[s.name].title, "phase": phase, "started_at": instant(begin), "ended_at": instant(end)}
            for s in world.scenarios.active(first, last)
            for phase, begin, end in s.spans()
        ],
        **truth_energy.rows(world, first, last),
    }
    return {name: pa.Table.from_pylist(rows[name], schema=schema) for name, schema in SCHEMAS.items()}


def _at(step: int | None) -> dt.datetime | None:
    return None if step is None else instant(step)


def _scene(scene: Scene) -> dict[str, Any]:
    return {
        "feed": scene.feed,
        "asset_ref": scene.asset_ref,
        "kind": scene.kind,
        "started_at": instant(scene.started),
        "ended_at": instant(scene.ended),
        "told_from": _at(scene.told_from),
        "told_until": _at(scene.told_until),
        "scenario": scene.scenario,
    }


def told_span(world: World, case: Case) -> tuple[int | None, int | None]:
    """Return when equipment first says that something is wrong, and when it first says again that it is not (observed, not received).

    None, None where it never says so: it is not piloted, it is silent, or it ends between two samples.
    """
    x = case.failure
    if not x.is_remote or x.process in ("gateway-lost", "day-burner"):
        return None, None
    if x.process == "cabinet-dark":
        first = world.first_cabinet_sample(x.cabinet, x.started, x.ended)
        return (None, None) if first is None else (first, world.first_cabinet_sample(x.cabinet, x.ended, x.ended + HIDES_MOST))
    own = x.process != "light-unheard"
    seen = None
    for down, up in x.downs or ((x.started, x.ended),):
        sample = world.first_sample(x.light, down, up, with_unheard=own)
        if sample is not None:
            seen = seen or (sample, up)
            seen = (seen[0], up)
    return (None, None) if seen is None else (seen[0], world.first_sample(x.light, seen[1], seen[1] + HIDES_MOST))


def _failure(world: World, case: Case, told: tuple[int | None, int | None], last: int) -> dict[str, Any]:
    x = case.failure
    papers = [r.opened for r in case.reports] + ([case.order.requested] if case.order is not None else [])
    seen = [t for t in (told[0], *papers) if t is not None]
    until = told[1] if told[0] is not None else (case.order.restored if case.order is not None else None)
    return {
        "failure_key": x.key,
        "kind": x.kind,
        "fault_type": x.fault_type or COMMUNICATION_LOSS,
        "asset_ref": x.asset_ref,
        "asset_type": x.asset_type,
        "cabinet_ref": world.territory.cabinets[x.cabinet].ref,
        "is_remote": x.is_remote,
        "cause": x.cause,
        "started_at": instant(x.started),
        "ended_at": instant(x.ended),
        "is_open_at_end": x.ended >= last,
        "stretches": max(1, len(x.downs)),
        "are_messages_kept": x.keeps,
        "told_from": _at(told[0]),
        "told_until": _at(told[1]),
        "seen_from": instant(min(seen)) if seen else None,
        "seen_until": _at(until),
        "scenario": x.scenario,
    }


def _drift(world: World, case: Case) -> dict[str, Any]:
    x = case.failure
    ref = world.territory.cabinets[x.cabinet].ref
    return {
        "failure_key": x.key,
        "cabinet_ref": ref,
        "started_at": instant(x.started),
        "ended_at": instant(x.ended),
        "factor": x.factor,
    }


def _case(case: Case, alarm: int | None) -> dict[str, Any]:
    order, x = case.order, case.failure
    if order is None or order.arrived is None or order.made_safe is None or order.restored is None:
        raise AssertionError(f"case {x.key} without the steps of its order")  # every failure that people end has them
    opened = min((r.opened for r in case.reports), default=None)
    started = min(t for t in (alarm, opened, order.requested) if t is not None)
    steps = {"arrived": order.arrived, "made_safe": order.made_safe, "restored": order.restored}
    suspended = order.suspended_minutes * 60
    taken = {name: at - started - (suspended if name == "restored" else 0) for name, at in steps.items()}
    limits = dict(zip(("gti", "gtrp", "gtr"), GUARANTEES[x.fault_type], strict=True))
    met = {
        f"is_{limit}_met": None if hours is None else taken[step] <= hours * HOUR
        for (limit, hours), step in zip(limits.items(), steps, strict=True)
    }
    return {
        "failure_key": x.key,
        "fault_type": x.fault_type,
        "asset_ref": x.asset_ref,
        "report_feed": case.reports[0].feed if case.reports else None,
        "root_report_ref": case.reports[0].ref if case.reports else None,
        "report_refs": [r.ref for r in case.reports],
        "intervention_ref": order.ref,
        "clock_started_at": instant(started),
        "alarm_at": _at(alarm),
        "opened_at": _at(opened),
        "requested_at": instant(order.requested),
        "acknowledged_at": instant(min([r.acknowledged for r in case.reports] + [order.acknowledged])),
        "dispatched_at": _at(order.dispatched),
        **{f"{name}_at": instant(at) for name, at in steps.items()},
        "closed_at": _at(case.reports[0].closed if case.reports else None),
        "suspended_seconds": suspended,
        **{f"{name}_seconds": taken[name] for name in steps},
        # By the contract's hours, suspensions not taken off: they are counted by the wall clock.
        **{f"{name}_contract_seconds": open_seconds(started, at) for name, at in steps.items()},
        **met,
    }


def _prevention(case: Case, state: int | None) -> dict[str, Any]:
    report = min((r.opened for r in case.reports), default=None)
    first = "nobody"
    if state is not None and (report is None or state <= report):
        first = "state"
    elif report is not None:
        first = "report"
    elif case.order is not None:
        first = "intervention"
    return {
        "failure_key": case.failure.key,
        "fault_type": case.failure.fault_type,
        "asset_ref": case.failure.asset_ref,
        "first_state_at": _at(state),
        "first_report_at": _at(report),
        "first_seen_by": first,
        "lead_seconds": report - state if report is not None and state is not None else None,
    }
