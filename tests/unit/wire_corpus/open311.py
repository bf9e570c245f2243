"""Open311: service requests, whole and broken, JSON and XML.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

TOPIC: Final[str | None] = None

REQUEST: Final[dict[str, Any]] = {
    "service_request_id": "26-0017",
    "status": "closed",
    "status_notes": "Réparé.",
    "service_name": "Éclairage en panne",
    "service_code": "EP-01",
    "description": "Le lampadaire devant chez Mme Petit est éteint.",
    "agency_responsible": "Service éclairage",
    "service_notice": None,
    "requested_datetime": "2026-03-01T08:00:00+01:00",
    "updated_datetime": "2026-03-02T09:30:00+01:00",
    "expected_datetime": None,
    "address": "12 rue de la Marne, 51000 Châlons-en-Champagne",
    "address_id": None,
    "zipcode": "51000",
    "lat": 48.957,
    "long": 4.365,
    "media_url": "https://example.org/photo/17.jpg",
}
# The bulk draft, CitySDK and FixMyStreet add these.
EXTENDED: Final = REQUEST | {
    "status": "open",
    "source": "Phone",
    "service_subtype": "Point lumineux éteint",
    "parent_service_request_id": "26-0003",
    "extended_attributes": {"service_object_id": "PL-221", "district": "Centre", "title": "Lampe", "detailed_status": "RECEIVED"},
    "notes": [{"datetime": "2026-03-01T09:00:00+01:00", "summary": "Vu par M. Martin"}],
}
XML: Final = """<?xml version="1.0" encoding="utf-8"?>
<service_requests>
  <request>
    <service_request_id>26-0017</service_request_id>
    <status>closed</status>
    <status_notes>Réparé.</status_notes>
    <service_name>Éclairage en panne</service_name>
    <service_code>EP-01</service_code>
    <description>Le lampadaire devant chez Mme Petit est éteint.</description>
    <agency_responsible>Service éclairage</agency_responsible>
    <service_notice/>
    <requested_datetime>2026-03-01T08:00:00+01:00</requested_datetime>
    <updated_datetime>2026-03-02T09:30:00+01:00</updated_datetime>
    <address>12 rue de la Marne, 51000 Châlons-en-Champagne</address>
    <zipcode>51000</zipcode>
    <lat>48.957</lat>
    <long>4.365</long>
    <media_url>https://example.org/photo/17.jpg</media_url>
  </request>
</service_requests>
""".encode()


def dump(document: Any) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document, ensure_ascii=False).encode()


MANY: Final = [REQUEST | {"service_request_id": f"26-{n:04d}"} for n in range(250)]
GOOD: Final = [
    dump([REQUEST]),
    dump(REQUEST),
    dump([EXTENDED, REQUEST]),
    dump({"service_requests": [REQUEST]}),
    dump({"service_requests": {"request": REQUEST}}),
    dump([{"request": REQUEST}]),
    dump(MANY),
    XML,
    XML.replace(b"<service_requests>", b"").replace(b"</service_requests>", b""),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b"[1]",
    b'{"service_request_id": "1"}',
    b'{"service_request_id": "1", "service_request_id": "2", "requested_datetime": "2026-03-01T08:00:00Z"}',
    b'[{"code": 403, "description": "Invalid api_key"}]',
    b'[{"service_code": "001", "service_name": "x", "group": "y"}]',
    dump(REQUEST | {"requested_datetime": "yesterday"}),
    dump(REQUEST | {"lat": 448.9}),
    b"[" * 200 + b"]" * 200,
    b"<service_requests/>",
    b"<service_requests><request>",
    b'<!DOCTYPE a [<!ENTITY x "y">]><service_requests><request>&x;</request></service_requests>',
    b"<html><body>maintenance</body></html>",
    XML.replace(b"<lat>48.957</lat>", b"<lat>48.957</lat><lat>48.1</lat>"),
    b"<errors><error><code>404</code><description>no</description></error></errors>",
]
