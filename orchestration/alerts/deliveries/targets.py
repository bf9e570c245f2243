"""What the instance declares of where its alarms go: `HOME/alerts/targets.yaml`, read strictly, each problem with its line and remedy.

Here: the shape of a target, reading the file. Not here: sending (`webhook`, `topics`, `provoly`, `work_orders`), secrets, which the
file only names.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from ingestion.feeds.load_problem import ContractError, Problem, did_you_mean
from ingestion.feeds.load_yaml import read_document
from ingestion.feeds.model_base import Duration, Model, SecretName, Slug
from orchestration.alerts.model import Entry, Kind
from orchestration.alerts.rulebook.model import Domain

FILE_NAME: Final = "targets.yaml"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("10.0.0.1")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # an invalid port raises when it is asked for
    except ValueError:
        raise ValueError("is not an address") from None
    if not host or parts.scheme not in {"http", "https"} or not url.isprintable() or " " in url:
        raise ValueError("is not an address (https://host/path)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user or password: name a secret instead")
    if parts.fragment:
        raise ValueError("holds a # part, which is never sent")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("is not encrypted: write https:// (http:// is for this machine alone)")
    return url


Address = Annotated[str, AfterValidator(_address)]


class Filter(Model):
    """Which lines of the journal a target gets; all of them when nothing is said."""

    priority: int = Field(default=4, ge=1, le=4)
    """The least urgent priority that is sent (1 critical to 4 low)."""
    domains: list[Domain] | None = Field(default=None, min_length=1)
    """Domains; all if absent. With it, alarms without a domain are not sent."""
    kinds: list[Kind] | None = Field(default=None, min_length=1)
    """Kinds of lines; all if absent."""
    escalations_only: bool = False
    """Only what nobody acknowledged in time: the second channel."""

    def takes_alarm(self, alarm: dict[str, Any]) -> bool:
        """Return whether alarms like this one (a snapshot) are sent."""
        return alarm["priority"] <= self.priority and (self.domains is None or alarm["domain"] in self.domains)

    def takes(self, entry: Entry) -> bool:
        """Return whether a line is sent."""
        if self.escalations_only and entry.kind is not Kind.ESCALATED:
            return False
        return (self.kinds is None or entry.kind in self.kinds) and self.takes_alarm(entry.alarm)


class _Target(Model):
    target: Slug
    """Its name."""
    filter: Filter = Filter()
    """What it gets."""
    give_up_after: Duration = Field(default=dt.timedelta(hours=24), gt=dt.timedelta(0), le=dt.timedelta(days=7))
    """How old a line may grow while it is tried; then it is a dead letter. A day: somebody has seen `vigie status` meanwhile."""
    timeout_s: float = Field(default=10.0, ge=0.5, le=60.0)
    """How long an answer may take. Ten seconds: a busy hypervisor answers in two, and one that hangs holds up its own target only."""


class Webhook(_Target):
    """Signed HTTP messages, one per line of the journal."""

    type: Literal["webhook"]
    url: Address
    """Where they are posted."""
    secret: SecretName
    """Name of the secret they are signed with: base64 of 24 to 64 bytes, `whsec_` before it or not."""


class Topics(_Target):
    """Messages on the platform's own broker, one per line: `alerts/<domain>/<priority>/<alarm_id>`."""

    type: Literal["broker"]


class OpenIdClient(Model):
    """The account at the identity provider (OpenID Connect, client credentials)."""

    token_url: Address
    """Where tokens are asked for."""
    client_id: str = Field(min_length=1)
    """The client's name."""
    client_secret: SecretName
    """Name of its secret."""
    scope: str | None = None
    """Scope, where the provider wants one."""


_Category = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*(/[A-Z][A-Z0-9_]*)?$")]


class Categories(Model):
    """The hypervisor's category of an alarm, `CATEGORY` or `CATEGORY/SUBCATEGORY`: by rule, else by domain, else the default."""

    default: _Category
    """When nothing else says."""
    domains: dict[Domain, _Category] = Field(default_factory=dict)
    """By domain."""
    rules: dict[str, _Category] = Field(default_factory=dict)
    """By rule."""

    def of(self, alarm: dict[str, Any]) -> tuple[str, str | None]:
        """Return category and subcategory of an alarm."""
        text = self.rules.get(alarm["rule"]) or self.domains.get(alarm["domain"]) or self.default
        category, _, sub = text.partition("/")
        return category, sub or None


class EquipmentCodes(Model):
    """The hypervisor's own codes, with which equipment it lacks is created there; what has no code is not created."""

    families: dict[str, str] = Field(min_length=1)
    """Its family, by `asset_type`."""
    entities: dict[str, str] = Field(min_length=1)
    """Its entity, by `owner_authority`."""
    cities: dict[str, str] = Field(min_length=1)
    """Its city, by commune."""


class Provoly(_Target):
    """The Provoly hypervisor: one event per alarm, and work orders."""

    type: Literal["provoly"]
    url: Address
    """Root of its API."""
    oidc: OpenIdClient
    """The account there."""
    categories: Categories
    """The categories of its version."""
    events_path: Literal["/events", "/events/alert"] = "/events"
    """Where events are created; `/events/alert` in older versions."""
    source_ref: Annotated[str, Field(pattern=r"^[^{}]*(\{alarm_id\})?[^{}]*$", min_length=1, max_length=50)] = "vigie-{alarm_id}"
    """`externalSourceRef` of our events."""
    updates: bool = True
    """Whether a standing event is changed (`PUT /events/id/…`); false for versions that refuse it for alerts."""
    settle: Duration = Field(default=dt.timedelta(seconds=2), ge=dt.timedelta(0), le=dt.timedelta(minutes=5))
    """How long a line rests before it is sent: lights raise just before the cabinet that explains them, and then stand under it."""
    equipment: EquipmentCodes | None = None
    """With what equipment it lacks is created; without, events about unknown equipment are sent without it."""
    poll: Duration = Field(default=dt.timedelta(minutes=1), ge=dt.timedelta(seconds=1), le=dt.timedelta(days=1))
    """How often work orders that are not done are asked about."""


class Cmms(_Target):
    """The maintenance system: work orders as signed HTTP messages."""

    type: Literal["cmms"]
    url: Address
    """Where they are posted."""
    secret: SecretName
    """Name of the secret they are signed with."""
    status_url: Address | None = None
    """Where the state of one is asked, with `{ref}` in it; without, a feed of interventions tells."""
    poll: Duration = Field(default=dt.timedelta(minutes=1), ge=dt.timedelta(seconds=1), le=dt.timedelta(days=1))
    """How often."""

    @model_validator(mode="after")
    def _says_where(self) -> Cmms:
        if self.status_url is not None and self.status_url.count("{ref}") != 1:
            raise ValueError("status_url must hold {ref} once")
        return self


Target = Annotated[Webhook | Topics | Provoly | Cmms, Field(discriminator="type")]
AnyTarget = Webhook | Topics | Provoly | Cmms
_TYPES: Final = ("webhook", "broker", "provoly", "cmms")


class Declared(Model):
    """The whole file."""

    instance: Slug = "vigie"
    """What this platform is called outside: begins the ids of its messages and ends those of its work orders."""
    targets: list[Target] = Field(default_factory=list)
    """Where alarms go."""

    @model_validator(mode="after")
    def _named_once(self) -> Declared:
        names = [t.target for t in self.targets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two targets are called {name}: each has a cursor of its own, by its name")
        return self

    def get(self, name: str) -> AnyTarget | None:
        """Return a target by its name."""
        return next((t for t in self.targets if t.target == name), None)


def load_targets(path: Path) -> Declared:
    """Read the targets; none where there is no file.

    Raises:
        ContractError: the file is not what it should be: every problem, with its line.
    """
    if not path.exists():
        return Declared()
    try:
        document = read_document(path)
    except ContractError as error:
        raise _advised(error, path) from None
    problems = list(document.problems)
    declared: Declared | None = None
    try:
        declared = Declared.model_validate(document.data)
    except ValidationError as error:
        # include_input: what was written may be a secret that somebody put there.
        problems += [_problem(dict(d)) for d in error.errors(include_url=False, include_input=False)]
    if problems or declared is None:
        found = [p if p.line else replace(p, line=document.line(p.path)) for p in problems]
        raise _advised(ContractError(path, found), path)
    return declared


def _advised(error: ContractError, path: Path) -> ContractError:
    error.remedy = f"correct {path}: it is read again as soon as it is saved; docs/alerts-deliveries.md shows each target"
    return error


def _problem(found: dict[str, Any]) -> Problem:
    # pydantic names the type it chose among the targets: that is no key of the file.
    path = tuple(part for i, part in enumerate(found["loc"]) if not (i == _TAG_AT and part in _TYPES))
    message = re.sub(r"^Value error, ", "", found["msg"])
    remedies = {
        "missing": "write it; docs/alerts-deliveries.md shows a whole target",
        "union_tag_invalid": f"write one of {', '.join(_TYPES)}",
        "union_tag_not_found": f"write type: one of {', '.join(_TYPES)}",
        "string_pattern_mismatch": "secrets are named in capitals (ASTREINTE_SECRET), targets in small letters (second-channel)",
    }
    remedy = remedies.get(found["type"])
    if found["type"] == "extra_forbidden":
        remedy = did_you_mean(str(path[-1]), _KEYS, otherwise="remove it")
    return Problem(path, message, remedy)


# In a location of pydantic: targets, its number, the type it chose, then the key.
_TAG_AT: Final = 2
_KEYS: Final = sorted(
    {
        key
        for model in (Declared, Webhook, Topics, Provoly, Cmms, Filter, OpenIdClient, Categories, EquipmentCodes)
        for key in model.model_fields
    }
)
