"""Every message of history is accounted for: received = stored + duplicate + rejected, and duplicates are those it repeated."""

from __future__ import annotations

from tests.truth.month import FEEDS, TIMEOUT, Month

pytest_plugins = ("tests.truth.month",)
pytestmark = TIMEOUT


def test_every_feed_balances_and_counts_what_came_twice(month: Month) -> None:
    assert set(month.ledger) == set(FEEDS)
    for feed, account in month.ledger.items():
        sent, repeated = month.sent[feed]
        assert account == {"received": sent, "stored": sent - repeated, "duplicate": repeated, "rejected": 0, "rejected_values": 0}, feed
    # What comes twice is there: lights, meters, and one paper at least.
    assert all(month.sent[feed][1] > 100 for feed in ("sim-eclairage", "sim-compteurs"))
    assert sum(month.sent[feed][1] for feed in ("sim-signalements", "sim-appels", "sim-interventions")) > 0
