"""The checks of landings: an account that does not add up is found, a share of rejects is measured."""

from __future__ import annotations

from ingestion.lake.session import connect
from orchestration.services.prepare import prepare
from orchestration.settings import Settings
from quality import landings


def test_a_lost_record_and_many_rejects_are_found(instance: Settings) -> None:
    """One feed lost a record of ten, another rejected one of its last ten; the third is in order."""
    prepare(instance)
    rows = [(1, "lost", 10, 8, 1, 0), (2, "dirty", 100, 100, 0, 0), (3, "dirty", 10, 9, 0, 1), (4, "clean", 10, 10, 0, 0)]
    with connect(instance.lake) as con:
        con.executemany(
            "INSERT INTO lake.raw.landing (landing_seq, feed, received, stored, duplicate, rejected) VALUES (?, ?, ?, ?, ?, ?)", rows
        )

    balances, shares = landings.balances(instance.lake), landings.rejected_shares(instance.lake)

    assert {feed: o.passed for feed, o in balances.items()} == {"lost": False, "dirty": True, "clean": True}
    assert balances["lost"].numbers["unbalanced_landings"] == 1
    assert {feed: o.passed for feed, o in shares.items()} == {"lost": True, "dirty": False, "clean": True}
    assert shares["dirty"].numbers["share"] == 0.1
