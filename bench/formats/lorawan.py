"""LoRaWAN uplinks as ChirpStack v4 publishes them: a CO2 sensor heard by two gateways.

Here: generated events. Not here: measuring.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from bench.formats.case import Case


def _uplink(number: int) -> bytes:
    at = f"2026-11-22T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.775023242+00:00"
    device = number % 5_000
    event = {
        "deduplicationId": f"3ac7e3c4-4401-4b8d-9386-{number:012x}",
        "time": at,
        "deviceInfo": {
            "tenantId": "6fd5a2f0-95b9-4f0c-8d1a-0f2f0a2f9d11",
            "tenantName": "Ville",
            "applicationId": "1c1fb1a4-27a4-4a2b-9f38-2f7a4b2d1c55",
            "applicationName": "Bâtiments",
            "deviceProfileId": "0b54f9ab-9bd0-4d0e-b5fe-7f5b6f2a9e10",
            "deviceProfileName": "Capteur de CO2",
            "deviceName": f"Salle {device}",
            "devEui": f"70b3d57ed{device:07x}",
            "deviceClassEnabled": "CLASS_A",
            "tags": {"asset_type": "room", "parent_ref": f"ECOLE-{device // 20}"},
        },
        "devAddr": f"26{device:06x}",
        "adr": True,
        "dr": 5,
        "fCnt": number // 5_000,
        "fPort": 85,
        "confirmed": False,
        "data": "A2fuAARoSwd9ZwI=",
        "object": {"temperature": 18 + number % 50 / 10, "humidity": 40 + number % 30 / 2, "co2": 420 + number % 900, "battery": 97},
        "rxInfo": [
            {
                "gatewayId": f"0016c001f153a14{gateway}",
                "uplinkId": number,
                "nsTime": at,
                "rssi": -60 - gateway * 20 - number % 9,
                "snr": 10.5 - gateway * 3,
                "channel": 2,
                "location": {"latitude": 48.9567, "longitude": 4.3631},
                "context": "E3OWOQ==",
                "metadata": {"region_name": "eu868", "region_common_name": "EU868"},
                "crcStatus": "CRC_OK",
            }
            for gateway in (1, 2)
        ],
        "txInfo": {"frequency": 867100000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7, "codeRate": "CR_4_5"}}},
        "regionConfigId": "eu868",
    }
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


CASE: Final = Case("lorawan", [_uplink(n) for n in range(20_000)], msgspec.json.Decoder().decode, "msgspec")
