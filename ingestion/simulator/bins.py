"""Bins: how full each is, as a LoRaWAN sensor in it measures; rounds empty them.

Here: feed `sim-conteneurs`, The Things Stack v3 over MQTT, every hour. Not here: reports of full bins (`routine`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator.chance import uniform, uniforms
from ingestion.simulator.clock import DAY, HOUR, at_local, local_days, utc_text
from ingestion.simulator.equipment import equipment
from ingestion.simulator.lorawan_text import battery, behind_gateways, eui, radio, tags
from ingestion.simulator.rhythm import busy
from ingestion.simulator.speaker import Floats, Ints, Property, Speaker, Told
from ingestion.simulator.systems import Message
from ingestion.simulator.troubles import LOST, Law, Trouble, everyday
from ingestion.simulator.world import World

FEED: Final = "sim-conteneurs"
URN: Final = "urn:ngsi-ld:WasteContainer:"
_BLOCK: Final = "70B3D5F0B2"
_APPLICATION: Final = "conteneurs"
# A sensor that lost its cell or is crushed: every three years, for days.
_SILENT: Final = (Law(LOST, "sensor", 0.33, (2 * DAY, 0.6, 6 * HOUR, 7 * DAY)),)
# Rounds pass on two weekdays, three days apart or four, from five to eleven in the morning.
_ROUNDS: Final = ((0, 3), (1, 4), (2, 5))
_FIRST_ROUND: Final = 5
_ROUND_HOURS: Final = 6
_BETWEEN: Final = 5 * DAY  # no bin waits longer
# Full in four to nine days of a town's usual life.
_DAYS_TO_FILL: Final = (4.0, 5.0)
_BY_HOMES: Final = 0.4  # the others stand where people pass


class Bins(Speaker):
    """The bins of a world, a sensor each."""

    feed = FEED
    properties = (Property("fill_level", "%"), Property("battery_level", "%"), Property("rssi", "dBm"), Property("snr", "dB"))
    period = 3_600

    def __init__(self, world: World) -> None:
        self._bins = equipment(world, "bins")
        super().__init__(world, [eui(_BLOCK, b.number) for b in self._bins])
        numbers = np.arange(len(self.refs), dtype=np.int64)
        days = _DAYS_TO_FILL[0] + _DAYS_TO_FILL[1] * uniforms(world.seed, "fills", numbers)
        # In the mean a day is as busy as 0.4 of its busiest hour.
        self._per_hour = 100 / (days * DAY / HOUR) / 0.4
        self._is_by_homes = uniforms(world.seed, "homes", numbers) < _BY_HOMES
        self._filled = lru_cache(maxsize=4)(self._fill)
        self._describes = [json.dumps(self._attributes(n), ensure_ascii=False, separators=(",", ":")) for n in range(len(self.refs))]

    def inventory(self) -> list[dict[str, object]]:
        """Return the bins; the code of its sensor makes sensor and bin one."""
        return [b.row(URN + b.code, "waste_container", model="Colonne enterrée 5 m³", identity=self.refs[b.number]) for b in self._bins]

    def silences(self, start: int, end: int) -> Iterator[Trouble]:
        """Yield sensors and gateways that are silent."""
        yield from everyday(self.world, FEED, len(self.refs), _SILENT, start, end)
        yield from behind_gateways(self.world, self._bins, start, end)

    def say(self, entity: Ints, observed: Ints) -> dict[str, Floats]:
        """Return how full bins are: what was put in since the last round."""
        first = (int(observed.min()) // DAY) * DAY if len(observed) else 0
        hours, levels = self._filled(first)
        column = np.clip((observed - hours[0]) // HOUR, 0, len(hours) - 2)
        share = (observed - hours[column]) / HOUR
        put = levels[entity, column] * (1 - share) + levels[entity, column + 1] * share
        emptied = self._emptied(entity, observed)
        at = np.clip((emptied - hours[0]) // HOUR, 0, len(hours) - 2)
        part = (emptied - hours[at]) / HOUR
        before = levels[entity, at] * (1 - part) + levels[entity, at + 1] * part
        return {
            "fill_level": np.round(np.clip(put - before, 0, 100)),
            "battery_level": battery(self.world.seed, entity, observed),
            **dict(zip(("rssi", "snr"), radio(self.world.seed, entity, observed), strict=True)),
        }

    def _fill(self, day: int) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Return hours about a day, and what was put in each bin up to each, percent of the bin."""
        hours = np.arange(day - _BETWEEN - DAY, day + 2 * DAY, HOUR, dtype=np.int64)
        scenarios = self.world.scenarios
        usual = busy(hours)
        market, confined = scenarios.levels("market-day", hours), scenarios.levels("lockdown", hours)
        streets = usual * (1 + 3 * market) * (1 - 0.8 * confined)
        homes = usual * (1 + 0.8 * confined)
        rate = self._per_hour[:, None] * np.where(self._is_by_homes[:, None], homes[None, :], streets[None, :])
        levels = np.concatenate([np.zeros((len(rate), 1)), np.cumsum(rate, axis=1)[:, :-1]], axis=1)
        return hours, levels

    def _emptied(self, entity: Ints, observed: Ints) -> Ints:
        """Return when the last round before each instant emptied the bin."""
        found = np.zeros(len(observed), dtype=np.int64)
        days = local_days(int(observed.min()) - _BETWEEN, int(observed.max()) + 1) if len(observed) else []
        group = (uniforms(self.world.seed, "round", entity) * len(_ROUNDS)).astype(np.int64)
        after = (uniforms(self.world.seed, "stop", entity) * _ROUND_HOURS * HOUR).astype(np.int64)
        for day in days:
            begins = at_local(day, _FIRST_ROUND)
            passes = np.isin(group, [g for g, weekdays in enumerate(_ROUNDS) if day.weekday() in weekdays])
            at = begins + after
            found = np.where(passes & (at <= observed), at, found)
        return found

    def message_ids(self, told: Told) -> list[str]:
        """Return the frames: session and counter."""
        return [f"{self._session(e)}:{self._frame(at)}" for e, at in zip(told.entity.tolist(), told.observed.tolist(), strict=True)]

    def write(self, sent_at: int, told: Told) -> Message:
        """Return an uplink of The Things Stack."""
        entity, at = int(told.entity[0]), int(told.observed[0])
        level, cell, rssi, snr = (float(told.values[p.name][0]) for p in self.properties)
        device, stamp = self._bins[entity].code.lower(), f"{utc_text(at)[:-1]}.000000000Z"
        frame = base64.b64encode(bytes([int(level), int(cell)])).decode()
        gateway = self._bins[entity].gateway
        body = (
            f'{{"end_device_ids":{{"device_id":"{device}","application_ids":{{"application_id":"{_APPLICATION}"}},'
            f'"dev_eui":"{self.refs[entity]}","join_eui":"70B3D57ED0000000","dev_addr":"{0x260B0000 + entity:08X}"}},'
            f'"correlation_ids":["gs:uplink:{self._session(entity)}{self._frame(at)}"],"received_at":"{stamp}",'
            f'"uplink_message":{{"session_key_id":"{self._session(entity)}","f_port":1,"f_cnt":{self._frame(at)},"frm_payload":"{frame}",'
            f'"decoded_payload":{{"fill_level":{int(level)},"battery":{int(cell)}}},'
            f'"rx_metadata":[{{"gateway_ids":{{"gateway_id":"gtw-{gateway + 1}","eui":"{eui("0016C001F0", gateway)}"}},'
            f'"rssi":{int(rssi)},"channel_rssi":{int(rssi)},"snr":{snr}}}],'
            '"settings":{"data_rate":{"lora":{"bandwidth":125000,"spreading_factor":9,"coding_rate":"4/5"}},"frequency":"868300000"},'
            f'"received_at":"{stamp}","consumed_airtime":"0.185344s",{self._describes[entity][1:-1]}}}}}'
        )
        return Message(sent_at, FEED, f"v3/{_APPLICATION}@collectivite/devices/{device}/up", body.encode())

    def _session(self, entity: int) -> str:
        number = int(uniform(self.world.seed, "session", entity) * 2**53)
        return base64.b64encode(number.to_bytes(12, "big")).decode()

    def _frame(self, at: int) -> int:
        return at // self.period % 65_536

    def _attributes(self, number: int) -> dict[str, object]:
        own = self._bins[number]
        place = {"latitude": own.latitude, "longitude": own.longitude, "altitude": 85, "source": "SOURCE_REGISTRY"}
        said = tags(own, "fill_sensor", URN + own.code)
        described = {k.replace("_", "-"): v for k, v in said.items() if k not in ("longitude", "latitude")}
        versions = {"brand_id": "capteurs-de-l-est", "model_id": "ultrason-2"}
        return {"locations": {"user": place}, "version_ids": versions, "attributes": described}
