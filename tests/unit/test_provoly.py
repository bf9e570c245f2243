"""Provoly's work orders become interventions, its equipment assets: every expectation is worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.formats import provoly_quick
from ingestion.formats.provoly import decode
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import AssetRow, InterventionRow, RejectRow, WireBatch, WireOptions
from tests.unit.wire_corpus.provoly import EQUIPMENT, MANY, ORDER, dump

# 2026-03-01 is 20,513 days after 1970.
_ASKED: Final = (20_513 * 86_400 + 8 * 3_600) * 1_000_000
_DAY: Final = 86_400 * 1_000_000
_HOUR: Final = 3_600 * 1_000_000


def _read(message: Any, contract: str = "intervention", **options: Any) -> tuple[int, WireBatch]:
    batch = WireBatch()
    how = WireOptions(contract=contract, time_zone="Europe/Paris", personal=FORMATS["provoly"].personal, **options)
    return decode(message if isinstance(message, bytes) else dump(message), batch, after=0, received_at=None, options=how), batch


def _order(message: Any) -> InterventionRow:
    records, batch = _read(message)
    assert (records, batch.rejects, batch.assets) == (1, [], [])
    (row,) = batch.interventions
    return row


def _asset(message: Any) -> AssetRow:
    records, batch = _read(message, "asset")
    assert (records, batch.rejects, batch.interventions) == (1, [], [])
    (row,) = batch.assets
    return row


def _refused(message: Any) -> RejectRow:
    records, batch = _read(message)
    assert (records, batch.interventions, batch.assets) == (1, [], [])
    (row,) = batch.rejects
    assert row.scope == "record"
    return row


_EXPECTED: Final = InterventionRow(
    1,
    "DI00000412",
    asset_ref="C-306",
    kind="curative",
    requested_at=_ASKED,
    arrived_at=_ASKED + _DAY,
    restored_at=_ASKED + _DAY + 2 * _HOUR,
    status="DONE",
    description="Deux lampes éteintes",
    revised_at=_ASKED + 2 * _DAY,
)


@pytest.mark.parametrize(
    "message",
    [ORDER, [ORDER], {"content": [ORDER], "number": 0}, {"items": [ORDER]}, {"services": [ORDER]}, {"data": [ORDER], "total": 1},
     ORDER | {"id": "6a1d", "externalId": "DI00000412"}, ORDER | {"equipment": {"id": "0f", "name": "Armoire", "code": "C-306"}},
     ORDER | {"category": "cura"}],
)  # fmt: skip
def test_every_shape_of_an_order_is_the_same_intervention(message: Any) -> None:
    assert _order(message) == _EXPECTED


@pytest.mark.parametrize(
    ("changed", "arrived", "restored"),
    [
        ({"status": "ASKED"}, None, None),  # planned
        ({"status": "CREATED"}, None, None),
        ({"status": "IN_PROGRESS"}, _ASKED + _DAY, None),
        ({"status": "CANCELLED"}, None, None),
        # Written before they can have happened: they were planned when the order changed last.
        ({"lastModificationDate": "2026-03-01T09:00:00Z"}, None, None),
        ({"lastModificationDate": "2026-03-02T09:00:00Z"}, _ASKED + _DAY, None),
        ({"lastModificationDate": None}, None, None),
        ({"closeDate": "2026-03-02T12:00:00Z"}, _ASKED + _DAY, _ASKED + _DAY + 4 * _HOUR),
        ({"closeDate": "2026-03-02T12:00:00Z", "status": "CANCELLED"}, None, None),
    ],
)
def test_planned_dates_are_not_taken_for_facts(changed: dict[str, Any], arrived: int | None, restored: int | None) -> None:
    row = _order(ORDER | changed)
    assert (row.arrived_at, row.restored_at) == (arrived, restored)


def test_what_it_is_about_stays_in_the_sources_words() -> None:
    row = _order(ORDER | {"type": {"id": 3, "name": "Lampe - Éteinte"}, "name": "Rue de la Marne"})
    assert (row.description, row.fault_type) == ("Lampe - Éteinte — Rue de la Marne — Deux lampes éteintes", None)


def test_an_unknown_category_is_set_aside() -> None:
    _, batch = _read(ORDER | {"category": "AMEL"})
    assert batch.interventions[0].kind is None
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "unknown_category")]


def test_times_without_offset_are_in_the_feeds_zone() -> None:
    assert _order(ORDER | {"creationDate": "2026-03-01T09:00:00"}).requested_at == _ASKED


def test_equipment_is_an_asset_called_as_orders_call_it() -> None:
    assert _asset(EQUIPMENT) == AssetRow(
        1, "C-306", "Armoire", parent_ref="P-12", name="Armoire Marne", owner_authority="CHALONS_COMMUN", identity="gmao-7731"
    )


def test_the_short_shape_of_equipment_is_called_by_its_name() -> None:
    found = {"id": "0c72", "name": "P-1000", "type": "Point lumineux", "entity": {"id": "e", "name": "FAGNIERES"}}
    assert _asset(found) == AssetRow(1, "P-1000", "Point lumineux", name="P-1000", owner_authority="FAGNIERES")


@pytest.mark.parametrize(
    "where",
    [{"location": {"type": "Point", "coordinates": [4.36, 48.95]}}, {"longitude": 4.36, "latitude": 48.95}, {"geometry": "48.95, 4.36"}],
)
def test_equipment_lies_where_it_says(where: dict[str, Any]) -> None:
    row = _asset(EQUIPMENT | where)
    assert (row.longitude, row.latitude) == (4.36, 48.95)


@pytest.mark.parametrize("where", [{"longitude": 4.36}, {"location": {"type": "Point", "coordinates": [4.36, 148.95]}}])
def test_a_place_that_is_none_is_set_aside(where: dict[str, Any]) -> None:
    _, batch = _read(EQUIPMENT | where)
    assert batch.assets[0].longitude is None
    assert [(r.scope, r.reason) for r in batch.rejects] == [("value", "invalid_position")]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "empty"),
        ({}, "empty"),
        ({"content": []}, "empty"),
        ([7], "not_a_record"),
        ({"id": "x"}, "unknown_kind"),
        ({"id": "x", "name": "y"}, "unknown_kind"),
        ({"name": "alerte", "criticality": "HIGH"}, "event"),
        (ORDER | {"id": " "}, "no_id"),
        (ORDER | {"creationDate": None}, "no_instant"),
        (ORDER | {"creationDate": "01/03/2026"}, "not_an_instant"),
        (ORDER | {"creationDate": 1_772_352_000_000}, "not_an_instant"),
        (b"id;name;code\n1;a;b\n", "invalid_json"),
    ],
)
def test_what_is_neither_order_nor_equipment_is_refused_with_its_reason(message: Any, reason: str) -> None:
    assert _refused(message).reason == reason


def test_who_asked_is_neither_in_rows_nor_in_rejects() -> None:
    named = ORDER | {"requester": "SECRET", "assignee": {"name": "SECRET"}, "email": "SECRET", "category": "?"}
    for message in (named, named | {"creationDate": "?"}, ["SECRET"]):
        _, batch = _read(message)
        assert batch.rejects
        assert "SECRET" not in repr((batch.interventions, batch.rejects))


def test_a_long_list_is_read_by_column() -> None:
    records, batch = _read(MANY)
    assert (records, batch.interventions, batch.rejects) == (250, [], [])
    assert [_EXPECTED._replace(position=n + 1, intervention_ref=f"DI{n:08d}") for n in range(250)] == _rows(batch)


def _rows(batch: WireBatch) -> list[InterventionRow]:
    listed = [InterventionRow(row.pop("_position"), **row) for _, table in batch.tables for row in table.to_pylist()]
    return [*batch.interventions, *listed]


_INSTANTS = st.sampled_from(
    ["2026-03-01T08:00:00Z", "2026-03-02T08:00:00.123456Z", "2026-03-02T09:00:00+01:00", "2026-03-02T08:00:00", "2026-03-02", "?", "", None]
)
_TEXTS = st.sampled_from(["a", " b ", "", None, 'x":y', "Été"])
_ORDERS = st.fixed_dictionaries(
    {"id": st.one_of(st.integers(0, 9), st.sampled_from(["DI1", "", " z"])), "creationDate": _INSTANTS},
    optional={
        "equipment": st.one_of(_TEXTS, st.just({"code": "C-1"})),
        "lastModificationDate": _INSTANTS,
        "startDate": _INSTANTS,
        "endDate": _INSTANTS,
        "closeDate": _INSTANTS,
        "status": st.sampled_from(["ASKED", "IN_PROGRESS", "DONE", "CANCELLED", "Done", None]),
        "category": st.sampled_from(["PREV", "CURA", "AMEL", None]),
        "description": _TEXTS,
        "domain": st.sampled_from(["EP", None]),
        "type": _TEXTS,
    },
)


@settings(deadline=None)
@given(orders=st.lists(_ORDERS, min_size=1, max_size=3))
def test_both_ways_give_the_same_rows(orders: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provoly_quick, "_FEWEST", 1)
        _, quick = _read(orders)
        patch.setattr(provoly_quick, "_FEWEST", 10**9)
        _, slow = _read(orders)
    assert slow.tables == []
    assert _rows(quick) == _rows(slow)
    assert quick.rejects == slow.rejects


def test_a_name_twice_in_a_long_list_is_refused() -> None:
    assert _refused(dump(MANY).replace(b'"domain": "EP"', b'"domain": "EP", "domain": "EP"', 1)).reason == "duplicate_key"


def test_orders_of_a_long_list_keep_their_positions() -> None:
    records, batch = _read([*MANY, ORDER | {"creationDate": "?"}])
    positions = [row.position for row in batch.interventions]
    positions += [p for _, table in batch.tables for p in table["_position"].to_pylist()]
    assert (records, positions, [r.position for r in batch.rejects]) == (251, list(range(1, 251)), [251])


# --- Provoly's own examples -----------------------------------------------------------------------------------------------------------

# What each file holds, read by hand: interventions, assets, the reasons of its rejects. CSV and YAML are no messages: the lists of
# categories, domains and types of request are reference information, the rest descriptions of interfaces.
_SAMPLES: Final[dict[str, tuple[int, int, list[str]]]] = {
    "SOURCES.md": (0, 0, ["invalid_json"]),
    "categories.csv": (0, 0, ["invalid_json"]),
    "domains.csv": (0, 0, ["invalid_json"]),
    "equipment_read.json": (0, 1, []),
    "event_alert_write.json": (0, 0, ["event"]),
    "events_read.json": (0, 0, ["event"] * 3),
    "openapi-data-ref.yaml": (0, 0, ["invalid_json"]),
    "openapi-data-virt.yaml": (0, 0, ["invalid_json"]),
    "service_type_gti_gtr_gtrp_hours.csv": (0, 0, ["invalid_json"]),
    "services_write_interventions.json": (2, 0, []),
}


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    """Provoly's examples; the test is skipped where they are absent."""
    path = shared_data.parent / "samples" / "provoly"
    if not path.is_dir():
        pytest.skip(f"the examples of Provoly are not at {path}")
    return path


def test_every_example_is_stored_or_rejected_for_its_reason(folder: Path) -> None:
    found = {path.name: _read(path.read_bytes())[1] for path in folder.iterdir()}
    assert {n: (len(b.interventions), len(b.assets), [r.reason for r in b.rejects]) for n, b in found.items()} == _SAMPLES
    asked, done = found["services_write_interventions.json"].interventions
    assert (asked.intervention_ref, asked.asset_ref, asked.kind, asked.status) == ("DI00001935", "C-306", "preventive", "ASKED")
    assert (done.intervention_ref, done.kind, done.restored_at) == ("DI00001935@1234567890", "curative", None)
    (cabinet,) = found["equipment_read.json"].assets
    assert (cabinet.asset_ref, cabinet.asset_type, cabinet.parent_ref) == ("C306", "Armoire", "C307")
