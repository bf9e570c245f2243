"""The thin sensor: what no message says raises alarms too, with the engine dead.

Here: one evaluation, as a function without Dagster, and the sensor that calls it. Not here: rules on indicators
(`orchestration.alerts.published`), what is silent (`orchestration.alerts.supervision`), the store.

Told twice, it changes nothing: an alarm that stands is not raised again, a publication is looked at once, and what is said of one bears
the instant of its publication.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dagster as dg

from ingestion.errors import VigieError
from orchestration.assets.common import Instance
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.alerts.model import AssetKey, Equipment
    from orchestration.alerts.published import Look
    from orchestration.alerts.rulebook.model import Rule
    from orchestration.alerts.standing import Differences, Fact
    from orchestration.alerts.store.store import Store
    from orchestration.alerts.store.turn import Connection

_log = logging.getLogger(__name__)

# A silent engine is to be answered for within five minutes: half a minute of them may pass before it is told. An evaluation takes
# half a second of a core, most of it to open the lake.
EVERY_S: Final = 30
# Nobody watched when the last look is older than this: four looks missed, so that a busy daemon is not taken for a stopped instance.
BREAK: Final = dt.timedelta(seconds=4 * EVERY_S)


@dataclass
class Seen:
    """What the sensor knows of its last look: Dagster's cursor.

    Attributes:
        looked_at: when it last looked; None before the first time.
        watched_since: since when it looks without a break.
        snapshot_id: the publication it looked at last.
        rules: the files of rules as they were then.
        held: keys that held at the last look, by rule.
        cut: rules on indicators that hold of more than their bound, and how many alarms were held back.
    """

    looked_at: dt.datetime | None = None
    watched_since: dt.datetime | None = None
    snapshot_id: int | None = None
    rules: str = ""
    held: dict[str, list[str]] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, cursor: str | None) -> Seen:
        """Read a cursor; one of another version counts for none."""
        try:
            seen = cls(**json.loads(cursor or "{}"))
            for name in ("looked_at", "watched_since"):
                if (text := getattr(seen, name)) is not None:
                    setattr(seen, name, dt.datetime.fromisoformat(text))
        except (TypeError, ValueError) as error:
            _log.warning("the sensor begins anew: its cursor cannot be read (%s)", error)
            return cls()
        return seen

    def written(self) -> str:
        """Return it as a cursor."""
        return json.dumps({name: v.isoformat() if isinstance(v, dt.datetime) else v for name, v in asdict(self).items()})


@dataclass(frozen=True)
class Evaluation:
    """One look: the cursor after it, how many lines of the journal it wrote, and what could not be looked at."""

    cursor: str
    lines: int
    problems: list[str]


def evaluate(settings: Settings, cursor: str | None, *, now: dt.datetime | None = None) -> Evaluation:
    """Look once at the platform and at what is published, and tell the store what changed.

    Raises:
        VigieError: the store cannot be reached.
        psycopg.Error: the store refuses; nothing was told, and the same cursor may be used again.
    """
    import psycopg  # noqa: PLC0415 - the code server loads this module at its start, and needs none of it to show a page

    from orchestration.alerts import published, supervision  # noqa: PLC0415 - likewise
    from orchestration.alerts.store.store import Store  # noqa: PLC0415 - likewise
    from orchestration.alerts.store.turn import connect  # noqa: PLC0415 - likewise

    now = now or dt.datetime.now(dt.UTC)
    seen = Seen.read(cursor)
    if seen.looked_at is None or seen.watched_since is None or now - seen.looked_at > BREAK:
        seen.watched_since = now
    seen.looked_at = now
    stamp, rules = rules_of(settings.alerts_path / "rules")
    problems: list[str] = []
    try:
        con = connect(settings.app_url.get_secret_value(), name="vigie-sensor")
    except psycopg.OperationalError as error:
        raise VigieError(f"the store of alarms does not answer: {str(error).strip()}", remedy="vigie status") from error
    with con:
        store = Store(lambda: contextlib.nullcontext(con))
        indicators = published.indicator_rules(rules)
        look: Look | None = None
        try:
            fresh = None if seen.rules != stamp else seen.snapshot_id
            look = published.look(settings.reader_lake, indicators, con, seen=fresh)
        except VigieError as error:
            problems.append(error.message)
        domains = look.domains if look else {}
        lines = 0
        if look is not None and look.facts is not None:
            lines += _tell_published(store, con, rules, look, seen, domains)
            seen.snapshot_id, seen.rules = look.snapshot_id, stamp
            problems += [f"{name}: {why}" for name, why in look.problems.items()]
        watched = supervision.watching(rules)
        signs = supervision.read(con, look.sources if look else None, seen.cut)
        if signs.sources is None:
            watched.pop("late-feed", None)
        facts = supervision.facts(watched, signs, now=now, watched_since=seen.watched_since)
        names = [rule.rule for rule in watched.values()]
        told = _differences(store, facts, names, int(now.timestamp() * 1_000_000), seen)
        lines += _apply(store, con, rules, told, domains)
        _forget(seen, rules)
    return Evaluation(seen.written(), lines, problems)


def _tell_published(
    store: Store, con: Connection, rules: Mapping[str, Rule], look: Look, seen: Seen, domains: Mapping[str, str]
) -> int:  # fmt: skip
    if look.facts is None or look.published_at is None:
        return 0
    at = int(look.published_at.timestamp() * 1_000_000)
    bounds = {name: _left(con, rules[name], look.published_at) for name in look.looked_at}
    told = _differences(store, look.facts, look.looked_at, at, seen, bounds=bounds, tells_more=True)
    for name in look.looked_at:
        seen.cut.pop(name, None)
    seen.cut |= told.cut
    return _apply(store, con, rules, told, domains)


def _left(con: Connection, rule: Rule, at: dt.datetime) -> int:
    """Return how many alarms a rule may still raise in its span."""
    row = con.execute("SELECT count(*) AS raised FROM alerts.alarm WHERE rule = %s AND raised_at > %s", [rule.rule, at - rule.bound.per])
    return max(0, rule.bound.raises - int((row.fetchone() or {"raised": 0})["raised"]))


def _differences(
    store: Store, facts: list[Fact], names: list[str], at: int, seen: Seen, *,
    bounds: dict[str, int] | None = None, tells_more: bool = False,
) -> Differences:  # fmt: skip
    from orchestration.alerts.standing import differences  # noqa: PLC0415 - as above

    keys = [fact.key for fact in facts]
    alarms = store.select("(rule = ANY(%s) AND closed_at IS NULL) OR key = ANY(%s) ORDER BY alarm_id", [names, keys])
    held = {key for name in names for key in seen.held.get(name, ())}
    told = differences(facts, alarms, at=at, held=held, bounds=bounds, tells_more=tells_more)
    for name in names:
        seen.held[name] = sorted(fact.key for fact in facts if fact.rule == name)
    return told


def _apply(store: Store, con: Connection, rules: Mapping[str, Rule], told: Differences, domains: Mapping[str, str]) -> int:
    if not told.changes:
        return 0
    from orchestration.alerts.drafting import Composer  # noqa: PLC0415 - as above

    return len(store.apply(told.changes, Composer(rules, EquipmentTable(con), domains)))


def _forget(seen: Seen, rules: Mapping[str, Rule]) -> None:
    for name in (seen.held.keys() | seen.cut.keys()) - rules.keys():
        seen.held.pop(name, None)
        seen.cut.pop(name, None)
    seen.held = {name: keys for name, keys in seen.held.items() if keys}


class EquipmentTable:
    """The referential as the store holds it, asked one by one: the sensor raises few alarms. Args of the class: its connection."""

    def __init__(self, con: Connection) -> None:
        self._con = con
        self._known: dict[AssetKey, Equipment | None] = {}

    def get(self, key: AssetKey) -> Equipment | None:
        """Return a piece of equipment by (source, asset_ref)."""
        if key not in self._known:
            self._known[key] = self._read(key)
        return self._known[key]

    def _read(self, key: AssetKey) -> Equipment | None:
        from orchestration.alerts.model import Equipment  # noqa: PLC0415 - as above

        row = self._con.execute("SELECT * FROM alerts.equipment WHERE source = %s AND asset_ref = %s", key).fetchone()
        if row is None:
            return None
        source, ref = row.pop("parent_source"), row.pop("parent_ref")
        return Equipment(**row, parent=(source, ref) if source is not None and ref is not None else None)


def rules_of(own: Path) -> tuple[str, Mapping[str, Rule]]:
    """Return the rules in force and what their files are now; read anew only when one changed: reading them takes a second."""
    from orchestration.alerts.rulebook.registry import SHIPPED  # noqa: PLC0415 - as above

    files = [
        (path.name, (stat := path.stat()).st_mtime_ns, stat.st_size) for folder in (SHIPPED, own) for path in sorted(folder.glob("*.yaml"))
    ]
    stamp = json.dumps(files)
    return stamp, _rules(own, stamp)


@functools.lru_cache(maxsize=2)
def _rules(own: Path, _stamp: str) -> Mapping[str, Rule]:
    from orchestration.alerts.rulebook.registry import rules_in_force  # noqa: PLC0415 - as above

    return rules_in_force(own)


def alerts_sensor() -> dg.SensorDefinition:
    """Return the sensor; it starts no run."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Alarmes des indicateurs publiés, et de la plateforme : moteur muet, retard, envois en panne, source en retard.",
    )
    def alerts(context: dg.SensorEvaluationContext, instance: Instance) -> dg.SkipReason:
        done = evaluate(instance.settings, context.cursor)
        for problem in done.problems:
            context.log.warning(problem)
        context.update_cursor(done.cursor)
        what = f"{done.lines} lines written" if done.lines else "nothing changed"
        return dg.SkipReason("; ".join([what, *done.problems]))

    return alerts
