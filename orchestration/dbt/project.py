"""The dbt project of an instance: where it is, what its process is told, its parsed manifest.

Here: paths, environment, preparation. Not here: running a build (`process`), assets (`orchestration.assets.models`).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ingestion.errors import VigieError
from orchestration.services import locks
from orchestration.settings import Settings

DBT_DIR: Final = Path(__file__).resolve().parents[2] / "dbt_project"
# Parsing takes 4 to 9 s alone; another process may be parsing for us on a loaded machine.
_PARSE_TIMEOUT_S: Final = 180.0


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that dbt's profile reads; those of secrets carry the prefix that dbt scrubs from its logs."""
    lake = settings.lake
    variables = {
        **settings.environment(),
        "VIGIE_EXTENSION_DIRECTORY": str(lake.extension_directory),
        "DBT_ENV_SECRET_VIGIE_LAKE_DSN": lake.dsn,
        "DBT_PROFILES_DIR": str(DBT_DIR),
        "DBT_PROJECT_DIR": str(DBT_DIR),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # Each statement and its plan made 14 MB a build, and a log cut in two; the SQL itself stands beside it (`compiled/`, `run/`).
        "DBT_LOG_LEVEL_FILE": "info",
    }
    if settings.duckdb_memory_limit is not None:
        variables["VIGIE_DUCKDB_MEMORY_LIMIT"] = settings.duckdb_memory_limit
    if settings.duckdb_threads is not None:
        variables["VIGIE_DUCKDB_THREADS"] = str(settings.duckdb_threads)
    if lake.s3 is not None:
        variables |= {
            "DBT_ENV_SECRET_VIGIE_S3_ACCESS_KEY": lake.s3.access_key,
            "DBT_ENV_SECRET_VIGIE_S3_SECRET_KEY": lake.s3.secret_key,
            "VIGIE_S3_ENDPOINT": lake.s3.endpoint,
            "VIGIE_S3_REGION": lake.s3.region,
            "VIGIE_S3_USE_TLS": str(lake.s3.use_tls).lower(),
        }
    return variables


def target(settings: Settings) -> str:
    """Return the profile's target: where the lake's files are decides which extensions dbt loads."""
    return "instance" if settings.lake.s3 is None else "instance_s3"


def ensure_manifest(settings: Settings) -> Path:
    """Return the project's manifest, parsed anew only when the project changed; processes may race.

    Raises:
        VigieError: the project does not parse; the message holds dbt's own.
    """
    manifest = settings.dbt_target_path / "manifest.json"
    stamp = settings.dbt_target_path / "manifest.digest"
    with locks.held(settings.run_path / "dbt-parse.lock", timeout_s=_PARSE_TIMEOUT_S, what="another process to parse the dbt project"):
        current = digest()
        if manifest.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == current:
            return manifest
        settings.dbt_target_path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", "parse", "--target", target(settings), "--no-use-colors"],
            cwd=DBT_DIR,
            env={**os.environ, **environment(settings), "DBT_TARGET_PATH": str(settings.dbt_target_path)},
            capture_output=True,
            text=True,
            timeout=_PARSE_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            raise VigieError(f"the dbt project does not parse:\n{done.stdout.strip()[-2000:]}", remedy="mend the model that dbt names")
        stamp.write_text(current, encoding="utf-8")
        return manifest


@lru_cache(maxsize=4)
def load_manifest(path: Path, _digest_of_content: str) -> dict[str, Any]:
    """Read a manifest once per content."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def manifest(settings: Settings) -> dict[str, Any]:
    """Return the parsed manifest of the project as it is now.

    Raises:
        VigieError: the project does not parse.
    """
    path = ensure_manifest(settings)
    return load_manifest(path, (settings.dbt_target_path / "manifest.digest").read_text(encoding="utf-8"))


def published_tables(manifest: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return, per published schema, the tables that a build makes and their descriptions (French)."""
    tables: dict[str, dict[str, str]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] in ("model", "seed") and node["config"]["materialized"] in ("table", "incremental", "seed"):
            schema = str(node["schema"]).removeprefix("work_")
            if schema in ("core", "indicators", "open_data"):
                tables.setdefault(schema, {})[str(node["alias"])] = str(node.get("description") or "")
    return tables


def digest() -> str:
    """Return the digest of the project's files: what its manifest depends on."""
    found = hashlib.sha256(sys.version.encode())
    for path in sorted(DBT_DIR.rglob("*")):
        if path.is_file() and path.suffix in (".sql", ".yml", ".csv", ".py") and not {"target", "logs"} & set(path.parts):
            found.update(str(path.relative_to(DBT_DIR)).encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def fault_types() -> frozenset[str]:
    """Return the fault types of the referential (`core.fault_type`): what a feed contract may name."""
    with (DBT_DIR / "seeds" / "core__fault_type.csv").open(encoding="utf-8", newline="") as file:
        return frozenset(row["fault_type"] for row in csv.DictReader(file))
