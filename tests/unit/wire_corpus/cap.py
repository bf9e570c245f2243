"""CAP: alerts and feeds, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

from typing import Final

TOPIC: Final[str | None] = None
NAMESPACE: Final = "urn:oasis:names:tc:emergency:cap:1.2"
AREA: Final = (
    "<area><areaDesc>Aube</areaDesc><polygon>48.0,4.0 48.0,5.0 49.0,5.0 48.0,4.0</polygon>"
    "<geocode><valueName>EMMA_ID</valueName><value>FR018</value></geocode></area>"
)
INFO: Final = (
    "<info><language>fr-FR</language><category>Met</category><event>Vent violent</event><urgency>Future</urgency>"
    "<severity>Severe</severity><certainty>Likely</certainty><onset>2026-11-22T18:00:00+01:00</onset>"
    f"<expires>2026-11-23T06:00:00+01:00</expires><headline>Vent violent ce soir</headline>{AREA}</info>"
)
HEAD: Final = (
    "<identifier>A1</identifier><sender>meteo@example.org</sender><sent>2026-11-22T12:00:00+01:00</sent>"
    "<status>Actual</status><msgType>Alert</msgType><scope>Public</scope>"
)


def alert(inner: str, namespace: str = NAMESPACE) -> str:
    """Return an alert of these elements."""
    return f'<alert xmlns="{namespace}">{inner}</alert>'


def feed(*entries: str) -> str:
    """Return an Atom feed of these entries."""
    return (
        f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:cap="{NAMESPACE}"><id>https://example.org/vigilance</id>'
        f"<updated>2026-11-22T12:05:00Z</updated>{''.join(f'<entry>{e}</entry>' for e in entries)}</feed>"
    )


LINK: Final = (
    "<id>https://example.org/a/1</id><title>Crue de la Seine</title><updated>2026-11-22T12:00:00Z</updated>"
    '<link href="https://example.org/a/1.xml"/>'
)
SUMMARY: Final = (
    "<id>https://example.org/a/2</id><title>Orages</title><updated>2026-11-22T12:00:00Z</updated>"
    "<cap:event>Orages</cap:event><cap:severity>Moderate</cap:severity><cap:urgency>Immediate</cap:urgency>"
    "<cap:status>Actual</cap:status><cap:message_type>Alert</cap:message_type><cap:areaDesc>Aube</cap:areaDesc>"
    "<cap:geocode><valueName>EMMA_ID</valueName><value>FR018</value></cap:geocode>"
)
RSS: Final = (
    '<rss version="2.0"><channel><link>https://example.org</link><item><guid>r1</guid><title>Vigilance</title>'
    "<pubDate>Sun, 22 Nov 2026 12:00:00 GMT</pubDate></item></channel></rss>"
)
GOOD: Final = [
    text.encode()
    for text in (
        alert(HEAD + INFO),
        alert(HEAD + INFO, "urn:oasis:names:tc:emergency:cap:1.1"),
        alert(HEAD.replace("Alert<", "Cancel<") + "<references>meteo@example.org,A0,2026-11-22T06:00:00+01:00</references>"),
        feed(f'<content type="text/xml">{alert(HEAD + INFO)}</content>', SUMMARY, LINK),
        feed(),
        RSS,
        f"<?xml version='1.0'?>{alert(HEAD + INFO + INFO.replace('fr-FR', 'en-GB').replace('Vent violent', 'Strong wind'))}",
    )
] + [f'<?xml version="1.0" encoding="ISO-8859-1"?>{alert(HEAD + INFO.replace("Aube", "Nièvre"))}'.encode("latin-1")]
BAD: Final = [
    b"",
    b"<alert",
    b"\xff\xfe",
    b"<a/>",
    b'<!DOCTYPE a [<!ENTITY b "c">]><alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">&b;</alert>',
    b"<a>" * 100 + b"</a>" * 100,
    alert("").encode(),
    alert(HEAD.replace("<scope>Public</scope>", "") + INFO).encode(),
    alert(HEAD.replace("Actual", "Exercise") + INFO).encode(),
    alert(HEAD.replace("Actual", "actual") + INFO).encode(),
    alert(HEAD.replace("12:00:00+01:00", "12:00:00") + INFO).encode(),
    alert(HEAD.replace(">Alert<", ">Ack<")).encode(),
    alert(HEAD + INFO.replace("Severe", "Grave")).encode(),
    alert(HEAD + INFO.replace("48.0,5.0", "98.0,5.0")).encode(),
    alert(HEAD + INFO.replace("18:00:00+01:00", "ce soir")).encode(),
    alert(HEAD + INFO, "http://www.incident.com/cap/1.0").encode(),
    feed("<title>sans date</title>").encode(),
    feed(SUMMARY.replace("<cap:status>Actual</cap:status>", "")).encode(),
]
