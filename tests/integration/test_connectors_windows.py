"""REST sources asked by windows of dates, answers kept as they come, and documents that have not changed: against a real local server."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.connectors import Fetched, FetchFailed, Limits
from ingestion.connectors.rest import fetch_rest
from ingestion.connectors.rest_windows import windows
from ingestion.feeds.model import RestConnector, Window
from tests.integration.rest_server import Answer, Query, Server, Start, as_json

pytest_plugins = ("tests.integration.rest_server",)

_FAST = Limits(attempts=2, backoff_seconds=0.01, timeout_seconds=5)
_NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
_SINGLE = {"type": "single_page"}


def _fetch(server: Server, workdir: Path, cursor: dict[str, Any] | None = None, **connector: Any) -> list[Fetched]:
    limits, force = connector.pop("limits", _FAST), connector.pop("force", False)
    spec = RestConnector.model_validate({"type": "rest", "base_url": server.url, "path": "requests.json", **connector})
    return list(fetch_rest(spec, lambda _: "", workdir, cursor, limits, force=force, now=lambda: _NOON))


def _window(**keys: Any) -> dict[str, Any]:
    return {"start_param": "start_date", "end_param": "end_date", "initial": "2026-03-08T12:00:00Z", **keys}


def _lines(fetched: Fetched) -> list[Any]:
    return [json.loads(line) for line in fetched.path.read_text().splitlines()]


def _asked(server: Server) -> list[Query]:
    return [query for _, query, _ in server.asked]


def test_windows_go_from_the_start_to_now_and_each_carries_how_far_it_reaches(start: Start, tmp_path: Path) -> None:
    server = start(lambda _, query, __: as_json([{"from": query["start_date"]}]))
    found = _fetch(server, tmp_path, window=_window(span="P1D"), paginator=_SINGLE)
    assert _asked(server) == [
        {"start_date": "2026-03-08T12:00:00Z", "end_date": "2026-03-09T12:00:00Z"},
        {"start_date": "2026-03-09T12:00:00Z", "end_date": "2026-03-10T12:00:00Z"},
    ]
    assert [_lines(f) for f in found] == [[{"from": "2026-03-08T12:00:00Z"}], [{"from": "2026-03-09T12:00:00Z"}]]
    assert [f.cursor for f in found] == [{"until": "2026-03-09T12:00:00+00:00"}, {"until": "2026-03-10T12:00:00+00:00"}]


def test_the_next_fetch_begins_at_the_cursor_less_the_lag(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([]))
    cursor = {"until": "2026-03-10T09:00:00+00:00"}
    assert _fetch(server, tmp_path, cursor, window=_window(lag="PT2H"), paginator=_SINGLE) == []
    assert _asked(server) == [{"start_date": "2026-03-10T07:00:00Z", "end_date": "2026-03-10T12:00:00Z"}]


def test_a_window_without_end_asks_for_what_changed_since(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"n": 1}]))
    window = {"start_param": "updated_after", "initial": "2026-03-01"}
    (found,) = _fetch(server, tmp_path, window=window, paginator=_SINGLE, params={"status": "open"})
    assert _asked(server) == [{"status": "open", "updated_after": "2026-03-01T00:00:00Z"}]
    assert found.cursor == {"until": "2026-03-10T12:00:00+00:00"}


def test_an_empty_window_is_no_file_and_the_next_one_covers_it(start: Start, tmp_path: Path) -> None:
    server = start(lambda _, query, __: as_json([] if query["end_date"] <= "2026-03-09T12:00:00Z" else [{"n": 1}]))
    (found,) = _fetch(server, tmp_path, window=_window(span="P1D"), paginator=_SINGLE)
    assert found.cursor == {"until": "2026-03-10T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, "2026-03-08T12:00:00Z"),
        ({"time_zone": "Europe/Paris"}, "2026-03-08T13:00:00+01:00"),
        ({"format": "epoch"}, "1772971200"),
        ({"format": "epoch_ms"}, "1772971200000"),
        ({"format": "%Y-%m-%d %H:%M", "time_zone": "Europe/Paris"}, "2026-03-08 13:00"),
    ],
)
def test_instants_are_written_as_the_source_wants_them(start: Start, tmp_path: Path, how: dict[str, str], expected: str) -> None:
    server = start(lambda *_: as_json([]))
    _fetch(server, tmp_path, window=_window(**how), paginator=_SINGLE)
    assert _asked(server)[0]["start_date"] == expected


def test_the_first_date_without_zone_is_in_the_sources_zone(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([]))
    _fetch(server, tmp_path, window=_window(initial="2026-03-01", time_zone="Europe/Paris", format="epoch"), paginator=_SINGLE)
    assert _asked(server)[0]["start_date"] == "1772319600"  # 28 February, 23:00 UTC


def test_pages_of_a_window_are_read_until_an_empty_one(start: Start, tmp_path: Path) -> None:
    def answer(_: str, query: Query, __: Server) -> Answer:
        page = int(query["page"])
        return as_json([{"day": query["start_date"][:10], "page": page}] if page < 3 else [])

    server = start(answer)
    found = _fetch(server, tmp_path, window=_window(span="P1D"), paginator={"type": "page_number", "param": "page", "base": 1})
    assert [[(r["day"], r["page"]) for r in _lines(f)] for f in found] == [
        [("2026-03-08", 1), ("2026-03-08", 2)],
        [("2026-03-09", 1), ("2026-03-09", 2)],
    ]
    assert [q["page"] for q in _asked(server)] == ["1", "2", "3"] * 2


def test_206_within_a_window_is_a_success(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"n": 1}], 206))
    assert len(_fetch(server, tmp_path, window=_window(), paginator=_SINGLE)) == 1


def test_a_server_that_does_not_know_the_dates_is_told_after_three_windows(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"n": 1}]))
    with pytest.raises(FetchFailed, match="does not know start_date and end_date"):
        _fetch(server, tmp_path, window=_window(span="PT1H"), paginator=_SINGLE)
    assert len(server.asked) == 3


@pytest.mark.parametrize("body", ["json", "as_is"])
def test_a_server_that_does_not_know_the_page_is_told_at_once(start: Start, tmp_path: Path, body: str) -> None:
    server = start(lambda *_: as_json([{"n": 1}]))
    with pytest.raises(FetchFailed, match="the same page twice"):
        _fetch(server, tmp_path, body=body, paginator={"type": "page_number", "param": "page", "base": 1})
    assert len(server.asked) == 2


def test_all_pages_of_all_windows_count(start: Start, tmp_path: Path) -> None:
    server = start(lambda _, query, __: as_json([{"from": query["start_date"]}]))
    with pytest.raises(FetchFailed, match="more than 4 pages"):
        _fetch(server, tmp_path, window=_window(span="PT1H"), paginator=_SINGLE, limits=Limits(max_pages=4))


@given(hours=st.integers(0, 200), span=st.integers(1, 50), lag=st.integers(0, 100), cursor=st.none() | st.integers(-300, 300))
def test_windows_follow_each_other_without_hole_or_overlap(hours: int, span: int, lag: int, cursor: int | None) -> None:
    hour = dt.timedelta(hours=1)
    window = Window(
        start_param="a", end_param="b", initial=(_NOON - hours * hour).isoformat(), span=span * hour, lag=lag * hour, format="epoch"
    )
    known = {"until": (_NOON + cursor * hour).isoformat()} if cursor is not None else None
    asked = list(windows(window, known, _NOON))
    first = max(_NOON - hours * hour, _NOON + (cursor - lag if cursor is not None else -hours) * hour)
    edges = [int(one.params["a"]) for one in asked] + [int(one.params["b"]) for one in asked[-1:]]
    if first >= _NOON:
        assert asked == []
    else:
        assert edges[0] == first.timestamp()
        assert edges[-1] == _NOON.timestamp()
        assert [int(one.params["b"]) for one in asked] == edges[1:]
        assert all(0 < b - a <= span * 3600 for a, b in itertools.pairwise(edges))


def test_an_answer_is_kept_as_it_comes(start: Start, tmp_path: Path) -> None:
    body = b'<?xml version="1.0"?>\r\n<service_requests>\n <request/>\n</service_requests>'
    (found,) = _fetch(start(lambda *_: (200, {"Content-Type": "text/xml"}, body)), tmp_path, body="as_is")
    assert found.path.read_bytes() == body
    assert found.path.suffix == ".xml"


def test_bytes_that_are_no_text_are_kept_too(start: Start, tmp_path: Path) -> None:
    (found,) = _fetch(start(lambda *_: (200, {}, b"\x0a\x00\xff\x80")), tmp_path, body="as_is")
    assert found.path.read_bytes() == b"\x0a\x00\xff\x80"


@pytest.mark.parametrize("end", [b"<service_requests> </service_requests>", b"", b"[]"])
def test_several_answers_are_members_of_one_file_up_to_one_that_says_nothing(start: Start, tmp_path: Path, end: bytes) -> None:
    def answer(_: str, query: Query, __: Server) -> Answer:
        page = int(query["page"])
        return 200, {}, b"<service_requests><request>%d</request></service_requests>" % page if page <= 3 else end

    paginator = {"type": "page_number", "param": "page", "base": 1}
    (found,) = _fetch(start(answer), tmp_path, body="as_is", paginator=paginator)
    with zipfile.ZipFile(found.path) as archive:
        assert archive.namelist() == ["00001.xml", "00002.xml", "00003.xml"]
        assert [archive.read(n)[27:28] for n in archive.namelist()] == [b"1", b"2", b"3"]
    again = tmp_path / "again"
    again.mkdir()
    (second,) = _fetch(start(answer), again, body="as_is", paginator=paginator)
    assert second.path.read_bytes() == found.path.read_bytes()  # the ledger knows it again


def test_links_in_headers_are_followed_as_is(start: Start, tmp_path: Path) -> None:
    def answer(_: str, query: Query, server: Server) -> Answer:
        if "n" in query:
            return 200, {}, b"<b>2</b>"
        return 200, {"Link": f'<{server.url}/requests.json?n=2>; rel="next"'}, b"<a>1</a>"

    server = start(answer)
    (found,) = _fetch(server, tmp_path, body="as_is", paginator={"type": "header_link"}, params={"status": "open"})
    with zipfile.ZipFile(found.path) as archive:
        assert [archive.read(n) for n in archive.namelist()] == [b"<a>1</a>", b"<b>2</b>"]
    assert _asked(server) == [{"status": "open"}, {"n": "2"}]


def test_an_answer_without_declared_length_is_bounded_too(start: Start, tmp_path: Path) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (1000, b"x" * 1000) for _ in range(50)) + b"0\r\n\r\n"
    server = start(lambda *_: (200, {"Transfer-Encoding": "chunked", "Content-Length": ""}, chunks))
    with pytest.raises(FetchFailed, match="a page of more than 9000 bytes"):
        _fetch(server, tmp_path, body="as_is", limits=Limits(attempts=1, max_page_bytes=9_000))


def test_an_unchanged_document_is_not_fetched_again(start: Start, tmp_path: Path) -> None:
    def answer(_: str, __: Query, server: Server) -> Answer:
        asked = server.asked[-1][2]
        if asked.get("If-None-Match") == '"v1"' and asked.get("If-Modified-Since") == "Tue, 10 Mar 2026 08:00:00 GMT":
            return 304, {}, b""
        return 200, {"ETag": '"v1"', "Last-Modified": "Tue, 10 Mar 2026 08:00:00 GMT"}, b"<alert>1</alert>"

    server = start(answer)
    (first,) = _fetch(server, tmp_path, body="as_is")
    assert first.cursor is not None
    assert _fetch(server, tmp_path, first.cursor, body="as_is") == []
    # Another document of the same server, and one that is wanted whatever its server says, are asked for without condition.
    assert len(_fetch(server, tmp_path, first.cursor, body="as_is", params={"zone": "51"})) == 1
    assert len(_fetch(server, tmp_path, first.cursor, body="as_is", force=True)) == 1
    assert ["If-None-Match" in headers for _, _, headers in server.asked] == [False, True, False, False]


def test_a_document_of_which_the_server_tells_nothing_has_no_cursor(start: Start, tmp_path: Path) -> None:
    (found,) = _fetch(start(lambda *_: as_json([{"n": 1}])), tmp_path, paginator=_SINGLE)
    assert found.cursor is None


def test_pages_are_asked_for_without_condition(start: Start, tmp_path: Path) -> None:
    """The first page may be unchanged when the second is not."""
    server = start(lambda _, query, __: as_json([{"n": query["page"]}] if query["page"] == "0" else [], ETag='"v1"'))
    (found,) = _fetch(server, tmp_path, paginator={"type": "page_number", "param": "page"})
    assert found.cursor is None


def test_an_unasked_304_is_reported(start: Start, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="answered 304"):
        _fetch(start(lambda *_: (304, {}, b"")), tmp_path, paginator=_SINGLE)


def test_a_cursor_of_another_way_of_reading_is_not_used(start: Start, tmp_path: Path) -> None:
    server = start(lambda *_: as_json([{"n": 1, "at": "2026-03-10"}]))
    _fetch(server, tmp_path, {"last": "2026-03-09"}, window=_window(), paginator=_SINGLE)
    incremental = {"cursor": "at", "param": "since", "initial": "2026-01-01"}
    _fetch(server, tmp_path, {"until": "2026-03-09T00:00:00+00:00"}, incremental=incremental, paginator=_SINGLE)
    assert [q.get("start_date", q.get("since")) for q in _asked(server)] == ["2026-03-08T12:00:00Z", "2026-01-01"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"window": _window(), "incremental": {"cursor": "a", "initial": "0"}}, "either incremental or window"),
        ({"body": "as_is", "data_selector": "data"}, "keeps answers unread"),
        ({"body": "as_is", "paginator": {"type": "json_link"}}, "no next page inside an answer"),
        ({"window": {"start_param": "a", "initial": "2026-01-01", "span": "P1D"}}, "span needs end_param"),
        ({"window": _window(span="PT1S")}, "a minute at least"),
        ({"window": _window(initial="yesterday")}, "neither a date nor an instant"),
        ({"window": _window(format="ISO")}, "no strftime pattern"),
        ({"window": _window(format="%s")}, "write epoch"),
        ({"window": _window(lag="-PT1H")}, "must not be negative"),
    ],
)
def test_what_contradicts_itself_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RestConnector.model_validate({"type": "rest", "base_url": "https://example.org", "path": "x", **keys})
