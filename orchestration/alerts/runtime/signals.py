"""Canonical rows as signals: only those that the lake would store, under the names and bounds of the feed's contract.

Here: the contracts' rules, one row at a time. Not here: the same rules over millions of rows (`ingestion.mapping.rules`), decoding
(`decoding`), what a signal does (`orchestration.alerts.engine`).

What the lake refuses raises no alarm: a figure out of its declared bounds, a coordinate off the earth, an instant of the year 9999.
Nor does what is named by more than `LONGEST_CODE`, which the lake keeps and no index of the alarms could: it is watched by no rule, and
the log says so once a feed. PostgreSQL's texts hold every character but NUL, which is left out.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import dataframely as dy

from ingestion.contracts.canonical import CONTRACTS
from ingestion.feeds.model import Feed
from orchestration.alerts.model import Observed, Ordered, Reported, Signal

_log = logging.getLogger(__name__)

_MICROSECONDS: Final = 1_000_000
LONGEST_CODE: Final = 1_000
"""Bytes of the code of equipment, a property, a report, a message: an entry of PostgreSQL's index holds 2,700, with rule and source."""
# So many letters are never more bytes than that.
_SURELY_A_CODE: Final = LONGEST_CODE // 4
_NUL: Final = "\0"
# The contracts whose rows are signals; descriptions of assets come through the referential, energy through indicators.
CONTRACTS_OF_SIGNALS: Final = frozenset({"observation", "report", "intervention"})

Row = Mapping[str, Any]
Test = Callable[[Any], bool]


def _test(column: dy.Column) -> Test | None:
    """Return what a value that is there must hold (`ingestion.mapping.rules.column_rules` says the same in SQL)."""
    match column:
        case dy.String():
            longest = column.max_length
            # Bytes, as the lake counts; a text of a quarter as many letters is never longer.
            return None if longest is None else lambda v: len(v) * 4 <= longest or len(v.encode()) <= longest
        case dy.Enum():
            return frozenset(column.categories).__contains__
        case dy.Float64():
            least = -math.inf if column.min is None else column.min
            most = math.inf if column.max is None else column.max
            return lambda v: math.isfinite(v) and least <= v <= most
        case dy.Datetime():
            # Both bounds are declared for every instant.
            first, last = (int(bound.timestamp() * _MICROSECONDS) if bound else 0 for bound in (column.min, column.max))
            return lambda v: first <= v <= last
        case _:
            return None


def _tests(contract: str, columns: Iterable[str]) -> list[tuple[str, bool, Test | None]]:
    found = CONTRACTS[contract].schema.columns()
    return [(name, not found[name].nullable, _test(found[name])) for name in columns]


_USED: Final[dict[str, tuple[str, ...]]] = {
    # Every column of the contract is tested, as a row that breaks one is refused whole.
    name: tuple(c for c in CONTRACTS[name].columns)
    for name in CONTRACTS_OF_SIGNALS
}
_TESTS: Final = {name: _tests(name, columns) for name, columns in _USED.items()}


def holds(contract: str, row: Row) -> bool:
    """Return whether a row keeps the rules of its contract; instants are microseconds since 1970."""
    for name, required, test in _TESTS[contract]:
        value = row.get(name)
        if value is None:
            if required:
                return False
        elif test is not None and not test(value):
            return False
    return contract != "observation" or row.get("value") is not None or row.get("value_text") is not None


class Maker:
    """Makes the signals of one feed's rows. Args of the class: the feed's contract; whether the rows are the lake's own already."""

    def __init__(self, feed: Feed, *, landed: bool = False) -> None:
        self._feed, self._source = feed.feed, feed.source_system
        self._has_told = False
        # Columns of wide tables were renamed and bounded by the mapping already; members of messages are here.
        named = feed.measures if feed.is_decoded and not landed else []
        self._named = {m.column: m.property for m in named}
        self._bounds = {
            m.property: (-math.inf if m.minimum is None else m.minimum, math.inf if m.maximum is None else m.maximum) for m in named
        }

    def signals(self, contract: str, rows: Iterable[Row], published_at: int) -> Iterator[Signal]:
        """Yield the signals of rows that the lake would store; of other contracts, none.

        Args:
            contract: of the rows.
            rows: columns by name, instants in microseconds since 1970.
            published_at: when the broker stored the message, microseconds since 1970.
        """
        match contract:
            case "observation":
                for row in rows:
                    if holds(contract, row) and (signal := self._observed(row, published_at)) is not None:
                        yield signal
            case "report":
                yield from (self._reported(clean(row), published_at) for row in rows if holds(contract, row) and self._is_named(row))
            case "intervention":
                yield from (self._ordered(clean(row), published_at) for row in rows if holds(contract, row) and self._is_named(row))
            case _:
                return

    def observed(self, row: tuple[Any, ...], published_at: int) -> Observed | None:
        """Return the signal of one `ObservationRow`, the shortest way: nearly all that is said comes through here."""
        _, asset, property_, at, value, text, unit, _, message_id = row
        if value is not None and not math.isfinite(value):
            return None
        if value is None and text is None:
            return None
        is_plain = len(asset) <= _SURELY_A_CODE and len(property_) <= _SURELY_A_CODE and _NUL not in asset and _NUL not in property_
        if message_id is not None:
            is_plain = is_plain and len(message_id) <= _SURELY_A_CODE and _NUL not in message_id
        if not is_plain or not _IN_TIME(at) or (text is not None and len(text) > _SURELY):
            document = dict(zip(_OBSERVATION, row[1:], strict=True))
            if not holds("observation", document) or not self._is_named(document):
                return None
        if text is not None and _NUL in text:
            text = text.replace(_NUL, "")
        named = self._named.get(property_, property_)
        if value is not None and (bounds := self._bounds.get(named)) is not None and not bounds[0] <= value <= bounds[1]:
            return None
        return Observed(self._feed, self._source, asset, named, at, value, text, unit, published_at, message_id)

    def _is_named(self, row: Row) -> bool:
        """Return whether the codes of a row can be kept; of the first that cannot, say so."""
        if all(is_code(row.get(name)) for name in _CODES):
            return True
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "feed %s: a code of more than %d bytes, or with NUL: the lake keeps it, no rule watches it", self._feed, LONGEST_CODE
            )
        return False

    def _observed(self, row: Row, published_at: int) -> Observed | None:
        return self.observed((0, *(row.get(name) for name in _OBSERVATION)), published_at)

    def _reported(self, row: Row, published_at: int) -> Reported:
        return Reported(
            self._feed, self._source, row["report_ref"], row.get("category"), row.get("subcategory"), row.get("description"),
            row["opened_at"], row.get("closed_at"), row.get("status"), row.get("commune"), row.get("street"), row.get("longitude"),
            row.get("latitude"), row.get("asset_ref"), row.get("duplicate_of"), published_at,
        )  # fmt: skip

    def _ordered(self, row: Row, published_at: int) -> Ordered:
        return Ordered(
            self._feed, self._source, row["intervention_ref"], row.get("asset_ref"), row.get("report_ref"), row.get("fault_type"),
            row.get("status"), row["requested_at"], row.get("dispatched_at"), row.get("arrived_at"), row.get("made_safe_at"),
            row.get("restored_at"), row.get("crew"), published_at,
        )  # fmt: skip


def is_code(code: str | None) -> bool:
    """Return whether a code can be kept in an index; there may be none."""
    return code is None or (_NUL not in code and (len(code) <= _SURELY_A_CODE or len(code.encode()) <= LONGEST_CODE))


def clean(row: Row) -> Row:
    """Return a row whose texts PostgreSQL can hold."""
    return {name: value.replace(_NUL, "") if isinstance(value, str) else value for name, value in row.items()}


# What keys and members are made of. A commune is one too, where a rule groups by it.
_CODES: Final = ("asset_ref", "property", "message_id", "report_ref", "intervention_ref", "commune")
_OBSERVATION: Final = tuple(CONTRACTS["observation"].columns)
_in_time = _test(CONTRACTS["observation"].schema.columns()["observed_at"])
if _in_time is None:
    raise AssertionError("instants of observations are bounded")
_IN_TIME: Final = _in_time
# Shorter texts keep the contract's bound in bytes whatever their letters.
_SURELY: Final = 8_000
