"""Open311 GeoReport v2: one service request to one report.

Here: which member fills which column, and what makes a request unusable. Not here: where requests stand in a message (`open311`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.formats import wire_record
from ingestion.formats.wire import ReportRow, WireBatch, WireOptions
from ingestion.formats.wire_local import local_instant
from ingestion.formats.wire_record import Aside, Refused, instant_or_aside, no_instant, read_record, text_of
from ingestion.formats.wire_values import to_json

REASONS: Final[dict[str, str]] = {
    **wire_record.REASONS,
    "too_many": "more than one message may hold",
    "empty": "the message holds no request",
    "not_a_request": "the record is no object with members",
    "not_georeport_v2": "the document is none of GeoReport v2 (version 1 spoke Atom: ask for v2 of the endpoint)",
    "reference_information": "a service or its definition: it says what may be reported, and reports nothing",
    "error_answer": "the server answered with an error instead of requests",
    "token": "a token of a request that has no number yet: ask for it again later",
    "no_id": "the request has no service_request_id",
    "no_instant": "the request has no requested_datetime (an acknowledgement of a POST says none): when it was opened is not known",
    "duplicate_key": "the request holds the same member twice: which one is meant is not known",
    "closed_while_open": "the request says that it is open, and when it was closed",
}
# CitySDK names the equipment a report is about `service_object_id`, FixMyStreet `asset_id` or `central_asset_id`.
_ASSETS: Final = ("asset_ref", "asset_id", "central_asset_id", "service_object_id", "equipment_id")
# `source` of the bulk draft, `channel` of Chicago, `interface_used` of FixMyStreet.
_CHANNELS: Final = ("source", "channel", "interface", "interface_used")
# What servers call the ways in, by what the lake calls them; another word stays as it is.
_CHANNEL_NAMES: Final = {
    "phone": ("call", "call center", "telephone", "téléphone", "voice", "voice in"),
    "website": ("desktop", "internet", "online", "portal", "web", "web interface", "web portal"),
    "application": ("android", "app", "ios", "iphone", "mobile", "mobile app", "smartphone"),
    "email": ("e-mail", "mail"),
    "text_message": ("sms", "text", "text message"),
}
_CHANNEL_OF: Final = {written: name for name, several in _CHANNEL_NAMES.items() for written in several}
_COMMUNES: Final = ("commune", "city", "municipality", "town")
_DISTRICTS: Final = ("district", "neighborhood", "neighbourhood", "quartier", "ward")
# Members of a list of attributes: the name and the value.
_NAMES: Final = ("code", "name", "key")
_POSTCODE_LENGTH: Final = 5
# What geocoders write after the commune, in countries with such postcodes.
_COUNTRIES: Final = frozenset(("france", "deutschland", "germany", "españa", "spain", "finland", "italia", "italy", "monaco", "suomi"))
_NULL_ISLAND: Final = (0.0, 0.0)
READ: Final = frozenset(
    ("service_request_id", "requested_datetime", "updated_datetime", "closed_datetime", "status", "status_description", "service_name",
     "service_code", "service_subtype", "description", "agency_responsible", "address", "lat", "long", "parent_service_request_id",
     "duplicate", "extended_attributes", "attributes", *_ASSETS, *_CHANNELS, *_COMMUNES, *_DISTRICTS)
)  # fmt: skip


def read_request(request: dict[str, Any], position: int, batch: WireBatch, options: WireOptions) -> None:
    """Append the report of one request, or why there is none; personal members are out of it already."""
    read_record(request, position, batch, batch.reports, lambda aside: _row(request, position, aside, options.time_zone))


def _row(request: dict[str, Any], position: int, aside: Aside, zone: str) -> ReportRow:
    extended = _extended(request)
    ref = text_of(request, "service_request_id", aside)
    if ref is None:
        raise Refused("no_id", REASONS["no_id"])
    if any(type(request.get(name)) is list for name in ("requested_datetime", "status", "lat", "long")):
        raise Refused("duplicate_key", REASONS["duplicate_key"])
    opened = _instant(request, "requested_datetime", zone)
    status = text_of(request, "status", aside) or text_of(request, "status_description", aside)
    status = status.lower() if status is not None else None
    revised = instant_or_aside(request, "updated_datetime", zone, aside)
    longitude, latitude = _position(request, aside)
    street, commune = _address(request, aside)
    channel = _first(request, extended, _CHANNELS, aside)
    return ReportRow(
        position,
        ref,
        channel=channel_of(channel),
        category=text_of(request, "service_name", aside) or text_of(request, "service_code", aside),
        subcategory=text_of(request, "service_subtype", aside),
        description=text_of(request, "description", aside),
        opened_at=opened,
        closed_at=_closed(request, status, revised, zone, aside),
        status=status,
        commune=_first(request, extended, _COMMUNES, aside) or commune,
        district=_first(request, extended, _DISTRICTS, aside),
        street=street,
        longitude=longitude,
        latitude=latitude,
        asset_ref=_first(request, extended, _ASSETS, aside),
        duplicate_of=text_of(request, "parent_service_request_id", aside),
        owner_authority=_agency(request, aside),
        revised_at=revised,
    )


def _closed(request: dict[str, Any], status: str | None, revised: int | None, zone: str, aside: Aside) -> int | None:
    """Return when a request was closed.

    GeoReport v2 has no date of closure, and says of `updated_datetime` that it is the one of a closed request; `closed_datetime` is
    an extension, and comes first.
    """
    closed = instant_or_aside(request, "closed_datetime", zone, aside)
    if status == "open" and closed is not None:
        aside.append(("closed_while_open", f"closed_datetime: {REASONS['closed_while_open']}"))
        return None
    if closed is None and status == "closed" and not request.get("closed_datetime"):
        return revised
    return closed


def _extended(request: dict[str, Any]) -> dict[str, Any]:
    """Return the extended attributes by name, whether written as an object or as a list of names and values."""
    found: dict[str, Any] = {}
    for member in ("attributes", "extended_attributes"):
        value = request.get(member)
        if type(value) is dict and set(value) <= {"attribute", "extended_attribute"}:  # the XML list
            value = next(iter(value.values()), None)
            value = [value] if type(value) is dict else value
        if type(value) is dict:
            found.update(value)
        elif type(value) is list:
            for one in value:
                for name in attribute_names(one)[:1] if type(one) is dict else ():
                    found[name] = one.get("value")
    return found


def attribute_names(attribute: dict[str, Any]) -> list[str]:
    """Return what an attribute of a list is called."""
    return [attribute[n] for n in _NAMES if type(attribute.get(n)) is str]


def _first(request: dict[str, Any], extended: dict[str, Any], names: tuple[str, ...], aside: Aside) -> str | None:
    for name in names:
        for members in (request, extended) if extended else (request,):
            if name in members:
                text = text_of(members, name, aside)
                if text is not None:
                    return text
    return None


def _instant(request: dict[str, Any], name: str, zone: str) -> int:
    written = request.get(name)
    if written is None or written == "":
        raise Refused("no_instant", REASONS["no_instant"])
    found = local_instant(written, zone) if type(written) is str else None
    if found is None:
        raise Refused(*no_instant(name, written))
    return found


def _position(request: dict[str, Any], aside: Aside) -> tuple[float | None, float | None]:
    """Return longitude and latitude; (0, 0), which servers write for none, is not taken for a place."""
    written = request.get("long"), request.get("lat")
    if all(value is None or value == "" for value in written):
        return None, None
    longitude, latitude = map(_number, written)
    if (
        longitude is None
        or latitude is None
        or not (-180 <= longitude <= 180 and -90 <= latitude <= 90)  # noqa: PLR2004 - the bounds of the Earth
        or (longitude, latitude) == _NULL_ISLAND
    ):
        aside.append(("invalid_position", f"lat {to_json(written[1])[:40]}, long {to_json(written[0])[:40]} {REASONS['invalid_position']}"))
        return None, None
    return longitude, latitude


def _number(value: Any) -> float | None:
    """Return a number, be it written as a text: XML has nothing else."""
    if type(value) is str:
        try:
            return float(value) if "_" not in value else None  # Python reads 1_000
        except ValueError:
            return None
    if type(value) is int:
        return float(value) if abs(value) <= 180 else None  # noqa: PLR2004 - degrees; a longer integer may not fit a double
    return value if type(value) is float else None


def _agency(request: dict[str, Any], aside: Aside) -> str | None:
    """Return who is responsible; FixMyStreet lists them: `{"recipient": ["Mairie", "Agglo"]}`."""
    stated = request.get("agency_responsible")
    if type(stated) is dict and set(stated) == {"recipient"}:
        recipients = stated["recipient"] if type(stated["recipient"]) is list else [stated["recipient"]]
        names = [text_of({"agency_responsible": name}, "agency_responsible", aside) for name in recipients]
        return ", ".join(name for name in names if name is not None) or None
    return text_of(request, "agency_responsible", aside)


def _address(request: dict[str, Any], aside: Aside) -> tuple[str | None, str | None]:
    address = text_of(request, "address", aside)
    return split_address(address) if address is not None else (None, None)


def channel_of(written: str | None) -> str | None:
    """Return a channel as the lake calls it, in lower case.

    >>> channel_of("Call Center"), channel_of("Guichet")
    ('phone', 'guichet')
    """
    return _CHANNEL_OF.get(written.lower(), written.lower()) if written is not None else None


def split_address(address: str) -> tuple[str, str | None]:
    """Return street and commune of an address (no spaces around it), told apart where it ends as French ones do: postcode and commune.

    >>> split_address("3 rue Basse, 51000 Châlons-en-Champagne"), split_address("8TH AVE and JUDAH ST")
    (('3 rue Basse', 'Châlons-en-Champagne'), ('8TH AVE and JUDAH ST', None))
    """
    end = address.rfind(",")
    if end > 0 and address[end + 1 :].strip().lower() in _COUNTRIES:
        street, commune = split_address(address[:end].rstrip())
        return (street, commune) if commune is not None else (address, None)
    comma = end
    place = address[comma + 1 :].lstrip()
    if comma > 0 and place[_POSTCODE_LENGTH : _POSTCODE_LENGTH + 1] == " " and place[:_POSTCODE_LENGTH].isdecimal():
        return address[:comma].rstrip(), place[_POSTCODE_LENGTH:].lstrip()
    return address, None
