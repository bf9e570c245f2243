"""`vigie feeds access`: how equipment and systems of a feed connect.

Here: what is printed. Not here: users and topics of the broker (`orchestration.services.nats_server`).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ingestion.errors import WrongUse
from orchestration.cli import common


def access_command(
    *,
    feed: Annotated[str, typer.Argument(help="A feed whose messages are sent (connector: stream).")],
    show_secret: Annotated[bool, typer.Option("--show-secret", help="Print the password too.")] = False,
    as_json: common.Json = False,
) -> None:
    """Show how equipment connects to send a feed's messages: over MQTT, and by HTTP."""
    from ingestion.feeds.model_connector import StreamConnector
    from ingestion.feeds.registry import find_feed
    from ingestion.formats.registry import FORMATS
    from orchestration.services import nats_server
    from orchestration.settings import Settings

    settings: Settings = common.load_settings()
    contract = find_feed(feed, settings.feeds_path)
    if not isinstance(contract.connector, StreamConnector):
        raise WrongUse(f"feed {feed} is not sent: its connector is {contract.connector.type}", remedy="write connector: {type: stream, …}")
    nats_server.refresh(settings)
    doors = nats_server.doors(settings)
    if feed not in doors.feeds:
        why = next((problem for problem in doors.problems if f"feed {feed} " in problem), None)
        raise WrongUse(
            why or f"feed {feed} is a shipped example: only contracts of this instance are let in",
            remedy=f"give it topics of its own in {settings.feeds_path}" if why else f"copy its contract to {settings.feeds_path}",
        )
    password = settings.secrets.streams[feed].get_secret_value()
    document: dict[str, Any] = {
        "feed": feed,
        "mqtt": {
            "host": settings.broker_host,
            "port": settings.mqtt_port,
            "version": "3.1.1",
            "tls": nats_server.tls_folder(settings) is not None,
            "user": feed,
            "topics": doors.feeds[feed],
        },
        "http": {
            "method": "POST",
            "url": f"{settings.intake_url}/ingest/{feed}",
            "authorization": "Bearer, the password",
            "media_types": list(FORMATS[contract.format.type].media_types) if contract.is_decoded else ["application/json"],
        },
        "password": password if show_secret else None,
    }
    if contract.format.type == "talq":  # a gateway is told the root of its CMS
        document["talq"] = {"url": f"{settings.intake_url}/talq/{feed}"}
    if as_json:
        common.print_json(document)
        return
    rows = [
        ("MQTT 3.1.1", f"{nats_server.mqtt_url(settings)}, QoS 1 (0 may be lost, 2 is refused)"),
        ("User", feed),
        ("Topics", ", ".join(doors.feeds[feed]) or "none: this feed is sent by HTTP only"),
        ("HTTP", f"POST {document['http']['url']}, header Authorization: Bearer PASSWORD"),
        ("Password", password if show_secret else common.pasteable(f"vigie feeds access {feed} --show-secret prints it")),
    ]
    if "talq" in document:
        rows.insert(-1, ("TALQ", f"the CMS is {document['talq']['url']} (log reports: POST …/log-reports)"))
    common.print_table(("", f"Feed {feed}"), rows)
