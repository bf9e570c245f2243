"""One CAP 1.2 document (OASIS Common Alerting Protocol): what public safety systems read of an alarm.

Here: from an alarm to XML. Not here: which lines of the journal become a message, and of what kind (`cap_chain`), the feed (`atom`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from lxml import etree

from orchestration.alerts.model import PRIORITY_FR, STATE_FR, Alarm, Priority

NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
# Instants bear the zone people live in; the norm forbids `Z`.
_ZONE: Final = ZoneInfo("Europe/Paris")

_CATEGORY: Final = {
    "EP": "Infra", "VP": "Security", "SLT": "Transport", "MOB": "Transport", "RT": "Infra", "PAT": "Infra", "CDV": "Env", "EAU": "Infra",
    "GRC": "Other", "METEO": "Met",
}  # fmt: skip
# The norm's words: Immediate (now), Expected (within the hour), Future; Extreme (extraordinary threat) to Minor (little threat).
_URGENCY: Final = {
    Priority.CRITICAL: "Immediate", Priority.HIGH: "Expected", Priority.MEDIUM: "Expected", Priority.LOW: "Future",
}  # fmt: skip
_SEVERITY: Final = {
    Priority.CRITICAL: "Extreme", Priority.HIGH: "Severe", Priority.MEDIUM: "Moderate", Priority.LOW: "Minor",
}  # fmt: skip
# What people write has not been seen by equipment yet.
_SAID: Final = frozenset({"GRC"})
# A point is where crews go, to the nearest crossroads.
_RADIUS_KM: Final = 0.1
_RESTRICTION: Final = "Exploitants et services du territoire"
_PROFILE: Final = "Vigie"
# Characters that XML 1.0 cannot hold, and that equipment sends all the same.
_UNWRITABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MessageType(StrEnum):
    """What a message is to those before it."""

    ALERT = "Alert"
    UPDATE = "Update"
    CANCEL = "Cancel"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who sends. `instance` tells it from every other Vigie; `name` is what people call it."""

    instance: str
    name: str = "Vigie, poste de commandement"

    @property
    def sender(self) -> str:
        """What the norm calls the sender: no spaces, commas, `<` or `&`."""
        return f"vigie-{self.instance}"

    def identifier(self, alarm_id: int, seq: int) -> str:
        """Return the identifier of a message: the same for ever."""
        return f"vigie-{self.instance}-{alarm_id}-{seq}"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a turn of the journal that changed what others must know.

    Attributes:
        alarm_id, seq: of the last line of the turn.
        sent: when it was recorded.
        type: Alert, Update or Cancel.
        references: the messages before it that it says more of, or ends: (seq, sent), the first first.
    """

    alarm_id: int
    seq: int
    sent: dt.datetime
    type: MessageType
    references: tuple[tuple[int, dt.datetime], ...] = ()


def document(issuer: Issuer, message: Message, alarm: Alarm) -> etree._Element:
    """Return the document of a message.

    Args:
        issuer: who sends.
        message: what to say.
        alarm: the alarm as it stood then.
    """
    root = etree.Element(f"{{{NAMESPACE}}}alert", nsmap={None: NAMESPACE})  # type: ignore[dict-item] # None is the default namespace
    _add(root, "identifier", issuer.identifier(message.alarm_id, message.seq))
    _add(root, "sender", issuer.sender)
    _add(root, "sent", zoned(message.sent))
    _add(root, "status", "Actual")
    _add(root, "msgType", message.type)
    _add(root, "scope", "Restricted")
    _add(root, "restriction", _RESTRICTION)
    if message.references:
        known = (f"{issuer.sender},{issuer.identifier(message.alarm_id, seq)},{zoned(sent)}" for seq, sent in message.references)
        _add(root, "references", " ".join(known))
    _info(etree.SubElement(root, f"{{{NAMESPACE}}}info"), issuer, message, alarm)
    return root


def headline(alarm: Alarm) -> str:
    """Return an alarm in a few words: what, of what, where."""
    return " · ".join(part for part in (alarm.title, alarm.asset_name or alarm.asset_ref, alarm.commune) if part)


def zoned(instant: dt.datetime) -> str:
    """Return an instant as the norm writes it: to the second, with its offset.

    >>> zoned(dt.datetime(2026, 7, 5, 7, 0, 0, 999, tzinfo=dt.UTC))
    '2026-07-05T09:00:00+02:00'
    """
    return instant.astimezone(_ZONE).isoformat(timespec="seconds")


def _info(info: etree._Element, issuer: Issuer, message: Message, alarm: Alarm) -> None:
    priority, over = Priority(alarm.priority), message.type is MessageType.CANCEL
    _add(info, "language", "fr-FR")
    _add(info, "category", _CATEGORY.get(alarm.domain or "", "Other"))
    _add(info, "event", alarm.title)
    _add(info, "responseType", "AllClear" if over else "Monitor")
    _add(info, "urgency", "Past" if over else _URGENCY[priority])
    _add(info, "severity", _SEVERITY[priority])
    _add(info, "certainty", "Likely" if alarm.domain in _SAID else "Observed")
    _pair(info, "eventCode", "vigie:rule", alarm.rule)
    _add(info, "effective", zoned(message.sent))
    _add(info, "onset", zoned(alarm.started_at))
    _add(info, "senderName", issuer.name)
    _add(info, "headline", f"Fin : {headline(alarm)}" if over else headline(alarm))
    _add(info, "description", alarm.message or alarm.title)
    if alarm.procedure and not over:
        steps = (f"{n}. {step.text}" + (f" ({step.call})" if step.call else "") for n, step in enumerate(alarm.procedure, start=1))
        _add(info, "instruction", "\n".join(steps))
    _pair(info, "parameter", "vigie:alarm", str(alarm.alarm_id))
    _pair(info, "parameter", "vigie:state", STATE_FR[alarm.state])
    _pair(info, "parameter", "vigie:priority", PRIORITY_FR[priority])
    if alarm.source and alarm.asset_ref:
        _pair(info, "parameter", "vigie:asset", f"{alarm.source}|{alarm.asset_ref}")
    if alarm.hidden:
        _pair(info, "parameter", "vigie:hidden", str(alarm.hidden))
    _area(etree.SubElement(info, f"{{{NAMESPACE}}}area"), alarm)


def _area(area: etree._Element, alarm: Alarm) -> None:
    _add(area, "areaDesc", ", ".join(part for part in (alarm.street, alarm.commune) if part) or alarm.asset_name or _PROFILE)
    rings = list(_rings(alarm.area))
    for ring in rings:
        _add(area, "polygon", " ".join(f"{latitude:.6f},{longitude:.6f}" for longitude, latitude in ring))
    if not rings and alarm.longitude is not None and alarm.latitude is not None:
        _add(area, "circle", f"{alarm.latitude:.6f},{alarm.longitude:.6f} {_RADIUS_KM}")


def _rings(geometry: str | None) -> Iterator[Sequence[tuple[float, float]]]:
    """Yield the outer rings of a GeoJSON polygon or several, as (longitude, latitude); the norm knows no holes."""
    shape: dict[str, Any] = json.loads(geometry) if geometry else {}
    match shape.get("type"):
        case "Polygon":
            polygons = [shape["coordinates"]]
        case "MultiPolygon":
            polygons = shape["coordinates"]
        case _:
            return
    for polygon in polygons:
        ring = [(point[0], point[1]) for point in polygon[0]]
        yield ring if ring[0] == ring[-1] else [*ring, ring[0]]


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = _UNWRITABLE.sub("�", text)


def _pair(parent: etree._Element, name: str, key: str, value: str) -> None:
    pair = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    _add(pair, "valueName", key)
    _add(pair, "value", value)
