"""Signing in and out: plain HTML, which needs no script.

Here: `/connexion` and `/deconnexion`. Not here: who is who and the throttle (`orchestration.alerts.access`), sessions and forged requests
(`guard`).
"""

from __future__ import annotations

import html
import math
from http import HTTPStatus
from typing import Annotated, Final

import psycopg
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from orchestration.alerts.access import Access, SignInRefused, session_of
from orchestration.web.guard import SIGN_IN

_PAGE: Final = """\
<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark">
<title>Connexion · Vigie</title>
<style>
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: #0b0f14; color: #e6edf3;
  font: 1.125rem/1.5 system-ui, sans-serif; }}
main {{ width: min(24rem, 90vw); }}
h1 {{ font-size: 1.75rem; margin: 0 0 1.5rem; }}
label {{ display: block; margin: 1rem 0 .25rem; }}
input {{ box-sizing: border-box; width: 100%; padding: .75rem; font: inherit; color: inherit; background: #161b22;
  border: 1px solid #7d8590; border-radius: .375rem; }}
button {{ margin-top: 1.5rem; width: 100%; padding: .75rem; font: inherit; font-weight: 600; color: #0b0f14; background: #79c0ff;
  border: 0; border-radius: .375rem; cursor: pointer; }}
:focus-visible {{ outline: 3px solid #79c0ff; outline-offset: 2px; }}
.probleme {{ padding: .75rem; border: 1px solid #ff7b72; border-radius: .375rem; color: #ffa198; }}
</style>
</head>
<body>
<main>
<h1>Vigie · Connexion</h1>
{problem}
<form method="post" action="{action}">
<label for="identifiant">Identifiant</label>
<input id="identifiant" name="identifiant" value="{login}" autocomplete="username" autocapitalize="none" spellcheck="false"
  required{focus_login}>
<label for="mot_de_passe">Mot de passe</label>
<input id="mot_de_passe" name="mot_de_passe" type="password" autocomplete="current-password" required{focus_password}>
<input type="hidden" name="suite" value="{after}">
<button type="submit">Se connecter</button>
</form>
</main>
</body>
</html>
"""


def router(access: Access) -> APIRouter:
    """Return the sign-in page and the way out."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(SIGN_IN)
    def _page(suite: str = "/") -> HTMLResponse:
        return _form(suite)

    @routes.post(SIGN_IN)
    async def _sign_in(
        request: Request,
        identifiant: Annotated[str, Form(max_length=100)] = "",
        mot_de_passe: Annotated[str, Form(max_length=1_000)] = "",
        suite: Annotated[str, Form(max_length=2_000)] = "/",
    ) -> Response:
        address = request.client.host if request.client else ""
        try:
            who = await run_in_threadpool(access.sign_in, identifiant, mot_de_passe, address=address)
        except SignInRefused as refused:
            return _refused(refused, identifiant, suite)
        except (psycopg.Error, PoolTimeout):
            text = "La base de données ne répond pas. Réessayez dans quelques secondes."
            return _form(suite, identifiant, text, HTTPStatus.SERVICE_UNAVAILABLE)
        request.session.clear()
        request.session.update(session_of(who))
        return RedirectResponse(local(suite), HTTPStatus.SEE_OTHER)

    @routes.post("/deconnexion")
    def _sign_out(request: Request) -> Response:
        request.session.clear()
        return RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)

    return routes


def local(path: str) -> str:
    r"""Return where to go after signing in: a path of this site, and of no other.

    >>> local("/alarmes/7"), local("//evil.example"), local("/\\evil.example"), local("https://evil.example")
    ('/alarmes/7', '/', '/', '/')
    """
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours else "/"


def _refused(refused: SignInRefused, login: str, after: str) -> Response:
    if refused.wait_s:
        seconds = math.ceil(refused.wait_s)
        text = f"Trop de tentatives. Réessayez dans {seconds} seconde{'s' if seconds > 1 else ''}."
        return _form(after, login, text, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})
    text = "Identifiant ou mot de passe incorrect. Un superviseur peut vous donner un nouveau mot de passe."
    return _form(after, login, text, HTTPStatus.UNAUTHORIZED)


def _form(
    after: str, login: str = "", problem: str = "", status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> HTMLResponse:
    page = _PAGE.format(
        problem=f'<p class="probleme" role="alert">{html.escape(problem)}</p>' if problem else "",
        action=SIGN_IN,
        login=html.escape(login),
        after=html.escape(local(after)),
        focus_login="" if login else " autofocus",
        focus_password=" autofocus" if login else "",
    )
    return HTMLResponse(page, status, {"Cache-Control": "no-store", **(headers or {})})
