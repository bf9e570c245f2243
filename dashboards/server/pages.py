"""What is written into Superset's built scripts and cannot be translated or switched off: served corrected.

Here: the corrections, made in memory when the server starts; installed files stay as they are. Not here: messages that are translated
(`french`).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from flask import Flask, Response, request


def _period(call: str, parts: str) -> tuple[str, str]:
    """Return the words of a period's button: ISO dates around a made-up column's name; and the same as people write it."""
    first, last = f"{call}({parts}[0],!0)", f"{call}({parts}[1])"
    date = 'replace(/(\\d{4})-(\\d\\d)-(\\d\\d)/,"$3/$2/$1")'
    return f"`${{{first}}} ≤ ${{t}} < ${{{last}}}`", f"`du ${{{first}.{date}}} au ${{{last}.{date}}} exclu`"


_FOLDER: Final = "/static/assets/"
# What the scripts say, and what we serve. A line that a new version of Superset does not hold any more fails its test.
CORRECTIONS: Final = (
    # An image of another host, asked for on every page: who uses Superset, and which version.
    ("`https://apachesuperset.gateway.scarf.sh/pixel/0d3461e1-abb1-4691-a0aa-5ed50de66af0/${e}/${a}/${t}`", '"/vigie/favicon.svg"'),
    ('title:"Data error"', 'title:"Erreur de données"'),
    ("`${t[0]}-${t[1]} of ${e}`", "`${t[0]} à ${t[1]} sur ${e}`"),
    ("`${G*W+1}-${Math.min((G+1)*W,r)} of ${r}`", "`${G*W+1} à ${Math.min((G+1)*W,r)} sur ${r}`"),
    # The same function, in three scripts.
    _period("d", "r"),
    _period("f", "n"),
    _period("p", "n"),
)


@cache
def corrected() -> dict[str, bytes]:
    """Return the scripts that change, by name."""
    found = {}
    pairs = [(old.encode(), new.encode()) for old, new in CORRECTIONS]
    for path in sorted(Path(str(files("superset") / "static" / "assets")).glob("*.js")):
        content = before = path.read_bytes()
        for old, new in pairs:
            content = content.replace(old, new)
        if content != before:
            found[path.name] = content
    return found


def serve(app: Flask) -> None:
    """Serve the corrected scripts in place of the installed ones."""
    scripts = corrected()

    @app.before_request
    def _corrected() -> Response | None:
        if not request.path.startswith(_FOLDER) or (content := scripts.get(request.path.removeprefix(_FOLDER))) is None:
            return None
        answer: Response = app.response_class(content, mimetype="text/javascript")
        answer.add_etag()
        answer.cache_control.no_cache = True  # asked again, answered 304: the name does not change with our corrections
        return answer.make_conditional(request)
