"""Hub'Eau: pages of observations in real time.

Here: generated records. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from bench.formats.case import Case


def record(number: int) -> dict[str, Any]:
    """Return one observation of v2, as the API words it."""
    minutes = number // 200 * 5
    day, hour, minute = 1 + minutes // 1440 % 28, minutes // 60 % 24, minutes % 60
    return {
        "code_site": f"H4{number % 200:06d}",
        "code_station": f"H4{number % 200:06d}01",
        "grandeur_hydro": "HQ"[number % 2],
        "date_debut_serie": f"2026-10-{day:02d}T00:05:00Z",
        "date_fin_serie": f"2026-10-{day:02d}T23:55:00Z",
        "code_systeme_alti_serie": 31,
        "date_obs": f"2026-10-{day:02d}T{hour:02d}:{minute:02d}:00Z",
        "resultat_obs": 400.0 + number % 977,
        "code_methode_obs": 0,
        "libelle_methode_obs": "Mesurée",
        "code_qualification_obs": 16,
        "libelle_qualification_obs": "Non qualifiée",
        "longitude": 4.782579717,
        "latitude": 50.089049099,
        "code_statut": 4,
        "libelle_statut": "Brute",
        "code_continuite": 0,
        "libelle_continuite": "Continue",
    }


def _page(number: int) -> bytes:
    """Return a page of a thousand observations, the API's own size of a page."""
    records = [record(n) for n in range(number * 1_000, number * 1_000 + 1_000)]
    link = "https://hubeau.eaufrance.fr/api/v2/hydrometrie/observations_tr?code_entite=H4*&cursor=AoJw"
    page = {"count": 40_000, "next": link, "api_version": "2.0.1", "data": records}
    return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()


CASE: Final = Case("hubeau", [_page(n) for n in range(40)], msgspec.json.Decoder().decode, "msgspec")
