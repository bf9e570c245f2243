"""How long the tests of chance try: as often as each landing can afford, or as often as a promise was accepted with.

Here: the one knob. `make test THOROUGH=1` asks for the second. Not here: what is tried.
"""

from __future__ import annotations

import os
from typing import TypeVar

# A number of times, or a few of them.
Amount = TypeVar("Amount")

IS_THOROUGH = os.environ.get("THOROUGH") == "1"


def times(usual: Amount, *, thorough: Amount) -> Amount:
    """Return how often something is tried."""
    return thorough if IS_THOROUGH else usual
