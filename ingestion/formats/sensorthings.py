"""OGC SensorThings 1.0 and 1.1: a message to its entities.

Here: pages, single entities as MQTT notifies them, data arrays; observations grouped by datastream; bounds, personal members taken
out. Not here: JSON (`wire_json`, `sensorthings_page`), what entities say (`sensorthings_entity`, `sensorthings_stream`), rows
(`sensorthings_series`).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from ingestion.formats.sensorthings_entity import kind_of, read_entity
from ingestion.formats.sensorthings_names import MAX_ROWS, REASONS
from ingestion.formats.sensorthings_page import (
    ABSENT,
    HEAD,
    NOT_PLAIN,
    RESULT,
    UNUSUAL,
    Entry,
    quickly,
    read_entries,
    read_entry,
    read_plain,
)
from ingestion.formats.sensorthings_series import Series, append
from ingestion.formats.sensorthings_stream import ID, Stream, described, name_of, ref_of, stream_named, stream_of, thing_row
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable
from ingestion.formats.wire_personal import without_personal
from ingestion.formats.wire_values import to_json


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> seen = b'{"@iot.id": 7, "phenomenonTime": "2026-11-22T05:00:00Z", "result": 81.2}'
    >>> options = WireOptions(units={"Datastreams(1)": "cm"})
    >>> decode(seen, batch, after=0, received_at=0, topic="v1.1/Datastreams(1)/Observations", options=options)
    1
    >>> row = batch.observations[0]
    >>> row.asset_ref, row.property, row.value, row.unit, row.message_id
    ('Datastreams(1)', 'Datastreams(1)', 0.812, 'm', '7')
    """
    message = _Message(batch, received_at, topic, options)
    if len(payload) <= options.max_bytes and not options.personal:
        if message.plain(payload, after):
            return message.close(after)
        quick = quickly(payload)
        if quick is not None and len(quick[0]) <= options.max_records:
            mark = batch.mark()
            try:
                message.entries(*quick, after)
                return message.close(after)
            except Unreadable:  # what a datastream is said to be: the whole message is looked at, and refused
                batch.back_to(mark)
                message = _Message(batch, received_at, topic, options)
    try:
        document = read_json(payload, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    document = without_personal(document, options.personal)
    link = None
    entities = document
    if type(document) is dict:
        link = document.get("@iot.nextLink")
        entities = next((document[m] for m in ("value", "values") if type(document.get(m)) is list), [document])
    elif type(document) is not list:
        entities = [document]
    problem = "empty" if not entities else "too_many" if len(entities) > options.max_records else None
    if problem is not None:
        batch.reject(after + 1, problem, f"{len(entities)} entities: {REASONS[problem]}", to_json(document)[:QUOTED_BYTES])
        return 1
    for entity in entities:
        message.entity(entity, after, link if type(link) is str else None)
    return message.close(after)


class _Message:
    """One message, while it is read."""

    def __init__(self, batch: WireBatch, received_at: int | None, topic: str | None, options: WireOptions) -> None:
        self._batch, self._received, self._topic, self._options = batch, received_at, topic, options
        self._records = 0
        self._series: dict[bytes, tuple[Stream, Series, dict[str, Any], set[bytes]]] = {}
        self._observed: dict[tuple[str, str], str] = {}

    def close(self, after: int) -> int:
        """Append the observations that were grouped, and return how many records the message held."""
        for stream, series, said, features in self._series.values():
            if series.positions:
                self._describe(series.positions[-1], stream, said, features)
                self._append(stream, series)
        if self._records == 0:
            self._batch.reject(after + 1, "empty", REASONS["empty"])
        return max(self._records, 1)

    def plain(self, payload: bytes, after: int) -> bool:
        """Read a page of observations of one datastream; return False, with nothing read, when it is another or needs a closer look."""
        head = payload[:HEAD]
        if b'"value"' not in head or any(name in head for name in NOT_PLAIN):
            return False
        try:
            page = read_plain(payload)
        except (ValueError, RecursionError):  # msgspec.DecodeError, its ValidationError and UnicodeDecodeError are ValueErrors
            return False
        named = stream_named(self._topic) or stream_named(page.next_link)
        entries = page.value
        count = len(entries)
        if named is None or not 0 < count <= self._options.max_records:
            return False
        absent = ABSENT
        if [e for e in entries if e.datastream is not absent or e.multi is not absent or e.feature is not absent]:
            return False
        results, qualities = [e.result for e in entries], [e.result_quality for e in entries]
        measured = [e.phenomenon_time for e in entries]
        # A result that stands twice in an entry makes more of them than there are entries. (Instants are not counted here: reading
        # the page once more for a name that no server writes twice would cost as much as decoding half of it.)
        if not UNUSUAL.isdisjoint(map(type, results)) or not UNUSUAL.isdisjoint(map(type, qualities)) or payload.count(RESULT) != count:
            return False
        times = [e.phenomenon_time or e.result_time for e in entries] if None in measured else measured
        stream = stream_of(named, {}, self._options)
        series = Series(list(range(after + 1, after + 1 + count)), times, results, qualities, [e.id for e in entries])
        self._records = count
        self._append(stream, series)
        return True

    def entries(self, entries: list[Entry], link: str | None, after: int) -> None:
        """Read observations and data arrays.

        Raises:
            Unreadable: the description of a datastream or a feature is.
        """
        named = stream_named(self._topic) or stream_named(link)
        for entry in entries:
            position = after + self._records + 1
            if entry.rows is not None or entry.components is not None:
                self._group(entry, position, named)
            else:
                self._records += 1
                self._one(entry, position, named)

    def entity(self, entity: Any, after: int, link: str | None) -> None:
        """Read an entity of any kind, decoded as plain JSON."""
        position = after + self._records + 1
        if type(entity) is not dict:
            self._records += 1
            self._batch.reject(position, "not_an_entity", REASONS["not_an_entity"], to_json(entity)[:QUOTED_BYTES])
            return
        is_group = "dataArray" in entity or "components" in entity
        kind = "Observations" if is_group else kind_of(entity, self._topic)
        if kind == "Observations":
            try:
                entry = read_entry(msgspec.json.encode(entity))
            except ValueError as error:
                self._records += 1
                self._batch.reject(position, "invalid_entity", f"{REASONS['invalid_entity']}: {error}", to_json(entity)[:QUOTED_BYTES])
                return
            self.entries([entry], link, after)
            return
        self._records += 1
        if kind is None:
            is_root = set(entity) == {"name", "url"}
            reason = "not_read" if is_root else "unknown_entity"
            self._batch.reject(position, reason, REASONS[reason], to_json(entity)[:QUOTED_BYTES])
            return

        def inside(ref: str, said: dict[str, Any], observations: list[Any]) -> None:
            self._inside(position, ref, said, observations)

        read_entity(entity, kind, position, self._batch, inside)

    def _inside(self, position: int, ref: str, said: dict[str, Any], observations: list[Any]) -> None:
        """Read the observations that stand inside a datastream: all are the record of the entity that holds them."""
        series = Series()
        try:
            entries = read_entries(msgspec.json.encode(observations))
        except ValueError as error:
            self._batch.reject(position, "invalid_entity", f"{REASONS['invalid_entity']}: {error}", scope="value")
            return
        for entry in entries:
            _add(series, position, entry)
        mark = len(self._batch.rejects)
        self._append(stream_of(ref, said, self._options), series)
        # One of them refused does not refuse the entity.
        self._batch.rejects[mark:] = [r._replace(scope="value") for r in self._batch.rejects[mark:]]

    def _one(self, entry: Entry, position: int, named: str | None) -> None:
        found = self._group_of(entry, named)
        if found is None:
            self._refuse(position, "no_datastream", entry)
        elif entry.result is UNSET:
            self._refuse(position, "no_result", entry)
        else:
            _, series, _, features = found
            _add(series, position, entry)
            features.add(bytes(entry.feature))

    def _group(self, entry: Entry, position: int, named: str | None) -> None:
        """Read a data array: each of its rows is a record."""
        names, rows = entry.components or [], entry.rows or []
        self._records += max(len(rows), 1)
        found = self._group_of(entry, named)
        problem = None
        if "result" not in names or len(set(names)) < len(names) or not rows:
            problem = "invalid_data_array"
        elif self._records > MAX_ROWS:
            problem = "too_many"
        elif found is None:
            problem = "no_datastream"
        if problem is not None or found is None:
            for n in range(max(len(rows), 1)):
                original = to_json({"components": names, "dataArray": rows[n : n + 1]})[:QUOTED_BYTES]
                self._batch.reject(position + n, problem or "no_datastream", REASONS[problem or "no_datastream"], original)
            return
        series = found[1]
        positions = list(range(position, position + len(rows)))
        if set(map(len, rows)) != {len(names)}:
            for n, row in zip(positions, rows, strict=True):
                if len(row) != len(names):
                    self._batch.reject(n, "invalid_data_array", REASONS["invalid_data_array"], to_json(row)[:QUOTED_BYTES])
            positions = [n for n, row in zip(positions, rows, strict=True) if len(row) == len(names)]
            rows = [row for row in rows if len(row) == len(names)]
        if not rows:
            return
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        nothing = (None,) * len(rows)
        times = columns.get("phenomenonTime", nothing)
        if set(map(type, times)) != {str}:
            written = columns.get("resultTime", nothing)
            times = tuple(_written(a) or _written(b) for a, b in zip(times, written, strict=True))
        series.positions.extend(positions)
        series.times.extend(times)
        series.results.extend(columns["result"])
        series.qualities.extend(columns.get("resultQuality", nothing))
        series.ids.extend(columns.get("id", columns.get(ID, nothing)))

    def _group_of(self, entry: Entry, named: str | None) -> tuple[Stream, Series, dict[str, Any], set[bytes]] | None:
        """Return the datastream of an entry and what was read of it; None when nothing says which it is."""
        said = bytes(entry.datastream) or bytes(entry.multi)
        link = stream_named(entry.link) or stream_named(entry.multi_link)
        key = said or (link or named or "").encode()
        found = self._series.get(key)
        if found is None and key:
            found = self._open(said, is_multi=not bytes(entry.datastream), ref=link or named)
            if found is not None:
                self._series[key] = found
        return found

    def _open(self, said: bytes, *, is_multi: bool, ref: str | None) -> tuple[Stream, Series, dict[str, Any], set[bytes]] | None:
        description: dict[str, Any] = {}
        if said:
            read = read_json(said, self._options)
            description = read if type(read) is dict else {}
            ref = ref_of("MultiDatastreams" if is_multi else "Datastreams", description.get(ID)) or ref
        return (stream_of(ref, description, self._options), Series(), description, set()) if ref is not None else None

    def _describe(self, position: int, stream: Stream, said: dict[str, Any], features: set[bytes]) -> None:
        """Append the asset's row: the Thing, or the datastream itself; it lies where all of its observations were made."""
        where = read_json(next(iter(features)), self._options) if len(features) == 1 and b"" not in features else None
        thing = said.get("Thing")
        if type(thing) is dict:
            row, is_lost = thing_row(position, thing, where)
        else:
            kind = "MultiDatastream" if stream.is_multi else "Datastream"
            row, is_lost = described(position, stream.ref, kind, name_of(said), where)
        if row is not None:
            self._batch.assets.append(row)
        if is_lost:
            self._batch.reject(position, "invalid_geometry", f"{stream.asset_ref}: {REASONS['invalid_geometry']}", scope="value")

    def _append(self, stream: Stream, series: Series) -> None:
        for part in stream.parts:
            if self._observed.setdefault((stream.asset_ref, part.property), stream.ref) != stream.ref:
                detail = f"{part.property} ({stream.ref}): {REASONS['same_property']}"
                for position, result in zip(series.positions, series.results, strict=True):
                    self._batch.reject(position, "same_property", detail, to_json({stream.ref: result})[:QUOTED_BYTES])
                return
        append(self._batch, stream, series, self._received, self._options)

    def _refuse(self, position: int, reason: str, entry: Entry) -> None:
        said = {"@iot.id": entry.id, "phenomenonTime": entry.phenomenon_time, "result": None if entry.result is UNSET else entry.result}
        self._batch.reject(position, reason, REASONS[reason], to_json(said)[:QUOTED_BYTES])


def _add(series: Series, position: int, entry: Entry) -> None:
    series.positions.append(position)
    series.times.append(entry.phenomenon_time or entry.result_time)
    series.results.append(None if entry.result is UNSET else entry.result)
    series.qualities.append(entry.result_quality)
    series.ids.append(entry.id)


def _written(value: Any) -> str | None:
    """Return an instant of a data array as text; one that is none is refused as such."""
    return value if type(value) is str or value is None else to_json(value)
