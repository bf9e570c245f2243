"""REST sources, against a real local server: pages, retries, cursors, authentication, and what must never leak."""

from __future__ import annotations

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from ingestion.connectors import Fetched, FetchFailed, Limits
from ingestion.connectors.rest import fetch_rest
from ingestion.errors import VigieError, WrongUse
from ingestion.feeds.model import RestConnector
from tests.integration.rest_server import Answer, Query, Server, Start, as_json

pytest_plugins = ("tests.integration.rest_server",)

_FAST = Limits(attempts=3, backoff_seconds=0.01, timeout_seconds=5)
_SECRET = "s3cr3t-value"


def _fetch(server: Server, workdir: Path, cursor: dict[str, Any] | None = None, limits: Limits = _FAST, **connector: Any) -> list[Fetched]:
    spec = RestConnector.model_validate({"type": "rest", "base_url": server.url, "path": "items", **connector})
    return list(fetch_rest(spec, lambda _: _SECRET, workdir, cursor, limits))


def _lines(fetched: list[Fetched]) -> list[Any]:
    return [json.loads(line) for f in fetched for line in f.path.read_text().splitlines()]


def test_pages_are_followed_to_the_end(start: Start, tmp_path: Path) -> None:
    def answer(_: str, query: Query, __: Any) -> Answer:
        page = int(query["page"])
        return as_json({"total": 3, "data": [{"id": page * 10 + n} for n in range(2)]})

    paginator = {"type": "page_number", "param": "page", "base": 1, "total_path": "total"}
    server = start(answer)
    found = _fetch(server, tmp_path, data_selector="data", paginator=paginator, params={"code": "F7"})
    assert _lines(found) == [{"id": i} for i in (10, 11, 20, 21, 30, 31)]
    assert [q for _, q, _ in server.asked] == [{"code": "F7", "page": str(n)} for n in (1, 2, 3)]
    assert found[0].origin == f"{server.url}/items"


def test_numbers_are_kept_as_the_source_writes_them(start: Start, tmp_path: Path) -> None:
    body = b'[{"id": 12345678901234567890123, "v": 1.10, "nom": "\xc3\xa9t\xc3\xa9"}]'
    found = _fetch(start(lambda *_: (200, {}, body)), tmp_path, paginator={"type": "single_page"})
    assert found[0].path.read_bytes() == b'{"id":12345678901234567890123,"v":1.10,"nom":"\xc3\xa9t\xc3\xa9"}\n'


def test_206_is_a_success_and_next_links_are_followed(start: Start, tmp_path: Path) -> None:
    def answer(_: str, query: Query, server: Server) -> Answer:
        if "cursor" in query:
            return as_json({"next": None, "data": [{"n": 2}]})
        return as_json({"next": f"{server.url}/items?cursor=abc", "data": [{"n": 1}]}, 206)

    found = _fetch(start(answer), tmp_path, data_selector="data", paginator={"type": "json_link", "path": "next"})
    assert _lines(found) == [{"n": 1}, {"n": 2}]


def test_a_failing_server_is_tried_again(start: Start, tmp_path: Path) -> None:
    def answer(_: str, __: Query, server: Server) -> Answer:
        return as_json([{"n": 1}]) if len(server.asked) > 2 else as_json({}, 503 if len(server.asked) == 1 else 429)

    server = start(answer)
    assert _lines(_fetch(server, tmp_path, paginator={"type": "single_page"})) == [{"n": 1}]
    assert len(server.asked) == 3


def test_a_server_that_keeps_failing_is_reported(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json({}, 500))
    with pytest.raises(FetchFailed, match="answered 500") as caught:
        _fetch(server, tmp_path, paginator={"type": "single_page"})
    assert len(server.asked) == 3
    assert caught.value.remedy


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_tried_again(start: Start, tmp_path: Path, status: int) -> None:
    server = start(lambda *_: as_json({}, status))
    with pytest.raises(FetchFailed, match=f"answered {status}"):
        _fetch(server, tmp_path, paginator={"type": "single_page"})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("auth", "where", "value"),
    [
        ({"type": "bearer"}, "Authorization", f"Bearer {_SECRET}"),
        ({"type": "api_key", "name": "X-Key"}, "X-Key", _SECRET),
        ({"type": "api_key", "name": "key", "location": "query"}, None, _SECRET),
    ],
)
def test_the_secret_is_sent_and_told_to_nobody(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, auth: dict[str, str], where: str | None, value: str
) -> None:
    caplog.set_level("DEBUG")
    server = start(lambda *_: as_json({"error": "no"}, 403))
    with pytest.raises(FetchFailed) as caught:
        _fetch(server, tmp_path, auth={**auth, "secret": "API_TOKEN"}, paginator={"type": "single_page"})
    _, query, headers = server.asked[0]
    assert (headers.get(where) if where else query["key"]) == value
    chain: BaseException | None = caught.value
    assert _SECRET not in str(caught.value)
    assert chain.__cause__ is None
    assert chain.__suppress_context__
    assert _SECRET not in "".join(r.getMessage() for r in caplog.records)


def test_basic_authentication_needs_both_parts(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"n": 1}]))
    auth = {"type": "basic", "secret": "S"}
    document = {"type": "rest", "base_url": server.url, "path": "i", "auth": auth, "paginator": {"type": "single_page"}}
    spec = RestConnector.model_validate(document)
    list(fetch_rest(spec, lambda _: "ana:pass:word", tmp_path, None, _FAST))
    assert server.asked[0][2]["Authorization"] == "Basic " + base64.b64encode(b"ana:pass:word").decode()
    with pytest.raises(WrongUse, match="username:password"):
        list(fetch_rest(spec, lambda _: "alone", tmp_path, None, _FAST))


def test_neither_a_next_link_nor_a_redirection_takes_the_secret_elsewhere(start: Start, tmp_path: Path) -> None:
    thief = start(lambda *_: as_json({"data": []}))
    elsewhere = thief.url.replace("127.0.0.1", "localhost")
    linking = start(lambda *_: as_json({"next": f"{elsewhere}/steal", "data": [{"n": 1}]}))
    redirecting = start(lambda *_: (302, {"Location": f"{elsewhere}/steal"}, b""))
    paginator = {"type": "json_link", "path": "next"}
    for server in (linking, redirecting):
        with pytest.raises(FetchFailed, match="another host"):
            _fetch(server, tmp_path, data_selector="data", paginator=paginator, auth={"type": "bearer", "secret": "T"})
    assert thief.asked == []


def test_only_what_is_new_is_asked_for(start: Start, tmp_path: Path) -> None:
    values = ["2024-03-10T08:00:00Z", "2024-03-10T12:00:00Z", "2024-03-10T09:30:00Z"]
    server = start(lambda *_: as_json([{"at": {"t": v}} for v in values]))
    incremental = {"cursor": "at.t", "param": "since", "initial": "2024-01-01T00:00:00Z", "lag": "PT2H"}
    first = _fetch(server, tmp_path, incremental=incremental, paginator={"type": "single_page"})
    assert first[0].cursor == {"last": "2024-03-10T12:00:00Z"}  # the furthest, not the last one read
    _fetch(server, tmp_path, first[0].cursor, incremental=incremental, paginator={"type": "single_page"})
    assert [q["since"] for _, q, _ in server.asked] == ["2023-12-31T22:00:00Z", "2024-03-10T10:00:00Z"]


def test_a_source_without_a_parameter_is_filtered_here(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"ms": 1000}, {"ms": 3000}, {"ms": None}, {"ms": 2000}]))
    incremental = {"cursor": "ms", "initial": "0"}
    found = _fetch(server, tmp_path, {"last": "2000"}, incremental=incremental, paginator={"type": "single_page"})
    assert _lines(found) == [{"ms": 3000}, {"ms": None}, {"ms": 2000}]
    assert found[0].cursor == {"last": "3000"}


def test_nothing_new_is_nothing_to_land(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json({"data": []}))
    assert _fetch(server, tmp_path, data_selector="data", paginator={"type": "single_page"}) == []


def test_limits_hold(start: Start, tmp_path: Path) -> None:
    endless = start(lambda _, q, s: as_json({"next": f"{s.url}/items?n={len(s.asked)}", "data": [{"n": 1}]}))
    paginator = {"type": "json_link", "path": "next"}
    with pytest.raises(FetchFailed, match="more than 5 pages"):
        _fetch(endless, tmp_path, limits=Limits(max_pages=5), data_selector="data", paginator=paginator)
    with pytest.raises(FetchFailed, match="not read within"):
        _fetch(endless, tmp_path, limits=Limits(seconds=-1), data_selector="data", paginator=paginator)
    with pytest.raises(FetchFailed, match="a page of"):
        _fetch(endless, tmp_path, limits=Limits(max_page_bytes=10), data_selector="data", paginator=paginator)


@pytest.mark.parametrize("body", [b"<html>maintenance</html>", b'[{"n": 1}', b"[" * 100_000])
def test_what_is_no_json_is_reported(start: Start, tmp_path: Path, body: bytes) -> None:
    with pytest.raises(FetchFailed, match="not JSON"):
        _fetch(start(lambda *_: (200, {}, body)), tmp_path, paginator={"type": "single_page"})


def test_a_source_that_does_not_answer_is_reported(tmp_path: Path) -> None:
    spec = RestConnector(type="rest", base_url="http://127.0.0.1:9", path="x", paginator=None)
    with pytest.raises(VigieError, match="ConnectionError"):
        list(fetch_rest(spec, lambda _: "", tmp_path, None, Limits(attempts=1)))


def test_nothing_is_written_into_the_home(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    _fetch(start(lambda *_: as_json([{"n": 1}])), tmp_path / "work", paginator={"type": "single_page"})
    assert list((tmp_path / "home").iterdir()) == []


def test_a_lag_needs_an_instant(start: Start, tmp_path: Path) -> None:
    incremental = {"cursor": "id", "initial": "abc", "lag": dt.timedelta(hours=1)}
    with pytest.raises(WrongUse, match="no instant"):
        _fetch(start(lambda *_: as_json([])), tmp_path, incremental=incremental)
