"""What a build is made from beside the landings, and whether one is due.

Here: the digest of contracts, declared files and models; the question that spares a build of nothing new. Not here: building.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ingestion
from ingestion.lake.publish import Publication, standing
from orchestration.dbt import project
from orchestration.settings import Settings

_SHIPPED: Final = Path(ingestion.__path__[0])


@dataclass(frozen=True)
class Due:
    """Whether a build is due.

    Attributes:
        is_due: whether it would change anything.
        is_empty: whether nothing has landed yet, so that there is nothing to build at all.
        why_not: why no build is due, in words; empty when one is.
        published: what people read now.
    """

    is_due: bool
    is_empty: bool
    why_not: str
    published: Publication | None


def inputs_digest(settings: Settings) -> str:
    """Return the digest of what decides, beside the landings, what a build makes: models, contracts, declared files.

    Of the files' bytes: a changed comment costs a build, reading two dozen contracts would cost every question a second.
    """
    digest = hashlib.sha256(project.digest().encode())
    for folder, pattern in (
        (settings.feeds_path, "*.y*ml"),
        (settings.declared_path, "*.csv"),
        (_SHIPPED / "feeds" / "examples", "*.y*ml"),
        (_SHIPPED / "declared", "*.csv"),
    ):
        for path in sorted(folder.glob(pattern)):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def due(settings: Settings, now: dt.datetime) -> Due:
    """Return whether a build is due: something landed, a contract, a declared file or a model changed, or a UTC day began.

    Once a day even so: what is open grows older, deadlines pass and the calendar moves on without anything landing.

    Raises:
        VigieError: the lake does not answer.
    """
    found = standing(settings.lake)
    published = found.publication
    if found.landing_seq == 0:
        return Due(is_due=False, is_empty=True, why_not="nothing has landed yet", published=published)
    if (
        published is None
        or published.landing_seq < found.landing_seq
        or _utc_day(published.published_at) != _utc_day(now)
        or found.inputs_digest != inputs_digest(settings)
    ):
        return Due(is_due=True, is_empty=False, why_not="", published=published)
    why_not = f"nothing has landed or changed since the build published at {published.published_at:%Y-%m-%d %H:%M} UTC"
    return Due(is_due=False, is_empty=False, why_not=why_not, published=published)


def _utc_day(moment: dt.datetime) -> dt.date:
    return moment.astimezone(dt.UTC).date()
