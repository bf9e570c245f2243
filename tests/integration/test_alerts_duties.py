"""What is due each second is done, whatever one work order holds."""

from __future__ import annotations

import asyncio
import contextlib

from orchestration.alerts.model import Ordered
from orchestration.alerts.runtime.duties import Duties
from tests.alerts_web import MORNING, Alarms, change

pytest_plugins = ("tests.alerts_web",)


def _order(ref: str, crew: str) -> Ordered:
    return Ordered("gmao", "gis", ref, "L9", None, None, "dispatched", MORNING, MORNING, None, None, None, crew, MORNING)


def test_a_work_order_that_no_database_holds_is_left_out_and_the_next_is_linked(alarms: Alarms) -> None:
    alarm_id = alarms.tell(change("lampe", "L9", 0))[0].alarm_id
    duties = Duties(alarms.settings, dict)
    for order in (_order("OT-1", "a\0b"), _order("OT-2", "\ud800"), _order("OT-3", "Équipe 3")):
        duties.take(order)

    async def main() -> None:
        task = asyncio.create_task(duties.run())
        async with asyncio.timeout(20):
            while duties.waiting:  # noqa: ASYNC110 - it says nothing when it is done
                await asyncio.sleep(0.02)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert duties.refused == 2
    assert [(o["ref"], o["crew"]) for o in alarms.store.get(alarm_id).work_orders] == [("OT-3", "Équipe 3")]
