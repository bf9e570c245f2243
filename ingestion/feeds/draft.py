"""Drafting a feed contract from a file: what the file itself tells is written down, the rest is asked for.

Here: the order of the steps, and the reading of the file. Not here: inference (`draft_values`, `draft_names`,
`draft_mapping`), the text (`draft_write`).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from ingestion.contracts.canonical import CONTRACTS
from ingestion.errors import BadFile, VigieError, WrongUse
from ingestion.feeds.draft_mapping import Suggestion, suggest
from ingestion.feeds.draft_names import domain_of, is_address, is_free_text, personal_reason, slug
from ingestion.feeds.draft_values import Profile, exchanged, profile
from ingestion.feeds.draft_wire import WireFile, wire_file
from ingestion.feeds.draft_write import Content, render, render_wire
from ingestion.feeds.model import FormatSpec, Territory
from ingestion.formats import Bounds, SourceTable, open_sources
from ingestion.formats.registry import FORMATS
from ingestion.lake.session import literal

# 100,000 records show every format a source mixes, short of accidents; profiling them takes about a second.
PROFILED: Final = 100_000
# A header, its meters, their quantities, their points: the deepest file met has four levels.
_LEVELS: Final = 4
# Distinct values kept of a column: enough to infer from, whatever the column holds.
_DISTINCT: Final = 5_000
# Free text: at least five words a value, most values met once.
_FREE_TEXT_WORDS: Final = 5
_FREE_TEXT: Final = "free text"
# ... or, where the column's name says so, two words and more values than a list of labels has.
_TYPED_WORDS: Final = 2
_LABELS: Final = 100

# A counter: it takes many values, moves in a third of the records at least, and starts again once in a hundred at most.
_COUNTER_VALUES: Final = 20
_COUNTER_STEPS: Final = 0.3
_COUNTER_RESTARTS: Final = 0.01

_DELIMITERS: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@dataclass(frozen=True)
class Draft:
    """A drafted contract.

    Attributes:
        name: the feed's name.
        text: its YAML, placeholders and comments included.
        notes: what was found out of the file.
    """

    name: str
    text: str
    notes: list[str]


def draft_feed(
    path: Path,
    con: duckdb.DuckDBPyConnection,
    *,
    name: str | None = None,
    contract: str | None = None,
    territory: Territory | str | None = None,
    zone: str | None = None,
    owner: str | None = None,
    bounds: Bounds = Bounds(),
) -> Draft:
    """Draft the contract of a file.

    Args:
        path: a local file.
        con: a connection to read it with.
        name: the feed's name; made of the file's name when absent, of its folder's where that is only digits.
        contract: the canonical contract; guessed when absent.
        territory: the territory, or only its code.
        zone: the zone of times that carry none.
        owner: the service that answers for the source.
        bounds: what the file may cost.

    Raises:
        BadFile: the file cannot be read, or holds no record.
        WrongUse: the name cannot be a feed's.
    """
    feed_name = _default_name(path) if name is None else name
    if slug(feed_name) != feed_name:
        raise WrongUse(f"{feed_name!r} cannot be a feed's name", remedy=f"lower-case letters, digits and hyphens: {slug(feed_name)}")
    if not path.is_file():
        raise WrongUse(f"{path}: no such file", remedy="give one file of the source; the contract then serves all of its files")
    wire = wire_file(path, bounds=bounds)
    if wire is not None and contract in (None, *FORMATS[wire.format].contracts):
        return _wire_draft(feed_name, path.name, wire, contract, territory, zone, owner)
    with tempfile.TemporaryDirectory(prefix="vigie-draft-") as work:
        tables, spec = _opened(con, path, bounds=bounds, workdir=Path(work))
        table = tables[0]
        profiles = _profiles(con, table)
    if not profiles or profiles[0].rows == 0:
        raise BadFile(f"{path.name}: holds no record", remedy="draft from a file that holds data")
    notes = list(table.notes)
    if len(tables) > 1:
        notes.append(f"drafted from {table.member}; the archive holds {len(tables)} files: format.member chooses among them")
    notes += [
        f"{p.name} holds lists of records: format.records, with the path down to it, reads each as a record"
        for p in profiles
        if p.examples and p.examples[0].startswith("[{")
    ]
    suggestion = suggest(profiles, contract=contract, hint=feed_name)
    missing = sorted({m for p in profiles for m in p.missing if sum(m in q.missing for q in profiles) > 1})
    decimals = [p.decimal for p in profiles if p.decimal is not None]
    content = Content(
        name=feed_name,
        file=path.name,
        suggestion=suggestion,
        profiles=profiles,
        format=_format(table) | ({"records": spec.records} if spec.records is not None else {}),
        notes=notes,
        domain="GRC" if suggestion.contract == "report" else domain_of(" ".join([feed_name, *(p.name for p in profiles)])),
        territory=territory,
        zone=zone,
        owner=owner,
        missing=missing,
        decimal="," if decimals.count(",") > len(decimals) / 2 else ".",
        personal=_personal_columns(profiles, suggestion),
    )
    return Draft(feed_name, render(content), notes)


def _wire_draft(
    name: str, file: str, wire: WireFile, contract: str | None, territory: Territory | str | None, zone: str | None, owner: str | None
) -> Draft:
    """Draft the contract of messages that say by themselves what they hold."""
    note = f"messages of format {wire.format} ({wire.title}): {wire.records:,} records tried, {wire.refused:,} of them refused"
    suggestion = Suggestion(contract or wire.contract, why=f"what {wire.title} becomes, mostly")
    domain = "GRC" if suggestion.contract == "report" else domain_of(name)
    content = Content(name, file, suggestion, [], {"type": wire.format}, [note], domain, territory, zone, owner)
    return Draft(name, render_wire(content, wire.unitless, sorted(FORMATS[wire.format].personal)), [note])


def _default_name(path: Path) -> str:
    stem = re.sub(r"(\.(csv|txt|tsv|json|ndjson|jsonl|geojson|xlsx|parquet|xml|cap|atom|pb|zip|gz))+$", "", path.name, flags=re.IGNORECASE)
    folder = path.resolve().parent.name
    return slug(folder if folder and not re.search(r"[^\W\d_]", stem) else stem)


def _opened(con: duckdb.DuckDBPyConnection, path: Path, *, bounds: Bounds, workdir: Path) -> tuple[list[SourceTable], FormatSpec]:
    """Open a file, and a JSON down to its innermost records, as long as there is one way down."""
    spec = FormatSpec()
    tables = open_sources(con, path, spec, bounds=bounds, workdir=workdir)
    for _ in range(_LEVELS):
        table = tables[0]
        lists = [c for c in table.columns if table.format in ("json", "ndjson") and _is_list(con, table, c)]
        if _is_keyed(table):
            deeper = "*"
        elif len(lists) == 1:
            found = next((m[1] for n in table.notes if (m := re.search(r"records are the elements of '(.+)'", n))), None)
            base = spec.records or found
            deeper = f"{base}.{lists[0]}" if base else lists[0]
        else:
            break
        try:
            tables, spec = open_sources(con, path, FormatSpec(records=deeper), bounds=bounds, workdir=workdir), FormatSpec(records=deeper)
        except VigieError:  # the shape is less regular than it looked: the level above is read
            break
    return tables, spec


def _is_keyed(table: SourceTable) -> bool:
    """Whether a JSON gives each thing its own key (`{"Antigone": {"free": 3}, "Corum": {"free": 5}}`): rows, not columns."""
    if table.format != "json":
        return False
    members: dict[str, set[str]] = {}
    for name in table.columns:
        key, _, member = name.rpartition(".")
        members.setdefault(key, set()).add(member)
    keyed = [m for k, m in members.items() if k]
    # Three things of one shape: two (start.x, end.x) are two parts of a record.
    return len(keyed) >= 3 and "" not in members and all(m == keyed[0] for m in keyed)  # noqa: PLR2004 - see above


def _is_list(con: duckdb.DuckDBPyConnection, table: SourceTable, column: str) -> bool:
    """Whether a column holds lists of records, which the reader leaves as JSON text."""
    name = _quoted(column)
    row = con.execute(
        f"SELECT count(*) FILTER (starts_with(CAST({name} AS VARCHAR), '[{{')) "
        f"FROM (SELECT {name} FROM {table.relation} AS source LIMIT 100)"
    ).fetchone()
    return row is not None and row[0] > 0


def _profiles(con: duckdb.DuckDBPyConnection, table: SourceTable) -> list[Profile]:
    con.execute(f"CREATE OR REPLACE TEMP TABLE drafted AS SELECT * FROM {table.relation} AS source LIMIT {PROFILED}")
    rows = int((con.execute("SELECT count(*) FROM drafted").fetchone() or (0,))[0])
    found = []
    for name, sql_type in table.columns.items():
        column = _quoted(name)
        counts = con.execute(
            f"SELECT CAST({column} AS VARCHAR), count(*) FROM drafted GROUP BY 1 ORDER BY 2 DESC, min(_position) LIMIT {_DISTINCT}"
        ).fetchall()
        described = profile(name, counts, rows, sql_type)
        if len(counts) == _DISTINCT:  # the tail was cut: count it whole
            total = con.execute(
                f"SELECT count({column}), count(DISTINCT {column}) FROM drafted WHERE trim(CAST({column} AS VARCHAR)) <> ''"
            ).fetchone()
            described.filled, described.distinct = (int(n) for n in total or (0, 0))
        found.append(described)
    for described in found:
        described.is_cumulative = described.is_number and described.distinct > _COUNTER_VALUES and _only_grows(con, described)
    con.execute("DROP TABLE drafted")
    _settle(found)
    return found


def _only_grows(con: duckdb.DuckDBPyConnection, p: Profile) -> bool:
    """Whether numbers only grow, or only fall, from a record to the next; the start of another counter apart."""
    text = f"CAST({_quoted(p.name)} AS VARCHAR)"
    if p.group is not None:
        text = f"replace({text}, {literal(p.group)}, '')"
    value = f"TRY_CAST(replace({text}, {literal(p.decimal or '.')}, '.') AS DOUBLE)"
    steps = f"SELECT v - lag(v) OVER (ORDER BY _position) AS step FROM (SELECT _position, {value} AS v FROM drafted) WHERE v IS NOT NULL"
    row = con.execute(f"SELECT count(*) FILTER (step > 0), count(*) FILTER (step < 0), count(*) FROM ({steps})").fetchone()
    up, down, total = row or (0, 0, 0)
    return bool(min(up, down) <= total * _COUNTER_RESTARTS and max(up, down) >= total * _COUNTER_STEPS)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _settle(profiles: list[Profile]) -> None:
    """Read dates that could be read both ways as the file's other dates, where those leave no doubt."""
    sure = {f for p in profiles if p.is_instant and not p.is_ambiguous for f in p.formats}
    for p in profiles:
        if p.is_ambiguous and len(p.formats) == 1:
            turned = exchanged(p.formats[0])
            if turned in sure and p.formats[0] not in sure:
                p.formats = [turned]
            p.is_ambiguous = p.formats[0] not in sure


def _format(table: SourceTable) -> dict[str, str | int]:
    found: dict[str, str | int] = {"type": table.format}
    if table.encoding is not None:
        found["encoding"] = table.encoding
    for note in table.notes:
        # What the reader found out is pinned: tomorrow's file must not be read another way because it begins otherwise.
        delimiter = re.fullmatch(r"delimiter (\w+)", note)
        header = re.match(r"header on (?:line|row) (\d+)", note)
        if delimiter and delimiter[1] in _DELIMITERS:
            found["delimiter"] = _DELIMITERS[delimiter[1]]
        if header:
            found["header_row"] = int(header[1])
    return found


def _personal_columns(profiles: list[Profile], suggestion: Suggestion) -> dict[str, str]:
    keys = {t.how.get("column") for t in suggestion.targets if t.name in CONTRACTS[suggestion.contract].key}
    found = {p.name: _personal(p, suggestion.contract) for p in profiles}
    # A label of five words that identifies a station is no free text.
    return {name: why for name, why in found.items() if why is not None and not (why == _FREE_TEXT and name in keys)}


def _personal(p: Profile, contract: str) -> str | None:
    if not p.filled or p.is_instant:
        return None
    if p.looks_like is not None:
        return f"{p.looks_like} in its values"
    named = personal_reason(p.name, contract)
    if named is not None:
        return named
    if contract in ("report", "energy_reading") and is_address(p.name) and p.distinct > _LABELS:
        return "an address of someone"
    is_typed = is_free_text(p.name) and p.words >= _TYPED_WORDS and p.distinct > _LABELS
    is_long = p.words >= _FREE_TEXT_WORDS and p.distinct > p.filled * 0.5
    is_text = p.type == "string" and p.position is None and (is_typed or is_long)
    return _FREE_TEXT if is_text and contract != "asset" else None
