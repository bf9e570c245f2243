"""What operators read, in French: ages, instants, counts, states, and the journal in words.

Here: pure functions from values to text. Not here: HTML (`rows`, `detail`).
"""

from __future__ import annotations

import datetime as dt
import html
from collections.abc import Mapping
from typing import Any, Final

from orchestration.alerts.drafting import french, french_unit
from orchestration.alerts.lifecycle import CHATTER_COUNT
from orchestration.alerts.model import PLATFORM, Entry, Kind, State

_MONTHS: Final = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre",
)  # fmt: skip
_DAYS: Final = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")

DOMAINS: Final = {
    "EP": "Éclairage", "VP": "Vidéo", "SLT": "Feux", "MOB": "Mobilité", "RT": "Télécoms",
    "PAT": "Bâtiments", "CDV": "Cadre de vie", "EAU": "Eau", "GRC": "Signalements", "METEO": "Météo",
}  # fmt: skip
PRIORITIES: Final = {1: "Critique", 2: "Haute", 3: "Moyenne", 4: "Basse"}
STATES: Final = {
    State.UNACKNOWLEDGED: "À acquitter",
    State.ACKNOWLEDGED: "Acquittée",
    State.RETURNED: "Revenue à la normale",
    State.CLOSED: "Close",
}
SUPPRESSED: Final = {
    "parent": "Expliquée par une autre alarme",
    "joined": "Réunie à une autre alarme",
    "maintenance": "Travaux annoncés",
    "flood": "Regroupée pendant l'afflux",
}
# Lines that say no more than that it happened, and by whom.
_SIMPLE: Final = {
    Kind.RAISED: "déclenchée",
    Kind.UPDATED: "mise à jour",
    Kind.RETURNED: "retour à la normale",
    Kind.ACKNOWLEDGED: "acquittée{by}",
    Kind.UNSUPPRESSED: "de nouveau présentée",
    Kind.OUT_OF_SERVICE: "équipement mis hors service{by}",
    Kind.IN_SERVICE: "équipement remis en service{by}",
    Kind.JOINED: "une autre alarme lui est rattachée",
    Kind.STEADY: "n'est plus bavarde",
    Kind.COMMENTED: "commentaire{by}",
}
_ORDER: Final = {
    "requested": "demandée", "accepted": "prise en compte", "dispatched": "équipe envoyée", "arrived": "équipe sur place",
    "made_safe": "mis en sécurité", "restored": "rétabli", "closed": "terminée", "cancelled": "annulée", "failed": "envoi en échec",
    "pending": "en attente d'envoi",
    # Orders that were asked for from here (`orchestration.alerts.deliveries.work_orders`).
    "WANTED": "à transmettre", "ASKED": "demandée", "IN_PROGRESS": "en cours", "DONE": "terminée", "CANCELLED": "annulée",
    "REFUSED": "refusée",
}  # fmt: skip


def plural(count: int, one: str, many: str | None = None) -> str:
    r"""Return a count with its noun; in French, 0 and 1 are singular.

    >>> plural(0, "alarme"), plural(1, "alarme"), plural(1200, "alarme"), plural(2, "feu", "feux")
    ('0 alarme', '1 alarme', '1\u202f200 alarmes', '2 feux')
    """
    return f"{french(count)} {one if count < 2 else many or one + 's'}"  # noqa: PLR2004 - the rule of the language


def duration(seconds: float) -> str:
    """Return a length of time, to the precision people need of it.

    >>> [duration(s) for s in (0, 59, 60, 3599, 3600, 5000, 86400, 200000)]
    ['0 s', '59 s', '1 min', '59 min', '1 h', '1 h 23', '1 j', '2 j 7 h']
    """
    left = max(0, int(seconds))
    days, hours, minutes = left // 86_400, left // 3600 % 24, left // 60 % 60
    if days:
        return f"{days} j {hours} h" if hours else f"{days} j"
    if left >= 3600:  # noqa: PLR2004 - an hour
        return f"{hours} h {minutes:02d}" if minutes else f"{hours} h"
    return f"{minutes} min" if minutes else f"{left} s"


def clock(at: dt.datetime, zone: dt.tzinfo, *, seconds: bool = False) -> str:
    """Return the time of day: « 10:42 »."""
    return at.astimezone(zone).strftime("%H:%M:%S" if seconds else "%H:%M")


def day(at: dt.datetime, zone: dt.tzinfo) -> str:
    """Return the date in words: « dimanche 22 novembre 2026 »; the first of a month is « 1er »."""
    local = at.astimezone(zone)
    number = "1er" if local.day == 1 else str(local.day)
    return f"{_DAYS[local.weekday()]} {number} {_MONTHS[local.month - 1]} {local.year}"


def moment(at: dt.datetime, now: dt.datetime, zone: dt.tzinfo) -> str:
    """Return an instant as briefly as it is clear: « 10:42 », « hier 17:05 », « 3 mars 08:00 », « 3 mars 2025 08:00 »."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    time = f"{local:%H:%M}"
    match (today.date() - local.date()).days:
        case 0:
            return time
        case 1:
            return f"hier {time}"
        case -1:
            return f"demain {time}"
    number = "1er" if local.day == 1 else str(local.day)
    year = "" if local.year == today.year else f" {local.year}"
    return f"{number} {_MONTHS[local.month - 1]}{year} {time}"


def place(commune: str | None, street: str | None) -> str:
    """Return where it is: « Rue de Marne, Châlons » ; empty where nobody says it."""
    return ", ".join(part for part in (street, commune) if part)


def measured(value: float | None, text: str | None, unit: str | None) -> str | None:
    """Return what was observed: « 1 234,5 W », « off »; of a state that is told in both ways, the word; None where nothing was."""
    if text is not None or value is None:
        return text
    return f"{french(value)} {french_unit(unit)}".strip()


def distance(metres: float) -> str:
    """Return a distance.

    >>> distance(42.4), distance(1234)
    ('42 m', '1,2 km')
    """
    return f"{metres:.0f} m" if metres < 1000 else f"{french(round(metres / 1000, 1))} km"  # noqa: PLR2004 - a kilometre


def order(work_order: Mapping[str, Any]) -> str:
    """Return how a work order stands: « OT-12 : équipe envoyée »."""
    status = str(work_order.get("status") or "requested")
    name = work_order.get("remote_ref") or work_order.get("ref")
    said = _ORDER.get(status, status)
    if status == "REFUSED" and work_order.get("reason"):
        said += f" ({work_order['reason']})"
    return f"{name} : {said}" if name else said


def who(actor: str, names: Mapping[str, str] | None = None) -> str:
    """Return who did it: a person's name, « Vigie » for the platform."""
    return "Vigie" if actor == PLATFORM else (names or {}).get(actor, actor)


def told(entry: Entry, now: dt.datetime, zone: dt.tzinfo, names: Mapping[str, str] | None = None) -> str:  # noqa: PLR0911 - a flat list, one line a kind
    """Return what a line of the journal says, in words: « acquittée par Anne ».

    Args:
        entry: the line.
        now: what time it is: « jusqu'à 12:00 » or « jusqu'au 3 mars 12:00 ».
        zone: the time zone of who reads.
        names: what people are called, by login.
    """
    by = f" par {who(entry.actor, names)}" if entry.actor != PLATFORM else ""
    if (simple := _SIMPLE.get(entry.kind)) is not None:
        return simple.format(by=by)
    said = entry.details
    match entry.kind:
        case Kind.REACTIVATED:
            return f"de nouveau active ({entry.alarm.get('activations', 2)}e fois)"
        case Kind.SHELVED:
            until = said.get("until")
            end = f" {until_words(dt.datetime.fromisoformat(until), now, zone)}" if until else ""
            return f"mise de côté{by}{end}"
        case Kind.UNSHELVED:
            return f"remise dans la liste{by}" if by else "remise dans la liste : le délai est passé"
        case Kind.SUPPRESSED:
            return f"masquée : {SUPPRESSED.get(str(said.get('by')), 'par conception').lower()}"
        case Kind.CHATTERING:
            return f"devient bavarde : {plural(int(said.get('activations') or CHATTER_COUNT), 'activation')} en 10 min"
        case Kind.ASSIGNED:
            return _assigned(entry, said.get("to"), names)
        case Kind.STEP:
            return f"étape {int(said.get('step', 0)) + 1} {'faite' if said.get('is_done') else 'décochée'}{by}"
        case Kind.ESCALATED:
            return f"sans réponse : transmise à « {said.get('to')} »"
        case Kind.WORK_ORDER:
            return f"intervention {order(said)}{by}"
        case Kind.CLOSED:
            return f"close{by}" if by else "close d'elle-même"
        case _:
            return str(entry.kind)


def until_words(at: dt.datetime, now: dt.datetime, zone: dt.tzinfo) -> str:
    """Return until when: « jusqu'à 12:00 », « jusqu'à demain 08:00 », « jusqu'au 3 mars 08:00 »."""
    said = moment(at, now, zone)
    near = abs((at.astimezone(zone).date() - now.astimezone(zone).date()).days) <= 1
    return f"jusqu'{'à' if near else 'au'} {said}"


def _assigned(entry: Entry, to: Any, names: Mapping[str, str] | None) -> str:
    if to is None:
        return f"rendue par {who(entry.actor, names)}"
    if to == entry.actor:
        return f"prise en charge par {who(entry.actor, names)}"
    return f"confiée à {who(str(to), names)} par {who(entry.actor, names)}"


def escape(text: object) -> str:
    """Return text as HTML: everything that comes from outside passes here before it is shown."""
    return html.escape(str(text), quote=True)
