"""Who sees a failure, who reports it, who repairs it and when: from a failure to its papers.

Here: the people around one failure. Not here: failures themselves (`failures`), reports and orders about none (`routine`).

All reports of one failure come through one system, so that neighbours' duplicates can name the first of them. Crews do not
queue: delays are drawn, and what a busy week would add is in their spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ingestion.simulator import behaviour as b
from ingestion.simulator.chance import lognormal, poisson, uniform
from ingestion.simulator.clock import DAY, HOUR, MINUTE, add_open, at_local, local_date, next_open
from ingestion.simulator.failures import Failure
from ingestion.simulator.papers import CALLS_FEED, REPORTS_FEED, Order, Place, Report
from ingestion.simulator.territory import Territory

Draw = Callable[..., float]

CATEGORY: Final = "Éclairage public"
_WORDS: Final = {
    "lamp-out": (
        "Lampadaire éteint",
        ("Le lampadaire ne s'allume plus.", "Lampadaire éteint depuis plusieurs soirs.", "Il fait noir ici."),
    ),
    "cabinet-dark": (
        "Rue dans le noir",
        ("Toute la rue est dans le noir.", "Plus aucun lampadaire ne s'allume.", "Le quartier est éteint."),
    ),
    "street-on-by-day": ("Rue allumée le jour", ("La rue est allumée en plein jour.", "Éclairage allumé toute la journée.")),
}
_BY_DAY: Final = "Lampadaire allumé le jour"
_FOUND: Final = {
    "lamp-out": "Remplacement de la source ou de l'alimentation",
    "cabinet-dark": "Remise sous tension de l'armoire",
    "street-on-by-day": "Remplacement du contacteur de commande",
}
CREWS: Final = ("Équipe A", "Équipe B", "Équipe C")
_ON_CALL_CREW: Final = "Astreinte"
# Invented, from lists of common names and the numbers that the regulator keeps for fiction (03 53 01 xx xx).
_TITLES: Final = ("M.", "Mme")
_NAMES: Final = ("Lavergne", "Pérouse", "Marchal", "Collinet", "Dautry", "Hennequin", "Bresson", "Vautrin", "Josselin", "Thibault")
_DISPATCH_MOST: Final = 30 * HOUR  # of working time: three days, past which the contract's manager steps in
_REPAIR_MOST: Final = 2 * DAY
_EARLIEST_HOUR: Final = 7
_LATEST_HOUR: Final = 23


@dataclass(frozen=True)
class Case:
    """A failure with all that people did about it; `heard` is when the platform could first have read it in a message."""

    failure: Failure
    heard: int | None = None
    reports: tuple[Report, ...] = ()
    order: Order | None = None


def draw_of(seed: int, key: str) -> Draw:
    """Return the chance of a failure: one number per name."""
    return lambda *name: uniform(seed, key, *name)


def caller(draw: Draw, *name: str | int) -> tuple[str, str]:
    """Return the invented name and telephone number of somebody who calls."""
    u, v = draw("caller", *name), draw("telephone", *name)
    who = f"{_TITLES[int(u * 2)]} {_NAMES[int(u * 1000) % len(_NAMES)]}"
    return who, f"03 53 01 {int(v * 100):02d} {int(v * 10_000) % 100:02d}"


def place_of(territory: Territory, failure: Failure, draw: Draw, *name: str | int) -> Place:
    """Return where a citizen stands who sees a failure: within some tens of metres of one of the lights concerned."""
    light = failure.light
    if light < 0:
        feeders = territory.cabinets[failure.cabinet].feeders if failure.feeder < 0 else (failure.feeder,)
        own = [n for f in feeders for n in territory.feeders[f].lights]
        light = own[int(draw("light", *name) * len(own))]
    aside = (draw("x", *name) - 0.5) * 4e-4, (draw("y", *name) - 0.5) * 4e-4
    street = territory.feeders[int(territory.light_feeder[light])].street
    return Place(
        territory.cabinets[failure.cabinet].commune,
        street,
        round(float(territory.longitude[light]) + aside[0], 5),
        round(float(territory.latitude[light]) + aside[1], 5),
    )


def resolve(territory: Territory, seed: int, failure: Failure, heard: int | None, pause: Callable[[int], int]) -> Case:
    """Work out who repairs a failure and when.

    Args:
        territory: the equipment.
        seed: the world's.
        failure: one that people end.
        heard: when its own message is first received, None where it tells nothing.
        pause: moves an instant of notice to one at which the fault can be seen (lamps are seen by night).
    """
    draw = draw_of(seed, failure.key)
    fault = failure.fault_type
    noticed = sorted(_notices(failure, draw, pause))
    latest = failure.started + b.LONGEST - 12 * DAY  # the patrol has passed, and what follows takes less than twelve days
    known = min([t for t in (heard, noticed[0] if noticed else None) if t is not None], default=_patrol(failure, draw))
    order = _order(territory, failure, min(known, latest), draw)
    restored = order.restored or order.requested
    reports = _reports(territory, failure, [t for t in noticed if t < restored - 5 * MINUTE], order, draw)
    if reports:
        root = reports[0]
        order = replace(order, report_ref=root.ref, linked=max(order.requested, root.acknowledged))
    return Case(replace(failure, ended=restored, fault_type=fault), heard, reports, order)


def _notices(failure: Failure, draw: Draw, pause: Callable[[int], int]) -> list[int]:
    """Return when citizens would report it, if it lasted."""
    fault = failure.fault_type
    median, sigma = b.NOTICE[fault]
    people = poisson(draw("witnesses"), b.WITNESSES[fault])
    found = []
    for i in range(people):
        at = pause(failure.started + int(lognormal(draw("notice", i), median, sigma)))
        # Nobody calls in the small hours: the next morning.
        day = local_date(at)
        morning = at_local(day, _EARLIEST_HOUR) + int(draw("morning", i) * 2 * HOUR)
        if at < at_local(day, _EARLIEST_HOUR):
            at = morning
        elif at >= at_local(day, _LATEST_HOUR):
            at = morning + DAY
        found.append(at)
    return found


def _patrol(failure: Failure, draw: Draw) -> int:
    """Return when the patroller reports what nobody else did: at once where a street is dark, else the morning after the round."""
    if failure.fault_type == "cabinet-dark":
        return failure.started + int(HOUR + draw("patrol") * (b.PATROL_DARK_MOST - HOUR))
    round_at = failure.started + int(DAY + draw("patrol") * (b.PATROL_MOST - DAY))
    return next_open(round_at)


def _order(territory: Territory, failure: Failure, known: int, draw: Draw) -> Order:
    fault = failure.fault_type
    on_call = fault == "cabinet-dark"
    seen = known + int(lognormal(draw("ack"), *b.ON_CALL)) if on_call else add_open(known, lognormal(draw("ack"), *b.ACKNOWLEDGE))
    requested = seen + int(lognormal(draw("write"), *b.WRITE_ORDER))
    acknowledged = requested + MINUTE + int(draw("taken") * 5 * MINUTE)
    if on_call:
        dispatched = acknowledged + int(lognormal(draw("dispatch"), *b.DISPATCH_ON_CALL))
    else:
        dispatched = add_open(acknowledged, min(lognormal(draw("dispatch"), *b.DISPATCH[fault]), _DISPATCH_MOST))
    arrived = dispatched + int(lognormal(draw("travel"), *b.TRAVEL))
    made_safe = arrived + int(lognormal(draw("safe"), *b.MAKE_SAFE))
    restored = made_safe + min(int(lognormal(draw("repair"), *b.REPAIR[fault])), _REPAIR_MOST)
    suspended = 0
    if on_call and draw("cable") < b.CABLE_FAULT:
        restored = add_open(made_safe, b.CABLE_REPAIR[0] + draw("dig") * b.CABLE_REPAIR[1])
    if not on_call and draw("part") < b.PART_MISSING:
        days = b.PART_DAYS[0] + int(draw("days") * (b.PART_DAYS[1] - b.PART_DAYS[0] + 1))
        back = next_open(restored + days * DAY)
        suspended, restored = (back - restored) // MINUTE, back + int(lognormal(draw("again"), *b.REPAIR[fault]))
    light = failure.light
    return Order(
        ref=f"DI{failure.key}",
        kind="curative",
        asset_ref=failure.asset_ref,
        fault_type=fault,
        description=_FOUND[fault],
        place=_asset_place(territory, failure, light),
        authority=territory.cabinets[failure.cabinet].authority,
        crew=_ON_CALL_CREW if on_call else CREWS[int(draw("crew") * len(CREWS))],
        requested=requested,
        acknowledged=acknowledged,
        dispatched=dispatched,
        arrived=arrived,
        made_safe=made_safe,
        restored=restored,
        suspended_minutes=suspended,
        failure=failure.key,
    )


def _asset_place(territory: Territory, failure: Failure, light: int) -> Place:
    cabinet = territory.cabinets[failure.cabinet]
    if light >= 0:
        street = territory.feeders[failure.feeder].street
        return Place(cabinet.commune, street, float(territory.longitude[light]), float(territory.latitude[light]))
    if failure.feeder >= 0:
        feeder = territory.feeders[failure.feeder]
        return Place(cabinet.commune, feeder.street, feeder.longitude, feeder.latitude)
    return Place(cabinet.commune, cabinet.street, cabinet.longitude, cabinet.latitude)


def _reports(territory: Territory, failure: Failure, noticed: list[int], order: Order, draw: Draw) -> tuple[Report, ...]:
    by_phone = draw("system") < b.BY_PHONE
    restored = order.restored or order.requested
    found: list[Report] = []
    for i, opened in enumerate(noticed):
        subcategory, words = _WORDS[failure.fault_type]
        if failure.fault_type == "street-on-by-day" and draw("by-day", i) < 0.3:  # noqa: PLR2004 - some see one lamp of the street
            subcategory = _BY_DAY
        urgent = failure.fault_type == "cabinet-dark"
        delay = lognormal(draw("read", i), *(b.ON_CALL if urgent else b.ACKNOWLEDGE))
        acknowledged = opened + int(delay) if urgent else add_open(opened, delay)
        if i == 0 and opened <= order.requested < acknowledged:
            acknowledged = order.requested  # the order answers it
        who, telephone = caller(draw, i) if by_phone else (None, None)
        ref = f"{'A' if by_phone else 'S'}{failure.key}-{i + 1}"
        found.append(
            Report(
                ref=ref,
                feed=CALLS_FEED if by_phone else REPORTS_FEED,
                channel="phone" if by_phone else ("desk" if draw("desk", i) < b.AT_DESK else "application"),
                category=CATEGORY,
                subcategory=subcategory,
                description=words[int(draw("words", i) * len(words))],
                place=place_of(territory, failure, draw, i),
                authority=territory.cabinets[failure.cabinet].authority,
                asset_ref=failure.asset_ref if failure.light >= 0 and draw("named", i) < b.NAMED else None,
                duplicate_of=found[0].ref if found else None,
                opened=opened,
                acknowledged=acknowledged,
                closed=max(add_open(restored, lognormal(draw("close", i), *b.CLOSE)), acknowledged + MINUTE),
                failure=failure.key,
                caller=who,
                telephone=telephone,
            )
        )
    return tuple(found)
