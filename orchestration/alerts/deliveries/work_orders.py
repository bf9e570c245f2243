"""« Demander une intervention »: a work order that is wished for, sent, and followed on its alarm.

Here: the wish (`request_intervention`), sending it to the hypervisor or the maintenance system, asking what became of it, and linking
orders that a feed tells of (`note_order`). Not here: HTTP (`outbound`, `provoly_client`), the journal's targets (`follower`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx
from psycopg.types.json import Jsonb

from ingestion.errors import WrongUse
from orchestration.alerts import lifecycle
from orchestration.alerts.deliveries import provoly_words, signing
from orchestration.alerts.deliveries.ledger import PUT, WORK_ORDER, Remote
from orchestration.alerts.deliveries.outbound import Refused, TryLater, ask
from orchestration.alerts.deliveries.provoly_client import ProvolyClient
from orchestration.alerts.deliveries.targets import AnyTarget, Cmms, Declared, Provoly
from orchestration.alerts.deliveries.webhook import Secret, post
from orchestration.alerts.lifecycle import instant
from orchestration.alerts.model import PLATFORM, Alarm, Entry, Ordered
from orchestration.alerts.store.store import NotThere, Store
from orchestration.alerts.store.turn import Turn

STATUS_FR: Final = {
    "WANTED": "à transmettre", "ASKED": "demandée", "IN_PROGRESS": "en cours", "DONE": "terminée", "CANCELLED": "annulée",
    "REFUSED": "refusée",
}  # fmt: skip
"""The states of a work order, as operators read them."""
OVER: Final = frozenset({"DONE", "CANCELLED", "REFUSED"})
# A comment goes into a description of 256 characters; more is a report, which belongs on the alarm.
_LONGEST_COMMENT: Final = 500
# Words of maintenance systems for the same states.
_KNOWN: Final = {"CREATED": "ASKED", "ASKED": "ASKED", "IN_PROGRESS": "IN_PROGRESS", "DONE": "DONE", "CANCELLED": "CANCELLED"}


def request_intervention(store: Store, alarm_id: int, actor: str, wish: Mapping[str, Any], *, instance: str = "vigie") -> Alarm:
    """Wish for a work order: it is noted on the alarm and kept for sending, in one turn.

    Args:
        store: the alarms.
        alarm_id: the alarm it is about.
        actor: who asks.
        wish: `target` (a `provoly` or `cmms` one), `comment` and `fault` (what people call it), both optional.
        instance: what the platform is called outside (`targets.yaml`): ends the order's id, so that it is nobody else's.

    Returns:
        The alarm, with the order in `work_orders`: `target`, `ref` (ours), `status` (see `STATUS_FR`), `remote_ref`, `comment`, `fault`,
        `asked_by`, `asked_at`, `reason` (why it was refused).

    Raises:
        NotThere: there is no such alarm.
        WrongUse: it is closed, no target is said, the comment is too long, or an order of that target is under way.
    """
    target, comment = str(wish.get("target") or ""), str(wish.get("comment") or "").strip() or None
    if not target:
        raise WrongUse("a work order goes to a target", remedy="name one of the targets of type provoly or cmms in targets.yaml")
    if comment and len(comment) > _LONGEST_COMMENT:
        raise WrongUse(f"the comment is longer than {_LONGEST_COMMENT} characters", remedy="say the rest in a comment of the alarm")
    with store.turn() as turn:
        alarm = turn.one(alarm_id)
        if alarm is None:
            raise NotThere(f"there is no alarm {alarm_id}", remedy="vigie alerts list shows those that live")
        if alarm.closed_at is not None:
            raise WrongUse(f"alarm {alarm_id} is closed", remedy="its journal can still be read and commented")
        before = [o for o in alarm.work_orders if o.get("target") == target and o.get("asked_by")]
        if any(o["status"] not in OVER for o in before):
            raise WrongUse(f"an intervention was asked of {target} already, and is not over", remedy="follow it on the alarm")
        number = len(before) + 1
        suffix = f"-{number}" if number > 1 else ""
        order = {
            # The maintenance system's own numbers look the same without the part after @, and are never overwritten.
            "target": target, "ref": f"DI{alarm_id:08d}{suffix}@{instance}", "status": "WANTED", "remote_ref": None, "comment": comment,
            "fault": str(wish.get("fault") or "").strip() or None, "asked_by": actor, "asked_at": turn.now.isoformat(), "reason": None,
        }  # fmt: skip
        saved = turn.save(lifecycle.work_order(alarm, actor, turn.now, order))
        turn.con.execute(PUT, [target, alarm_id, f"{WORK_ORDER}{suffix}", None, Jsonb(order)])
        return saved


def note_order(store: Store, ordered: Ordered) -> list[Entry]:
    """Link a work order that a feed tells of to its alarm, or bring it up to date there; return the lines it wrote.

    It is the alarm whose order has this reference; else every open alarm of the same equipment (across systems) that began before the
    order was finished. Telling the same twice writes nothing.
    """
    with store.turn() as turn:
        known = turn.select(
            "work_orders @> jsonb_build_array(jsonb_build_object('ref', %s::text)) OR "
            "work_orders @> jsonb_build_array(jsonb_build_object('remote_ref', %s::text))",
            [ordered.intervention_ref, ordered.intervention_ref],
        )
        for alarm in known or _about(turn, ordered):
            order = next(
                (o for o in alarm.work_orders if ordered.intervention_ref in {o.get("ref"), o.get("remote_ref")}),
                {"target": ordered.source, "ref": ordered.intervention_ref, "asked_at": instant(ordered.requested_at).isoformat()},
            )
            told = {**order, "status": _status(ordered), "crew": ordered.crew} | {
                name: instant(at).isoformat()
                for name in ("dispatched_at", "arrived_at", "made_safe_at", "restored_at")
                if (at := getattr(ordered, name)) is not None
            }
            if told != order:
                turn.save(lifecycle.work_order(alarm, PLATFORM, turn.now, told))
                if order.get("asked_by"):
                    _mirror(turn, alarm.alarm_id, told)
        return turn.entries


def _about(turn: Turn, ordered: Ordered) -> list[Alarm]:
    if ordered.asset_ref is None:
        return []
    where = (
        "closed_at IS NULL AND ((source, asset_ref) = (%s, %s) OR asset_id = "
        "(SELECT asset_id FROM alerts.equipment WHERE source = %s AND asset_ref = %s)) AND started_at <= %s ORDER BY alarm_id"
    )
    until = instant(ordered.restored_at) if ordered.restored_at is not None else turn.now
    asset = [ordered.source, ordered.asset_ref]
    return turn.select(where, [*asset, *asset, until])


def _status(ordered: Ordered) -> str:
    if ordered.status in _KNOWN:
        return _KNOWN[ordered.status]
    if ordered.restored_at is not None:
        return "DONE"
    return "IN_PROGRESS" if ordered.arrived_at is not None or ordered.dispatched_at is not None else "ASKED"


def _mirror(turn: Turn, alarm_id: int, order: dict[str, Any]) -> None:
    turn.con.execute(
        "UPDATE alerts.remote SET remote_id = %s, state = %s, updated_at = now() "
        "WHERE target = %s AND alarm_id = %s AND kind LIKE %s AND state ->> 'ref' = %s",
        [order.get("remote_ref"), Jsonb(order), order["target"], alarm_id, f"{WORK_ORDER}%", order["ref"]],
    )


def note_status(store: Store, remote: Remote, **changes: Any) -> Remote:
    """Write what became of an order we asked for, on its alarm and in what is kept of it, in one turn; nothing when nothing changed."""
    with store.turn() as turn:
        alarm = turn.one(remote.alarm_id)
        if alarm is None:
            raise AssertionError("alarms are never removed")
        order = next((o for o in alarm.work_orders if o.get("ref") == remote.state["ref"]), remote.state)
        told = {**order, **changes}
        if told != order:
            turn.save(lifecycle.work_order(alarm, PLATFORM, turn.now, told))
        _mirror(turn, remote.alarm_id, told)
        return replace(remote, remote_id=told.get("remote_ref"), state=told)


class Desk(Protocol):
    """Where work orders go."""

    async def order(self, alarm: dict[str, Any], order: dict[str, Any]) -> str | None:
        """Ask for one; return what it is called there. The same order may be asked for again.

        Raises:
            TryLater, Refused: as senders.
        """
        ...

    async def statuses(self, orders: list[dict[str, Any]]) -> dict[str, str]:
        """Return the state of orders by our reference, of those that are known there."""
        ...


class ProvolyDesk:
    """Work orders as `services` of the hypervisor. Args of the class: its `client`; `now`, the clock."""

    def __init__(self, client: ProvolyClient, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._client, self._now = client, now

    async def order(self, alarm: dict[str, Any], order: dict[str, Any]) -> str | None:
        """Ask for one, unless it is there: asking again would set it back to where it began."""
        if order["ref"] in await self.statuses([order]):
            return str(order["ref"])
        found = await self._client.equipment([word for word in (alarm["asset_ref"], alarm["asset_id"], alarm["asset_name"]) if word])
        if found is None:
            raise Refused(f"l’équipement {alarm['asset_ref'] or '(aucun)'} n’est pas connu de l’hyperviseur")
        await self._client.save_service(provoly_words.service(alarm, order, found.get("code") or found["name"], self._now()))
        return str(order["ref"])

    async def statuses(self, orders: list[dict[str, Any]]) -> dict[str, str]:
        """Return the state of orders, from the list of all."""
        wanted = {o["ref"] for o in orders}
        found: dict[str, str] = {}
        for service in await self._client.services():
            for key in ("externalId", "technical_id", "id"):  # the versions' names for the id it was given
                if service.get(key) in wanted:
                    found[service[key]] = str(service.get("status"))
        return found


class CmmsDesk:
    """Work orders as signed messages. Args of the class: the `target`; `http`; how a `secret` is got."""

    def __init__(self, target: Cmms, http: httpx.AsyncClient, secret: Secret) -> None:
        self._target, self._http, self._secret = target, http, secret

    async def order(self, alarm: dict[str, Any], order: dict[str, Any]) -> str | None:
        """Post one; its reference is the message's id, so that a repetition is recognised. `{"ref": …}` in the answer is its name there."""
        name = self._target.secret
        key = signing.key(self._secret(name).get_secret_value(), name)
        document = {"type": "work_order.requested", "timestamp": order["asked_at"], "data": {"order": order, "alarm": alarm}}
        answer = await post(self._http, self._target.url, key, order["ref"], document)
        try:
            said = answer.json()
        except TryLater:  # it took the order, and says so in words: our reference will do
            return None
        ref = said.get("ref") or said.get("id") if isinstance(said, dict) else None
        return str(ref) if ref is not None else None

    async def statuses(self, orders: list[dict[str, Any]]) -> dict[str, str]:
        """Ask for each order's state, `{"status": "IN_PROGRESS"}`; signed as messages are, so that it is not told to anybody."""
        found: dict[str, str] = {}
        if self._target.status_url is None:
            return found
        name = self._target.secret
        key = signing.key(self._secret(name).get_secret_value(), name)
        for order in orders:
            url = self._target.status_url.replace("{ref}", quote(order.get("remote_ref") or order["ref"], safe=""))
            headers = signing.headers(key, order["ref"], int(dt.datetime.now(dt.UTC).timestamp()), b"")
            said = (await ask(self._http, "GET", url, headers=headers)).json()
            if isinstance(said, dict) and said.get("status"):
                found[order["ref"]] = str(said["status"])
        return found


def desks(declared: Declared) -> list[AnyTarget]:
    """Return the targets that take work orders, in the order of the file: what « Demander une intervention » offers."""
    return [t for t in declared.targets if isinstance(t, Provoly | Cmms)]


async def send_wanted(store: Store, remotes: list[Remote], desk: Desk) -> str | None:
    """Send the orders that are wished for; return why some could not be, None when all were taken or refused."""
    trouble: str | None = None
    for remote in remotes:
        alarm = lifecycle.snapshot(await asyncio.to_thread(store.get, remote.alarm_id))
        try:
            ref = await desk.order(alarm, remote.state)
        except TryLater as error:
            trouble = error.message
            if error.is_away:
                return trouble
        except Refused as error:
            await asyncio.to_thread(note_status, store, remote, status="REFUSED", reason=error.message)
        else:
            await asyncio.to_thread(note_status, store, remote, status="ASKED", remote_ref=ref)
    return trouble


async def look_after(store: Store, remotes: list[Remote], desk: Desk) -> None:
    """Ask what became of orders that are under way, and write what is new.

    Raises:
        TryLater, Refused: it could not be asked.
    """
    if not remotes:
        return
    said = await desk.statuses([r.state for r in remotes])
    for remote in remotes:
        status = _KNOWN.get(said.get(remote.state["ref"], ""))
        if status is not None and status != remote.state["status"]:
            await asyncio.to_thread(note_status, store, remote, status=status)
