"""What the shift's pages are made of: plain HTML, which needs no script and prints.

Here: the frame of such a page, tables, figures in words. Not here: what each page says (`handover`, `report`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from starlette.responses import HTMLResponse

from orchestration.alerts.drafting import french
from orchestration.alerts.model import PRIORITY_FR, Alarm, Kind, Priority
from orchestration.alerts.page import statics, words
from orchestration.alerts.page.words import escape
from orchestration.alerts.shifts import Figures

# What a row of the tables by domain and commune counts, and what it is called.
COUNTED: Final = (
    (Kind.RAISED, "Déclenchées"),
    (Kind.REACTIVATED, "Revenues"),
    (Kind.RETURNED, "Retour à la normale"),
    (Kind.ACKNOWLEDGED, "Acquittées"),
    (Kind.ESCALATED, "Transmises"),
    (Kind.CLOSED, "Closes"),
)
# Rows of a table by commune: what the territory's largest agglomeration has.
_MOST_COMMUNES: Final = 40


def page(title: str, body: str, *, tone: str, links: str, is_printed: bool = False) -> HTMLResponse:
    """Return a whole page. `tone`: `night` (beside the wall) or `paper` (to print)."""
    script = f'<script defer src="{statics.address("paper.js")}"></script>' if is_printed else ""
    return HTMLResponse(
        f'<!doctype html><html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Vigie</title>"
        f'<link rel="stylesheet" href="{statics.address("paper.css")}">{script}</head>'
        f'<body class="{tone}"><nav class="bar"><a class="back" href="/">← Mur des alarmes</a>{links}</nav>'
        f"<main>{body}</main></body></html>",
        headers={"Cache-Control": "no-store"},
    )


def tiles(found: Iterable[tuple[str, str, str]]) -> str:
    """Return figures as tiles: (figure, its name, what more there is to say)."""
    return '<ul class="tiles">' + "".join(
        f"<li><b>{figure}</b><span>{escape(name)}</span>{f'<small>{escape(more)}</small>' if more else ''}</li>"
        for figure, name, more in found
    ) + "</ul>"  # fmt: skip


def counts(figures: Figures) -> list[tuple[str, str, str]]:
    """Return what happened as tiles."""
    kinds = figures.kinds
    by_hand = f"dont {french(figures.closed_by_hand)} à la main" if figures.closed_by_hand else ""
    return [
        (french(figures.announced), "apparues sur le mur", ""),
        (french(kinds.get(Kind.RAISED, 0)), "déclenchées", _again(kinds.get(Kind.REACTIVATED, 0))),
        (french(kinds.get(Kind.RETURNED, 0)), "retours à la normale", ""),
        (french(kinds.get(Kind.ACKNOWLEDGED, 0)), "acquittées", ""),
        (french(kinds.get(Kind.ESCALATED, 0)), "transmises faute de réponse", ""),
        (french(kinds.get(Kind.CLOSED, 0)), "closes", by_hand),
    ]


def _again(count: int) -> str:
    return f"et {words.plural(count, 'retour', 'retours')} d'alarmes connues" if count else ""


def load_tiles(figures: Figures, zone: dt.tzinfo, now: dt.datetime) -> list[tuple[str, str, str]]:
    """Return the operators' load as tiles (EEMUA 191)."""
    load, median = figures.load, figures.acknowledged_median
    worst = f"à {words.moment(load.worst[0], now, zone)}" if load.worst else ""
    return [
        (french(round(load.per_operator, 2)), "alarme par opérateur en 10 min, en moyenne", "EEMUA 191 : moins d'une"),
        (french(load.worst[1] if load.worst else 0), "au plus en 10 min", worst),
        (french(load.floods), "afflux (plus de 10 en 10 min)", ""),
        (
            words.duration(median) if median is not None else "—", "pour acquitter (médiane)",
            words.plural(len(figures.acknowledged_in), "acquittement"),
        ),
    ]  # fmt: skip


def table_by(title: str, head: str, rows: Mapping[str, Mapping[Kind, int]], names: Mapping[str, str], other: str) -> str:
    """Return a table of how many of each kind, the busiest row first."""
    found = [(key, kinds) for key, kinds in rows.items() if any(kinds.get(kind) for kind, _ in COUNTED)]
    if not found:
        return ""
    found.sort(key=lambda item: (-sum(item[1].get(kind, 0) for kind, _ in COUNTED), item[0]))
    lines = [
        f"<tr><th scope='row'>{escape(names.get(key, key) if key else other)}</th>"
        + "".join(f"<td>{french(kinds[kind]) if kinds.get(kind) else '·'}</td>" for kind, _ in COUNTED)
        + "</tr>"
        for key, kinds in found[:_MOST_COMMUNES]
    ]
    more = len(found) - _MOST_COMMUNES
    rest = f"<tr><td colspan='{len(COUNTED) + 1}'>… et {words.plural(more, 'autre')}</td></tr>" if more > 0 else ""
    columns = "".join(f"<th scope='col'>{name}</th>" for _, name in COUNTED)
    return (
        f"<section><h3>{escape(title)}</h3><table class='figures'><thead><tr><th scope='col'>{escape(head)}</th>{columns}</tr></thead>"
        f"<tbody>{''.join(lines)}{rest}</tbody></table></section>"
    )


def section(title: str, lines: Sequence[str], *, nothing: str, most: int, more: str = "autre") -> str:
    """Return a list with a title; `nothing` where it is empty; past `most` lines the rest is counted."""
    count = f" <b>{french(len(lines))}</b>" if lines else ""
    if not lines:
        return f"<section><h2>{escape(title)}</h2><p class='none'>{escape(nothing)}</p></section>"
    rest = f"<li class='rest'>… et {words.plural(len(lines) - most, more)}</li>" if len(lines) > most else ""
    return (
        f"<section><h2>{escape(title)}{count}</h2><ul class='lines'>{''.join(f'<li>{x}</li>' for x in lines[:most])}{rest}</ul></section>"
    )


def named(alarm: Alarm) -> str:
    """Return an alarm in a line: its priority, title, equipment, place."""
    place = words.place(alarm.commune, alarm.street)
    what = alarm.asset_name or alarm.asset_ref
    return (
        f"{priority(alarm.priority)} <b>{escape(alarm.title)}</b>{f' <em>{escape(what)}</em>' if what else ''}"
        f"{f' <small>{escape(place)}</small>' if place else ''}"
    )


def priority(number: int) -> str:
    """Return the sign of a priority: letter, colour and word."""
    name = PRIORITY_FR[Priority(number)]
    return f'<span class="prio p{number}" title="Priorité {name}">{name[0].upper()}</span>'
