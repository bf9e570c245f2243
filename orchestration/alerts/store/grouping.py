"""What alarms have to do with each other: parents that explain, neighbours that join, floods, announced work, escalation.

Here: what is looked at in the same turn as a raise or a return, and what the clock brings. Not here: one alarm by itself
(`orchestration.alerts.lifecycle`).
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestration.alerts import lifecycle
from orchestration.alerts.drafting import Draft
from orchestration.alerts.model import Alarm
from orchestration.alerts.store.turn import Turn


@dataclass(frozen=True)
class Policy:
    """What the command post has declared (`command-post.yaml`)."""

    second_channel: str = "astreinte"


def after_raise(turn: Turn, alarm: Alarm, draft: Draft) -> None:
    """Look at what a new alarm has to do with those that stand."""
    del turn, alarm, draft


def after_reactivation(turn: Turn, alarm: Alarm, draft: Draft) -> None:
    """Look at what an alarm that came back has to do with those that stand."""
    del turn, alarm, draft


def after_return(turn: Turn, alarm: Alarm) -> None:
    """Look at what an alarm that is over, or closed, leaves behind: what it hid stands for itself again."""
    del turn, alarm


def tick(turn: Turn, policy: Policy) -> None:
    """Do what is due by the clock."""
    del policy
    for alarm in turn.select("closed_at IS NULL AND shelved_until <= %s", [turn.now]):
        turn.save(lifecycle.unshelved(alarm, "vigie", turn.now))
