"""Whether feeds describe the territory they share alike.

Here: the comparison of two contracts' territory blocks, and how a difference is told. Not here: which feeds count
(`ingestion.reference`: those that have landed), reading contracts (`load`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ingestion.errors import WrongUse
from ingestion.feeds.model import Feed, Territory


def agreed_territories(feeds: Iterable[Feed]) -> dict[str, Territory]:
    """Return the territories of feeds, by code.

    Raises:
        WrongUse: two feeds describe one territory differently; both blocks are shown.
    """
    first: dict[str, Feed] = {}
    for feed in feeds:
        other = first.setdefault(feed.territory.code, feed)
        if other.territory != feed.territory:
            raise conflict(other, feed)
    return {code: feed.territory for code, feed in first.items()}


def conflict(one: Feed, other: Feed, places: Mapping[str, Mapping[str, str]] | None = None) -> WrongUse:
    """Return the error that shows two feeds' blocks of one territory side by side.

    Args:
        one: a feed.
        other: a feed of the same territory code, described differently.
        places: feed name to key to where that key is written (`file:line`), when it is known.
    """
    names = (one.feed, other.feed)
    blocks = [feed.territory.model_dump() for feed in (one, other)]
    rows = [("", *names)]
    for key in Territory.model_fields:
        shown = [str(block[key]) for block in blocks]
        if places is not None and shown[0] != shown[1]:
            shown = [f"{value}  ({places[name][key]})" for value, name in zip(shown, names, strict=True)]
        rows.append((("≠ " if blocks[0][key] != blocks[1][key] else "  ") + key, shown[0], shown[1]))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    table = "\n".join("    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return WrongUse(
        f"feeds {one.feed} and {other.feed} describe territory {one.territory.code!r} differently\n{table}",
        remedy=f"one place is described once: copy one block into the other contract, or give it another code if it is another place "
        f"(vigie feeds add FILE --territory {one.territory.code} takes the block that is there)",
    )
