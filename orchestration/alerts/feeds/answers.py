"""What the API answers and is asked, as types: what OpenAPI prints.

Here: models and examples. Not here: addresses (`api`), refusals (`problems`).

Answers are written by `lifecycle.snapshot`, so that REST and events say the same of an alarm; the models below are made of the same
attributes, and the tests hold real answers against them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Final, Literal, get_type_hints

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, create_model

from orchestration.alerts import model
from orchestration.alerts.lifecycle import snapshot
from orchestration.alerts.model import Alarm, Entry, Kind, State, Step
from orchestration.web.live import document

# As many as a wall shows; who acknowledges more has a flood, which is one alarm.
MOST_AT_ONCE: Final = 500

_SAYS: Final = {
    "alarm_id": "Its number.", "key": "What it is about; one alarm of a key is not closed.", "rule": "Name of the rule.",
    "title": "What it is, in French.", "message": "One sentence, in French.", "priority": "1 critical, 2 high, 3 medium, 4 low.",
    "domain": "EP, VP, SLT, MOB, RT, PAT, CDV, EAU, GRC, METEO.", "started_at": "When the condition began.",
    "raised_at": "When it was last raised.", "recorded_at": "When it was recorded.", "source": "The system whose code `asset_ref` is.",
    "asset_ref": "Code of the asset in that system.", "asset_id": "Its identity across systems.", "area": "GeoJSON geometry, as text.",
    "arrive_by": "Deadline of arrival (GTI).", "safe_by": "Deadline of making safe (GTRP).", "restore_by": "Deadline of repair (GTR).",
    "suppressed_by": "Why it is suppressed by design.", "parent_id": "The alarm it is listed under.",
    "hidden": "How many are listed under it.",
    "activations": "How often its condition came true.", "is_chattering": "Whether it comes and goes faster than people can follow.",
    "updated_seq": "Number of the last line of the journal about it.", "procedure": "What to do, in order.",
    "is_active": "Whether its condition holds.", "shelved_until": "Until when it is put aside.", "work_orders": "What crews were asked.",
}  # fmt: skip

_NOON: Final = dt.datetime(2026, 1, 5, 17, 42, 7, tzinfo=dt.UTC)
EXAMPLE_ALARM: Final = Alarm(
    key="armoire-au-noir|gtc|ARM-014", rule="armoire-au-noir", title="Armoire hors tension",
    message="L’armoire ARM-014 n’a plus de tension depuis 18:40.", priority=2, started_at=_NOON, raised_at=_NOON, first_raised_at=_NOON,
    changed_at=_NOON, recorded_at=_NOON, alarm_id=7, domain="EP", source="gtc", asset_ref="ARM-014", asset_id="armoire:ARM-014",
    asset_type="cabinet", asset_name="ARM-014", commune="Châlons-en-Champagne", longitude=4.3631, latitude=48.9566,
    observed_property="voltage", value=0.0, unit="V", arrive_by=_NOON + dt.timedelta(hours=2), hidden=83,
    procedure=[Step("Appeler l’astreinte éclairage.", "astreinte-ep")], updated_seq=42,
)  # fmt: skip
EXAMPLE: Final = snapshot(EXAMPLE_ALARM)
EXAMPLE_ENTRY: Final = document(Entry(Kind.RAISED, _NOON, model.PLATFORM, EXAMPLE, 7, 42, _NOON))


def _alarm_model() -> type[BaseModel]:
    hints = get_type_hints(Alarm)
    columns: dict[str, Any] = {f.name: (hints[f.name], Field(description=_SAYS.get(f.name))) for f in fields(Alarm)}
    columns["state"] = (State, Field(description="Its state, in ISA-18.2's words."))
    columns["is_presented"] = (bool, Field(description="Whether operators see it in the list by itself."))
    config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})
    return create_model("Alarm", __config__=config, __doc__="An alarm.", **columns)


AlarmAnswer: Final = _alarm_model()


class Answer(BaseModel):
    """An answer of the API."""

    model_config = ConfigDict(extra="forbid")


class Page(Answer):
    """Alarms, the most urgent first, the oldest first among equals; `next` asks for those after them."""

    alarms: list[AlarmAnswer]  # type: ignore[valid-type] # made from the attributes of Alarm: mypy sees a value
    next: str | None = Field(description="The `cursor` of the next page; null when there is none.", examples=[None])


class JournalLine(Answer):
    """A line of the journal, with the alarm as it stood after it: what an event's data is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE_ENTRY})

    seq: int = Field(description="Its number: without gaps, in the order of commits.")
    alarm_id: int
    kind: Kind
    at: AwareDatetime = Field(description="When it was recorded.")
    happened_at: AwareDatetime | None = Field(description="When it happened, where equipment said so.")
    actor: str = Field(description="Login of a person or a system; `vigie` for the platform itself.")
    comment: str | None
    details: dict[str, Any]
    alarm: dict[str, Any] = Field(description="The alarm after it, as `GET /api/alarms/{id}` answers it.")


class Journal(Answer):
    """Lines of the journal in order. `last` is the last there is: equal to the last line's `seq`, there is nothing more now."""

    lines: list[JournalLine]
    last: int = Field(examples=[42])


class OutcomeAnswer(Answer):
    """What became of one alarm of several."""

    alarm_id: int = Field(examples=[7])
    state: State | None = Field(description="Its state now; null when it could not be done.", examples=["ack_active"])
    error: str | None = Field(examples=[None])
    remedy: str | None = Field(examples=[None])


class RuleAnswer(Answer):
    """A rule: in force, disabled, or broken with its error."""

    rule: str = Field(examples=["armoire-au-noir"])
    title: str | None = Field(examples=["Armoire hors tension"])
    priority: int | None = Field(examples=[2])
    is_in_force: bool = Field(examples=[True])
    is_shipped: bool = Field(examples=[True])
    respond_within_s: float | None = Field(examples=[900.0])
    fault_type: str | None = Field(examples=["cabinet_out"])
    procedure: list[str] = Field(examples=[["Appeler l’astreinte éclairage."]])
    description: str | None = Field(examples=[None])
    error: str | None = Field(description="Why it cannot work.", examples=[None])


class Contact(Answer):
    """When something was last heard: a feed, or a process of the platform."""

    name: str = Field(examples=["lights"])
    last_contact: AwareDatetime = Field(examples=["2026-01-05T07:00:00+00:00"])
    details: dict[str, Any] = Field(examples=[{}])


class Contacts(Answer):
    """Feeds and processes by name: silence is not calm."""

    feeds: list[Contact]
    processes: list[Contact]


class Load(Answer):
    """What operators were shown in ten minutes (EEMUA 191 judges the load by it). Spans without alarms are there with 0."""

    start: AwareDatetime = Field(examples=["2026-01-05T07:00:00+00:00"])
    raised: int = Field(description="Alarms raised or raised again.", examples=[12])
    presented: int = Field(description="Of these, those not suppressed, shelved or out of service at once.", examples=[3])
    critical: int = Field(description="Of the presented ones, those of priority 1.", examples=[0])


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document with its examples whole: FastAPI leaves what is null out of them, and every key is always answered."""
    for name, example in (("Alarm", EXAMPLE), ("JournalLine", EXAMPLE_ENTRY)):
        document["components"]["schemas"][name]["example"] = example
    return document


# --- what is asked

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
"""What people write: a few sentences; more belongs in a document."""


class Asked(BaseModel):
    """A request's body; a key it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


class Comment(Asked):
    """A comment that must be there."""

    comment: Words = Field(examples=["Vu sur la caméra du carrefour."])


class MayComment(Asked):
    """A comment, or none."""

    comment: Words | None = Field(default=None, examples=["Équipe sur place."])


class Acknowledge(MayComment):
    """Alarms to acknowledge together."""

    alarm_ids: list[int] = Field(min_length=1, max_length=MOST_AT_ONCE, examples=[[7, 9]])


class Shelve(Asked):
    """Until when, and why. Longer than 8 hours takes a supervisor."""

    until: AwareDatetime = Field(examples=["2026-01-05T12:00:00+01:00"])
    reason: Words = Field(examples=["Capteur en cours de remplacement."])


class Assign(Asked):
    """Who takes it on; null gives it back."""

    to: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] | None = Field(examples=["operateur-1"])


class StepDone(Asked):
    """Whether a step of the procedure is done."""

    is_done: bool = Field(default=True, examples=[True])


def listed(alarm: Alarm) -> Mapping[str, Any]:
    """Return an alarm as it is answered."""
    return snapshot(alarm)


class Geometry(Answer):
    """A geometry of GeoJSON (RFC 7946)."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["Point"])


class Feature(Answer):
    """An alarm as a feature; without a place its geometry is null."""

    type: Literal["Feature"]
    id: int = Field(examples=[7])
    geometry: Geometry | None
    properties: dict[str, Any]


class FeatureCollection(Answer):
    """Alarms as GeoJSON (RFC 7946)."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
