"""What every part of a feed contract is made of: the strict base class and the checked scalar types.

Here: types that say by themselves whether a value can be right (a zone, a unit, a duration, a secret's name). Not here:
the parts of a contract (`model`, `model_connector`), rules between two keys (`load_rules`).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import zoneinfo
from typing import Annotated, Any, Final

import holidays
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from ingestion.contracts.units import is_known

# Weeks, days, hours, minutes, seconds. Years and months are left out: their length depends on when they start.
_DURATION: Final = re.compile(r"-?P(?=[\dT])(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())  # it walks a folder each time


@functools.cache
def _countries() -> dict[str, list[str]]:
    return holidays.list_supported_countries()  # it imports each country's calendar


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"{name!r} is not an IANA time zone (for instance Europe/Paris, UTC)")
    return name


def _holidays(code: str) -> str:
    country, _, subdivision = code.partition("-")
    supported = _countries()
    if country not in supported:
        raise ValueError(f"{code!r}: {country!r} is not a country whose public holidays are known (for instance FR, FR-57, US-CA)")
    if subdivision and subdivision not in supported[country]:
        raise ValueError(f"{code!r}: {subdivision!r} is not a subdivision of {country} whose holidays are known")
    return code


def _unit(code: str) -> str:
    if not is_known(code):
        raise ValueError(f"{code!r} is not a UCUM unit this platform converts (docs/units.md lists them)")
    return code


def _iso_duration(value: Any) -> Any:
    """Refuse bare numbers: `retention: 30` would silently mean thirty seconds."""
    if isinstance(value, dt.timedelta):
        return value
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError("not an ISO 8601 duration in weeks, days, hours, minutes, seconds (for instance PT30M, P1D, P365D)")
    weeks = re.match(r"(-?)P(\d+)W(.*)", value)
    if weeks:  # pydantic reads no weeks beside days
        sign, count, remainder = weeks.groups()
        days = re.match(r"(\d+)D(.*)", remainder)
        value = f"{sign}P{int(count) * 7 + (int(days[1]) if days else 0)}D{days[2] if days else remainder}"
    return value


def _duration_text(value: dt.timedelta) -> str:
    """Write a duration as this module reads it: pydantic would write 365 days as a year."""
    length = abs(value)
    hours, left = divmod(length.seconds, 3600)
    minutes, seconds = divmod(left, 60)
    last = f"{seconds}.{length.microseconds:06}" if length.microseconds else str(seconds)
    day = f"{length.days}D" if length.days else ""
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (last, "S")) if n not in {0, "0"})
    return ("-" if value < dt.timedelta(0) else "") + f"P{day}" + (f"T{time}" if time else "" if day else "T0S")


TimeZone = Annotated[str, AfterValidator(_zone)]
HolidayCalendar = Annotated[str, AfterValidator(_holidays)]
Unit = Annotated[str, AfterValidator(_unit)]
Duration = Annotated[dt.timedelta, BeforeValidator(_iso_duration), PlainSerializer(_duration_text, return_type=str, when_used="json")]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=63)]
SecretName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class Model(BaseModel):
    """Unknown keys are errors: a misspelt key must not be silently ignored."""

    # The docstring under a key is what editors show and what docs/feed-contract.md prints: one source for the three.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
