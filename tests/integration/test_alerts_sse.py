"""The journal as events: every line once, in order, through cuts, slow readers, and servers that end or are killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from orchestration.alerts import lifecycle
from orchestration.alerts.feeds import events
from orchestration.alerts.model import Role
from orchestration.web.live import Line, Live
from tests.alerts_web import Alarms, Served, WebProcess, change

pytest_plugins = ("tests.alerts_web",)

_later = itertools.count(1)


def write(alarms: Alarms, lines: int) -> None:
    """Write so many lines of the journal, some in one turn: comments on one alarm."""
    found = alarms.store.select("true ORDER BY alarm_id LIMIT 1")
    alarm_id = found[0].alarm_id if found else alarms.tell(change("lampe", "L0", next(_later)))[0].alarm_id
    while lines:
        count = min(random.randint(1, 4), lines)
        with alarms.store.turn() as turn:
            alarm = turn.one(alarm_id)
            assert alarm is not None
            for _ in range(count):
                turn.save(lifecycle.commented(alarm, "test", turn.now, f"ligne {next(_later)}"))
        lines -= count


Event = tuple[int, str, dict[str, Any]]


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """Read events as the norm says: fields, an empty line ends one, comments are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            assert name not in fields, "data of one line each"
            fields[name] = value.removeprefix(" ")
        elif fields:
            if "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


@contextmanager
def following(client: httpx.Client, **options: Any) -> Iterator[Iterator[Event]]:
    with client.stream("GET", "/api/events", **options) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield parsed(answer.iter_lines())


def test_without_an_id_a_stream_begins_now_and_says_where(web: Served) -> None:
    write(web, 3)
    last = web.store.last_seq()
    with web.system() as client, following(client) as stream:
        assert next(stream) == (last, "hello", {"seq": last})
        entry = web.tell(change("carrefour", "S1", next(_later)))[0]
        seq, kind, data = next(stream)
    assert (seq, kind) == (last + 1, "raised") == (entry.seq, entry.kind)
    assert set(data) == {"seq", "alarm_id", "kind", "at", "happened_at", "actor", "comment", "details", "alarm"}
    assert data["alarm"]["title"] == "Panne carrefour"
    assert (data["actor"], data["alarm_id"], data["alarm"]["alarm_id"]) == ("vigie", entry.alarm_id, entry.alarm_id)
    with web.system() as client:
        assert client.get(f"/api/alarms/{entry.alarm_id}").json() == data["alarm"]
        assert client.get(f"/api/journal?after={last}").json()["lines"][0] == data


@pytest.mark.parametrize("how", ["header", "query", "both"])
def test_an_id_goes_on_after_a_line(web: Served, how: str) -> None:
    write(web, 20)
    last = web.store.last_seq()
    options: dict[str, Any] = {
        "header": {"headers": {"Last-Event-ID": str(last - 7)}},
        "query": {"params": {"after": last - 7}},
        "both": {"headers": {"Last-Event-ID": str(last - 7)}, "params": {"after": last - 1}},
    }[how]
    with web.system() as client, following(client, **options) as stream:
        assert [next(stream)[0] for _ in range(7)] == list(range(last - 6, last + 1))


def test_an_id_from_the_future_is_told_to_begin_anew(web: Served) -> None:
    last = web.store.last_seq()
    with web.system() as client, following(client, params={"after": last + 1_000}) as stream:
        assert next(stream) == (last, "hello", {"seq": last, "is_reset": True})


@pytest.mark.parametrize("given", ["x", "-1", "1.5", ""])
def test_an_id_that_is_none_is_refused(web: Served, given: str) -> None:
    with web.system() as client:
        answer = client.get("/api/events", headers={"Last-Event-ID": given})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "remedy"}


def test_filters_pass_what_is_asked_for(web: Served) -> None:
    after = web.store.last_seq()
    told = web.tell(
        change("armoire", "C1", next(_later)), change("carrefour", "S1", next(_later)), change("lampe", "L1", next(_later)),
        change("armoire", "C1", next(_later), active=False),
    )  # fmt: skip
    wanted = {
        "?priority=1": ["carrefour"],
        "?domain=EP&priority=2": ["armoire", "armoire"],
        "?priority=1&priority=2": ["armoire", "carrefour", "armoire"],
    }
    for query, rules in wanted.items():
        with web.system() as client, following(client, params=httpx.QueryParams(query[1:]).set("after", after)) as stream:
            found = [next(stream) for _ in rules]
        assert [data["alarm"]["rule"] for _, _, data in found] == rules
        assert {seq for seq, _, _ in found} <= {entry.seq for entry in told}


def test_a_stream_ends_when_its_account_does(web: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_RECHECK_S", 0.1)
    token = web.access.add_system("passager", Role.VIEWER)
    with web.client(headers={"Authorization": f"Bearer {token}"}) as client:
        with following(client) as stream:
            assert next(stream)[1] == "hello"
            web.access.remove_system("passager")
            assert list(stream) == []
        assert client.get("/api/events").status_code == 401


def test_the_listener_comes_back_when_its_connection_is_cut(web: Served) -> None:
    last = web.store.last_seq()
    with web.system() as client, following(client, params={"after": last}) as stream:
        found = []
        for _ in range(3):
            with web.pool.connection() as con:
                cut = con.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'vigie-live'").rowcount
            assert cut == 1
            write(web, 5)
            found += [next(stream)[0] for _ in range(5)]
            _until(lambda: web.app.state.live.trouble is None)
    assert found == list(range(last + 1, last + 16))


# --- the journal in memory and beyond it


def test_wherever_a_follower_is_it_gets_the_next_lines(alarms: Alarms) -> None:
    write(alarms, 41)
    first = alarms.store.last_seq()

    async def main() -> None:
        async with listening(alarms, kept=10) as live:
            assert await live.ready(5) == first
            await asyncio.to_thread(write, alarms, 25)
            last = first + 25
            while live.last != last:
                await live.wait(live.last or 0, 5)
            for after in range(first - 40, last + 1):
                lines: list[Line] = []
                seq = after
                while page := await live.after(seq):
                    lines += page
                    seq = page[-1].entry.seq
                assert [line.entry.seq for line in lines] == list(range(after + 1, last + 1))
                assert [next(parsed(iter(line.event.decode().split("\n"))))[0] for line in lines] == [line.entry.seq for line in lines]
            assert list(await live.after(last)) == []

    asyncio.run(main())


def test_a_follower_in_the_process_misses_nothing_and_hears_nothing_twice(alarms: Alarms) -> None:
    before = alarms.store.last_seq()

    async def follow(live: Live, after: int | None, count: int, pause: Callable[[], float]) -> list[int]:
        seen = []
        async for entry in live.entries(after):
            seen.append(entry.seq)
            if len(seen) == count:
                return seen
            if wait := pause():
                await asyncio.sleep(wait)
        return seen

    async def main() -> None:
        async with listening(alarms, kept=20) as live:
            await live.ready(5)
            tasks = [
                asyncio.create_task(follow(live, before, 300, lambda: 0)),
                asyncio.create_task(follow(live, before, 300, lambda: random.choice([0, 0, 0.005]))),
                asyncio.create_task(follow(live, None, 300, lambda: 0)),
            ]
            await asyncio.sleep(0)
            await asyncio.gather(*[asyncio.to_thread(write, alarms, 100) for _ in range(3)])
            for seen in await asyncio.gather(*tasks):
                assert seen == list(range(before + 1, before + 301))

    asyncio.run(main())


@asynccontextmanager
async def listening(alarms: Alarms, *, kept: int) -> AsyncIterator[Live]:
    live = Live(alarms.settings.app_url.get_secret_value(), alarms.store, kept=kept)
    await live.start()
    yield live
    await live.stop()


# --- whatever happens


class Client(threading.Thread):
    """A client that is cut at random, and comes back where it was."""

    def __init__(self, alarms: Alarms, after: int, seed: int) -> None:
        super().__init__(name=f"client-{seed}")
        self.alarms, self.after, self.chance = alarms, after, random.Random(seed)
        self.seen: list[int] = []
        self.until: int | None = None
        self.connections = 0

    def run(self) -> None:
        with self.alarms.system() as client:
            while self.until is None or self.last < self.until:
                try:
                    self._once(client)
                except (httpx.TransportError, httpx.StreamError):
                    time.sleep(0.02)

    @property
    def last(self) -> int:
        return self.seen[-1] if self.seen else self.after

    def _once(self, client: httpx.Client) -> None:
        patience = httpx.Timeout(5, read=1)
        with client.stream("GET", "/api/events", headers={"Last-Event-ID": str(self.last)}, timeout=patience) as answer:
            if answer.status_code == 503:
                time.sleep(0.05)
                return
            assert answer.status_code == 200, answer.read()
            self.connections += 1
            cut_after = self.chance.randint(1, 200)
            for count, (seq, kind, data) in enumerate(parsed(answer.iter_lines()), start=1):
                assert (kind, data["seq"]) == (data["kind"], seq)
                self.seen.append(seq)
                if seq == self.until or (count == cut_after and self.until is None):
                    return


def test_clients_miss_nothing_and_hear_nothing_twice_when_all_is_cut_and_killed(process: WebProcess) -> None:
    alarms, chance = process.alarms, random.Random(5)
    before = alarms.store.last_seq()
    clients = [Client(alarms, before, seed) for seed in range(3)]
    stop = threading.Event()

    def writer() -> None:
        while not stop.is_set():
            write(alarms, 5)
            time.sleep(0.05)

    writers = [threading.Thread(target=writer) for _ in range(2)]
    process.start()
    for thread in (*clients, *writers):
        thread.start()
    try:
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            reached = max(c.last for c in clients) + chance.randint(20, 100)
            _until(lambda reached=reached: min(c.last for c in clients) >= reached or not any(c.is_alive() for c in clients))
            process.end(number)
            process.start()
    finally:
        stop.set()
        for thread in writers:
            thread.join()
        last = alarms.store.last_seq()
        for client in clients:
            client.until = last
    for client in clients:
        client.join(timeout=60)
        assert not client.is_alive(), f"{client.name} is at {client.last} of {last}"
        assert client.seen == list(range(before + 1, last + 1)), client.name
        assert client.connections > 5
    assert last > before + 100


def _until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "this does not come true"
        time.sleep(0.01)
