"""The public data sets, landed whole through their shipped contracts.

Here: what becomes of every record, and rows converted by hand. Not here: what is built from them (end-to-end tests).

The expected numbers come from the files, counted without this platform (docs/real-data.md says what they mean). The sets are
not part of the repository: without them (`VIGIE_SHARED_DATA`) these tests are skipped.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from ingestion.feeds.load import load_feed
from ingestion.lake.ledger import feed_totals
from ingestion.lake.writer import Landed
from orchestration.settings import Settings
from tests.lakes import Lakes, drop_lakes, make_lakes

pytest_plugins = ("tests.lakes",)

EXAMPLES: Final = Path(__file__).resolve().parents[2] / "ingestion" / "feeds" / "examples"


@dataclass(frozen=True)
class Account:
    """What becomes of a set's records.

    Attributes:
        files: globs under the folder of the sets, landed in order.
        received: source records.
        stored: those with a row in the lake.
        duplicate: those that repeat another.
        reasons: why the others, or single values, are refused.
        rejected_values: how many of those reasons are about one value of a record that is kept.
        rows: canonical rows; as many as records where a contract has no measures.
    """

    files: str
    received: int
    stored: int
    duplicate: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    rejected_values: int = 0
    rows: int | None = None


ACCOUNTS: Final[dict[str, Account]] = {
    "sf-311": Account("signalements/sf311_cases_sample.csv", 4984, 4984),
    "paris-dans-ma-rue": Account("signalements/paris_dans_ma_rue_extrait.csv", 10000, 10000),
    "nyc-311": Account("signalements/nyc311_extrait_2024.csv", 1000, 1000),
    "nyc-311-animals": Account("signalements/nyc311_animals_short.csv", 4969, 4969),
    "pittsburgh-311": Account("signalements/pittsburgh311.csv", 500, 500),
    "dc-streetlights": Account("eclairage/dc_streetlights_downtown.csv", 3963, 3963),
    "montpellier-eclairage": Account("eclairage/montpellier_eclairage_shp_l93.zip", 29969, 29969),
    "london-smart-meters": Account("energie/lcl_londres/MAC*.csv", 105113, 105113),
    "steel-plant": Account("energie/steel_industry_15min.csv", 35040, 35040),
    "paris-chantiers": Account("travaux/paris_chantiers.csv", 1725, 1725),
    "paris-chantiers-perturbants": Account("travaux/paris_chantiers_perturbants.csv", 52, 52),
    "mons-office-co2": Account("qai/occupancy_*.txt", 20560, 20560, rows=123360),
    "edinburgh-bins": Account("dechets/edimbourg_capteurs_corbeilles_brut.xlsx", 10000, 10000, rows=40000),
    # 14 stations kept silent once; 565 skies that could not be seen (101 %).
    "synop": Account("meteo/synop.20*", 48175, 48161, reasons={"out_of_range": 565, "no_value": 14}, rejected_values=565, rows=447117),
    "synop-pluie": Account("meteo/synop.20*", 48175, 46230, reasons={"has_value": 1945}),
    # 10 temperatures of 0 K and a rain of 9,831 mm.
    "i94-traffic": Account(
        "trafic/metro_interstate_i94.csv", 48204, 40654, duplicate=7550, reasons={"out_of_range": 11}, rejected_values=11, rows=202983
    ),
    # The hour that spring skips: four quarters, of which two are empty beside the 17,518 empty ones elsewhere.
    "rte-eco2mix": Account("energie/rte_france_conso_2018_30min.csv", 35040, 17518, reasons={"no_value": 17518, "not_an_instant": 4}),
    "air-quality-uci": Account("qai/AirQualityUCI_exterieur.csv", 9357, 9326, reasons={"no_value": 31}, rows=50994),
    "montpellier-parkings": Account("stationnement/montpellier_2025/Voiture/*.json", 9048, 300, duplicate=8748, rows=600),
    "communes": Account("territoire/communes-*.geojson", 1317, 1317),
    "hubeau-stations": Account("eau/hubeau_hydroelab_stations.json", 4439, 4439),
}


class Landings:
    """One lake of this module, in which each set is landed once, when a test first asks for it."""

    def __init__(self, lakes: Lakes, data: Path) -> None:
        self.lakes = lakes
        self._data = data
        self._landed: dict[str, list[Landed]] = {}

    def files(self, name: str) -> list[Path]:
        """List a set's files, in the order they are landed."""
        found = sorted(self._data.glob(ACCOUNTS[name].files))
        if not found:
            pytest.skip(f"{ACCOUNTS[name].files} is not in {self._data}")
        return found

    def land(self, name: str, path: Path, *, force: bool = False) -> Landed:
        """Land a file through a shipped contract."""
        return self.lakes.land(load_feed(EXAMPLES / f"{name}.yaml"), path, force=force)

    def __getitem__(self, name: str) -> list[Landed]:
        """Return what became of a set's files."""
        if name not in self._landed:
            self._landed[name] = [self.land(name, path) for path in self.files(name)]
        return self._landed[name]

    def query(self, name: str, sql: str) -> list[tuple[Any, ...]]:
        """Query a set: `rows` stands for its canonical rows, `rejects` for its refused records and values."""
        assert self[name]
        table = f"lake.raw.{load_feed(EXAMPLES / f'{name}.yaml').contract}"
        # A file landed a second time by force is refused the same records again.
        rejects = f"SELECT DISTINCT position, scope, reason, detail FROM lake.raw.rejected WHERE feed = '{name}'"
        return self.lakes.query(f"WITH rows AS (SELECT * FROM {table} WHERE feed = '{name}'), rejects AS ({rejects}) {sql}")

    def one(self, name: str, sql: str) -> tuple[Any, ...]:
        """Query the only row of an answer."""
        rows = self.query(name, sql)
        assert len(rows) == 1, rows
        return rows[0]


@pytest.fixture(scope="module")
def landings(lake_server: Settings, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landings]:
    """The sets in a lake that the tests of this module share."""
    lakes = make_lakes(lake_server, tmp_path_factory.mktemp("real-data"))
    yield Landings(lakes, shared_data)
    drop_lakes(lakes)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> dt.datetime:
    """Return a UTC instant."""
    return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)


@pytest.mark.parametrize("name", ACCOUNTS)
def test_every_record_is_accounted_for(name: str, landings: Landings) -> None:
    """A set lands whole: so many stored, so many duplicates, so many refused and why; read again, nothing is new."""
    expected, first = ACCOUNTS[name], landings[name]

    def total(of: str) -> int:
        return sum(getattr(landing, of) for landing in first)

    reasons: Counter[str] = Counter()
    for landing in first:
        assert landing.balances, landing
        reasons.update(landing.reasons)
    assert (total("received"), total("stored"), total("duplicate")) == (expected.received, expected.stored, expected.duplicate)
    assert dict(reasons) == expected.reasons
    assert total("rejected_values") == expected.rejected_values
    assert total("rejected") == sum(expected.reasons.values()) - expected.rejected_values
    rows = expected.stored if expected.rows is None else expected.rows
    assert landings.one(name, "SELECT count(*) FROM rows") == (rows,)

    # By force, because a file that landed once is not even read again (test_the_ledger_shows_what_landed_once).
    forced = landings.land(name, landings.files(name)[0], force=True)
    assert (forced.stored, forced.duplicate) == (0, first[0].stored + first[0].duplicate)
    assert landings.one(name, "SELECT count(*) FROM rows") == (rows,)


def test_the_ledger_shows_what_landed_once(landings: Landings) -> None:
    """What is shown of a feed adds up, and a file that comes again adds nothing to it."""
    name = "london-smart-meters"
    first = landings[name]
    before = feed_totals(landings.lakes.main)[name]
    assert before.balances
    assert before.stored == sum(landing.stored for landing in first)
    assert all(landings.land(name, path).already_landed for path in landings.files(name))
    assert feed_totals(landings.lakes.main)[name] == before


def test_san_francisco_reads_local_time_and_keeps_personal_columns_apart(landings: Landings) -> None:
    """A December case is eight hours behind UTC, a June one seven; 55 are closed before they are opened."""
    opened = "SELECT opened_at, closed_at, channel FROM rows WHERE report_ref = '1757188'"
    # 2012-12-04 15:21:00 and 2012-12-06 04:39:00, Pacific Standard Time
    assert landings.one("sf-311", opened) == (at(2012, 12, 4, 23, 21), at(2012, 12, 6, 12, 39), "phone")
    assert landings.one("sf-311", "SELECT count(*) FROM rows WHERE closed_at < opened_at") == (55,)
    assert landings.one("sf-311", "SELECT count(*) FROM rows WHERE closed_at IS NULL") == (222,)
    assert landings.one("sf-311", "SELECT count(description), count(street) FROM rows") == (0, 0)
    kept_apart = "SELECT count(DISTINCT position) FROM lake.raw.personal_record WHERE feed = 'sf-311'"
    assert landings.lakes.query_personal(kept_apart) == [(4984,)]


def test_paris_reads_a_day_and_a_python_dictionary(landings: Landings) -> None:
    """A July day begins at 22:00 UTC the day before; damaged channels of Apple's application are an application."""
    row = "SELECT opened_at, closed_at, district, longitude, latitude FROM rows WHERE report_ref = 'G2024G079992'"
    assert landings.one("paris-dans-ma-rue", row) == (at(2024, 7, 24, 22), None, "Paris 20", 2.400698662235647, 48.84822845327008)
    channels = dict(landings.query("paris-dans-ma-rue", "SELECT channel, count(*) FROM rows GROUP BY ALL"))
    assert channels == {"application": 6677 + 2923, "website": 320, "agency": 80}


@pytest.mark.parametrize(
    ("name", "ref", "opened_at", "closed_at_once"),
    [
        ("nyc-311", "60879417", at(2024, 4, 16, 7, 3, 15), 6),  # 2024-04-16T03:03:15.000
        ("nyc-311-animals", "64345465", at(2025, 3, 14, 5, 20), 309),  # 3/14/2025 1:20
    ],
)
def test_new_york_reads_both_shapes(landings: Landings, name: str, ref: str, opened_at: dt.datetime, closed_at_once: int) -> None:
    """ISO instants with seconds in one, US dates without in the other: both four hours behind UTC on these days."""
    assert landings.one(name, f"SELECT opened_at FROM rows WHERE report_ref = '{ref}'") == (opened_at,)
    assert landings.one(name, "SELECT count(*) FROM rows WHERE closed_at = opened_at") == (closed_at_once,)


def test_washington_adds_up_the_lamps_of_a_support(landings: Landings) -> None:
    """Two lamps make the sum; from three on no power is stated; a controlled light is remote."""
    totals = "SELECT sum(rated_power_w), count(*) FILTER (rated_power_w IS NULL), count(*) FILTER (is_remote) FROM rows"
    assert landings.one("dc-streetlights", totals) == (1_372_786.0, 12, 25)
    row = "SELECT rated_power_w, installed_on, effective_at FROM rows WHERE asset_ref = '22488'"
    # 7/28/2011 0:00:00, Eastern Daylight Time
    assert landings.one("dc-streetlights", row) == (250.0, dt.date(2011, 3, 28), at(2011, 7, 28, 4))


def test_montpellier_names_superposed_luminaires_apart(landings: Landings) -> None:
    """Codes are unique and say the Lambert-93 centimetre; 31 masts carry seven luminaires; the publisher's KML agrees."""
    assert landings.one("montpellier-eclairage", "SELECT count(*), count(DISTINCT asset_ref) FROM rows") == (29969, 29969)
    masts = """
        SELECT luminaires, count(*) FROM (
            SELECT regexp_replace(asset_ref, '-[0-9]+$', '') AS support, count(*) AS luminaires, max(asset_ref) AS last_ref
            FROM rows GROUP BY support HAVING ends_with(last_ref, '-' || luminaires)
        ) GROUP BY luminaires ORDER BY luminaires"""
    assert landings.query("montpellier-eclairage", masts) == [(1, 29676), (2, 34), (3, 1), (5, 1), (7, 31)]
    point = "SELECT longitude, latitude FROM rows WHERE asset_ref = 'L93-77099984-627880152-1'"
    longitude, latitude = landings.one("montpellier-eclairage", point)
    # the first placemark of the same set published in WGS84, to a millimetre
    assert longitude == pytest.approx(3.879137133258189, abs=1e-8)
    assert latitude == pytest.approx(43.604709978977027, abs=1e-8)


def test_london_keeps_greenwich_time_in_summer(landings: Landings) -> None:
    """No half hour is lost in March nor doubled in October, and a zero is a measure."""
    row = "SELECT end_at, energy_wh FROM rows WHERE meter_ref = 'MAC000002' AND start_at = TIMESTAMPTZ '2013-01-01 12:00:00Z'"
    assert landings.one("london-smart-meters", row) == (at(2013, 1, 1, 12, 30), pytest.approx(794.0))
    span = "SELECT meter_ref, count(*), min(start_at), max(end_at) FROM rows GROUP BY ALL HAVING count(*) = 17520"
    assert sorted(landings.query("london-smart-meters", span)) == [
        (m, 17520, at(2013, 1, 1), at(2014, 1, 1)) for m in ("MAC000002", "MAC000006")
    ]
    zeros = "SELECT count(*) FROM rows WHERE meter_ref = 'MAC000004' AND energy_wh = 0"
    assert landings.one("london-smart-meters", zeros) == (13442,)


def test_steel_midnight_ends_the_day_it_is_dated_of(landings: Landings) -> None:
    """The year is whole and without overlap: each quarter of an hour begins where another ends."""
    # « 01/01/2018 00:00 », 3.42 kWh: the last quarter of the first of January in Seoul, nine hours before UTC
    row = "SELECT end_at, energy_wh FROM rows WHERE start_at = TIMESTAMPTZ '2018-01-01 14:45:00Z'"
    assert landings.one("steel-plant", row) == (at(2018, 1, 1, 15), pytest.approx(3420.0))
    span = "SELECT min(start_at), max(end_at), sum(energy_wh) FROM rows"
    assert landings.one("steel-plant", span) == (at(2017, 12, 31, 15), at(2018, 12, 31, 15), pytest.approx(959_640_310.0))
    linked = "SELECT count(*) FROM rows AS a JOIN rows AS b ON a.end_at = b.start_at"
    assert landings.one("steel-plant", linked) == (35039,)


@pytest.mark.parametrize(("name", "unlocated"), [("paris-chantiers", 3), ("paris-chantiers-perturbants", 0)])
def test_road_works_say_a_start_and_nothing_else(landings: Landings, name: str, unlocated: int) -> None:
    """An announced end is no restoration: no other instant is filled, so that no delay comes of these sets."""
    filled = "SELECT count(requested_at) - count(*), count(dispatched_at), count(arrived_at), count(restored_at), count(crew) FROM rows"
    assert landings.one(name, filled) == (0, 0, 0, 0, 0)
    assert landings.one(name, "SELECT count(*) FROM rows WHERE latitude IS NULL") == (unlocated,)


def test_road_works_read_a_day_and_a_point(landings: Landings) -> None:
    """The 29th of August begins at 22:00 UTC; the source writes the latitude first."""
    row = "SELECT requested_at, latitude, longitude FROM rows WHERE intervention_ref = 'EC293725'"
    assert landings.one("paris-chantiers", row) == (at(2022, 8, 28, 22), 48.86232007375882, 2.2992775565151993)


def test_mons_reads_the_eight_columns(landings: Landings) -> None:
    """The header names seven: the first measure of the test file is 749.2 ppm at 14:19 in Brussels."""
    row = "SELECT property, value FROM rows WHERE observed_at = TIMESTAMPTZ '2015-02-02 13:19:00Z' ORDER BY property"
    assert landings.query("mons-office-co2", row) == [
        ("air_temperature", 23.7),
        ("co2", 749.2),
        ("humidity_ratio", 0.00476416302416414),
        ("illuminance", 585.2),
        ("presence", 1.0),
        ("relative_humidity", 26.272),
    ]


def test_edinburgh_reads_below_the_averages(landings: Landings) -> None:
    """Litres become cubic metres, British Summer Time an hour less."""
    row = """SELECT property, value, unit FROM rows
             WHERE asset_ref = '325048' AND observed_at = TIMESTAMPTZ '2016-08-09 14:46:34Z' ORDER BY property"""
    assert landings.query("edinburgh-bins", row) == [
        ("collected_mass", 26.059223, "kg"),
        ("collected_volume", pytest.approx(0.37227461), "m3"),
        ("fill_level_after_collection", 0.0, "%"),
        ("fill_level_before_collection", 78.0, "%"),
    ]
    assert landings.one("edinburgh-bins", "SELECT count(DISTINCT asset_ref) FROM rows") == (334,)


def test_weather_is_converted(landings: Landings) -> None:
    """278.95 K is 5.8 °C, in Abbeville at midnight UTC."""
    row = """SELECT value, unit FROM rows
             WHERE asset_ref = '07005' AND property = 'air_temperature' AND observed_at = TIMESTAMPTZ '2018-12-01 00:00:00Z'"""
    assert landings.one("synop", row) == (5.8, "Cel")


def test_traces_of_rain_are_no_rain_that_was_measured(landings: Landings) -> None:
    """A trace adds nothing to the sum, and is told from a dry span."""
    rain = "SELECT quality, count(*), sum(value) FROM rows GROUP BY quality ORDER BY count(*)"
    assert landings.query("synop-pluie", rain) == [("trace", 2432, 0.0), (None, 43798, pytest.approx(12.5611))]


def test_traffic_keeps_the_hour_whose_temperature_is_a_fault(landings: Landings) -> None:
    """0 K and 9,831 mm are set aside, their hours' other measures stay; hours that differ are revisions."""
    row = "SELECT observed_at, value FROM rows WHERE position = 1 AND property = 'vehicle_count'"
    assert landings.one("i94-traffic", row) == (at(2012, 10, 2, 14), 5545.0)  # 09:00, Central Daylight Time
    details = Counter(detail.split(" (")[0] for (detail,) in landings.query("i94-traffic", "SELECT detail FROM rejects"))
    assert details == {
        "temp 0 K = -273.15 Cel, below the minimum of -60 Cel": 10,
        "rain_1h 9831.3 mm = 9.8313 m, above the maximum of 0.401 m": 1,
    }
    kept = """SELECT count(*) FROM rows WHERE property = 'vehicle_count'
              AND position IN (SELECT position FROM rejects WHERE starts_with(detail, 'temp'))"""
    assert landings.one("i94-traffic", kept) == (10,)
    revised = "SELECT count(*) FROM (SELECT 1 FROM rows GROUP BY property, observed_at HAVING count(*) > 1)"
    assert landings.one("i94-traffic", revised) == (119,)


def test_national_load_refuses_the_hour_that_does_not_exist(landings: Landings) -> None:
    """The source fills 02:00 and 02:30 of the 25th of March with its neighbours: no instant in Paris bears these names."""
    refused = "SELECT min(position), max(position), count(*) FROM rejects WHERE reason = 'not_an_instant'"
    assert landings.one("rte-eco2mix", refused) == (7977, 7980, 4)  # lines 7978 to 7981: the header is the first
    row = "SELECT value, unit FROM rows WHERE observed_at = TIMESTAMPTZ '2018-03-25 01:00:00Z'"
    assert landings.one("rte-eco2mix", row) == (56_943e6, "W")  # 03:00 in Paris


def test_air_quality_reads_two_spellings_of_one_calendar(landings: Landings) -> None:
    """The file runs hour by hour from the 10th of March 2004 to the 4th of April 2005, never in October 2004 before its time."""
    row = "SELECT value, unit FROM rows WHERE property = 'co' AND observed_at = TIMESTAMPTZ '2004-03-10 17:00:00Z'"
    assert landings.one("air-quality-uci", row) == (2600.0, "ug/m3")  # 2.6 mg/m3 at 18:00
    order = "SELECT count(*) FROM (SELECT observed_at < lag(observed_at) OVER (ORDER BY position) AS back FROM rows) WHERE back"
    assert landings.one("air-quality-uci", order) == (0,)
    assert landings.one("air-quality-uci", "SELECT max(observed_at) FROM rows") == (at(2005, 4, 4, 13),)
