"""Row-level security: an analyst of one town gets no row of another, whatever they ask and by whichever way."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from tests.superset_server import AGGLO, OF_EACH, ROWS, SARRY, Served

pytest_plugins = ("tests.superset_server",)

T = "indicators.failure"
BY = "owner_authority, count(*) AS n"
_SQL = {
    "plain": f"SELECT {BY} FROM {T} GROUP BY 1",
    "alias": f"SELECT {BY} FROM {T} AS t GROUP BY 1",
    "alias with columns": f"SELECT * FROM {T} AS t(a, b, c, d)",
    "the lake's name": f"SELECT {BY} FROM lake.{T} GROUP BY 1",
    "quoted": 'SELECT owner_authority, count(*) AS n FROM "indicators"."failure" GROUP BY 1',
    "capitals": f"SELECT {BY} FROM indicators.FAILURE GROUP BY 1",
    "capital schema": f"SELECT {BY} FROM INDICATORS.failure GROUP BY 1",
    "CTE": f"WITH a AS (SELECT * FROM {T}) SELECT {BY} FROM a GROUP BY 1",
    "CTE of the table's name": f"WITH failure AS (SELECT * FROM {T}) SELECT {BY} FROM failure GROUP BY 1",
    "CTE within a CTE": f"WITH failure AS (WITH failure AS (SELECT * FROM {T}) SELECT * FROM failure) SELECT {BY} FROM failure GROUP BY 1",
    "recursive CTE": f"WITH RECURSIVE r AS (SELECT owner_authority FROM {T} UNION SELECT owner_authority FROM r) SELECT * FROM r",
    "subquery": f"SELECT * FROM (SELECT {BY} FROM {T} GROUP BY 1) AS s",
    "scalar subquery": f"SELECT (SELECT list(DISTINCT owner_authority) FROM {T}) AS a",
    "subquery in WHERE": f"SELECT {BY} FROM {T} WHERE owner_authority IN (SELECT owner_authority FROM {T}) GROUP BY 1",
    "union": f"SELECT '{SARRY}' AS a, 0 AS n UNION ALL SELECT {BY} FROM {T} GROUP BY 1",
    "except": f"SELECT owner_authority FROM {T} EXCEPT SELECT 'x'",
    "comment": f"SELECT {BY} FROM {T} /* owner_authority = 'x' */ -- x\n GROUP BY 1",
    "condition": f"SELECT {BY} FROM {T} WHERE 1 = 1 OR TRUE GROUP BY 1",
    "from first": f"FROM {T} SELECT owner_authority",
    "join": f"SELECT a.owner_authority, b.owner_authority AS other FROM {T} AS a JOIN {T} AS b USING (day)",
    "left join": f"SELECT b.owner_authority FROM (SELECT 1 AS one) AS a LEFT JOIN {T} AS b ON TRUE",
    "lateral": f"SELECT l.owner_authority FROM (SELECT 1) AS a, LATERAL (SELECT owner_authority FROM {T}) AS l",
    "positional join": f"SELECT b.owner_authority FROM {T} AS a POSITIONAL JOIN {T} AS b",
    "sample": f"SELECT {BY} FROM {T} TABLESAMPLE 90% GROUP BY 1",
    "window": f"SELECT DISTINCT first_value(owner_authority) OVER (PARTITION BY reference) AS a FROM {T}",
}


def _run(served: Served, login: str, sql: str) -> tuple[int, str]:
    query = {
        "database_id": 1,
        "sql": sql,
        "client_id": uuid.uuid4().hex[:10],
        "runAsync": False,
        "schema": "indicators",
        "queryLimit": 1000,
    }
    answer = served.session(login).call("POST", "/api/v1/sqllab/execute/", json=query)
    return answer.status_code, json.dumps(answer.json().get("data"), ensure_ascii=False) if answer.is_success else ""


@pytest.mark.parametrize("name", _SQL)
def test_sql_lab_shows_no_row_of_another(served: Served, name: str) -> None:
    _, data = _run(served, "sarry", _SQL[name])
    assert AGGLO not in data
    assert f'"n": {ROWS}' not in data


def test_sql_lab_answers_with_the_rows_of_ones_own(served: Served) -> None:
    assert _run(served, "sarry", _SQL["plain"]) == (200, json.dumps([{"owner_authority": SARRY, "n": OF_EACH}], ensure_ascii=False))
    assert json.loads(_run(served, "sarry", _SQL["CTE of the table's name"])[1]) == [{"owner_authority": SARRY, "n": OF_EACH}]
    assert json.loads(_run(served, "partout", f"SELECT count(*) AS n FROM {T}")[1]) == [{"n": ROWS}]


@pytest.mark.parametrize("login", ["sarry", "partout"])
@pytest.mark.parametrize("table", ["indicators.unused", "lake.indicators.unused", "indicators.UNUSED"])
def test_sql_lab_refuses_a_published_table_that_has_no_rules(served: Served, login: str, table: str) -> None:
    status, data = _run(served, login, f"SELECT * FROM {table}")
    assert status >= 400
    assert SARRY not in data


def test_rows_of_no_one_authority_are_for_those_who_see_everything(served: Served) -> None:
    assert json.loads(_run(served, "sarry", "SELECT count(*) AS n FROM indicators.delivery")[1]) == [{"n": 0}]
    assert json.loads(_run(served, "partout", "SELECT count(*) AS n FROM indicators.delivery")[1]) == [{"n": 10}]


@pytest.mark.parametrize("login", ["partout.pcc", "sarry.visiteur"])
def test_who_may_not_write_sql_is_refused(served: Served, login: str) -> None:
    assert _run(served, login, "SELECT 1")[0] == 403


def test_what_another_asked_is_not_read(served: Served) -> None:
    client_id = uuid.uuid4().hex[:10]
    query = {"database_id": 1, "sql": f"SELECT {BY} FROM {T} GROUP BY 1", "client_id": client_id, "runAsync": False, "schema": "indicators"}
    assert AGGLO in served.session("partout").call("POST", "/api/v1/sqllab/execute/", json=query).text.encode().decode("unicode_escape")
    for path in (f"/api/v1/sqllab/export/{client_id}/", f"/api/v1/sqllab/results/?q=(key:'{client_id}')"):
        answer = served.browser("sarry").get(path)
        assert AGGLO not in answer.content.decode("utf-8", "replace")
    # Superset runs an export again, and asks nobody whose query it was: what comes are the rows of who asks now.
    exported = served.browser("sarry").get(f"/api/v1/sqllab/export/{client_id}/").content.decode("utf-8-sig")
    assert exported.splitlines() == ["owner_authority,n", f"{SARRY},{OF_EACH}"]
    streamed = served.browser("sarry").post("/api/v1/sqllab/export_streaming/", data={"client_id": client_id, "filename": "a.csv"})
    assert AGGLO not in streamed.text


def _datasets(served: Served, login: str) -> dict[str, int]:
    return {str(d["table_name"]): int(d["id"]) for d in served.session(login).all("/api/v1/dataset/")}


_QUERIES: dict[str, dict[str, Any]] = {
    "rows": {"columns": ["owner_authority", "reference"], "metrics": []},
    "measure": {"columns": ["owner_authority"], "metrics": ["failures_count"]},
    "measure written by hand": {
        "columns": [],
        "metrics": [{"expressionType": "SQL", "label": "x", "sqlExpression": "list(DISTINCT owner_authority)"}],
    },
    "column written by hand": {
        "columns": [{"expressionType": "SQL", "label": "x", "sqlExpression": "upper(owner_authority)"}],
        "metrics": ["failures_count"],
    },
    "subquery": {
        "columns": [{"expressionType": "SQL", "label": "x", "sqlExpression": f"(SELECT max(owner_authority) FROM {T})"}],
        "metrics": ["failures_count"],
    },
    "condition": {"columns": ["owner_authority"], "metrics": ["failures_count"], "extras": {"where": "1 = 1) OR (1 = 1"}},
    "condition on groups": {"columns": ["owner_authority"], "metrics": ["failures_count"], "extras": {"having": "TRUE) OR (TRUE"}},
    "filter": {
        "columns": ["owner_authority"],
        "metrics": ["failures_count"],
        "filters": [{"col": "owner_authority", "op": "IN", "val": [AGGLO, SARRY]}],
    },
}


@pytest.mark.parametrize("shape", ["json", "csv"])
@pytest.mark.parametrize("kind", ["full", "samples", "drill_detail"])
@pytest.mark.parametrize("name", _QUERIES)
def test_charts_filters_and_exports_show_no_row_of_another(served: Served, name: str, kind: str, shape: str) -> None:
    number = _datasets(served, "sarry")["failure"]
    context = {
        "datasource": {"id": number, "type": "table"},
        "queries": [{**_QUERIES[name], "row_limit": 1000}],
        "result_format": shape,
        "result_type": kind,
        "force": True,
    }
    answer = served.session("sarry").call("POST", "/api/v1/chart/data", json=context)
    # Of an answer, its rows: the query it repeats names what the asker named.
    is_rows = answer.is_success and shape == "json"
    said = json.dumps([one["data"] for one in answer.json()["result"]], ensure_ascii=False) if is_rows else answer.text
    assert AGGLO not in said
    assert AGGLO.upper() not in said
    if answer.is_success and shape == "json" and kind == "full" and name == "measure":
        assert answer.json()["result"][0]["data"] == [{"owner_authority": SARRY, "failures_count": OF_EACH}]


def test_every_dataset_shows_one_authority_its_rows_alone(served: Served) -> None:
    counts = {"failure": OF_EACH, "delivery": 0}
    found = _datasets(served, "sarry")
    assert found.keys() == counts.keys()
    count = {"expressionType": "SQL", "label": "n", "sqlExpression": "count(*)"}
    for name, number in found.items():
        context = {
            "datasource": {"id": number, "type": "table"},
            "queries": [{"columns": [], "metrics": [count], "row_limit": 10}],
            "result_format": "json",
            "result_type": "full",
        }
        assert served.session("sarry").chart_data(context)[0]["data"] == [{"n": counts[name]}]


def test_a_filters_choices_are_those_of_ones_own(served: Served) -> None:
    number = _datasets(served, "sarry")["failure"]
    values = served.session("sarry").get(f"/api/v1/datasource/table/{number}/column/owner_authority/values/")["result"]
    assert values == [SARRY]


def test_rows_below_a_chart_are_those_of_ones_own(served: Served) -> None:
    number = _datasets(served, "sarry")["failure"]
    path = f"/datasource/samples?datasource_type=table&datasource_id={number}&force=true&per_page=1000"
    answer = served.browser("sarry").post(path, json={})
    assert answer.status_code == 200, answer.text[:300]
    assert {row["owner_authority"] for row in answer.json()["result"]["data"]} == {SARRY}


def test_who_has_no_role_of_rows_sees_none(served: Served) -> None:
    from dashboards import access
    from tests.superset_server import password_of

    roles = {r["name"]: r["id"] for r in served.robot.all("/api/v1/security/roles/")}
    account = {"username": "oublie", "first_name": "o", "last_name": "", "email": "o@localhost", "active": True}
    wanted = {"roles": [roles[access.role_title("analyste", is_of_authority=False)]], "password": password_of("oublie")}
    served.robot.post("/api/v1/security/users/", account | wanted)
    assert json.loads(_run(served, "oublie", f"SELECT count(*) AS n FROM {T}")[1]) == [{"n": 0}]
    assert json.loads(_run(served, "oublie", f"WITH failure AS (SELECT * FROM {T}) SELECT count(*) AS n FROM failure")[1]) == [{"n": 0}]


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/api/v1/dataset/", {"database": 1, "schema": "indicators", "table_name": "unused"}),
        ("/api/v1/dataset/", {"database": 1, "table_name": "mine", "sql": f"SELECT * FROM {T}"}),
        ("/api/v1/dataset/get_or_create/", {"database_id": 1, "schema": "indicators", "table_name": "unused"}),
        ("/api/v1/database/", {"database_name": "x", "sqlalchemy_uri": "duckdb+vigie:///lake"}),
        ("/api/v1/assets/import/", {}),
        ("/api/v1/rowlevelsecurity/", {"name": "x", "filter_type": "Regular", "tables": [1], "roles": [], "clause": "1 = 1"}),
        ("/api/v1/security/users/", {"username": "x"}),
        ("/api/v1/security/roles/", {"name": "x"}),
    ],
)
def test_nobody_but_the_administrator_makes_datasets_rules_or_accounts(served: Served, path: str, document: dict[str, Any]) -> None:
    for login in ("partout", "agglo"):
        assert served.session(login).call("POST", path, json=document).status_code == 403


def test_each_role_opens_its_dashboards_and_no_other(served: Served) -> None:
    opened = {
        login: {str(d["slug"]) for d in served.session(login).all("/api/v1/dashboard/")}
        for login in ("sarry", "partout", "sarry.visiteur", "partout.pcc")
    }
    assert opened == {"sarry": {"pannes"}, "partout": {"pannes", "donnees"}, "sarry.visiteur": {"pannes"}, "partout.pcc": {"pannes"}}
    assert served.session("sarry").call("GET", "/api/v1/dashboard/donnees").status_code in {403, 404}


def test_who_may_not_take_data_away_does_not(served: Served) -> None:
    number = _datasets(served, "partout")["failure"]
    context = {
        "datasource": {"id": number, "type": "table"},
        "queries": [{"columns": ["commune"], "metrics": ["failures_count"], "row_limit": 10}],
        "result_format": "csv",
        "result_type": "full",
    }
    assert served.session("partout.visiteur").call("POST", "/api/v1/chart/data", json=context).status_code == 403
    assert (
        served.session("partout.visiteur").call("POST", "/api/v1/chart/data", json={**context, "result_format": "json"}).status_code == 200
    )
    assert served.session("partout").call("POST", "/api/v1/chart/data", json=context).status_code == 200
