"""Enedis: R63 in JSON and CSV, R65, R4x, Data Connect, downloads; whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final


def r63(points: list[Any], *, unit: Any = "W", quantity: Any = "PA", way: Any = "CONS", **measure: Any) -> bytes:
    """Return a file of one curve."""
    curve = {"grandeurMetier": way, "grandeurPhysique": quantity, "unite": unit, "points": points}
    flow = {"header": {"codeFlux": "R63"}, "mesures": [{"idPrm": "30001234567890", **measure, "grandeur": [curve]}]}
    return json.dumps(flow, ensure_ascii=False).encode()


def point(at: Any = "2026-01-15T00:00:00+01:00", value: Any = "1200", step: Any = "PT30M", **more: Any) -> dict[str, Any]:
    """Return one point."""
    return {"d": at, "v": value, "p": step, "n": "B", **more}


def data_connect(readings: list[Any], *, unit: Any = "W", **meter: Any) -> bytes:
    """Return an answer of Data Connect."""
    kind = {"unit": unit, "measurement_kind": "power", "aggregate": "average"}
    reading = {"usage_point_id": "30001234567890", "quality": "BRUT", "reading_type": kind, **meter, "interval_reading": readings}
    return json.dumps({"meter_reading": reading}).encode()


def reading(at: Any = "2026-01-15 00:30:00", value: Any = "1200", **more: Any) -> dict[str, Any]:
    """Return one point of Data Connect."""
    return {"value": value, "date": at, "interval_length": "PT30M", "measure_type": "B", **more}


def data_connect_2026(points: list[Any], *, unit: Any = "W", quantity: Any = "PA", way: Any = "CONS", **measure: Any) -> bytes:
    """Return an answer of Data Connect since 2026."""
    curve = {"grandeurMetier": way, "grandeurPhysique": quantity, "unite": unit, "points": points}
    period = {"dateDebut": "2026-01-15", "dateFin": "2026-01-16"}
    return json.dumps({"idPrm": "30001234567890", "etapeMetier": "BRUT", "periode": period, **measure, "grandeur": [curve]}).encode()


CSV_HEADER: Final = (
    "Identifiant PRM;Date de début;Date de fin;Grandeur physique;Grandeur métier;Etape métier;Unité;"
    "Horodate;Valeur;Nature;Pas;Indice de vraisemblance;Etat complémentaire"
)
CSV_LINE: Final = "30001234567890;2026-01-15;2026-01-16;PA;CONS;BRUT;W;2026-01-15T00:30:00+01:00;1200;B;PT30M;0;"
DOWNLOAD: Final = (
    "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Grandeur metier;Etape metier;Unite;Pas en minutes\r\n"
    "30001234567890;Courbe de charge;15/01/2026;16/01/2026;Energie active;Consommation;Comptage Brut;W;30\r\n"
    "Horodate;Valeur\r\n2026-01-15T00:30:00+01:00;1200\r\n2026-01-15T01:00:00+01:00;900\r\n"
)
R4X: Final = """<?xml version="1.0" encoding="UTF-8"?>
<Courbe><Entete><Identifiant_Flux>R4x</Identifiant_Flux></Entete><Corps><Identifiant_PRM>30001234567890</Identifiant_PRM>
<Donnees_Courbe><Granularite>10</Granularite><Unite_Mesure>kW</Unite_Mesure><Grandeur_Metier>PROD</Grandeur_Metier>
<Grandeur_Physique>EA</Grandeur_Physique>
<Donnees_Point_Mesure Horodatage="2026-01-15T00:00:00+01:00" Valeur_Point="6" Statut_Point="R"/></Donnees_Courbe></Corps></Courbe>"""
R65: Final = {
    "header": {"codeFlux": "R65"},
    "mesures": [
        {
            "idPrm": "30001234567890",
            "modeCalcul": "DIFF.INDEX",
            "pas": "P1D",
            "grandeur": [
                {"grandeurMetier": "CONS", "grandeurPhysique": "EA", "unite": "Wh", "points": [{"d": "2026-01-15", "v": "9000.5"}]}
            ],
        }
    ],
}

TOPIC: Final[str | None] = "ENEDIS_R63_P_CdC_M0000001_00001_20260116080000.json"
GOOD: Final = [
    r63([point(), point("2026-01-15T00:30:00+01:00", "900", tc="A", iv=0, ec=1)], periode={"dateDebut": "2026-01-15"}),
    r63([point(value=12)], unit="Wh", quantity="EA", way="PROD"),
    json.dumps(R65).encode(),
    data_connect([reading(), reading("2026-01-15 01:00:00", "900")]),
    data_connect_2026([point("2026-01-15 00:30:00", iv="0", ec="0"), point("2026-01-15 01:00:00", "900", iv="0", ec="0")]),
    data_connect_2026([{"v": "9000", "d": "2026-01-15"}], unit="Wh", quantity="EA", way="PROD", pas="P1D", contexte=[]),
    R4X.encode(),
    f"\ufeff{CSV_HEADER}\r\n{CSV_LINE}\r\n".encode(),
    f"{CSV_HEADER}\n{CSV_LINE}\n".replace("1200", "1 200,5").encode("cp1252"),
    DOWNLOAD.encode(),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"mesures": []}',
    b'{"mesures": [1]}',
    b'{"header": {"codeFlux": "R64"}, "mesures": [{"idPrm": "1"}]}',
    b'{"mesures": [{"idPrm": "1", "grandeur": {"points": 1}}]}',
    r63([point()]).replace(b'"v": "1200"', b'"v": "1200", "v": "1300"'),
    r63([point()]).replace(b'"v": "1200"', b'"v": "1200", "\\u0076": "1300"'),
    r63([point(value="douze")]),
    r63([point(value=None)]),
    r63([point(value={"a": []})]),
    r63([point(), "x"]),
    r63([point(), "x"]).replace(b'"1200"', b'"12\xb000"'),
    r63([point("hier")]),
    r63([point("2026-13-01T00:00:00+01:00")]),
    r63([point("2026-02-29T00:00:00+01:00")]),
    r63([point(5)]),
    r63([point(step="P1M")]),
    r63([point(step=None)]),
    r63([point()], unit=None),
    r63([point()], unit="furlong"),
    r63([point()], quantity="ERI", unit="varh"),
    r63([point()], way="NET"),
    r63([]),
    data_connect([reading("2026-03-29 02:30:00")]),
    data_connect([reading("2026-10-25 02:30:00")]),
    data_connect([]),
    data_connect_2026([]),
    data_connect_2026([{"v": "4680", "d": "2026-01-15 13:03:35"}], unit="VA", quantity="PMA", pas="P1D"),
    b'{"grandeur": 1}',
    b'{"error": "ADAM-ERR0123", "error_description": "The requested period cannot be anterior to the last activation date"}',
    b"<Courbe/>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><Courbe>&b;</Courbe>",
    R4X.replace("kW", "kWr").encode(),
    CSV_HEADER.encode(),
    b"Identifiant PRM;Grandeur physique;Unite;Horodate;Valeur;Type releve;Cadran\n1;EA;Wh;2026-01-15T00:00:00+01:00;12;AQ;HP\n",
    f"{CSV_HEADER}\n{CSV_LINE};;;;\n".encode(),
    f'{CSV_HEADER}\n"{CSV_LINE}\n{CSV_LINE}\n'.encode(),
    b"a;b\n1;2\n",
    b"Horodate;Valeur\n\x00;1\n",
    b"[" * 2000 + b"]" * 2000,
]
