"""Open311: a page of a thousand service requests, the norm's own limit, as servers answer them.

Here: generated requests. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from bench.formats.case import Case
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireOptions

_A_PAGE: Final = 1_000


def _request(number: int) -> dict[str, Any]:
    day, minute = 1 + number // 1_440 % 28, number % 1_440
    at = f"2026-10-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:07+02:00"
    is_closed = number % 3 > 0
    return {
        "service_request_id": f"26-{number:08d}",
        "status": "closed" if is_closed else "open",
        "status_notes": "Réparation faite par l'équipe de nuit." if is_closed else None,
        "service_name": ("Éclairage en panne", "Dépôt sauvage", "Nid-de-poule", "Feu tricolore")[number % 4],
        "service_code": f"{number % 4:03d}",
        "description": "Le lampadaire devant l'école est éteint depuis trois soirs, on n'y voit plus rien en sortant.",
        "agency_responsible": "Service éclairage public",
        "service_notice": None,
        "requested_datetime": at,
        "updated_datetime": f"2026-11-{day:02d}T{minute // 60:02d}:{minute % 60:02d}:41+01:00",
        "expected_datetime": None,
        "address": f"{1 + number % 90} rue de la Marne, 51000 Châlons-en-Champagne",
        "address_id": None,
        "zipcode": "51000",
        "lat": 48.95 + number % 1_000 / 50_000,
        "long": 4.35 + number % 977 / 50_000,
        "media_url": f"https://signalements.example.org/photos/{number}.jpg" if number % 5 == 0 else None,
    }


CASE: Final = Case(
    "open311",
    [json.dumps([_request(p * _A_PAGE + n) for n in range(_A_PAGE)], ensure_ascii=False).encode() for p in range(20)],
    msgspec.json.Decoder().decode,
    "msgspec",
    options=WireOptions(contract="report", time_zone="Europe/Paris", personal=FORMATS["open311"].personal),
)
