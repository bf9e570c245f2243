"""What a feed rejected is found with its reason, where it came from, and counted once when it is landed again.

Here: `vigie feeds rejects`, and the account after a replay. Not here: what is rejected (`test_stream_landing`, `tests/unit`).
"""

from __future__ import annotations

import json
from typing import Final

import pytest

from ingestion.feeds.model import Feed
from ingestion.lake import rejects
from ingestion.lake.ledger import FeedTotals, feed_totals
from ingestion.lake.session import EngineLimits
from ingestion.stream.landing import open_landings
from ingestion.stream.messages import Message
from ingestion.stream.names import MQTT_STREAM
from ingestion.stream.replay import replay
from orchestration.cli.data import landed_contracts
from orchestration.cli.main import main
from orchestration.services.prepare import prepare
from orchestration.settings import Settings
from tests.lakes import HEADER, Lakes

pytest_plugins = ("tests.lakes",)

LIMITS: Final = EngineLimits(memory_limit="512MB", threads=1)
AIR: Final = """\
time_zone: Europe/Paris
connector: {{type: stream, topics: [air/+]}}
format: {{type: json}}
fields: [{{name: device}}, {{name: at, type: datetime}}, {{name: co2, type: number}}, {{name: temp, type: number}}]
mapping: {{asset_ref: device, observed_at: at}}
measures:
  - {{column: co2, property: co2_concentration, unit: "[ppm]", minimum: 0, maximum: 10000}}
  - {{column: temp, property: air_temperature, unit: {unit}, minimum: -40, maximum: 60}}
"""
# 2026-03-01 00:00 UTC, in microseconds.
_PUBLISHED_US: Final = 1_772_323_200_000_000


def air(lakes: Lakes, unit: str) -> Feed:
    return lakes.feed("air", "observation", AIR.format(unit=unit))


def land(lakes: Lakes, feed: Feed, payloads: list[bytes]) -> None:
    messages = [Message(n, "air", f"air/{n}", payload, _PUBLISHED_US) for n, payload in enumerate(payloads, start=1)]
    with open_landings(lakes.main, lakes.personal, limits=LIMITS) as landings:
        landings.of(MQTT_STREAM, 0).land(messages, {"air": feed})


def said(device: str, temp: float) -> bytes:
    return json.dumps({"device": device, "at": "2026-03-01T00:00:00Z", "co2": 600, "temp": temp}).encode()


def account(lakes: Lakes) -> tuple[int, int, int, int, int]:
    found: FeedTotals = feed_totals(lakes.reader)["air"]
    assert found.balances
    return found.received, found.stored, found.duplicate, found.rejected, found.rejected_values


def test_rejects_of_messages_are_told_with_their_topic(lakes: Lakes) -> None:
    land(lakes, air(lakes, "K"), [said("A", 290), b"{broken", said("B", 20)])

    found = [(r.scope, r.reason, r.rejected) for r in rejects.reasons(lakes.reader, "air")]
    assert found == [("record", "invalid_json", 1), ("value", "out_of_range", 1)]
    # 20 K are -253.15 Cel.
    last = rejects.latest(lakes.reader, "air", 20)
    assert [(r.origin, r.position, r.scope, r.reason) for r in last] == [
        ("air/3", 3, "value", "out_of_range"),
        ("air/2", 2, "record", "invalid_json"),
    ]
    assert "-253.15 Cel" in str(last[0].detail)
    assert [r.origin for r in rejects.latest(lakes.reader, "air", 1)] == ["air/3"]
    assert rejects.reasons(lakes.reader, "water") == []


def test_a_record_one_value_of_which_is_mended_counts_once(lakes: Lakes) -> None:
    land(lakes, air(lakes, "K"), [said("A", 20), said("B", 21), b"{broken"])
    assert account(lakes) == (3, 2, 0, 1, 2)

    replay(air(lakes, "Cel"), lakes.main, lakes.personal, limits=LIMITS)

    assert account(lakes) == (3, 2, 0, 1, 0)
    values = "SELECT asset_ref, property, value FROM lake.raw.observation ORDER BY ALL"
    assert lakes.query(values) == [
        ("A", "air_temperature", 20.0),
        ("A", "co2_concentration", 600.0),
        ("B", "air_temperature", 21.0),
        ("B", "co2_concentration", 600.0),
    ]


def test_a_contract_that_was_made_worse_is_told_in_the_account_and_mended_again(lakes: Lakes) -> None:
    land(lakes, air(lakes, "K"), [said("A", 20), said("B", 21)])
    worse = lakes.feed("air", "observation", AIR.format(unit="Cel").replace("type: datetime", 'type: datetime, format: "%d/%m/%Y"'))

    replay(worse, lakes.main, lakes.personal, limits=LIMITS)
    assert account(lakes) == (2, 0, 0, 2, 0)

    replay(air(lakes, "Cel"), lakes.main, lakes.personal, limits=LIMITS)
    assert account(lakes) == (2, 2, 0, 0, 0)


def test_rejects_of_files_are_told_with_their_file(instance: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    body = "time_zone: Europe/Paris\nfields: [{name: id}, {name: at, type: datetime}]\nmapping: {report_ref: id, opened_at: at}\n"
    (instance.feeds_path / "calls.yaml").write_text(HEADER.format(name="calls", contract="report") + body, encoding="utf-8")
    path = instance.home.parent / "calls.csv"
    path.write_text("id,at\n1,2026-03-01T08:00:00\n2,yesterday\n", encoding="utf-8")
    home = ["--home", str(instance.home)]

    assert main([*home, "feeds", "rejects", "calls"]) == 0
    assert "feed calls has rejected nothing" in capsys.readouterr().out
    assert main([*home, "ingest", "calls", str(path)]) == 0
    capsys.readouterr()

    assert main([*home, "feeds", "rejects", "calls", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(r["reason"], r["rejected"]) for r in document["reasons"]] == [("not_an_instant", 1)]
    assert [(r["position"], r["origin"]) for r in document["last"]] == [(2, str(path))]
    assert main([*home, "feeds", "rejects", "calls"]) == 0
    shown = capsys.readouterr()
    assert '"yesterday" is not a date' in " ".join(shown.out.split())
    assert "ingest calls PATH --force" in shown.err
    assert main([*home, "feeds", "rejects", "cals"]) == 2
    # A contract that is broken, or gone, hides nothing.
    (instance.feeds_path / "calls.yaml").write_text("feed: calls", encoding="utf-8")
    capsys.readouterr()
    assert main([*home, "feeds", "rejects", "calls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_a_message_of_a_feed_without_contract_is_told_and_hinders_nothing(instance: Settings) -> None:
    prepare(instance)
    with open_landings(instance.lake, instance.personal_lake, limits=LIMITS) as landings:
        landings.of(MQTT_STREAM, 0).land([Message(1, "air", "air/1", said("A", 20), _PUBLISHED_US)], {})
    (why,) = rejects.reasons(instance.reader_lake, "air")
    assert (why.scope, why.reason, why.rejected) == ("record", "unknown_feed", 1)
    # `vigie build` says where each feed that landed is read: of this one there is nothing to read.
    assert landed_contracts(instance) == {}
