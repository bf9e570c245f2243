"""Property: whatever contract the model admits, written as YAML, loads back equal."""

from __future__ import annotations

import datetime as dt
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ingestion.contracts.units import UNITS
from ingestion.feeds.load import load_feed
from ingestion.feeds.model import Feed

# Names as sources write them: accents, blanks, quotes, YAML's own characters, numbers, reserved words.
NAMES = st.one_of(
    st.sampled_from(
        ["no", "~", "true", "007", "1_000", "2024-01-31", "N° DEMANDE", "a: b", "# x", "it's", '"', "{x}", "&a", "*a", "%", "-", "null"]
    ),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12),
).filter(lambda text: text.strip() not in {"TO COMPLETE", "À COMPLÉTER", "A COMPLETER"})
SLUGS = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True)
DURATIONS = st.timedeltas(dt.timedelta(seconds=1), dt.timedelta(days=4000)).map(lambda d: dt.timedelta(seconds=int(d.total_seconds())))
FORMATS = st.sampled_from(["%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "default", ["%d/%m/%y", "%Y-%m-%d"]])


@st.composite
def feeds(draw: st.DrawFn) -> dict[str, Any]:
    columns = draw(st.lists(NAMES, min_size=3, max_size=6, unique=True))
    fields: list[dict[str, Any]] = [{"name": c, "classification": draw(st.sampled_from(["open", "internal"]))} for c in columns]
    fields[1] |= {"type": "datetime"}
    if draw(st.booleans()):
        fields[1]["format"] = draw(FORMATS)
    fields[2] |= {"type": "number", "missingValues": draw(st.lists(NAMES, max_size=3))}
    instant: dict[str, Any] = {"column": columns[1]}
    if draw(st.booleans()):
        instant |= {"offset": draw(DURATIONS | DURATIONS.map(lambda d: -d)), "time_zone": draw(st.sampled_from(["UTC", "Europe/Paris"]))}
    feed: dict[str, Any] = {
        "feed": draw(SLUGS),
        "title": draw(NAMES),
        "domain": draw(st.sampled_from(["EP", "GRC", "METEO"])),
        "owner": {"name": draw(NAMES)},
        "steward": {"name": draw(NAMES), "contact": draw(st.none() | NAMES)},
        "source": {"publisher": draw(NAMES), "licence": draw(NAMES)},
        "territory": {
            "code": draw(SLUGS),
            "name": draw(NAMES),
            "time_zone": "Europe/Paris",
            "holidays": draw(st.sampled_from(["FR", "FR-57", "US-CA"])),
            "latitude": draw(st.floats(-90, 90)),
            "longitude": draw(st.floats(-180, 180)),
        },
        "time_zone": draw(st.sampled_from(["UTC", "Europe/Paris", "America/Los_Angeles"])),
        "missingValues": draw(st.lists(NAMES, max_size=3)),
        "fields": fields,
        "retention": draw(st.none() | DURATIONS),
        "freshness": draw(st.none() | DURATIONS),
        "schedule": draw(st.sampled_from([None, "15 6 * * *", "*/5 0-6 1,15 jan-mar mon"])),
        "alerts": draw(st.booleans()),
    }
    match draw(st.sampled_from(["report", "observation", "energy_reading"])):
        case "report":
            codes = draw(st.dictionaries(NAMES, NAMES, min_size=1, max_size=3))
            feed |= {
                "contract": "report",
                "mapping": {
                    "report_ref": {"column": columns[0]},
                    "opened_at": instant,
                    "status": {"column": columns[0], "values": codes, "other": "keep"},
                },
                "indicators": {"faults": [{"category": draw(NAMES), "fault_type": draw(SLUGS)}]},
            }
        case "observation":
            measure: dict[str, Any] = {"column": columns[2], "property": draw(NAMES), "unit": draw(st.sampled_from(sorted(UNITS)))}
            measure |= {"minimum": draw(st.none() | st.floats(-1e9, 0)), "maximum": draw(st.none() | st.floats(0, 1e9))}
            feed |= {
                "contract": "observation",
                "mapping": {"asset_ref": {"column": columns[0]}, "observed_at": instant},
                "measures": [measure],
            }
        case _:
            feed |= {
                "contract": "energy_reading",
                "mapping": {
                    "meter_ref": {"constant": draw(NAMES)},
                    "start_at": {"column": columns[1]},
                    "end_at": instant,
                    "energy_wh": {"column": columns[2], "unit": draw(st.sampled_from(["W.h", "kW.h", "MJ"]))},
                },
                "indicators": {"baselines": [{"start": "2025-01-01", "end": "2026-01-01", "tolerance_pct": draw(st.floats(0.1, 100))}]},
            }
    return feed


@settings(max_examples=100, deadline=None)
@given(feeds())
def test_a_contract_written_as_yaml_loads_back_equal(tmp_path_factory: pytest.TempPathFactory, declared: dict[str, Any]) -> None:
    feed = Feed.model_validate(declared)
    text = StringIO()
    YAML(typ="safe").dump(feed.model_dump(mode="json", by_alias=True), text)
    path = Path(tmp_path_factory.getbasetemp()) / f"{feed.feed}.yaml"
    path.write_text(text.getvalue(), encoding="utf-8")
    assert load_feed(path) == feed
