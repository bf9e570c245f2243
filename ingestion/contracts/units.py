"""Units: UCUM codes, and the one unit in which the lake keeps each quantity.

Here: which source units are known and how each converts. Not here: which column has which unit (the feed says so).
A unit that is not listed is refused at the contract, never guessed. Source of the codes: The Unified Code for Units of
Measure, version 2.1.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Conversion:
    """`canonical = value * factor + offset`."""

    canonical: str
    factor: float = 1.0
    offset: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether values need no arithmetic."""
        return self.factor == 1.0 and self.offset == 0.0


_ZERO_CELSIUS_K: Final = 273.15
# Conventional value of the acceleration of gravity (3rd General Conference on Weights and Measures, 1901).
_STANDARD_GRAVITY_M_S2: Final = 9.80665

# Below five letters, one wrong letter is as well another unit.
_LONG_WORD: Final = 5
# difflib's ratio of two words of five letters or more that differ by one.
_ONE_LETTER_OFF: Final = 0.8

UNITS: Final[dict[str, Conversion]] = {
    # power and energy
    "W": Conversion("W"),
    "mW": Conversion("W", 1e-3),
    "kW": Conversion("W", 1e3),
    "MW": Conversion("W", 1e6),
    "GW": Conversion("W", 1e9),
    "W/m2": Conversion("W/m2"),
    "W.h/m2": Conversion("W.h/m2"),
    "kW.h/m2": Conversion("W.h/m2", 1e3),
    "kJ/m2": Conversion("W.h/m2", 1e3 / 3600),
    "J/cm2": Conversion("W.h/m2", 1e4 / 3600),
    "V.A": Conversion("V.A"),
    "kV.A": Conversion("V.A", 1e3),
    "V.A.h": Conversion("V.A.h"),
    "kV.A.h": Conversion("V.A.h", 1e3),
    "var": Conversion("var"),
    "kvar": Conversion("var", 1e3),
    "W.h": Conversion("W.h"),
    "kW.h": Conversion("W.h", 1e3),
    "MW.h": Conversion("W.h", 1e6),
    "GW.h": Conversion("W.h", 1e9),
    "J": Conversion("W.h", 1 / 3600),
    "kJ": Conversion("W.h", 1e3 / 3600),
    "MJ": Conversion("W.h", 1e6 / 3600),
    "GJ": Conversion("W.h", 1e9 / 3600),
    "var.h": Conversion("var.h"),
    "kvar.h": Conversion("var.h", 1e3),
    # electricity
    "V": Conversion("V"),
    "mV": Conversion("V", 1e-3),
    "kV": Conversion("V", 1e3),
    "A": Conversion("A"),
    "kA": Conversion("A", 1e3),
    "mA": Conversion("A", 1e-3),
    "A.h": Conversion("A.h"),
    "Hz": Conversion("Hz"),
    "kHz": Conversion("Hz", 1e3),
    "MHz": Conversion("Hz", 1e6),
    "GHz": Conversion("Hz", 1e9),
    "Ohm": Conversion("Ohm"),
    "kOhm": Conversion("Ohm", 1e3),
    "MOhm": Conversion("Ohm", 1e6),
    # data
    "bit/s": Conversion("bit/s"),
    "kbit/s": Conversion("bit/s", 1e3),
    "Mbit/s": Conversion("bit/s", 1e6),
    "Gbit/s": Conversion("bit/s", 1e9),
    "By": Conversion("By"),
    "kBy": Conversion("By", 1e3),
    "MBy": Conversion("By", 1e6),
    "GBy": Conversion("By", 1e9),
    # length, area, volume, flow
    "m": Conversion("m"),
    "um": Conversion("m", 1e-6),
    "mm": Conversion("m", 1e-3),
    "cm": Conversion("m", 1e-2),
    "km": Conversion("m", 1e3),
    "L/m2": Conversion("m", 1e-3),
    "[in_i]": Conversion("m", 0.0254),
    "[ft_i]": Conversion("m", 0.3048),
    "[mi_i]": Conversion("m", 1609.344),
    "m2": Conversion("m2"),
    "har": Conversion("m2", 1e4),
    "km2": Conversion("m2", 1e6),
    "m3": Conversion("m3"),
    "L": Conversion("m3", 1e-3),
    "mL": Conversion("m3", 1e-6),
    "hL": Conversion("m3", 0.1),
    "[gal_us]": Conversion("m3", 3.785411784e-3),
    "m3/s": Conversion("m3/s"),
    "L/s": Conversion("m3/s", 1e-3),
    "L/min": Conversion("m3/s", 1e-3 / 60),
    "L/h": Conversion("m3/s", 1e-3 / 3600),
    "m3/h": Conversion("m3/s", 1 / 3600),
    "m3/d": Conversion("m3/s", 1 / 86400),
    "[gal_us]/min": Conversion("m3/s", 3.785411784e-3 / 60),
    "kg/s": Conversion("kg/s"),
    "kg/h": Conversion("kg/s", 1 / 3600),
    "t/h": Conversion("kg/s", 1e3 / 3600),
    # speed
    "m/s": Conversion("m/s"),
    "km/h": Conversion("m/s", 1 / 3.6),
    "[mi_i]/h": Conversion("m/s", 0.44704),
    "[kn_i]": Conversion("m/s", 1852 / 3600),
    "mm/h": Conversion("m/s", 1e-3 / 3600),
    "mm/s": Conversion("m/s", 1e-3),
    "cm/s": Conversion("m/s", 1e-2),
    "[ft_i]/s": Conversion("m/s", 0.3048),
    # movement, force
    "m/s2": Conversion("m/s2"),
    "mm/s2": Conversion("m/s2", 1e-3),
    "[g]": Conversion("m/s2", _STANDARD_GRAVITY_M_S2),
    "deg/s": Conversion("deg/s"),
    "N": Conversion("N"),
    "kN": Conversion("N", 1e3),
    "N.m": Conversion("N.m"),
    # weather and air
    "Cel": Conversion("Cel"),
    "K": Conversion("Cel", 1.0, -_ZERO_CELSIUS_K),
    "[degF]": Conversion("Cel", 5 / 9, -160 / 9),
    "Pa": Conversion("Pa"),
    "hPa": Conversion("Pa", 1e2),
    "kPa": Conversion("Pa", 1e3),
    "mbar": Conversion("Pa", 1e2),
    "bar": Conversion("Pa", 1e5),
    "MPa": Conversion("Pa", 1e6),
    "atm": Conversion("Pa", 101_325.0),
    "[psi]": Conversion("Pa", 6894.757293168),
    "mm[Hg]": Conversion("Pa", 133.322387415),
    "m[H2O]": Conversion("Pa", 9806.65),
    "deg": Conversion("deg"),
    "rad": Conversion("deg", 180 / math.pi),
    "lx": Conversion("lx"),
    "lm": Conversion("lm"),
    "cd": Conversion("cd"),
    "cd/m2": Conversion("cd/m2"),
    "[ppm]": Conversion("[ppm]"),
    "[ppb]": Conversion("[ppm]", 1e-3),
    "ug/m3": Conversion("ug/m3"),
    "mg/m3": Conversion("ug/m3", 1e3),
    "ng/m3": Conversion("ug/m3", 1e-3),
    "g/m3": Conversion("ug/m3", 1e6),
    "Bq/m3": Conversion("Bq/m3"),
    "uSv/h": Conversion("uSv/h"),
    "nSv/h": Conversion("uSv/h", 1e-3),
    "mg/L": Conversion("mg/L"),
    "ug/L": Conversion("mg/L", 1e-3),
    "g/L": Conversion("mg/L", 1e3),
    "uS/cm": Conversion("uS/cm"),
    "mS/cm": Conversion("uS/cm", 1e3),
    "S/m": Conversion("uS/cm", 1e4),
    "{NTU}": Conversion("{NTU}"),
    "[pH]": Conversion("[pH]"),
    "dB[SPL]": Conversion("dB[SPL]"),
    # time, mass, counts and ratios
    "us": Conversion("s", 1e-6),
    "ms": Conversion("s", 1e-3),
    "s": Conversion("s"),
    "min": Conversion("s", 60.0),
    "h": Conversion("s", 3600.0),
    "d": Conversion("s", 86400.0),
    "wk": Conversion("s", 604_800.0),
    "kg": Conversion("kg"),
    "g": Conversion("kg", 1e-3),
    "mg": Conversion("kg", 1e-6),
    "t": Conversion("kg", 1e3),
    "[lb_av]": Conversion("kg", 0.45359237),
    "kg/kg": Conversion("kg/kg"),
    "g/kg": Conversion("kg/kg", 1e-3),
    "1": Conversion("1"),
    "{count}": Conversion("{count}"),
    "{vehicle}": Conversion("{vehicle}"),
    "{person}": Conversion("{person}"),
    "/h": Conversion("/h"),
    "/min": Conversion("/h", 60.0),
    "/d": Conversion("/h", 1 / 24),
    "{vehicle}/h": Conversion("{vehicle}/h"),
    "{vehicle}/min": Conversion("{vehicle}/h", 60.0),
    "{vehicle}/d": Conversion("{vehicle}/h", 1 / 24),
    "{person}/h": Conversion("{person}/h"),
    "{person}/d": Conversion("{person}/h", 1 / 24),
    "%": Conversion("%"),
    "dBm": Conversion("dBm"),
    "dB": Conversion("dB"),
}

QUANTITIES: Final[dict[str, str]] = {
    "W": "active power",
    "W/m2": "irradiance",
    "W.h/m2": "irradiation",
    "V.A": "apparent power",
    "V.A.h": "apparent energy",
    "var": "reactive power",
    "W.h": "energy",
    "var.h": "reactive energy",
    "V": "voltage",
    "A": "current",
    "A.h": "electric charge",
    "Hz": "frequency",
    "Ohm": "electric resistance",
    "bit/s": "data rate",
    "By": "data volume",
    "m": "length, level",
    "m2": "area",
    "m3": "volume",
    "m3/s": "flow",
    "kg/s": "mass flow",
    "m/s": "speed",
    "m/s2": "acceleration",
    "deg/s": "angular speed",
    "N": "force",
    "N.m": "torque",
    "Cel": "temperature",
    "Pa": "pressure",
    "deg": "angle",
    "lx": "illuminance",
    "lm": "luminous flux",
    "cd": "luminous intensity",
    "cd/m2": "luminance",
    "[ppm]": "volume fraction",
    "ug/m3": "concentration in air",
    "Bq/m3": "radon activity",
    "uSv/h": "radiation dose rate",
    "mg/L": "concentration in water",
    "uS/cm": "conductivity",
    "{NTU}": "turbidity",
    "[pH]": "acidity",
    "dB[SPL]": "sound level",
    "s": "duration",
    "kg": "mass",
    "kg/kg": "mass fraction",
    "1": "number without unit",
    "{count}": "count",
    "{vehicle}": "count of vehicles",
    "{person}": "count of persons",
    "/h": "rate",
    "{vehicle}/h": "flow of vehicles",
    "{person}/h": "flow of persons",
    "%": "ratio",
    "dBm": "radio power",
    "dB": "level",
}
"""What each canonical unit measures."""

SPELLINGS: Final[dict[str, str]] = {
    "kVA": "kV.A",
    "VA": "V.A",
    "Wh": "W.h",
    "kWh": "kW.h",
    "MWh": "MW.h",
    "GWh": "GW.h",
    "varh": "var.h",
    "kvarh": "kvar.h",
    "VAr": "var",
    "kVAr": "kvar",
    "Ah": "A.h",
    "m²": "m2",
    "ha": "har",
    "km²": "km2",
    "m³": "m3",
    "l": "L",
    "litre": "L",
    "litres": "L",
    "m³/s": "m3/s",
    "m³/h": "m3/h",
    "l/s": "L/s",
    "l/min": "L/min",
    "l/h": "L/h",
    "kmh": "km/h",
    "kph": "km/h",
    "mph": "[mi_i]/h",
    "kt": "[kn_i]",
    "kn": "[kn_i]",
    "°C": "Cel",
    "C": "Cel",
    "degC": "Cel",
    "celsius": "Cel",
    "Celsius": "Cel",
    "degreeCelsius": "Cel",
    "°F": "[degF]",
    "F": "[degF]",
    "degF": "[degF]",
    "kelvin": "K",
    "°": "deg",
    "degrees": "deg",
    "lux": "lx",
    "W/m²": "W/m2",
    "ppm": "[ppm]",
    "ppb": "[ppb]",
    "µg/m3": "ug/m3",
    "µg/m³": "ug/m3",
    "mg/m³": "mg/m3",
    "mg/l": "mg/L",
    "µg/l": "ug/L",
    "µS/cm": "uS/cm",
    "m/s²": "m/s2",
    "m/s^2": "m/s2",
    "psi": "[psi]",
    "mmHg": "mm[Hg]",
    "mH2O": "m[H2O]",
    "µm": "um",
    "in": "[in_i]",
    "inch": "[in_i]",
    "ft": "[ft_i]",
    "lb": "[lb_av]",
    "Ω": "Ohm",
    "rpm": "/min",
    "tr/min": "/min",
    "Wh/m²": "W.h/m2",
    "kWh/m²": "kW.h/m2",
    "J/cm²": "J/cm2",
    "NTU": "{NTU}",
    "FNU": "{NTU}",
    "µSv/h": "uSv/h",
    "veh/h": "{vehicle}/h",
    "véh/h": "{vehicle}/h",
    "veh/j": "{vehicle}/d",
    "véh/j": "{vehicle}/d",
    "Mbps": "Mbit/s",
    "kbps": "kbit/s",
    "bps": "bit/s",
    "GB": "GBy",
    "Go": "GBy",
    "MB": "MBy",
    "Mo": "MBy",
    "pH": "[pH]",
    "dB(A)": "dB[SPL]",
    "dBA": "dB[SPL]",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "mn": "min",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "heure": "h",
    "heures": "h",
    "day": "d",
    "days": "d",
    "jour": "d",
    "jours": "d",
    "tonne": "t",
    "tonnes": "t",
    "percent": "%",
    "pct": "%",
    "none": "1",
    "count": "{count}",
    "vehicles": "{vehicle}",
    "persons": "{person}",
}
"""How people write units, to the UCUM code: for suggestions only. A contract states the UCUM code."""

COLUMN_UNITS: Final[dict[str, str]] = {
    "energy_wh": "W.h",
    "rated_power_w": "W",
    "suspended_minutes": "min",
    "longitude": "deg",
    "latitude": "deg",
}
"""The unit in which a canonical column is kept, where the column's contract fixes it."""


def is_known(code: str) -> bool:
    """Whether a unit can be declared by a feed."""
    return code in UNITS


def to_canonical(code: str) -> Conversion:
    """Return the conversion of a declared unit.

    Raises:
        KeyError: the unit is unknown; feed contracts are refused before this can happen.
    """
    return UNITS[code]


def near_units(written: str) -> list[str]:
    """Return the codes of a unit that is merely spelled otherwise; none where it could be another unit.

    Compared without case, spaces, accents of exponents and separators; longer words may have one letter wrong. A letter less
    is another quantity (m/s2, m/s), so short codes are never completed or cut.

    >>> near_units("kwh"), near_units("m3/H"), near_units("celcius"), near_units("m/s3"), near_units("mw")
    (['kW.h'], ['m3/h'], ['Cel'], [], ['mW', 'MW'])
    """
    codes = {**{code: code for code in UNITS}, **SPELLINGS}
    if written.strip() in codes:
        return [codes[written.strip()]]
    alike = {code: None for name, code in codes.items() if _folded(name) == _folded(written)}
    if alike or len(written) < _LONG_WORD or not written.isalpha():
        return list(alike)
    words = {name.casefold(): code for name, code in codes.items() if name.isalpha() and len(name) >= _LONG_WORD}
    close = difflib.get_close_matches(written.casefold(), words, n=1, cutoff=_ONE_LETTER_OFF)
    return [words[c] for c in close]


def _folded(name: str) -> str:
    return re.sub(r"[\s.·*^\[\]{}]+", "", unicodedata.normalize("NFKC", name)).casefold()


def between(source: str, target: str) -> Conversion:
    """Return the conversion from one declared unit to another of the same quantity: `target = value * factor + offset`.

    >>> between("kW.h", "W.h").factor
    1000.0
    >>> between("h", "min").factor
    60.0

    Raises:
        KeyError: a unit is unknown.
        ValueError: the two units measure different quantities.
    """
    first, second = UNITS[source], UNITS[target]
    if first.canonical != second.canonical:
        raise ValueError(f"{source} is {quantity(source)}, not {quantity(target)}")
    return Conversion(target, first.factor / second.factor, (first.offset - second.offset) / second.factor)


def quantity(code: str) -> str:
    """Return what a known unit measures, in words.

    Raises:
        KeyError: the unit is unknown.
    """
    return QUANTITIES[UNITS[code].canonical]


def same_quantity(code: str) -> list[str]:
    """Return the units that a known unit converts to, itself included.

    Raises:
        KeyError: the unit is unknown.
    """
    return [c for c, conversion in UNITS.items() if conversion.canonical == UNITS[code].canonical]
