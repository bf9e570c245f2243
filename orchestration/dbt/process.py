"""The one process that changes what is built: dbt, under the lake's mutation lock.

Here: taking the lock, fixing which landings the run sees, recording a build that passed. Not here: what is built (dbt's
project), who asks (`orchestration.assets.models`), what people read (`ingestion.lake.publish`).

The lock is held by this very process: when whoever asked is killed and dbt goes on, a second build still waits for it;
when dbt itself is killed, the lock goes with it. `raw.build` gets its line only when everything passed, under the same
lock, so the snapshot it names is the build and nothing else.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

# dbt's commands that change tables; the others (parse, list) need no lock.
_MUTATING: Final = frozenset({"build", "run", "seed", "snapshot"})
# What a run is told (macro `run_setting`) stands in the environment: a `--vars` that changes costs dbt its partial parse,
# four seconds of each build. dbt writes variables of this prefix into its artefacts, so that those of a run say what it was.
_PREFIX: Final = "DBT_ENV_CUSTOM_ENV_VIGIE_"
BUILD_ID: Final = f"{_PREFIX}BUILD_ID"
INPUTS_DIGEST: Final = f"{_PREFIX}INPUTS_DIGEST"
MAX_LANDING_SEQ: Final = f"{_PREFIX}MAX_LANDING_SEQ"
AS_OF: Final = f"{_PREFIX}AS_OF"
REPROCESS_FROM: Final = f"{_PREFIX}REPROCESS_FROM"
REPROCESS_TO: Final = f"{_PREFIX}REPROCESS_TO"


def run() -> None:
    """Run dbt with this process's arguments (the `vigie-dbt` program)."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        # dagster-dbt asks at each run; dbt's own answer takes four seconds of imports.
        sys.stdout.write(f"dbt {version('dbt-core')}\n")
        return
    if not _MUTATING & set(arguments):
        sys.exit(_dbt(arguments))
    from ingestion.lake.builds import next_build, record_build
    from ingestion.lake.session import MUTATE_LOCK, advisory_lock
    from orchestration.settings import Settings

    settings = Settings.load(Path(os.environ["VIGIE_HOME"]))
    with advisory_lock(settings.lake, MUTATE_LOCK):
        landing_seq = next_build(settings.lake)
        os.environ[MAX_LANDING_SEQ] = str(landing_seq)
        code = _dbt(arguments)
        build_id = os.environ.get(BUILD_ID)
        if code == 0 and build_id:
            record_build(
                settings.lake, build_id, landing_seq, finished_at=dt.datetime.now(dt.UTC), inputs_digest=os.environ.get(INPUTS_DIGEST)
            )
    sys.exit(code)


def _dbt(arguments: list[str]) -> int:
    from dbt.cli.main import cli

    try:
        cli(arguments, standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        # click and dbt end a failed run with exceptions that carry their exit code; anything else is a crash to be seen.
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        return code
    return 0
