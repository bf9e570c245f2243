"""Settings: exhaustive, typed, and never by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.errors import VigieError, WrongUse
from orchestration.settings import INSTANCE_FILE, Settings, create_local, server_variables

SERVER = {
    "VIGIE_PROFILE": "server",
    "VIGIE_POSTGRES_HOST": "db.example",
    "VIGIE_POSTGRES_PORT": "5432",
    "VIGIE_POSTGRES_USER": "vigie",
    "VIGIE_POSTGRES_PASSWORD": "p@ss/word",
    "VIGIE_POSTGRES_READER_PASSWORD": "reader's",
    "VIGIE_LAKE_PATH": "s3://lake/main",
    "VIGIE_PERSONAL_LAKE_PATH": "s3://lake/personal",
    "VIGIE_ORIGINALS_PATH": "/data/originals",
    "VIGIE_S3_ENDPOINT": "s3.example:443",
    "VIGIE_S3_ACCESS_KEY": "access",
    "VIGIE_S3_SECRET_KEY": "hush",
    "VIGIE_S3_REGION": "fr-par",
    "VIGIE_S3_USE_TLS": "true",
    "VIGIE_NATS_URL": "nats://nats.example:4222",
    "VIGIE_NATS_PASSWORD": "whisper",
    "VIGIE_WEB_HOST": "10.0.0.7",
    "VIGIE_WEB_PORT": "8000",
    "VIGIE_WEB_SECRET": "rumour, told again and again and again",
    "VIGIE_SUPERSET_HOST": "10.0.0.7",
    "VIGIE_SUPERSET_PORT": "8088",
    "VIGIE_SUPERSET_SECRET": "gossip, told again and again and again",
    "VIGIE_SUPERSET_PASSWORD": "hearsay",
    "VIGIE_NATS_MONITOR_PORT": "8222",
    "VIGIE_MQTT_PORT": "1883",
    "VIGIE_INTAKE_HOST": "intake",
    "VIGIE_INTAKE_PORT": "8080",
    "VIGIE_CODE_SERVER_HOST": "code-server",
    "VIGIE_CODE_SERVER_PORT": "4000",
    "VIGIE_WEBSERVER_HOST": "0.0.0.0",  # noqa: S104 - the value of a container
    "VIGIE_WEBSERVER_PORT": "3000",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> pytest.MonkeyPatch:
    for name, value in (SERVER | {"VIGIE_HOME": str(home)}).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_there_is_no_default_profile(home: Path) -> None:
    with pytest.raises(WrongUse, match="there is no instance at") as refused:
        Settings.load(home)
    assert "vigie up" in (refused.value.remedy or "")
    assert not home.exists(), "looking for an instance must not make one"


def test_server_profile_reads_everything_from_the_environment(server: pytest.MonkeyPatch, home: Path) -> None:
    settings = Settings.load()
    assert settings.home == home
    assert settings.lake.catalogue_url == "postgresql://vigie:p%40ss%2Fword@db.example:5432/vigie_lake"
    assert settings.reader_lake.catalogue_url == "postgresql://vigie_reader:reader%27s@db.example:5432/vigie_lake"
    assert settings.personal_lake.catalogue_url.endswith("/vigie_personal")
    assert settings.lake.s3 is not None
    assert settings.lake.s3.endpoint == "s3.example:443"
    assert settings.lake.s3.use_tls is True


def test_the_list_of_required_variables_is_the_one_used_here() -> None:
    required = {name for name, needed in server_variables().items() if needed}
    assert required == {*SERVER, "VIGIE_HOME"}


@pytest.mark.parametrize("name", sorted({*SERVER, "VIGIE_HOME"} - {"VIGIE_PROFILE"}))
@pytest.mark.parametrize("how", ["absent", "empty"])
def test_each_missing_server_variable_is_named(server: pytest.MonkeyPatch, name: str, how: str, tmp_path: Path) -> None:
    server.chdir(tmp_path)  # without a home, the folder's own instance would answer
    server.delenv(name) if how == "absent" else server.setenv(name, "")
    with pytest.raises(WrongUse, match=rf"{name} is missing"):
        Settings.load()


def test_every_missing_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("VIGIE_PROFILE", "server")
    monkeypatch.setenv("VIGIE_HOME", str(home))
    with pytest.raises(WrongUse) as refused:
        Settings.load()
    missing = {*SERVER} - {
        "VIGIE_PROFILE",
        "VIGIE_S3_ENDPOINT",
        "VIGIE_S3_ACCESS_KEY",
        "VIGIE_S3_SECRET_KEY",
        "VIGIE_S3_REGION",
        "VIGIE_S3_USE_TLS",
    }
    assert {name for name in missing if f"{name} is missing" not in refused.value.message} == set()


def test_s3_is_not_asked_for_when_the_lake_is_a_folder(server: pytest.MonkeyPatch) -> None:
    server.setenv("VIGIE_LAKE_PATH", "/data/lake")
    server.setenv("VIGIE_PERSONAL_LAKE_PATH", "/data/personal")
    for name in SERVER:
        if name.startswith("VIGIE_S3"):
            server.delenv(name)
    assert Settings.load().lake.s3 is None


@pytest.mark.parametrize("personal", ["s3://lake/main", "s3://lake/main/", "s3://lake/main/personal"])
def test_personal_data_may_not_lie_where_readers_read(server: pytest.MonkeyPatch, personal: str) -> None:
    server.setenv("VIGIE_PERSONAL_LAKE_PATH", personal)
    with pytest.raises(WrongUse, match="VIGIE_PERSONAL_LAKE_PATH"):
        Settings.load()


@pytest.mark.parametrize(("name", "value"), [("VIGIE_POSTGRES_PORT", "0"), ("VIGIE_WEBSERVER_PORT", "http"), ("VIGIE_DUCKDB_THREADS", "0"),
                                             ("VIGIE_WEB_SECRET", "a guess"), ("VIGIE_SUPERSET_SECRET", "a guess"),
                                             ("VIGIE_DUCKDB_MEMORY_LIMIT", "lots")])  # fmt: skip
def test_a_wrong_value_is_named(server: pytest.MonkeyPatch, name: str, value: str) -> None:
    server.setenv(name, value)
    with pytest.raises(WrongUse, match=name):
        Settings.load()


def test_unknown_profile(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("VIGIE_PROFILE", "production")
    with pytest.raises(WrongUse, match="unknown profile 'production'"):
        Settings.load(home)
    with pytest.raises(WrongUse, match="unknown profile 'production'"):
        create_local(home)


def test_unknown_variable_is_refused_with_the_nearest(server: pytest.MonkeyPatch) -> None:
    server.setenv("VIGIE_POSTGRES_HOSTNAME", "x")
    with pytest.raises(WrongUse, match=r"unknown variable VIGIE_POSTGRES_HOSTNAME \(did you mean VIGIE_POSTGRES_HOST\?\)"):
        Settings.load()


def test_secrets_never_print(server: pytest.MonkeyPatch) -> None:
    settings = Settings.load()
    shown = f"{settings} {settings!r} {settings.lake!r} {settings.dagster_url} {settings.app_url!r} {settings.model_dump()}"
    for secret in ("p@ss/word", "p%40ss", "reader's", "hush", "whisper", "rumour"):
        assert secret not in shown


def test_an_error_never_prints_a_value(server: pytest.MonkeyPatch) -> None:
    server.setenv("VIGIE_POSTGRES_PORT", "secretlike")
    with pytest.raises(WrongUse) as refused:
        Settings.load()
    assert "secretlike" not in str(refused.value)


def test_first_start_makes_a_local_instance_that_keeps_its_addresses(home: Path) -> None:
    first = create_local(home)
    assert first.profile == "local"
    assert first.postgres_host == "127.0.0.1"
    assert len({first.postgres_port, first.code_server_port, first.webserver_port}) == 3
    assert Settings.load(home) == first == create_local(home)
    assert first.lake.data_path == f"{home}/lake"
    assert (home / "personal").stat().st_mode & 0o077 == 0


def test_two_homes_differ_in_everything_that_could_meet(tmp_path: Path) -> None:
    one, two = create_local(tmp_path / "one"), create_local(tmp_path / "two")
    assert one.postgres_password != two.postgres_password
    assert one.lake.data_path != two.lake.data_path


@pytest.mark.parametrize("name", ["VIGIE_POSTGRES_HOST", "VIGIE_POSTGRES_PASSWORD", "VIGIE_LAKE_PATH", "VIGIE_S3_ENDPOINT"])
def test_a_local_instance_refuses_the_servers_addresses(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    create_local(home)
    monkeypatch.setenv(name, "x")
    with pytest.raises(WrongUse, match=f"{name} is set, but this instance is local"):
        Settings.load(home)


def test_a_local_home_is_not_used_as_a_server(server: pytest.MonkeyPatch, home: Path) -> None:
    server.delenv("VIGIE_PROFILE")
    for name in SERVER:
        server.delenv(name, raising=False)
    create_local(home)
    server.setenv("VIGIE_PROFILE", "server")
    with pytest.raises(WrongUse, match="VIGIE_PROFILE is 'server', but"):
        Settings.load(home)


def test_configured_ports_go_first_and_the_environment_before_the_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_local(home)
    with (home / INSTANCE_FILE).open("a") as file:
        file.write("webserver_port = 3999\npostgres_port = 5999\nduckdb_threads = 2\n")
    monkeypatch.setenv("VIGIE_POSTGRES_PORT", "5998")
    settings = Settings.load(home)
    assert (settings.webserver_port, settings.postgres_port, settings.duckdb_threads) == (3999, 5998, 2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("web_prot = 1", r"unknown key 'web_prot' \(did you mean web_port\?\)"),
        ("webserver_prot = 1", r"unknown key 'webserver_prot' \(did you mean webserver_port\?\)"),
        ('webserver_port = "http"', "webserver_port is 'http', not a port"),
        ("webserver_port =", "is not valid TOML"),
        ("duckdb_threads = -1", "VIGIE_DUCKDB_THREADS"),
    ],
)
def test_a_wrong_line_of_the_instance_file_is_named(home: Path, line: str, message: str) -> None:
    create_local(home)
    with (home / INSTANCE_FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(WrongUse, match=message):
        Settings.load(home)


def test_home_given_goes_before_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_local(tmp_path / "one")
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path / "two"))
    assert Settings.load(tmp_path / "one").home == tmp_path / "one"
    with pytest.raises(WrongUse, match="two"):
        Settings.load()


def test_an_instance_of_an_earlier_version_is_told_to_start_again(home: Path) -> None:
    path = create_local(home).home / "secrets.toml"
    kept = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if not line.startswith("superset_")]
    before = "".join(kept[: kept.index("[dashboards]\n")] + kept[kept.index("[feeds]\n") :])
    path.write_text(before, encoding="utf-8")
    with pytest.raises(VigieError, match="lacks superset_secret") as older:
        Settings.load(home)
    assert "vigie up" in str(older.value.remedy)
    assert "restore" not in str(older.value.remedy)
    completed = create_local(home)
    assert len(completed.superset_secret.get_secret_value()) >= 32
    assert all(line in path.read_text(encoding="utf-8") for line in before.splitlines()), "what stood there stays"
    path.write_text("[instance]\n", encoding="utf-8")
    with pytest.raises(VigieError, match="lacks postgres_password") as lost:
        Settings.load(home)
    assert "restore" in str(lost.value.remedy)


@pytest.mark.parametrize(("written", "kept"), [("dashboards = false", None), ('dashboards = "off"', "off"), ("", "on")])
def test_dashboards_are_off_when_said_in_full(home: Path, monkeypatch: pytest.MonkeyPatch, written: str, kept: str | None) -> None:
    monkeypatch.delenv("VIGIE_DASHBOARDS")
    create_local(home)
    with (home / INSTANCE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{written}\n")
    if kept is None:
        with pytest.raises(WrongUse, match="dashboards"):
            Settings.load(home)
    else:
        assert Settings.load(home).dashboards == kept
