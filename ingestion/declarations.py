"""What a territory declares in CSV files: regimes, links, factors, contracts, thresholds, hours, codes of one equipment.

Here: which files there are, what their rows must hold, how they reach the lake. Not here: their columns
(`ingestion.lake.reference`), what is made of them (dbt).

A file is taken whole or refused whole: a build on half a contract would give numbers nobody declared. The refusal names the line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from ingestion.errors import WrongUse
from ingestion.lake import reference
from ingestion.lake.session import literal

SHIPPED_DECLARED: Final = Path(__file__).parent / "declared"

_LOCAL_TIME: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
# The end of a day is written 24:00, as ISO 8601 allows.
_END_TIME: Final = r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$"
_LOCAL_INSTANT: Final = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[ T]([01]\d|2[0-3]):[0-5]\d$"


@dataclass(frozen=True)
class Declared:
    """What the rows of a declared file must hold.

    Attributes:
        required: columns that are never empty.
        rules: what must hold of each row, in SQL, and how it is said to who wrote the file.
        key: columns that name what a row is about: two rows of one key may not hold on the same day (for ever, where rows have no
            validity). Empty: not looked at.
        is_dated: whether rows have a validity.
    """

    required: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    key: tuple[str, ...] = ()
    is_dated: bool = True


def _one_of(column: str, *values: str) -> tuple[str, str]:
    listed = ", ".join(literal(v) for v in values)
    return f"{column} IN ({listed})", f"{column} is one of {', '.join(values)}"


_VALIDITY: Final = ("valid_to > valid_from", "valid_to comes after valid_from")

_MEASURES: Final = (
    "list_contains(CASE objective WHEN 'delay' THEN ['gti', 'gtrp', 'gtr'] WHEN 'availability' THEN ['system', 'asset'] ELSE [''] END, "
    "coalesce(measure, ''))"
)
_A_LOCAL_INSTANT: Final = tuple(
    (f"regexp_matches({c}, {literal(_LOCAL_INSTANT)}) AND TRY_CAST({c} AS TIMESTAMP) IS NOT NULL", f"{c} is a local time, 2026-01-31 22:00")
    for c in ("starts_at", "ends_at")
)

DECLARED: Final[dict[str, Declared]] = {
    "lighting_regime": Declared(),
    "meter_link": Declared(),
    "energy_factor": Declared(),
    "asset_crosswalk": Declared(
        required=("territory", "source", "asset_ref"),
        rules=(
            (
                "(identity IS NULL) = (canonical_source IS NOT NULL AND canonical_ref IS NOT NULL)",
                "give either identity, or canonical_source and canonical_ref",
            ),
            ("(source, asset_ref) IS DISTINCT FROM (canonical_source, canonical_ref)", "a code does not stand for itself"),
            _VALIDITY,
        ),
        key=("source", "asset_ref"),
    ),
    "contract_target": Declared(
        required=("territory", "objective", "target", "unit"),
        rules=(
            _one_of("objective", "saving", "delay", "availability"),
            (_MEASURES, "measure is gti, gtrp or gtr for a delay, system or asset for an availability, empty for a saving"),
            ("unit = '%'", "unit is %"),
            ("target BETWEEN 0 AND 100", "target lies between 0 and 100"),
            ("(penalty_eur IS NULL) = (penalty_per IS NULL)", "penalty_eur goes with penalty_per"),
            _one_of("penalty_per", "point", "unit"),
            ("penalty_eur >= 0", "penalty_eur is not negative"),
            ("day(valid_from) = 1 AND day(coalesce(valid_to, valid_from)) = 1", "a target holds for whole months: from and to a first day"),
            _VALIDITY,
        ),
        key=("territory", "authority", "objective", "measure", "scope"),
    ),
    "contract_reference": Declared(
        required=("territory", "year", "energy_kwh"),
        rules=(
            ("month BETWEEN 1 AND 12", "month is 1 to 12, or empty for the whole year"),
            ("energy_kwh > 0", "energy_kwh is positive"),
        ),
        key=("territory", "authority", "scope", "month"),
        is_dated=False,
    ),
    "comfort_band": Declared(
        required=("territory", "property"),
        rules=(
            _one_of("property", "air_temperature", "co2", "relative_humidity"),
            ("(source IS NULL) = (asset_ref IS NULL)", "source goes with asset_ref; both empty for every building"),
            ("coalesce(minimum, maximum) IS NOT NULL", "give minimum, maximum or both"),
            ("minimum < maximum", "minimum is less than maximum"),
            _VALIDITY,
        ),
        key=("territory", "source", "asset_ref", "property"),
    ),
    "occupancy_hours": Declared(
        required=("source", "asset_ref", "iso_weekday", "occupied_from", "occupied_until"),
        rules=(
            ("iso_weekday BETWEEN 1 AND 7", "iso_weekday is 1 (Monday) to 7"),
            (f"regexp_matches(occupied_from, {literal(_LOCAL_TIME)})", "occupied_from is a local time, HH:MM"),
            (f"regexp_matches(occupied_until, {literal(_END_TIME)})", "occupied_until is a local time, HH:MM, 24:00 at most"),
            ("occupied_until > occupied_from", "occupied_until comes after occupied_from: hours past midnight are two rows"),
            _VALIDITY,
        ),
        key=("source", "asset_ref", "iso_weekday", "occupied_from"),
    ),
    "parking_capacity": Declared(
        required=("source", "asset_ref", "capacity"),
        rules=(("capacity > 0", "capacity is positive"), _VALIDITY),
        key=("source", "asset_ref"),
    ),
    "planned_maintenance": Declared(
        required=("feed", "starts_at", "ends_at"),
        rules=(
            *_A_LOCAL_INSTANT,
            ("CAST(ends_at AS TIMESTAMP) > CAST(starts_at AS TIMESTAMP)", "ends_at comes after starts_at"),
        ),
    ),
}


def declared_file(folder: Path, name: str) -> Path:
    """Return the CSV file of a declared table: the territory's, else the shipped one."""
    own = folder / f"{name}.csv"
    return own if own.exists() else SHIPPED_DECLARED / f"{name}.csv"


def refresh(con: duckdb.DuckDBPyConnection, folder: Path) -> list[str]:
    """Make the declared tables hold what the territory's files say; return the tables that changed.

    Args:
        con: a connection with the lake attached.
        folder: the territory's folder of declared CSV files; a file that is absent there is taken from the shipped ones.

    Raises:
        WrongUse: a file does not hold what its name says.
    """
    return [name for name, declared in DECLARED.items() if _refresh(con, declared_file(folder, name), name, declared)]


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a declared file, checked, without any lake; by column, empty cells are None.

    Raises:
        WrongUse: the file does not hold what its name says.
    """
    with duckdb.connect() as con:
        columns = _read(con, declared_file(folder, name), name, DECLARED[name])
        rows = con.execute(f"SELECT {', '.join(columns)} FROM declared_rows ORDER BY row_number").fetchall()
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _refresh(con: duckdb.DuckDBPyConnection, path: Path, name: str, declared: Declared) -> bool:
    columns = _read(con, path, name, declared)
    return reference.replace_from(con, name, f"SELECT {', '.join(columns)} FROM declared_rows")


def _read(con: duckdb.DuckDBPyConnection, path: Path, name: str, declared: Declared) -> list[str]:
    """Read a file into the temporary table `declared_rows`, checked; return its columns."""
    columns = reference.TABLES[name]
    types = ", ".join(f"{literal(c)}: {literal(t)}" for c, t in columns.items())
    query = (
        f"SELECT {', '.join(columns)} FROM read_csv({literal(str(path))}, header = true, delim = ',', "
        f"columns = {{{types}}}, auto_detect = false)"
    )
    try:
        con.execute(f"CREATE OR REPLACE TEMP TABLE declared_rows AS SELECT row_number() OVER () AS row_number, * FROM ({query})")
        broken = _broken(con, declared)
    except duckdb.Error as error:
        raise WrongUse(
            f"{path.name}: {str(error).splitlines()[0]}",
            remedy=f"it must be UTF-8, comma-separated, with the header {','.join(columns)}; dates as 2026-01-31",
        ) from None
    if broken:
        raise WrongUse(f"{path.name}: {broken}", remedy=f"correct the file; columns: {','.join(columns)}")
    return list(columns)


def _broken(con: duckdb.DuckDBPyConnection, declared: Declared) -> str | None:
    """Return what the first wrong row breaks; an empty value breaks no rule but that of being required."""
    required = tuple((f"{c} IS NOT NULL", f"{c} is missing") for c in declared.required)
    for rule, said in (*required, *declared.rules):
        found = con.execute(f"SELECT min(row_number) FROM declared_rows WHERE NOT ({rule})").fetchall()[0][0]
        if found is not None:
            return f"row {found}: {said}"
    if not declared.key:
        return None
    same = " AND ".join(f"a.{c} IS NOT DISTINCT FROM b.{c}" for c in declared.key)
    if declared.is_dated:
        same += (
            " AND coalesce(a.valid_from, '-infinity'::DATE) < coalesce(b.valid_to, 'infinity'::DATE)"
            " AND coalesce(b.valid_from, '-infinity'::DATE) < coalesce(a.valid_to, 'infinity'::DATE)"
        )
    twice = con.execute(
        "SELECT a.row_number, b.row_number FROM declared_rows AS a JOIN declared_rows AS b "
        f"ON a.row_number < b.row_number AND {same} ORDER BY ALL LIMIT 1"
    ).fetchall()
    return None if not twice else f"rows {twice[0][0]} and {twice[0][1]} are about the same thing at the same time"
