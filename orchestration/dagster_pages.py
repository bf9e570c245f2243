"""What the running Dagster is told from outside: a landing made by a command, a feed it does not know yet.

Here: two calls to its web server. Not here: runs (`building`). They cost milliseconds, where importing Dagster costs seconds.

Telling Dagster is a courtesy to whoever looks at its pages: the ledger is the record, so a page that does not answer is said
and nothing is undone.
"""

from __future__ import annotations

from typing import Any, Final

import requests

from orchestration.services.dagster_config import LOCATION_NAME
from orchestration.settings import Settings

FEED_PREFIX: Final = "feed"
_TIMEOUT_S: Final = 30.0
_KNOWN: Final = "query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { __typename } }"
_RELOAD: Final = "mutation ($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) { __typename } }"


def feed_key_path(feed: str) -> list[str]:
    """Return a feed's asset key: Dagster takes no hyphen in one."""
    return [FEED_PREFIX, feed.replace("-", "_")]


def tell_landing(settings: Settings, key: list[str], partition: str, metadata: dict[str, int]) -> str | None:
    """Report what a command landed as a materialization of the feed's asset.

    Args:
        settings: the running instance.
        key: the feed's asset key.
        partition: the UTC day of reception.
        metadata: the landing's account, in source records.

    Returns:
        Why Dagster could not be told; None when it was.
    """
    try:
        if not _knows(settings, key):
            # A feed's first landing: its contract was written, or its example first used, after the code server started.
            _ask(settings, _RELOAD, {"name": LOCATION_NAME})
        body: dict[str, Any] = {"asset_key": key, "partition": partition, "metadata": metadata, "description": "vigie ingest"}
        answer = requests.post(f"{settings.webserver_url}/report_asset_materialization/", json=body, timeout=_TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as error:
        return f"Dagster's page does not know of this landing yet: {type(error).__name__}"
    return None


def _knows(settings: Settings, key: list[str]) -> bool:
    answer: dict[str, Any] = _ask(settings, _KNOWN, {"key": {"path": key}})
    return bool(answer["data"]["assetNodeOrError"]["__typename"] == "AssetNode")


def _ask(settings: Settings, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    answer = requests.post(f"{settings.webserver_url}/graphql", json={"query": query, "variables": variables}, timeout=_TIMEOUT_S)
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document
