"""The engine as a process: messages become alarms, in the order of their time, under restarts and with a PostgreSQL that is away."""

from __future__ import annotations

import datetime as dt
import json
import random
import string
import time

import psycopg
import pytest

from orchestration.services import postgres
from tests.alerts_instance import AlertsInstance, light

pytest_plugins = ("tests.stream_instance", "tests.alerts_instance")

FAILED = """\
    rule: essai-panne
    title: Panne
    message: "{asset} est en panne."
    when: {type: equals, property: status, values: [defectiveLamp]}
    scope: {feeds: [lumieres]}
    consequence: moderate
    respond_within: PT2H
    bound: {raises: 100000, per: PT1H}
"""


@pytest.fixture
def lit(alerts_instance: AlertsInstance) -> AlertsInstance:
    """Broker and engine run; the feed `lumieres` is let in, one rule of the instance's own looks at it."""
    alerts_instance.stream.write_contract("lumieres", ["lumieres/+"])
    alerts_instance.write_rule(FAILED)
    alerts_instance.start_broker()
    alerts_instance.start_engine()
    alerts_instance.until_engine()
    return alerts_instance


def test_a_message_raises_and_another_ends(lit: AlertsInstance) -> None:
    lit.publish("lumieres", light("L1", "ok"), light("L2", "defectiveLamp"))
    lit.until(lambda: len(lit.alarms("essai-panne")) == 1, "the alarm is there")
    (alarm,) = lit.alarms("essai-panne")
    assert (alarm["key"], alarm["title"], alarm["message"], alarm["is_active"]) == (
        "essai-panne|lumieres|L2", "Panne", "L2 est en panne.", True,
    )  # fmt: skip
    lit.publish("lumieres", light("L2", "ok"))
    lit.until(lambda: not lit.alarms("essai-panne")[0]["is_active"], "the alarm returned")
    assert lit.journal("essai-panne") == [("raised", "L2"), ("returned", "L2")]
    lit.until_engine()
    (beat,) = lit.rows("SELECT at FROM alerts.heartbeat WHERE name = 'feed:lumieres'")
    assert dt.datetime.now(dt.UTC) - beat["at"] < dt.timedelta(minutes=1)


def test_what_was_said_while_no_engine_ran_is_judged_once_one_does(lit: AlertsInstance) -> None:
    lit.publish("lumieres", light("L1", "defectiveLamp"))
    lit.until(lambda: len(lit.alarms("essai-panne")) == 1, "the first alarm is there")
    lit.kill_engine()
    lit.publish("lumieres", light("L2", "defectiveLamp"), light("L1", "ok"), light("L1", "defectiveLamp"))
    lit.start_engine()
    lit.until(lambda: len(lit.journal("essai-panne")) >= 4, "all of it is in the journal")
    lit.until_engine()
    assert sorted(lit.journal("essai-panne")) == [("raised", "L1"), ("raised", "L2"), ("reactivated", "L1"), ("returned", "L1")]


def test_a_second_engine_waits_and_takes_over(lit: AlertsInstance) -> None:
    first = lit.engine
    lit.start_engine()  # the helper now calls the second one the engine
    assert first is not None
    assert lit.engine is not None
    try:
        lit.publish("lumieres", light("L1", "defectiveLamp"))
        lit.until(lambda: len(lit.alarms("essai-panne")) == 1, "the first engine raises it")
        assert lit.engine.poll() is None
    finally:
        first.kill()
        first.wait()
    lit.until_engine()
    lit.publish("lumieres", light("L2", "defectiveLamp"))
    lit.until(lambda: len(lit.alarms("essai-panne")) == 2, "the second engine goes on")
    assert lit.journal("essai-panne") == [("raised", "L1"), ("raised", "L2")]


def test_changes_wait_for_postgresql(lit: AlertsInstance) -> None:
    lit.publish("lumieres", light("L1", "ok"))
    lit.kill_postgres()
    lit.publish("lumieres", *(light(f"L{n}", "defectiveLamp") for n in range(20)))
    time.sleep(1.0)  # some tries fail
    with postgres.running(lit.settings):
        lit.until(lambda: _count(lit) == 20, "what waited is committed")
        assert sorted(lit.journal("essai-panne")) == sorted(("raised", f"L{n}") for n in range(20))


def _count(lit: AlertsInstance) -> int:
    try:
        return len(lit.alarms("essai-panne"))
    except psycopg.OperationalError:
        return -1


def test_what_the_lake_would_refuse_raises_nothing(lit: AlertsInstance) -> None:
    far = dt.datetime(2150, 1, 1, tzinfo=dt.UTC)
    lit.publish("lumieres", light("L1", "defectiveLamp", far), ("lumieres/L2", {"id": "L2", "type": ["no", {"type"}.pop()]}))
    lit.publish("lumieres", light("L3", "defectiveLamp"))
    lit.until(lambda: bool(lit.alarms("essai-panne")), "the good message is judged")
    assert lit.journal("essai-panne") == [("raised", "L3")]


def test_a_rule_that_is_added_and_removed_holds_at_once(lit: AlertsInstance) -> None:
    lit.write_rule(FAILED.replace("essai-panne", "essai-autre").replace("[defectiveLamp]", "[lampCycling]"))
    lit.until(
        lambda: lit.rows("SELECT details FROM alerts.heartbeat WHERE name = 'engine'")[0]["details"]["rules"] > _rules(lit), "it is read"
    )
    lit.publish("lumieres", light("L1", "lampCycling"))
    lit.until(lambda: len(lit.alarms("essai-autre")) == 1, "the new rule raises")
    (lit.settings.alerts_path / "rules" / "essai-autre.yaml").unlink()
    lit.until(lambda: not lit.alarms("essai-autre")[0]["is_active"], "a rule that went ends its alarms")


def _rules(lit: AlertsInstance) -> int:
    from orchestration.alerts.rulebook.registry import SHIPPED, rules_in_force

    return len(rules_in_force(lit.settings.home / "none", shipped=SHIPPED)) + 1


def test_an_instance_older_than_the_alerts_is_read_from_what_its_stream_holds(alerts_instance: AlertsInstance) -> None:
    one = alerts_instance
    one.stream.write_contract("lumieres", ["lumieres/+"])
    one.write_rule(FAILED)
    one.start_broker(consumers=["lake"])
    one.publish("lumieres", light("L1", "defectiveLamp"))
    one.start_engine()
    one.until(lambda: len(one.alarms("essai-panne")) == 1, "what waits for the lake is judged")


MAPPED = """\
feed: bornes
title: Essai
contract: observation
domain: EP
owner: {name: Service}
steward: {name: Référente}
source: {publisher: Ville, licence: internal}
territory: {code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}
time_zone: Europe/Paris
format: {type: json}
connector: {type: stream, topics: [bornes/+]}
fields:
  - {name: code, title: Code, classification: open}
  - {name: heure, type: datetime, title: Heure, classification: open}
  - {name: pression, type: number, title: Pression, classification: open}
mapping: {asset_ref: code, observed_at: heure}
measures:
  - {column: pression, property: pressure, unit: "1", maximum: 100}
"""


def test_a_mapped_feed_raises_within_its_declared_bounds(alerts_instance: AlertsInstance) -> None:
    one = alerts_instance
    (one.settings.feeds_path / "bornes.yaml").write_text(MAPPED, encoding="utf-8")
    one.write_rule(
        FAILED.replace("lumieres", "bornes").replace(
            "{type: equals, property: status, values: [defectiveLamp]}", "{type: threshold, property: pressure, above: 10}"
        )
    )
    one.start_broker()
    one.start_engine()
    one.until_engine()
    now = dt.datetime.now(dt.UTC).isoformat()
    one.publish("bornes", *((f"bornes/{n}", {"code": f"B{n}", "heure": now, "pression": value}) for n, value in enumerate((5, 50, 500))))
    one.until(lambda: bool(one.alarms("essai-panne")), "the batch was judged")
    one.until_engine()
    assert one.journal("essai-panne") == [("raised", "B1")]
    assert json.loads(json.dumps(one.alarms("essai-panne")[0]["value"])) == 50


def test_codes_that_no_index_holds_and_texts_that_no_database_holds_stop_nothing(lit: AlertsInstance) -> None:
    chance = random.Random(1)
    endless = "".join(chance.choices(string.ascii_letters + string.digits, k=9_000))
    lit.publish(
        "lumieres",
        ("lumieres/1", light(endless, "defectiveLamp")[1]),
        ("lumieres/2", light("L\0X", "defectiveLamp")[1]),
        ("lumieres/3", light("L3", "defectiveLamp\0")[1]),
    )
    lit.publish("lumieres", light("L4", "defectiveLamp"))
    lit.until(lambda: ("raised", "L4") in lit.journal("essai-panne"), "good messages are judged, and what is told is committed")
    lit.until_engine()  # its state is saved too
    assert lit.journal("essai-panne") == [("raised", "L4")]
