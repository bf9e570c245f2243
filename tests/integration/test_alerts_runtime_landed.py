"""What reaches the engine beside the stream: rows that landed in batch, each once, and the equipment of the published referential."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path

import pytest

from ingestion.feeds.load import load_feed
from ingestion.lake.session import ALIAS, connect
from ingestion.lake.tables import create_lake, create_personal_lake
from orchestration.alerts import outbox
from orchestration.alerts.model import Equipment
from orchestration.alerts.runtime import directory
from orchestration.alerts.store import turn
from orchestration.ingest import ingest
from tests.alerts_instance import AlertsInstance

pytest_plugins = ("tests.stream_instance", "tests.alerts_instance")

CONTRACT = """\
feed: releves
title: Essai
contract: observation
domain: EAU
owner: {name: Service}
steward: {name: Référente}
source: {publisher: Ville, licence: internal}
territory: {code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}
time_zone: UTC
format: {type: csv}
fields:
  - {name: code, title: Code, classification: open}
  - {name: heure, type: datetime, title: Heure, classification: open}
  - {name: niveau, type: number, title: Niveau, classification: open}
mapping: {asset_ref: code, observed_at: heure}
measures:
  - {column: niveau, property: level, unit: m}
alerts: true
"""
RULE = """\
    rule: essai-niveau
    title: Niveau haut
    message: "{asset} : {value} {unit}."
    when: {type: threshold, property: level, above: 3}
    scope: {feeds: [releves]}
    consequence: moderate
    respond_within: PT2H
"""


@pytest.fixture
def landing(alerts_instance: AlertsInstance) -> AlertsInstance:
    """An instance with lakes, a feed of files with `alerts: true`, a rule; broker and engine are not started yet."""
    settings = alerts_instance.settings
    create_lake(settings.lake)
    create_personal_lake(settings.personal_lake)
    (settings.feeds_path / "releves.yaml").write_text(CONTRACT, encoding="utf-8")
    alerts_instance.write_rule(RULE)
    return alerts_instance


def land(one: AlertsInstance, name: str, *rows: tuple[str, float, dt.datetime]) -> None:
    path = Path(one.settings.home) / f"{name}.csv"
    path.write_text("code,heure,niveau\n" + "".join(f"{code},{at.isoformat()},{value}\n" for code, value, at in rows), encoding="utf-8")
    report = ingest(one.settings, load_feed(one.settings.feeds_path / "releves.yaml"), [str(path)])
    assert not report.failures
    assert report.totals()["stored"] == len(rows)


def test_landed_rows_raise_and_the_history_does_not(landing: AlertsInstance) -> None:
    now = dt.datetime.now(dt.UTC)
    landing.start_broker()
    landing.start_engine()
    landing.until_engine()
    land(landing, "one", ("R1", 3.5, now), ("R2", 1.0, now), ("R3", 9.0, now - dt.timedelta(days=30)))
    landing.until(lambda: len(landing.alarms("essai-niveau")) == 1, "the row raised")
    assert landing.journal("essai-niveau") == [("raised", "R1")]
    assert landing.alarms("essai-niveau")[0]["value"] == 3.5


def test_what_landed_while_the_broker_was_away_is_published_later_and_once(landing: AlertsInstance) -> None:
    feeds = {"releves": load_feed(landing.settings.feeds_path / "releves.yaml")}
    now = dt.datetime.now(dt.UTC)
    land(landing, "one", ("R1", 3.5, now))  # no broker: the landing succeeds all the same
    landing.start_broker()
    assert outbox.catch_up(landing.settings, feeds) == 1
    assert outbox.catch_up(landing.settings, feeds) == 0
    # A process that died between publishing and moving its cursor publishes again: the broker knows the message.
    with turn.connect(landing.settings.app_url.get_secret_value(), name="test") as con:
        con.execute("DELETE FROM alerts.engine_state WHERE key = 'outbox:releves'")
    assert outbox.catch_up(landing.settings, feeds) == 1
    landing.start_engine()
    landing.until(lambda: bool(landing.alarms("essai-niveau")), "the row raised")
    landing.until_engine()
    assert landing.journal("essai-niveau") == [("raised", "R1")]
    (messages,) = landing.rows("SELECT details -> 'messages' AS n FROM alerts.heartbeat WHERE name = 'engine'")
    assert messages["n"] == 1, "the broker stored it once"


def test_a_publication_brings_its_equipment_once(landing: AlertsInstance) -> None:
    lake = landing.settings.lake
    with connect(lake) as con:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {ALIAS}.core")
        con.execute(
            f"CREATE TABLE {ALIAS}.core.asset (asset_key VARCHAR, asset_id VARCHAR, source VARCHAR, asset_ref VARCHAR, feed VARCHAR, "
            "asset_type VARCHAR, parent_ref VARCHAR, name VARCHAR, commune VARCHAR, street VARCHAR, longitude DOUBLE, latitude DOUBLE, "
            "owner_authority VARCHAR, model VARCHAR, geometry VARCHAR)"
        )
        con.execute(
            f"INSERT INTO {ALIAS}.core.asset VALUES "
            "('sig|L1', 'sig|L1', 'sig', 'L1', 'patrimoine', 'streetlight', 'F1', 'Lampe 1', 'Dijon', NULL, 5.0, 47.3, NULL, NULL, NULL), "
            "('radio|7', 'sig|L1', 'radio', '7', 'patrimoine', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'LoRa', NULL), "
            "('sig|F1', 'sig|F1', 'sig', 'F1', 'patrimoine', 'feeder', NULL, NULL, 'Dijon', NULL, NULL, NULL, 'Métropole', NULL, NULL)"
        )
        con.execute(
            f"CREATE TABLE {ALIAS}.core.equipment (asset_id VARCHAR, asset_type VARCHAR, name VARCHAR, commune VARCHAR, street VARCHAR, "
            "longitude DOUBLE, latitude DOUBLE, owner_authority VARCHAR, model VARCHAR, parent_id VARCHAR, geometry VARCHAR)"
        )
        con.execute(
            f"INSERT INTO {ALIAS}.core.equipment VALUES "
            "('sig|L1', 'streetlight', 'Lampe 1', 'Dijon', 'Rue X', 5.0, 47.3, 'Métropole', 'LED', 'sig|F1', NULL), "
            "('sig|F1', 'feeder', NULL, 'Dijon', NULL, NULL, NULL, 'Métropole', NULL, NULL, NULL)"
        )
        con.execute(f"INSERT INTO {ALIAS}.raw.feed (feed, domain) VALUES ('patrimoine', 'EP')")
    with turn.connect(landing.settings.app_url.get_secret_value(), name="test") as app:
        assert not directory.copy(app, lake), "nothing was published yet"
        with connect(lake) as con:
            con.execute(f"INSERT INTO {ALIAS}.raw.publication VALUES ('b1', now(), 1, 0, 2)")
        assert directory.copy(app, lake)
        assert not directory.copy(app, lake), "it is copied already"
        known = directory.load(app)
    light = Equipment("sig", "L1", "sig|L1", "streetlight", "Lampe 1", "EP", "Dijon", "Rue X", 5.0, 47.3, ("sig", "F1"), "Métropole", "LED")
    radio = Equipment(
        "radio", "7", "sig|L1", "streetlight", "Lampe 1", "EP", "Dijon", "Rue X", 5.0, 47.3, ("sig", "F1"), "Métropole", "LoRa"
    )
    feeder = Equipment("sig", "F1", "sig|F1", "feeder", None, "EP", "Dijon", None, None, None, None, "Métropole", None)
    assert known.equipment == {("sig", "L1"): light, ("radio", "7"): radio, ("sig", "F1"): feeder}


def test_a_hundred_thousand_assets_are_loaded_as_they_were_copied(landing: AlertsInstance) -> None:
    with turn.connect(landing.settings.app_url.get_secret_value(), name="test") as con:
        con.execute(
            "INSERT INTO alerts.equipment (source, asset_ref, asset_id, parent_source, parent_ref) "
            "SELECT 's', 'A' || n, 's|A' || n, 's', 'C' || n / 80 FROM generate_series(0, 99999) AS n"
        )
        began = time.monotonic()
        known = directory.load(con)
        print(f"100,000 assets loaded in {time.monotonic() - began:.2f} s")
    assert len(known.equipment) == 100_000
    assert known.get(("s", "A81")) == Equipment("s", "A81", "s|A81", parent=("s", "C1"))
