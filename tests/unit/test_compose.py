"""docker-compose.yml and the Dockerfile, checked without an engine: whatever they name exists, and no secret has a default."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import SecretStr

from orchestration.services import declared, nats_config, nats_server
from orchestration.settings import Settings, server_variables, variable

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name for name, service in SERVICES.items() if service["image"].startswith("vigie:")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(?:(:?[-?])([^}]*))?\}")
# Secrets that are no setting's type: a name of a key is not hidden, but giving one by default invites its twin.
ALSO_REQUIRED = {"VIGIE_S3_ACCESS_KEY"}
# What a library reads by itself: uvicorn, whose X-Forwarded-For is believed.
OF_LIBRARIES = {"FORWARDED_ALLOW_IPS"}


def _secret_variables() -> set[str]:
    fields = Settings.model_fields.items()
    return {variable(name) for name, field in fields if SecretStr in (field.annotation, *get_args(field.annotation))} | ALSO_REQUIRED


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in _texts(value)]
    return [str(node)]


def _instructions(name: str) -> list[list[str]]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()] + [words[0] for words in _instructions("FROM")]
    for image in images:
        _, _, tag = image.partition(":")
        assert re.search(r"\d+\.\d+|\d{4}-\d{2}-\d{2}", tag), f"{image} is not pinned to a version"
        assert "latest" not in tag
    assert {SERVICES[name]["image"] for name in OURS} == {f"vigie:{VERSION}"}


def test_postgresql_is_the_embedded_one() -> None:
    from orchestration.services.postgres_cluster import binary

    embedded = subprocess.run([binary("postgres"), "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{embedded}-")


def test_every_build_file_exists_and_reaches_the_engine() -> None:
    for name in OURS:
        build = SERVICES[name]["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for words in _instructions("COPY"):
        for source in words[:-1]:
            assert (ROOT / source).exists(), f"the Dockerfile copies {source}, which does not exist"
            assert any(fnmatch(source, pattern) for pattern in kept), f".dockerignore keeps {source} from the engine"


def test_nothing_private_reaches_the_image() -> None:
    first = (ROOT / ".dockerignore").read_text().splitlines()[0]
    assert first == "*", "everything is left out but what is named"
    assert not {".vigie", ".git", "tests", ".env"} & {words[0] for words in _instructions("COPY")}


def test_the_image_runs_unprivileged_and_from_the_lock() -> None:
    assert _instructions("USER")[-1] == ["vigie"]
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert any("--require-hashes" in line and "base.lock" in line for line in installs)
    assert all("--no-deps" in line for line in installs)
    assert (ROOT / "requirements" / "base.lock").is_file()


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_of_ours_exists(name: str, settings: Settings) -> None:
    service = SERVICES[name]
    known = {one.name for one in declared.services(settings.model_copy(update={"profile": "server", "dashboards": "on"}))}
    for command in (service["command"], service.get("healthcheck", {}).get("test", ["CMD"])[1:]):
        if not command:
            continue
        assert command[:2] == ["python", "-m"]
        assert find_spec(command[2]) is not None
        if command[2] == "orchestration.services.run":
            assert command[3] in known
            assert set(command[4:]) <= {"--check"}


def test_every_declared_service_has_its_container(settings: Settings) -> None:
    known = {one.name for one in declared.services(settings.model_copy(update={"profile": "server", "dashboards": "on"}))}
    assert known | {"prepare"} == OURS


def test_every_variable_is_a_setting_and_every_setting_is_given() -> None:
    required = {name for name, needed in server_variables().items() if needed}
    for name in OURS:
        given = set(SERVICES[name]["environment"])
        assert required <= given
        assert given - OF_LIBRARIES <= set(server_variables())
    named = {found[0] for text in _texts(COMPOSE) for found in REFERENCE.findall(text)}
    assert named - OF_LIBRARIES <= set(server_variables())


def test_secrets_are_required_and_have_no_default() -> None:
    secret = _secret_variables()
    assert len(secret) >= 5
    seen = set()
    for text in _texts(COMPOSE):
        for name, operator, message in REFERENCE.findall(text):
            if name in secret:
                seen.add(name)
                assert operator == ":?", f"{name} has a default, or may be empty"
                assert message, f"{name} is asked for without saying how"
    assert seen == secret
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|ACCESS_KEY", key):
                assert REFERENCE.fullmatch(value), f"{name}: {key} is written out"


def test_without_secrets_on_command_lines() -> None:
    for service in SERVICES.values():
        line = " ".join([*_texts(service.get("command", [])), *_texts(service.get("entrypoint", []))])
        assert not REFERENCE.search(line), "what is interpolated into a command can be read in the list of processes"


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_settings_of_each_container_load(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key, value in SERVICES[name]["environment"].items():
        monkeypatch.setenv(key, REFERENCE.sub(lambda found: found[3] if found[2] == ":-" else "given, and long enough for a secret", value))
    monkeypatch.setenv("VIGIE_HOME", str(tmp_path))
    settings = Settings.load()
    assert settings.profile == "server"
    hosts = {settings.postgres_host, settings.code_server_host, str(settings.s3_endpoint).partition(":")[0]}
    assert hosts <= set(SERVICES), "an address names a container that does not exist"
    assert settings.nats_url == "nats://nats:4222"


def test_dependencies_configurations_and_volumes_exist() -> None:
    for service in SERVICES.values():
        depends = service.get("depends_on", {})
        assert set(depends) <= set(SERVICES)
        for other, how in depends.items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other]
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])


def test_the_broker_is_the_embedded_one() -> None:
    embedded = subprocess.run([declared.script("nats-server"), "--version"], capture_output=True, text=True, check=True).stdout
    assert SERVICES["nats"]["image"] == f"nats:{embedded.strip().rpartition('v')[2]}-alpine"


def test_the_broker_reads_what_prepare_writes(settings: Settings) -> None:
    server = settings.model_copy(update={"profile": "server", "mqtt_port": 1883, "nats_monitor_port": 8222})
    (server.broker_path / "tls").mkdir()
    for name in (nats_config.CERTIFICATE, nats_config.KEY):
        (server.broker_path / "tls" / name).touch()
    nats_server.refresh(server, reload=False)
    written = nats_server.configuration_file(server)
    mounts = {volume.split(":")[0]: volume.split(":")[1] for volume in (*SERVICES["prepare"]["volumes"], *SERVICES["nats"]["volumes"])}
    assert "nats-configuration:/var/lib/vigie/nats" in SERVICES["prepare"]["volumes"]
    assert written.relative_to(server.home).as_posix() == "nats/nats.conf"
    assert SERVICES["nats"]["command"] == ["--config", f"{mounts['nats-configuration']}/{written.name}"]
    document = json.loads(written.read_text())
    assert (document["listen"], document["mqtt"]["listen"]) == ("0.0.0.0:4222", "0.0.0.0:1883")
    assert document["jetstream"]["store_dir"] == mounts["nats"]
    assert document["mqtt"]["tls"]["cert_file"] == f"{mounts['nats-configuration']}/tls/{nats_config.CERTIFICATE}"
    assert written.stat().st_mode & 0o077 == 0


def test_nothing_is_open_to_the_network() -> None:
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
