"""What tests of the alert engine share: rules and signals in few words, a world without a referential."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed
from orchestration.alerts.engine.core import Engine, World
from orchestration.alerts.model import AssetKey, Change, Equipment, Observed, Reported, Signal
from orchestration.alerts.rulebook.model import Rule

S = 1_000_000
"""A second, in microseconds."""
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EXAMPLES = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"


@functools.cache
def feed(name: str) -> Feed:
    return load_feed(EXAMPLES / f"{name}.yaml")


class Clockwork:
    """Hours by the clock: night before 06:00 and from 18:00 on, open from 08:00 to 17:00, UTC, each day."""

    @staticmethod
    def is_night(feed: Feed, at: int) -> bool:
        return not 6 * HOUR <= at % DAY < 18 * HOUR

    @staticmethod
    def is_open(feed: Feed, at: int) -> bool:
        return 8 * HOUR <= at % DAY < 17 * HOUR


def world(equipment: Iterable[Equipment] = (), feeds: Mapping[str, Feed] | None = None) -> World:
    directory: dict[AssetKey, Equipment] = {(e.source, e.asset_ref): e for e in equipment}
    return World(directory, Clockwork(), feeds or {})


def rule(name: str = "regle", **keys: Any) -> Rule:
    plain = {"title": "Titre", "message": "Message", "consequence": "minor", "respond_within": "PT1H"}
    return Rule.model_validate({"rule": name, **plain, **keys})


def engine(*rules: Rule, known: World | None = None) -> Engine:
    return Engine({r.rule: r for r in rules}, known or world())


def said(
    at: float, value: float | None = None, text: str | None = None, *, prop: str = "p", asset: str = "a", published: float | None = None,
    feed: str = "f",
) -> Observed:  # fmt: skip
    """Return an observation at `at` seconds."""
    return Observed(feed, "s", asset, prop, int(at * S), value, text, None, int((at if published is None else published) * S))


def report(at: float, ref: str, **keys: Any) -> Reported:
    empty = dict.fromkeys(Reported._fields)
    plain = {"feed": "f", "source": "grc", "report_ref": ref, "opened_at": int(at * S), "published_at": int(at * S)}
    return Reported(**{**empty, **plain, **keys})


def told(changes: Iterable[Change]) -> list[tuple[str, float, bool]]:
    """Return (key, seconds, whether it holds) of edges; `+` marks what only says more."""
    return [(c.key + ("+" if c.is_update else ""), c.at / S, c.is_active) for c in changes]


def run(of: Engine, signals: Iterable[Signal], until: float | None = None) -> list[Change]:
    """Return what an engine says to signals, and then to the clock."""
    changes = [c for signal in signals for c in of.take(signal)]
    return changes + (of.advance(int(until * S)) if until is not None else [])
