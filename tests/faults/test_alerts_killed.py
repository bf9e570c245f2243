"""Engine, PostgreSQL, broker and pages killed at random under load: no alarm lost, none doubled, timers honoured, clients miss nothing.

What must be there is computed from what was published and acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiomqtt
import psycopg
import pytest
from psycopg.rows import dict_row

from orchestration.alerts.access import Access
from orchestration.alerts.model import Role
from orchestration.services import postgres
from tests.alerts_instance import AlertsInstance, light
from tests.effort import times

pytest_plugins = ("tests.stream_instance", "tests.alerts_instance")

KILLS: Final = times(5, thorough=50)
LIGHTS: Final = 40
QUIET: Final = 400
_DELAY: Final = dt.timedelta(seconds=2)
# A light that says that it works again within this says so well before its timer is due.
_IN_TIME: Final = dt.timedelta(seconds=1)

_RULE: Final = """\
    rule: {name}
    title: Essai
    message: "{{asset}}"
    when: {when}
    scope: {{feeds: [lumieres]}}
    consequence: moderate
    respond_within: PT2H
    bound: {{raises: 100000, per: PT1H}}
"""


@dataclass
class Published:
    """What the broker has acknowledged.

    Attributes:
        rises, falls: per light, how often it failed and worked again.
        late: lights that failed for good under the rule with a delay, and when.
        brief: lights that did so for less than the delay.
        messages: how many messages in all.
        stop: asks the publisher to end, all lights working or failed as they are.
        error: what went wrong.
    """

    rises: Counter[str] = field(default_factory=Counter)
    falls: Counter[str] = field(default_factory=Counter)
    late: dict[str, dt.datetime] = field(default_factory=dict)
    brief: set[str] = field(default_factory=set)
    messages: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


def publish(one: AlertsInstance, published: Published) -> None:  # noqa: C901 - one publisher and its book, best read together
    """Publish until asked to stop: each message again and again until it is acknowledged, those of one light one after the other."""
    chance = random.Random(3)
    state: dict[str, str] = {}
    pending: list[tuple[str, str, dt.datetime]] = []
    to_end: list[tuple[float, str, dt.datetime]] = []
    numbers = iter(range(10**9))

    def upcoming() -> tuple[str, str, dt.datetime]:
        now = dt.datetime.now(dt.UTC)
        if to_end and to_end[0][0] <= time.monotonic():
            return to_end.pop(0)[1], "ok", now
        number, draw = next(numbers), chance.random()
        if draw < 0.05:
            name = f"T{number}"
            if chance.random() < 0.5:
                to_end.append((time.monotonic() + 0.3, f"B{number}", now))
                name = f"B{number}"
            return name, "communicationLost", now
        if draw < 0.35:
            name = f"L{number % LIGHTS}"
            return name, "defectiveLamp" if state.get(name, "ok") == "ok" else "ok", now
        return f"Q{number % QUIET}", "ok", now

    def acknowledged(name: str, status: str, at: dt.datetime) -> None:
        published.messages += 1
        match name[0], status:
            case "L", "defectiveLamp":
                published.rises[name] += 1
            case "L", "ok" if state.get(name, "ok") != "ok":
                published.falls[name] += 1
            case "T", _:
                published.late[name] = at
            case "B", "ok" if dt.datetime.now(dt.UTC) - began[name] < _IN_TIME:
                published.brief.add(name)
            case "B", "communicationLost":
                began[name] = at
        state[name] = status

    began: dict[str, dt.datetime] = {}

    async def main() -> None:
        while not (published.stop.is_set() and not pending and not to_end):
            with contextlib.suppress(aiomqtt.MqttError, OSError):
                async with aiomqtt.Client(
                    one.stream.host, one.stream.mqtt_port, username="lumieres", password=one.stream.passwords["lumieres"], timeout=5
                ) as client:
                    while not (published.stop.is_set() and not pending and not to_end):
                        if not pending:
                            pending.append(upcoming())
                        topic, document = light(*pending[0])
                        await client.publish(topic, json.dumps(document).encode(), qos=1, timeout=5)
                        acknowledged(*pending.pop())
            await asyncio.sleep(0.05)

    try:
        asyncio.run(main())
    except BaseException as error:  # noqa: BLE001 - told by the test
        published.error = error


@dataclass
class Client:
    """A client of the events that comes back after the last it has."""

    port: int
    token: str
    seen: list[int] = field(default_factory=list)
    connections: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Follow until asked to stop."""
        while not self.stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._follow()
            time.sleep(0.05)

    def _follow(self) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            last = str(self.seen[-1] if self.seen else 0)
            connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {self.token}", "Last-Event-ID": last})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                return
            self.connections += 1
            number = None
            for line in answer:
                if self.stop.is_set():
                    return
                if line.startswith(b"id:"):
                    number = int(line[3:])
                elif line in {b"\n", b"\r\n"} and number is not None:
                    self.seen.append(number)
                    number = None


def token_of(one: AlertsInstance) -> str:
    @contextlib.contextmanager
    def lend() -> Iterator[Any]:
        with psycopg.connect(one.settings.app_url.get_secret_value(), autocommit=True, row_factory=dict_row) as con:
            yield con

    return Access(lend).add_system("essai", Role.VIEWER)


@pytest.mark.timeout(300 + 20 * KILLS)  # a kill and its recovery take some seconds, more on a loaded machine
def test_nothing_is_lost_or_doubled_whatever_is_killed(alerts_instance: AlertsInstance) -> None:
    one, chance, killed = alerts_instance, random.Random(11), Counter[str]()
    one.stream.write_contract("lumieres", ["lumieres/+"])
    one.write_rule(_RULE.format(name="essai-panne", when="{type: equals, property: status, values: [defectiveLamp]}"))
    one.write_rule(_RULE.format(name="essai-retard", when="{type: equals, property: status, values: [communicationLost], on_delay: PT2S}"))
    one.start_broker()
    one.start_engine()
    one.start_web()
    one.until_engine()
    published, client = Published(), Client(one.settings.web_port, token_of(one))
    threads = [threading.Thread(target=publish, args=(one, published), daemon=True), threading.Thread(target=client.run, daemon=True)]
    for thread in threads:
        thread.start()
    with contextlib.ExitStack() as stack:
        # Each as often as the next, in a random order: engine, PostgreSQL, broker, engine, pages.
        victims = [("engine", "postgres", "broker", "engine", "web")[n % 5] for n in range(KILLS)]
        chance.shuffle(victims)
        for victim in victims:
            time.sleep(chance.uniform(0.5, 4.0))
            killed[victim] += 1
            match victim:
                case "engine":
                    one.kill_engine()
                    one.start_engine()
                case "postgres":
                    one.kill_postgres()
                    time.sleep(chance.uniform(0.0, 2.0))
                    stack.enter_context(postgres.running(one.settings))
                case "broker":
                    one.stream.kill_broker()
                    time.sleep(chance.uniform(0.0, 1.0))
                    one.start_broker()
                case _:
                    assert one.web is not None
                    one.web.kill()
                    one.web.wait()
                    one.start_web()
        published.stop.set()
        threads[0].join(60)
        assert published.error is None
        assert not threads[0].is_alive()
        one.until_engine()
        time.sleep(_DELAY.total_seconds())
        wanted = sum(published.rises.values()) + sum(published.falls.values())
        one.until(lambda: len(one.journal("essai-panne")) >= wanted, "every change is in the journal")
        one.until(lambda: len(_raised(one, "essai-retard")) >= len(published.late), "every timer fired")
        one.until_engine()

        said: dict[str, Counter[str]] = defaultdict(Counter)
        for kind, asset in one.journal("essai-panne"):
            said[asset]["falls" if kind == "returned" else "rises"] += 1
        assert {a: said[a]["rises"] for a in said} == dict(published.rises)
        assert {a: said[a]["falls"] for a in said if said[a]["falls"]} == dict(published.falls)
        assert Counter(a["asset_ref"] for a in one.alarms("essai-panne")).most_common(1)[0][1] == 1, "nobody closed any: one alarm each"

        raised = {a["asset_ref"]: a for a in one.alarms("essai-retard")}
        assert set(published.late) <= set(raised)
        assert not published.brief & set(raised), "what was over in time was not raised"
        assert {name: raised[name]["raised_at"] for name in published.late} == {name: at + _DELAY for name, at in published.late.items()}
        assert {kind for kind, asset in one.journal("essai-retard") if asset in published.late} == {"raised"}

        numbers = [r["seq"] for r in one.rows("SELECT seq FROM alerts.journal ORDER BY seq")]
        assert numbers == list(range(1, len(numbers) + 1))
        one.until(lambda: client.seen[-1:] == numbers[-1:], "the client has all of it")
        client.stop.set()
        assert client.seen == numbers
    print(
        f"killed {dict(killed)}; {published.messages} messages, {wanted} changes, {len(published.late)} timers, "
        f"{len(published.brief)} brief, {len(numbers)} lines, {client.connections} connections"
    )


def _raised(one: AlertsInstance, rule: str) -> list[str]:
    return [a["asset_ref"] for a in one.alarms(rule) if a["asset_ref"].startswith("T")]
