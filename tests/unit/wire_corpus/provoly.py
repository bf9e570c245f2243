"""Provoly: work orders and equipment, whole and broken.

Here: bytes. Not here: what they must become.
"""

from __future__ import annotations

import json
from typing import Any, Final

TOPIC: Final[str | None] = None

ORDER: Final[dict[str, Any]] = {
    "id": "DI00000412",
    "description": "Deux lampes éteintes",
    "equipment": "C-306",
    "creationDate": "2026-03-01T08:00:00Z",
    "lastModificationDate": "2026-03-03T08:00:00Z",
    "startDate": "2026-03-02T08:00:00Z",
    "endDate": "2026-03-02T10:00:00Z",
    "domain": "EP",
    "status": "DONE",
    "category": "CURA",
}
EQUIPMENT: Final[dict[str, Any]] = {
    "id": "0f6ad2ab-91a5-4b0a-b6b3-2f7d9ad3fbe0",
    "externalId": "gmao-7731",
    "name": "Armoire Marne",
    "code": "C-306",
    "family": "Armoire",
    "domain": "EP",
    "entity": "CHALONS_COMMUN",
    "parent": {"id": "5d6c", "name": "Poste Nord", "code": "P-12", "family": "Poste", "domain": "EP", "entity": "CHALONS_COMMUN"},
    "activeEnergy": 30,
}


def dump(document: Any) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document, ensure_ascii=False).encode()


MANY: Final = [ORDER | {"id": f"DI{n:08d}"} for n in range(250)]
GOOD: Final = [
    dump([ORDER, ORDER | {"id": "DI00000413", "status": "ASKED", "category": "PREV", "equipment": None}]),
    dump(ORDER),
    dump({"content": [ORDER], "totalPages": 1, "number": 0}),
    dump({**ORDER, "id": "6a1d", "externalId": "DI00000412", "equipment": {"id": "0f6a", "name": "Armoire", "code": "C-306"}}),
    dump(EQUIPMENT),
    dump([EQUIPMENT, {"id": "p", "name": "P-1000", "type": "Point lumineux", "entity": "FAGNIERES"}]),
    dump({"items": [EQUIPMENT], "page": 1}),
    dump(MANY),
]
BAD: Final = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"{",
    b"\xff\xfe",
    b"[1]",
    b'{"id": "a", "id": "b", "status": "DONE", "category": "CURA"}',
    b"[" * 200 + b"]" * 200,
    dump({k: v for k, v in ORDER.items() if k != "id"}),
    dump({k: v for k, v in ORDER.items() if k != "creationDate"}),
    dump(ORDER | {"creationDate": "hier"}),
    dump(ORDER | {"category": "AMEL"}),
    dump(ORDER | {"startDate": 7}),
    dump(EQUIPMENT | {"location": {"type": "Point", "coordinates": [4.3, 148.9]}}),
    dump({"id": 1, "name": "alerte", "criticality": "HIGH", "status": "NEW"}),
    dump({"id": "x"}),
    b"id;type;domain\n1;Lampe;EP\n",
]
