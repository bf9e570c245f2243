"""Who may do what: people sign in with a password, systems bear a token; each has a role.

Here: people and systems in the store, sign-in and its throttle, what a session or a token stands for. Not here: HTTP
(`orchestration.web.guard`), what each action needs (`orchestration.alerts.feeds.actions`), the accounts of the local profile
(`orchestration.alerts.accounts`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
import secrets as entropy
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ingestion.errors import VigieError, WrongUse
from orchestration.alerts.model import Role
from orchestration.alerts.store.store import Connect

SHIFT: Final = dt.timedelta(hours=12)
"""How long a session lasts: a shift. Nobody is thrown out in the middle of one, and the next signs in under their own name."""

# NIST SP 800-63B: length is what counts; eight is its floor, and these open a command post.
SHORTEST_PASSWORD: Final = 12
# Longer ones are an attack on the hash, not a password.
LONGEST_PASSWORD: Final = 256
# As GitHub's and others': 256 bits, past any guessing.
_TOKEN_BYTES: Final = 32
_LOGIN: Final = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")
# Each takes 64 MB and 50 ms (argon2's low-memory profile of RFC 9106): a flood of sign-ins must not take the machine.
_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Who:
    """A person or a system that is known.

    Attributes:
        login: what the journal calls them.
        name: what people call them.
        role: what they may do.
        is_system: whether it is a system, known by a token.
        stamp: changes whenever their password or role does: a session of before is over.
    """

    login: str
    name: str
    role: Role
    is_system: bool = False
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a system as the command line lists them."""

    login: str
    name: str
    role: Role
    is_active: bool
    changed_at: dt.datetime


class SignInRefused(VigieError):
    """The sign-in is refused. `wait_s`: how long to wait before the next try; 0 when at once."""

    def __init__(self, message: str, *, remedy: str | None = None, wait_s: float = 0.0) -> None:
        super().__init__(message, remedy=remedy)
        self.wait_s = wait_s


class NotAllowed(VigieError):
    """They are known, and may not do this."""


def require(who: Who, needed: Role, what: str) -> None:
    """Refuse who may not do something.

    Raises:
        NotAllowed: their role does not hold it.
    """
    if not who.role.may(needed):
        raise NotAllowed(f"{who.login} ({who.role}) may not {what}", remedy=f"it takes the role {needed}")


@dataclass
class Throttle:
    """Slows down who guesses: after `free` failures of one login from one address, each doubles the wait, up to `longest_s`.

    By address too, so that a stranger who guesses does not keep an operator out who sits elsewhere.

    Attributes:
        free: how many failures cost nothing: people mistype.
        longest_s: an operator who has been guessed at from their own address waits no longer than this.
        forget_s: failures older than this are forgotten.
        clock: seconds that only grow.
    """

    free: int = 5
    longest_s: float = 60.0
    forget_s: float = 900.0
    clock: Callable[[], float] = time.monotonic
    _failures: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    # Far more than there are people and machines; past it, who guesses logins at random is what fills it.
    _most: int = 10_000

    def wait_s(self, login: str, address: str) -> float:
        """Return how long this login must wait at this address; 0 when it may try."""
        count, last = self._failures.get((login, address), (0, 0.0))
        if count < self.free or self.clock() - last > self.forget_s:
            return 0.0
        pause = min(self.longest_s, 2.0 ** (count - self.free))
        return max(0.0, last + pause - self.clock())

    def failed(self, login: str, address: str) -> None:
        """Count a failure."""
        now = self.clock()
        if len(self._failures) >= self._most:
            self._failures = {k: v for k, v in self._failures.items() if now - v[1] <= self.longest_s}
        count, last = self._failures.get((login, address), (0, now))
        self._failures[login, address] = (1 if now - last > self.forget_s else count + 1, now)

    def succeeded(self, login: str, address: str) -> None:
        """Forget the failures."""
        self._failures.pop((login, address), None)


class Access:
    """People and systems of an instance. Every call may wait for the database: from a loop, use a thread.

    Args of the class: `connect` lends a connection, as the store's does; `throttle` slows down who guesses; `hasher` says how much work
    a password is (argon2id; the library's default is RFC 9106's low-memory profile).
    """

    def __init__(self, connect: Connect, *, throttle: Throttle | None = None, hasher: PasswordHasher | None = None) -> None:
        self._connect, self.throttle = connect, throttle or Throttle()
        self._hasher = hasher or PasswordHasher()
        # What nobody's password is: an unknown login takes as long as a wrong password.
        self._nobody = self._hasher.hash(entropy.token_urlsafe())
        self._few, self._lock = threading.Semaphore(_AT_ONCE), threading.Lock()

    # --- who is it

    def sign_in(self, login: str, password: str, *, address: str = "") -> Who:
        """Return who a login and a password stand for.

        Args:
            login: theirs.
            password: theirs.
            address: where they are, for the throttle.

        Raises:
            SignInRefused: unknown, wrong, closed, or too many failures.
        """
        login = login.strip().lower()
        with self._lock:
            wait = self.throttle.wait_s(login, address)
            if wait > 0:
                raise SignInRefused("too many failed sign-ins", remedy=f"try again in {wait:.0f} s", wait_s=wait)
            # Counted before it is judged: tries sent at once do not all pass before the first has failed.
            self.throttle.failed(login, address)
        # What is no login is nobody's; some of it (a null character) the database would not even look for.
        row = self._person(login) if _LOGIN.match(login) else None
        good = self._verify(row["password_hash"] if row else self._nobody, password[: LONGEST_PASSWORD + 1])
        if row is None or not good:
            raise SignInRefused("unknown login or wrong password", remedy="vigie alerts people password LOGIN gives a new one")
        with self._lock:
            self.throttle.succeeded(login, address)
        if self._hasher.check_needs_rehash(row["password_hash"]):
            with self._connect() as con:
                con.execute("UPDATE alerts.person SET password_hash = %s WHERE login = %s", [self._hasher.hash(password), login])
        return _who(row)

    def of_token(self, token: str) -> Who | None:
        """Return the system that bears a token; compared with each one's in constant time."""
        digest, found = hashlib.sha256(token.encode()).digest(), None
        with self._connect() as con:
            for row in con.execute("SELECT name, role, token_digest, changed_at FROM alerts.system WHERE is_active"):
                if hmac.compare_digest(bytes(row["token_digest"]), digest):
                    found = Who(row["name"], row["name"], Role(row["role"]), is_system=True, stamp=row["changed_at"].isoformat())
        return found

    def of_session(self, session: Mapping[str, Any], *, now: dt.datetime | None = None) -> Who | None:
        """Return the person of a session (`session_of`); None when it is over, or their password or role has changed since."""
        login, stamp, since = session.get("login"), session.get("stamp"), session.get("since")
        if not isinstance(login, str) or not isinstance(since, (int, float)):
            return None
        if (now or dt.datetime.now(dt.UTC)).timestamp() - since > SHIFT.total_seconds():
            return None
        row = self._person(login)
        who = _who(row) if row else None
        return who if who is not None and who.stamp == stamp else None

    def still(self, who: Who) -> bool:
        """Return whether they may still do what they might when they were let in: for what lasts, as a stream of events."""
        with self._connect() as con:
            if who.is_system:
                row = con.execute("SELECT changed_at FROM alerts.system WHERE name = %s AND is_active", [who.login]).fetchone()
            else:
                row = con.execute("SELECT changed_at FROM alerts.person WHERE login = %s AND is_active", [who.login]).fetchone()
        return row is not None and row["changed_at"].isoformat() == who.stamp

    # --- people

    def people(self) -> list[Account]:
        """Return everybody, by login."""
        return self._accounts("SELECT login, name, role, is_active, changed_at FROM alerts.person ORDER BY login")

    def add_person(self, login: str, name: str, role: Role, password: str) -> None:
        """Let somebody in.

        Raises:
            WrongUse: the login is not one or is taken, or the password is too short or too long.
        """
        check_login(login)
        digest = self._hash(password)
        with self._connect() as con:
            made = con.execute(
                "INSERT INTO alerts.person (login, name, role, password_hash, changed_at) VALUES (%s, %s, %s, %s, clock_timestamp()) "
                "ON CONFLICT (login) DO UPDATE SET name = excluded.name, role = excluded.role, password_hash = excluded.password_hash, "
                "is_active = true, changed_at = excluded.changed_at WHERE NOT alerts.person.is_active",
                [login, name, role, digest],
            ).rowcount
        if not made:
            raise WrongUse(f"there is a {login} already", remedy=f"vigie alerts people password {login} gives a new password")

    def set_password(self, login: str, password: str) -> None:
        """Give somebody a new password; their sessions are over.

        Raises:
            WrongUse: there is nobody of that login, or the password is too short or too long.
        """
        digest = self._hash(password)
        self._change("person", "login", login, "password_hash = %s", [digest])

    def set_role(self, login: str, role: Role) -> None:
        """Give somebody another role; their sessions are over.

        Raises:
            WrongUse: there is nobody of that login.
        """
        self._change("person", "login", login, "role = %s", [role])

    def remove_person(self, login: str) -> None:
        """Keep somebody out from now on. Their name stays: the journal says what they did.

        Raises:
            WrongUse: there is nobody of that login.
        """
        self._change("person", "login", login, "is_active = false", [])

    # --- systems

    def systems(self) -> list[Account]:
        """Return every system, by name."""
        return self._accounts("SELECT name AS login, name, role, is_active, changed_at FROM alerts.system ORDER BY name")

    def add_system(self, name: str, role: Role, *, token: str | None = None) -> str:
        """Let a system in; return its token, which is shown once and kept as a digest only.

        Raises:
            WrongUse: the name is not one, or is taken.
        """
        check_login(name)
        token = token or entropy.token_urlsafe(_TOKEN_BYTES)
        with self._connect() as con:
            made = con.execute(
                "INSERT INTO alerts.system (name, role, token_digest, changed_at) VALUES (%s, %s, %s, clock_timestamp()) "
                "ON CONFLICT (name) DO UPDATE SET role = excluded.role, token_digest = excluded.token_digest, is_active = true, "
                "changed_at = excluded.changed_at WHERE NOT alerts.system.is_active",
                [name, role, hashlib.sha256(token.encode()).digest()],
            ).rowcount
        if not made:
            raise WrongUse(f"there is a system {name} already", remedy=f"vigie alerts systems password {name} gives it a new token")
        return token

    def set_token(self, name: str, *, token: str | None = None) -> str:
        """Give a system a new token and return it; the old one is refused from now on.

        Raises:
            WrongUse: there is no such system.
        """
        token = token or entropy.token_urlsafe(_TOKEN_BYTES)
        self._change("system", "name", name, "token_digest = %s", [hashlib.sha256(token.encode()).digest()])
        return token

    def remove_system(self, name: str) -> None:
        """Keep a system out from now on.

        Raises:
            WrongUse: there is no such system.
        """
        self._change("system", "name", name, "is_active = false", [])

    def has_password(self, login: str, password: str) -> bool | None:
        """Return whether this is somebody's password now, whether they are let in or not; None when nobody has that login."""
        with self._connect() as con:
            row = con.execute("SELECT password_hash FROM alerts.person WHERE login = %s", [login]).fetchone()
        return self._verify(row["password_hash"], password) if row else None

    def has_token(self, name: str, token: str) -> bool | None:
        """Return whether this is a system's token now, whether it is let in or not; None when there is no such system."""
        with self._connect() as con:
            row = con.execute("SELECT token_digest FROM alerts.system WHERE name = %s", [name]).fetchone()
        return hmac.compare_digest(bytes(row["token_digest"]), hashlib.sha256(token.encode()).digest()) if row else None

    # --- inside

    def _person(self, login: str) -> dict[str, Any] | None:
        sql = "SELECT login, name, role, password_hash, changed_at FROM alerts.person WHERE login = %s AND is_active"
        with self._connect() as con:
            return con.execute(sql, [login]).fetchone()

    def _verify(self, digest: str, password: str) -> bool:
        with self._few:
            try:
                return self._hasher.verify(digest, password)
            except (VerificationError, InvalidHashError):
                return False

    def _hash(self, password: str) -> str:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise WrongUse(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters", remedy="a sentence is a good one")
        with self._few:
            return self._hasher.hash(password)

    def _accounts(self, sql: str) -> list[Account]:
        with self._connect() as con:
            return [Account(r["login"], r["name"], Role(r["role"]), r["is_active"], r["changed_at"]) for r in con.execute(sql)]

    def _change(self, table: str, column: str, login: str, assignment: str, parameters: list[Any]) -> None:
        sql = f"UPDATE alerts.{table} SET {assignment}, changed_at = clock_timestamp() WHERE {column} = %s AND is_active"
        with self._connect() as con:
            if not con.execute(sql, [*parameters, login]).rowcount:
                raise WrongUse(f"there is no {table} {login}", remedy=f"vigie alerts {'people' if table == 'person' else 'systems'} list")


def check_login(login: str) -> None:
    """Refuse what is not a login.

    Raises:
        WrongUse: it is not one, or it is the platform's own.
    """
    if not _LOGIN.match(login):
        raise WrongUse(f"{login!r} is not a login", remedy="small letters, digits, . _ and -, at most 63, as in operateur-1")
    if login == "vigie":
        raise WrongUse("vigie is what the journal calls the platform itself", remedy="choose another")


def session_of(who: Who, *, now: dt.datetime | None = None) -> dict[str, Any]:
    """Return what the signed cookie of a person's session holds: no secret, and nothing that could be kept past its end."""
    return {"login": who.login, "stamp": who.stamp, "since": int((now or dt.datetime.now(dt.UTC)).timestamp())}


def _who(row: Mapping[str, Any]) -> Who:
    return Who(row["login"], row["name"], Role(row["role"]), stamp=row["changed_at"].isoformat())
