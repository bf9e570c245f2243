"""The list: one alarm as one row, in HTML that the page's style and script know.

Here: pure functions from alarms to HTML; everything from outside is escaped. Not here: which alarms (`view`), when they change (`wall`).

A row holds no age and no countdown: it says the instants, and the browser counts. So it changes only when the alarm does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from orchestration.alerts.drafting import french
from orchestration.alerts.model import Alarm, State
from orchestration.alerts.page import words
from orchestration.alerts.page.board import FeedContact
from orchestration.alerts.page.view import TABS_FR, Shown, Tab
from orchestration.alerts.page.words import escape

# Priority is said by the colour, the shape and the letter: each is enough by itself.
_LETTERS: Final = {1: "C", 2: "H", 3: "M", 4: "B"}
_CALLED: Final = {"arrive_by": "sur place avant", "safe_by": "mise en sécurité avant", "restore_by": "rétablir avant"}
_LEVELS: Final = ("silent", "late", "unknown", "good")
_TAB_TITLES: Final = {
    Tab.STANDING: "Ce qui est présenté, acquitté ou non",
    Tab.SUPPRESSED: "Supprimées par conception : travaux annoncés, expliquées par une autre, hors service",
}
_STATE_CLASS: Final = {
    State.UNACKNOWLEDGED: "todo", State.ACKNOWLEDGED: "seen", State.RETURNED: "back", State.CLOSED: "shut",
}  # fmt: skip


def mark(priority: int) -> str:
    """Return the sign of a priority: a shape with its letter."""
    name = words.PRIORITIES[priority]
    return (
        f'<span class="mark p{priority}" title="Priorité {name.lower()}"><b aria-hidden="true">{_LETTERS[priority]}</b><i>{name}</i></span>'
    )


def since(at: dt.datetime, *, before: str = "") -> str:
    """Return an age, which the browser counts."""
    return f'<time data-since="{at.timestamp():.0f}" data-before="{escape(before)}" datetime="{at.isoformat()}"></time>'


def left(at: dt.datetime) -> str:
    """Return a countdown (h:mm:ss), which the browser counts, and shows as passed when it is."""
    return f'<time class="left" data-until="{at.timestamp():.0f}" datetime="{at.isoformat()}"></time>'


def deadline(alarm: Alarm) -> tuple[str, dt.datetime] | None:
    """Return the nearest deadline of the contract that is not met yet, and what it asks; a work order says who is on site."""
    met = {str(o.get("status")) for o in alarm.work_orders}
    done = set()
    if met & {"arrived", "made_safe", "restored", "closed"} or _any(alarm, "arrived_at"):
        done.add("arrive_by")
    if met & {"made_safe", "restored", "closed"} or _any(alarm, "made_safe_at"):
        done.add("safe_by")
    if met & {"restored", "closed", "DONE"} or _any(alarm, "restored_at") or not alarm.is_active:
        return None
    found = [(at, name) for name in _CALLED if name not in done and (at := getattr(alarm, name)) is not None]
    if not found:
        return None
    at, name = min(found)
    return _CALLED[name], at


def _any(alarm: Alarm, instant: str) -> bool:
    return any(order.get(instant) for order in alarm.work_orders)


def chip(text: str, kind: str = "", title: str = "") -> str:
    """Return a small word in a frame."""
    said = f' title="{escape(title)}"' if title else ""
    return f'<span class="chip {kind}"{said}>{escape(text)}</span>'


def chips(alarm: Alarm, names: Mapping[str, str] | None = None) -> str:
    """Return what else there is to know of an alarm at a glance."""
    # What is not presented asks nothing of anybody: its state is told, not shouted.
    found = [chip(words.STATES[alarm.state], _STATE_CLASS[alarm.state] if alarm.is_presented else "")]
    if alarm.hidden:
        found.append(chip(f"+ {words.plural(alarm.hidden, 'alarme')}", "under", "Rangées sous cette alarme"))
    if alarm.is_chattering:
        found.append(chip(f"Bavarde ×{alarm.activations}", "chatter", "Va et vient : elle ne sonne plus à chaque fois"))
    if alarm.escalation:
        found.append(chip("Transmise" if alarm.escalation == 1 else f"Transmise ×{alarm.escalation}", "escalated"))
    if alarm.assigned_to:
        found.append(chip(words.who(alarm.assigned_to, names), "person", "Prise en charge"))
    found += [chip(words.order(o), "order", "Intervention") for o in alarm.work_orders]
    if alarm.shelved_until is not None:
        found.append(f'<span class="chip aside">de côté : encore {left(alarm.shelved_until)}</span>')
        found.append(chip(alarm.shelve_reason or "", "why"))
    if alarm.suppressed_by is not None:
        found.append(chip(words.SUPPRESSED.get(alarm.suppressed_by, alarm.suppressed_by), "aside", alarm.suppress_reason or ""))
    if alarm.is_out_of_service:
        found.append(chip("Hors service", "aside"))
    return "".join(found)


def row(alarm: Alarm, names: Mapping[str, str] | None = None, *, can_act: bool = False) -> str:
    """Return the inside of a row."""
    what = alarm.asset_name or alarm.asset_ref
    title = f"{escape(alarm.title)}{f' <em>{escape(what)}</em>' if what else ''}"
    where = words.place(alarm.commune, alarm.street)
    tick = f'<span class="pick"><input type="checkbox" data-do="pick" data-id="{alarm.alarm_id}" aria-label="Sélectionner"></span>'
    due = deadline(alarm)
    count = f'<span class="due">{left(due[1])}<small>{due[0]}</small></span>' if due else '<span class="due"></span>'
    return (
        f"{tick if can_act else ''}{mark(alarm.priority)}"
        f'<span class="what"><b class="title">{title}</b><span class="where">{escape(where)}</span>'
        f'<span class="chips">{chips(alarm, names)}</span></span>'
        f'<span class="age">{since(alarm.raised_at)}</span>{count}'
    )


def row_class(alarm: Alarm) -> str:
    """Return what the style of a row hangs on."""
    return f"alarm p{alarm.priority} {_STATE_CLASS[alarm.state] if alarm.is_presented else 'aside'}"


def tabs(shown: Shown, chosen: Tab) -> str:
    """Return the tabs with how many alarms each holds."""
    return "".join(
        f'<button type="button" role="tab" data-do="tab" data-tab="{tab}" title="{_TAB_TITLES.get(tab, name)}" '
        f'aria-selected="{str(tab is chosen).lower()}">'
        f"<kbd>{n}</kbd>{name} <b>{shown.tabs.get(tab, 0)}</b></button>"
        for n, (tab, name) in enumerate(TABS_FR.items(), 1)
    )


def domains(shown: Shown, chosen: str | None) -> str:
    """Return the domains of what the tab holds, to choose from."""
    found = {d: n for d, n in shown.domains.items() if n or d == chosen}
    if chosen is not None:
        found.setdefault(chosen, 0)
    every = sum(shown.domains.values())
    buttons = [_domain("*", "Tous les domaines", every, is_chosen=chosen is None)]
    buttons += [_domain(d, words.DOMAINS.get(d, d or "Autres"), n, is_chosen=d == chosen) for d, n in sorted(found.items())]
    return "".join(buttons)


def _domain(code: str, name: str, count: int, *, is_chosen: bool) -> str:
    return (
        f'<button type="button" data-do="domain" data-domain="{escape(code)}" aria-pressed="{str(is_chosen).lower()}">'
        f"{escape(name)} <b>{count}</b></button>"
    )


def more(shown: Shown) -> str:
    """Return what is said under the last row of a list that is longer."""
    hidden = shown.total - len(shown.rows)
    if hidden <= 0:
        return ""
    others = "une autre" if hidden == 1 else f"{french(hidden)} autres"
    return f"… et {others} : moins urgentes, ou plus récentes. Choisissez un domaine ou cherchez pour les voir."


def contacts(feeds: Sequence[FeedContact], now: dt.datetime) -> str:
    """Return the last contact of each feed, what is wrong first: a shape and a word as well as a colour."""
    told = [(feed, feed.level(now)) for feed in feeds]
    return "".join(_feed(feed, level) for feed, level in sorted(told, key=lambda pair: _LEVELS.index(pair[1])))


def _feed(feed: FeedContact, level: str) -> str:
    name = escape(feed.title)
    return f'<li class="feed {level}" title="{name}"><span class="name">{name}</span>{_contact(feed)}</li>'


def _contact(feed: FeedContact) -> str:
    if feed.at is None:
        return "<span>jamais entendue</span>"
    allowed = f' data-allowed="{feed.freshness.total_seconds():.0f}"' if feed.freshness else ""
    return f'<time data-since="{feed.at.timestamp():.0f}" data-before="il y a "{allowed}></time>'
