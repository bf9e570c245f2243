"""TALQ: what a gateway announces before it logs: its devices to assets, its services and device classes to observations of it.

Here: `POST /devices`, `/services`, `/device-classes` and their PUT and PATCH. Not here: log entries (`talq_entry`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats.talq_entry import Refused, Scene, dated, moment, quoted_entry, read_attribute, refuse_nul
from ingestion.formats.talq_names import REASONS
from ingestion.formats.wire import AssetRow
from ingestion.formats.wire_values import is_too_long

_BASIC: Final = "BasicFunction"
# Members of a function that are no attributes.
_NOT_ATTRIBUTES: Final = frozenset(("id", "type"))
_MOST_EAST, _MOST_NORTH = 180.0, 90.0
# A gateway that is not known yet announces itself and its devices under the nil address, for the CMS to give them one.
_ASKS_FOR_ONE: Final = "00000000-0000-0000-0000-000000000000"
_ISO_DAY: Final = 10  # 2026-01-05


def is_announced(element: Any) -> bool:
    """Whether an element of a message announces something, and logs nothing."""
    if type(element) is not dict or "srcAddress" in element or "data" in element:
        return False
    return ("address" in element and "entries" not in element) or ("name" in element and "eventType" not in element)


def read_announced(scene: Scene, element: dict[str, Any], position: int, query: dict[str, str]) -> None:
    """Append what a device, a service or a device class says, or its rejection.

    Args:
        scene: of its message.
        element: decoded JSON.
        position: of the record.
        query: of the address it was sent to: `clientAddress` (the gateway), and what the intake adds to it: `deviceAddress` where the
            path names the device, `method`.
    """
    batch = scene.batch
    before = batch.mark()
    try:
        refuse_nul(element)
        if "address" in element or "class" in element or "deviceAddress" in query:
            _device(scene, element, position, query)
        else:
            _capability(scene, element, position, query)
    except Refused as refused:
        batch.back_to(before)
        batch.reject(position, refused.reason, refused.detail, quoted_entry(scene, element))


def _capability(scene: Scene, element: dict[str, Any], position: int, query: dict[str, str]) -> None:
    """Append that the gateway has a service, or knows a class of devices: JSON text, at the instant it said so."""
    name, gateway = element.get("name"), query.get("clientAddress", "").strip()
    if type(name) is not str or not name.strip():
        raise Refused("not_an_entry", f"{REASONS['not_an_entry']}")
    if not gateway:
        raise Refused("no_address", REASONS["no_address"])
    at, quality = dated(scene, None, None)
    prop = f"{'service' if name.endswith('Service') else 'device_class'}.{name.strip()}"
    functions = element.get("functions")
    types = sorted({f["type"] for f in functions if type(f) is dict and type(f.get("type")) is str}) if type(functions) is list else []
    text = ", ".join(types) or "announced"
    if is_too_long(prop) or is_too_long(text):
        raise Refused("text_too_long", REASONS["text_too_long"])
    scene.add(position, gateway, prop, at, None, text, None, quality, None)


def _device(scene: Scene, device: dict[str, Any], position: int, query: dict[str, str]) -> None:
    address = device.get("address", query.get("deviceAddress"))
    if type(address) is not str or not address.strip().strip("/"):
        raise Refused("no_address", REASONS["no_address"])
    if is_too_long(address):
        raise Refused("text_too_long", REASONS["text_too_long"])
    address = address.strip().strip("/")
    if address == _ASKS_FOR_ONE:
        raise Refused("no_address", f"{address}: {REASONS['no_address']}")
    functions = [f for f in found if type(f) is dict] if type(found := device.get("functions")) is list else []
    before = len(scene.batch.observations)
    if type(device.get("class")) is str and device["class"].strip() and query.get("method") != "PATCH":
        scene.batch.assets.append(_asset(scene, device, address, functions, position))
    elif query.get("method") != "PATCH" and "deviceAddress" not in query:
        raise Refused("not_an_entry", "a device without class")
    for function in functions:
        _dated_attributes(scene, address, function, position)
    if len(scene.batch.observations) == before and not (scene.batch.assets and scene.batch.assets[-1].position == position):
        raise Refused("only_part", REASONS["only_part"])


def _dated_attributes(scene: Scene, address: str, function: dict[str, Any], position: int) -> None:
    """Append the attributes that carry an instant of their own: values as of now stand among settings that have none."""
    identifier = function.get("id")
    source = f"{address}/{identifier}" if type(identifier) is str and identifier else address
    for name, attribute in function.items():
        if name in _NOT_ATTRIBUTES or name in scene.options.personal or type(attribute) is not dict or "timestamp" not in attribute:
            continue
        try:
            read_attribute(scene, position, source, name, attribute, None)
        except Refused as refused:
            scene.refuse_value(position, refused.reason, name, attribute, refused.detail)


def _asset(scene: Scene, device: dict[str, Any], address: str, functions: list[dict[str, Any]], position: int) -> AssetRow:
    basic = next((f for f in functions if f.get("type") == _BASIC), {})
    personal = scene.options.personal

    def text(name: str, held: Any) -> str | None:
        value = held.get("value") if type(held) is dict else held
        return value.strip() or None if type(value) is str and name not in personal and not is_too_long(value) else None

    longitude, latitude = _located(scene, functions, position)
    return AssetRow(
        position,
        address,
        device["class"].strip(),
        name=text("displayName", basic.get("displayName")) or text("name", device.get("name")),
        longitude=longitude,
        latitude=latitude,
        installed_on=_day(scene, text("installationDate", basic.get("installationDate"))),
        model=text("hwType", basic.get("hwType")),
        identity=text("assetId", basic.get("assetId")) or text("serial", basic.get("serial")),
    )


def _day(scene: Scene, stated: str | None) -> str | None:
    """Return the day as the gateway writes it: moved to UTC it could be the day before."""
    try:
        return stated[:_ISO_DAY] if stated and moment(stated, scene.options.time_zone) is not None else None
    except Refused:
        return None


def _located(scene: Scene, functions: list[dict[str, Any]], position: int) -> tuple[float | None, float | None]:
    """Return longitude and latitude of the first function that states a location (BasicFunction before LocationSensorFunction)."""
    if "location" in scene.options.personal:
        return None, None
    for function in sorted(functions, key=lambda f: f.get("type") != _BASIC):
        stated = function.get("location")
        value = stated.get("value", stated) if type(stated) is dict else None
        if type(value) is not dict or "latitude" not in value:
            continue
        east: Any = value.get("longitude")
        north: Any = value.get("latitude")
        if type(east) in (int, float) and type(north) in (int, float) and abs(east) <= _MOST_EAST and abs(north) <= _MOST_NORTH:
            return float(east), float(north)
        scene.refuse_value(position, "invalid_geometry", "location", value)
        return None, None
    return None, None
