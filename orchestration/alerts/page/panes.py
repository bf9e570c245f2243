"""One alarm in HTML: head and actions, facts, procedure, what is under it and near it, its journal.

Here: pure functions; everything from outside is escaped. Not here: reading (`detail`).
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from orchestration.alerts.drafting import french
from orchestration.alerts.model import Alarm, Entry, State
from orchestration.alerts.page import rows, words
from orchestration.alerts.page.words import escape

# As the eye counts a neighbourhood: a crossroads and the streets next to it.
NEAR_M: Final = 300.0
# What fits below the procedure; the list itself has the rest.
_MOST_NEAR: Final = 8
_EARTH_M: Final = 6_371_000.0
_DEADLINES: Final = (
    ("arrive_by", "Sur place avant (GTI)"),
    ("safe_by", "En sécurité avant (GTRP)"),
    ("restore_by", "Rétablir avant (GTR)"),
)
_KNOWN: Final = {"expected": "Attendu", "count": "Nombre", "headline": "Avis", "areaDesc": "Zone", "sender": "Émetteur", "feed": "Source"}

Contacts = Callable[[str], str | None]
"""From a name of the command post's directory to how to reach them."""


def head(alarm: Alarm, names: Mapping[str, str], *, can_act: bool, can_intervene: bool) -> str:
    """Return the title of an alarm, and what can be done with it now."""
    what = alarm.asset_name or alarm.asset_ref
    return (
        f'<div class="top">{rows.mark(alarm.priority)}<div><h2>{escape(alarm.title)}</h2>'
        f'<p class="asset">{escape(" · ".join(p for p in (what, words.place(alarm.commune, alarm.street)) if p))}</p></div>'
        '<button type="button" class="tool" data-do="shut" aria-label="Fermer le détail">✕</button></div>'
        f'<p class="message">{escape(alarm.message)}</p><div class="chips">{rows.chips(alarm, names)}</div>'
        f"{_actions(alarm, can_intervene=can_intervene) if can_act else ''}"
    )


def _actions(alarm: Alarm, *, can_intervene: bool) -> str:
    found = []
    if alarm.state is not State.CLOSED:
        if not alarm.is_acknowledged:
            found.append(_button(alarm, "ack", "Acquitter", "A", is_main=True))
        if can_intervene:
            found.append(_button(alarm, "intervene", "Intervention", "I"))
        found.append(_button(alarm, "assign", "Prendre en charge", "P"))
        if alarm.shelved_until is None:
            found.append(_button(alarm, "shelve", "Mettre de côté", "S"))
        else:
            found.append(_button(alarm, "unshelve", "Remettre dans la liste", "R"))
    found.append(_button(alarm, "comment", "Commenter", "C"))
    if alarm.state is not State.CLOSED:
        found.append(_button(alarm, "close", "Clore", "X"))
    return f'<div class="actions">{"".join(found)}</div>'


def _button(alarm: Alarm, do: str, text: str, key: str, *, is_main: bool = False) -> str:
    kind = "act first" if is_main else "act"
    return f'<button type="button" class="{kind}" data-do="{do}" data-id="{alarm.alarm_id}">{text} <kbd>{key}</kbd></button>'


def facts(alarm: Alarm, now: dt.datetime, zone: dt.tzinfo, names: Mapping[str, str]) -> str:
    """Return what is known: since when, what was observed, deadlines, who."""
    found = [("Depuis", f"{words.moment(alarm.started_at, now, zone)} <small>({rows.since(alarm.started_at)})</small>")]
    if alarm.returned_at is not None:
        found.append(("Retour à la normale", words.moment(alarm.returned_at, now, zone)))
    if (value := words.measured(alarm.value, alarm.value_text, alarm.unit)) is not None:
        found.append((alarm.details.get("property_title") or alarm.observed_property or "Valeur", escape(value)))
    found += [(name, escape(_said(alarm.details[key]))) for key, name in _KNOWN.items() if _is_plain(alarm.details.get(key))]
    for name, label in _DEADLINES:
        at = getattr(alarm, name)
        if at is not None:
            found.append((label, f"{words.moment(at, now, zone)} <small>{rows.left(at) if alarm.is_active else ''}</small>"))
    if alarm.acknowledged_by and alarm.acknowledged_at:
        found.append(
            ("Acquittée", f"{words.moment(alarm.acknowledged_at, now, zone)} par {escape(words.who(alarm.acknowledged_by, names))}")
        )
    if alarm.shelved_until is not None:
        until = words.until_words(alarm.shelved_until, now, zone)
        by = escape(words.who(alarm.shelved_by or "", names))
        found.append(("Mise de côté", f"{until} par {by} : {escape(alarm.shelve_reason or '')}"))
    if alarm.suppressed_by is not None:
        why = words.SUPPRESSED.get(alarm.suppressed_by, alarm.suppressed_by)
        link = f" {_open(alarm.parent_id, 'la voir')}" if alarm.parent_id else ""
        found.append(("Pas présentée", f"{escape(why)}{f' : {escape(alarm.suppress_reason)}' if alarm.suppress_reason else ''}{link}"))
    if alarm.activations > 1:
        found.append(("Activations", french(alarm.activations)))
    found.append(("Alarme", f"n° {alarm.alarm_id} <small>{escape(alarm.rule)}</small>"))
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{said}</dd>" for name, said in found) + "</dl>"


def _is_plain(said: Any) -> bool:
    return isinstance(said, (str, int, float)) and not isinstance(said, bool) and said != ""


def _said(said: Any) -> str:
    return french(float(said)) if isinstance(said, (int, float)) else str(said)


def steps(alarm: Alarm, contacts: Contacts, now: dt.datetime, zone: dt.tzinfo, names: Mapping[str, str], *, can_act: bool) -> str:
    """Return the procedure: steps to tick, whom to call and how."""
    if not alarm.procedure:
        return ""
    closed = alarm.state is State.CLOSED
    found = []
    for n, step in enumerate(alarm.procedure):
        done = step.done_at is not None
        box = (
            f'<input type="checkbox" data-do="step" data-id="{alarm.alarm_id}" data-step="{n}" id="step-{n}"'
            f"{' checked' if done else ''}{'' if can_act and not closed else ' disabled'}>"
        )
        call = f'<span class="call">☎ {escape(step.call)}{_reached(contacts(step.call))}</span>' if step.call else ""
        by = (
            f"<small>{words.moment(step.done_at, now, zone)} · {escape(words.who(step.done_by or '', names))}</small>"
            if step.done_at
            else ""
        )
        found.append(f'<li class="{"done" if done else ""}">{box}<label for="step-{n}">{escape(step.text)}</label>{call}{by}</li>')
    count = sum(s.done_at is not None for s in alarm.procedure)
    return f"<h3>Que faire <small>{count} sur {len(alarm.procedure)}</small></h3><ol>{''.join(found)}</ol>"


def _reached(how: str | None) -> str:
    return f" : <b>{escape(how)}</b>" if how else ""


def children(alarm: Alarm, found: Sequence[Alarm]) -> str:
    """Return the live alarms listed under one, the first of them, with how many there are."""
    if not found and not alarm.hidden:
        return ""
    total = max(alarm.hidden, len(found))
    more = total - len(found)
    rest = f"<li class='rest'>… et {words.plural(more, 'autre')}</li>" if more > 0 else ""
    return f"<h3>Rangées sous cette alarme <b>{total}</b></h3><ul class='beneath'>{''.join(map(_line, found))}{rest}</ul>"


def reports(alarm: Alarm) -> str:
    """Return the citizens' reports that an alarm joins, as its rule named them."""
    said = alarm.details.get("reports")
    if not isinstance(said, list) or not said:
        return ""
    lines = "".join(f"<li>{escape(_report(r))}</li>" for r in said[:_MOST_NEAR])
    more = len(said) - _MOST_NEAR
    rest = f"<li class='rest'>… et {words.plural(more, 'autre')}</li>" if more > 0 else ""
    return f"<h3>{words.plural(len(said), 'signalement')}</h3><ul>{lines}{rest}</ul>"


def _report(said: Any) -> str:
    if not isinstance(said, dict):
        return str(said)
    parts = (said.get("report_ref"), said.get("category"), said.get("street"), said.get("description"))
    return " · ".join(str(p) for p in parts if p)


def neighbours(alarm: Alarm, live: Iterable[Alarm]) -> list[tuple[Alarm, float | None]]:
    """Return live alarms near one, the nearest first, with their distance in metres: within 300 m, or of the same commune (None: unknown).

    What is listed under it, or it under, is not near: it is the same.
    """
    found = []
    for other in live:
        if alarm.alarm_id in {other.alarm_id, other.parent_id} or alarm.parent_id == other.alarm_id:
            continue
        metres = metres_between(alarm, other)
        if (metres is not None and metres <= NEAR_M) or (alarm.commune is not None and other.commune == alarm.commune):
            found.append((other, metres))
    found.sort(key=lambda pair: (math.inf if pair[1] is None else pair[1], pair[0].priority, pair[0].alarm_id))
    return found


def metres_between(one: Alarm, other: Alarm) -> float | None:
    """Return how far two alarms are from each other, in metres on a sphere; None where a place is unknown."""
    if one.longitude is None or one.latitude is None or other.longitude is None or other.latitude is None:
        return None
    north = math.radians(other.latitude - one.latitude)
    east = math.radians(other.longitude - one.longitude) * math.cos(math.radians((one.latitude + other.latitude) / 2))
    return _EARTH_M * math.hypot(north, east)


def near(found: Sequence[tuple[Alarm, float | None]]) -> str:
    """Return the neighbours as a list."""
    if not found:
        return ""
    lines = "".join(_line(a, metres) for a, metres in found[:_MOST_NEAR])
    more = len(found) - _MOST_NEAR
    rest = f"<li class='rest'>… et {words.plural(more, 'autre')} dans la commune</li>" if more > 0 else ""
    return f"<h3>À proximité et dans la commune <b>{len(found)}</b></h3><ul class='beside'>{lines}{rest}</ul>"


def _line(alarm: Alarm, metres: float | None = None) -> str:
    what = " · ".join(p for p in (alarm.title, alarm.asset_name or alarm.asset_ref) if p)
    far = f"<small>{words.distance(metres)}</small>" if metres is not None else ""
    state = f"<small>{words.STATES[alarm.state].lower()}</small>"
    return f"<li>{rows.mark(alarm.priority)}{_open(alarm.alarm_id, what)}{state}{far}<small>{rows.since(alarm.raised_at)}</small></li>"


def _open(alarm_id: int, text: str) -> str:
    return f'<button type="button" class="link" data-do="open" data-id="{alarm_id}">{escape(text)}</button>'


def journal(entries: Sequence[Entry], now: dt.datetime, zone: dt.tzinfo, names: Mapping[str, str]) -> str:
    """Return the journal in words, the newest first: « 10:42 · acquittée par Anne »."""
    lines = []
    for entry in reversed(entries):
        at = entry.happened_at or entry.at
        said = f"<q>{escape(entry.comment)}</q>" if entry.comment else ""
        lines.append(
            f'<li class="k-{entry.kind}"><time datetime="{at.isoformat()}">{words.moment(at, now, zone)}</time>'
            f"<span>{escape(words.told(entry, now, zone, names))}{said}</span></li>"
        )
    return f"<h3>Journal</h3><ol>{''.join(lines)}</ol>"
