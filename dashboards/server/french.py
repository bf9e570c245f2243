"""The French that Superset lacks or gets wrong.

Here: the corrections (`french.po`), laid over what Superset serves to browsers and what its own code says; installed files stay as they
are. Not here: what the lake refuses, in French (`refusals`); what is no message but written into a script (`pages`).
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from flask import Flask, Response, request
from superset.translations.utils import get_language_pack

_CORRECTIONS: Final = Path(__file__).with_name("french.po")
_DOMAIN: Final = "superset"


@cache
def corrections() -> Catalog:
    """Return our translations."""
    with _CORRECTIONS.open("rb") as file:
        return read_po(file, locale="fr")


def directory(folder: Path) -> str:
    """Write our translations for the server's own messages into `folder`; return where they are: flask-babel lets the last one win."""
    target = folder / "translations" / "fr" / "LC_MESSAGES" / "messages.mo"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(".draft")
    with draft.open("wb") as file:
        write_mo(file, corrections())
    draft.replace(target)
    return str(folder / "translations")


@cache
def pack() -> tuple[bytes, str]:
    """Return the language pack of the pages (Jed's JSON), corrected, and its ETag.

    Raises:
        ValueError: Superset's own pack is missing.
    """
    found = get_language_pack("fr")
    if not found:
        raise ValueError("Superset's French language pack is missing")
    messages = dict(found["locale_data"][_DOMAIN])
    for message in corrections():
        if not message.id:
            continue
        # Jed looks a message up by its singular; its forms follow in order.
        if isinstance(message.id, tuple):
            messages[message.id[0]] = list(message.string or ())
        else:
            messages[message.id] = [message.string]
    document = found | {"locale_data": {_DOMAIN: messages}}
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return body, hashlib.sha256(body).hexdigest()[:32]


def complete(app: Flask) -> None:
    """Lay our translations over the language pack that Superset serves."""

    @app.after_request
    def _corrected(response: Response) -> Response:
        if request.endpoint != "Superset.language_pack" or (request.view_args or {}).get("lang") != "fr":
            return response
        if response.status_code not in {200, 304}:
            return response
        body, tag = pack()
        corrected: Any = app.response_class(body, mimetype="application/json")
        corrected.set_etag(tag)
        # A page waits five seconds for it, then shows itself in English: it must not be asked for with each.
        corrected.cache_control.private = True
        corrected.cache_control.max_age = 3600
        return corrected.make_conditional(request)
