"""OGC SensorThings: why something is refused, and units as datastreams write them.

Here: the declared lists that decoding follows, each with its reason. Not here: reading (`sensorthings_series`, `sensorthings_entity`).
"""

from __future__ import annotations

from typing import Any, Final

from ingestion.contracts.unece import COMMON_CODES
from ingestion.contracts.units import SPELLINGS, UNITS, Conversion
from ingestion.formats import wire_json

REASONS: Final[dict[str, str]] = {
    # records
    **wire_json.REASONS,
    "empty": "the message holds no entity: the page is empty",
    "too_many": "the message holds more entities than a message may: ask for less with $top",
    "not_an_entity": "is no JSON object",
    "invalid_entity": "a member has not the type that SensorThings gives it",
    "unknown_entity": "neither its members, its link nor its topic say which entity it is",
    "no_id": "the entity has no @iot.id",
    "not_read": "holds no measure and describes no equipment",
    "no_datastream": (
        "nothing says of which datastream: expand it ($expand=Datastream), or send it by a topic, or with a next link, that names "
        "Datastreams(id)"
    ),
    "invalid_data_array": "a data array needs components, among them result, and rows as long as they are",
    "no_result": "the observation has no result",
    "no_instant": "nothing says when: neither phenomenonTime, resultTime nor the arrival",
    "not_an_instant": "is no ISO 8601 instant between 1900 and 2100",
    # records, and values of a record that holds several
    "no_unit": (
        "neither the datastream nor the contract says in which unit: expand the datastream ($expand=Datastream), or state it in the "
        "contract's fields"
    ),
    "unknown_unit": "is not a unit this platform converts; the contract's fields may state it",
    "unit_conflict": "the definition and the symbol of the unit say two different units",
    "not_a_number": "is not a number a double holds, although the observation type says that it is measured",
    "not_a_list": "the result of a MultiDatastream is a list, as long as its units",
    "same_property": "another datastream of the same thing observes a property of the same name: name this one in the contract's fields",
    "invalid_geometry": "is no WGS84 GeoJSON geometry",
    "text_too_long": "a text of more than 32 KiB",
}

# Rows of data arrays in one message. The batch lets rows go at 200,000, and 8 MiB hold no more real ones (40 bytes each).
MAX_ROWS: Final = 200_000
# From how many rows on columns are made: below, making them costs more than the rows.
COLUMNAR: Final = 32

COUNT: Final = "OM_CountObservation"
MEASURED: Final = frozenset(("OM_Measurement", COUNT))

# How definitions of units begin: what follows is a UCUM code.
_UCUM: Final = ("ucum:", "UCUM:", "http://www.opengis.net/def/uom/UCUM/", "https://www.opengis.net/def/uom/UCUM/", "urn:ogc:def:uom:UCUM::")
# QUDT's names of units (https://qudt.org/vocab/unit/), to UCUM.
_QUDT: Final = {
    "DEG_C": "Cel",
    "DegreeCelsius": "Cel",
    "DEG_F": "[degF]",
    "K": "K",
    "PERCENT": "%",
    "Percent": "%",
    "PERCENT_RH": "%",
    "PPM": "[ppm]",
    "PPB": "[ppb]",
    "PA": "Pa",
    "HectoPA": "hPa",
    "KiloPA": "kPa",
    "MilliBAR": "mbar",
    "BAR": "bar",
    "M": "m",
    "CentiM": "cm",
    "MilliM": "mm",
    "KiloM": "km",
    "M-PER-SEC": "m/s",
    "MeterPerSecond": "m/s",
    "KiloM-PER-HR": "km/h",
    "M3": "m3",
    "L": "L",
    "M3-PER-SEC": "m3/s",
    "M3-PER-HR": "m3/h",
    "L-PER-SEC": "L/s",
    "MicroGM-PER-M3": "ug/m3",
    "MilliGM-PER-M3": "mg/m3",
    "MilliGM-PER-L": "mg/L",
    "MicroS-PER-CentiM": "uS/cm",
    "W": "W",
    "KiloW": "kW",
    "W-HR": "W.h",
    "KiloW-HR": "kW.h",
    "W-PER-M2": "W/m2",
    "V": "V",
    "A": "A",
    "HZ": "Hz",
    "LUX": "lx",
    "DEG": "deg",
    "DB": "dB",
    "SEC": "s",
    "MIN": "min",
    "HR": "h",
    "UNITLESS": "1",
    "Unitless": "1",
    "PH": "[pH]",
    "NTU": "{NTU}",
}
_QUDT_BEGINS: Final = ("http://qudt.org/vocab/unit/", "https://qudt.org/vocab/unit/", "http://qudt.org/vocab/unit#", "unit:", "qudt-unit:")
_QUDT_OLD: Final = "Instances.html#"  # http://www.qudt.org/qudt/owl/1.0.0/unit/Instances.html#DegreeCelsius
# Air quality reports of Europe (EEA, vocabulary `uom/concentration`), to UCUM.
_EEA: Final = {"ug.m-3": "ug/m3", "mg.m-3": "mg/m3"}
_EEA_BEGINS: Final = (
    "http://dd.eionet.europa.eu/vocabulary/uom/concentration/",
    "https://dd.eionet.europa.eu/vocabulary/uom/concentration/",
)
# What servers write in symbols and names, beside the usual spellings: a humidity says that it is relative, a count that it is one.
# (Metres above a datum, `m NGF`, are not here: which datum would be lost. The contract states them.)
_WRITTEN: Final = {
    "%RH": "%",
    "%rH": "%",
    "%r.F.": "%",
    "#": "{count}",
    "Anzahl": "{count}",
    "Number": "{count}",
    "number": "{count}",
    "Count": "{count}",
    "Nombre": "{count}",
    "nombre": "{count}",
    "Stück": "{count}",
    "Stk": "{count}",
}
# One quantity, many characters: the Greek letter and the micro sign, the ordinal and the degree, exponents raised, after ^ or plain.
_TIDY: Final = str.maketrans(
    {"μ": "u", "µ": "u", "º": "°", "℃": "°C", "℉": "°F", "²": "2", "³": "3", "·": ".", "^": None, " ": None, "\u00a0": None}
)
_NOT_STATED: Final = frozenset(("", "null", "none", "n/a", "-"))
# Names that say that the number has no unit, where the symbol and the definition say nothing.
_UNITLESS: Final = frozenset(("unitless", "dimensionless", "no unit", "sans unité", "dimensionsless"))


class NoUnit(Exception):
    """A unit that cannot be told; the argument is the reason."""


def unit_of(stated: Any) -> Conversion | None:
    """Return how a `unitOfMeasurement` converts to the lake's unit; None when it states none.

    The definition (a UCUM code, its URI, a QUDT URI) and the symbol are read, and must not contradict each other; the name only when
    neither is known. A definition that points to a paragraph of a document tells nothing.

    >>> unit_of({"name": "degree Celsius", "symbol": "°C", "definition": "http://unitsofmeasure.org/ucum.html#para-30"}).canonical
    'Cel'
    >>> unit_of({"name": "turbine", "symbol": "MW"}).factor, unit_of({"name": "Anzahl", "symbol": None}).canonical
    (1000000.0, '{count}')
    >>> unit_of({"symbol": "μg/m^3"}).canonical, unit_of({"symbol": "NTU"}).canonical
    ('ug/m3', '{NTU}')
    >>> unit_of({"name": "centimètre", "symbol": "cm", "definition": "ucum:cm"}).factor, unit_of({"name": None, "symbol": "null"})
    (0.01, None)

    Raises:
        NoUnit: `unknown_unit`, or `unit_conflict`.
    """
    if not isinstance(stated, dict):
        return None
    name, symbol, definition = (_text(stated.get(member)) for member in ("name", "symbol", "definition"))
    by_definition, by_symbol = _defined(definition), _written(symbol)
    if by_definition is not None and by_symbol is not None and by_definition != by_symbol:
        raise NoUnit("unit_conflict")
    found = by_definition or by_symbol
    if found is None:
        is_unitless = name.lower() in _UNITLESS or symbol.lower() in _UNITLESS
        found = UNITS["1"] if is_unitless else _written(name) if not symbol else None
    if found is None and (symbol or name or definition):
        raise NoUnit("unknown_unit")
    return found


def _text(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    return "" if text.lower() in _NOT_STATED else text


def _written(text: str) -> Conversion | None:
    """Return the unit of a symbol or a name: UCUM (`MW` is megawatts), else a usual spelling, else a common code of trade."""
    for written in (text, text.translate(_TIDY)):
        code = written if written in UNITS else _WRITTEN.get(written) or SPELLINGS.get(written) or COMMON_CODES.get(written)
        if code is not None:
            return UNITS[code]
    return None


def _defined(definition: str) -> Conversion | None:
    for begin in _UCUM:
        if definition.startswith(begin):
            return UNITS.get(definition.removeprefix(begin))
    for begin in _QUDT_BEGINS:
        if definition.startswith(begin):
            return UNITS.get(_QUDT.get(definition.removeprefix(begin), ""))
    for begin in _EEA_BEGINS:
        if definition.startswith(begin):
            return UNITS.get(_EEA.get(definition.removeprefix(begin), ""))
    if _QUDT_OLD in definition:
        return UNITS.get(_QUDT.get(definition.rpartition("#")[2], ""))
    return UNITS.get(definition)
