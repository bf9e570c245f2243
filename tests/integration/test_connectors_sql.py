"""Databases, against a real PostgreSQL: exact values, cursors, read-only, and a password that never shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingestion.connectors import Fetched, FetchFailed, Limits
from ingestion.connectors.sql import fetch_sql
from ingestion.errors import WrongUse
from ingestion.feeds.model import SqlConnector
from orchestration.settings import Settings

_DDL = """
CREATE SCHEMA gmao;
CREATE TABLE gmao."Interventions" (
    id bigint, cost numeric(20, 10), at timestamptz, "local" timestamp, day date, ok boolean, note text, raw bytea, j jsonb,
    u uuid, d interval, f double precision
);
INSERT INTO gmao."Interventions" VALUES
    (9007199254740993, 12345678.1234567890, '2024-03-31 02:30:00+02', '2024-03-31 02:30:00', '2024-02-29', true, E'é\\n"x"',
     'a'::bytea, '{"n": 1.50}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '1 day 2 hours', 'NaN'),
    (2, NULL, '2024-03-31 12:00:00+02', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0.1);
"""


@pytest.fixture
def address(instance: Settings) -> Iterator[str]:
    url = instance.app_url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_DDL)
    yield url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA gmao CASCADE")


def _fetch(
    address: str, workdir: Path, cursor: dict[str, Any] | None = None, limits: Limits | None = None, **connector: Any
) -> list[Fetched]:
    spec = SqlConnector.model_validate({"type": "sql", "secret": "GMAO", **connector})
    return list(fetch_sql(spec, lambda _: address, workdir, cursor, limits or Limits()))


def _lines(fetched: list[Fetched]) -> list[Any]:
    return [json.loads(line) for f in fetched for line in f.path.read_text().splitlines()]


def test_a_database(address: str, tmp_path: Path) -> None:
    """One PostgreSQL for all that follows: it takes a second to start."""
    table = {"table": "Interventions", "schema": "gmao"}

    found = _fetch(address, tmp_path, **table)
    first, second = _lines(found)
    assert first == {
        "id": 9007199254740993,
        "cost": "12345678.1234567890",
        "at": first["at"],
        "local": "2024-03-31T02:30:00",
        "day": "2024-02-29",
        "ok": True,
        "note": 'é\n"x"',
        "raw": "YQ==",
        "j": {"n": 1.5},
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "d": "1 day, 2:00:00",
        "f": "nan",
    }
    assert first["at"].endswith(("+00:00", "+01:00", "+02:00"))
    assert (second["id"], second["cost"], second["f"]) == (2, None, 0.1)
    assert found[0].origin.endswith(" gmao.Interventions")
    password = psycopg.conninfo.conninfo_to_dict(address)["password"]
    assert isinstance(password, str)
    assert password not in found[0].origin

    incremental = {"cursor": "at", "initial": "2024-01-01T00:00:00Z"}
    (landed,) = _fetch(address, tmp_path, **table, incremental=incremental)
    assert landed.cursor is not None
    (again,) = _fetch(address, tmp_path, landed.cursor, **table, incremental=incremental)
    assert [r["id"] for r in _lines([again])] == [2]  # what bears the cursor itself is asked for again: it may have company
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("""INSERT INTO gmao."Interventions" (id, at) VALUES (3, '2024-04-01Z'), (4, NULL), (5, '2024-03-31 09:30Z')""")
    late = _fetch(address, tmp_path, again.cursor, **table, incremental={**incremental, "lag": "PT1H"})
    assert [r["id"] for r in _lines(late)] == [5, 2, 3, 4]  # in the cursor's order, rows without one last
    assert _fetch(address, tmp_path, table="Interventions", schema="gmao", incremental={"cursor": "day", "initial": "2030-01-01"}) != []

    pieces = _fetch(address, tmp_path, query='SELECT id FROM gmao."Interventions";', incremental={"cursor": "id", "initial": "3"},
                    limits=Limits(rows_per_file=2))  # fmt: skip
    assert [(_lines([p]), p.cursor) for p in pieces] == [
        ([{"id": 3}, {"id": 4}], {"last": "4"}),
        ([{"id": 5}, {"id": 9007199254740993}], {"last": "9007199254740993"}),
    ]

    for query, said in (
        ('DELETE FROM gmao."Interventions" RETURNING id', "syntax error"),
        ("SELECT 1 FROM (SELECT lo_create(0)) AS x", "read-only"),
        ("SELECT * FROM gmao.nothing", "does not exist"),
    ):
        with pytest.raises(FetchFailed, match=said):
            _fetch(address, tmp_path, query=query)
    with pytest.raises(WrongUse, match="two columns of one name"):
        _fetch(address, tmp_path, query="SELECT 1 AS a, 2 AS a")
    with pytest.raises(FetchFailed, match="nope"):
        _fetch(address, tmp_path, **table, incremental={"cursor": "nope", "initial": "1"})
    with pytest.raises(FetchFailed) as caught:
        _fetch(address.replace(password, "wrong-pass"), tmp_path, **table)
    assert "wrong-pass" not in str(caught.value)
    with pytest.raises(FetchFailed, match="not read within"):
        _fetch(address, tmp_path, **table, limits=Limits(seconds=-1))


@pytest.mark.parametrize("address", ["pass@word", "nosuch://user:hunter2@host/db"])
def test_a_secret_that_is_no_address_is_not_shown(address: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="secret GMAO: not a database address") as caught:
        _fetch(address, tmp_path, table="t")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__
