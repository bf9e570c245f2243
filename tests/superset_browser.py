"""A person's browser on the dashboard server: what they read, what the page asked of whom, which words stayed English.

Here: what the browser tests of dashboards share. Not here: tests.
"""

from __future__ import annotations

from typing import Any, Final

import httpx
from playwright.sync_api import Browser, Page

# English of Superset's that a person would read: messages whose French is missing or left in English are not in the corrected pack.
# A message of one word may be a word of ours, or of both languages.
_MIN_WORDS: Final = 2
# Same in French, or never ours to say.
_FINE: Final = frozenset({"SQL Lab", "Vigie Plateforme"})
CHROMIUM: Final[dict[str, Any]] = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox"]}


class Watched:
    """A signed-in person's page, and what it asked of whom."""

    def __init__(self, browser: Browser, url: str, *, size: tuple[int, int] = (1366, 768)) -> None:
        self.page: Page = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="fr-FR").new_page()
        self.outside: list[str] = []
        self.console: list[str] = []
        self.tiles: list[int] = []
        self.page.on("request", lambda r: self.outside.append(r.url) if not r.url.startswith((url, "data:", "blob:")) else None)
        self.page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)
        self._url = url

    def sign_in(self, login: str, password: str) -> None:
        self.page.goto(f"{self._url}/login/")
        self.page.wait_for_selector("input[type=password]", timeout=60_000)
        self.page.fill("input[type=text]", login)
        self.page.fill("input[type=password]", password)
        self.page.keyboard.press("Enter")

    def open(self, path: str) -> str:
        """Open a page, wait until it is quiet, and return the text that people see: words, placeholders, titles."""
        self.page.goto(f"{self._url}{path}")
        self.page.wait_for_load_state("networkidle", timeout=60_000)
        self.page.wait_for_function("() => !document.querySelector('[aria-label=Loading], .loading')", timeout=60_000)
        return self.words()

    def words(self) -> str:
        return str(
            self.page.evaluate(
                """() => [document.body.innerText, ...[...document.querySelectorAll('[placeholder], [title]')]
                  .filter(e => e.offsetParent).flatMap(e => [e.placeholder, e.title])].filter(Boolean).join('\\n')"""
            )
        )


def english(url: str) -> set[str]:
    """Every message of Superset's, in English, that its French is not the same as; those with blanks left out."""
    pack = httpx.get(f"{url}/superset/language_pack/fr/", timeout=60).json()
    messages = pack["locale_data"]["superset"]
    return {
        key
        for key, forms in messages.items()
        if len(key.split()) >= _MIN_WORDS and "%" not in key and key not in _FINE and (not forms or not forms[0] or forms[0] != key)
    }


def said_in_english(text: str, messages: set[str]) -> list[str]:
    lines = {line.strip().rstrip(":").strip() for line in text.splitlines()}
    return sorted(lines & messages)
