"""Who may do what with alarms: sign-in, sessions, tokens, roles, and that no address is open by mistake."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import importlib.metadata
import itertools
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.websockets import WebSocket

from ingestion.errors import WrongUse
from orchestration import secrets
from orchestration.alerts import accounts
from orchestration.alerts.access import SHIFT, Access, NotAllowed, SignInRefused, Throttle, Who, require, session_of
from orchestration.alerts.model import Role
from orchestration.web.guard import OPEN, Guard
from tests.alerts_web import Alarms, Served, WebProcess, change, until_healthy

pytest_plugins = ("tests.alerts_web",)

PASSWORD = "une phrase assez longue"


@pytest.fixture
def access(alarms: Alarms) -> Iterator[Access]:
    """People and systems of nobody but this test; passwords are little work."""
    with alarms.pool.connection() as con:
        people, systems = (con.execute(f"DELETE FROM alerts.{table} RETURNING *").fetchall() for table in ("person", "system"))
    yield Access(alarms.pool.connection, hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    with alarms.pool.connection() as con:
        for table, rows in (("person", people), ("system", systems)):
            con.execute(f"DELETE FROM alerts.{table}")
            for row in rows:
                con.execute(f"INSERT INTO alerts.{table} VALUES ({', '.join(['%s'] * len(row))})", list(row.values()))


# --- no address is open by mistake


def _addresses(app: FastAPI) -> list[tuple[str, str]]:
    found = []
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, Mount):  # the pages: one application of its own
            found.append(("GET", f"{route.original_route.path}/any/page"))
            continue
        assert route.path is not None
        assert route.methods, f"{route.path}: say in this test how it is walked"
        found += [(method, re.sub(r"\{[^}]*\}", "1", route.path)) for method in route.methods]
    return found


def test_every_address_but_health_and_sign_in_is_closed_to_who_is_not_known(web: Served) -> None:
    addresses = [(method, path) for method, path in _addresses(web.app) if path not in OPEN]
    assert len(addresses) >= 20
    with web.client() as stranger:
        for method, path in addresses:
            for headers in ({"Origin": web.settings.web_url}, {"Authorization": "Bearer not-a-token"}, {"Cookie": "vigie_session=forged"}):
                answer = stranger.request(method, path, headers={"Origin": web.settings.web_url, **headers})
                assert answer.status_code == 401, (method, path, headers)
                assert answer.headers["www-authenticate"] == "Bearer"
                if method != "HEAD":
                    assert set(answer.json()) == {"error", "remedy"}
    assert {"/health", "/connexion"} == OPEN


def test_a_route_that_is_added_and_a_websocket_are_closed(access: Access) -> None:
    app = FastAPI()

    @app.get("/added")
    async def _added(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.who.login)

    @app.websocket("/socket")
    async def _socket(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(socket.state.who.login)
        await socket.close()

    app.add_middleware(Guard, access=access)
    app.add_middleware(SessionMiddleware, secret_key="s")
    token = access.add_system("hyperviseur", Role.VIEWER)
    known = {"Authorization": f"Bearer {token}"}
    answer = asyncio.run(_asked(app, "/added"))
    assert answer.status_code == 401
    assert asyncio.run(_asked(app, "/added", known)).text == "hyperviseur"
    for headers in ({}, {"Origin": "http://testserver"}):
        assert asyncio.run(_socket_opens(app, "/socket", headers)) == []
    assert asyncio.run(_socket_opens(app, "/socket", known)) == ["hyperviseur"]


async def _asked(app: FastAPI, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client:
        return await client.get(path, headers=headers)


async def _socket_opens(app: FastAPI, path: str, headers: dict[str, str]) -> list[str]:
    """Return what a WebSocket is sent; nothing when it is refused."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.lower().encode(), value.encode()) for name, value in {"Host": "testserver", **headers}.items()]
    scope = {
        "type": "websocket", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": pairs, "scheme": "ws", "server": ("testserver", 80), "client": ("127.0.0.1", 1), "subprotocols": [],
        "state": {}, "asgi": {"version": "3.0"},
    }  # fmt: skip
    await app(scope, receive, send)
    return [message["text"] for message in sent if message["type"] == "websocket.send"]


def test_people_are_sent_to_the_sign_in_page_and_back(web: Served) -> None:
    with web.client(headers={"Accept": "text/html"}) as browser:
        sent = browser.get("/api/alarms?priority=1")
        assert (sent.status_code, sent.headers["location"]) == (303, "/connexion?suite=%2Fapi%2Falarms%3Fpriority%3D1")
        page = browser.get(sent.headers["location"])
        assert page.status_code == 200
        assert 'name="suite" value="/api/alarms?priority=1"' in page.text
        assert '<label for="identifiant">' in page.text
        assert "<script" not in page.text
        form = {"identifiant": "lecteur", "mot_de_passe": web.password("lecteur"), "suite": "/api/alarms?priority=1"}
        signed = browser.post("/connexion", data=form, headers={"Origin": web.settings.web_url})
        assert (signed.status_code, signed.headers["location"]) == (303, "/api/alarms?priority=1")
        assert browser.get("/api/alarms?priority=1").status_code == 200
        assert browser.post("/deconnexion", headers={"Origin": web.settings.web_url}).headers["location"] == "/connexion"
        assert browser.get("/api/alarms").status_code == 303


@pytest.mark.parametrize("after", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\tb"])
def test_signing_in_leads_to_no_other_site(web: Served, after: str) -> None:
    form = {"identifiant": "lecteur", "mot_de_passe": web.password("lecteur"), "suite": after}
    with web.client() as browser:
        assert browser.post("/connexion", data=form, headers={"Origin": web.settings.web_url}).headers["location"] == "/"


def test_what_is_typed_stands_on_the_page_as_text(web: Served) -> None:
    form = {"identifiant": '"><b>x', "mot_de_passe": "faux", "suite": '/"><i>'}
    with web.client() as browser:
        page = browser.post("/connexion", data=form, headers={"Origin": web.settings.web_url})
    assert page.status_code == 401
    assert "Identifiant ou mot de passe incorrect." in page.text
    assert "<b>" not in page.text
    assert "<i>" not in page.text


def test_the_session_cookie_is_for_this_site_alone_and_not_for_scripts(web: Served) -> None:
    form = {"identifiant": "lecteur", "mot_de_passe": web.password("lecteur")}
    with web.client() as browser:
        cookie = browser.post("/connexion", data=form, headers={"Origin": web.settings.web_url}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert web.password("lecteur") not in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "https://evil.example"}, 403), ({"Origin": "null"}, 403), ({}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403),
     ({"Sec-Fetch-Site": "same-origin"}, 200)],
)  # fmt: skip
def test_a_request_of_another_site_does_nothing(web: Served, headers: dict[str, str], status: int) -> None:
    alarm = web.tell(change("armoire", "C1", _next()))[0]
    with web.person("operateur-1") as browser:
        del browser.headers["Origin"]
        assert browser.post(f"/api/alarms/{alarm.alarm_id}/acknowledge", headers=headers).status_code == status
    assert web.store.get(alarm.alarm_id).is_acknowledged is (status == 200)


def test_a_sign_in_of_another_site_is_refused(web: Served) -> None:
    form = {"identifiant": "lecteur", "mot_de_passe": web.password("lecteur")}
    with web.client() as browser:
        assert browser.post("/connexion", data=form, headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_body_past_its_bound_is_not_read_even_from_a_stranger(web: Served) -> None:
    with web.client() as browser:
        form = {"identifiant": "x" * 100_000, "mot_de_passe": "x"}
        assert browser.post("/connexion", data=form, headers={"Origin": web.settings.web_url}).status_code == 413


def test_the_page_its_files_and_its_socket_are_closed_too(process: WebProcess) -> None:
    """The operators' page is an application of its own, mounted in ours."""
    process.start()
    until_healthy(process.alarms)
    version = importlib.metadata.version("nicegui")
    paths = ["/", "/mur/wall.js", "/any/page", f"/_nicegui/{version}/static/nicegui.js", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"]
    with process.alarms.client() as stranger:
        assert [stranger.get(path).status_code for path in paths] == [401] * len(paths)
        sent = stranger.get("/", headers={"Accept": "text/html"})
        assert (sent.status_code, sent.headers["location"]) == (303, "/connexion")
    with process.alarms.person("lecteur") as viewer:
        assert [viewer.get(path).status_code for path in paths] == [200, 200, 404, 200, 200]


def test_answers_are_for_no_cache_and_no_other_site(web: Served) -> None:
    with web.system() as client:
        headers = client.get("/api/alarms").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


# --- roles


@pytest.mark.parametrize(
    ("login", "path", "body", "status"),
    [
        ("lecteur", "acknowledge", {}, 403),
        ("lecteur", "comment", {"comment": "vu"}, 403),
        ("operateur-1", "acknowledge", {}, 200),
        ("operateur-1", "shelve", {"hours": 7}, 200),
        ("operateur-1", "shelve", {"hours": 9}, 403),
        ("superviseur", "shelve", {"hours": 9}, 200),
    ],
)
def test_roles(web: Served, login: str, path: str, body: dict[str, Any], status: int) -> None:
    alarm = web.tell(change("armoire", "C1", _next()))[0]
    if "hours" in body:
        body = {"until": (dt.datetime.now(dt.UTC) + dt.timedelta(hours=body["hours"])).isoformat(), "reason": "capteur remplacé"}
    with web.person(login) as browser:
        answer = browser.post(f"/api/alarms/{alarm.alarm_id}/{path}", json=body)
        assert browser.get(f"/api/alarms/{alarm.alarm_id}").status_code == 200
    assert answer.status_code == status, answer.text
    if status == 403:
        assert set(answer.json()) == {"error", "remedy"}
        assert len(web.store.journal_of(alarm.alarm_id)) == 1
    else:
        assert web.store.journal_of(alarm.alarm_id)[-1].actor == login


def test_a_role_holds_those_below_it() -> None:
    may = {(a, b) for a in Role for b in Role if a.may(b)}
    assert len(may) == 6
    with pytest.raises(NotAllowed, match=r"lecteur \(viewer\) may not shelve"):
        require(Who("lecteur", "Lecteur", Role.VIEWER), Role.OPERATOR, "shelve")


# --- people and systems


def test_people_sign_in_with_their_password_only(access: Access, alarms: Alarms) -> None:
    access.add_person("anne", "Anne", Role.SUPERVISOR, PASSWORD)
    who = access.sign_in(" Anne ", PASSWORD)
    assert (who.login, who.name, who.role, who.is_system) == ("anne", "Anne", Role.SUPERVISOR, False)
    for login, password in (("anne", PASSWORD + " "), ("anne", ""), ("personne", PASSWORD), ("", "")):
        with pytest.raises(SignInRefused, match="unknown login or wrong password"):
            access.sign_in(login, password)
    with alarms.pool.connection() as con:
        stored = con.execute("SELECT password_hash FROM alerts.person").fetchone()
    assert stored is not None
    assert stored["password_hash"].startswith("$argon2id$")


def test_a_session_ends_with_the_shift_the_password_the_role_and_the_account(access: Access) -> None:
    access.add_person("anne", "Anne", Role.OPERATOR, PASSWORD)

    def session() -> dict[str, Any]:
        return session_of(access.sign_in("anne", PASSWORD))

    now = dt.datetime.now(dt.UTC)
    first = session()
    assert access.of_session(first) is not None
    assert access.of_session(first, now=now + SHIFT - dt.timedelta(minutes=1)) is not None
    assert access.of_session(first, now=now + SHIFT + dt.timedelta(minutes=1)) is None
    access.set_role("anne", Role.SUPERVISOR)
    assert access.of_session(first) is None
    second = session()
    assert access.of_session(second) is not None
    access.set_password("anne", PASSWORD)
    assert access.of_session(second) is None
    third, who = session(), access.sign_in("anne", PASSWORD)
    assert access.still(who)
    access.remove_person("anne")
    assert access.of_session(third) is None
    assert not access.still(who)
    assert [(a.login, a.is_active) for a in access.people()] == [("anne", False)]
    for nonsense in ({}, {"login": 3}, {"login": "anne", "since": "x"}, {"login": "anne", "since": now.timestamp()}):
        assert access.of_session(nonsense) is None


def test_systems_are_known_by_their_token_which_is_not_kept(access: Access, alarms: Alarms) -> None:
    token = access.add_system("hyperviseur", Role.OPERATOR)
    other = access.add_system("affichage", Role.VIEWER)
    who = access.of_token(token)
    assert who is not None
    assert (who.login, who.role, who.is_system) == ("hyperviseur", Role.OPERATOR, True)
    assert (found := access.of_token(other)) is not None
    assert found.login == "affichage"
    assert access.of_token(token[:-1]) is None
    assert access.of_token("") is None
    with alarms.pool.connection() as con:
        rows = con.execute("SELECT * FROM alerts.system").fetchall()
    assert not any(token.encode() in bytes(r["token_digest"]) or token in str(r) for r in rows)
    new = access.set_token("hyperviseur")
    assert access.of_token(token) is None
    assert access.of_token(new) is not None
    access.remove_system("hyperviseur")
    assert access.of_token(new) is None
    assert access.of_token(access.add_system("hyperviseur", Role.VIEWER)) is not None


def test_a_logins_form_and_a_passwords_length_are_held(access: Access) -> None:
    for login in ("", "Anne", "an ne", "vigie", "-a", "a" * 64, "a'; DROP TABLE"):
        with pytest.raises(WrongUse):
            access.add_person(login, "X", Role.VIEWER, PASSWORD)
    for password in ("", "onze signes", "x" * 257):
        with pytest.raises(WrongUse, match="12 to 256"):
            access.add_person("anne", "Anne", Role.VIEWER, password)
    access.add_person("anne", "Anne", Role.VIEWER, PASSWORD)
    with pytest.raises(WrongUse, match="there is a anne already"):
        access.add_person("anne", "Anne", Role.SUPERVISOR, PASSWORD)
    for call in (access.remove_person, access.remove_system):
        with pytest.raises(WrongUse, match="there is no"):
            call("personne")


# --- who guesses


def test_who_guesses_waits_longer_and_longer_at_their_own_address() -> None:
    now = [0.0]
    throttle, waits = Throttle(clock=lambda: now[0]), []
    for _ in range(13):
        throttle.failed("anne", "1.2.3.4")
        waits.append(throttle.wait_s("anne", "1.2.3.4"))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert throttle.wait_s("anne", "5.6.7.8") == 0
    assert throttle.wait_s("paul", "1.2.3.4") == 0
    now[0] = 59
    assert throttle.wait_s("anne", "1.2.3.4") == 1
    now[0] = 60
    assert throttle.wait_s("anne", "1.2.3.4") == 0
    now[0] = 901
    throttle.failed("anne", "1.2.3.4")
    assert throttle.wait_s("anne", "1.2.3.4") == 0
    throttle.succeeded("anne", "1.2.3.4")


def test_too_many_failures_are_refused_even_with_the_right_password(access: Access) -> None:
    now = [0.0]
    access.throttle = Throttle(clock=lambda: now[0])
    access.add_person("anne", "Anne", Role.OPERATOR, PASSWORD)
    for _ in range(5):
        with pytest.raises(SignInRefused, match="wrong password"):
            access.sign_in("anne", "x", address="a")
    with pytest.raises(SignInRefused, match="too many") as refused:
        access.sign_in("anne", PASSWORD, address="a")
    assert refused.value.wait_s == 1
    assert access.sign_in("anne", PASSWORD, address="b").login == "anne"
    now[0] = 1.0
    assert access.sign_in("anne", PASSWORD, address="a").login == "anne"
    assert access.throttle.wait_s("anne", "a") == 0


def test_the_page_says_how_long_to_wait(web: Served) -> None:
    form = {"identifiant": "inconnu", "mot_de_passe": "faux"}
    with web.client(headers={"Origin": web.settings.web_url}) as browser:
        answers = [browser.post("/connexion", data=form) for _ in range(7)]
    assert {a.status_code for a in answers[:5]} == {401}
    last = answers[-1] if answers[-1].status_code == 429 else answers[-2]
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) >= 1
    assert "Trop de tentatives" in last.text


# --- the accounts of a local instance


def test_the_accounts_of_the_secrets_file_exist_and_follow_it(alarms: Alarms, access: Access) -> None:
    settings, path = alarms.settings, alarms.settings.home / secrets.FILE_NAME
    before = path.read_text()
    try:
        for _ in range(2):
            accounts.ensure(settings, access)
            assert {a.login: a.role for a in access.people() if a.is_active} == {
                "operateur-1": Role.OPERATOR, "operateur-2": Role.OPERATOR, "superviseur": Role.SUPERVISOR, "lecteur": Role.VIEWER,
            }  # fmt: skip
            assert [(a.login, a.role) for a in access.systems()] == [("hyperviseur", Role.OPERATOR)]
        stamps = {a.login: a.changed_at for a in access.people()}
        old, token = alarms.password("operateur-1"), alarms.token
        path.write_text(before.replace(old, PASSWORD).replace(alarms.password("lecteur"), "").replace(token, "jeton-tout-neuf"))
        accounts.ensure(settings, access)
        assert access.sign_in("operateur-1", PASSWORD)
        with pytest.raises(SignInRefused):
            access.sign_in("operateur-1", old)
        changed = {a.login for a in access.people() if a.changed_at != stamps[a.login]}
        assert changed == {"operateur-1", "lecteur"}
        assert "lecteur" not in {a.login for a in access.people() if a.is_active}
        assert access.of_token(token) is None
        assert access.of_token("jeton-tout-neuf") is not None
        access.remove_person("operateur-2")
        accounts.ensure(settings, access)
        assert "operateur-2" not in {a.login for a in access.people() if a.is_active}
        path.write_text(before.replace("[people]\n", '[people]\nintrus = "un long mot de passe"\n'))
        with pytest.raises(WrongUse, match="a line for intrus"):
            accounts.ensure(settings, access)
    finally:
        path.write_text(before)


def test_an_instance_of_before_gets_its_accounts(alarms: Alarms) -> None:
    """Whose secrets file has no such tables."""
    home = alarms.settings.home.parent / "older"
    home.mkdir(exist_ok=True)
    secrets.ensure(home)
    path = home / secrets.FILE_NAME
    text = path.read_text()
    path.write_text(re.sub(r"(?ms)^\[people\].*?(?=^\[feeds\])", "", text))
    assert secrets.load(home).people == {}
    found = secrets.ensure(home)
    assert set(found.people) == set(accounts.PEOPLE) == set(secrets.PEOPLE)
    assert set(found.systems) == set(accounts.SYSTEMS) == set(secrets.SYSTEMS)
    assert found.instance == secrets.load(home).instance
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_token_digest_is_what_it_says(access: Access) -> None:
    token = access.add_system("x", Role.VIEWER, token="abc")
    assert hashlib.sha256(token.encode()).hexdigest().startswith("ba7816bf")


def test_when_the_database_is_away_nobody_is_let_in() -> None:
    import psycopg

    def away() -> Any:
        raise psycopg.OperationalError("away")

    app = FastAPI()
    app.add_middleware(Guard, access=Access(away))
    app.add_middleware(SessionMiddleware, secret_key="s")
    assert asyncio.run(_asked(app, "/api/alarms", {"Authorization": "Bearer x"})).status_code == 503


_clock = itertools.count(3_600, 3_600)


def _next() -> int:
    """An hour later than before: the same key is raised again, and does not chatter."""
    return next(_clock)
