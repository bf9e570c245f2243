"""Dagster's pages of a fresh instance, in a real browser: what an operator sees after `vigie up`.

Here: the lineage by groups and the job list show, whole and without an error. Not here: what a build does.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Response, ViewportSize, expect, sync_playwright

from ingestion.feeds.registry import EXAMPLES
from orchestration.jobs import BUILD_JOB
from orchestration.services import supervisor
from orchestration.settings import Settings

# The browser's own calls home are switched off, so that what goes outside is what a page asked for.
_ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run".split()
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_VIEWPORT: ViewportSize = {"width": 1920, "height": 1080}
# The first page loads the definitions; on two busy cores that has taken 12 s.
_PATIENCE_MS = 40_000


@dataclass
class Watched:
    """A page, and what went wrong or outside while it was looked at."""

    page: Page
    base: str
    troubles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.troubles.append(f"asks outside: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url}")

    def open(self, path: str, title: str) -> None:
        """Open a page and wait for its title."""
        self.page.goto(self.base + path)
        expect(self.page.get_by_text(title, exact=True).first).to_be_visible(timeout=_PATIENCE_MS)

    def assert_calm(self) -> None:
        """Assert that no toast is shown, nothing failed, nothing went outside."""
        expect(self.page.locator(".bp5-toast, .bp4-toast, [data-sonner-toast]")).to_have_count(0)
        expect(self.page.get_by_text("Unexpected GraphQL error")).to_have_count(0)
        assert self.troubles == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)} is on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    """A whole instance with two feeds of its own, as `vigie up --detach` starts it."""
    settings.feeds_path.mkdir(parents=True, exist_ok=True)
    for feed in ("sf-311", "montpellier-eclairage"):
        shutil.copy(EXAMPLES / f"{feed}.yaml", settings.feeds_path)
    said: list[str] = []
    started = supervisor.up(settings, said.append)
    try:
        yield started.settings
    finally:
        supervisor.down(started.settings, said.append)


def test_dagster_shows_the_line_from_feeds_to_indicators_and_the_jobs(browser: Browser, running: Settings, tmp_path: Path) -> None:
    page = browser.new_page(viewport=_VIEWPORT)
    # Dagster greets newcomers with a dialogue over the page; whoever closed it once is not asked again.
    page.add_init_script("localStorage.setItem('communityNux', JSON.stringify('1'))")
    watched = Watched(page, running.webserver_url)
    try:
        watched.open("/asset-groups", "Global asset lineage")
        drawn = page.locator("svg")
        for group in ("feeds_grc", "feeds_ep", "raw", "staging", "core", "indicators", "published"):
            expect(drawn.get_by_text(group, exact=True).first).to_be_visible(timeout=_PATIENCE_MS)
        watched.assert_calm()

        watched.open("/locations/vigie/asset-groups/indicators/list", "indicators")
        for indicator in ("failure_frequency_monthly", "energy_overconsumption_monthly", "intervention_time_by_category"):
            expect(page.get_by_role("link", name=indicator).first).to_be_visible(timeout=_PATIENCE_MS)
        watched.assert_calm()

        watched.open("/jobs", "Jobs")
        for job in (BUILD_JOB, "maintain"):
            expect(page.locator(f"a[href='/locations/vigie/jobs/{job}']").first).to_be_visible(timeout=_PATIENCE_MS)
        watched.assert_calm()
    except AssertionError:
        page.screenshot(path=tmp_path / "page.png")
        print(f"the page as it was: {tmp_path / 'page.png'}")
        raise
    finally:
        page.close()
