"""The hypervisor's API: a token that is renewed, events, equipment, work orders.

Here: its calls and their bounds. Not here: what is sent (`provoly_words`), when (`provoly`, `work_orders`).
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import httpx

from orchestration.alerts.deliveries.outbound import Answer, Refused, TryLater, ask
from orchestration.alerts.deliveries.targets import Provoly
from orchestration.alerts.deliveries.webhook import Secret

_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
# A page of events is 60 kB; all equipment of 34,000 lights with their parents 25 MB, of 100,000 assets some 60.
_MOST_EVENTS: Final = 8 * 1024**2
_MOST_EQUIPMENT: Final = 128 * 1024**2
_PAGE: Final = 100
# 5,000 events on one day: past that, something else is wrong than a message in doubt.
_PAGES: Final = 50
# Their clock and ours, in whatever zone they write it.
_CLOCKS_DIFFER: Final = dt.timedelta(days=1)
# A token is renewed so long before it ends: longer than a request takes.
_TOKEN_MARGIN_S: Final = 30.0
# RFC 6749 does not oblige the provider to say how long; Keycloak's own default is five minutes.
_TOKEN_LASTS_S: Final = 60.0
# Equipment is read anew after ten minutes, and for a code that is not in it, at most once a minute.
_EQUIPMENT_LASTS_S: Final = 600.0
_EQUIPMENT_AGAIN_S: Final = 60.0


class ProvolyClient:
    """Args of the class: the `target`; `http`; how a `secret` is got; `clock`, monotonic seconds."""

    def __init__(self, target: Provoly, http: httpx.AsyncClient, secret: Secret, clock: Callable[[], float]) -> None:
        self._target, self._http, self._secret, self._clock = target, http, secret, clock
        self._root = target.url.rstrip("/")
        self._token, self._token_until = "", 0.0
        self._token_lock = asyncio.Lock()
        self._equipment: dict[str, dict[str, Any]] = {}
        self._equipment_at: float | None = None
        self._equipment_lock = asyncio.Lock()

    # --- events

    async def create(self, event: dict[str, Any]) -> str | None:
        """Create an event; return its id, None where the answer does not hold it.

        Raises:
            TryLater: it may or may not have been created.
            Refused: it was not.
        """
        created = (await self._ask("POST", self._target.events_path, json=event)).json()
        found = created.get("id") if isinstance(created, dict) else None
        return str(found) if found is not None else event.get("id")

    async def find(self, name: str, since: dt.datetime) -> dict[str, Any] | None:
        """Return the event of a name that was created since an instant (give or take a day), None when there is none.

        Raises:
            TryLater: it could not be told whether there is one.
        """
        for page in range(1, _PAGES + 1):
            query = {"page": page, "pageSize": _PAGE, "sort": "creationDate", "order": "DESC"}
            events = (await self._ask("GET", "/events", params=query, most=_MOST_EVENTS)).json()
            if not isinstance(events, list):
                raise TryLater("answered GET /events with what is no list")
            for event in events:
                if event.get("name") == name:
                    return dict(event)
            if len(events) < _PAGE or _is_before(events[-1].get("creationDate"), since - _CLOCKS_DIFFER):
                return None
        raise TryLater(f"has more than {_PAGES * _PAGE} events of these days: whether {name!r} is among them cannot be told")

    async def by_id(self, event_id: str) -> dict[str, Any] | None:
        """Return an event by its id, None when there is none."""
        try:
            found = (await self._ask("GET", f"/events/id/{quote(event_id, safe='')}")).json()
        except Refused as refused:
            if refused.status == _NOT_FOUND:
                return None
            raise
        return found if isinstance(found, dict) else None

    async def update(self, event_id: str, event: dict[str, Any]) -> None:
        """Change an event."""
        await self._ask("PUT", f"/events/id/{quote(event_id, safe='')}", json=event)

    async def close(self, event_id: str) -> None:
        """Close an event; closing it twice is closing it once."""
        await self._ask("PUT", f"/events/id/{quote(event_id, safe='')}/close")

    # --- equipment

    async def equipment(self, words: list[str]) -> dict[str, Any] | None:
        """Return the equipment that one of these words is the external id, code or name of; the first word that is known wins."""
        async with self._equipment_lock:
            age = None if self._equipment_at is None else self._clock() - self._equipment_at
            found = self._known(words)
            if age is None or age > _EQUIPMENT_LASTS_S or (found is None and age > _EQUIPMENT_AGAIN_S):
                await self._read_equipment()
                found = self._known(words)
            return found

    def forget_equipment(self) -> None:
        """Read it anew at the next question: the hypervisor does not know what we thought it does."""
        self._equipment_at = None

    async def save_equipment(self, equipment: dict[str, Any]) -> None:
        """Create a piece of equipment, or change the one of its id."""
        await self._ask("POST", "/equipments", json=[equipment])
        self.forget_equipment()

    def _known(self, words: list[str]) -> dict[str, Any] | None:
        return next((found for word in words if (found := self._equipment.get(word)) is not None), None)

    async def _read_equipment(self) -> None:
        listed = (await self._ask("GET", "/equipments", most=_MOST_EQUIPMENT)).json()
        if not isinstance(listed, list):
            raise TryLater("answered GET /equipments with what is no list")
        known: dict[str, dict[str, Any]] = {}
        for key in ("name", "code", "externalId"):  # the surest last: it wins
            known |= {item[key]: item for item in listed if isinstance(item.get(key), str) and item.get("id")}
        self._equipment, self._equipment_at = known, self._clock()

    # --- work orders

    async def save_service(self, service: dict[str, Any]) -> None:
        """Create a work order, or change the one of its id."""
        await self._ask("POST", "/services", json=[service])

    async def services(self) -> list[dict[str, Any]]:
        """Return all work orders."""
        listed = (await self._ask("GET", "/services", most=_MOST_EQUIPMENT)).json()
        if not isinstance(listed, list):
            raise TryLater("answered GET /services with what is no list")
        return [item for item in listed if isinstance(item, dict)]

    # --- the token

    async def _ask(self, method: str, path: str, **options: Any) -> Answer:
        for is_last in (False, True):
            token = await self._bearer()
            try:
                return await ask(self._http, method, self._root + path, headers={"authorization": f"Bearer {token}"}, **options)
            except Refused as refused:
                if refused.status != _UNAUTHORIZED:
                    raise
                # It was revoked, or the provider's keys changed; nothing was done.
                self._token_until = 0.0 if token == self._token else self._token_until
                if is_last:
                    raise TryLater(f"{method} {path}: a new token is refused too: {refused.message}", is_away=True) from None
        raise AssertionError("the second time returns or raises")

    async def _bearer(self) -> str:
        async with self._token_lock:
            if self._clock() < self._token_until:
                return self._token
            account = self._target.oidc
            form = {
                "grant_type": "client_credentials",
                "client_id": account.client_id,
                "client_secret": self._secret(account.client_secret).get_secret_value(),
            } | ({"scope": account.scope} if account.scope else {})
            try:
                document = (await ask(self._http, "POST", account.token_url, data=form)).json()
            except Refused as refused:  # somebody corrects the account: events wait for that, as they wait for a host
                raise TryLater(f"the identity provider gives no token: answered {refused.status}", is_away=True) from None
            if not isinstance(document, dict) or not isinstance(document.get("access_token"), str):
                raise TryLater("the identity provider answered without access_token", is_away=True)
            lasts = document.get("expires_in")
            lasts_s = float(lasts) if isinstance(lasts, int | float) else _TOKEN_LASTS_S
            self._token = document["access_token"]
            self._token_until = self._clock() + max(lasts_s - _TOKEN_MARGIN_S, lasts_s / 2)
            return self._token


def _is_before(written: object, instant: dt.datetime) -> bool:
    try:
        at = dt.datetime.fromisoformat(str(written))
    except ValueError:
        return False
    return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)) < instant
