"""What the values of one source column look like: type, date format, missing tokens, decimal mark, a profile.

Here: inference from values alone. Not here: what a column's name suggests (`draft_names`), writing the contract
(`draft_write`). Everything inferred is a proposal, said as such in the draft.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ingestion.feeds.model import FieldType

# Tokens that mean no value wherever they stand (Météo-France writes mq), and those that do in a column of numbers or dates.
_MISSING: Final = frozenset({"NA", "N/A", "n/a", "#N/A", "NULL", "null", "NaN", "nan", "<NA>", "mq", "#REF!", "#DIV/0!"})
_MISSING_AMONG_NUMBERS: Final = frozenset({"-", "--", "?", "None", "none", "ND", "nd", "NR", "nr", "NC", "nc", "*", "."})
_SENTINELS: Final = frozenset(
    {"-1", "-99", "-200", "-999", "-9999", "-99999", "-999.9", "-9999.0", "999", "9999", "99999", "9999.0", "-32768", "65535"}
)

_BOOLEANS: Final = ({"true", "false"}, {"oui", "non"}, {"yes", "no"}, {"vrai", "faux"})

# Distinct values tried against each date pattern; past 2,000 another value changed nothing on any file tried.
_TRIED: Final = 2_000
# A column of numbers with one text in a thousand is a column of numbers with errors: they are worth rejecting.
_TOLERANCE: Final = 0.001

_DATES: Final = ("%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%d/%m/%y", "%m/%d/%y", "%Y%m%d")
_TIMES: Final = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S.%f", "%Hh%M")
_JOINED: Final = ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%dT%H%M%S", "%d/%m/%Y à %H:%M")
PATTERNS: Final = (*_DATES, *(f"{d} {t}" for d in _DATES for t in _TIMES), *_JOINED)
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?)?")
_OFFSET: Final = re.compile(r".{10}.*(Z|[+-]\d{2}:?\d{2})$")
_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
# Not within a longer number: the decimals of a coordinate are no telephone.
_PHONE: Final = re.compile(r"(?<![\d.])(?:(?:\+33|0)\s?[1-9](?:[\s.-]?\d{2}){4}|\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4})(?![\d.])")
# Positions written as text: (48.1, 2.3); {'lon': 2.3, 'lat': 48.1}; POINT (2.3 48.1). What extracts (longitude, latitude).
_POSITIONS: Final = (
    (re.compile(r"\{.*\blon\b\D+?-?\d+\.\d+.*\}"), ("lon\\D+?(-?[0-9.]+)", "lat\\D+?(-?[0-9.]+)")),
    (re.compile(r"POINT ?\(-?\d+\.?\d* -?\d+\.?\d*\)"), ("\\((-?[0-9.]+) ", " (-?[0-9.]+)\\)")),
    (re.compile(r"\(?-?\d{1,2}\.\d+, ?-?\d{1,3}\.\d+\)?"), (", ?(-?[0-9.]+)", "^\\(?(-?[0-9.]+)")),
)


@dataclass
class Profile:
    """What one column holds.

    Attributes:
        name: the column.
        rows: records looked at.
        filled: those that hold a value.
        distinct: different values.
        type: the Table Schema type proposed.
        formats: strptime patterns of a date that is not ISO 8601.
        is_ambiguous: whether day and month could be exchanged in every value.
        has_offset: whether its instants carry a zone.
        missing: tokens that mean no value.
        sentinels: numbers that may mean no value.
        decimal: decimal mark of its numbers, if any shows.
        examples: the most frequent values.
        words: mean number of words.
        numbers: its numbers, where it holds numbers.
        instants: its instants as they are read, where it holds some.
        looks_like: "e-mail" or "telephone".
        is_cumulative: whether its numbers only ever grow (or only ever fall) down the file.
        position: for positions written as text, the regular expressions that extract (longitude, latitude).
    """

    name: str
    rows: int
    filled: int = 0
    distinct: int = 0
    type: FieldType = "string"
    formats: list[str] = field(default_factory=list)
    is_ambiguous: bool = False
    has_offset: bool = False
    missing: list[str] = field(default_factory=list)
    sentinels: list[str] = field(default_factory=list)
    decimal: str | None = None
    group: str | None = None
    examples: list[str] = field(default_factory=list)
    words: float = 0.0
    numbers: list[float] = field(default_factory=list)
    instants: list[dt.datetime] = field(default_factory=list)
    looks_like: str | None = None
    position: tuple[str, str] | None = None
    is_cumulative: bool = False

    @property
    def is_unique(self) -> bool:
        """Whether each record holds a value of its own."""
        return self.rows > 0 and self.filled == self.rows == self.distinct

    @property
    def is_number(self) -> bool:
        """Whether it holds numbers."""
        return self.type in ("integer", "number")

    @property
    def is_instant(self) -> bool:
        """Whether it holds dates, with or without time."""
        return self.type in ("date", "datetime")


def profile(name: str, counts: Sequence[tuple[str | None, int]], rows: int, sql_type: str = "VARCHAR") -> Profile:
    """Describe a column.

    Args:
        name: its name.
        counts: its distinct values as written, with how often each occurs, the most frequent first.
        rows: records looked at.
        sql_type: its DuckDB type, where the format has types.
    """
    values = {v.strip(): n for v, n in counts if v is not None and v.strip() != ""}
    result = Profile(name, rows)
    result.missing = [v for v in values if v in _MISSING]
    kept = {v: n for v, n in values.items() if v not in _MISSING}
    firm = {v: n for v, n in kept.items() if v not in _MISSING_AMONG_NUMBERS}
    if len(firm) < len(kept) and firm and (_numbers(firm, Profile(name, rows)) or _date_like(list(firm))):
        result.missing += [v for v in kept if v not in firm]
        kept = firm
    result.filled, result.distinct = sum(kept.values()), len(kept)
    result.examples = list(itertools.islice(kept, 3))
    if not kept:
        return result
    result.words = sum(len(v.split()) * n for v, n in kept.items()) / result.filled
    sample = list(itertools.islice(kept, _TRIED))
    _typed(result, kept, sql_type)
    if result.type == "string":
        firsts = sample[:100]
        result.position = next((e for shape, e in _POSITIONS if sum(bool(shape.fullmatch(v)) for v in firsts) > len(firsts) * 0.9), None)
    for label, pattern in (("e-mail", _EMAIL), ("telephone", _PHONE)):
        # One value in twenty: free text quotes an address now and then, and a number is not a telephone.
        if result.type == "string" and sum(bool(pattern.search(v)) for v in sample) > len(sample) / 20:
            result.looks_like = label
    return result


def _typed(result: Profile, kept: dict[str, int], sql_type: str) -> None:
    kind = sql_type.upper()
    sample = list(itertools.islice(kept, _TRIED))
    if kind.startswith(("TIMESTAMP", "DATE")):
        result.type = "date" if kind == "DATE" else "datetime"
        result.has_offset = "TIME ZONE" in kind
        result.instants = [_iso(v) for v in sample if _ISO.match(v)]
    elif kind == "BOOLEAN" or any({v.casefold() for v in kept} <= pair for pair in _BOOLEANS):
        result.type = "boolean"
    elif all(v.startswith("{") and '"coordinates"' in v for v in sample[:50]):
        result.type = "geojson"
    elif _date_like(sample):
        _dates(result, sample)
    elif _numbers(kept, result):
        pass
    elif all(re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", v) for v in sample):
        result.type = "time"
        result.formats = ["%H:%M:%S" if sample[0].count(":") == 2 else "%H:%M"]  # noqa: PLR2004 - h:m:s


def _numbers(kept: dict[str, int], result: Profile) -> bool:
    """Fill in a column of numbers; False when it is none."""
    total = sum(kept.values())
    for decimal, group in ((".", None), (",", None), (",", " "), (",", "\u00a0"), (",", "\u202f"), (".", ","), (",", ".")):
        numbers: dict[str, float] = {}
        for text in kept:
            number = _number(text, decimal, group)
            if number is not None:
                numbers[text] = number
        if sum(kept[t] for t in numbers) < total * (1 - _TOLERANCE) or not numbers:
            continue
        if any(re.fullmatch(r"0\d+", t) for t in numbers):
            return False  # leading zeros: a code
        result.numbers = list(numbers.values())
        is_whole = all(re.fullmatch(r"[-+]?\d+", t) for t in numbers)
        result.type = "integer" if is_whole else "number"
        result.decimal = None if is_whole else decimal
        result.group = group
        result.sentinels = _sentinels({t: kept[t] for t in numbers}, numbers)
        return True
    return False


def _number(text: str, decimal: str, group: str | None) -> float | None:
    if group is not None:
        if group in text and not re.fullmatch(rf"[-+]?\d{{1,3}}(?:{re.escape(group)}\d{{3}})+(?:{re.escape(decimal)}\d+)?", text):
            return None
        text = text.replace(group, "")
    if not re.fullmatch(rf"[-+]?(\d+({re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)([eE][-+]?\d+)?", text):
        return None
    return float(text.replace(decimal, "."))


def _sentinels(counts: dict[str, int], numbers: dict[str, float]) -> list[str]:
    """Return numbers such as -999 that stand apart from all others and come back."""
    found = []
    for text, times in counts.items():
        if text not in _SENTINELS or times < 3:  # noqa: PLR2004 - a value met twice is a measure
            continue
        others = [n for t, n in numbers.items() if t not in _SENTINELS]
        if others and not min(others) - (max(others) - min(others)) / 10 <= numbers[text] <= max(others) * 1.5:
            found.append(text)
    return found


def _date_like(values: Sequence[str]) -> bool:
    sample = values[:200]
    if not sample:
        return False
    if all(
        re.fullmatch(r"\d{8}|\d{12}|\d{14}", v) and "1950" <= v[:4] <= "2099" and "01" <= v[4:6] <= "12" and "01" <= v[6:8] <= "31"
        for v in sample
    ):
        return True
    return sum(bool(re.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{2,4}(?!\d*\.)", v)) for v in sample) > len(sample) * 0.9


def _dates(result: Profile, values: list[str]) -> None:
    """Fill in a column of dates: ISO 8601 as it is, else the fewest patterns that read every value."""
    if all(_ISO.fullmatch(v) for v in values):
        result.type = "date" if all(len(v) <= 10 for v in values) else "datetime"  # noqa: PLR2004 - 2024-01-31
        result.has_offset = all(_OFFSET.match(v) for v in values)
        result.instants = [_iso(v) for v in values]
        return
    reads = {p: {v: at for v in values if (at := read_date(v, p)) is not None} for p in PATTERNS}
    reads = {p: r for p, r in reads.items() if r}
    left = set(values)
    chosen: list[str] = []
    while left and reads:
        # The day first where both orders read as many: most sources of a French territory write so.
        best = max(reads, key=lambda p: (len(left & reads[p].keys()), -PATTERNS.index(p)))
        gain = left & reads[best].keys()
        if len(gain) <= len(values) * _TOLERANCE:
            break
        chosen.append(best)
        result.instants += [reads[best][v] for v in gain]
        left -= gain
    # One date that cannot be does not make a column of dates a column of texts, however short the file.
    if not chosen or len(left) > max(1, len(values) * 0.05) or len(left) > len(values) / 2:
        result.instants = []
        return
    result.formats = chosen
    result.type = "datetime" if any("%H" in p or "%I" in p for p in chosen) else "date"
    turned = [(p, exchanged(p)) for p in chosen]
    result.is_ambiguous = any(e in reads and len(reads[e]) == len(reads[p]) for p, e in turned if e != p)


def exchanged(pattern: str) -> str:
    """Return a pattern with day and month exchanged; itself where the year comes first."""
    return pattern.translate(str.maketrans("dm", "md")) if not pattern.startswith("%Y") else pattern


def read_date(text: str, pattern: str) -> dt.datetime | None:
    """Read a text with a strptime pattern, as far as its date and minute go; None when it does not fit."""
    match = _compiled(pattern).fullmatch(text)
    if match is None:
        return None
    parts = dict(zip(re.findall(r"%(\w)", pattern), match.groups(), strict=True))
    try:
        hour = int(parts.get("H") or parts.get("I") or 0)
        if parts.get("p"):
            hour = hour % 12 + (12 if parts["p"].casefold() == "pm" else 0)
        year = int(parts["Y"]) if "Y" in parts else 2000 + int(parts["y"]) - (100 if int(parts["y"]) > 68 else 0)  # noqa: PLR2004 - POSIX
        return dt.datetime(year, int(parts["m"]), int(parts["d"]), hour, int(parts.get("M") or 0), int(parts.get("S") or 0))  # noqa: DTZ001 - as written
    except ValueError:
        return None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Turn a strptime pattern into a regular expression with one group per directive: ten times faster than strptime."""
    digits = {"d": r"(\d{1,2})", "m": r"(\d{1,2})", "Y": r"(\d{4})", "y": r"(\d{2})", "H": r"(\d{1,2})", "I": r"(\d{1,2})"}
    digits |= {"M": r"(\d{2})", "S": r"(\d{2})", "f": r"(\d{1,9})", "p": "([AaPp][Mm])"}
    if pattern.startswith("%Y%m%d"):
        digits |= {"d": r"(\d{2})", "m": r"(\d{2})", "H": r"(\d{2})"}
    parts = re.split(r"%(\w)", pattern)
    return re.compile("".join(digits[p] if i % 2 else re.escape(p) for i, p in enumerate(parts)))


def _iso(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text[:19].replace("T", " ").rstrip("Z").strip())


def usual_step(instants: Iterable[dt.datetime]) -> dt.timedelta | None:
    """Return the step that most consecutive instants keep, or None where none rules."""
    ordered = sorted(set(instants))
    steps = [b - a for a, b in itertools.pairwise(ordered)]
    if len(steps) < 10:  # noqa: PLR2004 - fewer say nothing
        return None
    most = max(set(steps), key=steps.count)
    return most if steps.count(most) > len(steps) / 2 else None
