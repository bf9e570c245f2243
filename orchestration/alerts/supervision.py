"""What the platform says of itself: engine, backlog, deliveries, sources, rules that were cut off.

Here: what is too silent or too late, from signs of life. Not here: raising it (`standing`), when one looks (`orchestration.sensors`).

It works with the engine dead: it reads the store and the lake, and is run by Dagster. Silence is counted from when somebody watches: what
an instance that was stopped did not say in its sleep is no news.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from orchestration.alerts import heartbeat
from orchestration.alerts.rulebook.model import Platform, Rule
from orchestration.alerts.standing import Fact
from orchestration.alerts.store.turn import Connection

# Engine and deliveries give a sign each second; a restart after a crash takes five, a slow disk or a paused machine a few more.
SILENT_AFTER: Final = dt.timedelta(seconds=15)
# Live messages are judged within milliseconds; a minute late, an alarm that must be answered within five is late itself.
BACKLOG_AFTER: Final = dt.timedelta(seconds=60)
# Who begins to watch gives sources this long to speak, unless they speak more often: equipment comes back by and by.
FIRST_CONTACT: Final = dt.timedelta(minutes=10)
ENGINE: Final = "engine"
DELIVERIES: Final = "deliveries"


@dataclass(frozen=True)
class Source:
    """A feed with a declared freshness: its title, domain, how old its last message may be, and when the lake last received one."""

    feed: str
    title: str
    domain: str | None
    freshness: dt.timedelta
    landed_at: dt.datetime | None


@dataclass(frozen=True)
class Signs:
    """What is known of who lives.

    Attributes:
        beats: last sign of life of each name, and what it said.
        dead_letters: by target, how many messages were given up, and why the last one was.
        sources: feeds with a freshness; None when the lake does not answer, so that nothing is said of them.
        cut: rules that were cut off for raising too much, and how many alarms were held back where that is known.
    """

    beats: Mapping[str, tuple[dt.datetime, Mapping[str, Any]]]
    dead_letters: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    sources: tuple[Source, ...] | None = ()
    cut: Mapping[str, int] = field(default_factory=dict)


def read(con: Connection, sources: tuple[Source, ...] | None, cut: Mapping[str, int]) -> Signs:
    """Return the signs of life in the store, beside what the lake says.

    Raises:
        psycopg.Error: the store does not answer.
    """
    letters = con.execute(
        "SELECT target, count(*) AS letters, (array_agg(reason ORDER BY dead_letter_id DESC))[1] AS reason FROM alerts.dead_letter "
        "GROUP BY target"
    )
    return Signs(heartbeat.beats(con), {r["target"]: (r["letters"], r["reason"]) for r in letters}, sources, cut)


def watching(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return the rules about the platform that are looked at here, by what they watch."""
    # A flood is seen by the store, in the turn that makes it one.
    return {rule.when.what: rule for rule in rules.values() if isinstance(rule.when, Platform) and rule.when.what != "flood"}


def facts(rules: Mapping[str, Rule], signs: Signs, *, now: dt.datetime, watched_since: dt.datetime) -> list[Fact]:
    """Return what is wrong with the platform.

    Args:
        rules: those of `watching`.
        signs: signs of life.
        now: when one looks.
        watched_since: since when somebody looks without a break.
    """
    found: list[Fact] = []
    if rule := rules.get("engine"):
        found += _silent(rule, ENGINE, signs, now, watched_since)
    if rule := rules.get("backlog"):
        found += _behind(rule, signs, now)
    if rule := rules.get("delivery"):
        found += _undelivered(rule, signs, now, watched_since)
    if rule := rules.get("late-feed"):
        found += _late(rule, signs, now, watched_since)
    if rule := rules.get("rule-cut-off"):
        found += _cut(rule, signs, now)
    return found


def _silent(rule: Rule, name: str, signs: Signs, now: dt.datetime, since: dt.datetime, **details: Any) -> Iterator[Fact]:
    heard = signs.beats[name][0] if name in signs.beats else None
    if now - max(heard or since, since) > SILENT_AFTER:
        yield Fact(f"{rule.rule}|{name}", rule.rule, _us(heard or since), details=details)


def _behind(rule: Rule, signs: Signs, now: dt.datetime) -> Iterator[Fact]:
    heard, said = signs.beats.get(ENGINE, (now, {}))
    if now - heard > SILENT_AFTER:
        return  # what a dead engine said last is no longer so; that it is dead is another alarm
    lag = dt.timedelta(milliseconds=float(said.get("lag_ms") or 0))
    if lag > BACKLOG_AFTER:
        yield Fact(f"{rule.rule}|{ENGINE}", rule.rule, _us(now - lag), value=float(round(lag.total_seconds())), unit="s")


def _undelivered(rule: Rule, signs: Signs, now: dt.datetime, since: dt.datetime) -> Iterator[Fact]:
    silent = list(_silent(rule, DELIVERIES, signs, now, since, target="tous les destinataires", reason="le service d'envoi est muet"))
    yield from silent
    for target, (letters, reason) in sorted(signs.dead_letters.items()):
        count = "1 envoi abandonné" if letters == 1 else f"{letters} envois abandonnés"
        details = {"target": target, "reason": f"{count}, le dernier : {reason}", "count": letters}
        yield Fact(f"{rule.rule}|{target}", rule.rule, _us(now), details=details)
    if silent:
        return
    for name, (heard, said) in sorted(signs.beats.items()):
        target = name.removeprefix("target:")
        # A target that is no longer declared keeps its last sign of life.
        is_told = target != name and now - heard <= SILENT_AFTER
        if is_told and target not in signs.dead_letters and said.get("trouble"):
            yield Fact(f"{rule.rule}|{target}", rule.rule, _us(now), details={"target": target, "reason": str(said["trouble"])})


def _late(rule: Rule, signs: Signs, now: dt.datetime, since: dt.datetime) -> Iterator[Fact]:
    for source in signs.sources or ():
        if not _concerns(rule, source):
            continue
        heard = [at for at in (source.landed_at, signs.beats.get(f"feed:{source.feed}", (None,))[0]) if at is not None]
        # A feed that never said anything owes nothing.
        if heard and now - max(heard) > source.freshness and now - since > min(source.freshness, FIRST_CONTACT):
            late = now - max(heard)
            details = {"feed": source.feed, "asset": source.title, "minutes": int(late.total_seconds() // 60)}
            yield Fact(f"{rule.rule}|{source.feed}", rule.rule, _us(max(heard) + source.freshness), details=details)


def _concerns(rule: Rule, source: Source) -> bool:
    if rule.scope.domains and source.domain not in rule.scope.domains:
        return False
    return not rule.scope.feeds or any(fnmatch.fnmatchcase(source.feed, pattern) for pattern in rule.scope.feeds)


def _cut(rule: Rule, signs: Signs, now: dt.datetime) -> Iterator[Fact]:
    heard, said = signs.beats.get(ENGINE, (now, {}))
    of_engine: Collection[str] = said.get("cut") or () if now - heard <= SILENT_AFTER else ()
    for name in sorted({*of_engine, *signs.cut}):
        count = signs.cut.get(name)
        details = {"rule": name} | ({"count": count} if count is not None else {})
        yield Fact(f"{rule.rule}|{name}", rule.rule, _us(now), details=details)


def _us(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1_000_000)
