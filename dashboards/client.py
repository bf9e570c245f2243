"""The dashboard server's REST API, as an account of it may use it.

Here: signing in, calls, pages, its errors in its own words. Not here: what is pushed, pulled or checked with it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx
import yaml

from ingestion.errors import VigieError

# A query is cut after 30 s by the server, an import of ten dashboards takes seconds on a busy machine.
_TIMEOUT_S: Final = 120.0
# The most its lists give at once.
_PAGE: Final = 100
# Without an order PostgreSQL gives pages that overlap and miss items. What lists are ordered by where it is not their id; None: one of
# their own, by the instant of the last change.
_ORDER: Final[dict[str, str | None]] = {
    "/api/v1/rowlevelsecurity/": "name",
    "/api/v1/dataset/": "table_name",
    "/api/v1/chart/": None,
    "/api/v1/dashboard/": None,
}
# What it says of a token that has ended.
ENDED: Final = "Token has expired"
# Its longest message that helps; what follows is a page of HTML or a trace.
_LONGEST: Final = 600

Document = dict[str, Any]


class Superset:
    """A signed-in session; a context manager, which closes its connections.

    Another `transport` than the network's own is for tests.

    Raises:
        VigieError: the server does not answer, or does not know the account.
    """

    def __init__(self, url: str, login: str, password: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url
        self.login = login
        self._account = {"username": login, "password": password, "provider": "db", "refresh": False}
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, headers={"Referer": url}, transport=transport)
        try:
            self._sign_in()
        except BaseException:
            self.close()
            raise

    def _sign_in(self) -> None:
        self._http.headers.pop("Authorization", None)
        token = self._document(self._request("POST", "/api/v1/security/login", json=self._account))["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        answer = self._request("GET", "/api/v1/security/csrf_token/")
        self._http.headers["X-CSRFToken"] = self._document(answer)["result"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Return the server's answer, whatever its status. Its tokens last a quarter of an hour: one that ended is renewed.

        Raises:
            VigieError: the server does not answer; a token has ended, and the account may no longer sign in.
        """
        answer = self._request(method, path, **options)
        if answer.status_code == httpx.codes.UNAUTHORIZED and words(answer) == ENDED:
            self._sign_in()
            answer = self._request(method, path, **options)
        return answer

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise VigieError(
                f"the dashboard server does not answer at {self.url}: {type(error).__name__}",
                remedy="start the instance (vigie up), then look at its state (vigie status) and at logs/superset.log",
            ) from None

    def get(self, path: str, **parameters: str) -> Document:
        """Read a document; errors as `expect`."""
        return self._document(self.call("GET", path, params=parameters or None))

    def post(self, path: str, document: object) -> Document:
        """Send a document; errors as `expect`."""
        return self._document(self.call("POST", path, json=document))

    def put(self, path: str, document: object) -> Document:
        """Change a document; errors as `expect`."""
        return self._document(self.call("PUT", path, json=document))

    def _document(self, answer: httpx.Response) -> Document:
        found: Document = self.expect(answer).json()
        return found

    def delete(self, path: str) -> None:
        """Delete what is there; errors as `expect`."""
        self.expect(self.call("DELETE", path))

    def expect(self, answer: httpx.Response) -> httpx.Response:
        """Return an answer that is a success.

        Raises:
            VigieError: it is not; the message is the server's.
        """
        if answer.is_success:
            return answer
        asked = f"{answer.request.method} {answer.request.url.path}"
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise VigieError(f"the dashboard server does not know {self.login}, or not this password ({asked})")
        raise VigieError(f"the dashboard server refused {asked} ({answer.status_code}): {words(answer)}")

    def all(self, path: str, *columns: str) -> Iterator[Document]:
        """Yield every item of a list, page after page, each once; with `columns`, those alone (a chart's whole is large)."""
        chosen = f",columns:!({','.join(columns)})" if columns else ""
        by = _ORDER.get(path, "id")
        order = "" if by is None else f",order_column:{by},order_direction:asc"
        seen: set[int] = set()
        page = 0
        while True:
            result = self.get(path, q=f"(page:{page},page_size:{_PAGE}{order}{chosen})")["result"]
            # A list that something else changes meanwhile may show an item on two pages.
            yield from (item for item in result if item["id"] not in seen)
            seen |= {item["id"] for item in result}
            if len(result) < _PAGE:
                return
            page += 1

    def import_assets(self, bundle: bytes) -> None:
        """Import a bundle of assets; what it names is overwritten.

        Raises:
            VigieError: the server refuses it.
        """
        self.expect(self.call("POST", "/api/v1/assets/import/", files={"bundle": ("vigie.zip", bundle, "application/zip")}))

    def export_dashboards(self, ids: list[int]) -> dict[str, Document]:
        """Return what dashboards are made of now, by path in the archive: dashboards, charts, datasets, databases."""
        if not ids:
            return {}
        answer = self.expect(self.call("GET", "/api/v1/dashboard/export/", params={"q": f"!({','.join(map(str, ids))})"}))
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            named = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
        return {name: yaml.safe_load(content) for name, content in named.items() if name.endswith(".yaml")}

    def chart_data(self, context: Mapping[str, Any]) -> list[Document]:
        """Run a chart's query context and return its results: each with its rows (`data`) and its SQL (`query`).

        Raises:
            VigieError: a query failed; the message is the server's.
        """
        result: list[Document] = self.post("/api/v1/chart/data", context)["result"]
        for one in result:
            if one.get("error"):
                raise VigieError(f"the query failed: {str(one['error'])[:_LONGEST]}")
        return result


def words(answer: httpx.Response) -> str:
    """Return what the server said, shortened."""
    try:
        document = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:_LONGEST]
    if isinstance(document, dict):
        errors = document.get("errors")
        if isinstance(errors, list) and errors:
            return "; ".join(_error(e) for e in errors)[:_LONGEST]
        document = document.get("message", document.get("msg", document))
    return str(document)[:_LONGEST]


def _error(error: object) -> str:
    if not isinstance(error, dict):
        return str(error)
    extra = {k: v for k, v in (error.get("extra") or {}).items() if k != "issue_codes"}
    return f"{error.get('message', error)}" + (f" {extra}" if extra else "")
