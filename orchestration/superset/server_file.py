"""What the dashboard server is told by its instance: addresses and its own secrets, in one file of mode 600.

Here: writing it, and what derives from the same secret. Not here: reading it (`dashboards.server.instance`, in Superset's environment). The
file holds the reader's password and Superset's own, never the database owner's; of a lake on S3, the instance's one key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from orchestration.settings import Settings

VARIABLE: Final = "VIGIE_SUPERSET_FILE"
# The account by which Vigie itself pushes dashboards, roles and rules.
ROBOT: Final = "vigie"
# Half of what DuckDB would take by itself would starve the build: dashboards read tables that were made small.
_DEFAULT_MEMORY: Final = "1GB"
_DEFAULT_THREADS: Final = 2
# A chart that needs longer is not read by anybody; SQL Lab's bound is the same.
_TIMEOUT_S: Final = 30.0


def path(settings: Settings) -> Path:
    """Return where the file is."""
    return settings.superset_path / "server.json"


def robot_password(settings: Settings) -> str:
    """Return the password of Vigie's own account: derived, so that there is one secret less to keep."""
    secret = settings.superset_secret.get_secret_value().encode()
    return hmac.new(secret, b"vigie robot account", hashlib.sha256).hexdigest()


def write(settings: Settings) -> Path:
    """Write the file, whole or not at all, and return its path."""
    settings.superset_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lake = settings.reader_lake
    document = {
        "folder": str(settings.superset_path),
        "metadata_url": settings.superset_database_url.get_secret_value().replace("postgresql://", "postgresql+psycopg2://", 1),
        "secret_key": settings.superset_secret.get_secret_value(),
        "robot": {"login": ROBOT, "password": robot_password(settings)},
        "lake": {
            "catalogue_url": lake.catalogue_url,
            "data_path": lake.data_path,
            "extension_directory": str(lake.extension_directory),
            "s3": None if lake.s3 is None else asdict(lake.s3),
        },
        "limits": {
            "memory_limit": settings.duckdb_memory_limit or _DEFAULT_MEMORY,
            "threads": settings.duckdb_threads or _DEFAULT_THREADS,
        },
        "timeout_s": _TIMEOUT_S,
        "title": "Vigie",
        "is_secure": settings.profile == "server",
    }
    # mkstemp gives mode 600 from the first byte on.
    handle, draft = tempfile.mkstemp(dir=settings.superset_path, prefix=".server-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(document, file)
    Path(draft).replace(path(settings))
    return path(settings)
