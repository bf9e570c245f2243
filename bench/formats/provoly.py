"""Provoly: work orders as a maintenance system sends them, five hundred at a time.

Here: generated orders. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from bench.formats.case import Case
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireOptions

_AT_A_TIME: Final = 500


def _order(number: int) -> dict[str, Any]:
    day, at = 1 + number // 1_440 % 27, f"{number // 60 % 24:02d}:{number % 60:02d}:12.{number % 1_000_000:06d}Z"
    is_done = number % 4 > 0
    return {
        "id": f"DI{number:08d}",
        "description": "Deux lampes éteintes devant l'école, remplacer les ballasts." if number % 2 else None,
        "equipment": f"C-{number % 900}",
        "creationDate": f"2026-10-{day:02d}T{at}",
        "lastModificationDate": f"2026-10-{day + 1:02d}T{at}",
        "startDate": f"2026-10-{day:02d}T{at}",
        "endDate": f"2026-10-{day + 1:02d}T{at}",
        "domain": "EP",
        "status": "DONE" if is_done else "ASKED",
        "category": "CURA" if number % 5 else "PREV",
    }


CASE: Final = Case(
    "provoly",
    [json.dumps([_order(p * _AT_A_TIME + n) for n in range(_AT_A_TIME)], ensure_ascii=False).encode() for p in range(60)],
    msgspec.json.Decoder().decode,
    "msgspec",
    options=WireOptions(contract="intervention", time_zone="Europe/Paris", personal=FORMATS["provoly"].personal),
)
