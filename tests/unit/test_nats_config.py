"""The broker's configuration: what topics become, which feeds cannot stand together, and what the broker itself says of it."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestion.errors import VigieError
from ingestion.feeds.model_connector import StreamConnector
from ingestion.stream.names import feed_and_topic, topic_subject
from orchestration import secrets as instance_secrets
from orchestration.services import nats_config, nats_log, nats_server
from orchestration.services.declared import script
from orchestration.services.nats_config import Listens, StreamUser, configuration, conflicts, mappings, overlap
from orchestration.settings import Settings, create_local
from tests.stream_instance import StreamInstance

_LEVELS = ("a", "b")
_TOPICS = ["/".join(levels) for depth in (1, 2, 3, 4) for levels in itertools.product(_LEVELS, repeat=depth)]
_FILTERS = st.builds(
    lambda first, rest, end: "/".join([first, *rest, *end]),
    st.sampled_from(_LEVELS),
    st.lists(st.sampled_from([*_LEVELS, "+"]), max_size=2),
    st.sampled_from([(), ("#",)]),
)


def _matches(topic: str, pattern: str) -> bool:
    """MQTT 3.1.1, section 4.7, word by word."""
    levels, wanted = topic.split("/"), pattern.split("/")
    if wanted[-1] == "#":
        wanted = wanted[:-1]
        levels = levels[: len(wanted)]
    return len(levels) == len(wanted) and all(want in ("+", level) for level, want in zip(levels, wanted, strict=True))


@given(_FILTERS, _FILTERS)
def test_filters_overlap_exactly_when_some_topic_matches_both(one: str, other: str) -> None:
    assert overlap(one, other) == overlap(other, one) == any(_matches(t, one) and _matches(t, other) for t in _TOPICS)


def test_mappings_keep_the_whole_topic_and_hash_it() -> None:
    assert mappings("lights", ["lights/#", "cab/+/lamp/+/state", "v1.0/up"]) == {
        "http.lights.>": "in.{{partition(4)}}.lights.http.>",
        "lights.>": "in.{{partition(4)}}.lights.lights.>",
        "lights": "in.{{partition(4)}}.lights.lights",
        "cab.*.lamp.*.state": "in.{{partition(4)}}.lights.cab.{{wildcard(1)}}.lamp.{{wildcard(2)}}.state",
        "v1//0.up": "in.{{partition(4)}}.lights.v1//0.up",
    }


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/+#*> \0", exclude_categories=("Z", "C")), min_size=1), min_size=1)
)
def test_a_topic_comes_back_from_its_subject(levels: list[str]) -> None:
    topic = "/".join(levels)
    assert feed_and_topic(f"in.2.lights.{topic_subject(topic)}") == ("lights", topic)


def test_of_two_feeds_that_overlap_the_one_in_force_stays_and_both_are_named() -> None:
    feeds = {"a": ["x/+"], "b": ["x/1", "y/#"], "c": ["z/#"]}
    assert set(conflicts(feeds)) == {"b"}
    refused = conflicts(feeds, first={"b": ["x/1", "y/#"]})
    assert refused == {"a": "feed a is not let in: its topic x/+ overlaps x/1 of feed b; a message could be either's"}
    assert set(conflicts(feeds, first={"b": ["y/#"]})) == {"b"}, "in force with other topics: not these"
    assert conflicts({"a": ["x/+", "x/#"]}) == {}, "a feed may overlap itself"


@pytest.mark.parametrize(
    ("feed", "topic", "why"),
    [
        ("vigie", "x/#", "own user"),
        ("a", "http/x", "platform's own"),
        ("a", "in/#", "platform's own"),
        ("a", "alerts/EP/+/#", "platform's own"),
        ("a", 'x/"y', "cannot"),
        ("a", "x/$1/+", "cannot"),
    ],
)
def test_names_of_the_platform_are_refused(feed: str, topic: str, why: str) -> None:
    assert why in conflicts({feed: [topic]})[feed]


@given(st.text(min_size=1, max_size=12))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_broker_takes_every_topic_that_is_let_in(tmp_path: Path, level: str) -> None:
    topics = [f"first/{level}/+", f"other/+/{level}/#"]
    try:
        StreamConnector(type="stream", topics=topics)
    except ValidationError:
        return
    if not conflicts({"lights": topics}):
        _assert_taken(tmp_path / "ünïcode", [StreamUser("lights", 'a"b\\c', tuple(topics))])


def _assert_taken(folder: Path, users: list[StreamUser]) -> None:
    folder.mkdir(exist_ok=True)
    document = configuration(
        store=folder, listens=Listens(nats=1, mqtt=2, monitor=3), password="p", users=users, max_bytes=10**9, sync_interval="always"
    )
    (folder / "nats.conf").write_text(nats_config.text(document), encoding="utf-8")
    done = subprocess.run([script("nats-server"), "-t", "--config", str(folder / "nats.conf")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_password_prints() -> None:
    assert "hush" not in repr(StreamUser("lights", "hush"))


# --- the file of an instance -------------------------------------------------------------------------------------------


def test_a_new_instance_lets_nobody_in_before_its_durables_stand(settings: Settings) -> None:
    StreamInstance(settings).write_contract("lights", ["lights/#"])
    nats_server.refresh(settings, reload=False)
    path = nats_server.configuration_file(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [user["user"] for user in json.loads(path.read_text())["accounts"]["CITY"]["users"]] == ["vigie"]
    (settings.broker_path / "store").mkdir()
    nats_server.open_doors(settings)
    document = json.loads(path.read_text())["accounts"]["CITY"]
    assert [user["user"] for user in document["users"]] == ["vigie", "lights"]
    assert document["users"][1]["permissions"] == {"publish": ["in.*.lights.>"], "subscribe": {"deny": [">"]}}
    assert document["users"][1]["password"] == settings.secrets.streams["lights"].get_secret_value()
    assert document["mappings"]["in.>"] == "refused.>"
    (settings.broker_path / "store" / "opened").unlink()  # with the store went the durables
    nats_server.refresh(settings, reload=False, force=True)
    assert [user["user"] for user in json.loads(path.read_text())["accounts"]["CITY"]["users"]] == ["vigie"]


def test_refresh_does_nothing_when_nothing_changed(settings: Settings) -> None:
    instance = StreamInstance(settings)
    instance.write_contract("lights", ["lights/#"])
    assert nats_server.refresh(settings)
    assert not nats_server.refresh(settings)
    before = instance.passwords
    instance.write_contract("bins", [])
    assert nats_server.refresh(settings)
    assert not nats_server.refresh(settings)
    assert instance.passwords == before | {"bins": instance.passwords["bins"]}
    assert create_local(settings.home) == settings, "the instance is as it was"


def test_shipped_examples_open_no_door(settings: Settings) -> None:
    nats_server.refresh(settings)
    assert nats_server.doors(settings).feeds == {}


def test_a_damaged_record_is_told(settings: Settings) -> None:
    nats_server.refresh(settings)
    (settings.broker_path / "doors.json").write_text("{")
    with pytest.raises(VigieError, match=r"doors\.json is damaged"):
        nats_server.refresh(settings)


def test_passwords_of_feeds_live_beside_the_others(settings: Settings) -> None:
    path = settings.home / instance_secrets.FILE_NAME
    with path.open("a") as file:
        file.write('GRC_TOKEN = "kept"\n')
    first = instance_secrets.ensure_streams(settings.home, ["b", "a"])
    second = instance_secrets.ensure_streams(settings.home, ["a", "c"])
    found = settings.secrets
    assert first["a"] == second["a"] == found.streams["a"]
    assert set(found.streams) == {"a", "b", "c"}
    assert found.get("GRC_TOKEN").get_secret_value() == "kept"
    assert len({secret.get_secret_value() for secret in found.streams.values()}) == 3
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_server_keeps_the_passwords_of_feeds_in_its_home(tmp_path: Path) -> None:
    first = instance_secrets.ensure_streams(tmp_path, ["lights"])
    assert instance_secrets.ensure_streams(tmp_path, ["lights"]) == first
    assert (tmp_path / instance_secrets.FILE_NAME).stat().st_mode & 0o777 == 0o600


# --- its log -----------------------------------------------------------------------------------------------------------


def test_refusals_are_counted_from_the_log(tmp_path: Path) -> None:
    now = dt.datetime.now().astimezone()
    stamp = f"{now:%Y/%m/%d %H:%M:%S}.000001"
    log = tmp_path / "nats.log"
    log.write_text(
        f'[7] {stamp} [ERR] 127.0.0.1:5 - mid:45 - "d1" - Publish Violation - Subject "x.2"\n' * 2
        + f'[7] {stamp} [ERR] 127.0.0.1:5 - mid:46 - "d2" - Publish Violation - Subject "v1//0.up"\n'
        + '[7] 2020/01/01 00:00:00.000000 [ERR] 127.0.0.1:5 - mid:45 - "d1" - Publish Violation - Subject "x.2"\n'
        + "not a line of the log\n"
    )
    publications, users = nats_log.refusals(log, since=now - dt.timedelta(hours=1))
    assert publications == {("d1", "x/2"): 2, ("d2", "v1.0/up"): 1}
    assert users == {}
