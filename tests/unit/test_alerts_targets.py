"""Targets as they are declared, what they are told, how it is signed: without any server."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import WrongUse
from ingestion.feeds.load_problem import ContractError
from orchestration.alerts.deliveries import outbound, provoly_words, signing
from orchestration.alerts.deliveries.follower import position
from orchestration.alerts.deliveries.ledger import Cursor
from orchestration.alerts.deliveries.targets import Provoly, Webhook, load_targets

WHOLE = """\
instance: vigie-chalons
targets:
  - target: second-channel
    type: webhook
    url: https://example.org/vigie
    secret: SECOND_CHANNEL
    filter: {priority: 2, domains: [EP, SLT], escalations_only: true}
  - target: topics
    type: broker
  - target: hypervisor
    type: provoly
    url: http://127.0.0.1:8080/
    oidc: {token_url: "https://example.org/token", client_id: vigie, client_secret: PROVOLY_SECRET}
    categories: {default: LIMIT, domains: {EP: OUTOFORDER}, rules: {depots: ANOMALY/WILD_STORAGE}}
  - target: maintenance
    type: cmms
    url: https://example.org/orders
    status_url: "https://example.org/orders/{ref}"
    secret: CMMS_SECRET
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "targets.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    declared = load_targets(_written(tmp_path, WHOLE))
    assert [t.type for t in declared.targets] == ["webhook", "broker", "provoly", "cmms"]
    webhook, hypervisor = declared.targets[0], declared.targets[2]
    assert isinstance(webhook, Webhook)
    assert webhook.give_up_after.total_seconds() == 24 * 3600
    assert isinstance(hypervisor, Provoly)
    assert hypervisor.categories.of({"rule": "depots", "domain": "CDV"}) == ("ANOMALY", "WILD_STORAGE")
    assert hypervisor.categories.of({"rule": "armoire", "domain": "EP"}) == ("OUTOFORDER", None)
    assert hypervisor.categories.of({"rule": "crue", "domain": "EAU"}) == ("LIMIT", None)


def test_no_file_is_no_target(tmp_path: Path) -> None:
    assert load_targets(tmp_path / "targets.yaml").targets == []


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("https://example.org/vigie", "http://example.org/vigie", 5, "not encrypted"),
        ("https://example.org/vigie", "https://anne:word@example.org/", 5, "holds a user or password"),
        ("https://example.org/vigie", "ftp://example.org/", 5, "is not an address"),
        ("https://example.org/vigie", "https://example.org:99999/", 5, "is not an address"),
        ("secret: SECOND_CHANNEL", "secret: whsec_c2VjcmV0", 6, "pattern"),
        ("secret: SECOND_CHANNEL", "secrets: SECOND_CHANNEL", 6, "did you mean 'secret'?"),
        ("priority: 2", "priority: 5", 7, "less than or equal to 4"),
        ("[EP, SLT]", "[]", 7, "at least 1 item"),
        ("type: broker", "type: kafka", 8, "write one of webhook, broker"),
        ("target: topics", "target: hypervisor", 1, "two targets are called hypervisor"),
        ("{default: LIMIT,", "{", 14, "categories.default"),
        ("orders/{ref}", "orders/", 15, "status_url must hold {ref} once"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(tmp_path: Path, old: str, new: str, line: int, told: str) -> None:
    assert old in WHOLE
    path = _written(tmp_path, WHOLE.replace(old, new, 1))
    with pytest.raises(ContractError) as refused:
        load_targets(path)
    assert f"targets.yaml:{line}: " in str(refused.value)
    assert told in str(refused.value)
    assert "docs/alerts-deliveries.md" in str(refused.value)


def test_a_secret_written_in_the_file_is_not_told(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as refused:
        load_targets(_written(tmp_path, WHOLE.replace("SECOND_CHANNEL", "whsec_hunter2hunter2")))
    assert "hunter2" not in str(refused.value)


# The example of the Standard Webhooks specification's own libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_a_signature_is_the_hmac_of_id_time_and_body() -> None:
    key, body = signing.key(SECRET, "SECRET"), b'{"test": 2432232314}'
    headers = signing.headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    told = hmac.new(base64.b64decode(SECRET[6:]), b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(told.digest()).decode()


def test_a_signature_holds_for_this_message_now_and_for_nothing_else() -> None:
    key = signing.key(SECRET, "SECRET")
    headers = signing.headers(key, "vigie-7", 1000, b"{}")
    assert signing.is_ours(key, headers, b"{}", 1000 + signing.TOLERANCE_S)
    assert not signing.is_ours(key, headers, b"{}", 1001 + signing.TOLERANCE_S)
    assert not signing.is_ours(key, headers, b"[]", 1000)
    assert not signing.is_ours(key, {**headers, "webhook-id": "vigie-8"}, b"{}", 1000)
    assert not signing.is_ours(bytes(24), headers, b"{}", 1000)


@pytest.mark.parametrize("secret", ["", "word", "whsec_", base64.b64encode(bytes(23)).decode(), base64.b64encode(bytes(65)).decode()])
def test_a_word_is_no_key_and_is_not_told(secret: str) -> None:
    with pytest.raises(WrongUse) as refused:
        signing.key(secret, "SECOND_CHANNEL")
    assert "SECOND_CHANNEL" in str(refused.value)
    assert not secret or secret not in str(refused.value).replace("whsec_'", "")


def test_a_pause_is_a_number_or_a_date_within_bounds() -> None:
    now = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
    assert outbound._pause("Sun, 01 Mar 2026 12:01:30 GMT", now) == 90.0
    assert outbound._pause("Sun, 01 Mar 2026 11:00:00 GMT", now) == 0.0
    assert outbound._pause("Mon, 02 Mar 2026 12:00:00 GMT", now) == 3600.0
    assert outbound._pause("-5", now) is None


def _alarm(**more: Any) -> dict[str, Any]:
    return {
        "alarm_id": 12, "title": "Armoire hors tension", "message": "Armoire 1 est hors tension.", "asset_name": "Armoire 1",
        "asset_ref": "C1", "state": "unack_active", "priority": 2, "street": "rue de l’Église", "commune": "Châlons", **more,
    }  # fmt: skip


def test_an_event_says_what_where_and_how_urgent_in_french() -> None:
    assert provoly_words.name(_alarm()) == "Armoire hors tension – Armoire 1 – n° 12"
    assert provoly_words.description(_alarm()) == "Armoire 1 est hors tension. (à acquitter, priorité haute)"
    assert provoly_words.address(_alarm()) == "rue de l’Église, Châlons"
    assert provoly_words.address(_alarm(street=None, commune=None)) == "Lieu non renseigné"
    assert [provoly_words.changing(_alarm(priority=p))["criticality"] for p in (1, 2, 3, 4)] == ["HIGH", "HIGH", "MEDIUM", "LOW"]


_TEXT = st.text(min_size=0, max_size=400)


@given(title=_TEXT, message=_TEXT, asset=st.none() | _TEXT, one=st.integers(1, 10**12), other=st.integers(1, 10**12))
def test_names_are_short_and_never_those_of_another_alarm(title: str, message: str, asset: str | None, one: int, other: int) -> None:
    names = [provoly_words.name(_alarm(title=title, asset_name=asset, alarm_id=number)) for number in (one, other)]
    for name in names:
        assert 0 < len(name) <= 50
        assert name == unicodedata.normalize("NFC", name)
        assert "\n" not in name
    assert (names[0] == names[1]) == (one == other)
    assert 0 < len(provoly_words.description(_alarm(title=title, message=message))) <= 256


@given(st.sets(st.integers(1, 60)), st.integers(0, 60))
def test_a_cursor_and_its_ranges_say_exactly_what_is_done(waiting: set[int], read_to: int) -> None:
    waiting = {seq for seq in waiting if seq <= read_to}
    seq, done = position(waiting, read_to, Cursor(0))
    said = set(range(1, seq + 1)) | {s for a, b in done for s in range(a, b + 1)}
    assert said == set(range(1, read_to + 1)) - waiting


def test_the_check_of_a_signature_that_the_documentation_shows_works() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "alerts-deliveries.md").read_text(encoding="utf-8")
    shown: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0], shown)  # noqa: S102 - our own documentation
    key, body, now = signing.key(SECRET, "SECRET"), '{"é": 1}'.encode(), int(time.time())
    headers = signing.headers(key, "vigie-7", now, body)
    assert shown["is_vigies"](SECRET, headers, body)
    assert not shown["is_vigies"](SECRET, headers, body + b" ")
    assert not shown["is_vigies"](SECRET, signing.headers(key, "vigie-7", now - 400, body), body)


def test_the_targets_that_the_documentation_shows_are_taken(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "alerts-deliveries.md").read_text(encoding="utf-8")
    declared = load_targets(_written(tmp_path, text.split("```yaml\n")[1].split("```")[0]))
    assert {t.type for t in declared.targets} == {"webhook", "broker", "provoly", "cmms"}
