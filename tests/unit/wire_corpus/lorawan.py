"""LoRaWAN: events of ChirpStack v4 and messages of The Things Stack v3, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

TOPIC: Final[str | None] = None
_INFO: Final = {"devEui": "70b3d57ed005b89a", "deviceName": "Cuve 12", "deviceProfileName": "EM400", "tags": {"asset_type": "bin"}}
_AT: Final = "2026-11-22T05:00:00.123456789+00:00"
UP: Final[dict[str, Any]] = {
    "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
    "time": _AT,
    "deviceInfo": _INFO,
    "fPort": 85,
    "data": "A2fuAA==",
    "object": {"distance": 812, "position": "normal", "tilt": {"x": 1.5, "y": 0}},
    "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 4.25}, {"gatewayId": "0016c001f153a14d", "rssi": -113}],
    "txInfo": {"frequency": 868100000, "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 9}}},
}
_IDS: Final = {
    "device_id": "cuve-12",
    "application_ids": {"application_id": "dechets"},
    "dev_eui": "70B3D57ED005B89A",
    "dev_addr": "260B1234",
}
THINGS_UP: Final[dict[str, Any]] = {
    "end_device_ids": _IDS,
    "correlation_ids": ["gs:uplink:01HX", "as:up:01HY"],
    "received_at": "2026-11-22T05:00:01.5Z",
    "uplink_message": {
        "session_key_id": "AXA50tHUGUucuzS/bCGMNw==",
        "f_port": 85,
        "f_cnt": 7,
        "frm_payload": "A2fuAA==",
        "decoded_payload": {"distance": 812},
        "rx_metadata": [{"gateway_ids": {"gateway_id": "g1"}, "rssi": -97, "snr": 4.25}],
        "settings": {"data_rate": {"lora": {"spreading_factor": 9}}, "frequency": "868100000"},
        "received_at": "2026-11-22T05:00:01.25Z",
        "locations": {"user": {"latitude": 48.9567, "longitude": 4.3631, "source": "SOURCE_REGISTRY"}},
    },
}


def _of(**members: object) -> bytes:
    return json.dumps({"deduplicationId": "bf2a9746-1c8b-49be-a92e-f0b89c8534e4", "time": _AT, "deviceInfo": _INFO, **members}).encode()


GOOD: Final = [
    json.dumps(UP).encode(),
    json.dumps(UP, separators=(",", ":")).encode(),
    _of(margin=10, batteryLevel=88.3),
    _of(devAddr="00189440"),
    _of(location={"latitude": 48.9567, "longitude": 4.3631}),
    _of(level="ERROR", code="UPLINK_CODEC", description="TypeError"),
    _of(queueItemId="1bbcab1d", acknowledged=True, fCntDown=3),
    _of(integrationName="loracloud", eventType="modem", object={"voltage": {"value": 3.04}}),
    json.dumps(THINGS_UP).encode(),
    json.dumps({"result": THINGS_UP}).encode(),
    json.dumps([UP, THINGS_UP]).encode(),
    json.dumps({"end_device_ids": _IDS, "received_at": "2026-11-22T05:00:01Z", "join_accept": {"session_key_id": "AX"}}).encode(),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b"{}",
    b'{"object": {"temperature": 21}}',
    b"[" * 200 + b"]" * 200,
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": ' + b"[" * 60 + b"]" * 60 + b"}",
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"t": 1, "t": 2}}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a", "devEui": "70b3d57ed005b89b"}, "object": {"t": 1}}',
    b'{"time": "2026-11-22T05:00:00", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"t": 1}}',
    b'{"time": "yesterday", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"t": 1}}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": 12}, "object": {"t": 1}}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "12"}, "object": {"t": 1}}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "object": {"t": 1e999}}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "data": "qg==", "fPort": 1}',
    b'{"time": "2026-11-22T05:00:00Z", "deviceInfo": {"devEui": "70b3d57ed005b89a"}, "location": {"latitude": 148}}',
    b'{"end_device_ids": {"device_id": "d"}, "downlinks": [{"f_port": 15, "frm_payload": "vu8="}]}',
    b'{"end_device_ids": {}, "uplink_message": {"decoded_payload": {"t": 1}}}',
]
