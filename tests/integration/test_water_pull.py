"""Hub'Eau and Vigicrues pulled from a local server through the shipped contracts: what is asked, and what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ingestion.connectors import Fetched, Limits
from ingestion.connectors.rest import fetch_rest
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed, RestConnector
from ingestion.landing import preview
from tests.integration.rest_server import Answer, Query, Server, Start, as_json
from tests.unit.wire_corpus.hubeau import V2
from tests.unit.wire_corpus.vigicrues import PAIRS, section, series, vigilance

pytest_plugins = ("tests.integration.rest_server",)

EXAMPLES = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"
_FAST = Limits(attempts=2, backoff_seconds=0.01, timeout_seconds=5)


def _no_secret(_: str) -> str:
    raise AssertionError("these sources need no secret")


def _pull(name: str, server: Server, workdir: Path, cursor: dict[str, Any] | None = None) -> tuple[Feed, Fetched]:
    """Fetch through a shipped contract, whose address alone is replaced."""
    feed = load_feed(EXAMPLES / f"{name}.yaml")
    assert isinstance(feed.connector, RestConnector)
    connector = feed.connector.model_copy(update={"base_url": server.url})
    (fetched,) = fetch_rest(connector, _no_secret, workdir, cursor, _FAST)
    return feed, fetched


def test_hubeau_pages_are_followed_and_asked_again_from_three_hours_before(start: Start, tmp_path: Path, extension_directory: Path) -> None:
    def answer(_: str, query: Query, server: Server) -> Answer:
        if "cursor" in query:
            return as_json({"count": 2, "next": None, "data": [{**V2, "date_obs": "2026-11-20T06:10:00Z"}]})
        return as_json({"count": 2, "next": f"{server.url}/observations_tr?cursor=AoJw", "data": [V2]}, 206)

    server = start(answer)
    feed, fetched = _pull("hubeau-hydrometrie", server, tmp_path, {"last": "2026-11-20T06:00:00Z"})
    assert server.asked[0][1]["date_debut_obs"] == "2026-11-20T03:00:00Z"
    assert fetched.cursor == {"last": "2026-11-20T06:10:00Z"}
    became = preview(feed, fetched.path, extension_directory=extension_directory)
    assert (became.received, became.accepted, became.rejected) == (2, 2, 0)
    assert [(r["property"], r["value"], r["unit"]) for r in became.rows] == [("water_level", -0.044, "m")] * 2


def test_vigicrues_documents_are_kept_whole(start: Start, tmp_path: Path, extension_directory: Path) -> None:
    def answer(path: str, _: Query, __: Any) -> Answer:
        return 200, {}, vigilance(section(3)) if path.endswith("geojson") else series(PAIRS)

    server = start(answer)
    for name, received, value in (("vigicrues-observations", 2, 1.27), ("vigicrues-vigilance", 1, 3.0)):
        workdir = tmp_path / name
        workdir.mkdir()
        feed, fetched = _pull(name, server, workdir)
        became = preview(feed, fetched.path, extension_directory=extension_directory)
        assert (became.received, became.accepted, became.rejected) == (received, received, 0), became.rejects
        assert became.rows[0]["value"] == value
    assert [path for path, _, _ in server.asked] == ["/observations.json/index.php", "/InfoVigiCru.geojson"]
