"""Hub'Eau: pages, bare records, stations and sites; whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

V2: Final[dict[str, Any]] = {
    "code_site": "H0800010",
    "code_station": "H080001001",
    "grandeur_hydro": "H",
    "date_obs": "2026-11-20T06:05:00Z",
    "resultat_obs": -44.0,
    "code_qualification_obs": 16,
    "libelle_qualification_obs": "Non qualifiée",
    "longitude": 4.07,
    "latitude": 48.29,
    "code_statut": 4,
    "libelle_statut": "Brute",
}
V1: Final = {**{k: v for k, v in V2.items() if "statut" not in k}, "statut_serie": 4, "grandeur_hydro": "Q", "resultat_obs": 147629.0}
SITE_FLOW: Final = {**V2, "code_station": None, "grandeur_hydro": "Q"}
ELABORATED: Final = {
    "code_site": "H0800010",
    "code_station": "H080001001",
    "date_obs_elab": "2004-04-22",
    "resultat_obs_elab": 70642.0,
    "code_statut": 16,
    "libelle_statut": "Donnée validée",
    "code_qualification": 20,
    "libelle_qualification": "Bonne",
    "grandeur_hydro_elab": "QmnJ",
}
STATION: Final = {
    "code_site": "H0800010",
    "libelle_site": "La Seine à Troyes",
    "code_station": "H080001001",
    "libelle_station": "La Seine à Troyes [Pont]",
    "type_station": "STD",
    "longitude_station": 4.07,
    "latitude_station": 48.29,
    "libelle_commune": "TROYES",
    "en_service": True,
    "date_ouverture_station": "1996-02-15T00:00:00Z",
    "date_maj_station": "2021-12-03T13:47:10Z",
}
SITE: Final = {"code_site": "H0800010", "libelle_site": "La Seine à Troyes", "longitude_site": 4.07, "latitude_site": 48.29}


def page(*records: Any) -> bytes:
    """Return a page of records."""
    return json.dumps({"count": len(records), "next": None, "api_version": "2.0.1", "data": list(records)}, ensure_ascii=False).encode()


def line(record: Any, **changes: Any) -> bytes:
    """Return a bare record."""
    return json.dumps({**record, **changes}, ensure_ascii=False).encode()


TOPIC: Final[str | None] = None
GOOD: Final = [
    page(V2, V1, SITE_FLOW),
    line(V2),
    line(V1),
    page(ELABORATED),
    page(STATION),
    line(SITE),
    json.dumps([STATION]).encode(),
    json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": V2, "geometry": None}]}).encode(),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"count": 0, "data": []}',
    b'{"code": "ValidatePredicate", "message": "Parametre code_entite"}',
    page("x"),
    line(V2, resultat_obs=None),
    line(V2, resultat_obs="haut"),
    line(V2, resultat_obs={"a": 1}),
    line(V2, grandeur_hydro="T"),
    line(V2, date_obs="hier"),
    line(V2, date_obs=None),
    line(V2, code_station=None, code_site=None),
    line(V2)[:-1] + b', "resultat_obs": 12}',
    line(V2)[:-1] + b', "resultat_obs" : 12}',
    line(V2)[:-1] + b', "\\u0072esultat_obs": 12}',
    line(V2, resultat_obs=0).replace(b": 0,", b": 1e999,"),
    line(STATION, longitude_station=770_000.0),
    line(STATION, code_station=""),
    b"[" * 2000 + b"]" * 2000,
]
