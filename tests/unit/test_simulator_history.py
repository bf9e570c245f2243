"""History and truth of the simulated territory: the same as what is sent live, in the contracts' terms, and added up by hand.

Here: files of small worlds. Not here: what the platform makes of them.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from ingestion.contracts.canonical import CONTRACTS
from ingestion.errors import WrongUse
from ingestion.feeds.load import load_feed
from ingestion.simulator import behaviour as b
from ingestion.simulator import history, inventory, town, truth
from ingestion.simulator.clock import DAY, HOUR, at_local, open_seconds, seconds, sun
from ingestion.simulator.history import HistoryFiles
from ingestion.simulator.wire import Message, Wire
from ingestion.simulator.world import World

_ROOT = Path(__file__).parents[2]
# Over a month's end, so that there are two files of each feed.
_START = dt.datetime(2026, 3, 20, tzinfo=dt.UTC)
_END = dt.datetime(2026, 4, 5, tzinfo=dt.UTC)
_US = 1_000_000
_CALL_STATES = {"reçu": "open", "pris en charge": "in_progress", "clos": "closed", "sans suite": "rejected"}
_ORDER_STATES = {"ASKED": "asked", "ACCEPTED": "accepted", "IN_PROGRESS": "in_progress", "DONE": "done", "CANCELED": "cancelled"}
_FAULTS = {"Lampe - Éteinte": "lamp-out", "Lampe - Clignote": "lamp-flickering", "Armoire au noir": "cabinet-dark"}
_FAULTS |= {"Rue allumée de jour": "street-on-by-day"}


@pytest.fixture(scope="module")
def world() -> World:
    return World(500, 8)


@pytest.fixture(scope="module")
def files(world: World, tmp_path_factory: pytest.TempPathFactory) -> HistoryFiles:
    return history.write(world, tmp_path_factory.mktemp("history"), _START, _END)


@pytest.fixture(scope="module")
def happened(files: HistoryFiles) -> dict[str, list[dict[str, Any]]]:
    return {name: pq.read_table(path).to_pylist() for name, path in files.truth.items()}


def _digests(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    end = _START + dt.timedelta(days=13)
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        history.write(World(60, seed), tmp_path / name, _START, end)
    assert _digests(tmp_path / "one") == _digests(tmp_path / "two")
    assert _digests(tmp_path / "one") != _digests(tmp_path / "other")


def test_a_history_in_two_parts_is_the_history(tmp_path: Path) -> None:
    world, middle = World(60, 1), _START + dt.timedelta(days=3, hours=5, seconds=7)
    end = _START + dt.timedelta(days=6)
    whole = history.write(world, tmp_path / "whole", _START, end)
    parts = [history.write(World(60, 1), tmp_path / n, *span) for n, span in (("a", (_START, middle)), ("b", (middle, end)))]
    for feed in whole.canonical:
        rows = [r for part in parts for r in _rows(part.canonical[feed])]
        assert rows == _rows(whole.canonical[feed])


def _rows(paths: tuple[Path, ...]) -> list[dict[str, Any]]:
    return [r for p in paths for r in pq.read_table(p).to_pylist()]


def test_files_are_one_a_month_in_the_order_of_time(files: HistoryFiles) -> None:
    for feed, paths in files.canonical.items():
        assert [p.name for p in paths] == ["2026-03.parquet", "2026-04.parquet"]
        assert sum(pq.read_metadata(p).num_rows for p in paths) == files.rows[feed]
        assert files.rows[feed] > 0 or feed in ("sim-vigilance", "sim-telegestion")  # nothing happened


def test_canonical_files_satisfy_their_contracts(files: HistoryFiles) -> None:
    for feed, paths in files.canonical.items():
        contract = CONTRACTS[load_feed(files.contracts[feed]).contract]
        for path in paths:
            frame = pl.read_parquet(path)
            assert frame.columns == list(contract.columns)
            good, failed = contract.schema.filter(frame, cast=True)
            assert len(good) == len(frame), failed.counts()
            # Nothing was cast: the files hold the contract's own types (enumerations are texts on disk).
            types = {n: str(t) for n, t in frame.schema.items()}
            assert set(types.values()) <= {"String", "Float64", "Datetime(time_unit='us', time_zone='UTC')", "Boolean", "Date"}


def test_history_says_what_live_messages_say(world: World, files: HistoryFiles) -> None:
    """Row for row and in the order of sending, late ones and doubles included; other systems: `test_simulator_systems`."""
    live: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in Wire(world).messages(seconds(_START), seconds(_END)):
        if message.feed not in town.SYSTEMS:
            live[message.feed].append(_decoded(message))
    assert set(live) == set(files.canonical) - set(town.SYSTEMS)
    for feed, told in live.items():
        stored = [{k: _plain(v) for k, v in row.items()} for row in _rows(files.canonical[feed])]
        # At one instant the order of feeds' own sources is kept; records are sorted the same way in both.
        assert stored == told, feed


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _instant(text: str | None) -> str | None:
    return None if text is None else dt.datetime.fromisoformat(text).astimezone(dt.UTC).isoformat()


def _decoded(message: Message) -> dict[str, Any]:
    """Read a message as its contract says, by hand."""
    m = json.loads(message.payload)
    match message.feed:
        case "sim-eclairage":
            name = "status" if m["type"] == "Streetlight" else "powerState"
            row: dict[str, Any] = dict.fromkeys(CONTRACTS["observation"].columns)
            return row | {
                "asset_ref": m["id"],
                "property": name,
                "observed_at": _instant(m[name]["observedAt"]),
                "value_text": m[name]["value"],
            }
        case "sim-compteurs":
            start = dt.datetime.fromisoformat(m["d"])
            assert (m["p"], m["unite"], m["grandeurPhysique"]) == ("PT30M", "Wh", "EA")
            return {
                "meter_ref": m["idPrm"],
                "start_at": start.isoformat(),
                "end_at": (start + dt.timedelta(minutes=30)).isoformat(),
                "energy_wh": float(m["v"]),
                "direction": {"CONS": "consumption"}[m["grandeurMetier"]],
                "quality": m["n"],
            }
        case "sim-signalements":
            more = m["extended_attributes"]
            return {
                "report_ref": m["service_request_id"],
                "channel": more["channel"],
                "category": more["group"],
                "subcategory": m["service_name"],
                "description": m["description"],
                "opened_at": _instant(m["requested_datetime"]),
                "closed_at": _instant(more["closed_datetime"]),
                "acknowledged_at": _instant(more["acknowledged_datetime"]),
                "status": more["state"],
                "commune": more["commune"],
                "district": None,
                "street": more["street"],
                "longitude": m["long"],
                "latitude": m["lat"],
                "asset_ref": more["equipment"],
                "duplicate_of": more["duplicate_of"],
                "owner_authority": m["agency_responsible"],
                "revised_at": _instant(m["updated_datetime"]),
            }
        case "sim-appels":
            return {
                "report_ref": m["appel"],
                "channel": "phone",
                "category": m["categorie"],
                "subcategory": m["objet"],
                "description": None,
                "opened_at": _instant(m["recu"]),
                "closed_at": _instant(m["clos"]),
                "acknowledged_at": _instant(m["pris_en_charge"]),
                "status": _CALL_STATES[m["etat"]],
                "commune": m["commune"],
                "district": None,
                "street": m["rue"],
                "longitude": m["lon"],
                "latitude": m["lat"],
                "asset_ref": m["equipement"],
                "duplicate_of": m["doublon_de"],
                "owner_authority": m["gestionnaire"],
                "revised_at": _instant(m["modifie"]),
            }
        case _:
            return {
                "intervention_ref": m["id"],
                "asset_ref": m["equipment"],
                "report_ref": m["request"],
                "fault_type": None if m["type"] is None else _FAULTS[m["type"]],
                "kind": {"CURA": "curative", "PREV": "preventive"}[m["category"]],
                "requested_at": _instant(m["creationDate"]),
                "acknowledged_at": _instant(m["acknowledgementDate"]),
                "dispatched_at": _instant(m["startDate"]),
                "arrived_at": _instant(m["arrivalDate"]),
                "made_safe_at": _instant(m["safetyDate"]),
                "restored_at": _instant(m["endDate"]),
                "suspended_minutes": m["suspendedMinutes"],
                "status": _ORDER_STATES[m["status"]],
                "crew": m["crew"],
                "description": m["description"],
                "commune": m["city"],
                "street": m["street"],
                "longitude": m["lon"],
                "latitude": m["lat"],
                "owner_authority": m["owner"],
                "revised_at": _instant(m["lastModificationDate"]),
            }


@pytest.mark.parametrize("size", ["chalons", "dijon", 60])
def test_contracts_load_without_a_problem(size: str | int, tmp_path: Path) -> None:
    with (_ROOT / "dbt_project" / "seeds" / "core__fault_type.csv").open(encoding="utf-8") as file:
        faults = {row["fault_type"] for row in csv.DictReader(file)}
    world = World(size)
    feeds = [load_feed(p, fault_types=faults) for p in inventory.write_contracts(world, tmp_path).values()]
    assert {f.territory.code for f in feeds} == {"simulation"}
    assert {(f.territory.latitude, f.territory.longitude) for f in feeds} == {(world.preset.latitude, world.preset.longitude)}
    assert {f.territory.name for f in feeds} == {world.preset.title}
    assert {f.owner_authority for f in feeds} == {world.preset.authority}
    assert {f.source_system for f in feeds} == {"simulation"}
    assert {f.feed for f in feeds if f.personal_columns} == {
        *("sim-appels", "sim-acces", "sim-flotte"),  # callers, badges, drivers
        *("sim-demandes", "sim-vigilance"),  # what people and forecasters write
    }


def test_the_inventory_and_declared_tables_say_what_the_territory_is(world: World, files: HistoryFiles) -> None:
    with files.inventory.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    by_ref = {r["entite"]: r for r in rows}
    assert len(by_ref) == len(rows)
    lights = [r for r in rows if r["nature"] == "Point lumineux"]
    assert len(lights) == 500
    assert sum(r["telegestion"] == "oui" for r in lights) == len(world.territory.remote)
    for light in lights:
        assert by_ref[by_ref[light["amont"]]["amont"]]["nature"] == "Armoire"
    power: dict[str, float] = defaultdict(float)
    for light in lights:
        power[light["amont"]] += float(light["puissance_w"].replace(",", "."))
    assert all(power[r["entite"]] == float(r["puissance_w"].replace(",", ".")) for r in rows if r["nature"] == "Départ")
    for name, header in {
        "lighting_regime": "source,cabinet_ref,valid_from,valid_to,off_from,off_until,dimming_pct,driver_loss_pct",
        "meter_link": "feed,meter_ref,source,asset_ref,valid_from,valid_to",
        "energy_factor": "territory,valid_from,valid_to,eur_per_kwh,kgco2e_per_kwh,reason",
    }.items():
        lines = files.declared[name].read_text(encoding="utf-8").splitlines()
        assert lines[0] == header == (_ROOT / "ingestion" / "declared" / f"{name}.csv").read_text(encoding="utf-8").strip()
        own = [line for line in lines[1:] if name != "meter_link" or line.startswith("sim-compteurs,")]
        assert len(own) == (1 if name == "energy_factor" else len(world.territory.cabinets))


def test_an_impossible_span_is_refused(world: World, tmp_path: Path) -> None:
    for start, end in ((_END, _START), (_START, _START), (_START.replace(tzinfo=None), _END.replace(tzinfo=None))):
        with pytest.raises(WrongUse):
            history.write(world, tmp_path, start, end)


def test_energy_of_the_truth_is_what_meters_told(happened: dict[str, list[dict[str, Any]]]) -> None:
    """Each reading is rounded to a watt hour: half of one, as often as there are readings."""
    assert {r["local_date"] for r in happened["energy"]} == {dt.date(2026, 3, 21) + dt.timedelta(days=i) for i in range(15)}
    for row in happened["energy"]:
        hours = 23 if row["local_date"] == dt.date(2026, 3, 29) else 24
        assert row["readings"] == 2 * hours
        if row["readings_sent"] == row["readings"]:
            assert abs(row["measured_wh"] - row["consumed_wh"]) <= 0.5 * row["readings"]
        margin = row["expected_wh"] * 0.1
        verdict = "over" if row["excess_wh"] > margin else "under" if row["excess_wh"] < -margin else "normal"
        assert row["verdict"] == verdict
    assert {r["verdict"] for r in happened["energy"]} >= {"normal"}


def test_what_is_expected_of_a_cabinet_is_its_power_times_its_hours(world: World, happened: dict[str, list[dict[str, Any]]]) -> None:
    for row in happened["nights"]:
        cabinet = next(c for c in world.territory.cabinets if c.ref == row["cabinet_ref"])
        if cabinet.regime.off_from is not None:
            continue
        day = row["local_date"]
        rises, sets = sun(world.preset.latitude, world.preset.longitude, day)
        dark = at_local(day + dt.timedelta(days=1)) - at_local(day) - (sets - rises)
        assert row["scheduled_seconds"] == pytest.approx(dark)
        expected = cabinet.rated_w * 1.08 * cabinet.regime.dimming_pct / 100 * dark / HOUR
        assert row["expected_wh"] == pytest.approx(expected)
        assert row["by_night_wh"] + row["by_day_wh"] == pytest.approx(row["consumed_wh"], abs=0.1)


def test_autumn_has_a_day_of_fifty_readings() -> None:
    rows = truth.tables(World(60, 1), dt.datetime(2026, 10, 24, 21, tzinfo=dt.UTC), dt.datetime(2026, 10, 26, 2, tzinfo=dt.UTC))["energy"]
    assert {(r["local_date"], r["readings"]) for r in rows.to_pylist()} == {(dt.date(2026, 10, 25), 50)}


def test_trouble_shows_in_the_verdicts() -> None:
    """Half a year of a small town: who burns by day and who is dark is named on the days it happened, and on no others."""
    world = World(2_000, 2)
    start, end = dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2025, 7, 1, tzinfo=dt.UTC)
    rows = truth.tables(world, start, end)
    nights = rows["nights"].to_pylist()
    burners = [c.failure for c in world.cases(seconds(start), seconds(end)) if c.failure.process == "day-burner"]
    assert burners
    for row in nights:
        own = [x for x in burners if world.territory.cabinets[x.cabinet].ref == row["cabinet_ref"]]
        midnight = at_local(row["local_date"])
        is_under_way = any(x.started < midnight + DAY + HOUR and x.ended > midnight for x in own)
        assert not row["is_day_burner"] or is_under_way
        if any(x.started <= midnight and x.ended >= midnight + DAY + HOUR for x in own) and row["dark_seconds"] == 0:
            assert row["is_day_burner"]
            assert row["by_day_wh"] > 0.1 * row["expected_wh"]
    quiet = [r for r in nights if not r["is_day_burner"] and r["dark_seconds"] == 0]
    assert max(r["by_day_wh"] / r["expected_wh"] for r in quiet) < 0.3
    drifting = {r["cabinet_ref"]: r for r in rows["drifts"].to_pylist()}
    assert drifting
    for ref, drift in drifting.items():
        inside = [
            r
            for r in rows["energy"].to_pylist()
            if r["cabinet_ref"] == ref
            and at_local(r["local_date"]) >= seconds(drift["started_at"])
            and at_local(r["local_date"]) + DAY + HOUR <= seconds(drift["ended_at"])
        ]
        dark = {r["local_date"] for r in nights if r["cabinet_ref"] == ref and r["dark_seconds"] > 0}
        share = [r["excess_pct"] for r in inside if r["local_date"] not in dark]
        # A sixth of its lamps may be out, its power may be 4 % beside its plate.
        assert all(e > 100 * drift["factor"] - 20 for e in share)


def test_cases_count_from_what_was_first_known(happened: dict[str, list[dict[str, Any]]]) -> None:
    assert happened["cases"]
    for case in happened["cases"]:
        known = [case[n] for n in ("alarm_at", "opened_at", "requested_at") if case[n] is not None]
        assert case["clock_started_at"] == min(known)
        assert case["arrived_seconds"] == (case["arrived_at"] - min(known)).total_seconds()
        assert case["restored_seconds"] == (case["restored_at"] - min(known)).total_seconds() - case["suspended_seconds"]
        assert case["arrived_contract_seconds"] == open_seconds(seconds(min(known)), seconds(case["arrived_at"]))
        guarantee = {"lamp-out": 72, "cabinet-dark": 2}.get(case["fault_type"])
        assert case["is_gti_met"] == (None if guarantee is None else case["arrived_seconds"] <= guarantee * HOUR)
        assert (case["is_gtrp_met"] is not None) == (case["fault_type"] == "cabinet-dark")
        assert len(case["report_refs"]) == 0 or case["report_refs"][0] == case["root_report_ref"]


def test_who_saw_it_first_is_told(happened: dict[str, list[dict[str, Any]]]) -> None:
    by = {r["failure_key"]: r for r in happened["prevention"]}
    failures = [f for f in happened["failures"] if f["kind"] == "failure"]
    assert set(by) == {f["failure_key"] for f in failures}
    for f in failures:
        row = by[f["failure_key"]]
        seen = [t for t in (row["first_state_at"], row["first_report_at"]) if t is not None]
        if seen:
            assert f["seen_from"] <= min(seen)
        expected = "state" if row["first_state_at"] is not None and row["first_state_at"] == min(seen) else None
        assert expected is None or row["first_seen_by"] == expected
    assert {f["kind"] for f in happened["failures"]} == {"failure", "communication_loss"}


def test_guarantees_are_those_of_the_referential() -> None:
    with (_ROOT / "dbt_project" / "seeds" / "core__fault_type.csv").open(encoding="utf-8") as file:
        rows = {r["fault_type"]: r for r in csv.DictReader(file)}
    for fault, hours in truth.GUARANTEES.items():
        own = tuple(float(rows[fault][n]) if rows[fault][n] else None for n in ("gti_h", "gtrp_h", "gtr_h"))
        assert own == hours
        assert rows[fault]["clock"] == "24_7"
    assert b.TOLERANCE_PCT == 10
