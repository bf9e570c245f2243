"""NGSI-LD and NGSIv2: what an object of a message is: an attribute, instances of one, a value.

Here: the shapes (normalized, concise, key-values). Not here: what values mean (`wire_values`).
"""

from __future__ import annotations

from typing import Any

from ingestion.formats.ngsi_names import LD_TYPES, NULL_URI, VALUE_MEMBERS
from ingestion.formats.wire_values import is_too_long


def compact(name: str) -> str:
    """Return the short name of an expanded one.

    >>> compact("https://uri.fiware.org/ns/data-models#powerState"), compact("powerState")
    ('powerState', 'powerState')
    """
    if "://" not in name:
        return name
    return name.rstrip("/#").replace("#", "/").rpartition("/")[2] or name


def is_attribute(value: dict[str, Any]) -> bool:
    """Whether an object is an attribute with members, and not a structured value."""
    if "value" in value:
        return True
    kind = value.get("type")
    if isinstance(kind, str) and kind.strip() in LD_TYPES:
        return True
    return (
        isinstance(value.get("object"), str | list)
        or isinstance(value.get("languageMap"), dict)
        or (isinstance(value.get("values"), list) and all(isinstance(v, list) and len(v) == 2 for v in value["values"]))  # noqa: PLR2004 - value and instant
    )


def are_instances(values: list[Any]) -> bool:
    """Whether an array holds instances of one attribute (`datasetId`, temporal), and is not a value."""
    for value in values:
        if not isinstance(value, dict):
            return False
        kind = value.get("type")
        is_ld = isinstance(kind, str) and kind.strip() in LD_TYPES
        if not is_ld and not ("value" in value and ("datasetId" in value or "observedAt" in value)):
            return False
    return bool(values)


def plain(attribute: Any) -> Any:
    """Return the value of an attribute, whatever its shape; of several languages the French one."""
    if isinstance(attribute, dict):
        if "languageMap" in attribute:
            return french(attribute["languageMap"])
        for member in VALUE_MEMBERS:
            if member in attribute:
                attribute = attribute[member]
                break
    if isinstance(attribute, dict) and "@value" in attribute:
        attribute = attribute["@value"]
    return attribute


def french(texts: Any) -> Any:
    """Return the French text of a language map, else the one of no language, else the first."""
    if not isinstance(texts, dict) or not texts:
        return None
    return next((texts[k] for k in ("fr", "@none", "en") if k in texts), next(iter(texts.values())))


def single_text(value: Any) -> str | None:
    """Return a text, or the only text of an array; None for everything else."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    is_text = isinstance(value, str) and value.strip() and value != NULL_URI and not is_too_long(value)
    return value if is_text else None
