"""Speaking: what falls due is sent to the real ports, over MQTT and HTTP, until it is acknowledged.

Here: the pace, connections, trying again. Not here: the messages (`wire`).

At least once: a slice of time counts as sent when every message of it was acknowledged (PUBACK, HTTP 202); whoever is killed in between
sends the slice again. Nothing is given up: a port that does not answer is waited for.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt
import requests

from ingestion.errors import VigieError, WrongUse
from ingestion.simulator.clock import instant, seconds
from ingestion.simulator.systems import Message
from ingestion.simulator.wire import Wire
from ingestion.simulator.world import World

# Time is sent in slices of at most so many simulated seconds: what a restart sends again at worst.
_SLICE: Final = 300
# Messages on their way at once, per feed: enough to hide a round trip of some milliseconds, few enough not to flood a small broker.
_IN_FLIGHT: Final = 200
# A broker or an intake restarts in one or two seconds; past five, waiting longer spares nobody.
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_HTTP_TIMEOUT_S: Final = 30
# 202 by the intake's own answer; where a norm says how it is answered (TALQ), by that.
_STORED: Final = frozenset({200, 201, 202, 204})
# Answers that no second try will change: the message itself is refused.
_REFUSED: Final = frozenset({400, 405, 411, 413, 415, 422})


@dataclass(frozen=True)
class Endpoints:
    """Where to speak: the broker's MQTT port, the intake's address, each feed's password (its user is its name)."""

    mqtt_host: str
    mqtt_port: int
    intake_url: str
    passwords: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reached:
    """How far it got.

    Attributes:
        sent_until: everything due before it was acknowledged.
        messages: acknowledged by this run.
        waiting_for: why nothing goes out now; None while all goes well.
    """

    sent_until: dt.datetime
    messages: int
    waiting_for: str | None = None


def record(path: Path, reached: Reached) -> None:
    """Write down how far it got, whole or not at all."""
    draft = path.with_suffix(".part")
    draft.write_text(json.dumps({"sent_until": reached.sent_until.isoformat()}), encoding="utf-8")
    draft.replace(path)


def resume(path: Path, otherwise: dt.datetime) -> dt.datetime:
    """Return where an earlier run got to, or `otherwise` where none has written it down.

    Raises:
        WrongUse: the file is not one of `record`.
    """
    if not path.exists():
        return otherwise
    try:
        return dt.datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["sent_until"])
    except (ValueError, KeyError, TypeError):
        raise WrongUse(f"{path}: not the state of a simulator", remedy="delete it: the simulator begins anew") from None


async def speak(
    world: World,
    endpoints: Endpoints,
    *,
    since: dt.datetime,
    until: dt.datetime | None = None,
    speed: float = 1.0,
    stop: Callable[[], bool],
    report: Callable[[Reached], None] | None = None,
) -> Reached:
    """Send what falls due in [since, until) to the real ports, until stopped.

    Args:
        world: who speaks.
        endpoints: where.
        since: with its zone. At speed 1 what fell due before now is sent at once, and then each message in its time.
        until: likewise; without it, for ever.
        speed: 1 follows the wall clock; another runs from `since` at so many times its pace; `math.inf` as fast as it goes.
        stop: asked a few times a second.
        report: told after each slice, and when something must be waited for.

    Raises:
        WrongUse: an instant without zone, a speed that is not positive, a password that is missing.
        VigieError: a message was refused for what it is.
    """
    if since.tzinfo is None or (until is not None and until.tzinfo is None):
        raise WrongUse("an instant without its zone", remedy="give since and until with their zone")
    if not speed > 0:
        raise WrongUse(f"speed {speed}", remedy="a number above 0, or math.inf")
    wire, begun = Wire(world), time.monotonic()
    at, last = seconds(since), None if until is None else seconds(until)
    told = _Told(at, report)
    senders: dict[str, _Mqtt | _Http] = {}
    try:
        while not stop() and (last is None or at < last):
            due = time.time() if speed == 1.0 else math.inf if math.isinf(speed) else seconds(since) + (time.monotonic() - begun) * speed
            target = int(min(due, at + _SLICE, math.inf if last is None else last))
            if target <= at:
                await asyncio.sleep(0.2)
                continue
            by_feed: dict[str, list[Message]] = {}
            for message in wire.messages(at, target):
                by_feed.setdefault(message.feed, []).append(message)
            for feed, messages in by_feed.items():
                if feed not in senders:
                    senders[feed] = _sender(feed, endpoints, is_mqtt=messages[0].topic is not None)
            sent = await _all(*(_send(senders[feed], feed, messages, stop, told) for feed, messages in by_feed.items()))
            if not all(sent):
                break
            at = target
            told.advance(at, sum(len(m) for m in by_feed.values()))
    finally:
        for sender in senders.values():
            await sender.close()
    return told.reached


async def _all(*sending: Coroutine[None, None, bool]) -> list[bool]:
    """Wait for all; when one raises, the others are ended first."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(s) for s in sending]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None  # what people read is an error, not a group of one
    return [t.result() for t in tasks]


class _Told:
    """How far it got, told to whoever asked."""

    def __init__(self, at: int, report: Callable[[Reached], None] | None) -> None:
        self.reached = Reached(instant(at), 0)
        self._report = report

    def advance(self, at: int, messages: int) -> None:
        self._tell(Reached(instant(at), self.reached.messages + messages))

    def waits(self, why: str) -> None:
        if self.reached.waiting_for != why:
            self._tell(Reached(self.reached.sent_until, self.reached.messages, why))

    def _tell(self, reached: Reached) -> None:
        self.reached = reached
        if self._report is not None:
            self._report(reached)


class _NotNowError(Exception):
    """A port does not take messages now; it says why."""


def _sender(feed: str, endpoints: Endpoints, *, is_mqtt: bool) -> _Mqtt | _Http:
    if feed not in endpoints.passwords:
        raise WrongUse(f"no password for {feed}", remedy="give the password of each feed of the simulator")
    password = endpoints.passwords[feed]
    if is_mqtt:
        return _Mqtt(feed, endpoints.mqtt_host, endpoints.mqtt_port, password)
    return _Http(feed, endpoints.intake_url, password)


async def _send(sender: _Mqtt | _Http, feed: str, messages: list[Message], stop: Callable[[], bool], told: _Told) -> bool:
    """Send messages until all are acknowledged; False when stopped before."""
    left, wait = messages, _FIRST_WAIT_S
    while True:
        try:
            before = len(left)
            left = await sender.send(left)
        except _NotNowError as error:
            told.waits(f"{feed}: {error}")
        if not left:
            return True
        if stop():
            return False
        wait = _FIRST_WAIT_S if len(left) < before else min(2 * wait, _LONGEST_WAIT_S)
        await asyncio.sleep(wait)


class _Mqtt:
    """The connection of one feed to the broker."""

    def __init__(self, feed: str, host: str, port: int, password: str) -> None:
        self._feed, self._host, self._port, self._password = feed, host, port, password
        self._client: aiomqtt.Client | None = None

    async def send(self, messages: list[Message]) -> list[Message]:
        """Publish messages at QoS 1; return those without acknowledgement, in their order."""
        client = await self._connected()
        left: list[Message] = []
        for first in range(0, len(messages), _IN_FLIGHT):
            part = messages[first : first + _IN_FLIGHT]
            results = await asyncio.gather(*(client.publish(str(m.topic), m.payload, qos=1) for m in part), return_exceptions=True)
            for message, result in zip(part, results, strict=True):
                if isinstance(result, aiomqtt.MqttError):
                    left.append(message)
                elif isinstance(result, BaseException):
                    raise result
            if left:
                await self.close()
                return left + messages[first + _IN_FLIGHT :]
        return left

    async def _connected(self) -> aiomqtt.Client:
        if self._client is None:
            client = aiomqtt.Client(
                self._host,
                self._port,
                username=self._feed,
                password=self._password,
                identifier=f"{self._feed}-simulator-{os.getpid()}",
                max_inflight_messages=_IN_FLIGHT,
                max_concurrent_outgoing_calls=_IN_FLIGHT,
            )
            # So many on their way are meant: the client would warn of each past ten.
            client.pending_calls_threshold = _IN_FLIGHT
            try:
                await client.__aenter__()
            except aiomqtt.MqttError as error:
                raise _NotNowError(f"the broker does not take it ({error})") from None
            self._client = client
        return self._client

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(aiomqtt.MqttError):  # it is being given up
                await client.__aexit__(None, None, None)


class _Http:
    """The connection of one feed to the intake."""

    def __init__(self, feed: str, intake_url: str, password: str) -> None:
        self._intake, self._path = intake_url.rstrip("/"), f"/ingest/{feed}"
        self._session = requests.Session()
        self._session.trust_env = False  # loopback or the city's own network: no proxy of the environment
        self._session.headers["Authorization"] = f"Bearer {password}"

    async def send(self, messages: list[Message]) -> list[Message]:
        """Post messages one by one; return those that are left when one is not taken now."""
        for i, message in enumerate(messages):
            why = await asyncio.to_thread(self._post, message)
            if why is not None:
                if i == 0:
                    raise _NotNowError(why)
                return messages[i:]
        return []

    def _post(self, message: Message) -> str | None:
        path = message.path or self._path
        headers = {"Content-Type": message.content_type, **dict(message.headers)}
        try:
            answer = self._session.post(self._intake + path, data=message.payload, headers=headers, timeout=_HTTP_TIMEOUT_S)
        except requests.RequestException as error:
            return f"the intake does not answer ({type(error).__name__})"
        if answer.status_code in _STORED:
            return None
        if answer.status_code in _REFUSED:
            raise VigieError(
                f"{self._intake}{path} refused a message: HTTP {answer.status_code} {answer.text[:200]}",
                remedy="the intake and the simulator disagree on what a message is: report it as a bug",
            )
        return f"the intake answers HTTP {answer.status_code}"

    async def close(self) -> None:
        self._session.close()
