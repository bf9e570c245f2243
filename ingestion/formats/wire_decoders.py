"""Which decoder reads which wire format.

Here: the table. Not here: any format.
"""

from __future__ import annotations

from typing import Final

from ingestion.errors import WrongUse
from ingestion.formats import ngsi
from ingestion.formats.wire import Decoder

DECODERS: Final[dict[str, Decoder]] = {"ngsi": ngsi.decode}


def decoder_for(format_type: str) -> Decoder:
    """Return the decoder of a format (`format.type` of a contract).

    Raises:
        WrongUse: the format is not decoded but mapped, or unknown.
    """
    try:
        return DECODERS[format_type]
    except KeyError:
        raise WrongUse(
            f"messages of format {format_type!r} are not decoded", remedy=f"one of {', '.join(DECODERS)}; or map json records"
        ) from None
