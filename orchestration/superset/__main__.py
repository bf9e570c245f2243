"""`python -m orchestration.superset`: the dashboard server, as the supervisor runs it."""

import sys

from ingestion.errors import VigieError
from orchestration.settings import Settings
from orchestration.superset.process import run

if __name__ == "__main__":
    try:
        sys.exit(run(Settings.load()))
    except VigieError as error:
        sys.exit(f"error: {error}")
