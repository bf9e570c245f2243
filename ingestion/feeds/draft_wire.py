"""Drafting a contract for a file of messages that say by themselves what they hold: which wire format it is.

Here: trying the decoders on the first messages. Not here: decoding (`ingestion.formats`), the text (`draft_write`).
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from ingestion.errors import BadFile
from ingestion.formats import Bounds
from ingestion.formats.message_files import messages_of
from ingestion.formats.model import MIB
from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireBatch, WireOptions

# Enough messages to tell a format: each decoder reads them once.
_TRIED: Final = 20
# A document past this is a file of a format that is recognised by its beginning as well; trying twelve decoders on it would take long.
_TRIED_BYTES: Final = 16 * MIB
# Real files hold records that are wrong; a file that is mostly refused is of another format.
_GOOD_SHARE: Final = 0.8
_SHOWN: Final = 12


@dataclass(frozen=True)
class WireFile:
    """What a file of messages turned out to be.

    Attributes:
        format: the name of its wire format.
        title: the same for people.
        contract: what most of its rows are.
        records: how many were tried.
        refused: how many of them were rejected.
        rows: what was made of them.
        unitless: properties whose numbers come without a unit, with an example.
    """

    format: str
    title: str
    contract: str
    records: int
    refused: int
    rows: int
    unitless: dict[str, float] = field(default_factory=dict)


def wire_file(path: Path, *, bounds: Bounds = Bounds()) -> WireFile | None:
    """Return which wire format a file is of; None when it is of none.

    A file that several decoders can read is of the one that reads most of its records, then of the one that makes most of them.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="vigie-draft-") as work:
            limits = replace(bounds, max_json_bytes=_TRIED_BYTES)
            messages = list(itertools.islice(messages_of(path, bounds=limits, workdir=Path(work)), _TRIED))
    except BadFile:
        return None  # no messages: whatever else it is, the readers of tables say
    found = [tried for name in FORMATS if (tried := _tried(name, messages)) is not None]
    return max(found, key=lambda f: (_share(f), f.rows), default=None)


def _share(found: WireFile) -> float:
    return 1 - found.refused / found.records


def _tried(name: str, messages: list[tuple[bytes, str]]) -> WireFile | None:
    wire = FORMATS[name]
    decode, batch, records = wire.decoder(), WireBatch(), 0
    options = WireOptions(contract=wire.contracts[0], time_zone="Europe/Paris", personal=wire.personal, max_bytes=_TRIED_BYTES,
                          max_records=1_000_000)  # fmt: skip
    for payload, topic in messages:
        records += decode(payload, batch, after=records, received_at=None, topic=topic, options=options)
    rows = Counter({contract: len(found) for contract, found in batch.rows()})
    for contract, table in batch.tables:
        rows[contract] += table.num_rows
    refused = len({r.position for r in batch.rejects if r.scope == "record"})
    if not records or not rows.total() or 1 - refused / records < _GOOD_SHARE:
        return None
    (contract, _), *_ = rows.most_common(1)
    unitless = {o.property: o.value for o in batch.observations if o.value is not None and o.unit is None and o.value_text is None}
    return WireFile(name, wire.title, contract, records, refused, rows.total(), dict(itertools.islice(sorted(unitless.items()), _SHOWN)))
