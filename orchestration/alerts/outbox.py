"""The outbox of batch landings: rows of feeds with `alerts: true` that landed from files, REST or SQL, published for the engine.

Here: what landed beyond a cursor, into the stream `LANDED`; reading such a message. Not here: landing (`ingestion.landing`), the engine.

The rows are in the lake before they are published, and the cursor moves after: a process that dies between leaves them to the next call.
Each message has an id of its landing, so that what is published twice stands once; and signals that come twice change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import psycopg
from nats.aio.client import Client
from nats.errors import Error as NatsError

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.lake.session import ALIAS, EngineLimits, connect, identifier
from ingestion.stream import broker as streams
from ingestion.stream.names import LANDED_ROOT
from ingestion.stream.ordered import Arrived
from orchestration.alerts.model import Signal
from orchestration.alerts.runtime.decoding import rows_of, selected
from orchestration.alerts.runtime.signals import CONTRACTS_OF_SIGNALS, Maker
from orchestration.alerts.store import turn
from orchestration.settings import Settings

_log = logging.getLogger(__name__)
_LIMITS: Final = EngineLimits(memory_limit="256MB", threads=1)
# Rows of one message: 200 kB of reports; the broker takes 8 MB.
_ROWS: Final = 200
# What is older than this when it lands tells of no alarm: a history that is loaded, a source that was away for days.
_FRESH_H: Final = 48
# Beside us it stores in milliseconds; on a loaded disk in seconds.
_PUBLISH_TIMEOUT_S: Final = 10.0
_PART, _KEY = "runtime", "outbox"
# Any number that is the same in every version: two publishers at once would move the cursor back.
_LOCK: Final = 0x5649_4F42  # "VIOB"
# Another publisher takes a second or two; after this the engine's next look does it.
_PATIENCE: Final = "30s"
_SINCE: Final = {
    "observation": ("observed_at",),
    "report": ("opened_at", "closed_at", "acknowledged_at", "revised_at"),
    "intervention": ("requested_at", "dispatched_at", "arrived_at", "made_safe_at", "restored_at", "revised_at"),
}


def after_landing(settings: Settings, feed: Feed) -> None:
    """Publish what a feed has just landed; what cannot be published now is by the engine's next look.

    Args:
        settings: the instance.
        feed: the feed that landed.
    """
    if not feed.alerts:
        return
    try:
        catch_up(settings, {feed.feed: feed})
    except (VigieError, psycopg.Error) as error:
        _log.warning("feed %s landed; the alerts hear of it later: %s", feed.feed, str(error).strip().splitlines()[0])


def catch_up(settings: Settings, feeds: Mapping[str, Feed]) -> int:
    """Publish what landed since the last time, of all feeds with `alerts: true`; return how many messages that were.

    Args:
        settings: the instance.
        feeds: contracts by name; one that is not among them is left to a later call.

    Raises:
        VigieError: the lake or the broker does not answer: what was not published is by the next call.
        psycopg.Error: the application's database does not answer: the same.
    """
    wanted = [name for name, feed in feeds.items() if feed.alerts and feed.contract in CONTRACTS_OF_SIGNALS]
    if not wanted:
        return 0
    with turn.connect(settings.app_url.get_secret_value(), name="vigie-outbox") as con:
        # Whoever publishes may have looked before this landing: wait, and look again.
        con.execute(f"SET lock_timeout = '{_PATIENCE}'")
        con.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        cursors = {
            r["key"].removeprefix(f"{_KEY}:"): int(bytes(r["body"]))
            for r in con.execute("SELECT key, body FROM alerts.engine_state WHERE part = %s AND key LIKE %s", [_PART, f"{_KEY}:%"])
        }
        with connect(settings.lake, limits=_LIMITS, read_only=True) as lake:
            waiting = [(n, seq) for n in wanted for seq in _landed(lake, n, cursors.get(n, 0))]
            if not waiting:
                return 0
            return asyncio.run(_publish(settings, con, lake, feeds, sorted(waiting, key=lambda w: w[1])))


def _landed(lake: Any, feed: str, after: int) -> list[int]:
    sql = f"SELECT landing_seq FROM {ALIAS}.raw.landing WHERE feed = ? AND landing_seq > ? AND stream IS NULL ORDER BY landing_seq"
    return [int(r[0]) for r in lake.execute(sql, [feed, after]).fetchall()]


async def _publish(
    settings: Settings, con: turn.Connection, lake: Any, feeds: Mapping[str, Feed], waiting: Sequence[tuple[str, int]]
) -> int:
    nc = await streams.connect(settings.broker, name="vigie-outbox", reconnects=False)
    sent = 0
    try:
        for name, seq in waiting:
            for number, body in enumerate(_bodies(lake, feeds[name], seq)):
                await _send(nc, f"{LANDED_ROOT}.{feeds[name].contract}.{name}", body, f"landed:{seq}:{name}:{number}")
                sent += 1
            con.execute(
                "INSERT INTO alerts.engine_state VALUES (%s, %s, %s) ON CONFLICT (part, key) DO UPDATE SET body = excluded.body",
                [_PART, f"{_KEY}:{name}", str(seq).encode()],
            )
    finally:
        with contextlib.suppress(NatsError, OSError):
            await nc.close()
    return sent


async def _send(nc: Client, subject: str, body: bytes, message_id: str) -> None:
    try:
        await nc.jetstream().publish(subject, body, timeout=_PUBLISH_TIMEOUT_S, headers={"Nats-Msg-Id": message_id})
    except (NatsError, OSError) as error:
        raise VigieError(
            f"what landed cannot be published for the alerts: {str(error).removeprefix('nats: ') or type(error).__name__}",
            remedy="vigie status says what is wrong with the broker; it is tried again by itself",
        ) from None


def _bodies(lake: Any, feed: Feed, landing_seq: int) -> Iterator[bytes]:
    """Yield the messages of one landing: its rows that are fresh, in the order of the source."""
    contract = feed.canonical
    latest = ", ".join(identifier(c) for c in _SINCE[contract.name])
    rows = rows_of(
        lake,
        f"SELECT {selected(contract.columns)} FROM {ALIAS}.raw.{identifier(contract.name)} WHERE feed = ? AND landing_seq = ? "
        f"AND greatest({latest}) > received_at - INTERVAL {_FRESH_H} HOUR ORDER BY position",
        [feed.feed, landing_seq],
    )
    for at in range(0, len(rows), _ROWS):
        yield msgspec.json.encode(rows[at : at + _ROWS])


def signals(message: Arrived, feeds: Mapping[str, Feed]) -> list[Signal]:
    """Return the signals of a published message; of a feed that is gone, none.

    Args:
        message: of the stream `LANDED`; its subject says the feed.
        feeds: the contracts in force, by name.
    """
    feed = feeds.get(message.feed)
    if feed is None:
        return []
    rows: list[dict[str, Any]] = msgspec.json.decode(message.payload)
    return list(Maker(feed, landed=True).signals(feed.contract, rows, message.published_at))
