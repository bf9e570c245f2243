"""LoRaWAN devices as their network servers know them: identifiers, what describes them, radio quality.

Here: what ChirpStack's and The Things Stack's messages share. Not here: what is measured (`buildings`, `bins`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from ingestion.simulator.chance import uniforms
from ingestion.simulator.equipment import Equipment
from ingestion.simulator.speaker import Floats, Ints
from ingestion.simulator.troubles import Trouble, gateway_silences
from ingestion.simulator.world import World


def eui(block: str, number: int) -> str:
    """Return a device's EUI-64, as an asset is called by it: sixteen capitals; `block` is a maker's first ten.

    >>> eui("70B3D5F0A1", 7)
    '70B3D5F0A1000007'
    """
    return f"{block}{number:06X}"


def identifier(seed: int, *key: str | int) -> str:
    """Return a UUID that is always the same for a key."""
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"


def radio(seed: int, entity: Ints, observed: Ints) -> tuple[Floats, Floats]:
    """Return RSSI (dBm) and SNR (dB) of uplinks: some devices stand far from their gateway, and it rains."""
    far = uniforms(seed, "far", entity)
    noise = uniforms(seed, "radio", entity, observed)
    return np.round(-70 - 45 * far - 8 * noise), np.round(9.5 - 14 * far - 5 * (noise - 0.5), 1)


def battery(seed: int, entity: Ints, observed: Ints) -> Floats:
    """Return battery levels, percent: a cell lasts five years, and is changed at a tenth."""
    lasts = 5 * 31_557_600
    phase = uniforms(seed, "cell", entity)
    found: Floats = np.round(100 - 90 * ((observed / lasts + phase) % 1))
    return found


def behind_gateways(world: World, devices: Sequence[Equipment], start: int, end: int) -> Iterator[Trouble]:
    """Yield, device by device, when its gateway is silent; what it heard is sent later."""
    for t in gateway_silences(world, start, end):
        for device in devices:
            if device.gateway == t.asset:
                yield t._replace(asset=device.number)


def tags(e: Equipment, asset_type: str, parent_ref: str) -> dict[str, str]:
    """Return what a device's owner says of it, in the words of the lake."""
    return {
        "asset_type": asset_type,
        "parent_ref": parent_ref,
        "commune": e.commune,
        "street": e.street,
        "longitude": f"{e.longitude}",
        "latitude": f"{e.latitude}",
        "owner_authority": e.authority,
        "installed_on": e.installed_on.isoformat(),
    }
