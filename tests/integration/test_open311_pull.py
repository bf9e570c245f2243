"""An Open311 endpoint pulled into a lake, window after window: what is asked for, what lands, and that nothing is missed or doubled."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ingestion.connectors import FetchFailed, Limits
from ingestion.connectors.fetching import fetch
from ingestion.connectors.rest import fetch_rest
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed, RestConnector
from ingestion.lake.session import connect
from ingestion.lake.writer import Landed, last_cursor
from orchestration.ingest import ingest
from orchestration.services.prepare import prepare
from orchestration.settings import Settings
from tests.integration.rest_server import Answer, Query, Server, Start
from tests.lakes import HEADER, LIMITS, Lakes

pytest_plugins = ("tests.lakes", "tests.integration.rest_server")

_FAST = Limits(attempts=1, timeout_seconds=5)
_PAGE = 2


class Desk:
    """An endpoint of GeoReport v2: requests by date of creation, in pages; it is told when it is."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
        self.requests: dict[str, dict[str, Any]] = {}
        self.is_down_from: str | None = None

    def report(self, number: str, at: str) -> None:
        """Take a report."""
        self.requests[number] = {
            "service_request_id": number, "status": "open", "service_name": "Éclairage", "requested_datetime": at, "updated_datetime": at,
            "phone": "0326000000",
        }  # fmt: skip

    def close(self, number: str, at: str) -> None:
        """Close a report."""
        self.requests[number] |= {"status": "closed", "updated_datetime": at}

    def answer(self, path: str, query: Query, _: Server) -> Answer:
        """Answer a request as the norm says."""
        start, end = (query[name] for name in ("start_date", "end_date"))
        if self.is_down_from is not None and start >= self.is_down_from:
            return 500, {}, b""
        page = int(query["page"]) - 1
        found = [r for r in self.requests.values() if start <= r["requested_datetime"] <= end][page * _PAGE : (page + 1) * _PAGE]
        if path.endswith(".json"):
            return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()
        root = ET.Element("service_requests")
        for request in found:
            element = ET.SubElement(root, "request")
            for name, value in request.items():
                ET.SubElement(element, name).text = value
        return 200, {"Content-Type": "text/xml"}, ET.tostring(root, encoding="utf-8", xml_declaration=True)


def _feed(lakes: Lakes, server: Server, kind: str) -> Feed:
    return lakes.feed(
        "desk",
        "report",
        f"""\
        time_zone: Europe/Paris
        connector:
          type: rest
          base_url: {server.url}
          path: /requests.{kind}
          body: {"as_is" if kind == "xml" else "json"}
          paginator: {{type: page_number, param: page, base: 1}}
          window: {{start_param: start_date, end_param: end_date, initial: "2026-03-08T12:00:00Z", span: P1D, lag: P2D}}
        format: {{type: open311}}
        """,
    )


def _pull(lakes: Lakes, feed: Feed, desk: Desk, folder: Path) -> list[Landed]:
    """Fetch and land as `vigie ingest` does, at the desk's time."""
    folder.mkdir()
    with connect(lakes.main, limits=LIMITS, read_only=True) as con:
        text = last_cursor(con, feed.feed)
    assert isinstance(feed.connector, RestConnector)
    cursor = json.loads(text) if text else None
    found = fetch_rest(feed.connector, lambda _: "", folder, cursor, _FAST, now=lambda: desk.now)
    return [lakes.land(feed, one.path, origin=one.origin, cursor=one.cursor) for one in found]


def _state(lakes: Lakes) -> list[tuple[Any, ...]]:
    """The latest version of each report."""
    return lakes.query(
        "SELECT report_ref, arg_max(status, revised_at), arg_max(closed_at, revised_at) IS NOT NULL, count(*) FROM lake.raw.report "
        "GROUP BY report_ref ORDER BY report_ref"
    )


@pytest.mark.parametrize("kind", ["json", "xml"])
def test_reports_are_pulled_window_by_window_and_again_where_they_may_have_changed(
    lakes: Lakes, start: Start, tmp_path: Path, kind: str
) -> None:
    desk = Desk()
    for number, at in (
        ("A", "2026-03-08T13:00:00Z"),
        ("B", "2026-03-08T14:00:00Z"),
        ("C", "2026-03-08T15:00:00Z"),
        ("D", "2026-03-10T08:00:00Z"),
    ):
        desk.report(number, at)
    server = start(desk.answer)
    feed = _feed(lakes, server, kind)

    first = _pull(lakes, feed, desk, tmp_path / "one")
    assert [(one.received, one.stored) for one in first] == [(3, 3), (1, 1)]  # two windows, the first of two pages

    desk.now += dt.timedelta(hours=1)
    desk.close("B", "2026-03-10T12:30:00Z")
    desk.report("E", "2026-03-10T12:40:00Z")
    server.asked.clear()
    second = _pull(lakes, feed, desk, tmp_path / "two")
    # From two days before the end of the last window; A and C did not change, and D's window is the same file.
    assert server.asked[0][1]["start_date"] == "2026-03-08T12:00:00Z"
    assert [(sum(getattr(one, name) for one in second)) for name in ("received", "stored", "duplicate", "rejected")] == [4, 2, 2, 0]
    assert _state(lakes) == [
        ("A", "open", False, 1),
        ("B", "closed", True, 2),
        ("C", "open", False, 1),
        ("D", "open", False, 1),
        ("E", "open", False, 1),
    ]

    assert sum(one.stored for one in _pull(lakes, feed, desk, tmp_path / "three")) == 0


def test_a_desk_that_fails_halfway_is_asked_again_from_what_landed(lakes: Lakes, start: Start, tmp_path: Path) -> None:
    desk = Desk()
    desk.report("A", "2026-03-08T13:00:00Z")
    desk.report("B", "2026-03-09T13:00:00Z")
    desk.is_down_from = "2026-03-09T12:00:00Z"
    feed = _feed(lakes, start(desk.answer), "json")
    with pytest.raises(FetchFailed, match="answered 500"):
        _pull(lakes, feed, desk, tmp_path / "one")
    assert [row[0] for row in _state(lakes)] == ["A"]  # the first window had landed, with how far it reaches

    desk.is_down_from = None
    assert [one.stored for one in _pull(lakes, feed, desk, tmp_path / "two")] == [0, 1]  # A is within the lag
    assert [row[0] for row in _state(lakes)] == ["A", "B"]


def test_what_a_refused_file_held_is_asked_for_again(instance: Settings, start: Start) -> None:
    """The product's own loop: the first day is no document, the second is one; nothing may be taken as read up to the second."""
    days = iter([b"%PDF-1.7 maintenance", b"<request><service_request_id>B</service_request_id></request>"])
    server = start(lambda *_: (200, {}, next(days, b"")))
    prepare(instance)
    instance.feeds_path.mkdir(parents=True, exist_ok=True)
    path = instance.feeds_path / "desk.yaml"
    since = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=47)).isoformat(timespec="seconds")
    window = f"{{start_param: a, end_param: b, span: P1D, initial: '{since}'}}"
    connector = f"{{type: rest, base_url: {server.url}, path: r.xml, body: as_is, window: {window}}}"
    path.write_text(
        HEADER.format(name="desk", contract="report") + f"time_zone: UTC\nconnector: {connector}\nformat: {{type: open311}}\n",
        encoding="utf-8",
    )
    feed = load_feed(path)
    report = ingest(instance, feed, [])
    assert (len(report.failures), [one.received for one in report.landed]) == (1, [1])
    ingest(instance, feed, [])
    starts = [query["a"] for _, query, _ in server.asked]
    assert starts[0] == starts[2] != starts[1]  # from the beginning, both times


def test_the_choice_of_connector_passes_windows_on(lakes: Lakes, start: Start, tmp_path: Path) -> None:
    desk = Desk()
    desk.report("A", "2026-03-08T13:00:00Z")
    feed = _feed(lakes, start(desk.answer), "json")
    (found,) = fetch(feed, secrets=lambda _: "", workdir=tmp_path, cursor=None, paths=None, limits=_FAST)
    assert found.cursor == {"until": "2026-03-09T12:00:00+00:00"}
