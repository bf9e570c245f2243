"""What a build is made from beside the landings, and whether what is published is up to date.

Here: the digest of contracts, declared files and models; the question that spares a build of nothing new. Not here: building.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Final

from ingestion.feeds.registry import valid_feeds
from ingestion.lake.builds import find_build
from ingestion.lake.ledger import last_landing_seq
from ingestion.lake.publish import last_publication
from ingestion.reference import DECLARED, declared_file
from orchestration.dbt import project
from orchestration.settings import Settings

NOTHING_LANDED: Final = "nothing has landed yet"


def inputs_digest(settings: Settings) -> str:
    """Return the digest of what decides, beside the landings, what a build makes."""
    digest = hashlib.sha256(project.digest().encode())
    for feed in sorted(valid_feeds(settings.feeds_path), key=lambda f: f.feed):
        digest.update(feed.model_dump_json().encode())
    for name in DECLARED:
        digest.update(name.encode())
        digest.update(declared_file(settings.declared_path, name).read_bytes())
    return digest.hexdigest()


def up_to_date(settings: Settings, now: dt.datetime) -> str | None:
    """Return why a build would change nothing, or None when one is due.

    A build is due when something landed, when a contract, a declared file or a model changed, and once a day: what is open
    grows older, deadlines pass and the calendar moves on without anything landing.

    Raises:
        VigieError: the lake does not answer.
    """
    landed, published = last_landing_seq(settings.lake), last_publication(settings.lake)
    if landed == 0:
        return NOTHING_LANDED
    if published is None or published.landing_seq < landed or _utc_day(published.published_at) != _utc_day(now):
        return None
    build = find_build(settings.lake, published.build_id)
    if build is None or build.inputs_digest != inputs_digest(settings):
        return None
    return f"nothing has landed or changed since the build published at {published.published_at:%Y-%m-%d %H:%M} UTC"


def _utc_day(moment: dt.datetime) -> dt.date:
    return moment.astimezone(dt.UTC).date()
