"""Settings: everything an instance is told, typed and exhaustive.

Here: the one `Settings`, its two profiles and where each value comes from. Not here: secrets of feeds
(`orchestration.secrets`), choosing ports (`orchestration.services.ports`), opening connections.

Two profiles. `local`: everything runs on this machine, below one home; addresses and secrets are generated, and giving
them is an error. `server`: every address and secret comes from the environment, and a missing one is an error. Nothing
defaults to `server`, nor to `local`: a home is made local by its first `vigie up`, and says so in its `instance.toml`.
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, Final, Literal, Self, cast
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingestion.errors import VigieError, WrongUse
from ingestion.lake.address import LakeAddress, S3Access
from ingestion.stream.names import PLATFORM_USER, Broker
from orchestration import secrets as instance_secrets
from orchestration.services import locks, ports

Profile = Literal["local", "server"]
PROFILES: Final = ("local", "server")

PREFIX: Final = "VIGIE_"
INSTANCE_FILE: Final = "instance.toml"
DEFAULT_HOME: Final = Path(".vigie")

OWNER_ROLE: Final = "vigie"
READER_ROLE: Final = "vigie_reader"
LAKE_DATABASE: Final = "vigie_lake"
PERSONAL_DATABASE: Final = "vigie_personal"
DAGSTER_DATABASE: Final = "vigie_dagster"
APP_DATABASE: Final = "vigie_app"
# Superset's own database and the role that owns it: it can do nothing elsewhere.
SUPERSET_DATABASE: Final = "vigie_superset"
SUPERSET_ROLE: Final = "vigie_superset"

# Variables with the prefix that are not settings: read elsewhere, before or beside them.
OTHER_VARIABLES: Final = {
    "VIGIE_DEBUG": "1 shows tracebacks",
    "VIGIE_SHARED_DATA": "where the tests find public data sets",
    "VIGIE_SUPERVISED_BY": "marks the processes of a supervised instance",
}

# What an operator of a local instance may fix, in `instance.toml` or in the environment.
CONFIGURABLE_LOCALLY: Final = frozenset(
    {
        *("postgres_port", "nats_port", "mqtt_port", "nats_monitor_port", "intake_port", "code_server_port", "webserver_port"),
        *("simulated_apis_port", "web_port", "superset_port"),
        *("dashboards", "superset_python"),
        *("extension_directory", "duckdb_memory_limit", "duckdb_threads", "stream_sync"),
    }
)
LOCAL_PORTS: Final = ("postgres", "nats", "mqtt", "nats_monitor", "intake", "code_server", "webserver", "simulated_apis", "web", "superset")
S3_FIELDS: Final = ("s3_endpoint", "s3_access_key", "s3_secret_key", "s3_region", "s3_use_tls")

# Beside Vigie's own environment: the two cannot share one (docs/decisions/0009).
BESIDE: Final = Path(sys.prefix).with_name(".venv-superset") / "bin" / "python"

_LAST_PORT: Final = 65_535
Port = Field(ge=1, le=_LAST_PORT)


class Settings(BaseSettings):
    """The settings of one instance. Environment variables are the names below in capitals, after `VIGIE_`.

    Attributes:
        profile: `local` or `server`.
        home: folder of the instance's state; in the server profile, of what it may lose (logs, build targets).
        postgres_host: host of the PostgreSQL server.
        postgres_port: its port.
        postgres_user: the role that owns Vigie's databases.
        postgres_password: its password.
        postgres_reader_password: password of `vigie_reader`, the role of everything that only reads the lake.
        lake_path: folder or `s3://bucket/prefix` of the lake's files.
        personal_lake_path: the same for the personal lake; never below `lake_path`.
        originals_path: folder of the files as they were received.
        s3_endpoint: `host:port` of the S3 server, when a lake is on S3.
        s3_access_key: its access key.
        s3_secret_key: its secret key.
        s3_region: its region.
        s3_use_tls: whether it is reached over TLS.
        nats_url: `nats://host:port` of the broker; in the local profile made of `nats_port`.
        nats_password: the platform's password there.
        nats_port: the port the local profile's broker listens on.
        mqtt_port: the port equipment finds the broker on (MQTT 3.1.1).
        nats_monitor_port: the broker's monitoring port; it has no accounts, and is the platform's alone.
        stream_sync: how often the broker forces what it stored to the disk: `always`, or what a power cut may cost (`1s`).
        intake_host: interface the HTTP intake listens on.
        intake_port: its port.
        code_server_host: where Dagster's web server and daemon find the code server.
        code_server_port: its port.
        webserver_host: interface Dagster's web server listens on.
        webserver_port: its port.
        web_host: interface the pages and APIs for people and systems listen on (alerts).
        web_port: its port.
        web_secret: what sessions of its pages are signed with.
        dashboards: `on`, or `off` for an instance without Superset.
        superset_host: interface the dashboard server (Superset) listens on.
        superset_port: its port.
        superset_secret: what its sessions and stored passwords are signed with.
        superset_password: password of `vigie_superset`, the role that owns its database and nothing else.
        superset_python: the Python of Superset's own environment.
        simulated_apis_port: where a simulated territory's systems are asked (loopback); of the local profile.
        extension_directory: where DuckDB's extensions are installed from their wheels.
        duckdb_memory_limit: for instance `4GB`; DuckDB's own default (80 % of memory) when absent.
        duckdb_threads: threads per DuckDB process; one per core when absent.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True, hide_input_in_errors=True, validate_default=True
    )

    profile: Profile
    home: Path
    postgres_host: str
    postgres_port: int = Port
    postgres_user: str
    postgres_password: SecretStr
    postgres_reader_password: SecretStr
    lake_path: str
    personal_lake_path: str
    originals_path: Path
    s3_endpoint: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str | None = None
    s3_use_tls: bool | None = None
    nats_url: str = Field(pattern=r"^(nats|tls)://[^/@\s]+:[0-9]+$")
    nats_password: SecretStr
    nats_port: int | None = Field(default=None, ge=1, le=_LAST_PORT)
    mqtt_port: int = Port
    nats_monitor_port: int = Port
    # Measured: half the rate of `1s`, and still thirty times what 34,000 lights send. An acknowledgement means stored.
    stream_sync: str = Field(default="always", pattern=r"^(always|[1-9][0-9]*(ms|s|m))$")
    intake_host: str
    intake_port: int = Port
    code_server_host: str
    code_server_port: int = Port
    webserver_host: str
    webserver_port: int = Port
    web_host: str
    web_port: int = Port
    # Who has one session can try secrets on it at leisure: 32 characters, as many as a generated one at the least.
    web_secret: SecretStr = Field(min_length=32)
    dashboards: Literal["on", "off"] = "on"
    superset_host: str
    superset_port: int = Port
    superset_secret: SecretStr = Field(min_length=32)
    superset_password: SecretStr
    superset_python: Path = BESIDE
    simulated_apis_port: int | None = Field(default=None, ge=1, le=_LAST_PORT)
    extension_directory: Path
    duckdb_memory_limit: str | None = Field(default=None, pattern=r"^[1-9][0-9]*(\.[0-9]+)?\s*(KB|MB|GB|TB|KiB|MiB|GiB|TiB)$")
    duckdb_threads: int | None = Field(default=None, ge=1)

    @field_validator("home", "originals_path", "extension_directory")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().resolve()

    @field_validator(*S3_FIELDS)
    @classmethod
    def _given_with_s3(cls, value: object, info: ValidationInfo) -> object:
        on_s3 = any(str(info.data.get(name, "")).startswith("s3://") for name in ("lake_path", "personal_lake_path"))
        if value is None and on_s3:
            raise ValueError("required, because a lake is on S3")
        return value

    @field_validator("personal_lake_path")
    @classmethod
    def _apart(cls, value: str, info: ValidationInfo) -> str:
        # Readers may read below the main lake's path: what lies there is not personal.
        main = str(info.data.get("lake_path", "")).rstrip("/")
        if main and (value.rstrip("/") == main or value.startswith(f"{main}/")):
            raise ValueError("must not lie in lake_path, which readers can read")
        return value

    @classmethod
    def load(cls, home: Path | None = None) -> Self:
        """Return the settings of the instance at `home` (else `VIGIE_HOME`, else `./.vigie`).

        Raises:
            WrongUse: no instance there, an unknown profile or key, a value that is missing, wrong or out of place.
            VigieError: a file of the instance is damaged or can be read by others.
        """
        _refuse_unknown_variables(cls)
        is_stated = home is not None or bool(os.environ.get("VIGIE_HOME"))
        home = find_home(home)
        document = _instance_document(home)
        match profile := _profile(home, document):
            case "server":
                values: dict[str, Any] = {"profile": profile}
                if not is_stated:
                    raise WrongUse("VIGIE_HOME is missing", remedy="the server profile states its home: set VIGIE_HOME")
                values |= {
                    "home": home,
                    "extension_directory": os.environ.get("VIGIE_EXTENSION_DIRECTORY") or home / "extensions",
                }
            case "local":
                values = _local_values(home, document)
        try:
            return cls(**values)
        except ValidationError as error:
            raise _told(error, home, profile) from None

    @property
    def secrets(self) -> instance_secrets.Secrets:
        """The secrets of this instance, read anew, so that a secret that was just added is found."""
        return instance_secrets.load(self.home)

    @property
    def lake(self) -> LakeAddress:
        """The main lake, with every right."""
        return self._lake(LAKE_DATABASE, self.lake_path, self.postgres_user, self.postgres_password)

    @property
    def reader_lake(self) -> LakeAddress:
        """The main lake as `vigie_reader` sees it: SELECT on its catalogue, and nothing else."""
        return self._lake(LAKE_DATABASE, self.lake_path, READER_ROLE, self.postgres_reader_password)

    @property
    def personal_lake(self) -> LakeAddress:
        """The lake of personal data, in a database of its own; readers never attach it."""
        return self._lake(PERSONAL_DATABASE, self.personal_lake_path, self.postgres_user, self.postgres_password)

    @property
    def broker(self) -> Broker:
        """The broker, as the platform's user."""
        return Broker(self.nats_url, PLATFORM_USER, self.nats_password.get_secret_value())

    @property
    def broker_host(self) -> str:
        """Host of the broker: of its MQTT port and its monitoring too."""
        return urlsplit(self.nats_url).hostname or ports.LOOPBACK

    @property
    def broker_path(self) -> Path:
        """Folder of the broker's configuration and, in the local profile, of its streams."""
        return self.home / "nats"

    @property
    def intake_url(self) -> str:
        """Where systems on this machine find the HTTP intake."""
        return f"http://{_reachable(self.intake_host)}:{self.intake_port}"

    @property
    def web_url(self) -> str:
        """Where a browser on this machine finds the pages for people."""
        return f"http://{_reachable(self.web_host)}:{self.web_port}"

    @property
    def superset_url(self) -> str:
        """Where a browser on this machine finds the dashboards."""
        return f"http://{_reachable(self.superset_host)}:{self.superset_port}"

    @property
    def superset_path(self) -> Path:
        """Folder of what the dashboard server is told and may write: its file of addresses, its caches."""
        return self.home / "superset"

    @property
    def superset_database_url(self) -> SecretStr:
        """Address of the dashboard server's own database, as its own role. It holds the password: never print it."""
        return SecretStr(self._url(SUPERSET_DATABASE, SUPERSET_ROLE, self.superset_password))

    @property
    def simulated_apis_url(self) -> str:
        """Where the systems of a simulated territory are asked."""
        return f"http://{ports.LOOPBACK}:{self.simulated_apis_port}"

    @property
    def dagster_url(self) -> SecretStr:
        """Address of Dagster's storage."""
        return SecretStr(self.database_url(DAGSTER_DATABASE))

    @property
    def app_url(self) -> SecretStr:
        """Address of the application's own database (alerts and what people write)."""
        return SecretStr(self.database_url(APP_DATABASE))

    @property
    def logs_path(self) -> Path:
        """Folder of the services' logs."""
        return self.home / "logs"

    @property
    def run_path(self) -> Path:
        """Folder of what only matters while the instance runs: locks, process records, generated configuration."""
        return self.home / "run"

    @property
    def dagster_home(self) -> Path:
        """Dagster's own folder (`DAGSTER_HOME`)."""
        return self.home / "dagster"

    @property
    def dbt_target_path(self) -> Path:
        """Where dbt writes its artefacts."""
        return self.home / "dbt" / "target"

    @property
    def dbt_log_path(self) -> Path:
        """Where dbt writes its logs."""
        return self.home / "logs" / "dbt"

    @property
    def declared_path(self) -> Path:
        """Folder of the CSV files the territory declares (lighting regimes, meter links, energy factors)."""
        return self.home / "declared"

    @property
    def feeds_path(self) -> Path:
        """Folder of the instance's own feed contracts."""
        return self.home / "feeds"

    @property
    def alerts_path(self) -> Path:
        """Folder of what the instance declares of its alerts: `rules/`, `command-post.yaml`, `targets.yaml`."""
        return self.home / "alerts"

    @property
    def temporary_path(self) -> Path:
        """Where DuckDB spills what does not fit in memory; on a disk, which `/tmp` often is not."""
        return self.home / "tmp"

    @property
    def postgres_path(self) -> Path:
        """Data folder of the embedded PostgreSQL (local profile)."""
        return self.home / "postgres"

    @property
    def webserver_url(self) -> str:
        """Where a browser finds Dagster on this machine."""
        return f"http://{_reachable(self.webserver_host)}:{self.webserver_port}"

    def database_url(self, database: str) -> str:
        """Return the owner's address of a database. It holds the password: never print it."""
        return self._url(database, self.postgres_user, self.postgres_password)

    def environment(self) -> dict[str, str]:
        """Return the variables a child process needs to be of this instance: its home, and what Dagster asks for."""
        return {
            "VIGIE_HOME": str(self.home),
            "DAGSTER_HOME": str(self.dagster_home),
            # The driver is named: SQLAlchemy 2.1 takes psycopg 3 by default, in which Dagster's NOTIFY is a syntax error.
            "DAGSTER_POSTGRES_URL": self.dagster_url.get_secret_value().replace("postgresql://", "postgresql+psycopg2://", 1),
            "DAGSTER_DISABLE_TELEMETRY": "true",
            "DBT_TARGET_PATH": str(self.dbt_target_path),
            "DBT_LOG_PATH": str(self.dbt_log_path),
            "TMPDIR": str(self.temporary_path),
            "DO_NOT_TRACK": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }

    def _url(self, database: str, user: str, password: SecretStr) -> str:
        host = f"[{self.postgres_host}]" if ":" in self.postgres_host else self.postgres_host
        account = f"{quote(user, safe='')}:{quote(password.get_secret_value(), safe='')}"
        return f"postgresql://{account}@{host}:{self.postgres_port}/{database}"

    def _lake(self, database: str, data_path: str, user: str, password: SecretStr) -> LakeAddress:
        return LakeAddress(
            catalogue_url=self._url(database, user, password),
            data_path=data_path,
            extension_directory=self.extension_directory,
            originals_path=self.originals_path,
            s3=self._s3() if data_path.startswith("s3://") else None,
        )

    def _s3(self) -> S3Access:
        # The validators hold that all of these are given when a lake is on S3.
        return S3Access(
            endpoint=cast("str", self.s3_endpoint),
            access_key=cast("str", self.s3_access_key),
            secret_key=cast("SecretStr", self.s3_secret_key).get_secret_value(),
            use_tls=cast("bool", self.s3_use_tls),
            region=cast("str", self.s3_region),
        )


def _reachable(host: str) -> str:
    return ports.LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 - compared, not bound


def find_home(home: Path | None) -> Path:
    """Return the home to use: the one given, else `VIGIE_HOME`, else `./.vigie`; absolute, without symbolic links."""
    return Path(home or os.environ.get("VIGIE_HOME") or DEFAULT_HOME).expanduser().resolve()


def create_local(home: Path | None = None) -> Settings:
    """Make `home` a local instance, or complete one: its folders, secrets and ports. Repeatable; processes may race.

    Raises:
        WrongUse: the environment or the home says `server`, or a value is wrong.
        VigieError: the folder cannot be written, or a file of the instance is damaged.
    """
    home = find_home(home)
    if (asked := os.environ.get("VIGIE_PROFILE", "local")) != "local":
        _known_profile(asked, "VIGIE_PROFILE")
        raise WrongUse("VIGIE_PROFILE is server", remedy="a local instance is asked for: unset VIGIE_PROFILE, or start the server profile")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with locks.held(home / "run" / "setup.lock", timeout_s=30, what="another command that sets this instance up"):
            path = home / INSTANCE_FILE
            if not path.exists():
                draft = path.with_name(f".{INSTANCE_FILE}")
                draft.write_text(_INSTANCE_HEADER, encoding="utf-8")
                draft.replace(path)
            instance_secrets.ensure(home)
            _local_values(home, _instance_document(home))
            for folder in ("logs", "lake", "declared", "feeds", "alerts", "dagster", "dbt", "tmp"):
                (home / folder).mkdir(exist_ok=True)
            for folder in ("personal", "originals", "nats", "superset"):  # personal data, secrets: for the instance's own user
                (home / folder).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise VigieError(f"{home} cannot be set up: {error.strerror}", remedy="choose a folder you can write with --home") from error
    return Settings.load(home)


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{field.upper()}"


def server_variables() -> dict[str, bool]:
    """Return the variables of the server profile: name to whether it must be given (with the lake on S3)."""
    needed = set(S3_FIELDS)
    optional = {"extension_directory", "superset_python"}
    return {
        variable(name): (field.is_required() or name in needed) and name not in optional for name, field in Settings.model_fields.items()
    }


_INSTANCE_HEADER = """\
# What this folder is: the home of a Vigie instance. Optional keys, each on its own line, are:
#   webserver_port, mqtt_port, intake_port…   fixed ports instead of free ones (docs/runbook.md names them all)
#   duckdb_memory_limit = "4GB", duckdb_threads = 2   bounds of each DuckDB process
profile = "local"
"""


def _local_values(home: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a local instance, after refusing those that may not be given."""
    for name in Settings.model_fields:
        if name not in {"profile", "home"} | CONFIGURABLE_LOCALLY and os.environ.get(variable(name)):
            raise WrongUse(
                f"{variable(name)} is set, but this instance is local and runs its own servers",
                remedy=f"unset {variable(name)}, or set VIGIE_PROFILE=server with another home",
            )
    found = instance_secrets.load(home).instance
    missing = [name for name in instance_secrets.GENERATED if name not in found]
    if missing:
        # Made by an earlier version, it has the password of its databases; without that one, no new secret opens them.
        remedy = (
            f"run `vigie up --home {home}`, which adds what this version needs"
            if "postgres_password" in found
            else f"run `vigie up --home {home}`, which completes a new instance; restore the file if the instance holds data"
        )
        raise VigieError(f"{home / instance_secrets.FILE_NAME} lacks {missing[0]}", remedy=remedy)
    # The environment goes before the file; pydantic reads it by itself, but the ports must be known to be chosen.
    given = {name: os.environ.get(variable(name)) or document.get(name) for name in CONFIGURABLE_LOCALLY}
    fixed = {name: _port(given[f"{name}_port"], f"{name}_port", home) for name in LOCAL_PORTS if given[f"{name}_port"]}
    chosen = ports.settle(home, LOCAL_PORTS, fixed)
    return {
        "profile": "local",
        "home": home,
        "postgres_host": ports.LOOPBACK,
        "nats_url": f"nats://{ports.LOOPBACK}:{chosen['nats']}",
        "nats_password": found["nats_password"],
        "intake_host": ports.LOOPBACK,
        "postgres_user": OWNER_ROLE,
        "postgres_password": found["postgres_password"],
        "postgres_reader_password": found["postgres_reader_password"],
        "lake_path": f"{home}/lake",
        "personal_lake_path": f"{home}/personal",
        "originals_path": home / "originals",
        "code_server_host": ports.LOOPBACK,
        "webserver_host": ports.LOOPBACK,
        "web_host": ports.LOOPBACK,
        "web_secret": found["web_secret"],
        "superset_host": ports.LOOPBACK,
        "superset_secret": found["superset_secret"],
        "superset_password": found["superset_password"],
        "extension_directory": given["extension_directory"] or home / "extensions",
        "duckdb_memory_limit": given["duckdb_memory_limit"],
        "duckdb_threads": given["duckdb_threads"],
        **{name: given[name] for name in ("stream_sync", "dashboards", "superset_python") if given[name] is not None},
        **{f"{name}_port": port for name, port in chosen.items()},
    }


def _port(value: object, name: str, home: Path) -> int:
    text = str(value)
    if not text.isdigit() or not 1 <= int(text) <= _LAST_PORT:
        raise WrongUse(f"{name} is {text!r}, not a port", remedy=f"give {variable(name)} or {home / INSTANCE_FILE} a number up to 65535")
    return int(text)


def _profile(home: Path, document: dict[str, Any]) -> Profile:
    asked, written = os.environ.get("VIGIE_PROFILE"), document.get("profile")
    if asked and written and asked != written:
        raise WrongUse(
            f"VIGIE_PROFILE is {asked!r}, but {home / INSTANCE_FILE} says {written!r}",
            remedy="use another --home, or unset VIGIE_PROFILE",
        )
    if asked:
        return _known_profile(asked, "VIGIE_PROFILE")
    if written:
        return _known_profile(written, str(home / INSTANCE_FILE))
    raise WrongUse(
        f"there is no instance at {home}",
        remedy="create a local one with `vigie up`, give its folder with --home, or set VIGIE_PROFILE=server and its variables",
    )


def _known_profile(name: str, where: str) -> Profile:
    if name not in PROFILES:
        raise WrongUse(f"{where}: unknown profile {name!r}", remedy="write local or server")
    return cast("Profile", name)


def _instance_document(home: Path) -> dict[str, Any]:
    path = home / INSTANCE_FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} is not valid TOML: {error}", remedy="mend the line") from None
    allowed = {"profile", *CONFIGURABLE_LOCALLY}
    for key in document:
        if key not in allowed:
            raise WrongUse(
                f"{path}: unknown key {key!r}{_nearest(key, allowed)}",
                remedy=f"remove it; known keys: {', '.join(sorted(allowed))}",
            )
    return document


def _refuse_unknown_variables(cls: type[Settings]) -> None:
    known = {variable(name) for name in cls.model_fields} | set(OTHER_VARIABLES)
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known and not name.startswith(instance_secrets.ENVIRONMENT_PREFIX):
            raise WrongUse(f"unknown variable {name}{_nearest(name, known)}", remedy=f"unset {name}, or correct its name")


def _nearest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _told(error: ValidationError, home: Path, profile: str) -> WrongUse:
    """Turn pydantic's errors into a message that names each variable and no value."""
    problems = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = variable(str(problem["loc"][0])) if problem["loc"] else "settings"
        text = (
            "is missing" if problem["type"] == "missing" or "required" in problem["msg"] else problem["msg"].removeprefix("Value error, ")
        )
        problems.append(f"{name} {text}" if text == "is missing" else f"{name}: {text}")
    where = f"set it in the environment (profile {profile}, home {home})"
    if profile == "local":
        where = f"correct it in the environment or in {home / INSTANCE_FILE}"
    return WrongUse("; ".join(problems), remedy=where)
