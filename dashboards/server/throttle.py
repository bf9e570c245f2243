"""Wrong passwords, counted over all workers: five a minute for a name from one address, thirty a minute from one address.

Here: the limits on both ways in (the page and the API), their counters, what is answered. Superset's own limit counts logins that succeed
too, per worker, and leaves the API open. Not here: accounts and passwords.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_limiter.util import get_remote_address
from flask_login import current_user
from limits.storage import Storage

from dashboards.server import instance

_SCHEME: Final = "vigie-file"
# A person mistypes twice or thrice; a machine that guesses gets 7,200 tries a day at one account. Per name: on a local instance everybody
# comes from one address, and one person's mistakes must not lock out the others.
PER_NAME: Final = "5 per minute"
# ... and who tries one password on many names is stopped too: a room of people mistyping at once is not.
PER_ADDRESS: Final = "30 per minute"
_BUSY_S: Final = 5.0  # two workers write for a millisecond each


class FileStorage(Storage):
    """Counters in one SQLite file, which the workers share."""

    STORAGE_SCHEME: ClassVar[list[str]] = [_SCHEME]

    def __init__(self, uri: str, wrap_exceptions: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002 - the library's signature
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self._path = Path(urlsplit(uri).path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as con, con:
            con.execute("CREATE TABLE IF NOT EXISTS counter (key TEXT PRIMARY KEY, value INTEGER NOT NULL, until REAL NOT NULL)")

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        with closing(self._open()) as con, con:
            con.execute("DELETE FROM counter WHERE until <= ?", [now])
            (value,) = con.execute(
                "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value RETURNING value",
                [key, amount, now + expiry],
            ).fetchone()
        return int(value)

    def get(self, key: str) -> int:
        with closing(self._open()) as con:
            row = con.execute("SELECT value FROM counter WHERE key = ? AND until > ?", [key, time.time()]).fetchone()
        return 0 if row is None else int(row[0])

    def get_expiry(self, key: str) -> float:
        with closing(self._open()) as con:
            row = con.execute("SELECT until FROM counter WHERE key = ?", [key]).fetchone()
        return time.time() if row is None else float(row[0])

    def check(self) -> bool:
        with closing(self._open()) as con:
            return con.execute("SELECT 1").fetchone() is not None

    def reset(self) -> int | None:
        with closing(self._open()) as con, con:
            return con.execute("DELETE FROM counter").rowcount

    def clear(self, key: str) -> None:
        with closing(self._open()) as con, con:
            con.execute("DELETE FROM counter WHERE key = ?", [key])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=_BUSY_S)


def storage_uri(folder: Path) -> str:
    """Return the address of the counters, as flask-limiter takes it."""
    return f"{_SCHEME}://{folder / 'logins.sqlite'}"


def _failed(response: Response) -> bool:
    """Whether this answer is to a wrong password: the API says 401, the page redirects whoever it is."""
    return response.status_code == 401 or (request.path.startswith("/login") and not current_user.is_authenticated)  # noqa: PLR2004 - HTTP's number


def _name() -> str:
    """The name somebody tries to sign in by, as the form or the API gives it."""
    document = request.get_json(silent=True) if request.is_json else request.form
    name = document.get("username") if isinstance(document, Mapping) else None
    return str(name or "").strip().lower()


def _address_and_name() -> str:
    # A digest: a name may be of any length, and holds anything.
    return f"{get_remote_address()} {hashlib.sha256(_name().encode()).hexdigest()[:16]}"


def _is_robot() -> bool:
    """Whether Vigie itself signs in: its password is not guessed (256 bits), and others' mistakes must not stop a push."""
    return _name() == instance.load().robot


def limit(app: Flask) -> None:
    """Bound wrong passwords on both ways in, and say so in French."""
    manager: Any = app.appbuilder.sm
    for view in (manager.auth_view, *(v for v in app.appbuilder.baseviews if type(v).__name__ == "SecurityApi")):
        common: dict[str, Any] = {"methods": ["POST"], "deduct_when": _failed, "exempt_when": _is_robot}
        # Shared: the page and the API count as one.
        manager.limiter.shared_limit(PER_NAME, scope="name", key_func=_address_and_name, **common)(view.blueprint)
        manager.limiter.shared_limit(PER_ADDRESS, scope="address", key_func=get_remote_address, **common)(view.blueprint)

    @app.errorhandler(429)
    def _too_many(_: Exception) -> Response:
        sentence = "Trop d'essais avec un mauvais mot de passe : réessayez dans une minute."
        if request.path.startswith("/api/"):
            answer: Response = app.json.response({"message": sentence})
        else:
            answer = app.response_class(app.jinja_env.get_template("vigie/message.html").render(title="Trop d'essais", text=sentence))
        answer.status_code = 429
        answer.headers["Retry-After"] = "60"
        return answer
