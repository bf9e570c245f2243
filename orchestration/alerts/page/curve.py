"""The curve: recent measures of what an alarm is about, with the threshold of its rule, in the detail.

Here: what is asked of the lake, and the chart's options (pure). Not here: reading the lake (`orchestration.alerts.recent`).

The lake takes about a second to answer: the detail is there before, and says that it waits. Whoever walks through the list with the
arrows asks for nothing: only an alarm that stays open is read.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from nicegui import background_tasks, ui
from starlette.concurrency import run_in_threadpool

from ingestion.errors import VigieError
from orchestration.alerts import recent
from orchestration.alerts.drafting import french_unit
from orchestration.alerts.model import Alarm
from orchestration.alerts.page import words
from orchestration.alerts.page.words import escape
from orchestration.alerts.recent import Measures
from orchestration.alerts.rulebook.model import Rule, Threshold
from orchestration.alerts.rulebook.registry import rules_in_force
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.alerts.page.wall import Wall

_LOG: Final = logging.getLogger("vigie.web")
# Longer than between two arrow keys that somebody holds down.
_STAYS_S: Final = 0.35
# Rules change when somebody edits a file; reading them all takes some tenths of a second.
_RULES_S: Final = 60.0
# Each read may take 256 MB: two at once, whoever looks.
_AT_ONCE: Final = asyncio.Semaphore(2)
# Figures that take so few values are states (0 and 1, a level): they are drawn as steps.
_FEW: Final = 4
_AXIS: Final = "#b9c5d3"
_LINE: Final = "#2c3848"
_INK: Final = "#8fd0ff"
_BOUND: Final = "#ff6b61"
# Bands of a text state; the name stands on each, so the colour only tells neighbours apart. The last serves all further ones.
_BANDS: Final = ("#3d6a94", "#8a5a1c", "#4f6d3f", "#6d4a86", "#56606e")


def show(wall: Wall, alarm: Alarm, settings: Settings) -> None:
    """Put the curve where the page is now: it comes when the lake has answered."""
    if alarm.source is None or alarm.asset_ref is None or alarm.observed_property is None:
        return  # of a report or a feed there is nothing to measure
    box = ui.element("div").classes("curve-box").props('role="img"')
    with box:
        heading = ui.html("", sanitize=False)
        body = ui.element("div").classes("curve-body")
        with body:
            ui.html('<p class="quiet">Lecture des mesures…</p>', sanitize=False)
    heading.set_content(
        f"<h3>Mesures récentes <small>{escape(alarm.details.get('property_title') or alarm.observed_property)}</small></h3>"
    )
    zone = wall.zone

    def gone() -> bool:
        return box.is_deleted

    async def fill() -> None:
        await asyncio.sleep(_STAYS_S)
        if gone():
            return
        try:
            async with _AT_ONCE:
                if gone():
                    return
                found, rule = await run_in_threadpool(_read, settings, alarm)
        except (VigieError, OSError) as error:
            _LOG.warning("measures cannot be read: %s", error)
            found, rule = None, None
        if gone():
            return
        said = "Les mesures ne peuvent pas être lues : le lac de données ne répond pas." if found is None else told(found, alarm, zone)
        box.props(f'aria-label="{escape(said)}"')
        body.clear()
        with body:
            if found is not None and (found.values or found.states):
                ui.echart(options(found, alarm, rule, zone), renderer="svg").classes(
                    "curve-chart" if found.values else "curve-chart curve-flat"
                )
            ui.html(f'<p class="quiet">{escape(said)}</p>', sanitize=False)

    background_tasks.create(fill(), name=f"curve of alarm {alarm.alarm_id}", context=wall.client)


def _read(settings: Settings, alarm: Alarm) -> tuple[Measures, Rule | None]:
    if alarm.source is None or alarm.asset_ref is None or alarm.observed_property is None:
        raise AssertionError("asked only of an alarm that has a property")
    start, end = recent.span_of(alarm, dt.datetime.now(dt.UTC))
    found = recent.measures(settings.reader_lake, (alarm.source, alarm.asset_ref), alarm.observed_property, start, end)
    return found, _rules(settings).get(alarm.rule)


class _Rules:
    """The rules in force, kept for a minute."""

    def __init__(self) -> None:
        self._lock, self._read_at, self._rules = threading.Lock(), -_RULES_S, dict[str, Rule]()

    def get(self, settings: Settings) -> Mapping[str, Rule]:
        with self._lock:
            if time.monotonic() - self._read_at >= _RULES_S:
                self._rules, self._read_at = rules_in_force(settings.alerts_path / "rules"), time.monotonic()
            return self._rules


_rules = _Rules().get


# --- what is said and drawn


def told(found: Measures, alarm: Alarm, zone: dt.tzinfo) -> str:
    """Return what the curve shows, in words."""
    now = found.end
    since = words.moment(found.start, now, zone)
    if found.values:
        figures = [value for _, value in found.values]
        at, last = found.values[-1]
        unit = french_unit(found.unit)
        said = [words.measured(figure, None, unit) or "" for figure in (last, min(figures), max(figures))]
        return f"Dernière mesure {said[0]} ({words.moment(at, now, zone)}) ; depuis {since}, de {said[1]} à {said[2]}."
    if found.states:
        at, state = found.states[-1]
        return f"« {state} » depuis {words.moment(at, now, zone)} ; {words.plural(len(found.states) - 1, 'changement')} depuis {since}."
    where = alarm.asset_name or alarm.asset_ref
    return f"Aucune mesure de {alarm.observed_property} n'a atterri pour {where} depuis {since}."


def bounds(rule: Rule | None, name: str | None) -> list[tuple[str, float]]:
    """Return the levels of a rule on a property: (what to call it, the figure in the lake's unit)."""
    if rule is None or not isinstance(rule.when, Threshold) or rule.when.property != name:
        return []
    when = rule.when
    found = [("seuil", when.above), ("seuil", when.below), ("fin", when.clear)]
    return [(label, level) for label, level in found if level is not None]


def options(found: Measures, alarm: Alarm, rule: Rule | None, zone: dt.tzinfo) -> dict[str, Any]:
    """Return the chart's options (ECharts): a line with the rule's levels, or a band of states."""
    axis = {
        "type": "time", "min": _ms(found.start, zone), "max": _ms(found.end, zone), "axisLine": {"lineStyle": {"color": _LINE}},
        "axisLabel": {"color": _AXIS, "fontSize": 12, "hideOverlap": True, "formatter": {"day": "{dd}/{MM}", "hour": "{HH}:{mm}"}},
        "splitLine": {"show": False}, "splitNumber": 4,
    }  # fmt: skip
    began = [{"xAxis": _ms(alarm.started_at, zone), "lineStyle": {"color": _BOUND, "type": "dotted"}, "label": {"show": False}}]
    chart = {"animation": False, "useUTC": True, "backgroundColor": "transparent", "xAxis": axis}
    if not found.values:
        return {**chart, **_band(found, began, zone)}
    reached = bounds(rule, alarm.observed_property)
    levels: list[dict[str, Any]] = [
        {
            "yAxis": level, "lineStyle": {"color": _BOUND, "type": "dashed" if label == "seuil" else "dotted"},
            "label": {
                "formatter": f"{label} {words.measured(level, None, None)}", "color": _BOUND,
                "position": "insideStartTop" if label == "seuil" else "insideStartBottom",
            },
        }
        for label, level in reached
    ]  # fmt: skip
    figures = [value for _, value in found.values]
    few = len(set(figures)) <= _FEW
    # Of states the zero is worth showing: « 1 » alone on an axis says nothing.
    drawn = [*([0.0] if few else []), *figures, *(level for _, level in reached)]
    spread = max(drawn) - min(drawn) or abs(max(drawn)) or 1.0
    line = {
        "type": "line", "data": [[_ms(at, zone), value] for at, value in found.values], "showSymbol": len(figures) < 30,  # noqa: PLR2004 - as many can be told apart
        "symbolSize": 5, "lineStyle": {"color": _INK, "width": 1.6}, "itemStyle": {"color": _INK}, "step": "end" if few else False,
        "markLine": {"silent": True, "symbol": "none", "data": [*levels, *began]},
    }  # fmt: skip
    return {
        **chart,
        "grid": {"left": 52, "right": 12, "top": 12, "bottom": 24},
        "tooltip": {"trigger": "axis", "confine": True, "transitionDuration": 0},
        "yAxis": {
            "type": "value", "min": min(drawn) - 0.06 * spread, "max": max(drawn) + 0.06 * spread, "splitNumber": 3,
            "axisLabel": {"color": _AXIS, "fontSize": 12, "showMinLabel": False, "showMaxLabel": False,
                          ":formatter": "v => v.toLocaleString('fr-FR', {maximumFractionDigits: 2})"},
            "splitLine": {"lineStyle": {"color": _LINE}},
        },
        "series": [line],
    }  # fmt: skip


def _band(found: Measures, began: list[dict[str, Any]], zone: dt.tzinfo) -> dict[str, Any]:
    kinds = list(dict.fromkeys(state for _, state in found.states))
    ends = [at for at, _ in found.states[1:]] + [found.end]
    areas = []
    for (at, state), until in zip(found.states, ends, strict=True):
        colour = _BANDS[min(kinds.index(state), len(_BANDS) - 1)]
        wide = (until - at) / (found.end - found.start) > 0.1  # noqa: PLR2004 - a name of some letters fits
        label = {"show": wide, "color": "#fff", "position": "inside", "fontSize": 12, "overflow": "truncate"}
        areas.append([
            {"name": state, "xAxis": _ms(at, zone), "itemStyle": {"color": colour}, "label": label}, {"xAxis": _ms(until, zone)},
        ])  # fmt: skip
    return {
        "grid": {"left": 8, "right": 12, "top": 6, "bottom": 24},
        "yAxis": {"type": "value", "show": False, "min": 0, "max": 1},
        "series": [{
            "type": "line", "data": [], "markArea": {"silent": True, "data": areas},
            "markLine": {"silent": True, "symbol": "none", "data": began},
        }],
    }  # fmt: skip


def _ms(at: dt.datetime, zone: dt.tzinfo) -> int:
    """Return an instant as the chart takes it: the clock of the command post, whatever the browser's time zone is."""
    local = at.astimezone(zone).replace(tzinfo=dt.UTC)
    return round(local.timestamp() * 1000)
