"""What a contract's filter leaves out: said before anything else is said of the record.

Here: the order of the reasons. Not here: what an expression may say.
"""

from __future__ import annotations

from pathlib import Path

from ingestion.feeds.model import Feed
from ingestion.landing import preview


def test_a_record_out_of_scope_is_not_judged_further(tmp_path: Path, extension_directory: Path) -> None:
    """A record that the filter leaves out has one reason, whatever else it lacks; one within has the contract's."""
    place = {"code": "x", "name": "X", "time_zone": "UTC", "holidays": "FR", "latitude": 0, "longitude": 0}
    feed = Feed.model_validate(
        {
            "feed": "meters",
            "title": "Compteurs",
            "contract": "energy_reading",
            "domain": "PAT",
            "owner": {"name": "a"},
            "steward": {"name": "b"},
            "source": {"publisher": "c", "licence": "internal"},
            "territory": place,
            "time_zone": "UTC",
            "filter": "kind = 'EA'",
            "fields": [{"name": n} for n in ("meter", "kind", "at", "wh")],
            "mapping": {
                "meter_ref": "meter",
                "start_at": {"column": "at", "format": "default"},
                "end_at": {"column": "at", "format": "default", "offset": "PT30M"},
                "energy_wh": {"column": "wh", "unit": "W.h"},
            },
        }
    )
    file = tmp_path / "meters.csv"
    file.write_text(
        "meter,kind,at,wh\n"
        "m1,EA,2024-01-01 00:00,5\n"
        "m1,ERI,2024-01-01 00:00,\n"  # without a value
        "m1,,someday,many\n"  # nothing right: an unknown kind is outside too
        "m1,EA,2024-01-01 00:30,\n"
        "m1,EA,2024-01-01 01:00,many\n"
    )

    seen = preview(feed, file, extension_directory=extension_directory)

    assert {(r["position"], r["reason"]) for r in seen.rejects} == {
        (2, "out_of_scope"),
        (3, "out_of_scope"),
        (4, "missing"),
        (5, "not_a_number"),
    }
    assert [row["energy_wh"] for row in seen.rows] == [5.0]
