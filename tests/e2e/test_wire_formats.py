"""A new instance, four systems that send in their own words, one build: their data is in core.

Here: what an integrator does on the first day, from the contract to `vigie sql`. Not here: what each format means (`tests/unit`).
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from orchestration.settings import Settings
from tests.town import VIGIE, Called

# A first start, a build and a stop: a minute and a half of free cores, five times that beside other suites.
pytestmark = pytest.mark.timeout(900)

_HEADER: Final = """\
feed: {name}
title: Essai
contract: observation
domain: {domain}
owner: {{name: Service}}
steward: {{name: Référente}}
source: {{publisher: Ville, licence: internal}}
territory: {{code: essai, name: Ville, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}}
time_zone: Europe/Paris
connector: {{type: stream}}
format: {{type: {format}}}
"""
_FEEDS: Final = {
    "broker": ("MOB", "ngsi", "measures: [{column: availableSpotNumber, property: free_places, unit: '1'}]\n"),
    "lighting": (
        "EP",
        "talq",
        "indicators:\n  states: [{property: lampFailure, failed: [start], ok: [stop], fault_type: lamp-out}]\n",
    ),
    "bins": ("CDV", "lorawan", "fields: [{name: fill_level, type: number, unit: '%'}]\n"),
    "warnings": ("METEO", "cap", ""),
}
_NOTIFICATION: Final = {
    "id": "urn:ngsi-ld:Notification:1",
    "type": "Notification",
    "subscriptionId": "urn:ngsi-ld:Subscription:parkings",
    "notifiedAt": "2026-11-22T08:00:01Z",
    "data": [
        {
            "id": "urn:ngsi-ld:OffStreetParking:foch",
            "type": "OffStreetParking",
            "availableSpotNumber": {"type": "Property", "value": 112, "observedAt": "2026-11-22T08:00:00Z"},
        }
    ],
}
_LOG_REPORT: Final = {
    "address": "logger-1",
    "entries": [
        {
            "cmsRefId": "monitoring",
            "data": {
                "type": "EventLogData",
                "eventType": "lampFailure",
                "srcAddress": "0f3ac7e0-0000-4000-8000-00000000c012",
                "timestamp": "2026-11-22T05:10:00Z",
                "startEndFlag": True,
            },
        }
    ],
}
_UPLINK: Final = {
    "deduplicationId": "8c2f1a52-6f0b-4f6e-9a1c-0d6f5a7b1c11",
    "time": "2026-11-22T07:45:10.125Z",
    "deviceInfo": {"applicationName": "bins", "deviceName": "bin-7", "devEui": "70b3d57ed0000007", "deviceProfileName": "level"},
    "devAddr": "00189440",
    "dr": 3,
    "fCnt": 812,
    "fPort": 2,
    "object": {"fill_level": 64.5},
    "rxInfo": [{"gatewayId": "0016c001f153a14c", "rssi": -97, "snr": 6.5}],
}
_ALERT: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">
  <identifier>essai-2026-11-22-vent</identifier><sender>meteo@essai.example</sender><sent>2026-11-22T06:00:00+01:00</sent>
  <status>Actual</status><msgType>Alert</msgType><scope>Public</scope>
  <info>
    <language>fr-FR</language><category>Met</category><event>Vent violent</event>
    <urgency>Expected</urgency><severity>Severe</severity><certainty>Likely</certainty>
    <onset>2026-11-22T12:00:00+01:00</onset><expires>2026-11-22T20:00:00+01:00</expires>
    <headline>Vigilance orange au vent violent</headline>
    <area><areaDesc>Marne</areaDesc><geocode><valueName>EMMA_ID</valueName><value>FR051</value></geocode></area>
  </info>
</alert>
"""


class Instance:
    """A running instance."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def vigie(self, *words: str, check: bool = True) -> Called:
        """Call `vigie` and wait for its end."""
        command = [VIGIE, *words, "--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return Called(done.returncode, done.stdout, done.stderr)

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What `vigie sql` answers."""
        rows: list[dict[str, Any]] = self.vigie("sql", query, "--format", "json").document
        return rows

    def post(self, path: str, feed: str, body: bytes, media_type: str, **headers: str) -> int:
        """Send a message as its system would; return the status of the answer."""
        settings = Settings.load(self.home)
        token = settings.secrets.streams[feed].get_secret_value()
        request = urllib.request.Request(  # noqa: S310 - the intake of this instance, on loopback
            f"{settings.intake_url}{path}",
            body,
            {"Authorization": f"Bearer {token}", "Content-Type": media_type, **headers},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            return int(answer.status)


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory, extension_directory: Path) -> Iterator[Instance]:
    """A new instance that runs, with the four contracts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("VIGIE_", "DAGSTER_", "DBT_")):
                patch.delenv(name)
        patch.setenv("VIGIE_EXTENSION_DIRECTORY", str(extension_directory))
        patch.setenv("VIGIE_DASHBOARDS", "off")
        made = Instance(tmp_path_factory.mktemp("wire") / "home")
        try:
            made.vigie("up", "--detach", "--simulate", "none")
            feeds = made.home / "feeds"
            feeds.mkdir(exist_ok=True)
            for name, (domain, kind, more) in _FEEDS.items():
                (feeds / f"{name}.yaml").write_text(_HEADER.format(name=name, domain=domain, format=kind) + more, encoding="utf-8")
            for name in _FEEDS:
                made.vigie("feeds", "access", name)
            _until_let_in(made)
            yield made
        finally:
            made.vigie("down", check=False)


def _until_let_in(made: Instance) -> None:
    """Wait until the intake has read the contracts: it looks each two seconds."""
    import time

    for _ in range(60):
        try:
            made.post("/ingest/broker", "broker", json.dumps(_NOTIFICATION).encode(), "application/json")
        except (urllib.error.HTTPError, KeyError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError("the intake never let the feed in")


def test_what_four_systems_send_is_in_core_after_a_build(instance: Instance) -> None:
    as_json = "application/json"
    # The same notification twice, as brokers do after a lost answer: it is one observation.
    assert instance.post("/ingest/broker", "broker", json.dumps(_NOTIFICATION).encode(), as_json) == 202
    path = "/talq/lighting/log-reports?clientAddress=0f3ac7e0-0000-4000-8000-000000000001"
    assert instance.post(path, "lighting", json.dumps(_LOG_REPORT).encode(), as_json, **{"talq-api-version": "2.7.1"}) == 201
    assert instance.post("/ingest/bins?event=up", "bins", json.dumps(_UPLINK).encode(), as_json) == 202
    assert instance.post("/ingest/warnings", "warnings", _ALERT.encode(), "application/cap+xml") == 202

    built = instance.vigie("build", "--json").document
    # The schedule may have built it meanwhile: then there is nothing left to do.
    assert built["succeeded"]

    found = {
        (row["feed"], row["asset_ref"], row["property"]): row["value_last"]
        for row in instance.ask("SELECT feed, asset_ref, property, value_last FROM core.observation_hourly")
    }
    assert found["broker", "urn:ngsi-ld:OffStreetParking:foch", "free_places"] == 112
    assert found["bins", "70B3D57ED0000007", "fill_level"] == 64.5
    assert found["bins", "70B3D57ED0000007", "rssi"] == -97
    # Severe is 3 of 4.
    assert [v for (feed, ref, prop), v in found.items() if feed == "warnings" and "FR051" in ref and prop.startswith("warning.")]
    lamp = instance.ask("SELECT asset_key, fault_type, started_at FROM core.failure_episode")
    assert [(row["asset_key"], row["fault_type"]) for row in lamp] == [("lighting:0f3ac7e0-0000-4000-8000-00000000c012", "lamp-out")]
    assert str(lamp[0]["started_at"]).startswith("2026-11-22")

    status = instance.vigie("status", "--json").document
    for feed in _FEEDS:
        totals = status["feeds"][feed]
        assert totals["received"] == totals["stored"] + totals["duplicate"] + totals["rejected"], feed
        assert totals["rejected"] == 0, feed
    assert status["feeds"]["broker"]["duplicate"] >= 1
