"""`vigie alerts`: the alarms, from a terminal: what stands, what happened, acknowledging and the like.

Here: arguments and what is printed. Not here: what is done (`orchestration.alerts`), rules (`alerts_rules`, `alerts_try`), people and
systems (`alerts_access`), announced work and dead letters (`alerts_works`).

Who may use this command may read the instance's secrets: it acts with a supervisor's rights, in the name of `--as`.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from orchestration.cli import alerts_access, alerts_works, common
from orchestration.cli.alerts_let_go import let_go_command
from orchestration.cli.alerts_rules import app as rules_app
from orchestration.cli.alerts_store import As, actor, opened
from orchestration.cli.alerts_try import try_command

if TYPE_CHECKING:
    from orchestration.alerts.lifecycle import Written
    from orchestration.alerts.model import Alarm, Entry

app: Final = typer.Typer(no_args_is_help=True)
app.command("try")(try_command)
app.command("let-go")(let_go_command)
app.add_typer(rules_app, name="rules", help="List and check the rules.")
app.add_typer(alerts_access.people, name="people", help="Who may sign in.")
app.add_typer(alerts_access.systems, name="systems", help="Which systems are let in.")
app.add_typer(alerts_works.maintenance, name="maintenance", help="Announced work, which explains alarms.")
app.add_typer(alerts_works.out_of_service, name="out-of-service", help="What is out of service.")
app.add_typer(alerts_works.dead_letters, name="dead-letters", help="What could not be sent out.")

_Ids = Annotated[list[int], typer.Argument(help="Numbers of alarms.")]
_Comment = Annotated[str | None, typer.Option("--comment", "-m", help="A word for the journal.")]
# How long `tail` sleeps between two looks: below what a reader notices.
_LOOK_S: Final = 0.3
_ZONE: Final = ZoneInfo("Europe/Paris")


@app.command("list")
def list_command(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are shelved, suppressed or under another.")] = False,
    domain: Annotated[str | None, typer.Option(help="Only of a domain: EP, VP…")] = None,
    as_json: common.Json = False,
) -> None:
    """List the alarms that stand, the most urgent first."""
    from orchestration.alerts.lifecycle import snapshot
    from orchestration.alerts.model import PRIORITY_FR, STATE_FR, Priority

    with opened() as (_, store):
        alarms = [a for a in store.live() if (everything or a.is_presented) and domain in {None, a.domain}]
    if as_json:
        common.print_json([snapshot(a) for a in alarms])
        return
    if not alarms:
        print("no alarm stands")
        return
    columns = ("No", "Priority", "Raised", "Alarm", "Equipment", "Commune", "State", "Under it", "Restore by")
    common.print_table(columns, [
        (a.alarm_id, PRIORITY_FR[Priority(a.priority)], _when(a.raised_at), a.title, a.asset_name or a.asset_ref, a.commune,
         _standing(a) or STATE_FR[a.state], a.hidden or None, _when(a.restore_by))
        for a in alarms
    ])  # fmt: skip


@app.command("show")
def show_command(alarm_id: Annotated[int, typer.Argument(help="Its number.")], *, as_json: common.Json = False) -> None:
    """Show an alarm: what it says, what to do, what happened."""
    from orchestration.alerts.lifecycle import snapshot

    with opened() as (_, store):
        alarm, entries = store.get(alarm_id), store.journal_of(alarm_id)
    if as_json:
        common.print_json({"alarm": snapshot(alarm), "journal": [_document(e) for e in entries]})
        return
    print(f"{alarm.title} — {alarm.message}")
    for number, step in enumerate(alarm.procedure, start=1):
        print(f"  {number}. [{'x' if step.done_at else ' '}] {step.text}" + (f" ({step.call})" if step.call else ""))
    common.print_table(("At", "What", "Who", "Comment"), [(_when(e.at), str(e.kind), e.actor, e.comment) for e in entries])


@app.command("tail")
def tail_command(
    *,
    after: Annotated[int | None, typer.Option(help="From this line of the journal on; the last ten lines without it.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Do not wait for more.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON document per line.")] = False,
) -> None:
    """Follow the journal of alarms."""
    with opened() as (_, store):
        last = max(0, store.last_seq() - 10) if after is None else after
        while True:
            entries = store.journal_after(last)
            for entry in entries:
                _print_line(entry, as_json=as_json)
                last = entry.seq
            if not entries:
                if once:
                    return
                time.sleep(_LOOK_S)


@app.command("ack")
def ack_command(alarm_ids: _Ids, *, by: As = None, comment: _Comment = None) -> None:
    """Acknowledge alarms."""
    from orchestration.alerts import lifecycle

    _act(alarm_ids, lambda a, now: lifecycle.acknowledged(a, actor(by), now, comment))


@app.command("comment")
def comment_command(alarm_id: Annotated[int, typer.Argument(help="Its number.")], text: str, *, by: As = None) -> None:
    """Write a comment in an alarm's journal."""
    from orchestration.alerts import lifecycle

    _act([alarm_id], lambda a, now: lifecycle.commented(a, actor(by), now, text))


@app.command("shelve")
def shelve_command(
    alarm_ids: _Ids,
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why.")],
    hours: Annotated[float, typer.Option(help="For how long.")] = 8.0,
    by: As = None,
) -> None:
    """Put alarms aside for a while."""
    from orchestration.alerts import lifecycle

    _act(alarm_ids, lambda a, now: lifecycle.shelved(a, actor(by), now, now + dt.timedelta(hours=hours), reason))


@app.command("unshelve")
def unshelve_command(alarm_ids: _Ids, *, by: As = None) -> None:
    """Show shelved alarms again."""
    from orchestration.alerts import lifecycle

    _act(alarm_ids, lambda a, now: lifecycle.unshelved(a, actor(by), now))


@app.command("assign")
def assign_command(
    alarm_id: Annotated[int, typer.Argument(help="Its number.")],
    to: Annotated[str | None, typer.Argument(help="Who takes it on; nobody without it.")] = None,
    *,
    by: As = None,
) -> None:
    """Say who takes an alarm on."""
    from orchestration.alerts import lifecycle

    _act([alarm_id], lambda a, now: lifecycle.assigned(a, actor(by), now, to))


@app.command("close")
def close_command(alarm_ids: _Ids, *, by: As = None, comment: _Comment = None) -> None:
    """Close alarms; one whose condition still holds only with a comment."""
    from orchestration.alerts import lifecycle

    _act(alarm_ids, lambda a, now: lifecycle.closed(a, actor(by), now, comment))


def _act(alarm_ids: list[int], action: Callable[[Alarm, dt.datetime], Written]) -> None:
    with opened() as (_, store):
        for alarm_id in alarm_ids:
            alarm, entries = store.act(alarm_id, action)
            common.say(f"{alarm_id}: {', '.join(e.kind for e in entries) or 'nothing to change'} ({alarm.state})")


def _print_line(entry: Entry, *, as_json: bool) -> None:
    if as_json:
        import json

        print(json.dumps(_document(entry), ensure_ascii=False, default=str), flush=True)
        return
    alarm = entry.alarm
    about = f"{alarm['title']} · {alarm['asset_name'] or alarm['asset_ref'] or alarm['commune'] or ''}"
    print(f"{entry.seq:>7}  {_when(entry.at)}  {entry.kind:<14} {entry.alarm_id:>6}  {about}  [{entry.actor}]", flush=True)


def _document(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq, "alarm_id": entry.alarm_id, "kind": str(entry.kind), "at": entry.at.isoformat(),
        "happened_at": entry.happened_at.isoformat() if entry.happened_at else None, "actor": entry.actor, "comment": entry.comment,
        "details": entry.details, "alarm": entry.alarm,
    }  # fmt: skip


def _standing(alarm: Alarm) -> str | None:
    if alarm.shelved_until is not None:
        return f"mise de côté jusqu'à {_when(alarm.shelved_until)}"
    if alarm.is_out_of_service:
        return "hors service"
    return f"masquée : {alarm.suppress_reason}" if alarm.suppressed_by else None


def _when(at: dt.datetime | None) -> str | None:
    return f"{at.astimezone(_ZONE):%d/%m %H:%M:%S}" if at is not None else None
