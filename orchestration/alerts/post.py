"""The command post: its hours, who is on duty, whom to call, where what nobody acknowledges goes (`command-post.yaml`).

Here: the shape, and reading it. Not here: escalating (`store.due`), sending (`deliveries`), whether a feed's territory is at night
(`engine.hours`).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import holidays
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from ingestion.errors import WrongUse
from ingestion.feeds.load_problem import ContractError, Problem, did_you_mean, listed, shown
from ingestion.feeds.load_yaml import read_document
from ingestion.feeds.model_base import Duration, HolidayCalendar, Model, Slug, TimeZone
from orchestration.alerts.engine.hours import PostHours
from orchestration.alerts.store.due import Policy

FILE: Final = "command-post.yaml"
SHIPPED: Final = Path(__file__).with_name(FILE)


class PostError(WrongUse):
    """The command post's file cannot work: every problem found, by line."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.key, p.what)))
        lines = "\n".join(f"  {path}:{p}".replace(f"{path}:line ", f"{path}:") for p in self.problems)
        super().__init__(f"{path} cannot be used\n{lines}", remedy=f"correct {path.name}; the shipped one says what each key is")


def _local_time(value: Any) -> Any:
    if isinstance(value, dt.time):
        return value
    try:
        if isinstance(value, str) and len(value) == len("07:30"):
            return dt.time.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError('not a local time, quoted, such as "07:30" (midnight at the end of a day is "00:00")')


LocalTime = Annotated[dt.time, BeforeValidator(_local_time)]


class OpeningHours(Model):
    """When the post is open, in its local time."""

    opens: LocalTime
    """From then on."""
    closes: LocalTime
    """Until then."""
    weekdays: list[Annotated[int, Field(ge=1, le=7)]] = Field(min_length=1)
    """On these days, 1 Monday to 7 Sunday."""
    on_holidays: bool = False
    """Whether on public holidays too."""

    @model_validator(mode="after")
    def _checked(self) -> OpeningHours:
        self.hours()
        return self

    def hours(self) -> PostHours:
        """Return them as rules and escalation ask for them."""
        return PostHours(self.opens, self.closes, frozenset(day - 1 for day in self.weekdays), self.on_holidays)


class Escalation(Model):
    """Where an alarm goes that nobody acknowledged in time."""

    open_channel: Slug
    """The delivery target in opening hours: the supervisor's."""
    closed_channel: Slug
    """The delivery target outside: the person's on call."""
    repeat: Duration = Field(gt=dt.timedelta(0))
    """How long after comes the next, unacknowledged still."""
    most: int = Field(ge=1, le=10)
    """How many there are at most."""


class Contact(Model):
    """Somebody to call."""

    name: str = Field(min_length=1)
    """As the rules' procedures call them."""
    phone: str | None = Field(default=None, pattern=r"^\+?[0-9][0-9 .]{1,20}$")
    """Their number."""
    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    """Their address."""
    note: str | None = None
    """When, for what, what to say."""


class Post(Model):
    """A command post."""

    name: str = Field(min_length=1)
    """What it is called."""
    time_zone: TimeZone
    """Whose clocks it goes by."""
    holidays: HolidayCalendar
    """Whose public holidays it keeps: FR, FR-57."""
    hours: OpeningHours
    """When it is open."""
    operators: int = Field(ge=1, le=100)
    """How many operators are on duty: what the load of alarms is divided by."""
    escalation: Escalation
    """Where what nobody acknowledges goes."""
    directory: list[Contact] = Field(default_factory=list)
    """Whom to call."""

    @model_validator(mode="after")
    def _names_once(self) -> Post:
        names = [c.name.casefold() for c in self.directory]
        twice = next((n for n in names if names.count(n) > 1), None)
        if twice is not None:
            raise ValueError(f"{shown(twice)} stands twice in the directory")
        return self

    def is_open(self, at: dt.datetime) -> bool:
        """Return whether it is open at an instant."""
        local = at.astimezone(ZoneInfo(self.time_zone))
        return self.hours.hours().holds(local, is_holiday=local.date() in _public(self.holidays, local.year))

    def policy(self) -> Policy:
        """Return what escalation needs to know."""
        told = self.escalation
        return Policy(told.open_channel, told.closed_channel, self.is_open, told.repeat, told.most)

    def contact(self, name: str) -> Contact | None:
        """Return somebody of the directory by name, without regard to case."""
        return next((c for c in self.directory if c.name.casefold() == name.casefold()), None)


def load_post(folder: Path, *, shipped: Path = SHIPPED) -> Post:
    """Read the command post of an instance: its own file, else the shipped one.

    Args:
        folder: what the instance declares of its alerts (`Settings.alerts_path`).
        shipped: the shipped file.

    Raises:
        PostError: the file is not one, or cannot work: every problem, with its line.
    """
    path = folder / FILE if (folder / FILE).exists() else shipped
    try:
        document = read_document(path)
    except ContractError as error:
        raise PostError(path, error.problems) from None
    problems = list(document.problems)
    post: Post | None = None
    try:
        post = Post.model_validate(document.data)
    except ValidationError as error:
        problems += [_problem(tuple(d["loc"]), d["type"], d["msg"], d.get("input")) for d in error.errors(include_url=False)]
    if problems or post is None:
        raise PostError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return post


def _problem(path: tuple[int | str, ...], kind: str, message: str, value: Any) -> Problem:
    if kind == "extra_forbidden":
        known = _keys(path[:-1])
        return Problem(path, f"unknown key {shown(path[-1])}", did_you_mean(str(path[-1]), known, otherwise=f"keys here: {listed(known)}"))
    if kind == "missing":
        return Problem(path, "is required")
    text = message.removeprefix("Value error, ")
    return Problem(path, text[:1].lower() + text[1:] + ("" if isinstance(value, dict | list) else f" (found {shown(value)})"))


def _keys(path: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[Model]] = {"hours": OpeningHours, "escalation": Escalation, "directory": Contact}
    return list((models[str(path[0])] if path else Post).model_fields)


@functools.lru_cache(maxsize=64)
def _public(calendar: str, year: int) -> frozenset[dt.date]:
    country, _, subdivision = calendar.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
