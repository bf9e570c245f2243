"""CAP messages as an Atom feed, and their addresses.

Here: the feed, and `/alarms.atom`, `/alarms/{id}/cap`. Not here: one document (`cap`), which messages there are (`cap_chain`).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response
from lxml import etree

from orchestration.alerts.feeds import cap, cap_chain
from orchestration.alerts.feeds.cap import Issuer, Message
from orchestration.alerts.feeds.problems import described
from orchestration.alerts.store.rows import from_snapshot
from orchestration.alerts.store.store import Connect, NotThere, Store

NAMESPACE: Final = "http://www.w3.org/2005/Atom"
CAP_TYPE: Final = "application/cap+xml"
ATOM_TYPE: Final = "application/atom+xml"
# A reader that asks each minute, and was away for an hour in a storm, has missed less.
_ENTRIES: Final = 100
_LABEL_FR: Final = {"Alert": "Alerte", "Update": "Mise à jour", "Cancel": "Fin"}


def add(routes: APIRouter, store: Store, connect: Connect) -> None:
    """Add them to a router."""

    @cache
    def issuer() -> Issuer:
        return cap_chain.issuer(connect)

    @routes.get(
        "/alarms.atom", response_class=Response, tags=["CAP"], summary="The newest CAP messages as an Atom feed.",
        description=f"At most {_ENTRIES}, the newest first, each with its document inside. `If-None-Match` saves what has not changed.",
        responses={
            **described(), 200: {"content": {ATOM_TYPE: {"schema": {"type": "string"}, "example": "<feed xmlns='…'>…</feed>"}}},
            304: {"description": "Nothing was told since."},
        },
    )  # fmt: skip
    def _feed(request: Request, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        tag = f'"{issuer().instance}-{store.last_seq()}"'
        if if_none_match == tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
        messages = cap_chain.newest(connect, _ENTRIES)
        root = feed(issuer(), messages, cap_chain.alarms(connect, messages), str(request.base_url).rstrip("/"))
        return Response(_written(root), media_type=ATOM_TYPE, headers={"ETag": tag, "Cache-Control": "private, no-cache"})

    @routes.get(
        "/alarms/{alarm_id}/cap", response_class=Response, tags=["CAP"],
        summary="A CAP 1.2 message of an alarm: its last, or one of before.",
        responses={
            **described(HTTPStatus.NOT_FOUND),
            200: {"content": {CAP_TYPE: {"schema": {"type": "string"}, "example": f"<alert xmlns='{cap.NAMESPACE}'>…</alert>"}}},
        },
    )  # fmt: skip
    def _document(
        alarm_id: Annotated[int, Path(ge=1, le=2**63 - 1, examples=[7])],
        seq: Annotated[int | None, Query(ge=1, description="Number of the message, as in its identifier.")] = None,
    ) -> Response:
        store.get(alarm_id)
        found = [m for m in cap_chain.of_alarm(connect, alarm_id) if seq in {None, m.seq}]
        if not found:
            raise NotThere(
                f"alarm {alarm_id} has no such CAP message", remedy="an alarm that never stood for itself has none; leave out seq"
            )
        alarm = from_snapshot(cap_chain.alarms(connect, found[-1:])[found[-1].seq])
        return Response(_written(cap.document(issuer(), found[-1], alarm)), media_type=CAP_TYPE)


def feed(issuer: Issuer, messages: list[Message], alarms: Mapping[int, Mapping[str, Any]], base: str) -> etree._Element:
    """Return the feed of messages, the newest first; `base` is where this application is asked."""
    root = etree.Element(f"{{{NAMESPACE}}}feed", nsmap={None: NAMESPACE})  # type: ignore[dict-item] # None is the default namespace
    root.set("{http://www.w3.org/XML/1998/namespace}lang", "fr-FR")
    _add(root, "id", _urn(issuer.sender))
    _add(root, "title", f"{issuer.name} : alertes")
    # A feed without messages was never updated: the epoch, rather than an instant that changes at each reading.
    _add(root, "updated", cap.zoned(messages[0].sent) if messages else "1970-01-01T00:00:00+00:00")
    _add(etree.SubElement(root, f"{{{NAMESPACE}}}author"), "name", issuer.name)
    etree.SubElement(root, f"{{{NAMESPACE}}}link", rel="self", type=ATOM_TYPE, href=f"{base}/api/alarms.atom")
    for message in messages:
        alarm = from_snapshot(alarms[message.seq])
        entry = etree.SubElement(root, f"{{{NAMESPACE}}}entry")
        document = cap.document(issuer, message, alarm)
        _add(entry, "id", _urn(issuer.identifier(message.alarm_id, message.seq)))
        _add(entry, "title", document.findtext(f".//{{{cap.NAMESPACE}}}headline") or alarm.title)
        _add(entry, "updated", cap.zoned(message.sent))
        _add(entry, "summary", document.findtext(f".//{{{cap.NAMESPACE}}}description") or alarm.title)
        etree.SubElement(entry, f"{{{NAMESPACE}}}category", term=message.type, label=_LABEL_FR[message.type])
        href = f"{base}/api/alarms/{message.alarm_id}/cap?seq={message.seq}"
        etree.SubElement(entry, f"{{{NAMESPACE}}}link", rel="alternate", type=CAP_TYPE, href=href)
        # Readers for people open a page, and would open the identifier for want of one: the wall.
        etree.SubElement(entry, f"{{{NAMESPACE}}}link", rel="alternate", type="text/html", href=f"{base}/")
        etree.SubElement(entry, f"{{{NAMESPACE}}}content", type=CAP_TYPE).append(document)
    return root


def _urn(name: str) -> str:
    """Return an address for ever, which Atom asks for: a UUID made of a name that is unique."""
    return uuid.uuid5(uuid.NAMESPACE_OID, name).urn


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = text


def _written(root: etree._Element) -> bytes:
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=False)
