"""NGSI: entities, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Final

from tests.unit.ngsi_support import FEATURE, KEY_VALUES, LD_CONCISE, LD_NORMALIZED, NORMALIZED

TOPIC: Final[str | None] = None
GOOD: Final = [json.dumps(shape).encode() for shape in (KEY_VALUES, NORMALIZED, LD_NORMALIZED, LD_CONCISE, FEATURE)]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"id": 1, "type": "T"}',
    b'{"id": "a", "id": "b", "type": "T", "x": 1}',
    b"[" * 200 + b"]" * 200,
    b'{"id": "a", "type": "T", "x": "\\u0000"}',
    b'{"id": "a", "type": "T", "x": 1e999}',
]
