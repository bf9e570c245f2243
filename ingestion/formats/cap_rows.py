"""CAP: an alert to observations of its areas, and of itself.

Here: what is checked, which instant a row has, which rows there are. Not here: XML (`cap_shape`), areas (`cap_area`), feeds (`cap`).
"""

from __future__ import annotations

import re
from typing import Final

from ingestion.formats.cap_area import Area, InvalidArea, Place, place_of, refs_of, slug
from ingestion.formats.cap_shape import Alert, Info
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch
from ingestion.formats.wire_values import instant, is_too_long

REASONS: Final[dict[str, str]] = {
    "missing_element": "CAP requires an element that the alert lacks",
    "unknown_value": "CAP does not know the value",
    "not_actual": "an exercise, a test, a draft or a message between systems: never stored beside what is actual",
    "not_a_warning": "an acknowledgement or an error message: it warns of nothing",
    "not_an_instant": "a date that is none",
    "no_time_zone": "a date without time zone: which instant it is cannot be known",
    "invalid_geometry": "a polygon or a circle that is none",
    "repeated_area": "the alert says the same of the area elsewhere, and more severely",
    "invalid_reference": "a reference is sender,identifier,sent",
    "text_too_long": "a text longer than the lake holds (32 KiB)",
}
# The scale of `value`: CAP's words in their order; what is over is 0, and a severity that the sender does not know has no number.
SEVERITIES: Final[dict[str, float | None]] = {"Extreme": 4.0, "Severe": 3.0, "Moderate": 2.0, "Minor": 1.0, "Unknown": None}
_STATUSES: Final = ("Actual", "Exercise", "System", "Test", "Draft")
_TYPES: Final = ("Alert", "Update", "Cancel", "Ack", "Error")
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "urgency": ("Immediate", "Expected", "Future", "Past", "Unknown"),
    "severity": tuple(SEVERITIES),
    "certainty": ("Observed", "Likely", "Very Likely", "Possible", "Unlikely", "Unknown"),  # "Very Likely": CAP 1.0, still seen
}
_OF_ALERT: Final = ("identifier", "sender", "sent", "status", "msgType", "scope")
_OF_INFO: Final = ("category", "event", "urgency", "severity", "certainty")
_OF_SUMMARY: Final = ("event", "severity", "status", "msgType")
# Elements kept as texts beside the level: `warning.<event>.<this>`.
_TEXTS: Final = (
    ("event", "event"),
    ("category", "category"),
    ("responseType", "response_type"),
    ("urgency", "urgency"),
    ("certainty", "certainty"),
    ("onset", "onset"),
    ("effective", "effective"),
    ("expires", "expires"),
    ("senderName", "sender_name"),
    ("headline", "headline"),
    ("description", "description"),
    ("instruction", "instruction"),
    ("web", "web"),
)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE)
_REFERENCE_PARTS: Final = 3  # sender,identifier,sent
# MeteoAlarm's parameter `awareness_type` ("1; Wind") names the hazard in one language, and without the level that its events hold.
# Its label is written as each service likes (`7; coastalevent`, `7; Coastal Event`), as are the titles of the feeds: the number tells.
_HAZARD: Final = "awareness_type"
_HAZARDS: Final = {
    "1": "wind",
    "2": "snow_ice",
    "3": "thunderstorm",
    "4": "fog",
    "5": "high_temperature",
    "6": "low_temperature",
    "7": "coastal_event",
    "8": "forest_fire",
    "9": "avalanches",
    "10": "rain",
    "12": "flooding",
    "13": "rain_flood",
}
_HAZARD_OF: Final = {written: name for name in _HAZARDS.values() for written in (name.replace("_", ""), f"{name.replace('_', '')}s")}
# Event codes that say nothing of the event: the DWD's profile, licence and colour, and the `NWS` that stands in SAME for all that SAME
# has no code for (the code after it tells).
_NO_EVENT_CODES: Final = frozenset(("PROFILE_VERSION", "LICENSE", "AREA_COLOR"))
_NO_SAME_CODE: Final = ("SAME", "NWS")
_DWD_GROUP: Final = "GROUP"  # `WIND`, beside the number `II` of its strength: the level says that already


class Refused(Exception):
    """An alert of which nothing is stored; the arguments are the reason and what people are told."""


def moment(text: str) -> int:
    """Return an instant of CAP in microseconds since 1970, UTC.

    >>> moment("2012-05-02T23:21:04-00:00"), moment("1970-01-01T02:00:00+02:00")
    (1336000864000000, 0)

    Raises:
        Refused: it is none, or has no zone.
    """
    written = _INSTANT.fullmatch(text) if len(text) <= 40 else None  # noqa: PLR2004 - with nanoseconds and zone it has 35 characters
    if written is None:
        raise Refused("not_an_instant", f"{REASONS['not_an_instant']}: {text[:80]!r}")
    if written[1] is None:
        raise Refused("no_time_zone", f"{REASONS['no_time_zone']}: {text!r}")
    found = instant(text)
    if found is None:
        raise Refused("not_an_instant", f"{REASONS['not_an_instant']}: {text!r}")
    return found


def add_alert(alert: Alert, position: int, batch: WireBatch) -> None:
    """Append what an alert says.

    Raises:
        Refused: nothing of it can be stored; nothing was appended.
    """
    _check(alert)
    texts = alert.texts
    identifier, kind, sent = texts["identifier"], texts["msgType"], moment(texts["sent"])
    infos = _in_one_language(alert.infos)
    for info in infos:
        info.read_areas()
        if any(not area.description and not area.geocodes for area in info.areas):
            raise Refused("missing_element", f"{REASONS['missing_element']}: areaDesc of an area")
    # The severest first: what says less of an area already warned of is set aside.
    infos.sort(key=lambda info: -(SEVERITIES[info.texts["severity"]] or 0.0))
    # Entries that sum up one alert area by area name the area in their titles: the alert is the event.
    naming = ("event",) if alert.is_summary else ("headline", "event")
    headline = next((t for i in infos for n in naming if (t := i.texts.get(n)) is not None), None)
    ref = f"alert:{identifier}"
    if headline is not None and not is_too_long(headline):
        batch.assets.append(AssetRow(position, ref, "warning", name=headline))
    batch.observations.append(
        ObservationRow(position, ref, "warning_status", sent, 0.0 if kind == "Cancel" else 1.0, kind, "1", None, identifier)
    )
    for reference in texts.get("references", "").split():
        parts = reference.split(",")
        if len(parts) != _REFERENCE_PARTS or not parts[1]:
            batch.reject(position, "invalid_reference", f"{REASONS['invalid_reference']}: {reference[:120]!r}", scope="value")
        elif parts[1] != identifier:  # some updates keep the identifier of what they supersede, and refer to themselves
            batch.observations.append(
                ObservationRow(position, f"alert:{parts[1]}", "warning_status", sent, 0.0, kind, "1", None, identifier)
            )
    _Writer(alert, position, batch, sent).write(infos)


def _check(alert: Alert) -> None:
    texts = alert.texts
    for name in _OF_SUMMARY if alert.is_summary else _OF_ALERT:
        if name not in texts:
            raise Refused("missing_element", f"{REASONS['missing_element']}: {name}")
    for name, known in (("status", _STATUSES), ("msgType", _TYPES)):
        if texts[name] not in known:
            raise Refused("unknown_value", f"{REASONS['unknown_value']}: {name} {texts[name][:80]!r}")
    if texts["status"] != "Actual":
        raise Refused("not_actual", f"{REASONS['not_actual']}: {texts['status']}")
    if texts["msgType"] in ("Ack", "Error"):
        raise Refused("not_a_warning", f"{REASONS['not_a_warning']}: {texts['msgType']}")
    if is_too_long(texts["identifier"]) or is_too_long(texts["sender"]):
        raise Refused("text_too_long", REASONS["text_too_long"])
    for info in alert.infos:
        for name in () if alert.is_summary else _OF_INFO:
            if name not in info.texts:
                raise Refused("missing_element", f"{REASONS['missing_element']}: {name} of an info")
        for name, words in _WORDS.items():
            stated = info.texts.get(name)
            if stated is not None and stated not in words:
                raise Refused("unknown_value", f"{REASONS['unknown_value']}: {name} {stated[:80]!r}")
        if alert.is_summary and not info.areas:
            raise Refused("missing_element", f"{REASONS['missing_element']}: areaDesc or geocode")


def _in_one_language(infos: list[Info]) -> list[Info]:
    """Return the infos without translations: French where there is one, else the language written first."""
    if len(infos) < 2:  # noqa: PLR2004 - one has no translation
        return list(infos)
    groups: dict[tuple[object, ...], list[Info]] = {}
    for info in infos:
        groups.setdefault(info.same_but_for_language(), []).append(info)
    kept: list[Info] = []
    for group in groups.values():
        language = next((i.language for i in group if i.language.startswith("fr")), group[0].language)
        kept += [info for info in group if info.language == language]
    return kept


def event_of(info: Info) -> str:
    """Return the name of a hazard as part of a property: what all languages share (MeteoAlarm's type, an event code) before its words.

    >>> event_of(Info({"event": "orages"}, [("profile:CAP-CP:Event:0.4", "thunderstorm")])), event_of(Info({"event": "Vent violent"}))
    ('thunderstorm', 'vent_violent')
    """
    number, _, label = next((value.partition(";") for name, value in info.parameters if name == _HAZARD), ("", "", ""))
    hazard = _HAZARDS.get(number.strip()) or _hazard(label or number) or _hazard(info.hazard)
    return hazard or slug(_code(info)) or slug(info.texts["event"]) or "event"


def _hazard(label: str) -> str:
    """Return a hazard of MeteoAlarm as part of a property, however its words are joined; another one as it is."""
    name = slug(label)
    return _HAZARD_OF.get(name.replace("_", ""), name)


def _code(info: Info) -> str:
    """Return the first code that says which event it is, the empty text where none does."""
    telling = [pair for pair in info.codes if pair[0] not in _NO_EVENT_CODES and pair != _NO_SAME_CODE]
    return next((value for name, value in telling if name == _DWD_GROUP), telling[0][1] if telling else "")


class _Writer:
    """The areas of one alert, while they are written."""

    __slots__ = ("batch", "described", "identifier", "is_cancelled", "is_update", "position", "said", "sender", "sent")

    def __init__(self, alert: Alert, position: int, batch: WireBatch, sent: int) -> None:
        self.position, self.batch, self.sent = position, batch, sent
        self.identifier, self.sender = alert.texts["identifier"], alert.texts["sender"]
        self.is_cancelled, self.is_update = alert.texts["msgType"] == "Cancel", alert.texts["msgType"] == "Update"
        self.said: dict[tuple[str, str, int], Info] = {}
        self.described: set[str] = set()

    def write(self, infos: list[Info]) -> None:
        for info in infos:
            try:
                is_over = self._is_over(info)
                at = self._start(info, is_over=is_over)
            except Refused as error:
                reason, detail = error.args
                self.batch.reject(self.position, reason, detail, scope="value")
                continue
            level = 0.0 if is_over else SEVERITIES[info.texts["severity"]]
            event = f"warning.{event_of(info)}"
            texts = self._texts(event, info)
            for area in info.areas:
                self._area(area, event, at, level, info, texts)

    def _is_over(self, info: Info) -> bool:
        """Whether an info ends a warning; one that expired before it was sent does (feeds leave the response type of Météo-France out)."""
        said = info.texts
        if self.is_cancelled or said.get("urgency") == "Past" or "AllClear" in said.get("responseType", "").split():
            return True
        try:
            return "expires" in said and moment(said["expires"]) <= self.sent
        except Refused:
            return False  # it stays a text, and nothing is read from it

    def _start(self, info: Info, *, is_over: bool) -> int:
        """Return the instant of an info's rows: an end is dated when it was sent, and an update changes nothing before it was."""
        if is_over:
            return self.sent
        stated = info.texts.get("onset") or info.texts.get("effective")
        start = self.sent if stated is None else moment(stated)
        return max(start, self.sent) if self.is_update else start

    def _texts(self, event: str, info: Info) -> list[tuple[str, str]]:
        """Return the properties of an info beside its level."""
        stated = info.texts
        found = [(f"{event}.{name}", stated[element]) for element, name in _TEXTS if element in stated]
        parameters: dict[str, str] = {}
        for name, value in info.parameters:
            key = f"{event}.parameter.{slug(name)}"
            parameters[key] = f"{parameters[key]}; {value}" if key in parameters else value
        kept = []
        for name, text in [*found, *parameters.items()]:
            if is_too_long(text):
                self.batch.reject(self.position, "text_too_long", f"{name}: {REASONS['text_too_long']}", scope="value")
            else:
                kept.append((name, text))
        return kept

    def _area(self, area: Area, event: str, at: int, level: float | None, info: Info, texts: list[tuple[str, str]]) -> None:
        refs = refs_of(area, self.sender)
        place = Place()
        if len(refs) == 1 and refs[0] not in self.described:  # of several zones the shape is the sum's, and no one's
            try:
                place = place_of(area)
            except InvalidArea as error:
                self.batch.reject(self.position, "invalid_geometry", f"{REASONS['invalid_geometry']}: {error}", scope="value")
        append = self.batch.observations.append
        position, message = self.position, self.identifier
        for ref in refs:
            first = self.said.setdefault((ref, event, at), info)
            if first is not info:
                if (first.texts, first.parameters) != (info.texts, info.parameters):
                    self.batch.reject(position, "repeated_area", f"{REASONS['repeated_area']}: {ref[:200]}, {event}", scope="value")
                continue
            if ref not in self.described:
                self.described.add(ref)
                name = area.description if area.description and not is_too_long(area.description) else None
                self.batch.assets.append(
                    AssetRow(position, ref, "warning_area", None, name, None, None, place.longitude, place.latitude, place.geometry)
                )
            append(ObservationRow(position, ref, event, at, level, info.texts["severity"], "1", None, message))
            for name, text in texts:
                append(ObservationRow(position, ref, name, at, None, text, None, None, message))
