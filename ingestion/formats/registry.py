"""The wire formats: those whose messages and files say by themselves what they hold.

Here: one line a format, read without importing any decoder. Not here: decoding. docs/add-a-format.md shows how a line is added.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final, cast

from ingestion.errors import WrongUse
from ingestion.formats.wire import Decoder

_JSON: Final = ("application/json", "application/ld+json", "application/geo+json")
_XML: Final = ("application/xml", "text/xml")


@dataclass(frozen=True)
class WireFormat:
    """One format.

    Attributes:
        module: the module whose `decode` follows `ingestion.formats.wire.Decoder`.
        title: its name for people.
        contracts: what its messages become; the first is what a feed of it mostly holds.
        media_types: what the HTTP intake takes for it.
        personal: members that name or describe a person: never in the main lake, unless a feed's contract declares the member
            with another classification.
    """

    module: str
    title: str
    contracts: tuple[str, ...]
    media_types: tuple[str, ...] = _JSON
    personal: frozenset[str] = frozenset()

    def decoder(self) -> Decoder:
        """Return its decoder; the module is imported at the first use."""
        return cast("Decoder", importlib.import_module(self.module).decode)


FORMATS: Final[dict[str, WireFormat]] = {
    "ngsi": WireFormat("ingestion.formats.ngsi", "NGSI-LD, NGSIv2", ("observation", "asset")),
    "talq": WireFormat("ingestion.formats.talq", "TALQ 2.7", ("observation", "asset")),
    "lorawan": WireFormat("ingestion.formats.lorawan", "LoRaWAN uplinks (ChirpStack v4, The Things Stack)", ("observation", "asset")),
    "sensorthings": WireFormat("ingestion.formats.sensorthings", "OGC SensorThings 1.1", ("observation", "asset")),
    "cap": WireFormat(
        "ingestion.formats.cap",
        "CAP 1.2, alone or in Atom",
        ("observation", "asset"),
        (*_XML, "application/cap+xml", "application/atom+xml", "application/rss+xml"),
        frozenset({"addresses", "contact"}),
    ),
    "gtfs-rt": WireFormat(
        "ingestion.formats.gtfs_rt",
        "GTFS-Realtime",
        ("observation", "asset"),
        ("application/x-protobuf", "application/protobuf", "application/x-google-protobuf", "application/octet-stream", "application/json"),
    ),
    "enedis": WireFormat("ingestion.formats.enedis", "Enedis load curves (R63, R4x, Data Connect)", ("energy_reading",), (*_JSON, *_XML)),
    "hubeau": WireFormat("ingestion.formats.hubeau", "Hub'Eau v2 hydrometry", ("observation", "asset")),
    "vigicrues": WireFormat("ingestion.formats.vigicrues", "Vigicrues", ("observation", "asset")),
    "open311": WireFormat(
        "ingestion.formats.open311",
        "Open311 GeoReport v2",
        ("report",),
        (*_JSON, *_XML),
        frozenset(
            "account_id author citicen_name contact contact_email contact_name contact_phone description detail device_id email first_name "
            "full_name last_name media media_url media_urls note notes phone requestor_name status_notes title username".split()
        ),
    ),
    "provoly": WireFormat(
        "ingestion.formats.provoly",
        "Provoly work orders and equipment",
        ("intervention", "asset"),
        _JSON,
        frozenset(("assignee", "author", "email", "jrjrRequester", "operator", "phone", "requester", "user", "username")),
    ),
}


def decoder_for(format_type: str) -> Decoder:
    """Return the decoder of a format (`format.type` of a contract).

    Raises:
        WrongUse: the format is not decoded but mapped, or unknown.
    """
    try:
        return FORMATS[format_type].decoder()
    except KeyError:
        raise WrongUse(
            f"messages of format {format_type!r} are not decoded", remedy=f"one of {', '.join(FORMATS)}; or map json records"
        ) from None
