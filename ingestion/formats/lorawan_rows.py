"""LoRaWAN uplinks: the rows of one device's event.

Here: a codec's object to observations, radio quality, the asset's row, rejects. Not here: what an event of either platform holds
(`lorawan_chirpstack`, `lorawan_things`), messages (`lorawan`).

One pass, with as few calls as it takes: a town's sensors are ten thousand.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ingestion.contracts.canonical import EARLIEST, LATEST
from ingestion.contracts.units import UNITS
from ingestion.formats.lorawan_message import Place
from ingestion.formats.lorawan_names import ASSET_TAGS, FLATTEN_DEPTH, MAX_VALUES, RADIO, REASONS, STATED
from ingestion.formats.wire import AssetRow, ObservationRow, RejectRow, WireBatch, WireOptions
from ingestion.formats.wire_json import Unreadable, read_json
from ingestion.formats.wire_values import in_lake, is_too_long, number_of, to_json

# Added to the count of names where a list or a deep object was not looked into: the count cannot be right, and all is looked at again.
_UNSEEN: Final = 10**9
_QUOTED: Final = 120  # characters of a value that a reject's detail repeats; its original has more
_ORIGINAL: Final = 4_096  # characters of a reject's original: the message itself stands in raw.message or the file
_EXACT: Final = 2**53  # past it a double does not hold every integer: the digits are kept as text beside it
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_EARLIEST: Final = int((EARLIEST - _EPOCH).total_seconds()) * 1_000_000
_LATEST: Final = int((LATEST - _EPOCH).total_seconds()) * 1_000_000
_DAY_LENGTH: Final = 10  # "2021-01-11"
_BETWEEN: Final = ("T", "t", " ")
_DAY: Final = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
_EUI: Final = re.compile(r"[0-9A-F]{16}")
_SEPARATORS: Final = str.maketrans("", "", "-:. ")
_OBJECT: Final = msgspec.json.Decoder().decode
_row = tuple.__new__  # a row of nine values in half the time of its constructor


def eui(written: str | None) -> str | None:
    """Return a DevEUI as the LoRa Alliance's QR codes write it (TR005): sixteen capital hexadecimal digits; None when it is none.

    >>> eui("70b3d57ed005b89a"), eui("70-B3-D5-7E-D0-05-B8-9A"), eui("12")
    ('70B3D57ED005B89A', '70B3D57ED005B89A', None)
    """
    if written is None:
        return None
    code = written.upper()
    if _EUI.fullmatch(code) is None:
        code = code.translate(_SEPARATORS)
        if _EUI.fullmatch(code) is None:
            return None
    return code


def moment(text: str) -> int | None:
    """Return an instant that states its zone as microseconds since 1970, UTC; None when it is none: no zone is guessed.

    >>> moment("1970-01-01T00:00:01.000000999Z"), moment("1970-01-01T02:00:00+02:00"), moment("1970-01-01T00:00:00")
    (1000000, 0, None)
    """
    if text[_DAY_LENGTH : _DAY_LENGTH + 1] not in _BETWEEN:
        return None  # the library takes any character between day and time
    try:
        read = dt.datetime.fromisoformat(text)
        since = read - _EPOCH
    except (ValueError, TypeError, OverflowError):  # no instant; without zone
        return None
    at = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return at if _EARLIEST <= at < _LATEST else None


class DeviceRows:
    """One device's event, while it is read.

    Args of the class: `ref`, the device; `position`, of the record; `at`, when, microseconds since 1970, UTC, None when nothing says;
    `undated`, the reason and detail where it is None; `quality`; `message_id`, the event's own.
    """

    __slots__ = ("at", "batch", "message_id", "options", "position", "quality", "ref", "undated", "units")

    def __init__(self, ref: str, position: int, batch: WireBatch, options: WireOptions) -> None:
        self.ref = ref
        self.position = position
        self.batch = batch
        self.options = options
        self.units = options.units
        self.at: int | None = None
        self.undated = ("no_instant", REASONS["no_instant"])
        self.quality: str | None = None
        self.message_id: str | None = None

    def date(self, stated: tuple[str | None, ...], received: int | None) -> bool:
        """Date what follows by the first instant that is stated; else by the arrival (`uncertain`). Return whether it is dated."""
        for text in stated:
            if text:
                self.at = moment(text)
                if self.at is None:
                    self.undated = ("not_an_instant", f"“{text[:_QUOTED]}” {REASONS['not_an_instant']}")
                return self.at is not None
        self.at = received
        self.quality = "uncertain"
        return received is not None

    def radio(self, heard: list[tuple[float | None, float | None]], *, is_lora: bool) -> None:
        """Append the radio quality at the gateway that heard the device best: RSSI, then SNR."""
        if not heard:
            return
        if len(heard) == 1:
            rssi, snr = heard[0]
        else:
            lowest = float("-inf")
            rssi, snr = max(heard, key=lambda r: (lowest if r[0] is None else r[0], lowest if r[1] is None else r[1]))
        append = self.batch.observations.append
        if rssi is not None:
            append(_row(ObservationRow, (self.position, self.ref, "rssi", self.at, rssi, None, "dBm", self.quality, self.message_id)))
            if snr is None and is_lora:
                snr = 0.0
        if snr is not None:
            append(_row(ObservationRow, (self.position, self.ref, "snr", self.at, snr, None, "dB", self.quality, self.message_id)))

    def codec(self, raw: msgspec.Raw, prefix: str = "") -> int:
        """Append what a codec made of the payload, and return how many values that was.

        Numbers take the unit that the contract states for the property, booleans are 1 or 0 and their text; objects become `a.b`; lists
        are JSON text; null, "", [] and {} are no value. A name that the radio quality has too is `object.<name>`.
        """
        written = bytes(raw)
        try:
            read = _OBJECT(written)
            if type(read) is not dict:
                self.refuse("object", "not_an_object", read)
                return 0
            found: list[ObservationRow] = []
            # As many names as the text has colons after quotes: else a name may stand there twice, and a slower reader looks.
            if self._flatten(read, prefix, found, FLATTEN_DEPTH) != written.count(b'":') or b'" ' in written or b'"\n' in written:
                read_json(written, self.options)
        except Unreadable as error:
            self.refuse("object", error.args[0], None, error.args[1])
            return 0
        except RecursionError:
            self.refuse("object", "too_deep", None)
            return 0
        if len(found) > MAX_VALUES:
            self.refuse("object", "too_many_values", None, f"{len(found)} values: {REASONS['too_many_values']} ({MAX_VALUES})")
            return 0
        self.batch.observations.extend(found)
        return len(found)

    def _flatten(self, values: dict[str, Any], prefix: str, found: list[ObservationRow], left: int) -> int:
        """Append the values of an object, and return how many names it holds."""
        names = len(values)
        position, ref, at, quality, message_id, units = self.position, self.ref, self.at, self.quality, self.message_id, self.units
        for key, value in values.items():
            prop = prefix + key if prefix else key if key not in RADIO else f"object.{key}"
            kind = type(value)
            number: float | None = None
            text = unit = None
            if kind is float or kind is int:
                number = value
                if kind is int and not -_EXACT <= value <= _EXACT:
                    text = str(value)
                    number = in_lake(value, None)
                if units and number is not None and prop in units:
                    how = UNITS[units[prop]]
                    number, unit = in_lake(number, how), how.canonical
                if number is None:
                    self.refuse(prop, "not_a_number", text or value)
                    continue
            elif kind is str:
                text = value
            elif kind is bool:
                number, text = (1.0, "true") if value else (0.0, "false")
            elif kind is dict and left > 1:
                names += self._flatten(value, f"{prop}.", found, left - 1)
                continue
            elif value:
                text = to_json(value)
                names += _UNSEEN
            if number is None and not text:
                continue
            if len(prop) > _ORIGINAL or not key.strip() or (text is not None and is_too_long(text)):
                self.refuse(prop[:_QUOTED], "text_too_long" if key.strip() else "no_name", text or value)
                continue
            found.append(_row(ObservationRow, (position, ref, prop, at, number, text, unit, quality, message_id)))
        return names

    def normalized(self, raw: msgspec.Raw, names: Mapping[str, tuple[str, str]], since: int) -> int:
        """Append a normalized payload: the Device Repository's names, whose units its schema fixes. Return how many values are kept since.

        `since`: where the codec's observations begin. A unit that the contract states is the codec's, where both have a name.
        """
        read = _OBJECT(bytes(raw))
        at, kept, units = self.at, len(self.batch.observations), self.units
        if units:
            said = {row.property for row in self.batch.observations[since:]}
            self.units = {name: unit for name, unit in units.items() if name not in said}
        for measured in read if type(read) is list else [read]:
            if type(measured) is not dict:
                self.refuse("normalized_payload", "not_an_object", measured)
                continue
            stated = measured.pop("time", None)
            self.at = at if stated is None else moment(stated) if type(stated) is str else None
            if self.at is None:
                self.refuse("normalized_payload", "not_an_instant", stated)
                continue
            self._normalized(measured, "", names)
        self.at, self.units = at, units
        self.settle(since, kept)
        return len(self.batch.observations) - since

    def _normalized(self, values: dict[str, Any], prefix: str, names: Mapping[str, tuple[str, str]], left: int = FLATTEN_DEPTH) -> None:
        for key, value in values.items():
            path = prefix + key
            if type(value) is dict and left > 1:
                self._normalized(value, f"{path}.", names, left - 1)
            elif type(value) in (int, float):
                prop, written = names.get(path, (path, self.units.get(path)))
                how = UNITS[written] if written is not None else None
                number = in_lake(value, how)
                if number is None:
                    self.refuse(prop, "not_a_number", str(value))
                else:
                    self.keep(prop, number, None, how.canonical if how is not None else None)
            elif type(value) is bool:
                self.keep(path, float(value), "true" if value else "false")
            elif value:
                self.keep(path, None, value if type(value) is str else to_json(value))

    def place(self, place: Place, since: int | None = None) -> None:
        """Append where the device was found to be: it moves, so this is measured and does not describe the asset.

        `since`: where this event's observations begin. The platform makes a location of a codec's `latitude` and `longitude`, which
        are then there already.
        """
        if not (-180 <= place.longitude <= 180 and -90 <= place.latitude <= 90):  # noqa: PLR2004 - WGS84
            self.refuse("location", "invalid_geometry", [place.longitude, place.latitude])
            return
        rows = self.batch.observations
        before = len(rows)
        self.keep("longitude", place.longitude, None, "deg")
        self.keep("latitude", place.latitude, None, "deg")
        if place.altitude is not None:
            self.keep("altitude", place.altitude, None, "m")
        if place.accuracy:
            self.keep("location_accuracy", place.accuracy, None, "m")
        if since is not None:
            self.settle(since, before)

    def settle(self, since: int, before: int) -> None:
        """Tell once what a codec's values and the platform's own reading of them say of one property and instant.

        `since`, `before`: where the codec's observations begin, and where the platform's. Of two that are the same, the one with the
        platform's unit stays, else the codec's, whose unit the contract states. Of two that differ, the other has a name of its own.
        """
        rows = self.batch.observations
        codecs, platforms = rows[since:before], rows[before:]
        first = {(r.property, r.observed_at): (r.value, r.value_text) for r in codecs if r.property not in STATED}
        first |= {(r.property, r.observed_at): (r.value, r.value_text) for r in platforms if r.property in STATED}
        rows[since:] = [
            r for found, prefix in ((codecs, "object"), (platforms, "normalized_payload")) for r in _others(found, prefix, first)
        ]

    def keep(self, prop: str, number: float | None, text: str | None, unit: str | None = None) -> None:
        """Append an observation, in the lake's unit."""
        if text is not None and is_too_long(text):
            self.refuse(prop, "text_too_long", text)
            return
        values = (self.position, self.ref, prop, self.at, number, text, unit, self.quality, self.message_id)
        self.batch.observations.append(_row(ObservationRow, values))

    def asset(
        self, name: str | None, model: str | None, identity: str | None, tags: Mapping[str, str], place: tuple[float, float] | None
    ) -> None:
        """Append the device's description: a tag or an attribute that is called like a column of the asset fills it.

        Tags of The Things Stack may hold hyphens only: `asset-type` is `asset_type`.
        """
        said: dict[str, Any] = {}
        if tags:
            for key, value in tags.items():
                column = key.replace("-", "_")
                if column in ASSET_TAGS and value.strip() and not is_too_long(value):
                    said[column] = value.strip()
            if "installed_on" in said and _DAY.fullmatch(said["installed_on"]) is None:
                self.refuse("installed_on", "not_a_day", said.pop("installed_on"))
        longitude, latitude = place if place is not None else (None, None)
        if "longitude" in said or "latitude" in said:
            stated = number_of(said.pop("longitude", "")), number_of(said.pop("latitude", ""))
            if stated[0] is None or stated[1] is None:
                self.refuse("location", "invalid_geometry", dict(tags))
            elif place is None:
                longitude, latitude = stated
        if longitude is not None and latitude is not None and not (-180 <= longitude <= 180 and -90 <= latitude <= 90):  # noqa: PLR2004 - WGS84
            self.refuse("location", "invalid_geometry", [longitude, latitude])
            longitude = latitude = None
        get = said.get
        values = (
            self.position,
            self.ref,
            get("asset_type", "device"),
            get("parent_ref"),
            name or None,
            get("commune"),
            get("street"),
            longitude,
            latitude,
            None,
            None,
            get("installed_on"),
            get("model", model or None),
            None,
            None,
            get("owner_authority"),
            get("identity", identity),
            None,
        )
        self.batch.assets.append(_row(AssetRow, values))

    def refuse(self, prop: str, reason: str, original: Any, detail: str | None = None) -> None:
        """Set a value aside."""
        shown = detail or f"{prop}: {REASONS[reason]}"
        quoted = to_json({prop: original})[:_ORIGINAL] if original is not None else None
        self.batch.rejects.append(RejectRow(self.position, "value", reason, shown, quoted))


def _others(
    found: list[ObservationRow], prefix: str, first: Mapping[tuple[str, int], tuple[float | None, str | None]]
) -> Iterator[ObservationRow]:
    """Yield observations, without those that say what the first of their property and instant says; others of it with a prefix."""
    is_codec = prefix == "object"
    for row in found:
        told = first.get((row.property, row.observed_at))
        if told is None or (row.property in STATED) != is_codec:
            yield row
        elif told != (row.value, row.value_text):
            yield row._replace(property=f"{prefix}.{row.property}")
