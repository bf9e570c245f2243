"""XML messages: bytes to elements, within bounds, deaf to entities and to the network.

Here: XML and its dangers. Not here: what any format says with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lxml import etree

from ingestion.formats.wire import WireOptions
from ingestion.formats.wire_json import Unreadable

REASONS: Final[dict[str, str]] = {
    "too_large": "the message is longer than a message may be",
    "invalid_xml": "the message is not well-formed XML",
    "doctype": "the message declares a document type, which may hold entities: none is read",
    "too_deep": "the message is nested deeper than any real one",
}


def read_xml(payload: bytes, options: WireOptions) -> etree._Element:
    """Return the root element of a message; comments and processing instructions are left out.

    >>> read_xml(b"<a><b>1</b></a>", WireOptions()).findtext("b")
    '1'

    Raises:
        Unreadable: it is too long, nested too deep, not well-formed, or declares a document type.
    """
    if len(payload) > options.max_bytes:
        raise Unreadable("too_large", f"{len(payload):,} bytes: {REASONS['too_large']} ({options.max_bytes:,})")
    # A parser of its own each time: they are not to be shared between threads, and cost microseconds.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True, recover=False
    )
    try:
        # Templates leave blank lines before the declaration, which no parser takes.
        root = etree.fromstring(payload.lstrip(), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = "too_deep" if "depth" in str(error).lower() else "invalid_xml"
        raise Unreadable(reason, f"{REASONS[reason]}: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Unreadable("doctype", REASONS["doctype"])
    if _deeper_than(options.max_depth)(root):
        raise Unreadable("too_deep", f"{REASONS['too_deep']} ({options.max_depth})")
    return root


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


@lru_cache(maxsize=8)  # a feed's bound is the default but in tests
def _deeper_than(levels: int) -> etree.XPath:
    """Return what tells whether a tree is nested deeper: the library looks by itself, ten times as fast as Python walking its elements."""
    return etree.XPath(f"boolean({'/*' * (levels + 1)})")
