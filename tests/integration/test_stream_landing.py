"""Messages from a real broker to a real lake: each once, all accounted for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiomqtt
import pytest

from ingestion.feeds.model import Feed
from ingestion.lake.session import EngineLimits
from ingestion.stream.landing import Place, open_landing
from ingestion.stream.messages import Message
from ingestion.stream.names import INTAKE_STREAM, MQTT_STREAM, PARTITIONS
from ingestion.stream.partition import ONCE, Report, read_partition
from tests.lakes import Lakes
from tests.streams import StreamServer

pytest_plugins = ("tests.lakes", "tests.streams")

LIMITS: Final = EngineLimits(memory_limit="512MB", threads=1)

METERS: Final = """\
time_zone: Europe/Paris
connector: {type: stream, topics: [compteurs/+]}
format: {type: json, records: mesures}
fields:
  - {name: compteur}
  - {name: mesures.debut, type: datetime}
  - {name: debut, type: datetime}
  - {name: fin, type: datetime}
  - {name: wh, type: number}
  - {name: note}
mapping:
  meter_ref: compteur
  start_at: debut
  end_at: fin
  energy_wh: {column: wh, unit: W.h}
  quality: note
"""


def meters(lakes: Lakes) -> Feed:
    return lakes.feed("compteurs", "energy_reading", METERS)


def reading(meter: str, hour: int, wh: float) -> dict[str, object]:
    mesure = {"debut": f"2026-03-01T{hour:02d}:00:00+01:00", "fin": f"2026-03-01T{hour + 1:02d}:00:00+01:00", "wh": wh}
    return {"compteur": meter, "mesures": [mesure]}


def publish(server: StreamServer, feed: str, messages: Sequence[tuple[str, bytes]], *, qos: int = 1) -> None:
    async def main() -> None:
        password = server.passwords[feed]
        async with aiomqtt.Client(server.host, server.mqtt_port, username=feed, password=password) as client:
            for topic, payload in messages:
                await client.publish(topic, payload, qos=qos)

    asyncio.run(main())


def read_all(server: StreamServer, lakes: Lakes, feeds: Mapping[str, Feed]) -> list[Report]:
    return [
        read_partition(server.broker, lakes.main, lakes.personal, lambda: feeds, p, pace=ONCE, limits=LIMITS) for p in range(PARTITIONS)
    ]


def account(lakes: Lakes) -> tuple[int, int, int, int]:
    rows = lakes.query("SELECT sum(received), sum(stored), sum(duplicate), sum(rejected) FROM lake.raw.landing WHERE stream IS NOT NULL")
    received, stored, duplicate, rejected = (int(n or 0) for n in rows[0])
    assert received == stored + duplicate + rejected
    return received, stored, duplicate, rejected


@pytest.mark.parametrize("qos", [0, 1])
def test_what_equipment_sends_is_in_the_lake_once(stream_server: StreamServer, lakes: Lakes, qos: int) -> None:
    feed = meters(lakes)
    stream_server.add_feed("compteurs", ["compteurs/+"])
    sent = [(f"compteurs/m{m}", json.dumps(reading(f"m{m}", h, 100 * h + m)).encode()) for m in range(8) for h in range(5)]
    publish(stream_server, "compteurs", sent, qos=qos)

    reports = read_all(stream_server, lakes, {"compteurs": feed})

    assert sum(r.messages for r in reports) == 40
    assert account(lakes) == (40, 40, 0, 0)
    assert lakes.query("SELECT count(*), count(DISTINCT (meter_ref, start_at)), sum(energy_wh) FROM lake.raw.energy_reading") == [
        (40, 40, float(sum(100 * h + m for m in range(8) for h in range(5))))
    ]
    assert lakes.query("SELECT DISTINCT stream FROM lake.raw.message") == [(MQTT_STREAM if qos else INTAKE_STREAM,)]
    # Once read, nothing is left to read, and reading again changes nothing.
    assert sum(r.messages for r in read_all(stream_server, lakes, {"compteurs": feed})) == 0
    assert account(lakes) == (40, 40, 0, 0)


def test_what_cannot_be_read_is_rejected_with_its_reason_and_stops_nothing(stream_server: StreamServer, lakes: Lakes) -> None:
    feed = meters(lakes)
    stream_server.add_feed("compteurs", ["compteurs/+"])
    good = json.dumps(reading("m1", 3, 7)).encode()
    bad = {
        b"{not json": "invalid_json",
        b"[]": "no_record",
        b"\xff\xfe": "invalid_json",
        b"[" * 5000: "too_deep",
        b'{"compteur": "m1"}': "no_record",
        json.dumps({"compteur": "m1", "mesures": [{"debut": "hier", "fin": "2026-03-01T02:00:00Z", "wh": 3}]}).encode(): "not_an_instant",
        b'{"compteur": "a\\u0000b", "mesures": [{"debut": "2026-03-01T01:00:00Z", "fin": "2026-03-01T02:00:00Z", "wh": 3}]}': "nul_character",
    }  # fmt: skip
    publish(stream_server, "compteurs", [("compteurs/m1", payload) for payload in (*bad, good, good)])

    read_all(stream_server, lakes, {"compteurs": feed})

    assert account(lakes) == (len(bad) + 2, 1, 1, len(bad))
    told = lakes.query("SELECT reason FROM lake.raw.rejected ORDER BY position")
    assert [reason for (reason,) in told] == list(bad.values())
    # The message stands beside its reject, byte for byte.
    kept = lakes.query(
        "SELECT payload, is_base64 FROM lake.raw.message AS m JOIN lake.raw.rejected AS r ON m.landing_seq = r.landing_seq "
        "AND r.position >= m.first_position AND r.position < m.first_position + m.records WHERE r.position = 1"
    )
    assert kept == [("{not json", False)]


def test_a_message_of_an_unknown_feed_is_kept_for_the_day_it_is_known(stream_server: StreamServer, lakes: Lakes) -> None:
    stream_server.add_feed("compteurs", ["compteurs/+"])
    publish(stream_server, "compteurs", [("compteurs/m1", b"{}")])

    read_all(stream_server, lakes, {})

    assert account(lakes) == (1, 0, 0, 1)
    assert lakes.query("SELECT feed, reason FROM lake.raw.rejected") == [("compteurs", "unknown_feed")]
    # Nobody knows whether it is personal: it stands where personal data does.
    assert lakes.query("SELECT payload FROM lake.raw.message") == [(None,)]
    assert lakes.query_personal("SELECT payload FROM lake.raw.personal_message") == [("{}",)]


def message(seq: int, document: object) -> Message:
    return Message(seq, "compteurs", "compteurs/m1", json.dumps(document).encode(), 1_772_000_000_000_000 + seq)


def test_redelivery_in_any_order_stores_each_message_once(lakes: Lakes) -> None:
    feeds = {"compteurs": meters(lakes)}
    made = [message(n, reading("m1", n, n)) for n in range(1, 13)]
    with open_landing(Place(MQTT_STREAM, 0, lakes.main, lakes.personal), limits=LIMITS) as landing:
        landing.land(made[8:10], feeds)  # published later, delivered first: a dead reader held the others
        landing.land([made[0], made[9], made[3]], feeds)
        landing.land(made, feeds)
        assert landing.land(list(reversed(made)), feeds) == []
    assert lakes.query("SELECT stream_seq, count(*) FROM lake.raw.message GROUP BY ALL ORDER BY ALL") == [(n, 1) for n in range(1, 13)]
    assert account(lakes) == (12, 12, 0, 0)
    assert lakes.query("SELECT last_seq FROM lake.raw.stream_cursor WHERE stream = ? AND partition = 0", [MQTT_STREAM]) == [(12,)]


def test_two_writers_of_one_partition_cannot_both_store_a_message(lakes: Lakes) -> None:
    from ingestion.stream.landing import Overtaken

    feeds = {"compteurs": meters(lakes)}
    place = Place(MQTT_STREAM, 0, lakes.main, lakes.personal)
    with open_landing(place, limits=LIMITS) as first, open_landing(place, limits=LIMITS) as second:
        first.land([message(1, reading("m1", 1, 1))], feeds)
        original, waited = second._fresh, []

        def looked_before(messages: Sequence[Message], cursor: int) -> Any:
            found = original(messages, cursor)
            if not waited:  # between the look and the transaction, the other process lands the same message
                waited.append(True)
                first.land([message(2, reading("m1", 2, 2))], feeds)
            return found

        second._fresh = looked_before  # type: ignore[method-assign]  # the one moment that matters
        with pytest.raises(Overtaken):
            second.land([message(2, reading("m1", 2, 2)), message(3, reading("m1", 3, 3))], feeds)
        second.land([message(2, reading("m1", 2, 2)), message(3, reading("m1", 3, 3))], feeds)
    assert lakes.query("SELECT stream_seq FROM lake.raw.message ORDER BY ALL") == [(1,), (2,), (3,)]
    assert account(lakes) == (3, 3, 0, 0)
