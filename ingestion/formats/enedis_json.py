"""Enedis in JSON: R63 curves and R65 daily energies (SGE), and the measure that Data Connect answers since 2026.

Here: members to columns. Not here: Data Connect before that (`enedis_data_connect`), units, times and energies (`enedis_curve`).

A file of a hundred megabytes is not held as objects: each element of `mesures` is read when its turn comes, into typed records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
import numpy as np

from ingestion.formats.enedis_curve import FLUSH_POINTS, Curve, Points, add, curve_of
from ingestion.formats.enedis_data_connect import is_error, read_meter_readings
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json
from ingestion.formats.wire_values import to_json

# Of the R6x family these hold energies over intervals. R64 (indexes) and R66 (peaks) do not.
_FLOWS: Final = frozenset({"R63", "R63A", "R63B", "R65"})
_UNSET: Final = msgspec.UNSET
_WRITTEN: Final = frozenset({str, int, float})
_SPACED: Final = (b" :", b"\n:", b"\r:", b"\t:")
_QUALIFIERS: Final = ("tc", "iv", "ec")


class _Point(msgspec.Struct, gc=False):
    """One point, members as written. A member that is missing is told from one that is null: their number is checked."""

    d: Any = _UNSET
    v: Any = _UNSET
    p: Any = _UNSET
    n: Any = _UNSET
    tc: Any = _UNSET
    iv: Any = _UNSET
    ec: Any = _UNSET


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A point with the members that most files have, and no other: read twice as fast."""

    d: Any = _UNSET
    v: Any = _UNSET
    p: Any = _UNSET
    n: Any = _UNSET


P = TypeVar("P")


class _Quantity(msgspec.Struct, Generic[P], gc=False):
    grandeurMetier: Any = _UNSET  # noqa: N815 - the flow's own name
    grandeurPhysique: Any = _UNSET  # noqa: N815 - the flow's own name
    unite: Any = _UNSET
    pas: Any = _UNSET
    points: list[P] | msgspec.UnsetType = _UNSET


class _Period(msgspec.Struct, gc=False):
    dateDebut: Any = _UNSET  # noqa: N815 - the flow's own name
    dateFin: Any = _UNSET  # noqa: N815 - the flow's own name


class _Measure(msgspec.Struct, Generic[P], gc=False):
    idPrm: Any = _UNSET  # noqa: N815 - the flow's own name
    etapeMetier: Any = _UNSET  # noqa: N815 - the flow's own name
    typeValeur: Any = _UNSET  # noqa: N815 - the flow's own name
    modeCalcul: Any = _UNSET  # noqa: N815 - the flow's own name
    pas: Any = _UNSET
    periode: _Period | msgspec.UnsetType = _UNSET
    grandeur: list[_Quantity[P]] | msgspec.UnsetType = _UNSET


class _Flow(msgspec.Struct, gc=False):
    header: Any = None
    mesures: list[msgspec.Raw] | msgspec.UnsetType = _UNSET
    grandeur: msgspec.Raw | msgspec.UnsetType = _UNSET
    meter_reading: msgspec.Raw | msgspec.UnsetType = _UNSET
    interval_reading: msgspec.Raw | msgspec.UnsetType = _UNSET


_FLOW_DECODER: Final = msgspec.json.Decoder(_Flow)
_PLAIN_DECODER: Final = msgspec.json.Decoder(_Measure[_Plain])
_WHOLE_DECODER: Final = msgspec.json.Decoder(_Measure[_Point])


def read_document(payload: bytes, batch: WireBatch, after: int, topic: str | None, options: WireOptions) -> int:
    """Translate one JSON message and return how many points it holds.

    Raises:
        Unreadable: it is no JSON, or no flow of energies.
    """
    if len(payload) > options.max_bytes or not payload:
        read_json(payload, options)
    try:
        flow = _FLOW_DECODER.decode(payload)
    except (ValueError, RecursionError):
        document = read_json(payload, options)  # tells what is wrong with the text, if that is what it is
        raise Unreadable("unknown_flow", f"no flow of Enedis: {to_json(document)[:200]}") from None
    if flow.mesures is not _UNSET:
        return _r6x(flow, batch, after, options)
    if flow.meter_reading is not _UNSET or flow.interval_reading is not _UNSET:
        return read_meter_readings(read_json(payload, options), batch, after, topic, options)
    if flow.grandeur is not _UNSET:
        # Data Connect since 2026: one measure, without the envelope of R63. A point ends its interval (the first is 00:30), as before.
        return _measures([payload], _Pending(batch, options, after, stamped="end"), options)
    if is_error(document := read_json(payload, options)):
        raise Unreadable("source_error", f"the service answers with an error: {to_json(document)[:200]}")
    raise Unreadable("unknown_flow", "neither `mesures` (R63, R65), nor `grandeur` or `meter_reading` (Data Connect)")


# -- R63, R65


def _r6x(flow: _Flow, batch: WireBatch, after: int, options: WireOptions) -> int:
    code = flow.header.get("codeFlux") if type(flow.header) is dict else None
    if type(code) is str and code.upper() not in _FLOWS:
        raise Unreadable("unknown_flow", f"{code[:20]} holds no energies over intervals: R63 and R65 do")
    if not flow.mesures:
        raise Unreadable("empty", "no element in `mesures`")
    return _measures(flow.mesures, _Pending(batch, options, after), options)


def _measures(raws: Sequence[Any], pending: _Pending, options: WireOptions) -> int:
    """Translate elements of `mesures` one after another, and return how many points they hold."""
    before = pending.position
    for raw in raws:
        text = bytes(raw)
        try:
            found = _measure(text, options)
        except Unreadable as error:
            pending.refuse(error.args[0], error.args[1], text)
            continue
        if found is None:
            pending.refuse("not_a_measure", "an element of `mesures` is no measure of a meter", text)
        else:
            pending.take(*found)
    pending.flush()
    return pending.position - before


_Columns = dict[str, list[Any]]
_Read = tuple[_Measure[Any], list[_Columns]]


def _measure(text: bytes, options: WireOptions) -> _Read | None:
    """Return one element of `mesures` and the columns of each quantity's points; None when it is not of that shape.

    Raises:
        Unreadable: it names a member twice.
    """
    names = _Plain.__struct_fields__
    try:
        measure: _Measure[Any] = _PLAIN_DECODER.decode(text)
    except (ValueError, RecursionError):  # another shape, or no UTF-8: msgspec looks at that when it reads a text
        names = _Point.__struct_fields__
        try:
            measure = _WHOLE_DECODER.decode(text)
        except (ValueError, RecursionError):
            mended = _mended(read_json(text, options))
            return None if mended is None else (mended, _columns_of(mended, names))
    columns_of = _columns_of(measure, names)
    # The decoder keeps the last of two members of one name: where the text holds more members than were read (or may hide some), a
    # slower look tells.
    if not _is_whole(text, measure, columns_of) or _may_hide_members(text):
        read_json(text, options)
    return measure, columns_of


def _may_hide_members(text: bytes) -> bool:
    # A single byte is looked for a hundred times faster than two: files are mostly written without any white space.
    return (b"\\" in text and b"\\u00" in text) or any(space[:1] in text and space in text for space in _SPACED)


def _columns_of(measure: _Measure[Any], names: tuple[str, ...]) -> list[_Columns]:
    return [_columns(q.points or (), names) for q in measure.grandeur or ()]


def _columns(points: Sequence[Any], names: tuple[str, ...]) -> _Columns:
    if names == _Plain.__struct_fields__:  # attributes by name are four times faster than getattr
        found = {"d": [x.d for x in points], "v": [x.v for x in points], "p": [x.p for x in points], "n": [x.n for x in points]}
    else:
        found = {name: [getattr(x, name) for x in points] for name in names}
    return found


def _is_whole(text: bytes, measure: _Measure[Any], columns_of: list[_Columns]) -> bool:
    """Whether a measure's text holds as many members as were read of it."""
    read = _set(measure) + (_set(measure.periode) if measure.periode else 0) + sum(map(_set, measure.grandeur or ()))
    read += sum(len(values) for found in columns_of for values in found.values())
    held = text.count(b'":')
    # Most points have every member: counting those that lack one takes longer than all the rest.
    return held == read or held == read - sum(values.count(_UNSET) for found in columns_of for values in found.values())


def _filled(values: list[Any], default: Any = None) -> list[Any]:
    """Return a column with `default` where the member is missing or, where there is a default, null."""
    if values and type(values[0]) is str and values.count(values[0]) == len(values):
        return values
    if _UNSET in values or (default is not None and None in values):
        return [default if x is _UNSET or x is None else x for x in values]
    return values


def _set(record: msgspec.Struct) -> int:
    return sum(getattr(record, name) is not _UNSET for name in record.__struct_fields__)


def _mended(document: Any) -> _Measure[Any] | None:
    """Return what can be read of a measure whose members are not of the type they should be, point by point."""
    if type(document) is not dict:
        return None
    quantities = []
    found = document.get("grandeur")
    for quantity in found if type(found) is list else [found]:
        if type(quantity) is not dict:
            quantities.append(_Quantity(points=[_Point()]))
            continue
        points = quantity.get("points")
        read = [_Point(**{k: v for k, v in p.items() if k in _Point.__struct_fields__}) if type(p) is dict else _Point()
                for p in (points if type(points) is list else [points])]  # fmt: skip
        quantities.append(
            _Quantity(**{k: quantity[k] for k in ("grandeurMetier", "grandeurPhysique", "unite", "pas") if k in quantity}, points=read)
        )
    period = document.get("periode")
    dates = {k: period[k] for k in ("dateDebut", "dateFin") if k in period} if type(period) is dict else {}
    return _Measure(idPrm=document.get("idPrm"), pas=document.get("pas"), periode=_Period(**dates), grandeur=quantities)


class _Pending:
    """Points not yet a table, across measures."""

    def __init__(self, batch: WireBatch, options: WireOptions, after: int, *, stamped: str | None = None) -> None:
        self._batch, self._options, self._stamped = batch, options, stamped
        self.position = after
        self._clear()

    def _clear(self) -> None:
        self._first = self.position
        self._curves: list[Curve] = []
        self._counts: list[int] = []
        self._columns: tuple[list[Any], ...] = ([], [], [], [])

    def take(self, measure: _Measure[Any], columns_of: list[_Columns]) -> None:
        """Add the points of a measure; one without any is a record that is refused."""
        period = (_or_none(measure.periode.dateDebut), _or_none(measure.periode.dateFin)) if measure.periode else (None, None)
        before = self.position
        for quantity, found in zip(measure.grandeur or (), columns_of, strict=True):
            count = len(found["d"])
            if not count:
                continue
            how = (measure.idPrm, quantity.grandeurPhysique, quantity.grandeurMetier, quantity.unite)
            self._curves.append(curve_of(*map(_or_none, how), stamped=self._stamped, period=period))
            self._counts.append(count)
            self.position += count
            d, v, p, q = self._columns
            d += _without_unset(found["d"])
            v += _without_unset(found["v"])
            p += _filled(found["p"], _or_none(quantity.pas) or _or_none(measure.pas))
            q += _quality(found)
        if self.position == before:
            self.refuse("no_points", "a meter without any point", to_json({"prm": _or_none(measure.idPrm)}).encode())
        if self.position - self._first >= FLUSH_POINTS:
            self.flush()

    def refuse(self, reason: str, detail: str, quoted: bytes) -> None:
        """Refuse one record."""
        self.flush()
        self.position += 1
        self._first = self.position
        original = None if self._options.personal else quoted[:QUOTED_BYTES].decode("utf-8", "replace").replace("\0", "\ufffd")
        self._batch.reject(self.position, reason, detail, original)

    def flush(self) -> None:
        """Make a table of what is held."""
        if self._counts:
            positions = np.arange(self._first + 1, self.position + 1)
            index = np.repeat(np.arange(len(self._counts)), self._counts)
            add(Points(positions, index, *self._columns), self._curves, self._batch, self._options)
        self._clear()


def _without_unset(values: list[Any]) -> list[Any]:
    return values if set(map(type, values)) <= _WRITTEN else [None if x is _UNSET else x for x in values]


def _quality(found: _Columns) -> list[Any]:
    """Return the nature of each point, with the flow's other marks where they say something: `R`, `R tc=A iv=1`."""
    natures = _filled(found["n"])
    marks = [found[name] for name in _QUALIFIERS if name in found]
    return [_marked(*row) for row in zip(natures, *marks, strict=True)] if marks else natures


def _marked(nature: Any, *marks: Any) -> str | None:
    # An index of likelihood of 0 says that nothing was found, an empty mark nothing at all.
    said = [f"{name}={mark}" for name, mark in zip(_QUALIFIERS, marks, strict=True) if mark not in (_UNSET, None, "", 0, "0")]
    if not said:
        return nature if nature is None or type(nature) is str else str(nature)
    return " ".join([str(nature), *said]) if nature not in (None, "") else " ".join(said)


def _or_none(value: Any) -> Any:
    return None if value is _UNSET else value
