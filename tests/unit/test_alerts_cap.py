"""CAP documents: each kind is what the norm allows, says what the alarm says, and chains as Alert, Update, Cancel."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ingestion.formats import cap as reader
from ingestion.formats.wire import WireBatch, WireOptions
from orchestration.alerts.feeds.answers import EXAMPLE_ALARM
from orchestration.alerts.feeds.cap import Issuer, Message, MessageType, document
from orchestration.alerts.feeds.cap_chain import TurnLine, chain
from orchestration.alerts.model import Alarm
from tests.conftest import ROOT

SCHEMA: Final = etree.XMLSchema(etree.parse(str(Path(ROOT) / "tests" / "schemas" / "cap-1.2.xsd")))
ISSUER: Final = Issuer("7a6b")
SENT: Final = dt.datetime(2026, 1, 5, 17, 42, 9, 123_456, tzinfo=dt.UTC)
RING: Final = [[4.36, 48.95], [4.37, 48.95], [4.37, 48.96], [4.36, 48.95]]


def texts(root: etree._Element, path: str) -> list[str]:
    return [str(e.text) for e in root.findall("/".join(f"{{*}}{name}" for name in path.split("/")))]


def message(kind: MessageType = MessageType.ALERT, *, seq: int = 42) -> Message:
    references = () if kind is MessageType.ALERT else ((40, SENT - dt.timedelta(hours=1)), (41, SENT - dt.timedelta(minutes=1)))
    return Message(7, seq, SENT, kind, references)


def alarm(**changed: Any) -> Alarm:
    return dataclasses.replace(EXAMPLE_ALARM, **changed)


def test_an_alert_says_what_the_alarm_says() -> None:
    root = document(ISSUER, message(), alarm())
    SCHEMA.assertValid(root)
    assert {path: texts(root, path) for path in (
        "identifier", "sender", "sent", "status", "msgType", "scope", "restriction", "references", "info/language", "info/category",
        "info/event", "info/responseType", "info/urgency", "info/severity", "info/certainty", "info/onset", "info/headline",
        "info/description", "info/instruction", "info/area/areaDesc", "info/area/circle", "info/area/polygon",
    )} == {
        "identifier": ["vigie-7a6b-7-42"], "sender": ["vigie-7a6b"], "sent": ["2026-01-05T18:42:09+01:00"], "status": ["Actual"],
        "msgType": ["Alert"], "scope": ["Restricted"], "restriction": ["Exploitants et services du territoire"], "references": [],
        "info/language": ["fr-FR"], "info/category": ["Infra"], "info/event": ["Armoire hors tension"], "info/responseType": ["Monitor"],
        "info/urgency": ["Expected"], "info/severity": ["Severe"], "info/certainty": ["Observed"],
        "info/onset": ["2026-01-05T18:42:07+01:00"], "info/headline": ["Armoire hors tension · ARM-014 · Châlons-en-Champagne"],
        "info/description": ["L’armoire ARM-014 n’a plus de tension depuis 18:40."],
        "info/instruction": ["1. Appeler l’astreinte éclairage. (astreinte-ep)"], "info/area/areaDesc": ["Châlons-en-Champagne"],
        "info/area/circle": ["48.956600,4.363100 0.1"], "info/area/polygon": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "urgency", "response"), [(MessageType.UPDATE, "Expected", "Monitor"), (MessageType.CANCEL, "Past", "AllClear")]
)
def test_an_update_and_a_cancel_name_those_before(kind: MessageType, urgency: str, response: str) -> None:
    root = document(ISSUER, message(kind), alarm())
    SCHEMA.assertValid(root)
    assert texts(root, "references") == [
        "vigie-7a6b,vigie-7a6b-7-40,2026-01-05T17:42:09+01:00 vigie-7a6b,vigie-7a6b-7-41,2026-01-05T18:41:09+01:00"
    ]
    assert (texts(root, "msgType"), texts(root, "info/urgency"), texts(root, "info/responseType")) == ([kind], [urgency], [response])


@pytest.mark.parametrize(
    ("priority", "urgency", "severity"),
    [(1, "Immediate", "Extreme"), (2, "Expected", "Severe"), (3, "Expected", "Moderate"), (4, "Future", "Minor")],
)
def test_priorities(priority: int, urgency: str, severity: str) -> None:
    root = document(ISSUER, message(), alarm(priority=priority))
    assert (texts(root, "info/urgency"), texts(root, "info/severity")) == ([urgency], [severity])


@pytest.mark.parametrize(
    ("area", "polygons"),
    [
        ({"type": "Polygon", "coordinates": [RING, RING]}, 1),  # the second ring is a hole
        ({"type": "Polygon", "coordinates": [RING[:-1]]}, 1),  # not closed
        ({"type": "MultiPolygon", "coordinates": [[RING], [RING]]}, 2),
        ({"type": "LineString", "coordinates": RING}, 0),
        ({"type": "Polygon", "coordinates": [[[*p, 12.5] for p in RING]]}, 1),  # with heights
    ],
)
def test_areas(area: dict[str, Any], polygons: int) -> None:
    root = document(ISSUER, message(), alarm(area=json.dumps(area)))
    SCHEMA.assertValid(root)
    ring = "48.950000,4.360000 48.950000,4.370000 48.960000,4.370000 48.950000,4.360000"
    assert texts(root, "info/area/polygon") == [ring] * polygons
    assert len(texts(root, "info/area/circle")) == (0 if polygons else 1)


@given(
    title=st.text(min_size=1), text=st.text(), commune=st.none() | st.text(),
    place=st.none() | st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
    priority=st.integers(1, 4), kind=st.sampled_from(MessageType), domain=st.none() | st.text(max_size=3), at=st.datetimes(
        dt.datetime(1990, 1, 1), dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001 - the zone is given beside
)  # fmt: skip
def test_whatever_equipment_and_people_write_the_document_is_valid(
    title: str, text: str, commune: str | None, place: tuple[float, float] | None, priority: int, kind: MessageType, domain: str | None,
    at: dt.datetime,
) -> None:  # fmt: skip
    longitude, latitude = place or (None, None)
    said = alarm(
        title=title, message=text, commune=commune, longitude=longitude, latitude=latitude, priority=priority, domain=domain, started_at=at,
        asset_ref="<&>" + text,
    )  # fmt: skip
    root = document(ISSUER, dataclasses.replace(message(kind), sent=at), said)
    again = etree.fromstring(etree.tostring(root, encoding="UTF-8"))
    SCHEMA.assertValid(again)


@pytest.mark.parametrize(
    ("path", "text"),
    [("sent", "2026-01-05T18:42:09Z"), ("msgType", "Alarm"), ("identifier", "a b"), ("sender", "a,b"), ("info/urgency", "Soon"),
     ("info/area/circle", "48.95 4.36 1"), ("info/event", "")],
)  # fmt: skip
def test_the_schema_refuses_what_the_norm_does(path: str, text: str) -> None:
    root = document(ISSUER, message(), alarm())
    found = root.find("/".join(f"{{*}}{name}" for name in path.split("/")))
    assert found is not None
    found.text = text
    assert not SCHEMA.validate(root)


def test_the_schema_holds_the_order() -> None:
    root = document(ISSUER, message(), alarm())
    root.append(root[0])
    assert not SCHEMA.validate(root)


def test_our_own_reader_of_cap_takes_it() -> None:
    batch = WireBatch()
    reader.decode(
        etree.tostring(document(ISSUER, message(), alarm()), encoding="UTF-8"), batch, after=0, received_at=None,
        options=WireOptions(contract="core.observation", time_zone="Europe/Paris", personal=(), max_bytes=1_000_000),
    )  # fmt: skip
    assert batch.rejects == []
    assert batch.observations
    assert {row.asset_ref for row in batch.observations} != {None}


# --- chains


def turn(seq: int, *, stands: bool, tells: bool = False) -> TurnLine:
    return TurnLine(7, seq, SENT + dt.timedelta(seconds=seq), tells, stands)


def told(*turns: TurnLine) -> list[tuple[str, int, list[int]]]:
    return [(str(m.type), m.seq, [seq for seq, _ in m.references]) for m in chain(turns)]


def test_raised_acknowledged_returned() -> None:
    assert told(turn(1, stands=True), turn(2, stands=True, tells=True), turn(3, stands=False), turn(4, stands=False)) == [
        ("Alert", 1, []), ("Update", 2, [1]), ("Cancel", 3, [1, 2]),
    ]  # fmt: skip


def test_what_comes_back_is_a_new_alert() -> None:
    assert told(turn(1, stands=True), turn(2, stands=False), turn(5, stands=True, tells=True), turn(6, stands=False)) == [
        ("Alert", 1, []), ("Cancel", 2, [1]), ("Alert", 5, []), ("Cancel", 6, [5]),
    ]  # fmt: skip


def test_what_never_stood_for_itself_is_never_told() -> None:
    assert told(turn(1, stands=False), turn(2, stands=False, tells=True)) == []


def test_what_changes_nothing_for_others_is_not_told() -> None:
    assert told(turn(1, stands=True), turn(2, stands=True), turn(3, stands=True)) == [("Alert", 1, [])]


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=150))
def test_the_laws_of_chains(turns: list[tuple[bool, bool]]) -> None:
    messages = chain([turn(n, stands=stands, tells=tells) for n, (stands, tells) in enumerate(turns, start=1)])
    standing: list[int] = []
    for found in messages:
        named = [seq for seq, _ in found.references]
        assert len(named) <= 50
        if found.type is MessageType.ALERT:
            assert not standing
            assert not named
        else:
            assert named[0] == standing[0]
            assert named[-1] == standing[-1]
            assert set(named) <= set(standing)
        standing = [] if found.type is MessageType.CANCEL else [*standing, found.seq]
    assert bool(standing) is bool(turns and turns[-1][0])
