"""The instance's dashboards: what the sheets say, pushed to its server."""

from orchestration.settings import Settings


def push_when_due(settings: Settings) -> None:
    """Push when sheets, models or accounts changed since the last push."""
