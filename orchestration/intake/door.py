"""From a request to a stored message, whatever its address: who may, how fast, and the broker's word.

Here: the order of the checks. Not here: addresses and their answers (`app`, `talq`).
"""

from __future__ import annotations

import math
from http import HTTPStatus

from orchestration.intake.access import Access, Rate, Verdict
from orchestration.intake.answers import RefusedError, unavailable
from orchestration.intake.publishing import CannotStoreError, Publisher, Receipt


class Door:
    """The way of every message.

    Args of the class: `access`, feeds and tokens; `publisher`, the broker; `rate`, the bound on each feed.
    """

    def __init__(self, access: Access, publisher: Publisher, rate: Rate) -> None:
        self.access, self.publisher, self._rate = access, publisher, rate

    def admit(self, feed: str, token: str | None) -> None:
        """Let the bearer of a token pass to a feed.

        Raises:
            RefusedError: 401, 403, 404.
        """
        verdict = self.access.judge(feed, token)
        match verdict:
            case Verdict.NO_TOKEN:
                raise RefusedError(
                    HTTPStatus.UNAUTHORIZED, verdict.value, "send `Authorization: Bearer TOKEN`; vigie feeds access FEED shows where it is",
                    {"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
            case Verdict.OTHER_FEED:
                raise RefusedError(HTTPStatus.FORBIDDEN, f"{verdict.value}, not of {feed}", "use the token of this feed")
            case Verdict.UNKNOWN_FEED:
                raise RefusedError(
                    HTTPStatus.NOT_FOUND, f"{feed}: no feed of this name is sent", "vigie status says which contract is not let in",
                    key="resourceNotFound",
                )  # fmt: skip
            case Verdict.ALLOWED:
                return

    def slow_down(self, feed: str) -> None:
        """Take one message of a feed's rate.

        Raises:
            RefusedError: 429.
        """
        if (wait_s := self._rate.wait_s(feed)) > 0:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"more than {self._rate.per_s:.0f} messages a second",
                "wait as long as Retry-After says; several records can stand in one message",
                {"Retry-After": str(math.ceil(wait_s))},
            )

    async def store(self, feed: str, key: str, body: bytes, *, message_id: str | None, query: str) -> Receipt:
        """Have a message stored.

        Raises:
            RefusedError: 503.
        """
        try:
            return await self.publisher.publish(feed, key, body, message_id=message_id, query=query)
        except CannotStoreError as error:
            raise unavailable(str(error)) from None
