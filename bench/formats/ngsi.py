"""NGSI-LD as a concentrator sends it: one light, four measures.

Here: generated entities. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from bench.formats.case import Case


def _entity(number: int) -> bytes:
    at = f"2026-11-22T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
    measures = {"powerState": "on", "activePower": 30 + number % 100 / 8, "voltage": 228 + number % 37 / 8, "energy": number / 4}
    attributes = {name: {"type": "Property", "value": value, "observedAt": at} for name, value in measures.items()}
    context = ["https://example.org/context.jsonld"]
    return json.dumps({"id": f"urn:ngsi-ld:Streetlight:{number % 7290}", "type": "Streetlight", **attributes, "@context": context}).encode()


CASE: Final = Case("ngsi", [_entity(n) for n in range(20_000)], msgspec.json.Decoder().decode, "msgspec")
