"""The journal of what people do in the dashboards: Superset's own, without passwords.

Here: what is left out of it. Superset writes down each call with all it was given: who changes their password would have the new one kept
in `logs`, readable, for administrators and in every backup. Not here: who reads the journal (roles).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from superset.utils.log import DBEventLogger

# As Superset's forms and its API call them: password, current_password, conf_password, access_token, csrf_token…
_SECRET: Final = re.compile("password|token|secret", re.IGNORECASE)


def without_secrets(record: Any) -> Any:
    """Return what is to be written down without what is secret in it, however deep.

    >>> without_secrets({"path": "/api/v1/me/", "password": "x", "all": [{"New_Password": "x", "name": "Claire"}]})
    {'path': '/api/v1/me/', 'all': [{'name': 'Claire'}]}
    """
    if isinstance(record, Mapping):
        return {key: without_secrets(value) for key, value in record.items() if not _SECRET.search(str(key))}
    if isinstance(record, list):
        return [without_secrets(one) for one in record]
    return record


class Journal(DBEventLogger):
    """Superset's journal, in its own database, without secrets."""

    def log(self, *known: Any, records: Any = (), curated_payload: Any = None, **more: Any) -> None:
        """Write down what was done; arguments are Superset's."""
        super().log(*known, records=without_secrets(list(records)), curated_payload=without_secrets(curated_payload), **more)
