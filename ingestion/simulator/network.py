"""The territory's own network: Wi-Fi access points, fibre nodes and LoRaWAN gateways, and whether each is alive.

Here: feed `sim-reseau`, NGSI-LD over MQTT, a heartbeat every five minutes; what is silent says nothing. Not here: what a silent gateway
does to its sensors (`troubles.gateway_silences`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from ingestion.simulator import ngsi_text as ngsi
from ingestion.simulator.chance import uniforms
from ingestion.simulator.clock import DAY, HOUR, MINUTE
from ingestion.simulator.equipment import equipment
from ingestion.simulator.rhythm import busy
from ingestion.simulator.speaker import Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import LOST, Law, Trouble, everyday, gateway_silences, in_storms, without_supply
from ingestion.simulator.world import World

FEED: Final = "sim-reseau"
# Stock, NGSI type, asset type, model.
_KINDS: Final = (
    ("access_points", "WifiAccessPoint", "access_point", "Point d'accès extérieur"),
    ("fibre_nodes", "FibreNode", "fibre_node", "Commutateur de nœud"),
    ("gateways", "LoRaGateway", "lora_gateway", "Passerelle 8 canaux"),
)
# Radio and power over Ethernet outdoors: every two months, for an hour; a cut fibre or a switch once a year.
_ACCESS_POINT: Final = (Law(LOST, "link", 6.0, (60 * MINUTE, 1.0, 11 * MINUTE, 3 * DAY), in_storm=0.15),)
_FIBRE_NODE: Final = (Law(LOST, "fibre", 1.0, (3 * HOUR, 0.8, 20 * MINUTE, DAY)),)
# People with their Wi-Fi on around one access point, at the busiest.
_CLIENTS: Final = 42.0


class Network(Speaker):
    """The network of a world."""

    feed = FEED
    properties = (Property("heartbeat", "1"), Property("clients", "1"))
    period = 300

    def __init__(self, world: World) -> None:
        self._own = {stock: equipment(world, stock) for stock, *_ in _KINDS}
        self._codes = [e.code for stock, *_ in _KINDS for e in self._own[stock]]
        self._types = [kind for stock, kind, *_ in _KINDS for _ in self._own[stock]]
        self._points = len(self._own["access_points"])
        self._nodes = len(self._own["fibre_nodes"])
        super().__init__(world, [f"urn:ngsi-ld:{kind}:{code}" for kind, code in zip(self._types, self._codes, strict=True)])

    def inventory(self) -> list[dict[str, object]]:
        """Return access points, fibre nodes and gateways."""
        cabinets = self.world.territory.cabinets
        return [
            e.row(f"urn:ngsi-ld:{kind}:{e.code}", asset_type, model=model, parent_ref=None if e.cabinet < 0 else cabinets[e.cabinet].ref)
            for stock, kind, asset_type, model in _KINDS
            for e in self._own[stock]
        ]

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield whose heart is not heard: for ever, nobody sends a heartbeat later."""
        yield from everyday(self.world, FEED, self._points, _ACCESS_POINT, start, end)
        yield from in_storms(self.world, FEED, self._points, _ACCESS_POINT, start, end)
        yield from without_supply(self.world, self._own["access_points"], start, end)
        for t in everyday(self.world, FEED, self._nodes, _FIBRE_NODE, start, end):
            yield t._replace(asset=self._points + t.asset)
        for t in gateway_silences(self.world, start, end):
            yield t._replace(asset=self._points + self._nodes + t.asset, keeps=False)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return a heartbeat, and of an access point how many people are connected."""
        crowd = busy(observed) * (1 + 0.8 * self.world.scenarios.levels("market-day", observed))
        crowd *= 1 - 0.9 * self.world.scenarios.levels("lockdown", observed)
        clients = np.floor(_CLIENTS * crowd * (0.4 + 1.2 * uniforms(self.world.seed, "clients", entity, observed // 900)))
        return {"heartbeat": np.ones(len(entity)), "clients": np.where(entity < self._points, clients, np.nan)}

    def write(self, sent_at: int, told: Told) -> Message:
        """Return one entity."""
        entity, at, clients = int(told.entity[0]), int(told.observed[0]), float(told.values["clients"][0])
        said = ngsi.property_ld("heartbeat", "1", at)
        if not np.isnan(clients):
            said += f",{ngsi.property_ld('clients', str(int(clients)), at)}"
        body = f'{{"id":"{self.refs[entity]}","type":"{self._types[entity]}",{said}}}'
        return Message(sent_at, FEED, f"sim/reseau/{self._codes[entity]}", body.encode())
