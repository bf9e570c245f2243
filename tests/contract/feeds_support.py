"""Contracts for the tests of feed contracts: one of each kind that is right, to be broken in one place.

Here: texts. Not here: tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

HEAD: Final = """\
feed: {feed}
title: Essai
contract: {contract}
domain: GRC
owner: {{name: Service}}
steward: {{name: Service}}
source: {{publisher: Ville, licence: etalab-2.0}}
territory: {{code: ville, name: Ville, time_zone: Europe/Paris, holidays: FR, latitude: 48.9, longitude: 2.3}}
time_zone: Europe/Paris
"""

# The line numbers in the tests are counted in these texts: the first line after HEAD is line 10.
REPORT: Final = (
    HEAD.format(feed="grc-essai", contract="report")
    + """\
fields:
  - {name: Numéro}
  - {name: Ouvert le, type: datetime, format: "%d/%m/%Y %H:%M"}
  - {name: Fermé le, type: datetime, format: "%d/%m/%Y %H:%M"}
  - {name: Nom, classification: personal}
  - {name: Lon, type: number}
mapping:
  report_ref: Numéro
  opened_at: Ouvert le
  closed_at: {column: Fermé le}
  longitude: Lon
"""
)

OBSERVATION: Final = (
    HEAD.format(feed="capteurs", contract="observation")
    + """\
fields:
  - {name: id}
  - {name: ts, type: datetime}
  - {name: temp, type: number}
  - {name: etat}
mapping:
  asset_ref: id
  observed_at: ts
measures:
  - {column: temp, property: air_temperature, unit: Cel, minimum: -40, maximum: 60}
  - {column: etat, property: state, text: true}
indicators:
  states:
    - {property: state, failed: [HS], ok: [OK], fault_type: lamp-out}
"""
)

ENERGY: Final = (
    HEAD.format(feed="compteurs", contract="energy_reading")
    + """\
fields:
  - {name: PRM}
  - {name: debut, type: datetime}
  - {name: fin, type: datetime}
  - {name: kWh, type: number}
mapping:
  meter_ref: PRM
  start_at: debut
  end_at: fin
  energy_wh: {column: kWh, unit: kW.h}
indicators:
  baselines:
    - {start: 2025-01-01, end: 2026-01-01, tolerance_pct: 10}
"""
)

ASSET: Final = (
    HEAD.format(feed="mats", contract="asset")
    + """\
fields:
  - {name: id}
  - {name: pose, type: date}
  - {name: watts, type: number}
mapping:
  asset_ref: id
  asset_type: {constant: light-point}
  installed_on: pose
  rated_power_w: {column: watts, unit: W}
"""
)

INTERVENTION: Final = (
    HEAD.format(feed="travaux", contract="intervention")
    + """\
fields:
  - {name: bon}
  - {name: demande, type: datetime}
  - {name: nature}
mapping:
  intervention_ref: bon
  requested_at: demande
  kind: {column: nature, values: {C: curative, P: preventive}}
indicators:
  faults:
    - {category: "lampe*", fault_type: lamp-out}
"""
)

RIGHT: Final = {"report": REPORT, "observation": OBSERVATION, "energy_reading": ENERGY, "asset": ASSET, "intervention": INTERVENTION}


def write(folder: Path, text: str, name: str = "essai.yaml") -> Path:
    """Write a contract and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def line_of(text: str, part: str) -> int:
    """Return the line, from 1, on which a part of a text stands; it must stand there once."""
    assert text.count(part) == 1, (part, text.count(part))
    return text[: text.index(part)].count("\n") + 1
