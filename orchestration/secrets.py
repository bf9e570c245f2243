"""Secrets of an instance: generated for the embedded servers, looked up by name for the feeds.

Here: the secrets file of the local profile, its creation and its checks, and the look-up of a feed's secret. Not here:
which setting needs which secret (`orchestration.settings`). A secret never stands in a contract, a log or a message.
"""

from __future__ import annotations

import os
import re
import secrets as entropy
import stat
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from ingestion.errors import VigieError, WrongUse

FILE_NAME: Final = "secrets.toml"
ENVIRONMENT_PREFIX: Final = "VIGIE_SECRET_"

# What the local profile generates. A name that joins later is added to an existing file, which is otherwise kept.
GENERATED: Final = ("postgres_password", "postgres_reader_password", "nats_password", "web_secret", "superset_secret", "superset_password")

# Accounts of the local profile: of the people of its pages, and of the hypervisor. Their roles: orchestration.alerts.accounts.
PEOPLE: Final = ("operateur-1", "operateur-2", "superviseur", "lecteur")
SYSTEMS: Final = ("hyperviseur",)
# Accounts of the dashboards of a local instance. Their roles: dashboards.access.
ANALYSTS: Final = ("administrateur", "analyste", "referent", "pcc", "visiteur")
_TABLES: Final = ("instance", "feeds", "streams", "people", "systems", "dashboards")

# 32 bytes: 256 bits, past any guessing; URL-safe, so that a password needs no quoting in an address.
_PASSWORD_BYTES: Final = 32
_NAME: Final = re.compile(r"^[A-Z][A-Z0-9_]*$")

_HEADER: Final = """\
# Secrets of this instance. Only its owner may read this file. Keep a copy with the backups: the databases need it.
# [instance] is generated, and so is [streams], the password of each feed that sends by itself (remove a line for a new
# password). Under [feeds], write the secrets that feed contracts name, for instance GRC_TOKEN = "…".
# [people] and [systems] are who may see and treat alarms, [dashboards] who opens the dashboards: change a password here and restart,
# or write "" to keep one out.

[instance]
{instance}

[people]
{people}

[systems]
{systems}

[dashboards]
{dashboards}

[feeds]
"""


@dataclass(frozen=True)
class Secrets:
    """The secrets of one instance; values are `SecretStr`, so that they never print.

    Attributes:
        home: the instance's home.
        instance: generated secrets of the embedded servers, by name; empty in the server profile.
        feeds: secrets of the file's `[feeds]` table, by name.
        streams: passwords of the feeds that send by themselves (MQTT, HTTP), by feed.
        people: passwords of the people of a local instance's pages, by login.
        systems: tokens of the systems that are served alarms, by name.
        dashboards: passwords of the people of a local instance's dashboards, by login.
    """

    home: Path
    instance: dict[str, SecretStr]
    feeds: dict[str, SecretStr]
    streams: dict[str, SecretStr] = field(default_factory=dict)
    people: dict[str, SecretStr] = field(default_factory=dict)
    systems: dict[str, SecretStr] = field(default_factory=dict)
    dashboards: dict[str, SecretStr] = field(default_factory=dict)

    def get(self, name: str) -> SecretStr:
        """Return the secret a feed contract names: from the environment first, then from the secrets file.

        Raises:
            WrongUse: no secret of that name is set, or it is empty.
        """
        if not _NAME.match(name):
            raise WrongUse(f"{name!r} is not the name of a secret", remedy="use capital letters, digits and _, as in GRC_TOKEN")
        found = os.environ.get(f"{ENVIRONMENT_PREFIX}{name}")
        if found:
            return SecretStr(found)
        if name in self.feeds and self.feeds[name].get_secret_value():
            return self.feeds[name]
        raise WrongUse(
            f"the secret {name} is not set",
            remedy=f'set {ENVIRONMENT_PREFIX}{name}, or write {name} = "…" under [feeds] in {self.home / FILE_NAME}',
        )


def load(home: Path) -> Secrets:
    """Read the secrets file of a home; a home without one has only the environment's secrets.

    Raises:
        VigieError: the file can be read by others, or is not what it should be.
    """
    path = home / FILE_NAME
    if not path.exists():
        return Secrets(home, {}, {})
    check_mode(path)
    document = _parse(path)
    return Secrets(home, *(_table(path, document, name) for name in _TABLES))


def ensure(home: Path) -> Secrets:
    """Create the secrets file with generated secrets, or add to it those it lacks, and return its secrets.

    Two processes that do this at once agree: the file appears whole, once, by a hard link that fails when it exists. An
    existing file is changed under the home's set-up lock only (`orchestration.settings.create_local`).

    Raises:
        VigieError: the file can be read by others, or is not what it should be.
    """
    path = home / FILE_NAME
    if not path.exists():
        tables = {"instance": GENERATED, "people": PEOPLE, "systems": SYSTEMS, "dashboards": ANALYSTS}
        draft = _draft(home, _HEADER.format(**{table: "\n".join(map(_generated_line, names)) for table, names in tables.items()}))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its secrets are the instance's
        finally:
            draft.unlink()
    found = load(home)
    for table, names, known in (
        ("instance", GENERATED, found.instance), ("people", PEOPLE, found.people), ("systems", SYSTEMS, found.systems),
        ("dashboards", ANALYSTS, found.dashboards),
    ):  # fmt: skip
        if missing := [name for name in names if name not in known]:
            _add(path, missing, table=table)
    return load(home)


def ensure_streams(home: Path, feeds: Iterable[str]) -> dict[str, SecretStr]:
    """Return the password of each of these feeds, generated where there is none yet. The caller holds the home's set-up lock.

    Raises:
        VigieError: the file can be read by others, or is not what it should be.
    """
    path, wanted = home / FILE_NAME, list(feeds)
    found = load(home).streams
    if missing := [name for name in wanted if name not in found]:
        if not path.exists():  # the server profile: the other secrets are in the environment
            _draft(home, "# Passwords of the feeds that send by themselves. Only its owner may read this file.\n").replace(path)
        _add(path, missing, table="streams")
        found = load(home).streams
    return {name: found[name] for name in wanted}


def check_mode(path: Path) -> None:
    """Refuse a secrets file that others can read.

    Raises:
        VigieError: group or others have a right on the file.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise VigieError(f"{path} can be read by others (mode {mode:o})", remedy=f"chmod 600 {path}, then change the secrets it held")


def _add(path: Path, names: list[str], *, table: str = "instance") -> None:
    text = path.read_text(encoding="utf-8")
    lines = "".join(f"{_generated_line(name)}\n" for name in names)
    header = re.search(rf"(?m)^\[{table}\][^\n]*\n", text)
    if header is None and table != "instance":
        _draft(path.parent, f"{text.rstrip()}\n\n[{table}]\n{lines}".lstrip()).replace(path)
        return
    if header is None:
        raise VigieError(f"{path} has no [instance] table", remedy="restore the file from a backup: the databases need its passwords")
    _draft(path.parent, text[: header.end()] + lines + text[header.end() :]).replace(path)


def _generated_line(name: str) -> str:
    return f'{name} = "{entropy.token_urlsafe(_PASSWORD_BYTES)}"'


def _draft(home: Path, text: str) -> Path:
    # mkstemp gives mode 600 from the first byte on.
    handle, name = tempfile.mkstemp(dir=home, prefix=".secrets-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _parse(path: Path) -> dict[str, object]:
    try:
        document: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # The parser's message gives a line and a column, never the text that stands there.
        raise VigieError(f"{path} is not valid TOML: {error}", remedy="mend the line, or restore the file from a backup") from None
    unknown = sorted(set(document) - set(_TABLES))
    if unknown:
        raise VigieError(f"{path}: unknown table or key {unknown[0]!r}", remedy="secrets of feeds go under [feeds]")
    return document


def _table(path: Path, document: dict[str, object], name: str) -> dict[str, SecretStr]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise VigieError(f"{path}: [{name}] must be a table", remedy=f'write NAME = "…" lines under [{name}]')
    for key, value in table.items():
        if not isinstance(value, str):
            raise VigieError(f"{path}: {name}.{key} is not text", remedy="put the value between double quotes")
    return {key: SecretStr(value) for key, value in table.items()}
