"""NGSI-LD and NGSIv2: a message to its entities.

Here: entities, arrays, notifications, batch operations and GeoJSON; personal properties taken out. Not here: JSON
(`wire_json`), what an entity says (`ngsi_entity`).

`decode` follows `ingestion.formats.wire.Decoder`.
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.ngsi_entity import read_entity
from ingestion.formats.ngsi_names import REASONS, VALUE_MEMBERS
from ingestion.formats.ngsi_shape import compact
from ingestion.formats.wire import WireBatch, WireOptions
from ingestion.formats.wire_json import QUOTED_BYTES, Unreadable, read_json, reject_unreadable
from ingestion.formats.wire_values import instant_of, to_json

# Members that only wrap: `address.value.streetAddress` is the property `address.streetAddress`.
_WRAPPERS: Final = frozenset((*VALUE_MEMBERS, "@value", "properties", "data", "entities", "features", "metadata"))


def decode(
    payload: bytes,
    batch: WireBatch,
    *,
    after: int,
    received_at: int | None,
    topic: str | None = None,  # noqa: ARG001 - an entity says itself what it is; other formats need it
    options: WireOptions,
) -> int:
    """Translate one message (see `ingestion.formats.wire.Decoder`).

    >>> batch = WireBatch()
    >>> decode(b'{"id": "lamp:1", "type": "Streetlight", "powerState": "off"}', batch, after=0, received_at=0, options=WireOptions())
    1
    >>> batch.observations[0].property, batch.observations[0].value_text, batch.observations[0].quality
    ('powerState', 'off', 'uncertain')
    """
    try:
        document = read_json(payload, options)
    except Unreadable as error:
        return reject_unreadable(batch, after, error, payload, options)
    if options.personal:
        document = _without(document, [name.split(".") for name in options.personal], ())
    entities, notified = _entities(document)
    problem = "empty" if not entities else "too_many" if len(entities) > options.max_records else None
    if problem is not None:
        batch.reject(after + 1, problem, f"{len(entities)} entities: {REASONS[problem]}", to_json(document)[:QUOTED_BYTES])
        return 1
    has_nul = b"\\u0000" in payload
    for position, found in enumerate(entities, start=after + 1):
        entity = _of_feature(found)
        if not isinstance(entity, dict):
            batch.reject(position, "not_an_entity", REASONS["not_an_entity"], to_json(entity))
        elif has_nul and _holds_nul(entity):
            batch.reject(position, "nul_character", REASONS["nul_character"], to_json(entity))
        else:
            read_entity(entity, position, batch, notified=notified, received=received_at, options=options)
    return len(entities)


def _entities(document: Any) -> tuple[list[Any], int | None]:
    """Return the entities of a message, and when a notification was sent."""
    if type(document) is list:
        return document, None
    if type(document) is not dict:
        return [document], None
    if set(document) == {"metadata", "body"} and type(document["body"]) is dict:  # how NGSI-LD notifies over MQTT
        document = document["body"]
    notified = None
    # Envelopes of NGSIv2 have no type; an entity has one, whatever its properties are called.
    if document.get("type") == "Notification" or ("type" not in document and "subscriptionId" in document):
        notified = instant_of(document.get("notifiedAt"))
        document = document.get("data", [])
    elif "type" not in document and "actionType" in document and "entities" in document:
        document = document["entities"]
    elif "type" not in document and "@graph" in document:
        document = document["@graph"]
    if type(document) is dict and document.get("type") == "FeatureCollection" and type(document.get("features")) is list:
        document = document["features"]
    return document if type(document) is list else [document], notified


def _of_feature(entity: Any) -> Any:
    """Return the entity that a GeoJSON Feature holds; anything else as it is."""
    if type(entity) is not dict or entity.get("type") != "Feature" or type(entity.get("properties")) is not dict:
        return entity
    properties = entity["properties"]
    found = {"id": entity.get("id", properties.get("id")), **{k: v for k, v in properties.items() if k != "id"}}
    if "location" not in found and entity.get("geometry") is not None:
        found["location"] = entity["geometry"]
    return found


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in k or _holds_nul(v) for k, v in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


def _without(value: Any, personal: list[list[str]], path: tuple[str, ...]) -> Any:
    """Return a document without its personal properties, each given as the segments of its dotted name.

    A name is taken out wherever it stands; where the document could mean it or not, it does.
    """
    if type(value) is list:
        return [_without(v, personal, path) for v in value]
    if type(value) is not dict:
        return value
    kept: dict[str, Any] = {}
    is_feature = value.get("type") == "Feature"
    for key, inner in value.items():
        # Expanded (`https://…/name`) or prefixed (`schema:name`), it is still the name; and a Feature says its location twice.
        name = "location" if is_feature and key == "geometry" else compact(key).rpartition(":")[2]
        whole = (*path, name)
        if [key] not in personal and not any(_ends_with(whole, wanted) for wanted in personal):
            kept[key] = _without(inner, personal, whole)
    return kept


def _ends_with(path: tuple[str, ...], wanted: list[str]) -> bool:
    left = len(wanted)
    for name in reversed(path):
        if name == wanted[left - 1]:
            left -= 1
            if left == 0:
                return True
        elif name not in _WRAPPERS:
            return False
    return False
