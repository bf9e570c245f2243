"""An alarm in the hypervisor's words: the event's name, description, criticality, address.

Here: pure functions of an alarm's snapshot. Not here: calls (`provoly_client`), when they are made (`provoly`).
"""

from __future__ import annotations

import datetime as dt
import unicodedata
import uuid
from typing import Any, Final

from orchestration.alerts.deliveries.targets import Provoly
from orchestration.alerts.model import PRIORITY_FR, STATE_FR, Priority, State

# Of the hypervisor's tables.
NAME_LENGTH: Final = 50
DESCRIPTION_LENGTH: Final = 256
# It has three; an operator there is to see at once what ours calls critical or high.
_CRITICALITY: Final = {Priority.CRITICAL: "HIGH", Priority.HIGH: "HIGH", Priority.MEDIUM: "MEDIUM", Priority.LOW: "LOW"}
# Any, as long as it never changes: the ids of events of older versions are made from it.
_SPACE: Final = uuid.UUID("6f1d8a0e-3f0b-5a7c-9a54-2d7c1a1e50aa")


def shortened(text: str, length: int) -> str:
    r"""Return a text on one line, in composed characters, cut by characters.

    >>> shortened("Armoire  au\nnoir", 50), shortened("Éclairage éteint", 10)
    ('Armoire au noir', 'Éclairage…')
    """
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def name(alarm: dict[str, Any]) -> str:
    """Return the name of an alarm's event: its number keeps it unique, title and equipment say what it is.

    >>> name({"title": "Armoire au noir", "asset_name": None, "asset_ref": "C-306", "alarm_id": 12})
    'Armoire au noir – C-306 – n° 12'
    """
    number = f" – n° {alarm['alarm_id']}"
    asset = alarm["asset_name"] or alarm["asset_ref"]
    room = NAME_LENGTH - len(number)
    if asset:
        # Half of the room at most: a long code must not hide what happened.
        asset = f" – {shortened(asset, room // 2)}"
        return shortened(alarm["title"], room - len(asset)) + asset + number
    return shortened(alarm["title"], room) + number


def description(alarm: dict[str, Any]) -> str:
    """Return the sentence of the event, and the state of the alarm, in French."""
    state = f" ({STATE_FR[State(alarm['state'])]}, priorité {PRIORITY_FR[Priority(alarm['priority'])]})"
    return shortened(alarm["message"] or alarm["title"], DESCRIPTION_LENGTH - len(state)) + state


def address(alarm: dict[str, Any]) -> str:
    """Return where it is; the hypervisor wants something."""
    return ", ".join(part for part in (alarm["street"], alarm["commune"]) if part) or "Lieu non renseigné"


def changing(alarm: dict[str, Any]) -> dict[str, str]:
    """Return what of an event may change while it stands."""
    return {
        "description": description(alarm),
        "criticality": _CRITICALITY[Priority(alarm["priority"])],
        "address": address(alarm),
    }


def event(target: Provoly, instance: str, alarm: dict[str, Any], event_name: str, equipment_id: str | None) -> dict[str, Any]:
    """Return the event to create; without known equipment it has no external source, since the hypervisor wants both or none."""
    category, sub = target.categories.of(alarm)
    document: dict[str, Any] = {"name": event_name, "type": "ALERT", "category": category, **changing(alarm)}
    if sub is not None:
        document["subCategory"] = sub
    if equipment_id is not None:
        document["equipmentId"] = equipment_id
        document["externalSourceRef"] = source_ref(target, alarm)
    if target.events_path != "/events":  # older: the id is the caller's
        document["id"] = event_id(instance, alarm["alarm_id"])
    return document


def source_ref(target: Provoly, alarm: dict[str, Any]) -> str:
    """Return the event's reference to us."""
    return target.source_ref.replace("{alarm_id}", str(alarm["alarm_id"]))


def event_id(instance: str, alarm_id: int) -> str:
    """Return the id of an alarm's event in versions where the caller chooses it: always the same."""
    return str(uuid.uuid5(_SPACE, f"{instance}/{alarm_id}"))


def service(alarm: dict[str, Any], order: dict[str, Any], equipment_code: str, now: dt.datetime) -> dict[str, Any]:
    """Return a work order as the hypervisor takes it: asked for, planned from now until the alarm's deadline."""
    asked_at = dt.datetime.fromisoformat(order["asked_at"])
    until = next((alarm[k] for k in ("restore_by", "safe_by", "arrive_by") if alarm[k]), None)
    end = max(dt.datetime.fromisoformat(until), now) if until else asked_at + _UNPLANNED
    text = " – ".join(
        part for part in (order.get("fault") or alarm["title"], order.get("comment"), f"alarme n° {alarm['alarm_id']}") if part
    )
    return {
        "id": order["ref"],
        "description": shortened(text, DESCRIPTION_LENGTH),
        "equipment": equipment_code,
        "creationDate": _instant(asked_at),
        "lastModificationDate": _instant(now),
        "startDate": _instant(asked_at),
        "endDate": _instant(end),
        "domain": alarm["domain"],
        "status": "ASKED",
        "category": "CURA",
    }


# An order needs a planned end. 72 hours: what a lighting contract grants a lamp, the commonest fault there is.
_UNPLANNED: Final = dt.timedelta(hours=72)


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
