"""What piloted lights and cabinets say each quarter of an hour, and when it arrives.

Here: samples as columns, by day. Not here: their JSON (`wire`), their Parquet (`history`).

Each piloted light tells its `status`, each piloted cabinet the state of its supply (`powerState`). What hides them, in this
order: a cabinet without supply or whose concentrator stopped says nothing of its lights, ever; a concentrator without network
sends later what it kept; a light that its concentrator does not hear is told `communicationLost` in its place. The cabinet's own
controller has a battery: it tells that the supply is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import generator
from ingestion.simulator.clock import DAY
from ingestion.simulator.world import World

FEED: Final = "sim-eclairage"
PROPERTIES: Final = ("status", "powerState")
VALUES: Final = ("ok", "defectiveLamp", "lampCycling", "communicationLost", "on", "off")
_OK, _OUT, _CYCLING, _UNHEARD, _ON, _OFF = range(6)
_SILENT: Final = -1
_SLOTS: Final = DAY // b.SAMPLING

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Samples:
    """Samples in the order they arrive; columns of equal length.

    Attributes:
        entity: number among `Speakers.refs`.
        value: number among `VALUES`.
        observed: seconds since 1970.
        sent: seconds since 1970.
    """

    entity: npt.NDArray[np.int32]
    value: npt.NDArray[np.int8]
    observed: Ints
    sent: Ints


class Speakers:
    """The entities of a world that speak, lights first, and what they say."""

    def __init__(self, world: World) -> None:
        self._world = world
        t = world.territory
        self.refs: Final = [t.light_ref(int(i)) for i in t.remote] + [t.cabinets[int(i)].ref for i in t.remote_cabinets]
        self.lights: Final = len(t.remote)
        self._column = {int(light): i for i, light in enumerate(t.remote)}
        self._cabinet_column = {int(c): self.lights + i for i, c in enumerate(t.remote_cabinets)}
        behind = t.light_cabinet[t.remote]
        self._behind = {int(c): np.flatnonzero(behind == c) for c in t.remote_cabinets}
        phases = [world.light_phase(int(i)) for i in t.remote] + [world.cabinet_phase(int(i)) for i in t.remote_cabinets]
        self._phases: Ints = np.array(phases, dtype=np.int64)
        # Three days: the one before (what is late), the one asked for, and one more for windows over midnight.
        self._observed = lru_cache(maxsize=3)(self._observe)

    def windows(self, start: int, end: int) -> Iterator[Samples]:
        """Yield what arrives in [start, end), UTC day by UTC day."""
        for day in range(start // DAY, (end - 1) // DAY + 1):
            yield self._window(max(start, day * DAY), min(end, (day + 1) * DAY))

    def _window(self, start: int, end: int) -> Samples:
        # Nothing is late by a day: see `behaviour`.
        parts = []
        for day in (start // DAY - 1, start // DAY):
            whole = self._observed(day)
            low, high = np.searchsorted(whole.sent, (start, end), side="left")
            parts.append(Samples(whole.entity[low:high], whole.value[low:high], whole.observed[low:high], whole.sent[low:high]))
        if not len(parts[0].sent):
            return parts[1]
        columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("entity", "value", "observed", "sent")]
        order = np.argsort(columns[3], kind="stable")
        return Samples(*(c[order] for c in columns))

    def _observe(self, day: int) -> Samples:
        """Return all samples taken on a UTC day, in the order they arrive."""
        start, end = day * DAY, (day + 1) * DAY
        width = len(self._phases)
        observed = start + np.arange(_SLOTS, dtype=np.int64)[:, None] * b.SAMPLING + self._phases[None, :]
        value = np.zeros((_SLOTS, width), dtype=np.int8)
        value[:, self.lights :] = _ON
        sent = observed.copy()
        self._fail(value, observed, start, end)
        self._hide(value, observed, sent, start, end)
        chance = generator(self._world.seed, "messages", day)
        late, twice = chance.random((_SLOTS, width), dtype=np.float32), chance.random((_SLOTS, width), dtype=np.float32)
        rows, columns = np.nonzero(late < b.LATE)
        delay = -np.log(np.maximum(late[rows, columns], 1e-9) / b.LATE) * b.LATE_MEAN
        sent[rows, columns] += np.minimum(60 + delay, b.LATE_MOST).astype(np.int64)
        again_rows, again_columns = np.nonzero(twice < b.TWICE)
        again = 1 + (twice[again_rows, again_columns] / b.TWICE * b.TWICE_WITHIN).astype(np.int64)
        entity = np.broadcast_to(np.arange(width, dtype=np.int32), value.shape)
        flat_sent = np.concatenate([sent.ravel(), sent[again_rows, again_columns] + again])
        flat_value = np.concatenate([value.ravel(), value[again_rows, again_columns]])
        flat_entity = np.concatenate([entity.ravel(), entity[again_rows, again_columns]])
        flat_observed = np.concatenate([observed.ravel(), observed[again_rows, again_columns]])
        order = np.argsort(flat_sent, kind="stable")
        order = order[flat_value[order] != _SILENT]
        return Samples(flat_entity[order], flat_value[order], flat_observed[order], flat_sent[order])

    def _fail(self, value: npt.NDArray[np.int8], observed: Ints, start: int, end: int) -> None:
        for case in self._world.cases(start, end):
            x = case.failure
            if not x.is_remote:
                continue
            if x.process in ("lamp-out", "lamp-cycling"):
                column = self._column[x.light]
                for down, up in x.downs or ((x.started, x.ended),):
                    shows = (observed[:, column] >= down) & (observed[:, column] < up)
                    value[shows, column] = _OUT if x.process == "lamp-out" else _CYCLING
            elif x.process == "cabinet-dark":
                column = self._cabinet_column[x.cabinet]
                value[(observed[:, column] >= x.started) & (observed[:, column] < x.ended), column] = _OFF

    def _hide(self, value: npt.NDArray[np.int8], observed: Ints, sent: Ints, start: int, end: int) -> None:
        cases = [c.failure for c in self._world.cases(start, end)]
        for x in cases:
            if x.process == "light-unheard":
                column = self._column[x.light]
                value[(observed[:, column] >= x.started) & (observed[:, column] < x.ended), column] = _UNHEARD
        for x in cases:
            if not (x.process == "gateway-lost" or (x.process == "cabinet-dark" and x.is_remote)):
                continue
            columns = self._behind[x.cabinet]
            if x.process == "gateway-lost":
                columns = np.append(columns, self._cabinet_column[x.cabinet])
            own = observed[:, columns]
            rows, at = np.nonzero((own >= x.started) & (own < x.ended))
            if x.keeps:
                # The newest first, all within the catch-up.
                share = (x.ended - own[rows, at]) / (x.ended - x.started)
                sent[rows, columns[at]] = x.ended + (share * b.CATCH_UP).astype(np.int64)
            else:
                value[rows, columns[at]] = _SILENT
