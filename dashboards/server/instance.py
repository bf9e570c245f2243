"""What the dashboard server is told by its instance: one file, mode 600, written before it starts.

Here: reading it. Not here: writing it (`orchestration.superset.server_file`); Superset's environment lacks the libraries that Vigie's
settings need, and must not hold the owner's secrets.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ingestion.lake.address import LakeAddress, S3Access
from ingestion.lake.session import EngineLimits

VARIABLE = "VIGIE_SUPERSET_FILE"


@dataclass(frozen=True)
class Instance:
    """The instance a dashboard server belongs to.

    Attributes:
        folder: where it may write (cache of query results).
        metadata_url: SQLAlchemy address of its own database.
        secret_key: what sessions and stored passwords are signed with.
        robot: the name of the account by which Vigie itself signs in.
        lake: the lake, as its reader.
        limits: what DuckDB may use in each worker.
        timeout_s: how long a query may take.
        title: what the pages are called.
        is_secure: whether it is reached by HTTPS, so that cookies travel by it alone.
    """

    folder: Path
    metadata_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    robot: str
    lake: LakeAddress
    limits: EngineLimits
    timeout_s: float
    title: str
    is_secure: bool


@cache
def load() -> Instance:
    """Read the file that `VIGIE_SUPERSET_FILE` names.

    Raises:
        KeyError: the variable is not set, or the file lacks a key.
        OSError: the file cannot be read.
        ValueError: it is not what `vigie up` writes.
    """
    path = Path(os.environ[VARIABLE])
    document = json.loads(path.read_text(encoding="utf-8"))
    lake, limits = document["lake"], document["limits"]
    return Instance(
        folder=Path(document["folder"]),
        metadata_url=document["metadata_url"],
        secret_key=document["secret_key"],
        robot=document["robot"]["login"],
        lake=LakeAddress(
            catalogue_url=lake["catalogue_url"],
            data_path=lake["data_path"],
            extension_directory=Path(lake["extension_directory"]),
            # Originals may hold personal data: a reader has no use for their place.
            originals_path=Path(os.devnull),
            s3=None if lake["s3"] is None else S3Access(**lake["s3"]),
        ),
        limits=EngineLimits(
            memory_limit=limits["memory_limit"], threads=limits["threads"], temp_directory=Path(document["folder"]) / "spill"
        ),
        timeout_s=float(document["timeout_s"]),
        title=document["title"],
        is_secure=document["is_secure"],
    )
