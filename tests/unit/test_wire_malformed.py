"""Whatever is sent, in any wire format: no exception escapes, and no record is dropped without a word."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestion.formats.registry import FORMATS
from ingestion.formats.wire import WireBatch, WireOptions

_AFTER = 7
_ARRIVAL = 1_763_800_000_000_000


def _corpus(name: str) -> ModuleType:
    return importlib.import_module(f"tests.unit.wire_corpus.{name.replace('-', '_')}")


def _decode(name: str, payload: bytes, topic: str | None) -> tuple[int, WireBatch]:
    batch = WireBatch()
    options = WireOptions(contract=FORMATS[name].contracts[0], time_zone="Europe/Paris", personal=FORMATS[name].personal)
    records = FORMATS[name].decoder()(payload, batch, after=_AFTER, received_at=_ARRIVAL, topic=topic, options=options)
    return records, batch


def _positions(batch: WireBatch) -> set[int]:
    found = {row.position for _, rows in batch.rows() for row in rows} | {reject.position for reject in batch.rejects}
    for _, table in batch.tables:
        found.update(table["_position"].to_pylist())
    return found


def _is_accounted_for(name: str, payload: bytes, topic: str | None) -> WireBatch:
    records, batch = _decode(name, payload, topic)
    assert records >= 1
    assert _positions(batch) <= set(range(_AFTER + 1, _AFTER + records + 1))
    assert {contract for contract, rows in batch.rows() if rows} | {c for c, _ in batch.tables} <= set(FORMATS[name].contracts)
    assert all(reject.scope in {"record", "value"} and reject.reason and reject.detail for reject in batch.rejects)
    return batch


@pytest.mark.parametrize("name", FORMATS)
def test_a_whole_message_is_read_and_a_broken_one_refused_with_a_reason(name: str) -> None:
    corpus = _corpus(name)
    for payload in corpus.GOOD:
        batch = _is_accounted_for(name, payload, corpus.TOPIC)
        assert not [r for r in batch.rejects if r.scope == "record"], batch.rejects
        assert any(rows for _, rows in batch.rows()) or batch.tables
    for payload in corpus.BAD:
        assert _is_accounted_for(name, payload, corpus.TOPIC).rejects, payload[:200]


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_message_cut_or_altered_anywhere_escapes_nothing(name: str, data: st.DataObject) -> None:
    corpus = _corpus(name)
    payload = bytearray(data.draw(st.sampled_from(corpus.GOOD)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(payload) - 1, 0)))
        match data.draw(st.sampled_from(("cut", "replace", "insert", "drop"))):
            case "cut":
                del payload[at:]
            case "replace" if payload:
                payload[at] = data.draw(st.integers(0, 255))
            case "insert":
                payload[at:at] = data.draw(st.sampled_from((b'"', b"{", b"[", b"<", b"null", b"-1", b"1e400", b"\x00", b"\xff")))
            case _ if payload:
                del payload[at]
    _is_accounted_for(name, bytes(payload), corpus.TOPIC)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30, deadline=None)
@given(payload=st.binary(max_size=400))
def test_noise_escapes_nothing(name: str, payload: bytes) -> None:
    _is_accounted_for(name, payload, _corpus(name).TOPIC)


@pytest.mark.parametrize("name", FORMATS)
def test_the_registry_names_a_module_that_decodes(name: str) -> None:
    assert importlib.util.find_spec(FORMATS[name].module) is not None
    assert callable(FORMATS[name].decoder())
