"""A dead engine makes the streams grow, which is told; an administrator can let go of what waits for it, and the lake loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.client import Client

from ingestion.stream import broker
from ingestion.stream.names import ALERTS, MQTT_STREAM, PARTITIONS, STREAMS, durable
from orchestration.cli.common import WRONG_USE
from orchestration.cli.main import main
from orchestration.intake.publishing import CONSUMERS
from tests.alerts_instance import AlertsInstance, light

pytest_plugins = ("tests.stream_instance", "tests.alerts_instance")

T = TypeVar("T")
RULE = """\
    rule: essai-panne
    title: Panne
    message: "{asset} est en panne."
    when: {type: equals, property: status, values: [defectiveLamp]}
    scope: {feeds: [lumieres]}
    consequence: moderate
    respond_within: PT2H
"""


def _asked(one: AlertsInstance, ask: Callable[[Client], Awaitable[T]]) -> T:
    async def main() -> T:
        nc = await broker.connect(one.settings.broker, reconnects=False)
        try:
            return await ask(nc)
        finally:
            await nc.close()

    return asyncio.run(main())


async def _stored(nc: Client) -> int:
    return (await nc.jetstream().stream_info(MQTT_STREAM)).state.messages


async def _waiting(nc: Client) -> dict[str, int]:
    lags = await broker.lag(nc, consumers=CONSUMERS)
    return {who: sum(lag.pending + lag.unacknowledged for lag in lags if lag.consumer == who) for who in CONSUMERS}


async def _land(nc: Client, how_many: int) -> None:
    """Acknowledge as the lake does."""
    for stream in STREAMS:
        for partition in range(PARTITIONS):
            subscription = await nc.jetstream().pull_subscribe_bind(durable=durable("lake", partition), stream=stream)
            info = await subscription.consumer_info()
            for message in await subscription.fetch(min(how_many, info.num_pending or 0), timeout=5) if info.num_pending else []:
                await message.ack_sync()


def _until_stored(one: AlertsInstance, count: int) -> None:
    one.until(lambda: _asked(one, _stored) == count, f"the stream holds {count}")


def test_what_only_a_dead_engine_needs_is_kept_until_it_is_let_go(alerts_instance: AlertsInstance) -> None:
    one, command = alerts_instance, ["alerts", "let-go", "--home", str(alerts_instance.settings.home)]
    one.stream.write_contract("lumieres", ["lumieres/+"])
    one.write_rule(RULE)
    one.start_broker()
    one.publish("lumieres", *(light(f"L{n}", "defectiveLamp") for n in range(20)))
    _asked(one, lambda nc: _land(nc, 20))
    one.publish("lumieres", light("L20", "defectiveLamp"))
    assert _asked(one, _stored) == 21, "the lake has 20 of them, and no engine has read any"

    assert main(command) == WRONG_USE
    assert _asked(one, _stored) == 21, "nothing is done without --yes"

    assert main([*command, "--yes"]) == 0
    _until_stored(one, 1)
    assert _asked(one, _waiting)["lake"] >= 1, "what the lake does not hold yet is kept"

    one.publish("lumieres", light("L21", "defectiveLamp"))
    one.start_engine()
    one.until(lambda: len(one.alarms("essai-panne")) == 2, "the engine reads what is left, and what comes")
    assert one.journal("essai-panne") == [("raised", "L20"), ("raised", "L21")]


def test_an_engine_that_runs_goes_on_when_what_waits_is_let_go(alerts_instance: AlertsInstance) -> None:
    one = alerts_instance
    one.stream.write_contract("lumieres", ["lumieres/+"])
    one.write_rule(RULE)
    one.start_broker()
    one.start_engine()
    one.publish("lumieres", light("L1", "defectiveLamp"))
    one.until(lambda: len(one.alarms("essai-panne")) == 1, "it reads")
    _asked(one, lambda nc: broker.let_go(nc, consumers=CONSUMERS))
    one.publish("lumieres", light("L2", "defectiveLamp"))
    one.until(lambda: len(one.alarms("essai-panne")) == 2, "it reads on")
    assert one.journal("essai-panne") == [("raised", "L1"), ("raised", "L2")]


def test_letting_go_twice_or_before_there_is_anything_does_no_harm(alerts_instance: AlertsInstance) -> None:
    one = alerts_instance
    one.start_broker(consumers=("lake",))  # an instance older than the alerts
    for _ in range(2):
        assert _asked(one, lambda nc: broker.let_go(nc, consumers=CONSUMERS)) == 0
    assert _asked(one, _waiting) == {"lake": 0, ALERTS: 0}
