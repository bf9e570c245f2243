"""What a stranger, a careless client or hostile equipment sends harms neither the API of alarms nor who reads its feeds."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from lxml import etree

from orchestration.alerts.feeds.events import MOST_OF_ONE
from orchestration.alerts.store.turn import Connection, connect
from tests.alerts_web import Served, WebProcess, change, until_healthy

pytest_plugins = ("tests.alerts_web",)

NUL = "a\0b"
MARKUP = "<script>alert(1)</script>\"'&{{7*7}}{asset.__class__}]]>"


@pytest.fixture
def client(web: Served) -> Iterator[httpx.Client]:
    with web.system() as client:
        yield client


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


# --- requests


@pytest.mark.parametrize("name", ["text", "commune", "asset", "rule", "domain"])
def test_a_filter_with_a_null_character_is_refused_in_words(client: httpx.Client, name: str) -> None:
    for path in ("/api/alarms", "/api/alarms.geojson"):
        answer = client.get(path, params={name: NUL})
        assert (answer.status_code, set(answer.json())) == (422, {"error", "remedy"}), answer.text


@pytest.mark.parametrize("text", ['[Infinity, "2026-01-01", 1]', '[1, "2026-01-01", 1e400]', '[1, "2026-01-01T00:00:00", NaN]'])
def test_a_cursor_of_no_number_is_refused(client: httpx.Client, text: str) -> None:
    assert client.get("/api/alarms", params={"cursor": _cursor(text)}).status_code == 409


@pytest.mark.parametrize(
    "text", ["' OR 1=1 --", "%", "_", "\\", "x' || pg_sleep(9) || '", "{}", "%s", "%(x)s", "$1"], ids=lambda text: text.strip("' ")
)
def test_a_filter_is_taken_by_the_letter(web: Served, client: httpx.Client, text: str) -> None:
    web.tell(change("lampe", "L1", 0))
    for name in ("text", "commune", "asset", "rule", "domain"):
        assert client.get("/api/alarms", params={name: text}).json()["alarms"] == [], name


def test_what_people_write_with_a_null_character_is_refused_and_changes_nothing(web: Served, client: httpx.Client) -> None:
    alarm_id = web.tell(change("lampe", "L2", 0))[0].alarm_id
    before = client.get(f"/api/alarms/{alarm_id}").json()
    for path, body in (("comment", {"comment": NUL}), ("assign", {"to": NUL}), ("acknowledge", {"comment": NUL})):
        assert client.post(f"/api/alarms/{alarm_id}/{path}", json=body).status_code == 422, path
    assert client.get(f"/api/alarms/{alarm_id}").json() == before


def test_works_at_the_end_of_time_are_refused_and_the_list_can_still_be_read(web: Served) -> None:
    works = {"asset_ref": "C1", "reason": "x", "starts_at": "9999-12-31T20:00:00Z", "ends_at": "9999-12-31T23:59:59-14:00"}
    with web.person("superviseur") as supervisor:
        before = supervisor.get("/api/maintenance").json()
        assert supervisor.post("/api/maintenance", json=works).status_code == 422
        assert supervisor.get("/api/maintenance").json() == before


@pytest.mark.parametrize("origin", ["http://[bad", "http://", "null", "//", "http://a:b:c"])
def test_an_origin_that_is_no_address_is_another_site(web: Served, origin: str) -> None:
    with web.client(headers={"Origin": origin}) as client:
        assert client.post("/connexion", data={"identifiant": "superviseur", "mot_de_passe": "x"}).status_code == 403


@pytest.mark.parametrize("login", [NUL, "a\r\nSet-Cookie: x=1", "'; DROP TABLE alerts.person --", "é" * 100, "\u202e"])
def test_a_login_that_is_none_is_nobodys(web: Served, login: str) -> None:
    with web.client(headers={"Origin": web.settings.web_url}) as client:
        answer = client.post("/connexion", data={"identifiant": login, "mot_de_passe": "x"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_an_address_that_a_client_writes_itself_does_not_end_its_waiting(process: WebProcess) -> None:
    process.start()
    until_healthy(process.alarms)
    with process.alarms.client(headers={"Origin": process.alarms.settings.web_url}) as client:
        statuses = [
            client.post(
                "/connexion", data={"identifiant": "personne", "mot_de_passe": "x"}, headers={"X-Forwarded-For": f"10.0.0.{n}"}
            ).status_code
            for n in range(7)
        ]
    assert statuses[:5] == [401] * 5
    assert 429 in statuses[5:]


def test_one_account_has_so_many_streams_and_gets_another_when_one_ends(web: Served, client: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(web.system()) for _ in range(MOST_OF_ONE)]
        streams = [stack.enter_context(other.stream("GET", "/api/events")) for other in others]
        read = [stream.iter_bytes() for stream in streams]  # kept: one that is let go closes its stream
        for stream, chunks in zip(streams, read, strict=True):
            assert stream.status_code == 200
            assert next(chunks)
        with client.stream("GET", "/api/events") as refused:
            assert refused.status_code == 429
            assert "retry-after" in refused.headers
            refused.read()
            assert set(refused.json()) == {"error", "remedy"}
        with web.person("lecteur") as viewer, viewer.stream("GET", "/api/events") as stream:  # of another account
            assert stream.status_code == 200
        streams[0].close()
        others[0].close()
        _until_let_in(client)


def _until_let_in(client: httpx.Client) -> None:
    for _ in range(100):
        with client.stream("GET", "/api/events") as stream:
            if stream.status_code == 200:
                return
    raise AssertionError("an ended stream still counts")


# --- what equipment says, and people write


def test_markup_in_what_equipment_says_is_text_in_every_feed(web: Served, client: httpx.Client) -> None:
    told = change(
        "armoire", "C1", 60, title=MARKUP, text=MARKUP, details={"asset": MARKUP, "feed": MARKUP, "street": MARKUP}, commune=MARKUP
    )
    alarm_id = web.tell(told)[0].alarm_id
    client.post(f"/api/alarms/{alarm_id}/comment", json={"comment": MARKUP}).raise_for_status()
    alarm = client.get(f"/api/alarms/{alarm_id}").json()
    assert (alarm["title"], alarm["street"], alarm["commune"]) == (MARKUP, MARKUP, MARKUP)
    feature: dict[str, Any] = next(f for f in client.get("/api/alarms.geojson").json()["features"] if f["id"] == alarm_id)
    assert feature["properties"]["title"] == MARKUP
    journal = client.get(f"/api/alarms/{alarm_id}/journal")
    assert journal.json()["lines"][-1]["comment"] == MARKUP
    assert journal.headers["content-type"] == "application/json"
    cap = etree.fromstring(client.get(f"/api/alarms/{alarm_id}/cap").content)
    assert cap.findtext(".//{*}event") == MARKUP
    atom = client.get("/api/alarms.atom")
    assert atom.headers["content-type"].startswith("application/atom+xml")
    feed = etree.fromstring(atom.content)
    assert any(MARKUP in (title.text or "") for title in feed.iterfind("{*}entry/{*}title"))
    for document in (cap, feed):
        assert not [e for e in document.iter() if etree.QName(e).localname == "script"]


def test_a_template_in_what_equipment_says_is_not_filled_in(web: Served) -> None:
    template = "{asset.__class__.__mro__} {since} {0}"
    entry = web.tell(change("lampe", "L3", 0, details={"asset": template}, text=template))[0]
    assert entry.alarm["message"] == "L3 est en panne."
    assert json.loads(json.dumps(entry.alarm))["value_text"] == template


# --- a database that is gone without a word


def test_a_connection_gives_up_a_database_that_is_gone_without_a_word(web: Served) -> None:
    """Its machine lost power: nothing answers, and nothing is closed."""

    def gives_up_after_ms(con: Connection) -> tuple[int, int]:
        with socket.socket(fileno=os.dup(con.fileno())) as ours:
            return ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    with connect(web.settings.app_url.get_secret_value(), name="test") as con:
        assert gives_up_after_ms(con) == (15_000, 1)
    with web.pool.connection() as con:
        assert gives_up_after_ms(con) == (15_000, 1)
