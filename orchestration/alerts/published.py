"""Rules on indicators: the rows of published tables that raise, and what the lake says beside.

Here: one look at the lake, through the readers' access. Not here: what becomes of a row (`standing`), when one looks
(`orchestration.sensors`).
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import threading
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import duckdb

from ingestion.errors import VigieError
from ingestion.lake.address import LakeAddress
from ingestion.lake.ledger import JOURNAL
from ingestion.lake.reader import check_query, connect_reader
from ingestion.lake.session import ALIAS, EngineLimits, identifier
from orchestration.alerts.model import AssetKey
from orchestration.alerts.rulebook.model import Indicator, Rule
from orchestration.alerts.standing import Fact
from orchestration.alerts.store.turn import Connection
from orchestration.alerts.supervision import Source

_LIMITS: Final = EngineLimits(memory_limit="512MB", threads=1)
# Indicators are tables of thousands of rows, read in milliseconds; a condition that takes longer would hold up all other rules.
_TIMEOUT_S: Final = 10.0
# More rows than any bound of a rule: past them the condition holds of nearly everything, and tells nobody anything.
_MOST_ROWS: Final = 5_000
# Drafting takes these words of an alarm's details for its own; a column may bear them too.
_RESERVED: Final = frozenset({"priority"})

_ASSETS: Final = """
    SELECT code, source, asset_ref FROM (
        SELECT code, e.source, e.asset_ref, 1 AS rank FROM unnest(%s::text[]) AS code JOIN alerts.equipment AS e
            ON e.source || ':' || e.asset_ref = code
        UNION ALL
        SELECT e.asset_id, e.source, e.asset_ref, 2 FROM alerts.equipment AS e WHERE e.asset_id = ANY(%s)
        UNION ALL
        SELECT e.asset_ref, e.source, e.asset_ref, 3 FROM alerts.equipment AS e WHERE e.asset_ref = ANY(%s)
    ) AS found ORDER BY code, rank, source, asset_ref
"""


@dataclass
class Look:
    """What one look at the lake found.

    Attributes:
        published_at: when what people read was published; None before the first build.
        snapshot_id: of that publication.
        sources: feeds with a declared freshness.
        domains: the domain of each feed.
        facts: the rows that raise; None when the publication was looked at before.
        looked_at: the rules whose rows are in `facts`.
        problems: rules that could not be asked, and why.
    """

    published_at: dt.datetime | None
    snapshot_id: int | None
    sources: tuple[Source, ...]
    domains: dict[str, str]
    facts: list[Fact] | None = None
    looked_at: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


def indicator_rules(rules: Mapping[str, Rule]) -> dict[str, Rule]:
    """Return the rules on published tables."""
    return {name: rule for name, rule in rules.items() if isinstance(rule.when, Indicator)}


def look(address: LakeAddress, rules: Mapping[str, Rule], con: Connection, *, seen: int | None) -> Look:
    """Look at the lake once; rows of indicators only where the publication is another than the one seen.

    Args:
        address: the lake, as readers see it.
        rules: rules on published tables.
        con: of the application's database, for what equipment is called.
        seen: the publication (its snapshot) that was looked at before.

    Raises:
        VigieError: the lake does not answer.
        psycopg.Error: the application's database does not.
    """
    with connect_reader(address, limits=_LIMITS) as lake:
        try:
            found = _standing(lake)
        except duckdb.Error as error:
            raise VigieError(f"the lake cannot be read: {str(error).splitlines()[0]}", remedy="vigie status, vigie doctor") from None
        if found.snapshot_id is None or found.published_at is None or found.snapshot_id == seen:
            return found
        found.facts = []
        for name, rule in sorted(rules.items()):
            try:
                rows = _rows(lake, rule, found.published_at, con)
            except VigieError as error:
                found.problems[name] = error.message
            else:
                found.facts += rows
                found.looked_at.append(name)
    return found


def _standing(lake: duckdb.DuckDBPyConnection) -> Look:
    publication = lake.execute(
        f"SELECT published_at, snapshot_id FROM {ALIAS}.raw.publication ORDER BY snapshot_id DESC LIMIT 1"
    ).fetchone()
    feeds = lake.execute(
        f"SELECT f.feed, f.title, f.domain, f.freshness_minutes, l.landed_at FROM {ALIAS}.raw.feed AS f LEFT JOIN "
        f"(SELECT feed, max(received_at) AS landed_at FROM {ALIAS}.raw.landing WHERE feed <> ? GROUP BY feed) AS l ON l.feed = f.feed",
        [JOURNAL],
    ).fetchall()
    sources = tuple(
        Source(feed, title or feed, domain, dt.timedelta(minutes=float(minutes)), landed_at)
        for feed, title, domain, minutes, landed_at in feeds
        if minutes is not None
    )
    domains = {feed: domain for feed, _, domain, *_ in feeds if domain is not None}
    published_at, snapshot_id = publication or (None, None)
    return Look(published_at, snapshot_id, sources, domains)


def _rows(lake: duckdb.DuckDBPyConnection, rule: Rule, at: dt.datetime, con: Connection) -> list[Fact]:
    """Return the rows of a rule's table that raise.

    Raises:
        VigieError: the condition is refused, does not fit the table, holds of too much or takes too long.
    """
    when = rule.when
    if not isinstance(when, Indicator):
        raise AssertionError(f"{rule.rule} is not about an indicator")
    if rule.scope.calendar != "always" or rule.scope.feeds or rule.scope.asset_types:
        raise VigieError("its scope holds more than domains, communes and assets", remedy="say the rest in `where`")
    columns = [*when.key, *(c for c in (when.asset, when.value, when.commune) if c is not None and c not in when.key)]
    # What is run is the tree that was checked, so that the condition cannot leave its brackets.
    query = check_query(f"SELECT {', '.join(map(identifier, columns))} FROM {when.table} WHERE ({when.where}) LIMIT {_MOST_ROWS + 1}")
    cut = threading.Timer(_TIMEOUT_S, lake.interrupt)
    cut.start()
    try:
        found = lake.execute(query).fetchall()
    except duckdb.InterruptException:
        raise VigieError(f"its condition was cut after {_TIMEOUT_S:g} s") from None
    except duckdb.Error as error:
        raise VigieError(f"its condition does not fit {when.table}: {str(error).splitlines()[0]}") from None
    finally:
        cut.cancel()
    if len(found) > _MOST_ROWS:
        raise VigieError(f"its condition holds of more than {_MOST_ROWS} rows of {when.table}")
    rows = [dict(zip(columns, values, strict=True)) for values in found]
    assets = assets_of(con, {_text(row[when.asset]) for row in rows} - {""}) if when.asset else {}
    return [fact for row in rows if (fact := _fact(rule, when, row, at, assets)) is not None]


def _fact(rule: Rule, when: Indicator, row: Mapping[str, Any], at: dt.datetime, assets: Mapping[str, AssetKey]) -> Fact | None:
    code = _text(row[when.asset]) if when.asset else ""
    asset = assets.get(code)
    commune = _text(row[when.commune]) or None if when.commune else None
    if rule.scope.communes and _plain(commune or "") not in {_plain(c) for c in rule.scope.communes}:
        return None
    if rule.scope.assets and not any(fnmatch.fnmatchcase(asset[1] if asset else code, pattern) for pattern in rule.scope.assets):
        return None
    told = row[when.value] if when.value else None
    value = None if told is None or isinstance(told, (str, bool, dt.date)) else float(told)
    keys = {name: _text(row[name]) for name in when.key}
    details = {name: text for name, text in keys.items() if name not in _RESERVED}
    return Fact(
        f"{rule.rule}|{'|'.join(keys.values())}", rule.rule, int(at.timestamp() * 1_000_000), asset, when.value, value,
        _text(told) if told is not None and value is None else None,
        details=details | {"asset": code or keys[when.key[-1]]}, commune=commune,
    )  # fmt: skip


def assets_of(con: Connection, codes: Collection[str]) -> dict[str, AssetKey]:
    """Return the equipment that codes of a published table mean: a key `source:code`, else an identity, else a bare code.

    What nobody knows is left out: its alarm names what the row says, and is on no map.
    """
    found: dict[str, AssetKey] = {}
    for row in con.execute(_ASSETS, [list(codes)] * 3) if codes else ():
        found.setdefault(row["code"], (row["source"], row["asset_ref"]))
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFKD", text)
    return "".join(c for c in bare if not unicodedata.combining(c)).casefold().strip()
