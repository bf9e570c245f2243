"""The dashboard server in a browser and before strangers: French on every page, nothing from outside, every door closed but four."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Final

import httpx
import psycopg
import pytest
from playwright.sync_api import Browser, sync_playwright

from dashboards import people
from dashboards.client import Superset
from orchestration.superset import process
from tests.superset_browser import CHROMIUM, Watched, english, said_in_english
from tests.superset_server import Served, password_of

pytest_plugins = ("tests.superset_server",)


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(**CHROMIUM)
        yield started
        started.close()


PAGES: Final = {
    "partout": [
        "/",
        "/dashboard/list/",
        "/superset/dashboard/{slug}/",
        "/chart/list/",
        "/explore/?slice_id=1",
        "/sqllab/",
        "/user_info/",
        "/nulle/part",
    ],
    "sarry": ["/", "/superset/dashboard/{slug}/", "/sqllab/"],
    "partout.pcc": ["/", "/superset/dashboard/{slug}/"],
    "partout.visiteur": ["/", "/superset/dashboard/{slug}/"],
}


@pytest.mark.parametrize("login", PAGES)
def test_pages_are_french_and_ask_nothing_of_others(served: Served, browser: Browser, login: str) -> None:
    messages = english(served.settings.superset_url)
    boards = served.robot.get("/api/v1/dashboard/")["result"]
    slug = next(str(b["slug"] or b["id"]) for b in boards if b["dashboard_title"] == "Pannes")
    watched = Watched(browser, served.settings.superset_url)
    watched.page.goto(f"{served.settings.superset_url}/login/")
    watched.page.wait_for_selector("input[type=password]", timeout=60_000)
    assert said_in_english(watched.words(), messages) == []
    watched.sign_in(login, password_of(login))
    watched.page.wait_for_url(f"{served.settings.superset_url}/", timeout=60_000)
    for path in PAGES[login]:
        text = watched.open(path.format(slug=slug))
        assert said_in_english(text, messages) == [], path
        assert "Powered by" not in text
        assert "Superset" not in text, path
        width = watched.page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
        assert width[0] <= width[1], path
    assert watched.outside == []
    # A page that is not there, and what a role may not ask, are told to the console by the browser itself.
    assert [line for line in watched.console if "status of 40" not in line] == []
    watched.page.context.close()


def test_the_first_page_lists_dashboards_by_rank(served: Served) -> None:
    page = served.browser("partout").get("/").text
    assert page.index("Données reçues") > 0
    assert page.index("Pannes") > 0
    visitor = served.browser("partout.visiteur").get("/").text
    assert "Données reçues" not in visitor
    assert "SQL Lab" not in visitor
    assert served.browser("partout").get("/superset/welcome/").text == page


def test_a_wrong_password_is_told_in_french_and_counted(served: Served) -> None:
    url = served.settings.superset_url
    body = {"username": "quelqu'un", "password": "faux", "provider": "db"}
    answers = [httpx.post(f"{url}/api/v1/security/login", json=body, timeout=60) for _ in range(7)]
    assert [a.status_code for a in answers] == [401] * 5 + [429] * 2
    assert answers[-1].json()["message"].startswith("Trop d'essais")
    # One's mistakes lock out nobody else.
    right = {"username": "partout", "password": password_of("partout"), "provider": "db"}
    assert httpx.post(f"{url}/api/v1/security/login", json=right, timeout=60).status_code == 200
    with httpx.Client(base_url=url, timeout=60) as person:
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', person.get("/login/").text, re.DOTALL)
        assert found is not None
        form = {"username": "quelqu'un", "password": "faux", "csrf_token": found[1]}
        page = person.post("/login/", data=form, headers={"Referer": url})
    assert page.status_code == 429
    assert "réessayez dans une minute" in page.text


def test_a_new_password_is_written_down_nowhere(served: Served) -> None:
    people.add(served.robot, "passe", name="Passe", role="visiteur", authority=None, password=password_of("passe"))
    new = "un mot de passe tout neuf"
    changed = served.session("passe").call("PUT", "/api/v1/me/", json={"password": new})
    assert changed.is_success, changed.text
    Superset(served.settings.superset_url, "passe", new).close()
    with psycopg.connect(served.settings.superset_database_url.get_secret_value()) as con:
        journal = [str(line) for (line,) in con.execute("SELECT json FROM logs WHERE action = 'CurrentUserRestApi.put'")]
    assert journal, "the journal tells that it was changed"
    assert not any(new in line for line in journal)


def test_tiles_are_for_who_is_signed_in_and_bounded(served: Served) -> None:
    assert httpx.get(f"{served.settings.superset_url}/tuiles/8/131/88.png", timeout=60).status_code == 403
    person = served.browser("partout.visiteur")
    tile = person.get("/tuiles/8/131/88.png")
    assert (tile.status_code, tile.headers["content-type"]) == (200, "image/png")
    assert tile.content.startswith(b"\x89PNG")
    for path in ("/tuiles/21/0/0.png", "/tuiles/3/8/0.png", "/tuiles/3/0/8.png", "/tuiles/3/-1/0.png", "/tuiles/a/0/0.png"):
        assert person.get(path).status_code == 404, path


OPEN: Final = {
    "/health", "/healthcheck", "/ping", "/healthz",
    "/login/", "/superset/language_pack/fr/", "/static/", "/vigie/", "/static/appbuilder/", "/lang/",
    # They say who is signed in, or whether somebody is: nobody. Or they end a session there is none of.
    "/logout/", "/api/v1/security/login", "/api/v1/security/refresh",
}  # fmt: skip


def test_every_other_door_is_closed_to_strangers(served: Served) -> None:
    script = (
        "import json; from superset.app import create_app\n"
        "print('RULES' + json.dumps([[r.rule, sorted(r.methods)] for r in create_app().url_map.iter_rules()]))"
    )
    command = [str(served.settings.superset_python), "-c", script]
    done = subprocess.run(command, env=process.environment(served.settings), capture_output=True, text=True, check=True, timeout=300)
    rules = json.loads(done.stdout.partition("RULES")[2])
    assert len(rules) > 200
    opened = []
    with httpx.Client(base_url=served.settings.superset_url, timeout=60) as stranger:
        for rule, methods in rules:
            path = re.sub(r"<(?:string|path|regex[^:]*):[^>]*>|<[a-z_]+>", "fr", re.sub(r"<int:[^>]*>", "1", rule))
            if path.startswith(tuple(OPEN)) or "GET" not in methods:
                continue
            answer = stranger.get(path)
            if answer.status_code not in {301, 302, 308, 401, 403, 404, 405}:
                opened.append((path, answer.status_code, answer.text[:80]))
    assert opened == [], "\n".join(f"{path}: {status}" for path, status, _ in opened)


def test_the_list_of_accounts_is_for_who_makes_charts(served: Served) -> None:
    # The first time by whom Superset gives the most: its answer must not be kept for others.
    for login, sees in (("partout", True), ("partout.visiteur", False), ("sarry.pcc", False), ("agglo", True)):
        for what, whom in (("dashboard", "owners"), ("dashboard", "created_by"), ("chart", "owners"), ("dataset", "changed_by")):
            answer = served.session(login).get(f"/api/v1/{what}/related/{whom}")
            assert bool(answer["result"]) == bool(answer["count"]) == sees, (login, what, whom)


def test_headers_and_cookies_are_strict(served: Served) -> None:
    answer = httpx.get(f"{served.settings.superset_url}/login/", headers={"Origin": "https://ailleurs.example"}, timeout=60)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "access-control-allow-origin" not in answer.headers
    assert {"HttpOnly", "SameSite=Lax"} <= {part.strip() for part in answer.headers["set-cookie"].split(";")}
    for path in ("/swagger/v1", "/api/v1/_openapi"):
        assert served.browser("partout").get(path).status_code in {403, 404}, path
    assert httpx.get(f"{served.settings.superset_url}/health", timeout=60).text == "OK"
