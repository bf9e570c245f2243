"""The map, the curve, the hand-over, the report and the request for an intervention, in a real browser on a simulated territory."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, Final

import pytest
from playwright.sync_api import Locator, Page, expect

from ingestion.feeds.load import load_feed
from ingestion.lake.session import ALIAS, connect
from ingestion.lake.tables import create_lake, create_personal_lake
from ingestion.simulator.world import World
from orchestration.alerts import lifecycle, recent, shifts
from orchestration.alerts.deliveries import work_orders
from orchestration.alerts.deliveries.ledger import Ledger
from orchestration.alerts.model import Alarm
from orchestration.alerts.page import map as map_
from orchestration.ingest import ingest
from orchestration.settings import Settings
from tests.alarms import raise_many, raised
from tests.e2e.test_alerts_wall import Post, row, rows

pytest_plugins = ("tests.alerts_web", "tests.e2e.test_alerts_wall")

_SMALL: Final[Any] = {"width": 1366, "height": 768}
_CONTRACT: Final = """\
feed: releves
title: Relevés
contract: observation
domain: EP
owner: {name: Service}
steward: {name: Référente}
source: {publisher: Ville, licence: internal}
territory: {code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}
time_zone: UTC
system: test
format: {type: csv}
fields:
  - {name: code, title: Code, classification: open}
  - {name: heure, type: datetime, title: Heure, classification: open}
  - {name: niveau, type: number, title: Niveau, classification: open}
  - {name: etat, title: État, classification: open}
mapping: {asset_ref: code, observed_at: heure}
measures:
  - {column: niveau, property: level, unit: m}
  - {column: etat, property: powerState, text: true}
"""
_TARGETS: Final = """\
targets:
  - target: gmao
    type: cmms
    url: https://gmao.exemple.fr/demandes
    secret: GMAO_SECRET
"""
_POSITION: Final = {
    "id": "urn:ngsi-ld:Vehicle:VEH-1", "type": "Vehicle", "status": {"type": "Property", "value": "moving"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [4.36, 48.95]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return World("chalons")


def put_territory(post: Post, world: World) -> None:
    """Write a simulated territory's lights, feeders and cabinets as the engine copies them from the referential."""
    t = world.territory
    kinds: list[tuple[Any, ...]] = [
        ("test", c.ref, f"a-{c.ref}", "cabinet", c.code, "EP", c.commune, c.street, c.longitude, c.latitude, None, None) for c in t.cabinets
    ]
    for f in t.feeders:
        up = t.cabinets[f.cabinet]
        kinds.append(("test", f.ref, f"a-{f.ref}", "feeder", f.code, "EP", up.commune, f.street, f.longitude, f.latitude, "test", up.ref))
    for n, code in enumerate(t.light_codes):
        f = t.feeders[int(t.light_feeder[n])]
        place = (float(t.longitude[n]), float(t.latitude[n]))
        commune = t.cabinets[f.cabinet].commune
        kinds.append(("test", t.light_ref(n), f"a-{n}", "streetlight", code, "EP", commune, f.street, *place, "test", f.ref))
    columns = "source, asset_ref, asset_id, asset_type, name, domain, commune, street, longitude, latitude, parent_source, parent_ref"
    with post.alarms.pool.connection() as con, con.cursor() as cursor, cursor.copy(f"COPY alerts.equipment ({columns}) FROM STDIN") as wire:
        for line in kinds:
            wire.write_row(line)


def dark_cabinet(post: Post, world: World, number: int, *, minutes_ago: float = 12) -> Alarm:
    """Raise the alarm of one of the territory's cabinets."""
    c = world.territory.cabinets[number]
    asset = post.town.put(
        c.ref,
        asset_type="cabinet",
        name=f"Armoire {c.code}",
        commune=c.commune,
        street=c.street,
        longitude=c.longitude,
        latitude=c.latitude,
    )
    at = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=minutes_ago)
    return raised(post.alarms.store, post.town, [post.town.change("armoire-au-noir", asset, at, property="powerState", text="off")])


def mark_of(page: Page, alarm: Alarm) -> Locator:
    return page.locator(f'.map-mark[data-id="{alarm.alarm_id}"]')


def until_drawn(page: Page) -> None:
    expect(page.locator(".map[data-ready]")).to_be_visible()


def lit(page: Page) -> int:
    """How many pixels of the ground are drawn."""
    return int(
        page.evaluate(
            """() => [...document.querySelectorAll('.map .leaflet-tile-pane canvas')].reduce((sum, tile) => {
                const data = tile.getContext('2d').getImageData(0, 0, tile.width, tile.height).data;
                for (let i = 3; i < data.length; i += 4) if (data[i]) sum++;
                return sum; }, 0)"""
        )
    )


# --- the map


def test_the_map_shows_the_territory_and_what_an_alarm_concerns(post: Post, world: World) -> None:
    put_territory(post, world)
    first, second = dark_cabinet(post, world, 3), dark_cabinet(post, world, 40, minutes_ago=5)
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    until_drawn(page)
    expect(page.locator(".map-mark")).to_have_count(2)
    expect(page.locator(".map-name span").first).to_be_visible()
    page.wait_for_function("document.querySelectorAll('.map .leaflet-tile-loaded').length > 0")
    assert lit(page) > 1000, "7,290 lights are on the ground"
    # A mark is a button: the keyboard reaches and presses it.
    mark_of(page, first).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".detail .asset")).to_contain_text(world.territory.cabinets[3].code)
    expect(page.locator(".map-mark.open")).to_have_attribute("data-id", str(first.alarm_id))
    expect(page.locator(".map .leaflet-overlay-pane path")).to_have_count(1)  # the hull round its lights
    page.wait_for_timeout(800)  # the map moves there
    box, mark = page.locator(".map").bounding_box(), mark_of(page, first).bounding_box()
    assert box is not None
    assert mark is not None
    assert box["x"] < mark["x"] < box["x"] + box["width"]
    assert box["y"] < mark["y"] < box["y"] + box["height"]
    # Another, chosen in the list; then none.
    row(page, world.territory.cabinets[40].code).click()
    expect(page.locator(".map-mark.open")).to_have_attribute("data-id", str(second.alarm_id))
    page.keyboard.press("Escape")
    expect(page.locator(".map-mark.open")).to_have_count(0)
    expect(page.locator(".map .leaflet-overlay-pane path")).to_have_count(0)
    # What ends elsewhere leaves the map.
    post.alarms.store.act(first.alarm_id, lambda a, now: lifecycle.closed(a, "operateur-2", now, "réparée"))
    expect(page.locator(".map-mark")).to_have_count(1)
    post.alarms.store.act(second.alarm_id, lambda a, now: lifecycle.acknowledged(a, "operateur-2", now))
    expect(page.locator(".map-mark.todo")).to_have_count(0)
    assert post.troubles == []


def test_the_zone_of_a_cabinet_is_every_light_under_it(post: Post, world: World) -> None:
    put_territory(post, world)
    alarm, t = dark_cabinet(post, world, 3), world.territory
    zone = map_.zone(post.alarms.pool.connection, alarm)
    under = [n for n in range(len(t.light_codes)) if t.feeders[int(t.light_feeder[n])].cabinet == 3]
    feeders = [f for f in t.feeders if f.cabinet == 3]
    assert len(zone["under"]) == len(under) + len(feeders) + 1
    assert len(zone["hull"]) > 2


def test_a_warning_shows_its_zone_and_what_has_no_place_is_said(post: Post) -> None:
    area = json.dumps({"type": "Polygon", "coordinates": [[[4.2, 48.8], [4.6, 48.8], [4.6, 49.1], [4.2, 49.1], [4.2, 48.8]]]})
    warning = post.cabinet("W", longitude=None, latitude=None)
    nowhere = post.cabinet("N", longitude=None, latitude=None)
    with post.alarms.pool.connection() as con:
        con.execute("UPDATE alerts.alarm SET area = %s WHERE alarm_id = %s", [area, warning.alarm_id])
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    until_drawn(page)
    expect(mark_of(page, warning)).to_be_visible()
    expect(mark_of(page, nowhere)).to_have_count(0)
    expect(page.locator(".map-note")).to_contain_text("1 alarme sans lieu")
    mark_of(page, warning).click()
    expect(page.locator(".map .leaflet-overlay-pane path")).to_have_count(1)
    assert post.troubles == []


def test_hundreds_of_alarms_are_on_the_map(post: Post, world: World) -> None:
    put_territory(post, world)
    raise_many(post.alarms.store, post.town, 500, dt.datetime.now(dt.UTC))
    with post.alarms.pool.connection() as con:  # as after a flood: all of them stand for themselves
        con.execute("UPDATE alerts.alarm SET suppressed_by = NULL, parent_id = NULL, is_out_of_service = false WHERE closed_at IS NULL")
    presented = [a for a in post.alarms.store.live() if a.is_presented and map_.place_of(a) is not None]
    assert len(presented) > 400
    post.live()
    post.start()
    page = post.sign_in("operateur-1", _SMALL)
    until_drawn(page)
    expect(page.locator(".map-mark")).to_have_count(len(presented))
    assert post.troubles == []


def test_vehicles_are_for_operators_and_only_what_the_referential_calls_one(post: Post) -> None:
    settings = post.alarms.settings
    create_lake(settings.lake)
    create_personal_lake(settings.personal_lake)
    feeds = settings.feeds_path
    feeds.mkdir(parents=True, exist_ok=True)
    (feeds / "flotte.yaml").write_text(_FLEET, encoding="utf-8")
    now = dt.datetime.now(dt.UTC)
    told = [
        (_POSITION | {"location": {"value": {"coordinates": [4.1, 48.1]}}}, now - dt.timedelta(minutes=9)),  # an older one
        (_POSITION, now - dt.timedelta(minutes=3)),
        (_POSITION | {"id": "urn:ngsi-ld:Device:telephone-anne"}, now - dt.timedelta(minutes=3)),  # no vehicle
        (_POSITION | {"id": "urn:ngsi-ld:Vehicle:VEH-2"}, now - dt.timedelta(hours=3)),  # may be anywhere by now
        (_POSITION | {"id": "urn:ngsi-ld:Vehicle:VEH-3", "location": {"value": {"coordinates": [999, 48.1]}}}, now),  # nowhere on earth
    ]
    with connect(settings.personal_lake) as lake:
        for n, (entity, at) in enumerate(told):
            values = ["flotte", f"l{n}", "s", 0, n, json.dumps(entity), False, at, at.date()]
            lake.execute(f"INSERT INTO {ALIAS}.raw.personal_message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    with post.alarms.pool.connection() as con:
        for n in (1, 2, 3):
            con.execute(
                "INSERT INTO alerts.equipment (source, asset_ref, asset_id, asset_type, name) VALUES ('test', %s, %s, 'vehicle', %s)",
                [f"urn:ngsi-ld:Vehicle:VEH-{n}", f"v{n}", f"Fourgon {n}"],
            )
    found = recent.positions(settings.personal_lake, ["flotte"], now - dt.timedelta(minutes=30))
    assert [(p.asset_ref[-8:], p.longitude) for p in found] == [("one-anne", 4.36), ("le:VEH-1", 4.36)]
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    until_drawn(page)
    expect(page.locator(".map-car")).to_have_count(1)
    expect(page.locator(".map-car")).to_have_attribute("aria-label", "Fourgon 1, vu il y a 3 min")
    viewer = post.sign_in("lecteur")
    until_drawn(viewer)
    assert viewer.request.get(post.alarms.settings.web_url + "/carte/equipes").status == 403
    expect(viewer.locator(".map-car")).to_have_count(0)
    assert post.troubles == []


@pytest.mark.parametrize("path", ["/carte/fond", "/carte/alarmes", "/carte/zone/1", "/carte/equipes", "/prise-de-poste", "/rapport"])
def test_nothing_of_it_is_open(post: Post, path: str) -> None:
    post.start()
    with post.alarms.client() as client:
        assert client.get(path).status_code == 401


# --- the curve


@pytest.fixture
def lake(post: Post) -> Settings:
    """The instance with its lakes and a feed of measures."""
    settings = post.alarms.settings
    create_lake(settings.lake)
    create_personal_lake(settings.personal_lake)
    settings.feeds_path.mkdir(parents=True, exist_ok=True)
    (settings.feeds_path / "releves.yaml").write_text(_CONTRACT, encoding="utf-8")
    return settings


def land(settings: Settings, lines: list[str]) -> None:
    path = settings.home / "releves.csv"
    path.write_text("\n".join(["code,heure,niveau,etat", *lines, ""]), encoding="utf-8")
    report = ingest(settings, load_feed(settings.feeds_path / "releves.yaml"), [str(path)])
    assert not report.failures


def test_measures_are_those_of_the_asset_and_dense_ones_keep_their_extremes(lake: Settings) -> None:
    end = dt.datetime.now(dt.UTC).replace(microsecond=0)
    start = end - dt.timedelta(hours=48)
    at = [start + dt.timedelta(minutes=n) for n in range(0, 48 * 60, 4)]
    lines = [f"C1,{t.isoformat()},{n % 7},{'off' if 100 <= n < 200 else 'on'}" for n, t in enumerate(at)]
    lines[300] = f"C1,{at[300].isoformat()},-40,on"
    lines[301] = f"C1,{at[301].isoformat()},99,on"
    lines += [f"C2,{at[5].isoformat()},1000,on", f"C1,{(start - dt.timedelta(hours=1)).isoformat()},500,on"]
    land(lake, lines)
    level = recent.measures(lake.reader_lake, ("test", "C1"), "level", start, end)
    figures = [value for _, value in level.values]
    assert (min(figures), max(figures), level.unit) == (-40, 99, "m")
    assert len(figures) <= 302
    assert list(level.values) == sorted(level.values)
    state = recent.measures(lake.reader_lake, ("test", "C1"), "powerState", start, end)
    assert state.states == ((at[0], "on"), (at[100], "off"), (at[200], "on"))
    assert recent.measures(lake.reader_lake, ("test", "C3"), "level", start, end) == recent.Measures(start, end)


def test_the_curve_comes_when_the_lake_has_answered_and_says_when_there_is_nothing(post: Post, lake: Settings) -> None:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    land(lake, [f"C306,{(now - dt.timedelta(hours=h)).isoformat()},1,{'off' if h < 3 else 'on'}" for h in range(40, 0, -1)])
    for ref in ("C306", "C307"):
        asset = post.town.put(ref, asset_type="cabinet", name=f"Armoire {ref}")
        raised(post.alarms.store, post.town, [post.town.change("armoire-au-noir", asset, now, property="powerState", text="off")])
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    row(page, "Armoire C306").click()
    expect(page.locator(".curve .quiet")).to_contain_text("« off » depuis")
    expect(page.locator(".curve .quiet")).to_contain_text("1 changement depuis")
    expect(page.locator(".curve-chart svg")).to_contain_text("on")
    row(page, "Armoire C307").click()
    expect(page.locator(".curve .quiet")).to_contain_text("Aucune mesure de powerState n'a atterri pour Armoire C307")
    expect(page.locator(".curve-chart")).to_have_count(0)
    assert post.troubles == []


def test_a_lake_that_does_not_answer_is_said_and_the_rest_of_the_detail_is_there(post: Post) -> None:
    asset = post.town.put("C306", asset_type="cabinet", name="Armoire C306")
    now = dt.datetime.now(dt.UTC)
    raised(post.alarms.store, post.town, [post.town.change("armoire-au-noir", asset, now, property="powerState", text="off")])
    post.live()
    post.start()  # this instance's lake has no tables
    page = post.sign_in("operateur-1")
    row(page, "Armoire C306").click()
    expect(page.locator(".detail .steps")).to_be_visible()
    expect(page.locator(".curve .quiet")).to_contain_text("ne peuvent pas être lues")


# --- the shift


def test_taking_the_post_tells_the_next_what_happened_and_what_was_said(post: Post) -> None:
    first = post.cabinet("C1", minutes_ago=9)
    second = post.cabinet("C2", minutes_ago=5, commune="Sarry", longitude=4.41)
    store = post.alarms.store
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=2)
    store.act(second.alarm_id, lambda a, now: lifecycle.shelved(a, "operateur-1", now, until, "Travaux <rue de Marne>"))
    post.live(eclairage=dt.timedelta(0))
    post.start()
    page = post.sign_in("operateur-1")
    page.get_by_role("link", name="Prise de poste").click()
    expect(page.get_by_text("Personne n'a encore pris le poste")).to_be_visible()
    main = page.locator("main")
    expect(main).to_contain_text("Armoire C1")
    expect(main).to_contain_text("par Opérateur 1 : Travaux <rue de Marne>")
    expect(page.locator("section", has_text="Par commune").locator("tr", has_text="Sarry").first).to_be_visible()
    page.get_by_label("Consignes").fill("La C306 est en <b>travaux</b>.\nRappeler Enedis.")
    page.get_by_role("button", name="Prendre le poste").click()
    expect(rows(page)).to_have_count(1)  # back on the wall
    [taken] = shifts.last_shifts(post.alarms.pool.connection)
    assert (taken.login, taken.note) == ("operateur-1", "La C306 est en <b>travaux</b>.\nRappeler Enedis.")
    assert taken.seq == store.last_seq()
    store.act(first.alarm_id, lambda a, now: lifecycle.acknowledged(a, "operateur-1", now))
    other = post.sign_in("operateur-2")
    other.goto(post.alarms.settings.web_url + "/prise-de-poste")
    expect(other.locator(".note")).to_contain_text("La C306 est en <b>travaux</b>.")
    expect(other.locator(".since")).to_contain_text("Opérateur 1")
    # Only what came since: nothing was raised, one was acknowledged.
    expect(other.locator(".tiles li", has_text="déclenchées")).to_contain_text("0")
    expect(other.locator(".tiles li", has_text="acquittées")).to_contain_text("1")
    assert post.troubles == []


def test_two_presses_are_one_shift_and_a_viewer_takes_none(post: Post) -> None:
    post.start()
    with post.alarms.person("operateur-1") as client:
        said = {"consigne": "Bonne nuit", "apres": "0"}
        assert client.post("/prise-de-poste", data=said).status_code == 303
        again = client.post("/prise-de-poste", data=said)
        assert "quelqu&#x27;un vient de le prendre" in again.text
        assert "Bonne nuit" in again.text, "what was written is not lost"
        assert client.post("/prise-de-poste", data=said, headers={"Origin": "https://evil.example"}).status_code == 403
    with post.alarms.person("lecteur") as client:
        assert "<form" not in client.get("/prise-de-poste").text
        assert client.post("/prise-de-poste", data=said).status_code == 403
    assert len(shifts.last_shifts(post.alarms.pool.connection)) == 1


def test_the_report_prints_on_paper_and_says_what_happened(post: Post) -> None:
    one = post.cabinet("C306")
    raise_many(post.alarms.store, post.town, 60, dt.datetime.now(dt.UTC))
    store = post.alarms.store
    store.act(one.alarm_id, lambda a, now: lifecycle.acknowledged(a, "operateur-1", now))
    store.act(one.alarm_id, lambda a, now: lifecycle.commented(a, "operateur-1", now, "Enedis <i>prévenu</i>"))
    work_orders.request_intervention(store, one.alarm_id, "operateur-1", {"target": "gmao", "comment": "Apporter un fusible"})
    shifts.take(post.alarms.pool.connection, "operateur-1")
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    page.get_by_role("link", name="Rapport").click()
    expect(page.locator("h1")).to_have_text("Rapport de poste")
    page.get_by_label("Période").select_option(label=page.locator("option", has_text="Aujourd'hui").inner_text())
    expect(page.locator("header")).to_contain_text("Aujourd'hui")
    table = page.locator("table.alarms")
    expect(table).to_contain_text("« Enedis <i>prévenu</i> »")
    expect(table).to_contain_text("acquittée par Opérateur 1")
    interventions = page.locator("section", has=page.get_by_role("heading", name="Interventions"))
    expect(interventions).to_contain_text("à transmettre, demandée par Opérateur 1")
    expect(page.locator(".tiles li", has_text="pour acquitter")).not_to_contain_text("—")
    page.emulate_media(media="print")
    expect(page.locator(".bar")).to_be_hidden()
    expect(page.locator("figure svg rect").first).to_be_visible()
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    # This shift: it has just begun.
    page.goto(post.alarms.settings.web_url + "/rapport")
    expect(page.locator("header")).to_contain_text("Poste en cours, Opérateur 1")
    expect(page.get_by_text("Aucune alarme apparue ni traitée.")).to_be_visible()
    assert post.troubles == []


# --- the request for an intervention


def test_where_nobody_takes_orders_the_dialog_says_how_to_declare_who_does(post: Post) -> None:
    post.cabinet("C306")
    post.live()
    post.start()
    page = post.sign_in("operateur-1")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("i")
    expect(page.get_by_text("Aucun système ne reçoit de demandes")).to_be_visible()
    expect(page.locator(".ask")).to_contain_text("alerts/targets.yaml")
    page.keyboard.press("Escape")
    expect(page.locator(".q-dialog__inner")).to_have_count(0)
    (post.alarms.settings.alerts_path / "targets.yaml").write_text("targets:\n  - target: gmao\n    type: cmms\n", encoding="utf-8")
    page.keyboard.press("i")
    expect(page.locator(".ask")).to_contain_text("targets.yaml est inutilisable")
    assert post.troubles == []


def test_an_intervention_is_asked_for_and_followed_on_the_alarm_by_everybody(post: Post) -> None:
    alarm = post.cabinet("C306")
    folder = post.alarms.settings.alerts_path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "targets.yaml").write_text(_TARGETS, encoding="utf-8")
    post.live()
    post.start()
    one, two = post.sign_in("operateur-1"), post.sign_in("operateur-2")
    one.keyboard.press("ArrowDown")
    one.keyboard.press("Enter")
    one.locator(".detail").get_by_role("button", name="Intervention").click()
    expect(one.locator(".order-facts")).to_contain_text("Armoire C306")
    one.get_by_label("Consigne pour l'équipe").fill("Apporter un fusible")
    one.get_by_role("button", name="Demander").click()
    for page in (one, two):
        expect(row(page, "Armoire C306")).to_contain_text("à transmettre")
    [order] = post.alarms.store.get(alarm.alarm_id).work_orders
    assert (order["target"], order["comment"], order["asked_by"]) == ("gmao", "Apporter un fusible", "operateur-1")
    # What the maintenance system says of it later.
    ledger = Ledger(post.alarms.pool.connection)
    for status, said in (("ASKED", "demandée"), ("IN_PROGRESS", "en cours"), ("DONE", "terminée")):
        [remote] = ledger.work_orders("gmao", ["WANTED", "ASKED", "IN_PROGRESS"])
        work_orders.note_status(post.alarms.store, remote, status=status, remote_ref="OT-4711")
        for page in (one, two):
            expect(row(page, "Armoire C306")).to_contain_text(f"OT-4711 : {said}")
    expect(one.locator(".journal")).to_contain_text("OT-4711 : en cours")
    assert post.troubles == []


_FLEET: Final = """\
feed: flotte
title: Véhicules
contract: observation
domain: MOB
owner: {name: Service}
steward: {name: Référente}
source: {publisher: Ville, licence: internal}
territory: {code: chalons, name: Châlons, time_zone: Europe/Paris, holidays: FR, latitude: 48.96, longitude: 4.36}
time_zone: Europe/Paris
system: test
connector: {type: stream, topics: ["flotte/#"]}
format: {type: ngsi}
fields:
  - {name: status, title: Ce que fait le véhicule, classification: internal}
  - {name: location, title: Position du véhicule, classification: personal}
retention: P30D
"""
