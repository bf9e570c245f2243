"""Batch landing against DuckDB's own typed load of the same file: `python -m bench.batch`.

Each load runs in a process of its own, alternately, three times; the best of each counts. The landing does all it does in
service: digest, original kept, mapping, contract, rejects, duplicates, commit. DuckDB's load reads with the types given,
sets unreadable rows aside (`store_rejects`, its fastest way to survive them), and writes a database file.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import duckdb

from bench.generate import CSV_TYPES, FEED_YAML, write_csv
from bench.machine import apart, instance, peak_memory_mb
from ingestion.feeds.load import load_feed
from ingestion.lake.session import literal
from ingestion.landing import land_file

ROWS = 6_000_000
RUNS = 3
MIN_RATIO = 0.4
MAX_MEMORY_MB = 2_000.0


def run(rows: int = ROWS) -> dict[str, Any]:
    """Measure, and return rates in rows per second, their ratio, and the landing's peak memory in MB."""
    with instance() as (settings, folder):
        path = folder / "observations.csv"
        write_csv(path, rows)
        duck: list[dict[str, Any]] = []
        vigie: list[dict[str, Any]] = []
        for n in range(RUNS):
            arguments = folder / f"landing-{n}.pickle"
            contract = folder / f"bench-{n}.yaml"
            contract.write_text(FEED_YAML.replace("bench-observations", f"bench-{n}"), encoding="utf-8")
            # A feed of its own per run: the lake grows, and nothing of it is a duplicate of the run before.
            arguments.write_bytes(pickle.dumps((load_feed(contract), path, settings.lake, settings.personal_lake)))
            duck.append(apart("bench.batch", "--typed-load", str(path), str(folder / f"typed-{n}.duckdb")))
            vigie.append(apart("bench.batch", "--landing", str(arguments)))
            (folder / f"typed-{n}.duckdb").unlink()
        size_mb = path.stat().st_size / 1e6
    best_duck, best_vigie = min(d["seconds"] for d in duck), min(v["seconds"] for v in vigie)
    return {
        "rows": rows,
        "file_mb": round(size_mb),
        "duckdb_seconds": [round(d["seconds"], 2) for d in duck],
        "vigie_seconds": [round(v["seconds"], 2) for v in vigie],
        "duckdb_rows_per_s": round(rows / best_duck),
        "vigie_rows_per_s": round(rows / best_vigie),
        "ratio": round(best_duck / best_vigie, 2),
        "vigie_memory_mb": round(max(v["memory_mb"] for v in vigie)),
        "duckdb_memory_mb": round(max(d["memory_mb"] for d in duck)),
        "account": vigie[0]["account"],
    }


def _typed_load(path: str, database: str) -> dict[str, Any]:
    columns = "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in CSV_TYPES.items()) + "}"
    started = time.perf_counter()
    with duckdb.connect(database) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TABLE o AS SELECT * FROM read_csv({literal(path)}, columns = {columns}, header = true, store_rejects = true)")
    return {"seconds": time.perf_counter() - started, "memory_mb": peak_memory_mb()}


def _landing(arguments: str) -> dict[str, Any]:
    feed, path, lake, personal = pickle.loads(Path(arguments).read_bytes())  # noqa: S301 - written by the parent a moment ago
    started = time.perf_counter()
    landed = land_file(feed, path, lake=lake, personal=personal)
    seconds = time.perf_counter() - started
    account = {k: getattr(landed, k) for k in ("received", "stored", "duplicate", "rejected")} | {"reasons": landed.reasons}
    return {"seconds": seconds, "memory_mb": peak_memory_mb(), "account": account}


def main(words: list[str]) -> None:
    """Run the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--typed-load", nargs=2, metavar=("CSV", "DATABASE"), help=argparse.SUPPRESS)
    parser.add_argument("--landing", metavar="ARGUMENTS", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.typed_load:
        found = _typed_load(*given.typed_load)
    elif given.landing:
        found = _landing(given.landing)
    else:
        found = run(given.rows)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
