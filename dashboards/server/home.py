"""The first page of the dashboard server: the dashboards that a person may open, in the order of their sheets.

Here: `/`, and what a person reads where there is no page. Not here: the dashboards; who may open them (Superset's own filter answers).
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from flask import Blueprint, Flask, Response, abort, g, redirect, render_template, request

_SHEETS: Final = Path(__file__).parents[1] / "specs"
# What a person may open beside dashboards, by the permission that Superset asks for.
_LINKS: Final = (
    ("Tous les tableaux de bord", "/dashboard/list/?sortColumn=dashboard_title&sortOrder=asc", "can_read", "Dashboard"),
    ("Graphiques", "/chart/list/", "menu_access", "Charts"),
    ("SQL Lab", "/sqllab/", "menu_access", "SQL Lab"),
)
# What Superset answers to strangers, and has no reason to: its version, a page to register on, people's pictures, other databases' sign-in.
_OPEN_IN_SUPERSET: Final = ("/register", "/version", "/api/v1/user/", "/api/v1/database/oauth2")
# A dashboard without a sheet (somebody's own) comes after those that have one.
_LAST: Final = 10_000
_MESSAGES: Final = {
    404: ("Page introuvable", "Cette adresse ne mène à rien, ou ce que vous cherchez a été supprimé."),
    403: ("Accès refusé", "Votre compte n'ouvre pas cette page."),
    500: ("Une erreur s'est produite", "La page n'a pas pu être préparée. Réessayez ; si l'erreur revient, prévenez l'administrateur."),
}

blueprint = Blueprint("vigie", __name__, static_folder="static", static_url_path="/vigie", template_folder="templates")


@dataclass(frozen=True)
class Board:
    """A dashboard as the first page shows it."""

    rank: int
    title: str
    address: str
    audience: str
    questions: tuple[str, ...]


@cache
def _sheets() -> dict[str, dict[str, Any]]:
    """What the sheets say, by the stable id of their dashboard; a sheet that does not read is the business of `vigie dashboards check`."""
    found = {}
    for path in sorted(_SHEETS.glob("*.yaml")):
        try:
            sheet = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError:
            logging.getLogger(__name__).warning("the sheet %s does not read", path.name)
            continue
        found[str(uuid.uuid5(uuid.NAMESPACE_URL, f"vigie:dashboard:{path.stem}"))] = sheet
    return found


def _boards() -> list[Board]:
    from superset.daos.dashboard import DashboardDAO

    boards = []
    for dashboard in DashboardDAO.find_all():
        sheet = _sheets().get(str(dashboard.uuid), {})
        boards.append(
            Board(
                rank=int(sheet.get("rang", _LAST)),
                title=dashboard.dashboard_title,
                address=dashboard.url,
                audience=str(sheet.get("pour", dashboard.description or "")),
                questions=tuple(str(q) for q in sheet.get("questions", ())),
            )
        )
    return sorted(boards, key=lambda board: (board.rank, board.title))


def _home() -> Response | str:
    if g.user.is_anonymous:
        return redirect("/login/")
    from superset import security_manager

    links = [(label, address) for label, address, permission, view in _LINKS if security_manager.can_access(permission, view)]
    return render_template("vigie/home.html", title="Tableaux de bord", boards=_boards(), links=links, person=g.user.get_full_name())


def serve(app: Flask) -> None:
    """Serve the first page in place of Superset's, and our words in place of its English pages of errors."""

    @app.before_request
    def _first_page() -> Response | str | None:
        # Superset's own first pages stand at these addresses: activity, examples, links to the outside.
        return _home() if request.method == "GET" and request.path in {"/", "/superset/welcome/", "/superset/welcome"} else None

    @app.before_request
    def _closed() -> None:
        if g.user.is_anonymous and request.path.startswith(_OPEN_IN_SUPERSET):
            abort(404)

    @app.after_request
    def _in_french(response: Response) -> Response:
        is_page = response.mimetype == "text/html" and not request.path.startswith(("/api/", "/static/"))
        if not is_page or response.status_code not in _MESSAGES:
            return response
        title, text = _MESSAGES[response.status_code]
        answer: Response = app.response_class(render_template("vigie/message.html", title=title, text=text))
        answer.status_code = response.status_code
        return answer
