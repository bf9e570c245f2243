"""The Provoly hypervisor: one event for one alarm, whatever breaks in between.

Here: what an alarm's event must be, and the one order of steps in which it never becomes two. Not here: calls (`provoly_client`), words
(`provoly_words`), work orders (`work_orders`), retries (`follower`).

The intention to create an event is committed before it is posted. Found at a later try, it means: perhaps it was. Then the event is looked
for by its name before another is posted, and not before a posting that was cut off could still be under way.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from orchestration.alerts import lifecycle
from orchestration.alerts.deliveries import provoly_words as words
from orchestration.alerts.deliveries.ledger import EVENT, Ledger, Remote
from orchestration.alerts.deliveries.outbound import Refused, TryLater
from orchestration.alerts.deliveries.provoly_client import ProvolyClient
from orchestration.alerts.deliveries.targets import Provoly
from orchestration.alerts.model import Entry
from orchestration.alerts.store.store import Store

_NOT_FOUND: Final = 404
_NAME_TAKEN: Final = "already exists"
_NO_EQUIPMENT: Final = "quipment"


class ProvolySender:
    """Keeps the hypervisor's events as the alarms are.

    Args of the class: the `target`; what the `instance` is called; the `client`; `store` and `ledger`; `since`, when the target was first
    known; `now`, the clock. `notes` holds what is wrong and stopped nothing: equipment that is not known there.
    """

    last_only = True

    def __init__(
        self,
        target: Provoly,
        instance: str,
        client: ProvolyClient,
        store: Store,
        ledger: Ledger,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._target, self._instance, self._client = target, instance, client
        self._store, self._ledger, self._now = store, ledger, now
        self.settle_s = target.settle.total_seconds()
        self.notes: dict[str, str] = {}
        self._since: dt.datetime | None = None

    @staticmethod
    def wants(entry: Entry) -> bool:
        """Return True: what is to be done is decided by the alarm as it is then."""
        del entry
        return True

    async def send(self, entry: Entry) -> None:
        """Make the event what the alarm is now."""
        alarm = lifecycle.snapshot(await asyncio.to_thread(self._store.get, entry.alarm_id))
        remote = await asyncio.to_thread(self._ledger.remote, self._target.target, entry.alarm_id, EVENT)
        if remote is None or remote.remote_id is None:
            remote = remote or Remote(self._target.target, entry.alarm_id, EVENT, None, {"name": words.name(alarm)})
            remote = await self._left_there(alarm, remote) or (await self._create(alarm, remote) if await self._is_for_us(alarm) else None)
        if remote is None or remote.state.get("closed"):
            return
        changing = words.changing(alarm)
        if self._target.updates and remote.state.get("words") != changing:
            await self._update(alarm, remote, changing)
            remote = await self._keep(remote, words=changing)
        if alarm["closed_at"] is not None:
            await self._close(remote)
            await self._keep(remote, closed=True)

    def body(self, entry: Entry) -> dict[str, Any]:
        """Return the event as it would be posted."""
        return words.event(self._target, self._instance, entry.alarm, words.name(entry.alarm), None)

    async def _is_for_us(self, alarm: dict[str, Any]) -> bool:
        """Return whether an alarm without an event gets one: it stands for itself, and was not over before the target was known."""
        if alarm["suppressed_by"] is not None or alarm["parent_id"] is not None or alarm["is_out_of_service"]:
            return False
        if alarm["shelved_until"] is not None or not self._target.filter.takes_alarm(alarm):
            return False
        if alarm["closed_at"] is None:
            return True
        if self._since is None:
            cursor = await asyncio.to_thread(self._ledger.begin, self._target.target, with_live=True)
            self._since = cursor.since
        return self._since is None or dt.datetime.fromisoformat(alarm["closed_at"]) >= self._since

    async def _create(self, alarm: dict[str, Any], remote: Remote) -> Remote:
        """Return the alarm's new event."""
        name = remote.state["name"]
        equipment = await self._equipment(alarm)
        event = words.event(self._target, self._instance, alarm, name, equipment["id"] if equipment else None)
        now = self._now().isoformat()
        sent = {k: event.get(k) for k in ("equipmentId", "externalSourceRef", "category", "subCategory")}
        state = {"attempted_at": now, "first_attempt_at": remote.state.get("first_attempt_at", now), "sent": sent}
        remote = await self._keep(remote, **state)
        try:
            found = await self._client.create(event)
        except Refused as refused:
            if _NAME_TAKEN in refused.body:
                found = await self._find(alarm, remote)
                if found is None:
                    raise
                return await self._keep(replace(remote, remote_id=found), words=None)
            if event.get("equipmentId") and _NO_EQUIPMENT in refused.body:
                self._client.forget_equipment()  # removed there meanwhile: asked for anew at the next try
                raise TryLater(refused.message) from None
            raise
        found = found or await self._find(alarm, remote)
        if found is None:
            raise TryLater(f"took the event {name!r}, and does not list it")
        return await self._keep(replace(remote, remote_id=found), words={k: event[k] for k in words.changing(alarm)})

    async def _left_there(self, alarm: dict[str, Any], remote: Remote) -> Remote | None:
        """Return the event that an earlier try left there, None when there was none."""
        if "attempted_at" not in remote.state:
            return None
        # A posting that was cut off may still be under way there: not before it has had its time is absence a fact.
        attempted = dt.datetime.fromisoformat(remote.state["attempted_at"])
        rest = self._target.timeout_s - (self._now() - attempted).total_seconds()
        if rest > 0:
            await asyncio.sleep(min(rest, self._target.timeout_s))
        found = await self._find(alarm, remote)
        return None if found is None else await self._keep(replace(remote, remote_id=found), words=None)

    async def _find(self, alarm: dict[str, Any], remote: Remote) -> str | None:
        """Return the id of the alarm's event there, None when there is none.

        Raises:
            Refused: an event of that name is somebody else's.
        """
        name = remote.state["name"]
        if self._target.events_path == "/events":
            found = await self._client.find(name, dt.datetime.fromisoformat(remote.state["first_attempt_at"]))
        else:
            found = await self._client.by_id(words.event_id(self._instance, alarm["alarm_id"]))
        if found is None:
            return None
        ours = (remote.state.get("sent") or {}).get("externalSourceRef")
        theirs = found.get("externalSourceRef")
        if ours is not None and theirs is not None and theirs != ours:
            raise Refused(f"an event called {name!r} is there already, of another source ({theirs})")
        return str(found["id"])

    async def _update(self, alarm: dict[str, Any], remote: Remote, changing: dict[str, str]) -> None:
        assert remote.remote_id is not None  # noqa: S101 - says to the type checker what send() made sure of
        sent = {k: v for k, v in (remote.state.get("sent") or {}).items() if v is not None}
        category, sub = self._target.categories.of(alarm)
        # All but the words stay what they were when it was created: the hypervisor refuses anything else.
        event = {"name": remote.state["name"], "type": "ALERT", "category": category, **sent, **changing}
        if sub is not None and "category" not in sent:
            event["subCategory"] = sub
        number = int(remote.remote_id) if remote.remote_id.isdecimal() else remote.remote_id
        try:
            await self._client.update(remote.remote_id, {"id": number, **event})
        except Refused as refused:
            raise Refused(
                f"an event cannot be changed there: {refused.message}; write updates: false, if its version never lets it",
                status=refused.status,
            ) from None

    async def _close(self, remote: Remote) -> None:
        assert remote.remote_id is not None  # noqa: S101 - as above
        try:
            await self._client.close(remote.remote_id)
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise
            self.notes["closed"] = f"event {remote.remote_id} was removed there before it was closed"

    async def _equipment(self, alarm: dict[str, Any]) -> dict[str, Any] | None:
        """Return the hypervisor's equipment of an alarm, created first where it is declared how; None when there is none."""
        told = [alarm["asset_ref"], alarm["asset_id"], alarm["asset_name"]]
        candidates = [word for word in told if word]
        if not candidates:
            return None
        found = await self._client.equipment(candidates)
        document = self._as_equipment(alarm)
        if document is not None and (found is None or _differs(found, document)):
            try:
                await self._client.save_equipment(document)
            except Refused as refused:
                self.notes["equipment"] = f"{alarm['asset_ref']} cannot be kept in step there: {refused.message}"
            else:
                found = await self._client.equipment(candidates)
        if found is None:
            self.notes["equipment"] = f"{alarm['asset_ref']} is not known there: its events are sent without equipment and external source"
        return found

    def _as_equipment(self, alarm: dict[str, Any]) -> dict[str, Any] | None:
        codes = self._target.equipment
        if codes is None or not alarm["asset_id"]:
            return None
        family, entity = codes.families.get(alarm["asset_type"] or ""), codes.entities.get(alarm["owner_authority"] or "")
        city = codes.cities.get(alarm["commune"] or "")
        if family is None or entity is None or city is None or not alarm["domain"]:
            return None
        return {
            "id": alarm["asset_id"],
            "code": alarm["asset_ref"],
            "name": alarm["asset_name"] or alarm["asset_ref"],
            "family": family,
            "domain": alarm["domain"],
            "entity": entity,
            "city": city,
            "address": words.address(alarm),
            "level": 1,
        }

    async def _keep(self, remote: Remote, **state: Any) -> Remote:
        remote = replace(remote, state={**remote.state, **state})
        await asyncio.to_thread(self._ledger.put, remote)
        return remote


def _differs(found: dict[str, Any], document: dict[str, Any]) -> bool:
    """Return whether equipment that we created (its external id is ours) is called or placed otherwise by now."""
    return found.get("externalId") == document["id"] and any(
        found.get(key) is not None and found[key] != document[key] for key in ("code", "name", "address")
    )
