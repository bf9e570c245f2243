"""The shipped contracts of reports, calls, work orders and equipment, on small files of our own: from bytes to the rows that would land."""

from __future__ import annotations

import datetime as dt
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.landing import Preview, preview
from tests.unit.wire_corpus import open311, provoly

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"
_OPENED: Final = dt.datetime(2026, 3, 1, 7, tzinfo=dt.UTC)


def _seen(name: str, path: Path, content: bytes, extension_directory: Path) -> Preview:
    path.write_bytes(content)
    return preview(load_feed(EXAMPLES / f"{name}.yaml"), path, extension_directory=extension_directory)


def _said(row: dict[str, Any], *names: str) -> list[Any]:
    return [row[name] for name in names]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("requests.json", open311.dump([open311.REQUEST])),
        ("requests.ndjson", open311.dump(open311.REQUEST) + b"\n"),  # as the connector writes pages
        ("requests.xml", open311.XML),
    ],
)
def test_a_request_fetched_becomes_a_report(tmp_path: Path, extension_directory: Path, name: str, content: bytes) -> None:
    became = _seen("open311-signalements", tmp_path / name, content, extension_directory)
    assert (became.received, became.accepted, became.rejected) == (1, 1, 0)
    (row,) = became.rows
    said = _said(row, "report_ref", "category", "opened_at", "status", "commune", "street", "longitude", "description")
    assert said == ["26-0017", "Éclairage en panne", _OPENED, "closed", "Châlons-en-Champagne", "12 rue de la Marne", 4.365, None]


def test_pages_of_xml_in_one_archive_are_all_read(tmp_path: Path, extension_directory: Path) -> None:
    path = tmp_path / "fetched.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("00001.xml", open311.XML)
        archive.writestr("00002.xml", open311.XML.replace(b"26-0017", b"26-0018"))
    became = _seen("open311-signalements", path, path.read_bytes(), extension_directory)
    assert [row["report_ref"] for row in became.rows] == ["26-0017", "26-0018"]


def test_a_long_list_lands_as_a_short_one_does(tmp_path: Path, extension_directory: Path) -> None:
    became = _seen("open311-signalements", tmp_path / "many.json", open311.dump(open311.MANY), extension_directory)
    assert (became.received, became.accepted, became.rejected) == (250, 250, 0)
    assert _said(became.rows[0], "position", "report_ref", "opened_at", "closed_at", "street") == [
        1, "26-0000", _OPENED, dt.datetime(2026, 3, 2, 8, 30, tzinfo=dt.UTC), "12 rue de la Marne",
    ]  # fmt: skip


def test_an_order_sent_becomes_an_intervention(tmp_path: Path, extension_directory: Path) -> None:
    became = _seen("provoly-interventions", tmp_path / "orders.json", provoly.dump(provoly.MANY), extension_directory)
    assert (became.received, became.accepted, became.rejected) == (250, 250, 0)
    assert _said(became.rows[7], "position", "intervention_ref", "asset_ref", "kind", "requested_at", "restored_at", "fault_type") == [
        8, "DI00000007", "C-306", "curative", dt.datetime(2026, 3, 1, 8, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, 10, tzinfo=dt.UTC), None,
    ]  # fmt: skip


def test_equipment_fetched_becomes_an_asset(tmp_path: Path, extension_directory: Path) -> None:
    became = _seen("provoly-equipements", tmp_path / "equipment.ndjson", provoly.dump(provoly.EQUIPMENT) + b"\n", extension_directory)
    (row,) = became.rows
    assert _said(row, "asset_ref", "asset_type", "parent_ref", "identity") == ["C-306", "Armoire", "P-12", "gmao-7731"]


_COLUMNS: Final = (
    "N° demande", "Appel reçu le", "Pris en charge le", "Clos le", "Modifié le", "Thème", "Motif", "Statut", "Rue", "Commune", "Quartier",
    "Équipement", "Demande d'origine", "Appelant", "Téléphone", "Commentaire",
)  # fmt: skip
_LIGHTING: Final = "Éclairage public;Lampe éteinte"
_CALLS: Final = "\n".join(
    (
        ";".join(_COLUMNS),
        f"A-1;01/03/2026 08:00;01/03/2026 08:30;02/03/2026 09:30;;{_LIGHTING};Clôturée;Rue Haute;Troyes;;PL-7;;Martin;0325000000;",
        f"A-2;01/03/2026 08:05;;;01/03/2026 08:05;{_LIGHTING};Nouvelle;Rue Haute;Troyes;Centre;-;A-1;Petit;0325000001;",
        "A-3;29/03/2026 02:30;;;;Voirie;Trou;Nouvelle;Rue Basse;Troyes;Sud;;;Roux;0325000002;",
        "",
    )
)


def test_a_call_is_a_report_by_telephone(tmp_path: Path, extension_directory: Path) -> None:
    became = _seen("grc-appels", tmp_path / "appels.csv", _CALLS.encode("cp1252"), extension_directory)
    first, second = became.rows
    assert _said(first, "report_ref", "channel", "category", "opened_at", "acknowledged_at", "status", "asset_ref") == [
        "A-1", "phone", "Éclairage public", _OPENED, _OPENED + dt.timedelta(minutes=30), "closed", "PL-7",
    ]  # fmt: skip
    assert _said(second, "channel", "status", "asset_ref", "duplicate_of") == ["phone", "open", None, "A-1"]
    assert [(r["position"], r["reason"]) for r in became.rejects] == [(3, "not_an_instant")]  # no such hour that night
    assert "Martin" not in repr(became)
    assert "0325" not in repr(became)
