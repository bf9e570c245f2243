"""Messages from a real broker to a real lake: each once, all accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import resource
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiomqtt
import pytest

from ingestion.errors import VigieError
from ingestion.feeds.model import Feed
from ingestion.lake.maintain import maintain
from ingestion.lake.session import EngineLimits, catalogue
from ingestion.stream.attempts import Attempts, parts
from ingestion.stream.landing import open_landings
from ingestion.stream.messages import Message
from ingestion.stream.names import INTAKE_STREAM, MQTT_STREAM, PARTITIONS
from ingestion.stream.partition import ONCE, Report, read_partitions
from ingestion.stream.replay import replay
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
        read_partitions(server.broker, lakes.main, lakes.personal, lambda: feeds, some, pace=ONCE, limits=LIMITS)
        for some in ([0], range(PARTITIONS))
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
        json.dumps({**reading("m1", 4, 3), "compteur": "a\0b"}).encode(): "nul_character",
    }
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
    with open_landings(lakes.main, lakes.personal, limits=LIMITS) as landings:
        landing = landings.of(MQTT_STREAM, 0)
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
    with open_landings(lakes.main, lakes.personal, limits=LIMITS) as one, open_landings(lakes.main, lakes.personal, limits=LIMITS) as other:
        first, second = one.of(MQTT_STREAM, 0), other.of(MQTT_STREAM, 0)
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


LIGHTS: Final = """\
time_zone: UTC
connector: {type: stream, topics: [lampes/+]}
format: {type: ngsi}
"""


def light(number: int, minute: int, **others: object) -> bytes:
    at = f"2026-03-01T18:{minute:02d}:00Z"
    entity: dict[str, object] = {
        "id": f"urn:ngsi-ld:Streetlight:{number}",
        "type": "Streetlight",
        "status": {"type": "Property", "value": "ok", "observedAt": at},
        "current": {"type": "Property", "value": 0.25, "unitCode": "AMP", "observedAt": at},
        **others,
    }
    return json.dumps(entity).encode()


def test_entities_become_observations_and_assets(stream_server: StreamServer, lakes: Lakes) -> None:
    feed = lakes.feed("lampes", "observation", LIGHTS)
    stream_server.add_feed("lampes", ["lampes/+"])
    # A message that only says a state describes no asset; the one that names it does.
    named = {"name": {"type": "Property", "value": "EP-0001"}}
    sent = [(f"lampes/{n}", light(n, minute, **(named if minute else {}))) for n in range(3) for minute in (0, 15)]
    publish(stream_server, "lampes", [*sent, sent[0], ("lampes/9", b'{"type": "Streetlight"}')])

    read_all(stream_server, lakes, {"lampes": feed})

    assert account(lakes) == (8, 6, 1, 1)
    assert lakes.query("SELECT property, value, value_text, unit, count(*) FROM lake.raw.observation GROUP BY ALL ORDER BY ALL") == [
        ("current", 0.25, None, "A", 6),
        ("status", None, "ok", None, 6),
    ]
    assert lakes.query("SELECT asset_type, name, count(*) FROM lake.raw.asset GROUP BY ALL") == [("Streetlight", "EP-0001", 3)]
    assert lakes.query("SELECT reason FROM lake.raw.rejected") == [("no_id",)]


def test_what_was_rejected_is_stored_once_its_contract_is_mended(stream_server: StreamServer, lakes: Lakes) -> None:
    wrong = lakes.feed("compteurs", "energy_reading", METERS.replace("records: mesures", "records: relevés"))
    stream_server.add_feed("compteurs", ["compteurs/+"])
    two = {"compteur": "m2", "mesures": [*reading("m2", 1, 5)["mesures"], *reading("m2", 2, 6)["mesures"]]}  # type: ignore[misc]
    publish(
        stream_server, "compteurs", [("compteurs/m1", json.dumps(d).encode()) for d in (reading("m1", 1, 1), two)] + [("compteurs/x", b"?")]
    )
    read_all(stream_server, lakes, {"compteurs": wrong})
    assert account(lakes) == (3, 0, 0, 3)

    done = replay(meters(lakes), lakes.main, lakes.personal, limits=LIMITS)

    # Two messages hold three readings; the third is no JSON and stays rejected.
    assert (done.messages, done.stored, done.duplicate, done.rejected, done.expired) == (3, 3, 0, 1, 0)
    assert account(lakes) == (4, 3, 0, 1)
    assert lakes.query("SELECT count(*) FROM lake.raw.message") == [(3,)]
    assert lakes.query("SELECT reason FROM lake.raw.rejected") == [("invalid_json",)]
    assert lakes.query("SELECT meter_ref, energy_wh FROM lake.raw.energy_reading ORDER BY ALL") == [("m1", 1.0), ("m2", 5.0), ("m2", 6.0)]
    # Again: only what is still rejected is tried, and nothing changes.
    assert replay(meters(lakes), lakes.main, lakes.personal, limits=LIMITS).messages == 1
    assert account(lakes) == (4, 3, 0, 1)


def test_a_message_that_kills_its_process_is_found_and_set_aside(lakes: Lakes) -> None:
    feeds = {"compteurs": meters(lakes)}
    waiting = {n: message(n, reading("m1", n, n)) for n in range(1, 13)}
    deadly = 7

    class Death(BaseException):
        """What no handler sees: the process is gone."""

    def life() -> None:
        """One process: it lands what waits, part by part, until the deadly message is decoded."""
        with catalogue(lakes.main) as pg, open_landings(lakes.main, lakes.personal, limits=LIMITS) as landings:
            Attempts.prepare(pg)
            landing = landings.of(MQTT_STREAM, 0)
            attempts = Attempts(pg, MQTT_STREAM, 0)
            for part in parts([waiting[n] for n in sorted(waiting)], attempts.marks()):
                mark = attempts.begin(part)
                poison = part.mark is not None and part.mark.is_poison
                if not poison and any(m.seq == deadly for m in part.messages):
                    raise Death
                landing.land(part.messages, feeds, poison=poison)
                attempts.end(mark)
                for m in part.messages:
                    del waiting[m.seq]

    lives = 0
    while waiting:
        lives += 1
        assert lives < 20
        with contextlib.suppress(Death):
            life()
    assert account(lakes) == (12, 11, 0, 1)
    assert lakes.query("SELECT m.stream_seq, r.reason FROM lake.raw.rejected AS r JOIN lake.raw.message AS m USING (landing_seq)") == [
        (deadly, "poison")
    ]


def test_messages_are_forgotten_after_their_time_and_their_rows_stay(lakes: Lakes) -> None:
    feeds = {"compteurs": meters(lakes)}
    with open_landings(lakes.main, lakes.personal, limits=LIMITS) as landings:
        landings.of(MQTT_STREAM, 0).land([message(1, reading("m1", 1, 1)), message(2, {"compteur": "m1"})], feeds)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=31)

    maintain(lakes.main, message_retention={"compteurs": dt.timedelta(days=30)}, limits=LIMITS, now=lambda: later)

    assert lakes.query("SELECT count(*) FROM lake.raw.message") == [(0,)]
    assert lakes.query("SELECT count(*) FROM lake.raw.energy_reading") == [(1,)]
    assert account(lakes) == (2, 1, 0, 1)
    # What was rejected cannot be replayed any more, and that is told.
    assert replay(feeds["compteurs"], lakes.main, lakes.personal, limits=LIMITS).expired == 1


def test_a_disk_that_is_full_is_told_and_what_waited_lands_once_there_is_room(lakes: Lakes) -> None:
    feeds = {"compteurs": meters(lakes)}
    # More than the catalogue takes inline: they become a file, which the system refuses past the limit as it does on a full disk.
    many = [message(n, reading(f"m{n}", n % 22, n)) for n in range(1, 3001)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_landings(lakes.main, lakes.personal, limits=LIMITS) as landings:
        landing = landings.of(MQTT_STREAM, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            with pytest.raises(VigieError, match="the lake cannot be written") as told:
                landing.land(many, feeds)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "make room" in str(told.value.remedy)
        assert account(lakes) == (0, 0, 0, 0)

        landing.land(many, feeds)
    assert account(lakes) == (3000, 3000, 0, 0)
    assert lakes.query("SELECT count(DISTINCT stream_seq) FROM lake.raw.message") == [(3000,)]
