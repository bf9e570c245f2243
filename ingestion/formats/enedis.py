"""Enedis: load curves and daily energies of meters, in the flows that Enedis hands over.

Here: telling JSON (R63, R65, Data Connect), XML (R4x) and CSV (R63, downloads) apart. Not here: each of them (`enedis_json`,
`enedis_xml`, `enedis_csv`), the arithmetic they share (`enedis_curve`).

`decode` follows `ingestion.formats.wire.Decoder`: energies come by column, a record is a point.
"""

from __future__ import annotations

import codecs
from typing import Final

from ingestion.formats import enedis_csv, enedis_json, enedis_xml
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import Unreadable, reject_unreadable
from ingestion.formats.wire_values import to_json  # noqa: F401 - the example's

_BLANK: Final = b" \t\r\n"


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,  # noqa: ARG001 - a point without instant is refused: it is never dated by its arrival
    topic: str | None = None,
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> points = [{"d": "2026-01-01T00:00:00+01:00", "v": "600", "p": "PT10M"}]
    >>> curve = {"grandeurMetier": "CONS", "grandeurPhysique": "PA", "unite": "W", "points": points}
    >>> batch = WireBatch()
    >>> payload = to_json({"header": {"codeFlux": "R63"}, "mesures": [{"idPrm": "1", "grandeur": [curve]}]}).encode()
    >>> decode(payload, batch, after=0, received_at=None, options=WireOptions())
    1
    >>> batch.tables[0][1]["energy_wh"].to_pylist()
    [100.0]
    """
    try:
        return _read(payload, batch, after, topic, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)


def _read(payload: bytes, batch: WireBatch, after: int, topic: str | None, options: WireOptions) -> int:
    head = payload.removeprefix(codecs.BOM_UTF8)[:256].lstrip(_BLANK)
    if head.startswith((b"{", b"[")):
        return enedis_json.read_document(payload.removeprefix(codecs.BOM_UTF8), batch, after, topic, options)
    if head.startswith(b"<"):
        return enedis_xml.read_document(payload, batch, after, options)
    if not payload.strip():
        raise Unreadable("empty", "an empty message")
    return enedis_csv.read_document(payload, batch, after, options)
