"""Names that stay: the uuid of everything Superset holds is made of what it is called here.

Here: ids, slugs. Not here: what the things are.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Literal
from uuid import NAMESPACE_URL, uuid5

Kind = Literal["database", "dataset", "chart", "dashboard"]


def stable(kind: Kind, name: str) -> str:
    """Return the uuid of a thing, the same on every instance and at every push.

    >>> stable("dataset", "indicators.alarm_daily") == stable("dataset", "indicators.alarm_daily")
    True
    """
    return str(uuid5(NAMESPACE_URL, f"vigie:{kind}:{name}"))


DATABASE: Final = stable("database", "lake")
DATABASE_TITLE: Final = "Lac de données"


def slug(title: str) -> str:
    """Return a title in plain letters, digits and hyphens.

    >>> slug("Où tombe-t-on le plus en panne ?")
    'ou-tombe-t-on-le-plus-en-panne'
    """
    plain = unicodedata.normalize("NFKD", title.replace("œ", "oe").replace("Œ", "oe")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


def chart_name(code: str, tab: int, title: str) -> str:
    """Return the name that a panel's uuid is made of: its sheet, the number of its tab from 1, its question."""
    return f"{code}/{tab}/{slug(title)}"


def short(uuid: str) -> str:
    """Return the part of a uuid that tells it from others on one page, for ids of layout and of filters."""
    return uuid.replace("-", "")[:12]
