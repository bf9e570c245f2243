"""Warnings of the weather service and of the flood service: CAP 1.2 alerts, sent to the platform's intake.

Here: what is warned of, when and for where, the XML. Not here: the weather and the rivers themselves (`nature`).

A danger has an alert once it is foreseen, an update when it gets worse, and a cancel when it is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

import pyarrow as pa

from ingestion.simulator.asked import rows_table
from ingestion.simulator.chance import uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, instant, local_text
from ingestion.simulator.systems import Message, Scene
from ingestion.simulator.world import World

FEED: Final = "sim-vigilance"
MEDIA_TYPE: Final = "application/cap+xml"
SENDER: Final = "vigilance@simulation.example"
# The statistical code (NUTS 3) of the department a territory lies in, and its name.
_AREAS: Final = {"dijon": ("FRC11", "Côte-d'Or"), "": ("FRF23", "Marne")}
# An area is some 0.4° around the territory: a department.
_REACH: Final = 0.4


class Step(NamedTuple):
    """One alert of a danger: so many seconds after the episode's start, what kind, the colour of the vigilance."""

    after: int
    kind: str
    severity: str
    colour: str


class Danger(NamedTuple):
    """What a danger is warned of.

    Attributes:
        event: its name.
        property: what it is in the lake.
        onset: when it sets in, seconds after the episode's start.
        until: when it ends, likewise.
        instruction: what people should do.
        steps: its alerts.
    """

    event: str
    property: str
    onset: int
    until: int
    instruction: str
    steps: tuple[Step, ...]


_OVER: Final = ("Cancel", "Minor", "vert")


def _yellow(event: str, property_name: str, instruction: str) -> Danger:
    """Return a vigilance of everyday: yellow, foreseen six hours ahead, over after nine."""
    steps = (Step(0, "Alert", "Moderate", "jaune"), Step(15 * HOUR, *_OVER))
    return Danger(event, property_name, 6 * HOUR, 15 * HOUR, instruction, steps)


# Severities as MeteoAlarm gives them to the colours: yellow is Moderate, orange Severe, red Extreme.
DANGERS: Final[dict[str, Danger]] = {
    "storm": Danger(
        "Vent violent",
        "warning.vent_violent",
        3 * HOUR,
        13 * HOUR,
        "Limitez vos déplacements ; n'approchez pas des arbres ni des lignes tombées à terre.",
        (Step(10 * MINUTE, "Alert", "Severe", "orange"), Step(5 * HOUR, "Update", "Extreme", "rouge"), Step(13 * HOUR, *_OVER)),
    ),
    "flood": Danger(
        "Crues",
        "warning.crues",
        2 * HOUR,
        120 * HOUR,
        "Éloignez-vous des cours d'eau ; ne vous engagez pas sur une voie inondée.",
        (Step(30 * MINUTE, "Alert", "Moderate", "jaune"), Step(10 * HOUR, "Update", "Severe", "orange"), Step(120 * HOUR, *_OVER)),
    ),
    "heat-wave": Danger(
        "Canicule",
        "warning.canicule",
        12 * HOUR,
        120 * HOUR,
        "Buvez de l'eau ; prenez des nouvelles de vos proches âgés ou isolés.",
        (Step(HOUR, "Alert", "Moderate", "jaune"), Step(24 * HOUR, "Update", "Severe", "orange"), Step(120 * HOUR, *_OVER)),
    ),
    "thunderstorms": _yellow("Orages", "warning.orages", "Ne vous abritez pas sous les arbres."),
    "ice": _yellow("Neige-verglas", "warning.neige_verglas", "Soyez prudents sur la route."),
    "rain": _yellow("Pluie-inondation", "warning.pluie_inondation", "Ne traversez pas un passage inondé."),
}


# About three yellow vigilances a month and department, of the season's kind.
_BLOCK: Final = 4 * DAY
_EVERYDAY: Final = 0.4
_LONGEST: Final = 15 * HOUR
_SUMMER: Final = frozenset({5, 6, 7, 8, 9})
_WINTER: Final = frozenset({12, 1, 2})
# What the levels are as numbers, and the elements that are kept as texts beside them, in the order they are written down.
_LEVELS: Final = {"Minor": 1.0, "Moderate": 2.0, "Severe": 3.0, "Extreme": 4.0}
_KEPT: Final = {
    "event": "event",
    "category": "category",
    "response_type": "responseType",
    "urgency": "urgency",
    "certainty": "certainty",
    "onset": "onset",
    "effective": "effective",
    "expires": "expires",
    "sender_name": "senderName",
    "headline": "headline",
    "instruction": "instruction",
}


class Episode(NamedTuple):
    """A danger that is warned of: its name (of `DANGERS`), when its course starts (seconds since 1970), its scenario if it has one."""

    name: str
    start: int
    scenario: str | None = None


class Warned(NamedTuple):
    """One alert: of which episode, the number of its step, when it is sent (seconds since 1970)."""

    episode: Episode
    number: int
    sent_at: int

    @property
    def danger(self) -> Danger:
        """What is warned of."""
        return DANGERS[self.episode.name]

    @property
    def step(self) -> Step:
        """Its step."""
        return self.danger.steps[self.number]

    @property
    def identifier(self) -> str:
        """What it is called by updates of it."""
        return f"SIM.{self.episode.name}.{instant(self.episode.start):%Y%m%dT%H%M%SZ}.{self.number + 1}"


class Warnings:
    """Feed `sim-vigilance`: CAP alerts over HTTP."""

    feed = FEED
    contract = "observation"

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def area(self) -> tuple[str, str]:
        """The code and name of the area warned of."""
        return _AREAS.get(self._world.preset.name, _AREAS[""])

    def inventory(self) -> list[dict[str, object]]:
        """Return nothing: alerts describe their areas themselves."""
        return []

    def episodes(self, start: int, end: int) -> Iterator[Episode]:
        """Yield the dangers whose alerts are sent within [start, end)."""
        for scenario in self._world.scenarios.all:
            if scenario.name in DANGERS and scenario.start < end and scenario.start + DANGERS[scenario.name].until >= start:
                yield Episode(scenario.name, scenario.start, scenario.name)
        for block in range((start - _LONGEST) // _BLOCK - 1, end // _BLOCK + 1):
            drawn = uniform(self._world.seed, "vigilance", block)
            if drawn < _EVERYDAY:
                at = block * _BLOCK + int(drawn / _EVERYDAY * (_BLOCK - DAY)) // MINUTE * MINUTE
                month = instant(at).month
                if at < end and at + _LONGEST >= start:
                    yield Episode("thunderstorms" if month in _SUMMER else "ice" if month in _WINTER else "rain", at)

    def warned(self, start: int, end: int) -> list[Warned]:
        """Return the alerts sent in [start, end), in order."""
        found = [Warned(e, n, e.start + step.after) for e in self.episodes(start, end) for n, step in enumerate(DANGERS[e.name].steps)]
        return sorted((w for w in found if start <= w.sent_at < end), key=lambda w: (w.sent_at, w.identifier))

    def messages(self, start: int, end: int) -> Iterator[Message]:
        """Yield the alerts sent in [start, end)."""
        for warned in self.warned(start, end):
            yield Message(warned.sent_at, FEED, None, self.alert(warned), content_type=MEDIA_TYPE)

    def alert(self, warned: Warned) -> bytes:
        """Return an alert in XML."""
        code, name = self.area
        references = " ".join(f"{SENDER},{e.identifier},{local_text(e.sent_at)}" for e in self._earlier(warned))
        x, y = self._world.preset.longitude, self._world.preset.latitude
        corners = [(y - _REACH, x - _REACH), (y - _REACH, x + _REACH), (y + _REACH, x + _REACH), (y + _REACH, x - _REACH)]
        polygon = " ".join(f"{a:.3f},{o:.3f}" for a, o in [*corners, corners[0]])
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">',
            f"<identifier>{warned.identifier}</identifier>",
            f"<sender>{SENDER}</sender>",
            f"<sent>{local_text(warned.sent_at)}</sent>",
            "<status>Actual</status>",
            f"<msgType>{warned.step.kind}</msgType>",
            "<scope>Public</scope>",
            *([f"<references>{references}</references>"] if references else []),
            "<info>",
            "<language>fr-FR</language>",
            *(f"<{element}>{escape(text)}</{element}>" for element, text in self._texts(warned).items()),
            "<area>",
            f"<areaDesc>{escape(name)}</areaDesc>",
            f"<polygon>{polygon}</polygon>",
            f"<geocode><valueName>NUTS3</valueName><value>{code}</value></geocode>",
            "</area>",
            "</info>",
            "</alert>",
        ]
        return "\n".join(lines).encode()

    def _earlier(self, warned: Warned) -> list[Warned]:
        """Return the alerts that one replaces."""
        start = warned.episode.start
        return [Warned(warned.episode, n, start + step.after) for n, step in enumerate(warned.danger.steps[: warned.number])]

    def _texts(self, warned: Warned) -> dict[str, str]:
        """Return the elements of the alert's info, in the order of the norm's schema."""
        danger, step, sent = warned.danger, warned.step, warned.sent_at
        onset, ends = warned.episode.start + danger.onset, warned.episode.start + danger.until
        is_over = step.kind == "Cancel"
        return {
            "category": "Met",
            "event": danger.event,
            "responseType": "AllClear" if is_over else "Prepare",
            "urgency": "Past" if is_over else "Future" if sent < onset else "Immediate",
            "severity": step.severity,
            "certainty": "Observed" if sent >= onset else "Likely",
            "effective": local_text(sent),
            "onset": local_text(max(onset, sent)),
            "expires": local_text(max(ends, sent + HOUR)),
            "senderName": "Service de vigilance (simulé)",
            "headline": f"Vigilance {step.colour} {danger.event.lower()} : {self.area[1]}",
            "instruction": danger.instruction,
        }

    def tables(self, start: int, end: int) -> Iterator[pa.Table]:
        """Yield the rows of the alerts sent in [start, end)."""
        rows = [row for warned in self.warned(start, end) for row in self._rows(warned)]
        yield rows_table(self.contract, rows)

    def _rows(self, warned: Warned) -> Iterator[dict[str, object]]:
        """Yield what an alert becomes: the state of the alert, of those it replaces, and what is said of the area."""
        danger, step = warned.danger, warned.step
        is_over, sent = step.kind == "Cancel", warned.sent_at
        said = {"message_id": warned.identifier}
        state = {"property": "warning_status", "observed_at": sent, "value_text": step.kind, "unit": "1", **said}
        yield {**state, "asset_ref": f"alert:{warned.identifier}", "value": 0.0 if is_over else 1.0}
        for earlier in self._earlier(warned):
            yield {**state, "asset_ref": f"alert:{earlier.identifier}", "value": 0.0}
        texts = self._texts(warned)
        # An end is dated when it is told, and an update changes nothing before it is.
        at = sent if is_over else max(warned.episode.start + danger.onset, sent)
        about = {"asset_ref": f"NUTS3:{self.area[0]}", "observed_at": at, **said}
        level = 0.0 if is_over else _LEVELS[step.severity]
        yield {**about, "property": danger.property, "value": level, "value_text": step.severity, "unit": "1"}
        for property_name, element in _KEPT.items():
            yield {**about, "property": f"{danger.property}.{property_name}", "value_text": texts[element]}

    def scenes(self, start: int, end: int) -> Iterator[Scene]:
        """Yield the dangers warned of: from the first alert to the cancel."""
        for e in self.episodes(start, end):
            steps = DANGERS[e.name].steps
            first, last = e.start + steps[0].after, e.start + steps[-1].after
            if first < end and last > start:
                yield Scene(FEED, f"NUTS3:{self.area[0]}", "warned", first, last, first, last, e.scenario)
