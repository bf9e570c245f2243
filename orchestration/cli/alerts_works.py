"""`vigie alerts maintenance`, `out-of-service` and `dead-letters`: what is put aside by design, what was given up.

Here: arguments and what is printed. Not here: what is done (`orchestration.alerts.store`, `orchestration.alerts.deliveries`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestration.cli import common
from orchestration.cli.alerts_store import As, actor, opened, opened_pool
from orchestration.cli.alerts_try import instant

if TYPE_CHECKING:
    from orchestration.alerts.store.suppressions import About, Suppression

maintenance: Final = typer.Typer(no_args_is_help=True)
out_of_service: Final = typer.Typer(no_args_is_help=True)
dead_letters: Final = typer.Typer(no_args_is_help=True)

_Asset = Annotated[str | None, typer.Option("--asset", help="Code of a piece of equipment; what hangs on it is meant too.")]
_Feed = Annotated[str | None, typer.Option("--feed", help="A feed.")]
_Rule = Annotated[str | None, typer.Option("--rule", help="A rule.")]
_Reason = Annotated[str, typer.Option("--reason", "-m", help="Why.")]
_Number = Annotated[int, typer.Argument(help="Its number in the list.")]


@maintenance.command("list")
def list_maintenance(*, as_json: common.Json = False) -> None:
    """List announced work, present and to come."""
    _list("maintenance", as_json=as_json)


@maintenance.command("add")
def add_maintenance(
    *,
    reason: _Reason,
    end: Annotated[str, typer.Option("--to", help="When it ends (UTC unless said).")],
    start: Annotated[str | None, typer.Option("--from", help="When it begins; now without it.")] = None,
    asset: _Asset = None,
    feed: _Feed = None,
    rule: _Rule = None,
    by: As = None,
) -> None:
    """Announce work: alarms it explains are recorded, and shown to nobody, while it lasts."""
    begins = instant(start, "--from") if start else dt.datetime.now(dt.UTC)
    with opened() as (_, store):
        declared, entries = store.declare_maintenance(
            _about(asset, feed, rule), starts_at=begins, ends_at=instant(end, "--to"), reason=reason, actor=actor(by)
        )
    common.say(f"announced as {declared.suppression_id}; {len(entries)} alarms that stand are concerned now")


@maintenance.command("end")
def end_maintenance(number: _Number, *, by: As = None) -> None:
    """End announced work early, or call it off."""
    with opened() as (_, store):
        _, entries = store.end_maintenance(number, actor(by))
    common.say(f"ended; {len(entries)} alarms stand for themselves again")


@out_of_service.command("list")
def list_out_of_service(*, as_json: common.Json = False) -> None:
    """List what is out of service."""
    _list("out_of_service", as_json=as_json)


@out_of_service.command("add")
def put_out_of_service(*, reason: _Reason, asset: _Asset = None, feed: _Feed = None, rule: _Rule = None, by: As = None) -> None:
    """Take equipment, a feed or a rule out of service until it is put back."""
    with opened() as (_, store):
        declared, _ = store.put_out_of_service(_about(asset, feed, rule), reason=reason, actor=actor(by))
    common.say(f"out of service as {declared.suppression_id}")


@out_of_service.command("end")
def put_back(number: _Number, *, by: As = None) -> None:
    """Put back into service."""
    with opened() as (_, store):
        store.put_back(number, actor(by))
    common.say("back in service")


@dead_letters.command("list")
def list_dead_letters(*, target: Annotated[str | None, typer.Option(help="Of one target.")] = None, as_json: common.Json = False) -> None:
    """List what could not be sent out and was given up, the newest first."""
    from orchestration.alerts.deliveries import ledger

    with opened_pool() as (_, pool):
        found = ledger.dead_letters(pool.connection, target=target)
    if as_json:
        common.print_json([asdict(d) for d in found])
        return
    rows = ((d.dead_letter_id, d.target, d.seq, f"{d.at:%Y-%m-%d %H:%M:%S}", d.tries, d.reason) for d in found)
    common.print_table(("No", "Target", "Line", "Given up (UTC)", "Tries", "Reason"), rows)


@dead_letters.command("resend")
def resend(numbers: Annotated[list[int], typer.Argument(help="Their numbers in the list.")]) -> None:
    """Have dead letters sent again."""
    from orchestration.alerts.deliveries import ledger

    with opened_pool() as (_, pool):
        count = ledger.send_again(pool.connection, numbers)
    common.say(f"{count} will be sent again")


def _about(asset: str | None, feed: str | None, rule: str | None) -> About:
    from orchestration.alerts.store.suppressions import About

    return About(asset_ref=asset, feed=feed, rule=rule)


def _list(kind: str, *, as_json: bool) -> None:
    with opened() as (_, store):
        found = store.suppressions(kind)
    if as_json:
        common.print_json([
            {"suppression_id": s.suppression_id, "asset_ref": s.about.asset_ref, "feed": s.about.feed, "rule": s.about.rule,
             "starts_at": s.starts_at, "ends_at": s.ends_at, "reason": s.reason, "declared_by": s.declared_by}
            for s in found
        ])  # fmt: skip
        return
    common.print_table(("No", "About", "From (UTC)", "To (UTC)", "Why", "By"), [_row(s) for s in found])


def _row(s: Suppression) -> tuple[object, ...]:
    about = ", ".join(f"{k} {v}" for k, v in (("equipment", s.about.asset_ref), ("feed", s.about.feed), ("rule", s.about.rule)) if v)
    ends = f"{s.ends_at:%Y-%m-%d %H:%M}" if s.ends_at else None
    return s.suppression_id, about, f"{s.starts_at:%Y-%m-%d %H:%M}", ends, s.reason, s.declared_by
