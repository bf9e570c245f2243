"""A store of alarms to test with: rules, equipment and a clock that a test sets.

Here: what tests of the store share. Not here: any test.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from orchestration.alerts.drafting import Composer
from orchestration.alerts.model import Alarm, AssetKey, Change, Entry, Equipment
from orchestration.alerts.rulebook.model import Rule
from orchestration.alerts.store import schema
from orchestration.alerts.store.due import Policy
from orchestration.alerts.store.rows import from_snapshot
from orchestration.alerts.store.store import Store, open_pool
from orchestration.alerts.store.turn import Connection
from orchestration.settings import Settings

NINE = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
SOURCE = "city"
# What the store may know before its next line says it: when it last heard of the key, and when it lets go what it hides.
UNTOLD = {"changed_at", "releases_at"}


def rule(name: str, **more: Any) -> Rule:
    """A rule of middling priority, and what a test needs of it."""
    base = {"rule": name, "title": f"Titre de {name}", "message": "{asset}", "when": {"type": "equals", "property": "p", "values": ["x"]}}
    return Rule.model_validate({**base, "consequence": "moderate", "respond_within": "PT1H", **more})


class Town:
    """A store, its clock, and what the engine knows."""

    def __init__(self, pool: ConnectionPool[Connection], rules: list[Rule], url: str) -> None:
        self.now = NINE
        self.url, self.pool = url, pool
        self.equipment: dict[AssetKey, Equipment] = {}
        self.composer = Composer({r.rule: r for r in rules}, self)
        self.store = Store(pool.connection, now=lambda: self.now)

    def get(self, key: AssetKey) -> Equipment | None:
        return self.equipment.get(key)

    def equip(self, ref: str, parent: str | None = None, at: tuple[float, float] | None = None) -> str:
        """Put up a piece of equipment; returns its code."""
        self.equipment[SOURCE, ref] = Equipment(
            SOURCE, ref, f"id-{ref}", name=f"Nom {ref}", domain="EP", commune="Metz", longitude=at[0] if at else None,
            latitude=at[1] if at else None, parent=(SOURCE, parent) if parent else None,
        )  # fmt: skip
        return ref

    def change(self, rule_name: str, ref: str, *, is_active: bool = True, **more: Any) -> Change:
        """What the engine would say now."""
        at = round(self.now.timestamp() * 1e6)
        change = Change(f"{rule_name}|{SOURCE}|{ref}", rule_name, at, is_active=is_active, since=at, asset=(SOURCE, ref))
        return replace(change, **more)

    def tell(self, *changes: Change) -> list[Entry]:
        return self.store.apply(changes, self.composer)

    def raises(self, rule_name: str, *refs: str, **more: Any) -> list[Alarm]:
        """Raise alarms; returns them as they stand after."""
        changes = [self.change(rule_name, ref, **more) for ref in refs]
        self.tell(*changes)
        return [self.of(change.key) for change in changes]

    def ends(self, rule_name: str, *refs: str) -> None:
        self.tell(*(self.change(rule_name, ref, is_active=False) for ref in refs))

    def of(self, key: str) -> Alarm:
        """The last alarm of a key."""
        return self.store.select("key = %s ORDER BY alarm_id DESC LIMIT 1", [key])[0]

    def named(self, rule_name: str, ref: str) -> Alarm:
        return self.of(f"{rule_name}|{SOURCE}|{ref}")

    def later(self, **span: float) -> None:
        self.now += dt.timedelta(**span)

    def tick(self, policy: Policy | None = None) -> list[Entry]:
        return self.store.tick(policy or Policy())

    def presented(self) -> list[Alarm]:
        return [a for a in self.store.live() if a.is_presented]

    def kinds(self, alarm: Alarm) -> list[str]:
        return [str(e.kind) for e in self.store.journal_of(alarm.alarm_id)]

    def check(self) -> None:
        """What must always hold: the journal is numbered without gaps and shows each live alarm as it is; counts of children are right."""
        with psycopg.connect(self.url) as con:
            numbers = con.execute("SELECT coalesce(array_agg(seq ORDER BY seq), '{}') FROM alerts.journal").fetchall()[0][0]
            assert numbers == list(range(1, len(numbers) + 1))
            twice = con.execute("SELECT key FROM alerts.alarm WHERE closed_at IS NULL GROUP BY key HAVING count(*) > 1").fetchall()
            assert not twice
            wrong = con.execute(
                "SELECT p.alarm_id, p.hidden, p.hidden_active, count(c.*), count(c.*) FILTER (WHERE c.is_active) FROM alerts.alarm AS p "
                "LEFT JOIN alerts.alarm AS c ON c.parent_id = p.alarm_id AND c.closed_at IS NULL GROUP BY p.alarm_id "
                "HAVING p.hidden <> count(c.*) OR p.hidden_active <> count(c.*) FILTER (WHERE c.is_active)"
            ).fetchall()
            assert not wrong
        for alarm in self.store.live():
            last = from_snapshot(self.store.journal_of(alarm.alarm_id)[-1].alarm)
            for name in UNTOLD:
                setattr(last, name, getattr(alarm, name))
            assert last == alarm

    def forget(self) -> None:
        """Begin anew with an empty store."""
        with psycopg.connect(self.url) as con:
            con.execute("DROP SCHEMA alerts CASCADE")
        schema.prepare(self.url)
        self.now = NINE


@contextlib.contextmanager
def town(settings: Settings, *rules: Rule) -> Iterator[Town]:
    """A town of an instance whose PostgreSQL runs."""
    url = settings.app_url.get_secret_value()
    schema.prepare(url)
    with open_pool(url, name="test") as pool:
        yield Town(pool, list(rules), url)
