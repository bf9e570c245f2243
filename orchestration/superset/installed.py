"""Whether Superset's own environment is there.

Here: the one check, asked before an instance starts and before the server is prepared. Not here: installing it (`make superset`).
"""

from __future__ import annotations

from ingestion.errors import VigieError
from orchestration.settings import Settings


def require(settings: Settings) -> None:
    """Refuse to go on without it.

    Raises:
        VigieError: it is not there.
    """
    if not settings.superset_python.exists():
        raise VigieError(
            f"Superset's environment is not installed: {settings.superset_python} is missing",
            remedy='install it (make superset), or start without dashboards: dashboards = "off" in instance.toml',
        )
