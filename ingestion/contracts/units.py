"""Units: UCUM codes, and the one unit in which the lake keeps each quantity.

Here: which source units are known and how each converts. Not here: which column has which unit (the feed says so).
A unit that is not listed is refused at the contract, never guessed. Source of the codes: The Unified Code for Units of
Measure, version 2.1.
"""

from __future__ import annotations

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

UNITS: Final[dict[str, Conversion]] = {
    # power and energy
    "W": Conversion("W"),
    "kW": Conversion("W", 1e3),
    "MW": Conversion("W", 1e6),
    "V.A": Conversion("V.A"),
    "kV.A": Conversion("V.A", 1e3),
    "var": Conversion("var"),
    "kvar": Conversion("var", 1e3),
    "W.h": Conversion("W.h"),
    "kW.h": Conversion("W.h", 1e3),
    "MW.h": Conversion("W.h", 1e6),
    "J": Conversion("W.h", 1 / 3600),
    "MJ": Conversion("W.h", 1e6 / 3600),
    "var.h": Conversion("var.h"),
    "kvar.h": Conversion("var.h", 1e3),
    # electricity
    "V": Conversion("V"),
    "mV": Conversion("V", 1e-3),
    "A": Conversion("A"),
    "mA": Conversion("A", 1e-3),
    "Hz": Conversion("Hz"),
    # length, area, volume, flow
    "m": Conversion("m"),
    "mm": Conversion("m", 1e-3),
    "cm": Conversion("m", 1e-2),
    "km": Conversion("m", 1e3),
    "m2": Conversion("m2"),
    "m3": Conversion("m3"),
    "L": Conversion("m3", 1e-3),
    "m3/s": Conversion("m3/s"),
    "L/s": Conversion("m3/s", 1e-3),
    "m3/h": Conversion("m3/s", 1 / 3600),
    # speed
    "m/s": Conversion("m/s"),
    "km/h": Conversion("m/s", 1 / 3.6),
    "[mi_i]/h": Conversion("m/s", 0.44704),
    # weather and air
    "Cel": Conversion("Cel"),
    "K": Conversion("Cel", 1.0, -_ZERO_CELSIUS_K),
    "[degF]": Conversion("Cel", 5 / 9, -160 / 9),
    "Pa": Conversion("Pa"),
    "hPa": Conversion("Pa", 1e2),
    "kPa": Conversion("Pa", 1e3),
    "deg": Conversion("deg"),
    "lx": Conversion("lx"),
    "cd/m2": Conversion("cd/m2"),
    "[ppm]": Conversion("[ppm]"),
    "[ppb]": Conversion("[ppm]", 1e-3),
    "ug/m3": Conversion("ug/m3"),
    "mg/m3": Conversion("ug/m3", 1e3),
    "dB[SPL]": Conversion("dB[SPL]"),
    # time, mass, counts and ratios
    "s": Conversion("s"),
    "min": Conversion("s", 60.0),
    "h": Conversion("s", 3600.0),
    "kg": Conversion("kg"),
    "g": Conversion("kg", 1e-3),
    "t": Conversion("kg", 1e3),
    "kg/kg": Conversion("kg/kg"),
    "1": Conversion("1"),
    "{count}": Conversion("{count}"),
    "{vehicle}": Conversion("{vehicle}"),
    "{person}": Conversion("{person}"),
    "/h": Conversion("/h"),
    "%": Conversion("%"),
    "dBm": Conversion("dBm"),
    "dB": Conversion("dB"),
}


def is_known(code: str) -> bool:
    """Whether a unit can be declared by a feed."""
    return code in UNITS


def to_canonical(code: str) -> Conversion:
    """Return the conversion of a declared unit.

    Raises:
        KeyError: the unit is unknown; feed contracts are refused before this can happen.
    """
    return UNITS[code]
