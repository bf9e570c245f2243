"""The French that Superset lacks or gets wrong.

Here: the corrections, laid over the language pack it serves. Not here: the titles of our own dashboards.
"""

from __future__ import annotations

from typing import Any


def complete(app: Any) -> None:
    """Lay our translations over the language pack that Superset serves."""
