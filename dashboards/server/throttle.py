"""Wrong passwords, counted: five a minute from one address, over all workers.

Here: the limit on both ways in (the page and the API), its counter, what is answered. Superset's own limit counts logins that succeed too, per
worker, and leaves the API open. Not here: accounts and passwords.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from flask import Flask, Response, request
from flask_login import current_user
from limits.storage import Storage

_SCHEME: Final = "vigie-file"
# A person mistypes twice or thrice; a machine that guesses gets 7,200 tries a day.
FAILURES: Final = "5 per minute"
_BUSY_S: Final = 5.0  # two workers write for a millisecond each


class FileStorage(Storage):  # type: ignore[misc] # the library has no types in Vigie's environment
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


def limit(app: Flask) -> None:
    """Bound wrong passwords on both ways in, and say so in French."""
    manager: Any = app.appbuilder.sm  # type: ignore[attr-defined] # put there by Flask-AppBuilder
    for view in (manager.auth_view, *(v for v in app.appbuilder.baseviews if type(v).__name__ == "SecurityApi")):  # type: ignore[attr-defined] # as above
        manager.limiter.limit(FAILURES, methods=["POST"], deduct_when=_failed)(view.blueprint)

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
