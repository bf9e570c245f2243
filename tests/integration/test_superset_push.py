"""Pushing, pulling and checking dashboards on a real server: nothing twice, no edit lost, accounts as their secrets say."""

from __future__ import annotations

import base64
import copy
import hmac
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from dashboards import access, client, people, rights
from dashboards.check import check_panels
from dashboards.client import Document, Superset
from dashboards.compiler.names import stable
from dashboards.pull import Pulled, pull
from dashboards.push import Record, changed_in_browser, push
from dashboards.sheets.model import ROLES
from ingestion.errors import VigieError, WrongUse
from orchestration import secrets
from orchestration.superset.dashboards import add_person, authorities, push_all, record_path
from tests.effort import IS_THOROUGH
from tests.superset_server import AGGLO, SARRY, Served, password_of, plan_of, serving

pytest_plugins = ("tests.superset_server",)

PANNES, DONNEES = stable("dashboard", "pannes"), stable("dashboard", "donnees")
KEY = b"key of the tests"


@pytest.fixture
def record(served: Served) -> Iterator[Record]:
    """The record of a push of the fixture's sheets; what the test changed is overwritten afterwards."""
    yield push(served.robot, served.plan.bundle, Record(), on_edit="overwrite").record
    push(served.robot, served.plan.bundle, Record(), on_edit="overwrite")


def _item(server: Superset, path: str, uuid: str) -> Document:
    return next(d for d in server.all(path) if d["uuid"] == uuid)


def _edit_chart(served: Served, title: str, **params: Any) -> None:
    """Change a chart's settings as a person who may: with the explorer's save."""
    chart = next(c for c in served.robot.all("/api/v1/chart/") if c["slice_name"] == title)
    old = json.loads(served.robot.get(f"/api/v1/chart/{chart['id']}")["result"]["params"])
    served.session("partout").put(f"/api/v1/chart/{chart['id']}", {"params": json.dumps(old | params)})


def _edit_layout(served: Served, change: Any) -> None:
    number = _item(served.robot, "/api/v1/dashboard/", PANNES)["id"]
    position = json.loads(served.robot.get(f"/api/v1/dashboard/{number}")["result"]["position_json"])
    change(position)
    served.session("partout").put(f"/api/v1/dashboard/{number}", {"position_json": json.dumps(position)})


def _pulled(served: Served, code: str = "pannes", folder: Path | None = None) -> Pulled:
    plan = served.plan
    found = pull(served.robot, folder or served.folder, plan.sheets, plan.tables, plan.bundle, time_zone=plan.time_zone, codes=[code])
    return found[0]


def _state(served: Served) -> dict[str, Any]:
    """Everything a push is about, as the metadata database holds it, but for when."""
    queries = {
        "roles": "SELECT r.name, p.name, v.name FROM ab_role r JOIN ab_permission_view_role x ON x.role_id = r.id "
        "JOIN ab_permission_view w ON w.id = x.permission_view_id JOIN ab_permission p ON p.id = w.permission_id "
        "JOIN ab_view_menu v ON v.id = w.view_menu_id ORDER BY 1, 2, 3",
        "rules": "SELECT f.id, f.name, f.clause, f.filter_type, f.group_key, t.table_id, r.role_id FROM row_level_security_filters f "
        "JOIN rls_filter_tables t ON t.rls_filter_id = f.id JOIN rls_filter_roles r ON r.rls_filter_id = f.id ORDER BY 1, 6, 7",
        "charts": "SELECT uuid::text, slice_name, params, query_context FROM slices ORDER BY 1",
        "dashboards": "SELECT uuid::text, dashboard_title, position_json, json_metadata, published FROM dashboards ORDER BY 1",
        "opened": "SELECT dashboard_id, role_id FROM dashboard_roles ORDER BY 1, 2",
        "owners": "SELECT slice_id, user_id FROM slice_user ORDER BY 1, 2",
        "columns": "SELECT table_id, column_name, expression, type FROM table_columns ORDER BY 1, 2",
        "metrics": "SELECT table_id, metric_name, expression FROM sql_metrics ORDER BY 1, 2",
    }
    with psycopg.connect(served.settings.superset_database_url.get_secret_value()) as pg:
        return {name: pg.execute(query).fetchall() for name, query in queries.items()}


def test_a_second_push_changes_nothing(served: Served, record: Record) -> None:
    before = _state(served)
    outcome = push(served.robot, served.plan.bundle, record)
    assert (outcome.imported, outcome.changed, outcome.removed) == (False, (), ())
    assert _state(served) == before
    again = push(served.robot, served.plan.bundle, replace(record, digest=""))
    assert again.imported
    assert _state(served) == before


def test_roles_are_exactly_what_they_may_do(served: Served, record: Record) -> None:
    del record
    roles = {r["name"]: r["id"] for r in served.robot.all(rights.ROLE_PATH)}
    for role in ROLES:
        for is_of_authority in (False, True):
            title = access.role_title(role, is_of_authority=is_of_authority)
            found = served.robot.get(f"{rights.ROLE_PATH}{roles[title]}/permissions/")["result"]
            named = {(p["permission_name"], p["view_menu_name"]) for p in found}
            assert {p for p in named if p[0] != "datasource_access"} == access.permissions(role), title
            assert not {name for name, _ in named} & {"database_access", "schema_access", "catalog_access", "all_datasource_access"}
    public = served.robot.get(f"{rights.ROLE_PATH}{roles['Public']}/permissions/")["result"]
    assert [(p["permission_name"], p["view_menu_name"]) for p in public] == [("can_language_pack", "Superset")]


def test_an_edit_is_not_overwritten_unasked(served: Served, record: Record) -> None:
    _edit_chart(served, "Quelles communes en ont le plus ?", row_limit=5)
    with pytest.raises(WrongUse, match="Pannes") as refused:
        push(served.robot, served.plan.bundle, record)
    assert "pull" in str(refused.value.remedy)
    assert "--force" in str(refused.value.remedy)
    assert changed_in_browser(served.robot, record) == {PANNES: "Pannes"}
    skipped = push(served.robot, served.plan.bundle, replace(record, digest=""), on_edit="skip")
    assert skipped.skipped == ("Pannes",)
    assert "limite: 5\n" in _pulled(served).after
    # What was left is left at the next start too, and refused again when asked for.
    assert push(served.robot, served.plan.bundle, replace(skipped.record, digest=""), on_edit="skip").skipped == ("Pannes",)
    assert not push(served.robot, served.plan.bundle, record, on_edit="overwrite").skipped
    assert _pulled(served).diff == ""


def test_without_a_record_what_somebody_else_saved_last_is_an_edit(served: Served, record: Record) -> None:
    del record
    assert changed_in_browser(served.robot, Record()) == {}
    _edit_chart(served, "Combien de pannes ?", header_font_size=0.5)
    assert changed_in_browser(served.robot, Record()) == {PANNES: "Pannes"}


def test_a_dashboard_that_was_deleted_comes_back(served: Served, record: Record) -> None:
    served.robot.delete(f"/api/v1/dashboard/{_item(served.robot, '/api/v1/dashboard/', DONNEES)['id']}")
    outcome = push(served.robot, served.plan.bundle, record, on_edit="skip")
    assert outcome.imported
    assert _item(served.robot, "/api/v1/dashboard/", DONNEES)["dashboard_title"] == "Données reçues"


def test_what_no_sheet_makes_any_more_is_deleted_and_nothing_else(served: Served, record: Record, tmp_path: Path) -> None:
    dataset = next(iter(served.robot.all("/api/v1/dataset/")))["id"]
    mine = {"slice_name": "Le mien", "viz_type": "table", "datasource_id": dataset, "datasource_type": "table", "params": "{}"}
    number = served.session("partout").post("/api/v1/chart/", mine)["id"]
    text = (served.folder / "pannes.yaml").read_text(encoding="utf-8")
    (tmp_path / "pannes.yaml").write_text(text.partition("  - titre: Lignes")[0], encoding="utf-8")
    outcome = push(served.robot, plan_of(tmp_path).bundle, record)
    assert set(outcome.removed) == {"Données reçues", "Combien d'enregistrements par source ?", "Quelles sont les pannes ?"}
    assert {c["slice_name"] for c in served.robot.all("/api/v1/chart/")} >= {"Le mien", "Combien de pannes ?"}
    served.robot.delete(f"/api/v1/chart/{number}")


def test_pulled_after_a_push_a_sheet_stays_as_it_is(served: Served, record: Record) -> None:
    del record
    for code in served.plan.sheets:
        found = _pulled(served, code)
        assert (found.diff, found.remarks) == ("", ()), code


@pytest.mark.parametrize(
    ("title", "params", "line"),
    [
        ("Quelles communes en ont le plus ?", {"row_limit": 5}, "limite: 5"),
        ("Quelles communes en ont le plus ?", {"metrics": ["places"]}, "mesures: [places]"),
        ("Quelles communes en ont le plus ?", {"groupby": ["owner_authority"]}, "par: [commune, owner_authority]"),
        ("Quelles communes en ont le plus ?", {"orientation": "vertical"}, "genre: barres"),
        ("Combien de pannes par jour ?", {"time_grain_sqla": "P1M"}, "pas: mois"),
        ("Combien de pannes par jour ?", {"groupby": ["owner_authority"]}, "par: [owner_authority]"),
        ("Combien de pannes par jour ?", {"time_compare": ["1 year ago"]}, "comparer: annee_precedente"),
        ("Quelles sont les pannes ?", {"all_columns": ["reference", "commune"]}, "colonnes: [reference, commune]"),
        (
            "Quelles sont les pannes ?",
            {
                "adhoc_filters": [
                    {"clause": "WHERE", "expressionType": "SIMPLE", "subject": "commune", "operator": "IN", "comparator": ["Commune 1"]}
                ]
            },
            "{colonne: commune, valeurs: [Commune 1]}",
        ),
    ],
)
def test_a_charts_edit_comes_back_and_is_pushed_again(
    served: Served, record: Record, tmp_path: Path, title: str, params: dict[str, Any], line: str
) -> None:
    del record
    before = (served.folder / "pannes.yaml").read_text(encoding="utf-8")
    (tmp_path / "pannes.yaml").write_text(before, encoding="utf-8")
    _edit_chart(served, title, **params)
    found = _pulled(served, folder=tmp_path)
    assert line in found.after
    assert line not in before
    assert "# Ce que le service regarde d'abord." in found.after
    found.write()
    # The sheet as it is now makes what was on the screen: another instance shows the same.
    made = plan_of(tmp_path).bundle
    chart = next(d for name, d in made.files.items() if name.startswith("charts/") and d["slice_name"] == title)
    assert {key: _bare(chart["params"][key]) for key in params} == {key: _bare(value) for key, value in params.items()}


@pytest.mark.skipif(not IS_THOROUGH, reason="a second server takes a minute: THOROUGH=1")
@pytest.mark.timeout(600)
def test_an_edit_is_on_the_screens_of_a_new_instance(served: Served, record: Record, tmp_path: Path, extension_directory: Path) -> None:
    del record
    title = "Quelles communes en ont le plus ?"
    sheets = {path.stem: path.read_text(encoding="utf-8") for path in served.folder.glob("*.yaml")}
    (tmp_path / "pulled").mkdir()
    for code, text in sheets.items():
        (tmp_path / "pulled" / f"{code}.yaml").write_text(text, encoding="utf-8")
    _edit_chart(served, title, row_limit=7)
    _pulled(served, folder=tmp_path / "pulled").write()
    sheets["pannes"] = (tmp_path / "pulled" / "pannes.yaml").read_text(encoding="utf-8")
    with serving(tmp_path / "new", extension_directory, sheets) as new:
        charts = {c["slice_name"]: c for c in new.robot.all("/api/v1/chart/")}
        assert json.loads(new.robot.get(f"/api/v1/chart/{charts[title]['id']}")["result"]["params"])["row_limit"] == 7
        assert {d["uuid"] for d in new.robot.all("/api/v1/dashboard/")} == {d["uuid"] for d in served.robot.all("/api/v1/dashboard/")}
        assert _pulled(new).diff == ""


def _bare(value: Any) -> Any:
    return (
        [{k: v for k, v in i.items() if k != "filterOptionName"} if isinstance(i, dict) else i for i in value]
        if isinstance(value, list)
        else value
    )


def test_layout_and_titles_come_back(served: Served, record: Record) -> None:
    del record

    def change(position: dict[str, Any]) -> None:
        for node in position.values():
            meta = node.get("meta", {}) if isinstance(node, dict) else {}
            if meta.get("sliceName") == "Combien de pannes ?":
                meta |= {"width": 3, "sliceNameOverride": "Combien en tout ?"}
            if meta.get("text") == "Lignes":
                meta["text"] = "Détail"
        row = next(n for n in position.values() if isinstance(n, dict) and n.get("type") == "ROW" and len(n["children"]) == 2)
        row["children"].reverse()

    _edit_layout(served, change)
    after = _pulled(served).after
    assert "titre: Combien en tout ?" in after
    assert "titre: Détail" in after
    assert "largeur: 3" in after
    assert after.index("Combien de pannes par jour ?") < after.index("Combien en tout ?")


def test_what_a_sheet_cannot_say_is_named(served: Served, record: Record) -> None:
    del record
    _edit_chart(served, "Combien de pannes par jour ?", area=True, y_axis_format=".3s")
    found = _pulled(served)
    assert found.diff == ""
    assert any("y_axis_format" in remark for remark in found.remarks)
    assert any("area" in remark for remark in found.remarks)


def test_a_chart_added_in_the_browser_becomes_a_panel(served: Served, record: Record) -> None:
    del record
    dataset = next(d for d in served.robot.all("/api/v1/dataset/") if d["table_name"] == "failure")
    params = {"viz_type": "pie", "groupby": ["commune"], "metric": "failures_count", "row_limit": 20}
    dashboard = _item(served.robot, "/api/v1/dashboard/", PANNES)["id"]
    wanted = {"slice_name": "Quelle part par commune ?", "viz_type": "pie", "datasource_id": dataset["id"], "datasource_type": "table"}
    number = served.session("partout").post("/api/v1/chart/", {**wanted, "params": json.dumps(params), "dashboards": [dashboard]})["id"]
    chart = next(c for c in served.robot.all("/api/v1/chart/") if c["id"] == number)

    def change(position: dict[str, Any]) -> None:
        row = next(n for n in position.values() if isinstance(n, dict) and n.get("type") == "ROW" and len(n["children"]) == 1)
        node = copy.deepcopy(next(n for n in position.values() if isinstance(n, dict) and n.get("type") == "CHART"))
        node |= {
            "id": "CHART-new",
            "meta": {"chartId": number, "uuid": chart["uuid"], "sliceName": wanted["slice_name"], "width": 4, "height": 50},
        }
        position["CHART-new"] = node
        row["children"].append("CHART-new")

    _edit_layout(served, change)
    after = _pulled(served).after
    assert "titre: Quelle part par commune ?" in after
    assert "genre: repartition" in after
    served.robot.delete(f"/api/v1/chart/{number}")


def test_every_panel_answers_and_an_empty_one_is_a_fault(served: Served, record: Record, tmp_path: Path) -> None:
    del record
    plan = served.plan
    found = list(check_panels(served.robot, plan.bundle, plan.sheets))
    assert {c.panel: c.rows for c in found if c.problem is None} == {
        "Combien de pannes ?": 1,
        "Combien de pannes par jour ?": 90,
        "Quelles communes en ont le plus ?": 3,
        "Quelles sont les pannes ?": 300,
        "Combien d'enregistrements par source ?": 10,
    }
    text = (served.folder / "pannes.yaml").read_text(encoding="utf-8")
    nothing = text.replace("limite: 1000\n", 'limite: 1000\n        ou: [{colonne: commune, valeurs: ["Nulle part"]}]\n')
    (tmp_path / "pannes.yaml").write_text(nothing, encoding="utf-8")
    empty = plan_of(tmp_path)
    assert [c.panel for c in check_panels(served.robot, empty.bundle, empty.sheets) if c.problem is not None] == [
        "Quelles sont les pannes ?"
    ]
    (tmp_path / "pannes.yaml").write_text(nothing + "        peut_etre_vide: rien n'y tombe en panne\n", encoding="utf-8")
    excused = plan_of(tmp_path)
    assert not [c for c in check_panels(served.robot, excused.bundle, excused.sheets) if c.problem is not None]


def test_accounts_of_a_local_instance_follow_its_secrets(served: Served) -> None:
    first = {"administrateur": "premier mot de passe", "pcc": "un mot de passe", "visiteur": ""}
    changed, marks = people.settle_local(served.robot, first, {}, KEY)
    assert changed == ["account administrateur", "account pcc"]
    assert people.settle_local(served.robot, first, marks, KEY) == ([], marks)
    assert "premier" not in json.dumps(marks)
    with Superset(served.settings.superset_url, "pcc", "un mot de passe") as session:
        assert session.get("/api/v1/me/")["result"]["username"] == "pcc"
    changed, marks = people.settle_local(served.robot, first | {"pcc": "un autre mot de passe"}, marks, KEY)
    assert changed == ["account pcc"]
    with pytest.raises(VigieError, match="does not know pcc"):
        Superset(served.settings.superset_url, "pcc", "un mot de passe")
    changed, marks = people.settle_local(served.robot, first | {"pcc": ""}, marks, KEY)
    assert changed == ["pcc is kept out"]
    with pytest.raises(VigieError, match="does not know pcc"):
        Superset(served.settings.superset_url, "pcc", "un autre mot de passe")
    found = {p.login: p for p in people.people(served.robot)}
    assert found["administrateur"].is_administrator
    assert (found["pcc"].role, found["pcc"].sees_all, found["pcc"].is_active) == ("pcc", True, False)
    with pytest.raises(WrongUse, match="no account of a local instance"):
        people.settle_local(served.robot, {"anlyste": "x" * 12}, {}, KEY)


def test_the_service_pushes_what_is_due_and_settles_accounts(served: Served) -> None:
    pushed = push_all(served.settings, served.plan, on_edit="skip")
    assert record_path(served.settings).exists()
    assert pushed.record == Record.read(record_path(served.settings))
    passwords = secrets.load(served.settings.home).dashboards
    assert set(passwords) == set(people.LOCAL)
    for login, password in passwords.items():
        Superset(served.settings.superset_url, login, password.get_secret_value()).close()
        assert password.get_secret_value() not in record_path(served.settings).read_text(encoding="utf-8")
    again = push_all(served.settings, served.plan, on_edit="skip")
    assert (again.imported, again.changed, again.removed) == (False, (), ())


def test_a_person_of_an_authority_needs_rows_of_it(served: Served) -> None:
    assert authorities(served.settings, served.plan) == [AGGLO, SARRY]
    wanted: dict[str, Any] = {"name": "Élu", "role": "pcc", "password": password_of("elu")}
    with pytest.raises(WrongUse, match="no row belongs") as wrong:
        add_person(served.settings, served.plan, "elu", authority="Commune de Sary", **wanted)
    assert SARRY in str(wrong.value.remedy)
    assert all(p.login != "elu" for p in people.people(served.robot))
    add_person(served.settings, served.plan, "elu", authority=SARRY, **wanted)
    assert next(p for p in people.people(served.robot) if p.login == "elu").authorities == (SARRY,)


def test_people_come_and_go(served: Served) -> None:
    people.add(served.robot, "claire.dupont", name="Claire Dupont", role="referent", authority=SARRY, password=password_of("claire"))
    found = next(p for p in people.people(served.robot) if p.login == "claire.dupont")
    assert (found.name, found.role, found.authorities, found.sees_all) == ("Claire Dupont", "referent", (SARRY,), False)
    with pytest.raises(WrongUse, match="exists already"):
        people.add(served.robot, "claire.dupont", name="x", role="pcc", authority=None, password=password_of("claire"))
    people.set_password(served.robot, "claire.dupont", "encore un mot de passe")
    Superset(served.settings.superset_url, "claire.dupont", "encore un mot de passe").close()
    people.remove(served.robot, "claire.dupont")
    assert not next(p for p in people.people(served.robot) if p.login == "claire.dupont").is_active
    with pytest.raises(WrongUse, match="nobody has the login") as unknown:
        people.remove(served.robot, "claire.dupond")
    assert "claire.dupont" in str(unknown.value.remedy)
    with pytest.raises(WrongUse, match="characters"):
        people.set_password(served.robot, "claire.dupont", "court")


def test_a_server_that_does_not_run_says_what_to_do(served: Served) -> None:
    del served
    with pytest.raises(VigieError, match="does not answer") as gone:
        Superset("http://127.0.0.1:9", "vigie", "x")
    assert "vigie up" in str(gone.value.remedy)


def test_a_token_that_has_ended_is_renewed(served: Served) -> None:
    ended = _ended(served.settings.superset_secret.get_secret_value())
    answer = httpx.get(f"{served.settings.superset_url}/api/v1/me/", headers={"Authorization": f"Bearer {ended}"})
    assert (answer.status_code, answer.json()["msg"]) == (401, client.ENDED)
    refusals = iter([answer])

    class Once(httpx.HTTPTransport):
        """As a session that is a quarter of an hour old sees it: the server's own refusal, once."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            refused = next(refusals, None) if request.url.path == "/api/v1/dashboard/" else None
            return super().handle_request(request) if refused is None else httpx.Response(refused.status_code, content=refused.content)

    with Superset(served.settings.superset_url, "partout", password_of("partout"), transport=Once()) as session:
        assert [d["uuid"] for d in session.all("/api/v1/dashboard/")]
        assert next(refusals, None) is None


def _ended(secret: str) -> str:
    """Return a token as the server makes them, that ended a second ago."""
    now = int(time.time())
    head = {"alg": "HS256", "typ": "JWT"}
    body = {"fresh": True, "iat": now - 901, "jti": "a", "type": "access", "sub": "1", "nbf": now - 901, "exp": now - 1}
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body))
    signature = hmac.new(secret.encode(), text.encode(), "sha256").digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
