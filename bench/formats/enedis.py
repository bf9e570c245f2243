"""Enedis R63: two months of ten meters at five minutes, as one JSON file.

Here: generated curves. Not here: measuring.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Final

import msgspec

from bench.formats.case import Case
from ingestion.formats.wire import WireOptions

_METERS: Final = 10
_DAYS: Final = 60
_STEP: Final = dt.timedelta(minutes=5)
_WINTER: Final = dt.timezone(dt.timedelta(hours=1))


def _points(meter: int) -> list[dict[str, Any]]:
    begin = dt.datetime(2025, 12, 1, tzinfo=_WINTER)
    count = _DAYS * 24 * 12
    return [{"d": (begin + i * _STEP).isoformat(), "v": str(2_000 + (i * 37 + meter) % 900), "p": "PT5M", "n": "R"} for i in range(count)]


def _file() -> bytes:
    measures = [
        {
            "idPrm": f"300000000000{meter:02d}",
            "etapeMetier": "BRUT",
            "periode": {"dateDebut": "2025-12-01", "dateFin": "2026-01-30"},
            "grandeur": [{"grandeurMetier": "CONS", "grandeurPhysique": "PA", "unite": "W", "points": _points(meter)}],
        }
        for meter in range(_METERS)
    ]
    header = {"siDemandeur": "SGE", "codeFlux": "R63", "idDemande": "M0000001", "format": "JSON"}
    return json.dumps({"header": header, "mesures": measures}, separators=(",", ":")).encode()


CASE: Final = Case("enedis", [_file()], msgspec.json.Decoder().decode, "msgspec", "R63.json", WireOptions(max_bytes=256 * 1024 * 1024))
