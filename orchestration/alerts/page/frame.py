"""What stands around the list: head, banners, signs of life, and what an empty list proves.

Here: pure functions to HTML. Not here: rows (`rows`), one alarm (`detail`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Final

from orchestration.alerts.access import Who
from orchestration.alerts.model import ROLE_FR, Alarm
from orchestration.alerts.page import words
from orchestration.alerts.page.board import ENGINE_LATE, Board, FeedContact, Health
from orchestration.alerts.page.rows import since
from orchestration.alerts.page.view import Chosen, Tab
from orchestration.alerts.page.words import escape

# The alarm that stands for those a flood hides (`orchestration.alerts.store.grouping`).
_FLOOD: Final = "flood"
_UNHEARD: Final = frozenset({"late", "silent"})
_NOTHING: Final = {
    Tab.STANDING: "Rien à signaler",
    Tab.TO_DO: "Rien à acquitter",
    Tab.ACKNOWLEDGED: "Aucune alarme acquittée en cours",
    Tab.RETURNED: "Aucun retour à la normale à acquitter",
    Tab.SHELVED: "Aucune alarme mise de côté",
    Tab.SUPPRESSED: "Aucune alarme supprimée par conception",
}


def head(who: Who, post: str) -> str:
    """Return the head of the page: name, sound, keys, who is connected, the clock."""
    return (
        f'<span class="brand" title="{escape(post)}">Vigie</span>'
        '<span class="clock" id="clock" aria-label="Heure"></span>'
        '<button type="button" id="sound" class="tool" data-local="sound"></button>'
        '<button type="button" class="tool" data-do="keys" title="Touches du clavier">? Touches</button>'
        f'<span class="who">{escape(who.name)} <small>{ROLE_FR[who.role]}</small></span>'
        '<form method="post" action="/deconnexion"><button class="tool" type="submit">Quitter</button></form>'
    )


def search() -> str:
    """Return the search field."""
    return (
        '<input type="search" id="search" placeholder="Chercher (/)" aria-label="Chercher une alarme : titre, équipement, commune, rue" '
        'autocomplete="off" spellcheck="false" maxlength="100">'
    )


def picked() -> str:
    """Return the bar of what is selected; the browser counts."""
    return (
        '<b id="picked-count"></b> <button type="button" class="act first" data-do="ack">Acquitter <kbd>A</kbd></button>'
        '<button type="button" class="act" data-do="assign">Prendre en charge <kbd>P</kbd></button>'
        '<button type="button" class="act" data-do="shelve">Mettre de côté <kbd>S</kbd></button>'
        '<button type="button" class="act" data-local="unpick">Désélectionner <kbd>Échap</kbd></button>'
    )


def cut() -> str:
    """Return what is shown when the page hears nothing from the server: it must not look alive."""
    return (
        "<strong>Page coupée du serveur</strong>"
        "<p>Ce qui est affiché peut être faux depuis <time data-cut></time>. La page revient d'elle-même dès que le serveur répond.</p>"
    )


def banners(board: Board, now: dt.datetime, blind: str | None) -> str:
    """Return what must not be overlooked: the platform sees nothing, an afflux hides alarms."""
    found = []
    if blind is not None:
        at = board.health.store_at if board.health.store_error else board.health.engine_at
        last = f" Dernier signe {since(at, before='il y a ')}." if at else ""
        found.append(
            f'<div class="banner blind"><strong>ATTENTION : on ne voit plus rien.</strong> {escape(blind)}{last} '
            "Ce calme n'en est pas un : prévenez l'exploitant de la plateforme.</div>"
        )
    else:
        found += [f'<div class="banner warn">{escape(doubt)}</div>' for doubt in board.health.doubts(now)]
    if board.post_error is not None:
        found.append(
            '<div class="banner warn">Le fichier du poste de commandement (command-post.yaml) est inutilisable : '
            "l'annuaire affiché est celui livré, sans vos numéros. Prévenez l'exploitant de la plateforme.</div>"
        )
    if (flooded := _flooded(board)) is not None:
        found.append(flooded)
    return "".join(found).replace(" :", "\N{NO-BREAK SPACE}:")  # a colon never begins a line


def _flooded(board: Board) -> str | None:
    hidden = [a for a in board.alarms.values() if a.suppressed_by == _FLOOD]
    if not hidden:
        return None
    count = words.plural(len(hidden), "alarme regroupée", "alarmes regroupées")
    return (
        f'<div class="banner flood" title="{escape(_kinds(hidden))}"><strong>Afflux d\'alarmes.</strong> {count} : '
        "elles reviendront, les plus urgentes d'abord. Les critiques restent toutes présentées. "
        f'<button type="button" class="act" data-do="tab" data-tab="{Tab.SUPPRESSED}">Les voir</button></div>'
    )


def _kinds(hidden: list[Alarm]) -> str:
    counted = Counter(words.DOMAINS.get(a.domain or "", a.domain or "Autres") for a in hidden)
    return ", ".join(f"{name} : {n}" for name, n in counted.most_common(4))


def engine(health: Health, now: dt.datetime) -> str:
    """Return the sign of life of the rules, which the browser keeps counting."""
    if health.store_error is not None:
        return '<span class="sign silent"><b>Base muette</b></span>'
    if health.engine_at is None:
        return '<span class="sign silent"><b>Règles muettes</b> jamais un signe de vie</span>'
    silent = health.blind(now) is not None
    level = "silent" if silent else "late" if now - health.engine_at > ENGINE_LATE else "good"
    said = "Règles muettes" if silent else "Règles actives"
    return f'<span class="sign {level}"><b>{said}</b> dernier signe {since(health.engine_at, before="il y a ")}</span>'


def empty(board: Board, now: dt.datetime, chosen: Chosen, blind: str | None) -> str:
    """Return what an empty list says: that it is calm, with the proof; or that nothing is known."""
    if blind is not None:
        return f'<div class="nothing blind"><h2>On ne voit rien</h2><p>{escape(blind)}</p></div>'
    if chosen.text or chosen.domain is not None:
        return (
            '<div class="nothing"><h2>Aucune alarme ne correspond</h2><p>Un domaine ou une recherche est choisi. '
            '<button type="button" class="act" data-do="every">Tout montrer</button></p></div>'
        )
    if chosen.tab is not Tab.STANDING:
        return f'<div class="nothing"><h2>{_NOTHING[chosen.tab]}</h2></div>'
    doubted = bool(board.health.doubts(now)) or not board.health.feeds or any(f.level(now) in _UNHEARD for f in board.health.feeds)
    said = "Rien à signaler de ce qui est entendu" if doubted else _NOTHING[chosen.tab]
    return f'<div class="nothing {"doubt" if doubted else "calm"}"><h2>{said}</h2>{_proof(board, now)}</div>'


def _proof(board: Board, now: dt.datetime) -> str:
    health = board.health
    parts = [f"<li>{engine(health, now)}</li>", *_heard(health, now)]
    aside = sum(not a.is_presented for a in board.alarms.values())
    if aside:
        parts.append(f'<li class="line">{words.plural(aside, "alarme")} de côté ou supprimée{"s" if aside > 1 else ""} par conception</li>')
    return f"<ul>{''.join(parts)}</ul>"


def _heard(health: Health, now: dt.datetime) -> list[str]:
    """Return how many sources are heard in time, and each that is not."""
    levels = Counter(f.level(now) for f in health.feeds)
    if not health.feeds:
        return ['<li><span class="sign late"><b>Aucune source</b> ne parle aux règles : rien ne peut être signalé</span></li>']
    parts = []
    declared = len(health.feeds) - levels["unknown"]
    if declared:
        level = "silent" if levels["silent"] else "late" if levels["late"] else "good"
        many = "s" if levels["good"] > 1 else ""
        said = f"{levels['good']} source{many} sur {declared}"
        parts.append(f'<li><span class="sign {level}"><b>{said}</b> entendue{many} dans le délai déclaré</span></li>')
    if levels["unknown"]:
        undeclared = words.plural(levels["unknown"], "source entendue", "sources entendues")
        parts.append(f'<li><span class="sign unknown"><b>{undeclared}</b> sans délai déclaré</span></li>')
    return parts + [f'<li class="line">{_last(f)}</li>' for f in health.feeds if f.level(now) != "good"]


def _last(feed: FeedContact) -> str:
    last = "jamais entendue" if feed.at is None else since(feed.at, before="dernier contact il y a ")
    return f"{escape(feed.title)} : {last}"
