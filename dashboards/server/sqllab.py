"""The door of SQL Lab: one query at a time, read before anything of it runs.

Here: the same allow-list as in `lake_dialect`, asked of the whole text; Superset would run several statements one after the other. Not
here: who may open SQL Lab (roles).
"""

from __future__ import annotations

from typing import Any, Final

from flask import Flask, Response, request

from dashboards.server import refusals
from ingestion.errors import WrongUse
from ingestion.lake.reader import check_query

_ENDPOINT: Final = "SqlLabRestApi.execute_sql_query"


def guard(app: Flask) -> None:
    """Refuse at the door what the lake would refuse, and several statements at once."""

    @app.before_request
    def _read_first() -> Response | None:
        if request.endpoint != _ENDPOINT:
            return None
        document: Any = request.get_json(silent=True)
        sql = document.get("sql") if isinstance(document, dict) else None
        if not isinstance(sql, str):
            return None  # Superset says what is missing
        try:
            check_query(sql)
        except WrongUse as error:
            problem = {"message": refusals.refused(error.message), "error_type": "SYNTAX_ERROR", "level": "error", "extra": {}}
            answer: Response = app.json.response({"errors": [problem]})
            answer.status_code = 400
            return answer
        return None
