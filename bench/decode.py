"""Decoding, on one core, against the bare parse of the same bytes by the underlying library: `python -m bench.decode [FORMAT…]`.

Here: measuring what `bench.formats` holds. Not here: landing what was decoded (`bench.stream`).
"""

from __future__ import annotations

import gc
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from bench import formats
from bench.formats.case import Case
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireBatch

MIN_RATIO: Final = 0.5
_ROUNDS: Final = 5
# How often rows are counted: counting after each message would cost small ones as much as their decoding.
_COUNTED_EACH: Final = 100
_MIB: Final = 1024 * 1024


def _cases(names: list[str]) -> list[Case]:
    found = [m.name for m in pkgutil.iter_modules(formats.__path__) if m.name != "case"]
    return [c for name in found if (c := importlib.import_module(f"bench.formats.{name}").CASE).format in (names or FORMATS)]


def _best(work: Callable[[], object]) -> float:
    """Return the shortest of some runs, in seconds: the others were disturbed."""
    times = []
    for _ in range(_ROUNDS):
        gc.collect()
        gc.disable()  # as the landing does: a batch is hundreds of thousands of objects that all live until its end
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
        gc.enable()
    return min(times)


def _decode_all(case: Case) -> tuple[int, int]:
    decode, batch, after, rows = FORMATS[case.format].decoder(), WireBatch(), 0, 0
    for number, payload in enumerate(case.payloads):
        after += decode(payload, batch, after=after, received_at=1_763_800_000_000_000, topic=case.topic, options=case.options)
        if number % _COUNTED_EACH:
            continue
        count = sum(len(found) for _, found in batch.rows()) + sum(t.num_rows for _, t in batch.tables)
        if count > 50_000:
            rows += count
            batch = WireBatch()
    if batch.rejects:
        raise AssertionError(f"{case.format}: {batch.rejects[0]}")
    return after, rows + sum(len(found) for _, found in batch.rows()) + sum(t.num_rows for _, t in batch.tables)


def measure(case: Case) -> dict[str, Any]:
    """Return one format's rates."""
    records, rows = _decode_all(case)
    size = sum(map(len, case.payloads))

    def bare() -> None:
        for payload in case.payloads:
            case.bare(payload)

    alone, whole = _best(bare), _best(lambda: _decode_all(case))
    return {
        "format": case.format,
        "library": case.library,
        "messages": len(case.payloads),
        "mean_bytes": round(size / len(case.payloads)),
        "records": records,
        "rows": rows,
        "messages_per_s": round(len(case.payloads) / whole),
        "rows_per_s": round(rows / whole),
        "mb_per_s": round(size / _MIB / whole, 1),
        "bare_mb_per_s": round(size / _MIB / alone, 1),
        "ratio": round(alone / whole, 2),
    }


def main(words: list[str]) -> None:
    """Measure the named formats (all by default) and print JSON."""
    print(json.dumps({"formats": [measure(case) for case in _cases(words)]}))


if __name__ == "__main__":
    main(sys.argv[1:])
