"""The operators' wall in a real browser: two operators, a viewer, keys, sound, flood, and a server that is killed."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, Response, ViewportSize, expect, sync_playwright
from psycopg_pool import PoolTimeout

from orchestration.alerts import accounts, lifecycle
from orchestration.alerts.heartbeat import beat
from orchestration.alerts.model import Alarm, State
from orchestration.alerts.store import schema
from orchestration.alerts.store.store import open_pool
from orchestration.services import postgres
from orchestration.settings import Settings
from tests.alarms import Town, raise_many, raised
from tests.alerts_web import Alarms, WebProcess, until_healthy

pytest_plugins = ("tests.alerts_web",)

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run".split()
)
_LARGE: Final[ViewportSize] = {"width": 1920, "height": 1080}
_SMALL: Final[ViewportSize] = {"width": 1366, "height": 768}
SIMULATED: Final = Path(__file__).resolve().parents[2] / "ingestion" / "simulator" / "feeds"
# Chromium and a server on two busy cores.
_PATIENCE_MS: Final = 20_000
# Screenshots for the documentation are taken on demand: SCREENSHOTS=docs/img
_SHOTS: Final = os.environ.get("SCREENSHOTS")


@dataclass
class Post:
    """A command post: the store, the web process, operators' browsers, and the engine's sign of life."""

    alarms: Alarms
    process: WebProcess
    browser: Browser
    town: Town = field(default_factory=Town)
    troubles: list[str] = field(default_factory=list)
    feeds: dict[str, dt.timedelta] = field(default_factory=dict)
    contexts: list[BrowserContext] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _heart: threading.Thread | None = None

    def start(self) -> None:
        self.process.start()
        until_healthy(self.alarms)

    def live(self, **feeds: dt.timedelta) -> None:
        """Let the engine say each half second that it lives, and feeds of the simulator (`sim-…`) that they were heard so long ago.

        Called again, it says that they were heard since.
        """
        self.feeds = feeds
        folder = self.alarms.settings.feeds_path
        folder.mkdir(exist_ok=True)
        for name in feeds:
            shutil.copy(SIMULATED / f"sim-{name}.yaml", folder)
        if self._heart is not None:
            return

        def run() -> None:
            while not self._stop.wait(0.5):
                now = dt.datetime.now(dt.UTC)
                # The database of a test may be away; the engine goes on then too.
                with contextlib.suppress(psycopg.Error, PoolTimeout), self.alarms.pool.connection(timeout=1) as con:
                    beat(con, [("engine", now, {}), *((f"feed:sim-{name}", now - age, {}) for name, age in self.feeds.items())])

        self._heart = threading.Thread(target=run)
        self._heart.start()

    def end(self) -> None:
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
        for context in self.contexts:
            context.close()

    def cabinet(self, ref: str, *, minutes_ago: float = 0, **described: Any) -> Alarm:
        """Raise the alarm of a dark cabinet."""
        asset = self.town.put(ref, asset_type="cabinet", name=f"Armoire {ref}", street="rue de Marne", **described)
        at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes_ago)
        return raised(self.alarms.store, self.town, [self.town.change("armoire-au-noir", asset, at)])

    def sign_in(self, login: str, size: ViewportSize = _LARGE) -> Page:
        """Open a browser of somebody's own on the wall."""
        context = self.browser.new_context(locale="fr-FR", timezone_id="Europe/Paris", viewport=size, reduced_motion="reduce")
        context.set_default_timeout(_PATIENCE_MS)
        self.contexts.append(context)
        page = context.new_page()
        base = self.alarms.settings.web_url
        page.goto(base + "/")
        page.get_by_label("Identifiant").fill(login)
        page.get_by_label("Mot de passe").fill(self.alarms.password(login))
        page.get_by_role("button", name="Se connecter").click()

        def asked(request: Request) -> None:
            if not request.url.startswith((base, base.replace("http", "ws"), "data:", "blob:")):
                self.troubles.append(f"asks outside: {request.url}")

        def answered(response: Response) -> None:
            if response.status >= 400:
                self.troubles.append(f"{response.status}: {response.url}")

        page.on("request", asked)
        page.on("response", answered)
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        expect(page.locator(".tabs button")).to_have_count(6, timeout=_PATIENCE_MS)
        expect(page.locator("#clock")).to_contain_text(":")
        return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)} is on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def alarms(instance: Settings) -> Iterator[Alarms]:
    """A store of this test alone: what other tests raised within ten minutes would count towards a flood."""
    url = instance.app_url.get_secret_value()
    schema.prepare(url)
    with open_pool(url, name="test", size=4) as pool:
        found = Alarms(instance, pool)
        accounts.ensure(instance, found.access)
        yield found


@pytest.fixture
def post(process: WebProcess, browser: Browser) -> Iterator[Post]:
    found = Post(process.alarms, process, browser)
    yield found
    found.end()


def row(page: Page, text: str) -> Locator:
    return page.locator("li[data-row]", has_text=text)


def rows(page: Page) -> Locator:
    return page.locator("li[data-row]")


def shot(page: Page, name: str) -> None:
    if _SHOTS:
        page.wait_for_timeout(700)  # lets the last tick and the ripple of a button pass; only for the picture
        page.screenshot(path=str(Path(_SHOTS) / f"alerts-{name}.png"))


def test_nobody_sees_the_wall_without_signing_in(post: Post) -> None:
    post.cabinet("C306")
    post.start()
    page = post.browser.new_context(locale="fr-FR").new_page()
    post.contexts.append(page.context)
    page.goto(post.alarms.settings.web_url + "/")
    assert page.url.endswith("/connexion")
    assert "C306" not in page.content()


def test_what_one_operator_does_the_other_sees(post: Post) -> None:
    alarm = post.cabinet("C306", minutes_ago=12)
    post.live()
    post.start()
    one, two = post.sign_in("operateur-1"), post.sign_in("operateur-2")
    for page in (one, two):
        expect(row(page, "Armoire C306")).to_contain_text("À acquitter")
    row(one, "Armoire C306").click()
    one.locator(".detail").get_by_role("button", name="Acquitter").click()
    expect(row(two, "Armoire C306")).to_contain_text("Acquittée")
    expect(row(two, "Armoire C306")).not_to_contain_text("À acquitter")
    # An alarm that comes while both look, and one that ends.
    post.cabinet("C307")
    for page in (one, two):
        expect(row(page, "Armoire C307")).to_be_visible()
        expect(rows(page)).to_have_count(2)
    post.alarms.store.act(alarm.alarm_id, lambda a, now: lifecycle.closed(a, "operateur-2", now, "essai"))
    expect(row(two, "Armoire C306")).to_have_count(0)
    expect(one.locator(".detail .journal")).to_contain_text("close par Opérateur 2")
    expect(one.locator(".detail .journal")).to_contain_text("acquittée par Opérateur 1")
    assert post.troubles == []


def test_a_shift_by_the_keyboard(post: Post) -> None:
    first, second = post.cabinet("C1", minutes_ago=9), post.cabinet("C2", minutes_ago=5, commune="Sarry", longitude=4.41)
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    expect(rows(page)).to_have_count(2)
    keys, store = page.keyboard, post.alarms.store
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(page.locator(".detail h2")).to_have_text("Armoire hors tension")
    expect(page.locator(".detail .asset")).to_contain_text("Armoire C2")
    # The procedure is ticked, by its box.
    page.locator(".steps input").first.click()
    expect(page.locator(".steps li.done")).to_have_count(1)
    expect(page.locator(".steps")).to_contain_text("Opérateur 1")
    # Taking it on: P, then the button that has the focus.
    keys.press("p")
    expect(page.get_by_role("button", name="Moi (Opérateur 1)")).to_be_focused()
    keys.press("Enter")
    expect(row(page, "Armoire C2")).to_contain_text("Opérateur 1")
    keys.press("c")
    page.get_by_label("Commentaire").fill("Enedis prévenu <b>à</b> l'instant")
    keys.press("Enter")
    expect(page.locator(".journal")).to_contain_text("Enedis prévenu <b>à</b> l'instant")
    # Putting aside asks why.
    keys.press("s")
    page.get_by_label("Raison").press("Enter")
    expect(page.get_by_text("Dites pourquoi, en quelques mots.")).to_be_visible()
    page.get_by_label("Raison").fill("Travaux rue de Marne")
    keys.press("Enter")
    expect(row(page, "Armoire C2")).to_have_count(0)
    keys.press("5")
    expect(row(page, "Armoire C2")).to_contain_text("Travaux rue de Marne")
    keys.press("r")
    expect(row(page, "Armoire C2")).to_have_count(0)
    keys.press("1")
    expect(rows(page)).to_have_count(2)
    # Closing while the condition holds asks why, and Escape thinks better of it.
    keys.press("x")
    expect(page.get_by_text("La condition tient encore")).to_be_visible()
    keys.press("Escape")
    expect(page.locator(".q-dialog__inner")).to_have_count(0)
    keys.press("Escape")
    expect(page.locator(".detail")).to_be_hidden()
    # Both at once: Home, Space, Down, Space, A.
    for key in ("Home", " ", "ArrowDown", " "):
        keys.press(key)
    expect(page.locator("#picked-count")).to_have_text("2 sélectionnées")
    keys.press("a")
    expect(page.locator("li.alarm.seen")).to_have_count(2)
    keys.press("?")
    expect(page.get_by_text("Touches du clavier")).to_be_visible()
    keys.press("Escape")
    expect(page.locator(".q-dialog__inner")).to_have_count(0)
    keys.press("/")
    expect(page.locator("#search")).to_be_focused()
    keys.type("sarry")
    expect(rows(page)).to_have_count(1)
    for alarm in (first, second):
        assert store.get(alarm.alarm_id).state is State.ACKNOWLEDGED
    kept = store.get(second.alarm_id)
    assert (kept.assigned_to, kept.shelved_until, kept.closed_at) == ("operateur-1", None, None)
    assert [e.kind for e in store.journal_of(second.alarm_id)] == [
        "raised", "step", "assigned", "commented", "shelved", "unshelved", "acknowledged",
    ]  # fmt: skip
    assert post.troubles == []


def test_a_viewer_looks_and_does_nothing(post: Post) -> None:
    alarm = post.cabinet("C306")
    post.live()
    post.start()
    page = post.sign_in("lecteur")
    row(page, "Armoire C306").click()
    expect(page.locator(".detail h2")).to_be_visible()
    expect(page.locator(".detail .actions, li[data-row] input")).to_have_count(0)
    expect(page.locator(".steps input").first).to_be_disabled()
    page.keyboard.press("a")
    # Nor when the browser is made to say it all the same.
    page.evaluate("id => emitEvent('vigie', {do: 'ack', ids: [id]})", alarm.alarm_id)
    expect(page.get_by_text("Votre compte permet de lire seulement.")).to_be_visible()
    assert post.alarms.store.get(alarm.alarm_id).state is State.UNACKNOWLEDGED


def test_a_role_that_was_taken_back_acts_no_more(post: Post) -> None:
    alarm = post.cabinet("C306")
    post.live()
    post.start()
    page = post.sign_in("operateur-2")
    expect(row(page, "Armoire C306")).to_be_visible()
    post.alarms.access.remove_person("operateur-2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("a")
    page.wait_for_url("**/connexion")
    assert post.alarms.store.get(alarm.alarm_id).state is State.UNACKNOWLEDGED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_page_says_that_the_server_is_gone_and_comes_back_with_the_truth(post: Post, number: signal.Signals) -> None:
    gone, stays = post.cabinet("C1"), post.cabinet("C2")
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    expect(rows(page)).to_have_count(2)
    expect(page.locator(".cut")).to_be_hidden()
    post.process.end(number)
    expect(page.locator(".cut")).to_be_visible(timeout=30_000)
    expect(page.locator(".cut")).to_contain_text("Page coupée du serveur")
    store = post.alarms.store
    store.act(gone.alarm_id, lambda a, now: lifecycle.closed(a, "operateur-2", now, "réparée"))
    store.act(stays.alarm_id, lambda a, now: lifecycle.acknowledged(a, "operateur-2", now))
    post.cabinet("C3")
    post.start()
    expect(row(page, "Armoire C3")).to_be_visible(timeout=60_000)
    expect(row(page, "Armoire C2")).to_contain_text("Acquittée")
    expect(row(page, "Armoire C1")).to_have_count(0)
    expect(page.locator(".cut")).to_be_hidden()


def test_silence_is_not_calm(post: Post) -> None:
    post.start()
    page = post.sign_in("operateur-1")
    expect(page.locator(".banner.blind")).to_contain_text("on ne voit plus rien")
    expect(page.locator(".empty")).to_contain_text("On ne voit rien")
    expect(page.get_by_text("Rien à signaler")).to_have_count(0)
    shot(page, "blind")
    # The rules live, but one of two sources has not spoken for longer than its contract allows (an hour): not calm either.
    # The page looks at contracts each minute; a process that starts now sees them at once.
    post.process.end(signal.SIGTERM)
    post.live(eclairage=dt.timedelta(seconds=20), rivieres=dt.timedelta(hours=5))
    post.start()
    page.reload()
    expect(page.locator(".banner.blind")).to_have_count(0)
    expect(page.locator(".empty h2")).to_have_text("Rien à signaler de ce qui est entendu")
    expect(page.locator(".empty")).to_contain_text("1 source sur 2 entendue dans le délai déclaré")
    expect(page.locator(".empty")).to_contain_text("Niveaux et débits des rivières (simulation) : dernier contact il y a 5 h")
    expect(page.locator(".feeds li.silent")).to_contain_text("il y a 5 h")
    # Heard again.
    post.live(eclairage=dt.timedelta(seconds=3), rivieres=dt.timedelta(minutes=4))
    expect(page.locator(".empty h2")).to_have_text("Rien à signaler")
    expect(page.locator(".empty")).to_contain_text("2 sources sur 2 entendues")
    expect(page.locator(".empty")).to_contain_text("dernier signe il y a")
    shot(page, "calm")


def test_the_page_says_that_the_database_is_gone_and_comes_back_with_the_truth(post: Post) -> None:
    post.cabinet("C1")
    post.live(eclairage=dt.timedelta(0))
    post.start()
    page = post.sign_in("operateur-1")
    expect(row(page, "Armoire C1")).to_be_visible()
    expect(page.locator(".banner")).to_have_count(0)
    settings = post.alarms.settings
    server = int((settings.home / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGQUIT)  # PostgreSQL's immediate end: as if it had crashed
    expect(page.locator(".banner.blind")).to_contain_text("la base ne répond pas", timeout=30_000)
    expect(page.locator(".cut")).to_be_hidden()
    with postgres.running(settings):
        expect(page.locator(".banner.blind")).to_have_count(0, timeout=60_000)
        post.cabinet("C2")
        expect(row(page, "Armoire C2")).to_be_visible()
        expect(rows(page)).to_have_count(2)


def test_hundreds_of_alarms_show_the_most_urgent_and_say_how_many_more(post: Post) -> None:
    raise_many(post.alarms.store, post.town, 500, dt.datetime.now(dt.UTC))
    post.live()
    post.start()
    page = post.sign_in("operateur-1", _SMALL)
    expect(page.locator(".banner.flood")).to_contain_text("Afflux d'alarmes")
    live = post.alarms.store.live()
    expect(page.locator('[data-tab="en-cours"]').first).to_contain_text(str(sum(a.is_presented for a in live)))
    hidden = sum(a.suppressed_by is not None for a in live)
    assert hidden > 100, "a flood groups what nobody can read"
    page.keyboard.press("6")
    expect(rows(page)).to_have_count(100)
    expect(page.locator(".more")).to_contain_text(f"… et {hidden - 100} autres")
    ids = [int(i or 0) for i in rows(page).evaluate_all("rows => rows.map(r => r.dataset.row)")]
    aside = sorted((a for a in live if a.suppressed_by is not None), key=lambda a: (a.priority, a.raised_at, a.alarm_id))
    assert ids == [a.alarm_id for a in aside[:100]]
    shot(page, "flood")
    assert post.troubles == []


def test_a_new_alarm_rings_once_unless_it_is_muted(post: Post) -> None:
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    expect(page.locator("#sound")).to_have_text("Son bloqué : cliquez")
    page.locator(".brand").click()
    expect(page.locator("#sound")).to_have_text("Son actif")
    post.cabinet("C1")
    expect(row(page, "Armoire C1")).to_be_visible()
    page.wait_for_function("window.vigieTones === 1")
    page.keyboard.press("m")
    expect(page.locator("#sound")).to_have_text(re.compile(r"Son coupé · (10:00|9:5\d)"))
    post.cabinet("C2")
    expect(row(page, "Armoire C2")).to_be_visible()
    assert page.evaluate("window.vigieTones") == 1
    page.keyboard.press("m")
    expect(page.locator("#sound")).to_have_text("Son actif")
    post.cabinet("C3")
    page.wait_for_function("window.vigieTones === 2")


def test_what_comes_from_outside_is_text(post: Post) -> None:
    asset = post.town.put("x", name='<img src=x onerror="window.pwned=1">', street="</script><script>window.pwned=1</script>")
    at = dt.datetime.now(dt.UTC)
    details = {"headline": "<svg onload=window.pwned=1>", "reports": [{"description": "<b onclick=1>"}]}
    raised(post.alarms.store, post.town, [post.town.change("armoire-au-noir", asset, at, details=details, text="`${window.pwned=1}`")])
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    rows(page).first.click()
    expect(page.locator(".detail .facts")).to_contain_text("<svg onload=window.pwned=1>")
    expect(page.locator(".detail .asset")).to_contain_text('<img src=x onerror="window.pwned=1">')
    assert page.evaluate("window.pwned") is None
    assert post.troubles == []


def test_the_pictures_of_the_documentation(post: Post) -> None:
    """A morning with a dark cabinet and its lights: what docs/operators.md shows."""
    now, town = dt.datetime.now(dt.UTC), post.town
    for rule, ref, name, kind, domain, minutes in (
        ("intrusion", "GS2", "École Jules-Ferry", "building", "PAT", 2),
        ("carrefour-clignotant", "K14", "Carrefour Kennedy", "junction", "SLT", 41),
        ("camera-injoignable", "V31", "Caméra place Foch", "camera", "VP", 95),
        ("bac-plein", "B207", "Conteneur quai Barbat", "bin", "CDV", 320),
    ):
        asset = town.put(ref, asset_type=kind, name=name, domain=domain, longitude=4.36 + minutes / 9000, street=None)
        post.alarms.store.apply([town.change(rule, asset, now - dt.timedelta(minutes=minutes))], town.compose)
    alarm = post.cabinet("C306", minutes_ago=12)
    lights = [
        town.put(
            f"L{n}", asset_type="streetlight", name=f"Point lumineux C306-{n:02d}", parent=("test", "C306"), longitude=4.3634 + n / 4000
        )
        for n in range(1, 15)
    ]
    dark = [town.change("point-lumineux-muet", light, now - dt.timedelta(minutes=11)) for light in lights]
    post.alarms.store.apply(dark, town.compose)
    store = post.alarms.store
    store.act(alarm.alarm_id, lambda a, at: lifecycle.assigned(a, "operateur-1", at, "operateur-1"))
    store.act(alarm.alarm_id, lambda a, at: lifecycle.stepped(a, "operateur-1", at, 0, is_done=True))
    store.act(alarm.alarm_id, lambda a, at: lifecycle.commented(a, "operateur-2", at, "Enedis confirme une coupure, retour prévu à midi."))
    ages = {"eclairage": 3, "cameras": 21, "carrefours": 8, "rivieres": 240, "conteneurs": 95, "parkings": 47}
    post.live(**{name: dt.timedelta(seconds=age) for name, age in ages.items()})
    post.start()
    page = post.sign_in("operateur-1")
    page.locator(".brand").click()
    expect(rows(page)).to_have_count(5)
    expect(row(page, "Armoire C306")).to_contain_text("+ 14 alarmes")
    shot(page, "wall")
    row(page, "Armoire C306").click()
    expect(page.locator(".near .beneath li")).to_have_count(14)
    expect(page.locator(".journal")).to_contain_text("Enedis confirme")
    expect(page.locator(".journal")).to_contain_text("prise en charge par Opérateur 1")
    shot(page, "detail")
    page.keyboard.press("s")
    expect(page.get_by_label("Raison")).to_be_visible()
    shot(page, "shelve")
    page.keyboard.press("Escape")
    expect(page.locator(".q-dialog__inner")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_text("Touches du clavier")).to_be_visible()
    shot(page, "keys")
    assert post.troubles == []
