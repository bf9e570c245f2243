"""A SensorThings server is asked as the shipped contract says, over a real connection, and its pages become staged rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from ingestion.connectors import Limits
from ingestion.connectors.rest import fetch_rest
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import RestConnector
from ingestion.landing import preview
from tests.integration.rest_server import Answer, Query, Server, Start, as_json
from tests.unit.test_real_data_contracts import named
from tests.unit.wire_corpus.sensorthings import LEVEL, observation

pytest_plugins = ("tests.integration.rest_server",)


def test_pages_of_expanded_observations_are_followed_and_staged(start: Start, tmp_path: Path, extension_directory: Path) -> None:
    def answer(_: str, query: Query, server: Server) -> Answer:
        first = "$skip" not in query
        value = [observation(n, n, Datastream=LEVEL) for n in (range(3) if first else range(3, 5))]
        link = {"@iot.nextLink": f"{server.url}/Observations?$skip=3"} if first else {}
        return as_json({**link, "value": value})

    feed = load_feed(named("nappe-sensorthings"))
    connector = feed.connector
    assert isinstance(connector, RestConnector)
    server = start(answer)
    # One window instead of a year of them.
    yesterday = (dt.datetime.now(tz=dt.UTC) - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert connector.window is not None
    window = connector.window.model_copy(update={"initial": yesterday})
    asked = connector.model_copy(update={"base_url": server.url, "window": window})
    (fetched,) = fetch_rest(asked, str, tmp_path, None, Limits(attempts=1, timeout_seconds=5))
    (path, query, _), (_, second, _) = server.asked
    assert path.endswith("/Observations")
    assert query["$expand"] == "Datastream($expand=ObservedProperty,Thing($expand=Locations))"
    assert query["$filter"].startswith(f"phenomenonTime ge {yesterday[:10]}T")
    assert second["$skip"] == "3"
    seen = preview(feed, fetched.path, extension_directory=extension_directory)
    assert (seen.received, seen.accepted, seen.rejected) == (5, 5, 0)
    assert [(r["asset_ref"], r["property"], round(r["value"] * 100), r["unit"]) for r in seen.rows] == [
        ("Things(4)", "water_level", n, "m") for n in range(5)
    ]
