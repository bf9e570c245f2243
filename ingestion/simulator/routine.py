"""A day of the desk and of the workshop that no failure of a lamp explains: other reports, false ones, planned maintenance.

Here: papers drawn per local day. Not here: those of a failure (`cases`).
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from ingestion.simulator import behaviour as b
from ingestion.simulator.cases import CATEGORY, CREWS, Draw, caller, draw_of
from ingestion.simulator.chance import lognormal, poisson
from ingestion.simulator.clock import HOUR, MINUTE, ZONE, add_open, at_local, is_working
from ingestion.simulator.papers import CALLS_FEED, REPORTS_FEED, Order, Place, Report
from ingestion.simulator.presets import Preset
from ingestion.simulator.scenarios import Scenarios
from ingestion.simulator.territory import Territory

# Category, what about, what people write, share.
_OTHER: Final = (
    ("Propreté", "Dépôt sauvage", "Des encombrants ont été déposés sur le trottoir.", 0.20),
    ("Propreté", "Corbeille pleine", "La corbeille déborde.", 0.10),
    ("Propreté", "Tag ou affichage", "Un mur a été tagué.", 0.05),
    ("Voirie", "Nid-de-poule", "Un trou s'est formé dans la chaussée.", 0.14),
    ("Voirie", "Panneau abîmé", "Un panneau est tombé.", 0.06),
    ("Espaces verts", "Branche dangereuse", "Une branche menace de tomber.", 0.06),
    ("Espaces verts", "Tonte", "L'herbe n'a pas été coupée.", 0.05),
    ("Stationnement", "Véhicule ventouse", "Une voiture n'a pas bougé depuis des semaines.", 0.08),
    ("Eau et assainissement", "Fuite d'eau", "De l'eau coule sur la chaussée.", 0.05),
    ("Renseignement", "Horaires et démarches", "Demande d'horaires.", 0.21),
)
# Fewer people write at week-ends; Monday makes up for some of it.
_WEEKDAY: Final = (1.25, 1.1, 1.1, 1.1, 1.15, 0.75, 0.55)
# A report every so often is answered the same day, most within three, some within three weeks of working time.
_CLOSE_OTHER: Final = (14 * HOUR, 1.1, 130 * HOUR)
_NIGHT_SHARE: Final = 0.12
_AWAKE: Final = 7  # o'clock
_LIGHTING_SHARE: Final = 0.1  # of all reports, those that failures and false alarms make
_FALSE_WORDS: Final = (("Lampadaire éteint", "lamp-out"), ("Lampadaire clignotant", "lamp-flickering"))
# What people write and call about in a scenario: how many times the usual number of an hour at its height, by telephone, about what.
_SURGES: Final = {
    "storm": (
        6.0,
        0.6,
        (
            ("Espaces verts", "Arbre tombé", "Un arbre barre la rue."),
            ("Espaces verts", "Branche dangereuse", "Une branche menace de tomber."),
            ("Voirie", "Panneau abîmé", "Un panneau est tombé."),
            ("Eau et assainissement", "Rue inondée", "L'avaloir déborde."),
        ),
    ),
    "flood": (
        3.0,
        0.7,
        (
            ("Eau et assainissement", "Rue inondée", "L'eau monte dans la rue."),
            ("Eau et assainissement", "Cave inondée", "L'eau entre dans la cave."),
            ("Voirie", "Route coupée", "La route n'est plus praticable."),
        ),
    ),
    "heat-wave": (
        0.5,
        0.6,
        (
            ("Eau et assainissement", "Fontaine en panne", "La fontaine ne donne plus d'eau."),
            ("Renseignement", "Lieux frais", "Demande de lieux rafraîchis."),
        ),
    ),
    "market-day": (
        0.6,
        0.3,
        (
            ("Stationnement", "Stationnement gênant", "Une voiture bloque la sortie."),
            ("Propreté", "Corbeille pleine", "La corbeille déborde."),
        ),
    ),
    "lockdown": (
        1.2,
        0.85,
        (
            ("Renseignement", "Attestations et horaires", "Demande de renseignements."),
            ("Propreté", "Dépôt sauvage", "Des sacs sont posés à côté du conteneur."),
        ),
    ),
}
_HOURS_A_DAY: Final = 24
_PLANNED: Final = ("Visite annuelle de l'armoire", "Nettoyage des vasques", "Mesure de terre et serrage des bornes")


def reports_of(preset: Preset, territory: Territory, seed: int, day: dt.date) -> tuple[list[Report], list[Order]]:
    """Return the reports of a local day that no failure explains, and the orders given up that answer the false ones."""
    draw = draw_of(seed, f"desk-{day}")
    count = poisson(draw("count"), preset.reports_per_day * (1 - _LIGHTING_SHARE) * _WEEKDAY[day.weekday()])
    reports = [_other(territory, draw_of(seed, f"desk-{day}-{i}"), day, i) for i in range(count)]
    orders: list[Order] = []
    for i in range(poisson(draw("false"), b.FALSE_PER_DAY * preset.scale)):
        report, order = _false(territory, draw_of(seed, f"false-{day}-{i}"), day, i)
        reports.append(report)
        orders += [order] if order is not None else []
    return reports, orders


def surge_of(preset: Preset, territory: Territory, seed: int, scenarios: Scenarios, day: dt.date) -> list[Report]:
    """Return the reports of a local day that scenarios add, hour by hour, as strong as they are then."""
    found = []
    for begin in range(at_local(day), at_local(day + dt.timedelta(days=1)), HOUR):
        for s in scenarios.active(begin, begin + HOUR):
            if s.name not in _SURGES:
                continue
            factor, by_phone, topics = _SURGES[s.name]
            hour = dt.datetime.fromtimestamp(begin, ZONE).hour
            awake = 1.5 if hour >= _AWAKE else 0.2
            mean = preset.reports_per_day / _HOURS_A_DAY * factor * awake * scenarios.level(s.name, begin + HOUR // 2)
            for i in range(poisson(draw_of(seed, f"{s.name}-{s.start}-{begin}")("count"), mean)):
                draw = draw_of(seed, f"{s.name}-{s.start}-{begin}-{i}")
                opened = begin + int(draw("at") * HOUR)
                if opened >= s.start:
                    about = topics[int(draw("about") * len(topics))]
                    found.append(_report(territory, draw, about, opened, f"{day:%y%m%d}-{s.name[:2].upper()}{begin}-{i + 1}", by_phone))
    return found


def preventive_of(preset: Preset, territory: Territory, seed: int, day: dt.date) -> list[Order]:
    """Return the planned maintenance done on a local day; it was asked for a week before."""
    if not is_working(day):
        return []
    draw = draw_of(seed, f"planned-{day}")
    return [_planned(territory, draw_of(seed, f"planned-{day}-{i}"), day, i) for i in range(poisson(draw("count"), _planned_mean(preset)))]


def _planned_mean(preset: Preset) -> float:
    return b.PREVENTIVE_PER_DAY * preset.scale


def _opened(draw: Draw, day: dt.date) -> int:
    # From 7 to 23 for most; a few at night through the application.
    if draw("night") < _NIGHT_SHARE:
        return at_local(day) + int(draw("at") * 7 * HOUR)
    return at_local(day, 7) + int(draw("at") * 15.9 * HOUR)


def _where(territory: Territory, draw: Draw) -> tuple[Place, str, int]:
    light = int(draw("light") * len(territory.light_codes))
    cabinet = territory.cabinets[int(territory.light_cabinet[light])]
    place = Place(
        cabinet.commune,
        territory.feeders[int(territory.light_feeder[light])].street,
        round(float(territory.longitude[light]) + (draw("x") - 0.5) * 1e-3, 5),
        round(float(territory.latitude[light]) + (draw("y") - 0.5) * 1e-3, 5),
    )
    return place, cabinet.authority, light


def _other(territory: Territory, draw: Draw, day: dt.date, rank: int) -> Report:
    u, about = draw("category"), _OTHER[-1]
    for kind in _OTHER:
        if u < kind[3]:
            about = kind
            break
        u -= kind[3]
    return _report(territory, draw, about[:3], _opened(draw, day), f"{day:%y%m%d}-{rank + 1:04d}", b.BY_PHONE)


def _report(territory: Territory, draw: Draw, about: tuple[str, str, str], opened: int, number: str, by_phone_share: float) -> Report:
    place, authority, _ = _where(territory, draw)
    acknowledged = add_open(opened, lognormal(draw("read"), *b.ACKNOWLEDGE))
    median, sigma, most = _CLOSE_OTHER
    closed = add_open(acknowledged + MINUTE, min(lognormal(draw("close"), median, sigma), most))
    by_phone = draw("system") < by_phone_share
    who, telephone = caller(draw) if by_phone else (None, None)
    return Report(
        ref=f"{'A' if by_phone else 'S'}{number}",
        feed=CALLS_FEED if by_phone else REPORTS_FEED,
        channel="phone" if by_phone else ("desk" if draw("desk") < b.AT_DESK else "application"),
        category=about[0],
        subcategory=about[1],
        description=about[2],
        place=place,
        authority=authority,
        asset_ref=None,
        duplicate_of=None,
        opened=opened,
        acknowledged=acknowledged,
        closed=closed,
        caller=who,
        telephone=telephone,
    )


def _false(territory: Territory, draw: Draw, day: dt.date, rank: int) -> tuple[Report, Order | None]:
    """A lamp that was told to be out, and burns: seen by day, off by its regime, a curtain of leaves."""
    place, authority, light = _where(territory, draw)
    subcategory, fault = _FALSE_WORDS[int(draw("word") * len(_FALSE_WORDS))]
    opened = _opened(draw, day)
    acknowledged = add_open(opened, lognormal(draw("read"), *b.ACKNOWLEDGE))
    closed = add_open(acknowledged + HOUR, lognormal(draw("close"), *b.DISPATCH["lamp-out"]))
    by_phone = draw("system") < b.BY_PHONE
    who, telephone = caller(draw) if by_phone else (None, None)
    asset_ref = territory.light_ref(light) if draw("named") < b.NAMED else None
    report = Report(
        ref=f"{'A' if by_phone else 'S'}F{day:%y%m%d}-{rank + 1:02d}",
        feed=CALLS_FEED if by_phone else REPORTS_FEED,
        channel="phone" if by_phone else "application",
        category=CATEGORY,
        subcategory=subcategory,
        description="Un lampadaire ne marche pas bien.",
        place=place,
        authority=authority,
        asset_ref=asset_ref,
        duplicate_of=None,
        opened=opened,
        acknowledged=acknowledged,
        closed=closed,
        is_rejected=True,
        is_false=True,
        caller=who,
        telephone=telephone,
    )
    if draw("visited") >= b.FALSE_VISITED:
        return report, None
    requested = acknowledged + 5 * MINUTE
    order = Order(
        ref=f"DIF{day:%y%m%d}-{rank + 1:02d}",
        kind="curative",
        asset_ref=territory.light_ref(light),
        fault_type=fault,
        description="Rien constaté sur place",
        place=place,
        authority=authority,
        crew=CREWS[int(draw("crew") * len(CREWS))],
        requested=requested,
        acknowledged=requested + 3 * MINUTE,
        dispatched=None,
        arrived=None,
        made_safe=None,
        restored=None,
        cancelled=closed - MINUTE,
        report_ref=report.ref,
        linked=requested,
    )
    return report, order


def _planned(territory: Territory, draw: Draw, day: dt.date, rank: int) -> Order:
    cabinet = territory.cabinets[int(draw("cabinet") * len(territory.cabinets))]
    requested = at_local(day - dt.timedelta(days=7), 9) + int(draw("asked") * HOUR)
    dispatched = at_local(day, 8) + int(draw("start") * 5 * HOUR)
    arrived = dispatched + int(lognormal(draw("travel"), *b.TRAVEL))
    return Order(
        ref=f"DP{day:%y%m%d}-{rank + 1:02d}",
        kind="preventive",
        asset_ref=cabinet.ref,
        fault_type=None,
        description=_PLANNED[int(draw("what") * len(_PLANNED))],
        place=Place(cabinet.commune, cabinet.street, cabinet.longitude, cabinet.latitude),
        authority=cabinet.authority,
        crew=CREWS[int(draw("crew") * len(CREWS))],
        requested=requested,
        acknowledged=requested + 10 * MINUTE,
        dispatched=dispatched,
        arrived=arrived,
        made_safe=None,
        restored=arrived + int((0.5 + draw("lasts")) * HOUR),
    )
