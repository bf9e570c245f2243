"""Every benchmark, and bench/RESULTS.md: `python -m bench.run` (or `make bench`), about five minutes and 10 GB of disk.

Here: running and reporting. Not here: measuring (`batch`, `scans`, `decode`…).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from bench import alerts, alerts_engine, batch, dashboards, decode, detection, scans, stream, year
from bench.machine import apart, description

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
RAW: Final = Path(__file__).with_name("results.json")
BENCHMARKS: Final = ("batch", "scans", "decode", "intake", "stream", "year", "detection", "alerts_engine", "alerts", "dashboards")
# An hour of waiting: on request only.
SLOW: Final = ("schedule", "soak")


def main(words: list[str]) -> None:
    """Run the named benchmarks (all by default) and write the results; those not named keep their last ones."""
    unknown = sorted(set(words) - {*BENCHMARKS, *SLOW})
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)} (there are: {', '.join((*BENCHMARKS, *SLOW))})")
    found: dict[str, Any] = json.loads(RAW.read_text(encoding="utf-8")) if RAW.exists() else {}
    for name in words or BENCHMARKS:
        print(f"{name}…", flush=True)
        machine = description()
        measured = apart(f"bench.{name}")
        if "absent" in measured:
            print(f"{name}: not measured, {measured['absent']} is absent; its last results stay", flush=True)
            continue
        found[name] = measured | {"machine": machine}
    RAW.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    RESULTS.write_text(report(found), encoding="utf-8")
    print(RESULTS.read_text(encoding="utf-8"))


def report(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    parts = ["# Results\n\nWritten by `make bench`; what is measured and how: [README.md](README.md).\n"]
    if "batch" in found:
        parts.append(_batch(found["batch"]))
    if "scans" in found:
        parts.append(_scans(found["scans"]))
    if "decode" in found:
        parts.append(_decode(found["decode"]))
    if "intake" in found:
        parts.append(_intake(found["intake"]))
    if "stream" in found:
        parts.append(_stream(found["stream"]))
    if "year" in found:
        parts.append(_year(found["year"]))
    if "schedule" in found:
        parts.append(_schedule(found["schedule"]))
    if "soak" in found:
        parts.append(_soak(found["soak"]))
    if "detection" in found:
        parts.append(detection.section(found["detection"], _machine(found["detection"])))
    if "alerts_engine" in found:
        parts.append(alerts_engine.section(found["alerts_engine"], _machine(found["alerts_engine"])))
    if "alerts" in found:
        parts.append(alerts.section(found["alerts"], _machine(found["alerts"])))
    if "dashboards" in found:
        parts.append(dashboards.section(found["dashboards"], _machine(found["dashboards"])))
    return "\n".join(parts)


def _machine(found: dict[str, Any]) -> str:
    return " · ".join(f"{k}: {v}" for k, v in found["machine"].items()) + "\n"


def _verdict(is_met: bool) -> str:  # noqa: FBT001 - one word of a table
    return "met" if is_met else "**missed**"


def _batch(b: dict[str, Any]) -> str:
    account = b["account"]
    return f"""\
## Batch landing

{_machine(b)}
{b["rows"]:,} rows of CSV, 8 columns, {b["file_mb"]} MB; three runs each, alternately.

| | seconds of each run | rows per second (best) | peak memory |
|---|---|---:|---:|
| DuckDB, typed `CREATE TABLE AS` into a file | {", ".join(map(str, b["duckdb_seconds"]))} | {b["duckdb_rows_per_s"]:,} | {b["duckdb_memory_mb"]:,} MB |
| Vigie, landed | {", ".join(map(str, b["vigie_seconds"]))} | {b["vigie_rows_per_s"]:,} | {b["vigie_memory_mb"]:,} MB |

| target | measured | |
|---|---|---|
| at least {batch.MIN_RATIO} of DuckDB's rate | {b["ratio"]} | {_verdict(b["ratio"] >= batch.MIN_RATIO)} |
| under {batch.MAX_MEMORY_MB:,.0f} MB | {b["vigie_memory_mb"]:,} MB | {_verdict(b["vigie_memory_mb"] < batch.MAX_MEMORY_MB)} |

Received {account["received"]:,} = stored {account["stored"]:,} + duplicate {account["duplicate"]:,} + rejected {account["rejected"]:,}.
"""


def _scans(s: dict[str, Any]) -> str:
    rows = "\n".join(f"| {n} | {t['lake_s']} | {t['postgres_s']} | {t['ratio']} |" for n, t in s["scans"].items())
    look = s["lookup"]
    return f"""\
## Full scans against PostgreSQL

{_machine(s)}
{s["rows"]:,} observations of {scans.ASSETS:,} assets over {scans.DAYS} days; median of {scans.RUNS} warm runs, same answers.

| scan | lake, s | PostgreSQL, s | times faster |
|---|---:|---:|---:|
{rows}

| target | measured | |
|---|---|---|
| at least {scans.MIN_TIME_RATIO:.0f} times faster (median) | {s["median_time_ratio"]} | {_verdict(s["median_time_ratio"] >= scans.MIN_TIME_RATIO)} |
| at most {scans.MAX_SPACE_RATIO} of the space (table and indexes) | {s["lake_bytes"] / 1e6:,.0f} of {s["postgres_bytes"] / 1e6:,.0f} MB: {s["space_ratio"]} \
| {_verdict(s["space_ratio"] <= scans.MAX_SPACE_RATIO)} |

The look-up of one asset's month: lake {look["lake_s"] * 1000:.0f} ms, PostgreSQL {look["postgres_s"] * 1000:.1f} ms. PostgreSQL wins it
{look["lake_s"] / look["postgres_s"]:.0f} times over: its index finds the rows where the lake reads a month's files of one column. Pages that show one
asset's curve read the hourly table (7 times fewer rows); latest values belong in PostgreSQL or in memory.
"""


def _decode(d: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {f['format']} | {f['library']} | {f['mean_bytes']:,} | {f['messages_per_s']:,} | {f['rows_per_s']:,} | {f['mb_per_s']} | "
        f"{f['bare_mb_per_s']} | {f['ratio']} | {_verdict(f['ratio'] >= decode.MIN_RATIO)} |"
        for f in d["formats"]
    )
    return f"""\
## Decoding

{_machine(d)}
Messages or files of real size to canonical rows, on one core, against the bare parse of the same bytes by the underlying library; wanted
is at least {decode.MIN_RATIO} of its rate.

| format | library | mean bytes | messages/s | rows/s | MB/s | bare parse, MB/s | ratio | |
|---|---|---:|---:|---:|---:|---:|---:|---|
{rows}
"""


def _intake(i: dict[str, Any]) -> str:
    rows = "\n".join(f"| {name} | {i[key]['per_s']:,} | {i[key]['p50_ms']} | {i[key]['p99_ms']} |" for name, key in _SENDERS.items())
    return f"""\
## The HTTP intake

{_machine(i)}
{i["connections"]} connections over loopback, each sending messages of {i["bytes"]} bytes one after the other; the broker forces each to the disk
(`stream_sync = "{i["sync"]}"`). The better of two rounds of {i["messages"]:,}; clients, intake and broker share this machine. Of {i["answered"]:,} answered
messages {i["in_stream"]:,} stand in the stream, each once: {"yes" if i["each_in_stream"] else "**no**"}.

| | requests/s | median, ms | p99, ms |
|---|---:|---:|---:|
{rows}

The intake takes {i["ratio"]} of what the broker itself takes from the same client library.
"""


_SENDERS: Final = {"over HTTP, 202 or no": "http", "to the broker itself, with its acknowledgement": "bare"}


def _stream(s: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {r['processes']} | {r['drained_per_s']:,} | {r['stored_per_s']:,} | {r['rows_per_s']:,} | {r['ratio']} | {r['memory_mb']:,} MB |"
        for r in s["rounds"]
    )
    one, memory = s["rounds"][0]["ratio"], max(r["memory_mb"] for r in s["rounds"])
    return f"""\
## The stream into the lake

{_machine(s)}
{s["messages"]:,} NGSI-LD messages a round, four properties each, in {stream.PARTITIONS} partitions; broker, PostgreSQL and all processes on this machine. "Drained": the same
client pulls, decodes and acknowledges the same messages through durables of its own, and stores nothing. Every message stood once in
the lake afterwards: {"yes" if s["each_once"] else "**no**"}.

| processes | drained, messages/s | stored, messages/s | rows/s | ratio | peak memory of one |
|---:|---:|---:|---:|---:|---:|
{rows}

| target | measured | |
|---|---|---|
| one process: at least {stream.MIN_RATIO} of the drain | {one} | {_verdict(one >= stream.MIN_RATIO)} |
| each under {stream.MAX_MEMORY_MB:,.0f} MB | {memory:,} MB | {_verdict(memory < stream.MAX_MEMORY_MB)} |
"""


def _schedule(s: dict[str, Any]) -> str:
    landed, published = s["landed_s"], s["published_s"]
    return f"""\
## The default schedule

{_machine(s)}
An instance with 200 simulated lights over {s["minutes"]} minutes, landing each minute, building each fifteen: {s["messages"]:,} messages
({s["seen"]:,} in what people read by then).

| from the broker's instant to | p50 | p99 |
|---|---:|---:|
| the landing of its rows | {landed[0]} s | {landed[1]} s |
| the first publication of core that holds them | {published[0]} s | {published[1]} s |

When nothing arrives, all {s["idle_processes"]} services together take {s["idle_percent_of_a_core"]} % of one core (over {s["idle_minutes"]} minutes): Dagster's loops and a look at the
stream each minute.
"""


def _soak(s: dict[str, Any]) -> str:
    feeds = "\n".join(
        f"| {name} | {t['received']:,} | {t['stored']:,} | {t['duplicate']:,} | {t['rejected']:,} |"
        for name, t in sorted(s["feeds"].items())
    )
    memory = "\n".join(f"| {name} | {m['middle_mb']:,} MB | {m['end_mb']:,} MB |" for name, m in s["memory"].items())
    return f"""\
## The whole territory, faster than the clock

{_machine(s)}
All systems of `{s["preset"]}` speak {s["simulated_hours"]} hours at {s["speed"]:g} times real time: {s["messages"]:,} messages in {s["spoken_s"]:,} s, and what is asked is
asked. Then one build ({s["build_s"]:.0f} s). Received = stored + duplicate + rejected for every feed: {"yes" if s["is_balanced"] else "**no**"}. Failures that equipment told
of: {s["told"]:,}, found {s["found"]:,}; equipment for which one was invented: {len(s["invented"])}.

| memory (its own and its share of what processes share) | middle third | last third |
|---|---:|---:|
{memory}

| feed (a day of history included) | received | stored | duplicate | rejected |
|---|---:|---:|---:|---:|
{feeds}
"""


def _year(y: dict[str, Any]) -> str:
    steps = ", ".join(f"{n} {s}" for n, s in y["by_hand"]["steps"].items())
    slowest = ", ".join(f"{n} {s}" for n, s in y["fresh"]["slowest"].items())
    queries = y["queries"]["year"]["seconds"]
    memory = y["fresh"]["memory_mb"]
    return f"""\
## A year of models

{_machine(y)}
{y["observations"]:,} observations of 2,170 lights in daily landings, 1.6 M readings of 90 meters, 7,300 papers, built by dbt and by hand-written
SQL in bare DuckDB from the same Parquet files; same answers (states by day, failures, episodes, monthly frequency, energy
against expected), compared row by row.

| | seconds | peak memory |
|---|---:|---:|
| hand-written SQL | {y["by_hand"]["seconds"]:.1f} ({steps}) | {y["by_hand"]["memory_mb"]:,.0f} MB |
| `vigie-dbt build`: its start, every model, every data test | {y["fresh"]["seconds"]} (models {y["fresh"]["nodes_s"]}: {slowest}) | {memory:,} MB |
| the same, `memory_limit` 2 GB | {y["at_2gb"]["seconds"]} | {y["at_2gb"]["memory_mb"]:,} MB |
| build of one more day, on a year | {", ".join(map(str, y["one_more_day"]["year"]))} | |
| build of one more day, on a month | {", ".join(map(str, y["one_more_day"]["month"]))} | |

| target | measured | |
|---|---|---|
| whole build at most {year.MAX_RATIO} times the hand-written SQL | {y["ratio"]} | {_verdict(y["ratio"] <= year.MAX_RATIO)} |
| under {year.MAX_MEMORY_MB:,.0f} MB | {memory:,} MB | {_verdict(memory < year.MAX_MEMORY_MB)} |
| completes under `memory_limit` 2 GB | yes | met |
| one more day on a year at most {year.MAX_DAY_RATIO} times that on a month | {y["day_ratio"]} | {_verdict(y["day_ratio"] <= year.MAX_DAY_RATIO)} |
| the queries of its models under {year.MAX_QUERIES_S:.0f} s | {queries} s, dbt's own DDL and look-ups left out (on a month {y["queries"]["month"]["seconds"]} s) | \
{_verdict(queries < year.MAX_QUERIES_S)} |
"""


if __name__ == "__main__":
    main(sys.argv[1:])
