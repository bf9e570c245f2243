"""CAP 1.1 and 1.2: a message to its alerts, alone or in a feed.

Here: the alert, the Atom or RSS feed whose entries hold one, sum one up or only link to it. Not here: XML (`wire_xml`), what an
alert says (`cap_shape`, `cap_rows`). Nothing is fetched: what an entry links to is another message.

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

import copy
import re
from email.utils import parsedate_to_datetime
from typing import Final

from lxml import etree

from ingestion.formats.cap_rows import REASONS as OF_ALERT
from ingestion.formats.cap_rows import Refused, add_alert, moment
from ingestion.formats.cap_shape import NAMESPACES, Alert, read_alert, read_summary
from ingestion.formats.wire import AssetRow, ObservationRow, WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, reject_unreadable
from ingestion.formats.wire_values import is_too_long
from ingestion.formats.wire_xml import REASONS as OF_XML
from ingestion.formats.wire_xml import local_name, read_xml

REASONS: Final[dict[str, str]] = {
    **OF_XML,
    **OF_ALERT,
    "not_an_alert": "neither a CAP 1.1 or 1.2 alert nor an Atom or RSS feed",
    "too_many": "more entries than a message may hold",
    "no_id": "an entry without id",
    "no_instant": "nothing dates the entry",
}
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
# Of an alert kept as text in an entry: its characters are decoded already, whatever encoding it names.
_DECLARATION: Final = re.compile(r"^<\?xml[^>]*\?>")
# The titles of MeteoAlarm's feeds: `Yellow Wind Warning issued for France - Aube`, whatever the language of the event.
_METEOALARM: Final = re.compile(r"(?:Green|Yellow|Orange|Red) (.{1,60}?) Warning issued for ", re.IGNORECASE)
_ALERTS: Final = frozenset("{" + namespace + "}alert" for namespace in NAMESPACES)


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,  # noqa: ARG001 - an alert says itself what it is; other formats need it
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`): a record is an alert or an entry of a feed."""
    try:
        root = read_xml(payload, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    if root.tag in _ALERTS:
        _record(root, root, None, after + 1, batch, options)
        return 1
    feed = root if root.tag == f"{_ATOM}feed" else root.find("channel") if root.tag == "rss" else None
    if feed is None:
        alerts = list(root.iter(*_ALERTS))  # EDXL-DE, the IPAWS feed: envelopes that add nothing to what alerts say
        if len(alerts) > options.max_records:
            batch.reject(after + 1, "too_many", f"{len(alerts)} alerts: {REASONS['too_many']}", _original(root, options))
            return 1
        for position, alert in enumerate(alerts, start=after + 1):
            _record(alert, alert, None, position, batch, options)
        if alerts:
            return len(alerts)
        batch.reject(after + 1, "not_an_alert", f"{REASONS['not_an_alert']}: {root.tag[:200]}", _original(root, options))
        return 1
    entries = feed.findall(f"{_ATOM}entry" if root.tag != "rss" else "item")
    if len(entries) > options.max_records:
        batch.reject(after + 1, "too_many", f"{len(entries)} entries: {REASONS['too_many']}", _original(root, options))
        return 1
    if not entries:
        _quiet(feed, after + 1, batch, received_at, options)
        return 1
    for position, entry in enumerate(entries, start=after + 1):
        _record(entry, _embedded(entry, options), feed, position, batch, options)
    return len(entries)


def _record(
    element: etree._Element,
    alert: etree._Element | None,
    feed: etree._Element | None,
    position: int,
    batch: WireBatch,
    options: WireOptions,
) -> None:
    """Append one alert or entry, or the reject of it."""
    mark = batch.mark()
    try:
        if alert is not None:
            add_alert(read_alert(alert), position, batch)
        elif feed is not None:
            _entry(element, feed, position, batch)
    except Refused as error:
        batch.back_to(mark)
        reason, detail = error.args
        batch.reject(position, reason, detail, _original(element, options))


def _embedded(entry: etree._Element, options: WireOptions) -> etree._Element | None:
    """Return the alert that an entry holds, as elements or as text; None where it holds none."""
    for tag in _ALERTS:
        found = next(entry.iter(tag), None)
        if found is not None:
            return found
    for element in (entry.find(f"{_ATOM}content"), entry.find("description")):
        text = element.text if element is not None else None
        if text is not None and "alert" in text and text.lstrip().startswith("<"):
            try:
                root = read_xml(_DECLARATION.sub("", text.strip()).encode(), options)
            except Unreadable:
                continue  # HTML, most often: the entry is read for what else it states
            if root.tag in _ALERTS:
                return root
    return None


def _entry(entry: etree._Element, feed: etree._Element, position: int, batch: WireBatch) -> None:
    """Append what an entry without alert states: the sum of one, or its title and link."""
    said = _said(entry)
    identifier = said.get("id") or said.get("web")
    summary = read_summary(entry)
    if summary is not None:
        _complete(summary, said, feed)
        add_alert(summary, position, batch)
        return
    if identifier is None:
        raise Refused("no_id", REASONS["no_id"])
    if "sent" not in said:
        raise Refused("no_instant", REASONS["no_instant"])
    at = moment(said["sent"])
    if is_too_long(identifier) or any(is_too_long(said.get(name, "")) for name in ("title", "summary", "web")):
        raise Refused("text_too_long", REASONS["text_too_long"])
    ref = f"alert:{identifier}"
    batch.assets.append(AssetRow(position, ref, "warning", name=said.get("title")))
    for name in ("title", "summary", "web"):
        if name in said:
            batch.observations.append(ObservationRow(position, ref, name, at, None, said[name], None, None, identifier))


def _complete(summary: Alert, said: dict[str, str], feed: etree._Element) -> None:
    """Fill what CAP requires and a summary leaves to its entry."""
    texts = summary.texts
    for name, other in (("identifier", "id"), ("sent", "sent"), ("headline", "title"), ("description", "summary"), ("web", "web")):
        if name not in texts and other in said:
            texts[name] = said[other]
    for name in ("identifier", "sent"):
        if name not in texts:
            raise Refused("no_id" if name == "identifier" else "no_instant", REASONS["no_id" if name == "identifier" else "no_instant"])
    titled = _METEOALARM.match(said.get("title", ""))
    if titled is not None:
        summary.infos[0].hazard = titled[1]
    if "sender" not in texts:
        texts["sender"] = said.get("author") or _text(feed, f"{_ATOM}id") or _text(feed, "link") or "feed"


def _said(entry: etree._Element) -> dict[str, str]:
    """Return what an entry of Atom or an item of RSS states: id, title, summary, web, sent, author."""
    if entry.tag == "item":
        found = {
            "id": _text(entry, "guid"),
            "title": _text(entry, "title"),
            "summary": _text(entry, "description"),
            "web": _text(entry, "link"),
            "sent": _rfc_822(_text(entry, "pubDate")),
            "author": _text(entry, "author"),
        }
    else:
        links = [e for e in entry.findall(f"{_ATOM}link") if e.get("rel", "alternate") == "alternate" and e.get("href")]
        found = {
            "id": _text(entry, f"{_ATOM}id"),
            "title": _text(entry, f"{_ATOM}title"),
            "summary": _text(entry, f"{_ATOM}summary"),
            "web": links[0].get("href") if links else None,
            "sent": _text(entry, f"{_ATOM}updated") or _text(entry, f"{_ATOM}published"),
            "author": _text(entry, f"{_ATOM}author/{_ATOM}name") or _text(entry, f"{_ATOM}author/{_ATOM}uri"),
        }
    return {name: text for name, text in found.items() if text is not None}


def _quiet(feed: etree._Element, position: int, batch: WireBatch, received_at: int | None, options: WireOptions) -> None:
    """Append that a feed has no entry: nothing is warned of, which is news as well."""
    identifier = _text(feed, f"{_ATOM}id") or _text(feed, "link")
    stated = _text(feed, f"{_ATOM}updated") or _rfc_822(_text(feed, "lastBuildDate") or _text(feed, "pubDate"))
    try:
        at = moment(stated) if stated is not None else received_at
    except Refused as error:
        reason, detail = error.args
        batch.reject(position, reason, detail, _original(feed, options))
        return
    if identifier is None or is_too_long(identifier):
        batch.reject(position, "no_id", "a feed without id, or with one longer than 32 KiB", _original(feed, options))
    elif at is None:
        batch.reject(position, "no_instant", "nothing dates the feed", _original(feed, options))
    else:
        quality = "uncertain" if stated is None else None
        batch.observations.append(ObservationRow(position, f"feed:{identifier}", "entries", at, 0.0, None, "{count}", quality))


def _text(element: etree._Element, path: str) -> str | None:
    return (element.findtext(path) or "").strip() or None


def _rfc_822(text: str | None) -> str | None:
    """Return a date of RSS as CAP writes one; one that cannot be read, or has no zone, as it is (and refused for that)."""
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return text


def _original(element: etree._Element, options: WireOptions) -> str:
    """Return the XML of what was refused, shortened, without personal elements and people who wrote entries."""
    kept = copy.deepcopy(element)
    personal = options.personal | {"author"}
    for inner in list(kept.iter()):
        parent = inner.getparent()
        if parent is not None and local_name(inner) in personal:
            parent.remove(inner)
    return etree.tostring(kept, encoding="unicode", with_tail=False)[:QUOTED_BYTES]
