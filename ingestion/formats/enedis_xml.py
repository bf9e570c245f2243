"""Enedis in XML: R4x (R4H, R4Q, R4M), load curves of sites above 36 kVA.

Here: elements to columns. Not here: XML and its dangers (`wire_xml`), units, times and energies (`enedis_curve`).

`Valeur_Point` at `Horodatage` H is the mean over [H, H + Granularite) (Enedis, implementation guide of R4x 2.0.3), in the site's legal
time with its offset.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from lxml import etree

from ingestion.formats.enedis_curve import FLUSH_POINTS, Points, add, curve_of
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import Unreadable
from ingestion.formats.wire_xml import local_name, read_xml

_ROOT: Final = "Courbe"
_CURVE: Final = "Donnees_Courbe"
_POINT: Final = "Donnees_Point_Mesure"


def read_document(payload: bytes, batch: WireBatch, after: int, options: WireOptions) -> int:
    """Translate one XML message and return how many points it holds.

    Raises:
        Unreadable: it is no XML, or no R4x.
    """
    root = read_xml(payload, options)
    curves = [e for e in root.iter() if local_name(e) == _CURVE]
    if not curves and local_name(root) == _ROOT:
        raise Unreadable("empty", f"an R4x without any {_CURVE}")
    if not curves:
        raise Unreadable("unknown_flow", f"<{local_name(root)[:40]}> holds no {_CURVE}: of the XML flows, R4x is read")
    position = after
    for curve in curves:
        position = _read_curve(curve, position, batch, options)
    return position - after


def _read_curve(element: etree._Element, position: int, batch: WireBatch, options: WireOptions) -> int:
    said = {local_name(child): (child.text or "").strip() for child in element if local_name(child) != _POINT}
    points = [child for child in element if local_name(child) == _POINT]
    if not points:
        position += 1
        batch.reject(position, "no_points", "a curve without any point", None if options.personal else str(said)[:200])
        return position
    meter = next((m for m in map(_meter, element.iterancestors()) if m is not None), None)
    curve = curve_of(meter, said.get("Grandeur_Physique"), said.get("Grandeur_Metier"), said.get("Unite_Mesure"), stamped="start")
    step = said.get("Granularite") or None
    for begin in range(0, len(points), FLUSH_POINTS):
        some = points[begin : begin + FLUSH_POINTS]
        texts: tuple[list[Any], ...] = (
            [p.get("Horodatage") for p in some],
            [p.get("Valeur_Point") for p in some],
            [step] * len(some),
            [(p.get("Statut_Point") or "").strip() or None for p in some],
        )
        positions = np.arange(position + 1, position + 1 + len(some))
        add(Points(positions, np.zeros(len(some), dtype=np.int64), *texts), [curve], batch, options)
        position += len(some)
    return position


def _meter(ancestor: etree._Element) -> str | None:
    for child in ancestor:
        if local_name(child) == "Identifiant_PRM" and child.text:
            return str(child.text).strip()
    return None
