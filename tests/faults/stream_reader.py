"""One process that reads one partition, as the stream's asset does; tests kill it.

Run as `python -m tests.faults.stream_reader CONFIGURATION PARTITION`; the configuration is a pickle of (broker, lake, personal lake,
feeds).
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from ingestion.lake.session import EngineLimits
from ingestion.stream.partition import Pace, read_partitions


def main() -> None:
    """Read a partition until it has been quiet for a while, landing as often as it can."""
    broker, lake, personal, feeds = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301 - the test wrote it a moment ago
    pace = Pace(land_every_s=0.2, batch=5_000, idle_for_s=6.0)
    report = read_partitions(
        broker, lake, personal, lambda: feeds, [int(sys.argv[2])], pace=pace, limits=EngineLimits(memory_limit="256MB", threads=1)
    )
    print(report)


if __name__ == "__main__":
    main()
