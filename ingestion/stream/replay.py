"""Replay: what was rejected lands again, once its contract or its decoder is mended.

Here: which messages of a feed hold rejects, and their landing anew. Not here: the landing (`landing`). A record moves from rejected to
stored: the ledger gains a line that holds the differences, so that received = stored + duplicate + rejected goes on to hold.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed
from ingestion.lake.address import LakeAddress
from ingestion.lake.session import ALIAS, EngineLimits, connect
from ingestion.lake.writer import Counts
from ingestion.stream.landing import DEFAULT_LIMITS, open_landings, retried
from ingestion.stream.messages import Message

# As many as a pull of the stream takes: the same memory.
_AT_ONCE: Final = 20_000


@dataclass(frozen=True)
class Replayed:
    """What became of a feed's rejects, in source records.

    Attributes:
        messages: messages that held rejects, landed again.
        stored, duplicate: records that were rejected and are now one or the other (or more records than before, where a message that
            could not be split now can).
        rejected: records of these messages that are still rejected.
        expired: rejected records whose message is not kept any more.
    """

    feed: str
    messages: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    expired: int = 0


@dataclass(frozen=True)
class _Held:
    place: tuple[str, int]
    message: Message
    counts: Counts


def replay(
    feed: Feed,
    lake: LakeAddress,
    personal: LakeAddress,
    *,
    limits: EngineLimits = DEFAULT_LIMITS,
    progress: Callable[[str], None] = lambda _: None,
) -> Replayed:
    """Land the messages of a feed that hold rejected records or values again.

    Raises:
        WrongUse: what the feed rejected came in files.
        VigieError: the lake does not answer.
    """
    total = Replayed(feed.feed)
    held, expired = _held(feed, lake, personal)
    if not held and expired == 0 and _rejected_in_files(feed, lake, limits):
        raise WrongUse(
            f"what feed {feed.feed} rejected came in files, not in messages",
            remedy=f"land the files again with the contract of now: vigie ingest {feed.feed} PATH --force",
        )
    by_place: dict[tuple[str, int], list[_Held]] = {}
    for one in held:
        by_place.setdefault(one.place, []).append(one)
    for (stream, partition), found in by_place.items():
        progress(f"{feed.feed}: {len(found)} messages of {stream}/{partition}")
        with open_landings(lake, personal, limits=limits) as landings:
            landing = landings.of(stream, partition)
            for batch in _batches(found):
                counts = {h.message.seq: h.counts for h in batch}
                messages = [h.message for h in batch]
                (landed,) = retried(partial(landing.land_again, messages, feed, counts))
                total = replace(
                    total,
                    messages=total.messages + len(batch),
                    stored=total.stored + landed.stored,
                    duplicate=total.duplicate + landed.duplicate,
                    rejected=total.rejected + landed.rejected + sum(h.counts.rejected for h in batch),
                )
    return replace(total, expired=expired)


def _batches(found: list[_Held]) -> Iterator[list[_Held]]:
    for at in range(0, len(found), _AT_ONCE):
        yield found[at : at + _AT_ONCE]


def _held(feed: Feed, lake: LakeAddress, personal: LakeAddress) -> tuple[list[_Held], int]:
    """Return the messages that hold rejects, in order, and how many rejected records have no message any more."""
    query = f"""
        WITH reject AS (
            SELECT landing_seq, position, scope FROM {ALIAS}.raw.rejected AS r WHERE feed = ?
            AND landing_seq IN (SELECT landing_seq FROM {ALIAS}.raw.landing WHERE feed = ? AND stream IS NOT NULL)
        )
        SELECT m.stream, m.partition, m.stream_seq, m.topic, m.published_at, m.payload, m.is_base64, m.records,
            count(DISTINCT r.position) FILTER (r.scope = 'record') AS rejected, count(*) FILTER (r.scope = 'value') AS rejected_values
        FROM reject AS r JOIN {ALIAS}.raw.message AS m
            ON m.landing_seq = r.landing_seq AND r.position >= m.first_position AND r.position < m.first_position + m.records
        WHERE m.feed = ?
        GROUP BY ALL ORDER BY m.stream, m.partition, m.stream_seq
    """
    with connect(lake, limits=DEFAULT_LIMITS, read_only=True) as con:
        rows = con.execute(query, [feed.feed] * 3).fetchall()
        rejected = con.execute(
            f"SELECT count(DISTINCT (landing_seq, position)) FROM {ALIAS}.raw.rejected WHERE feed = ? AND scope = 'record' "
            f"AND landing_seq IN (SELECT landing_seq FROM {ALIAS}.raw.landing WHERE feed = ? AND stream IS NOT NULL)",
            [feed.feed] * 2,
        ).fetchall()[0][0]
    hidden = _personal_payloads(feed, personal) if any(r[5] is None for r in rows) else {}
    held: list[_Held] = []
    for stream, partition, seq, topic, published_at, kept, is_base64, records, refused, values in rows:
        payload = kept if kept is not None else hidden.get((stream, partition, seq))
        if payload is None:
            continue
        content = base64.b64decode(payload) if is_base64 else payload.encode()
        message = Message(seq, feed.feed, topic, content, round(published_at.timestamp() * 1_000_000))
        # What was not rejected comes out as duplicates again: the line takes those off too.
        held.append(_Held((stream, partition), message, Counts(records, records - refused, refused, values)))
    return held, int(rejected) - sum(h.counts.rejected for h in held)


def _personal_payloads(feed: Feed, personal: LakeAddress) -> dict[tuple[str, int, int], str]:
    with connect(personal, limits=DEFAULT_LIMITS, read_only=True) as con:
        rows = con.execute(
            f"SELECT stream, partition, stream_seq, payload FROM {ALIAS}.raw.personal_message WHERE feed = ?", [feed.feed]
        ).fetchall()
    return {(stream, partition, seq): payload for stream, partition, seq, payload in rows}


def _rejected_in_files(feed: Feed, lake: LakeAddress, limits: EngineLimits) -> bool:
    with connect(lake, limits=limits, read_only=True) as con:
        return bool(con.execute(f"SELECT 1 FROM {ALIAS}.raw.rejected WHERE feed = ? LIMIT 1", [feed.feed]).fetchall())
