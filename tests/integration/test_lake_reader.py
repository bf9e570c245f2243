"""The reader's sandbox: every known way out, tried at the parser, then with the parser bypassed at the connection.

Three walls (ingestion/lake/reader.py). Where an attempt is stopped by the parser alone, the test says so: `HOLDS` lists what
the connection refuses by itself, `PARSER_ONLY` what it does not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import psycopg
import pytest

from ingestion.errors import VigieError, WrongUse
from ingestion.lake.reader import check_query, connect_reader, run_query
from ingestion.lake.session import connect
from orchestration.settings import PERSONAL_DATABASE, Settings
from tests.lakes import LIMITS, Lakes, drop_lakes, make_lakes

pytest_plugins = ("tests.lakes",)

MARK = "Zébulon-secret-marker"


@pytest.fixture(scope="module")
def shared(lake_server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakes]:
    """A lake with a published view, a raw row and a build's table; the raw row is in a Parquet file."""
    lakes = make_lakes(lake_server, tmp_path_factory.mktemp("reader"))
    with connect(lakes.main, limits=LIMITS) as con:
        con.execute("CREATE SCHEMA lake.work_core")
        con.execute("CREATE TABLE lake.work_core.asset AS SELECT 1 AS id, 'lampadaire' AS name")
        con.execute(f"INSERT INTO lake.raw.asset (asset_ref, feed) SELECT '{MARK}', 'f' FROM range(2000)")
        version = con.execute("SELECT max(snapshot_id) FROM lake.snapshots()").fetchall()[0][0]
        con.execute("USE lake")
        con.execute(f"CREATE VIEW core.asset AS SELECT * FROM work_core.asset AT (VERSION => {version})")
    (lakes.folder / "host.txt").write_text(MARK)
    yield lakes
    drop_lakes(lakes)


def _attempts(lakes: Lakes) -> dict[str, str]:
    """Every attempt, by name."""
    host, data = lakes.folder / "host.txt", lakes.main.data_path
    parquet = next(Path(data).rglob("*.parquet"))
    meta = "__ducklake_metadata_lake"
    schema = lakes.main.metadata_schema
    return {
        # --- writing
        "insert": "INSERT INTO raw.asset (asset_ref) VALUES ('x')",
        "delete": "DELETE FROM work_core.asset",
        "update": "UPDATE work_core.asset SET name = 'x'",
        "create": "CREATE TABLE core.t AS SELECT 1",
        "drop": "DROP VIEW core.asset",
        "insert in a CTE": "WITH a AS (INSERT INTO raw.asset (asset_ref) VALUES ('x') RETURNING 1) SELECT * FROM a",
        "select into": "SELECT * INTO t FROM core.asset",
        "copy to the host": f"COPY (SELECT 1) TO '{lakes.folder}/out.csv'",
        "copy to the lake": f"COPY (SELECT 1 AS a) TO '{data}/out.parquet'",
        "export": f"EXPORT DATABASE '{lakes.folder}/export'",
        # --- the host
        "read_text": f"SELECT * FROM read_text('{host}')",
        "read_csv": f"SELECT * FROM read_csv('{host}')",
        "read_csv in a scalar subquery": f"SELECT (SELECT content FROM read_text('{host}'))",
        "sniff_csv": f"SELECT * FROM sniff_csv('{host}')",
        "glob": "SELECT * FROM glob('/etc/*')",
        "file as a table": f"SELECT * FROM '{lakes.folder}/host.csv'",
        "file behind a CTE's quoted name": f'WITH "{parquet}" AS (SELECT 1) SELECT * FROM (SELECT * FROM "{parquet}") AS t',
        "file in a published schema": 'SELECT * FROM core."../host.csv"',
        "environment": "SELECT getenv('HOME')",
        "attach": f"ATTACH '{lakes.folder}/x.db' AS x",
        "attach postgres": f"ATTACH '{lakes.personal.dsn}' AS p (TYPE postgres)",
        "install": "INSTALL httpfs",
        "load": "LOAD spatial",
        "set": "SET enable_external_access = true",
        "set directories": "SET allowed_directories = ['/']",
        "reset": "RESET lock_configuration",
        "pragma": "PRAGMA database_list",
        "call": "CALL pragma_version()",
        # --- past the published schemas, inside the lake
        "parquet under the data path": f"SELECT * FROM read_parquet('{parquet}')",
        "parquet file as a table": f"SELECT * FROM '{parquet}'",
        "glob of the data path": f"SELECT * FROM glob('{data}/**')",
        "parquet metadata": f"SELECT * FROM parquet_metadata('{parquet}')",
        "raw": "SELECT * FROM raw.asset",
        "raw with the lake's name": "SELECT * FROM lake.raw.asset",
        "work": "SELECT * FROM work_core.asset",
        "raw in a union": "SELECT name FROM core.asset UNION ALL SELECT asset_ref FROM raw.asset",
        "raw in EXISTS": "SELECT 1 WHERE EXISTS (SELECT 1 FROM raw.asset)",
        "raw behind a CTE of its name": "WITH raw AS (SELECT 1) SELECT * FROM raw.asset",
        "another version": "SELECT * FROM work_core.asset AT (VERSION => 1)",
        "another version of a view": "SELECT * FROM core.asset AT (VERSION => 1)",
        "query()": "SELECT * FROM query('SELECT * FROM raw.asset')",
        "query_table()": "SELECT * FROM query_table('raw.asset')",
        "postgres_query": f"SELECT * FROM postgres_query('{meta}', 'SELECT 1')",
        "postgres reads a host file": f"SELECT * FROM postgres_query('{meta}', 'SELECT pg_read_file(''/etc/passwd'')')",
        "postgres_execute": f"CALL postgres_execute('{meta}', 'CREATE TABLE x (i int)')",
        "the catalogue's tables": f"SELECT * FROM {meta}.{schema}.ducklake_table",
        "snapshots": "SELECT * FROM ducklake_snapshots('lake')",
        "changes": "SELECT * FROM ducklake_table_changes('lake', 'raw', 'asset', 0, 1)",
        "settings": "SELECT current_setting('temp_directory')",
        "all settings": "SELECT * FROM duckdb_settings()",
        "secrets": "SELECT * FROM duckdb_secrets()",
        "databases": "SELECT * FROM duckdb_databases()",
        "information_schema": "SELECT * FROM information_schema.tables",
        "pg_catalog": "SELECT * FROM pg_catalog.pg_tables",
        "an engine's view": "SELECT * FROM duckdb_views",
        "an engine's view behind its own CTE": "WITH duckdb_views AS (SELECT * FROM duckdb_views) SELECT * FROM duckdb_views",
        "an engine's view before its CTE": "WITH b AS (SELECT * FROM duckdb_views), duckdb_views AS (SELECT 1) SELECT * FROM b",
        "an engine's view beside a CTE's scope": "SELECT * FROM (WITH sqlite_master AS (SELECT 1) SELECT 1) AS x, sqlite_master",
        "describe in a subquery": "SELECT * FROM (DESCRIBE raw.asset)",
        "summarize in a subquery": "SELECT * FROM (SUMMARIZE raw.asset)",
        "show": "SHOW ALL TABLES",
        "show in a subquery": "SELECT * FROM (SHOW ALL TABLES)",
        "variable of this process": "SELECT * FROM shared_frame",
        "explain analyze": "EXPLAIN ANALYZE SELECT * FROM raw.asset",
        # --- several, prepared, unreadable
        "two statements": "SELECT 1; SELECT * FROM raw.asset",
        "prepare": "PREPARE p AS SELECT * FROM raw.asset",
        "execute": "EXECUTE p",
        "placeholder": "SELECT $1",
        "sequence": "SELECT nextval('s')",
        "not SQL": "SELEC 1",
        "nothing": "",
        "a comment": "-- nothing",
        "nested too deep": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
        "too long": "SELECT '" + "x" * 200_000 + "'",
    }


# What the connection refuses by itself, the parser bypassed: the host, the configuration, and every write.
HOLDS = (
    "insert", "delete", "update", "create", "drop", "insert in a CTE", "select into", "copy to the host", "export",
    "read_text", "read_csv", "read_csv in a scalar subquery", "sniff_csv", "glob", "file as a table", "file in a published schema",
    "environment", "attach", "attach postgres", "install", "load", "set", "set directories", "reset", "postgres reads a host file",
    "postgres_execute", "variable of this process", "execute", "placeholder", "sequence", "not SQL", "nested too deep",
)  # fmt: skip
# What only the parser refuses: it stays inside the lake's own files and catalogue, which hold nothing personal. Writing a
# file among the lake's is one of them: DuckDB's allowed folders are allowed for both. In the server profile the readers'
# system user cannot write there.
PARSER_ONLY = (
    "parquet under the data path", "parquet file as a table", "glob of the data path", "parquet metadata", "copy to the lake",
    "raw", "raw with the lake's name", "work", "raw in a union", "postgres_query", "the catalogue's tables", "snapshots",
    "settings", "all settings", "databases", "information_schema", "an engine's view", "an engine's view behind its own CTE",
    "an engine's view before its CTE", "describe in a subquery", "summarize in a subquery", "show", "two statements",
    "explain analyze",
)  # fmt: skip


def test_the_parser_refuses_every_attempt(shared: Lakes) -> None:
    let_through = []
    for name, sql in _attempts(shared).items():
        try:
            check_query(sql)
        except WrongUse:
            continue
        let_through.append(name)
    assert let_through == []


def _bypassed(lakes: Lakes, names: Sequence[str]) -> dict[str, str | None]:
    """Run attempts on a reader's connection, unchecked; return why each was refused, None where it ran."""
    shared_frame = duckdb.sql("SELECT 1 AS a").arrow()  # what a table name could be taken for
    assert shared_frame is not None
    attempts, found = _attempts(lakes), dict[str, str | None]()
    with connect_reader(lakes.reader, limits=LIMITS) as con:
        for name in names:
            try:
                con.execute(attempts[name]).fetchall()
                found[name] = None
            except duckdb.Error as error:
                found[name] = str(error)
    return found


def test_the_connection_holds_without_the_parser(shared: Lakes) -> None:
    assert [name for name, why in _bypassed(shared, HOLDS).items() if why is None] == []
    assert not (shared.folder / "out.csv").exists()
    assert shared.query("SELECT count(*) FROM lake.raw.asset") == [(2000,)]


def test_what_only_the_parser_refuses_is_known(shared: Lakes) -> None:
    """If one of these is refused one day, the wall grew: move it to HOLDS."""
    assert {name: why for name, why in _bypassed(shared, PARSER_ONLY).items() if why is not None} == {}


def test_the_readers_role_can_neither_write_nor_see_another_database(shared: Lakes) -> None:
    with psycopg.connect(shared.reader.dsn, autocommit=True) as pg:
        schema = shared.main.metadata_schema
        assert pg.execute(f"SELECT count(*) FROM {schema}.ducklake_table").fetchone() is not None
        for sql in (
            f"INSERT INTO {schema}.ducklake_metadata (key, value) VALUES ('a', 'b')",
            f"SET default_transaction_read_only = off; DELETE FROM {schema}.ducklake_snapshot",
            f"SET default_transaction_read_only = off; CREATE TABLE {schema}.t (i int)",
            "SET default_transaction_read_only = off; CREATE TABLE public.t (i int)",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
        ):
            with pytest.raises(psycopg.Error):
                pg.execute(sql)
        row = pg.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
        assert row == (False,)
    other = shared.reader.dsn.replace("dbname=vigie_lake", f"dbname={PERSONAL_DATABASE}")
    assert other != shared.reader.dsn
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(other)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM core.asset",
        "FROM lake.core.asset",
        'SELECT a."name", count(*) FROM core.asset AS a GROUP BY ALL ORDER BY 2 DESC LIMIT 5',
        "WITH a AS (SELECT * FROM core.asset), b AS (SELECT * FROM a) SELECT * FROM b WHERE EXISTS (SELECT 1 FROM a)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
        "SELECT name FROM core.asset UNION ALL SELECT 'x'",
        "SELECT row_number() OVER (PARTITION BY name ORDER BY id), quantile_cont(id, 0.5) OVER () FROM core.asset QUALIFY id = 1",
        "SELECT count(*) FILTER (WHERE id > 0), list(name), date_trunc('day', TIMESTAMP '2024-01-02 03:04:05') FROM core.asset;",
        "SELECT unnest([1, 2]), * FROM core.asset -- a comment",
        "SELECT * FROM generate_series(1, 3) AS g(n) LEFT JOIN core.asset ON id = n",
    ],
)
def test_what_people_ask_runs(shared: Lakes, sql: str) -> None:
    names, rows = run_query(shared.reader, sql, limits=LIMITS)
    assert names
    assert rows


def test_what_runs_is_what_was_checked(shared: Lakes) -> None:
    assert run_query(shared.reader, "SELECT name FROM core.asset", limits=LIMITS) == (["name"], [("lampadaire",)])


def test_a_long_query_is_cut(shared: Lakes) -> None:
    started = time.monotonic()
    with pytest.raises(VigieError, match="cut after"):
        run_query(shared.reader, "SELECT count(*) FROM range(100000000000) AS r(i) WHERE i % 7 = 3", timeout_s=0.5, limits=LIMITS)
    assert time.monotonic() - started < 20


def test_endless_recursion_is_cut(shared: Lakes) -> None:
    sql = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t"
    with pytest.raises(VigieError, match="cut after"):
        run_query(shared.reader, sql, timeout_s=0.5, limits=LIMITS)


def test_a_query_that_does_not_fit_says_so(shared: Lakes) -> None:
    with pytest.raises(WrongUse, match="does not fit"):
        run_query(shared.reader, "SELECT nothing FROM core.asset", limits=LIMITS)
    with pytest.raises(WrongUse, match="does not fit"):
        run_query(shared.reader, "SELECT * FROM core.nothing", limits=LIMITS)
