"""CAP messages and the Atom feed of a served store: what is told, when, and that common readers read it."""

from __future__ import annotations

import itertools
from typing import Any, Final

import feedparser
import httpx
from lxml import etree

from orchestration.alerts import lifecycle
from orchestration.alerts.lifecycle import suppressed
from tests.alerts_web import Served, change
from tests.unit.test_alerts_cap import SCHEMA

pytest_plugins = ("tests.alerts_web",)

_hours = itertools.count(3_600, 3_600)
_CAP: Final = "{urn:oasis:names:tc:emergency:cap:1.2}"


def story(web: Served, client: httpx.Client) -> int:
    """An alarm that is raised, acknowledged, shelved, over and closed; return its number."""
    at = next(_hours)
    alarm_id = web.tell(change("armoire", "C1", at))[0].alarm_id
    client.post(f"/api/alarms/{alarm_id}/comment", json={"comment": "vu"}).raise_for_status()
    client.post(f"/api/alarms/{alarm_id}/acknowledge").raise_for_status()
    web.tell(change("armoire", "C1", at + 60, active=False))
    return alarm_id


def messages(feed: bytes, alarm_id: int) -> list[etree._Element]:
    """The documents of an alarm in a feed, the first first."""
    found = [e for e in etree.fromstring(feed).iter(f"{_CAP}alert") if f"-{alarm_id}-" in str(e.findtext(f"{_CAP}identifier"))]
    return found[::-1]


def test_an_alarms_life_is_told_as_alert_update_and_cancel(web: Served) -> None:
    with web.system() as client:
        alarm_id = story(web, client)
        answer = client.get("/api/alarms.atom")
        assert answer.headers["content-type"].startswith("application/atom+xml")
        documents = messages(answer.content, alarm_id)
        assert [d.findtext(f"{_CAP}msgType") for d in documents] == ["Alert", "Update", "Cancel"]
        for document in documents:
            SCHEMA.assertValid(etree.fromstring(etree.tostring(document)))
        identifiers = [str(d.findtext(f"{_CAP}identifier")) for d in documents]
        extended = [",".join(str(d.findtext(f"{_CAP}{n}")) for n in ("sender", "identifier", "sent")) for d in documents]
        assert [str(d.findtext(f"{_CAP}references") or "").split() for d in documents] == [[], extended[:1], extended[:2]]
        lines = {e.kind.value: e.seq for e in web.store.journal_of(alarm_id)}
        # The return closes what is acknowledged, in one turn: its last line is the message's.
        assert [i.rsplit("-", 1)[1] for i in identifiers] == [str(lines[k]) for k in ("raised", "acknowledged", "closed")]
        last = client.get(f"/api/alarms/{alarm_id}/cap")
        assert last.headers["content-type"].startswith("application/cap+xml")
        assert etree.fromstring(last.content).findtext(f"{_CAP}identifier") == identifiers[-1]
        first = etree.fromstring(client.get(f"/api/alarms/{alarm_id}/cap", params={"seq": lines["raised"]}).content)
        SCHEMA.assertValid(first)
        assert first.findtext(f"{_CAP}msgType") == "Alert"
        assert client.get(f"/api/alarms/{alarm_id}/cap", params={"seq": lines["commented"]}).status_code == 404
        assert client.get("/api/alarms/999999/cap").status_code == 404


def test_a_common_feed_reader_reads_the_feed(web: Served) -> None:
    with web.system() as client:
        alarm_id = story(web, client)
        text = client.get("/api/alarms.atom").content
        feed: Any = feedparser.parse(text)
        assert feed.bozo is False
        assert feed.version == "atom10"
        assert feed.feed.title == "Vigie, poste de commandement : alertes"
        entries = [e for e in feed.entries if any(f"/alarms/{alarm_id}/cap" in link.href for link in e.links)]
        assert [e.tags[0].term for e in entries] == ["Cancel", "Update", "Alert"]
        assert entries[-1].title == "Panne armoire · Armoire 1 · Châlons-en-Champagne"
        assert entries[-1].summary == "Armoire 1 est en panne."
        assert len({e.id for e in feed.entries}) == len(feed.entries)
        assert all(e.id.startswith("urn:uuid:") for e in feed.entries)
        assert entries[-1].updated_parsed is not None
        for entry in entries:
            assert entry.link == f"{web.settings.web_url}/"
            documents = [link.href for link in entry.links if link.type == "application/cap+xml"]
            assert [client.get(href).headers["content-type"].partition(";")[0] for href in documents] == ["application/cap+xml"]
        assert client.get("/api/alarms.atom").content == text, "the same for as long as nothing changes"


def test_a_feed_that_has_not_changed_is_not_sent_again(web: Served) -> None:
    with web.system() as client:
        tag = client.get("/api/alarms.atom").headers["etag"]
        unchanged = client.get("/api/alarms.atom", headers={"If-None-Match": tag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        story(web, client)
        assert client.get("/api/alarms.atom", headers={"If-None-Match": tag}).status_code == 200


def test_what_is_put_under_another_as_it_is_raised_is_never_told(web: Served) -> None:
    with web.system() as client:
        parent = web.tell(change("armoire", "C1", next(_hours)))[0].alarm_id
        with web.store.turn() as turn:
            composed = lifecycle.raised(None, _draft("lampe", "L1", next(_hours)), turn.now)
            child = turn.save(composed)
            turn.save(suppressed(child, "parent", "armoire au noir", turn.now, parent_id=parent))
        assert messages(client.get("/api/alarms.atom").content, child.alarm_id) == []
        assert client.get(f"/api/alarms/{child.alarm_id}/cap").status_code == 404
        with web.store.turn() as turn:
            found = turn.one(child.alarm_id)
            assert found is not None
            turn.save(lifecycle.unsuppressed(found, turn.now))
        assert [m.findtext(f"{_CAP}msgType") for m in messages(client.get("/api/alarms.atom").content, child.alarm_id)] == ["Alert"]


def _draft(rule: str, ref: str, at: int) -> Any:
    from tests.alerts_web import COMPOSE

    return COMPOSE(change(rule, ref, at)).alarm
