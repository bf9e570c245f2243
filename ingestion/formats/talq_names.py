"""TALQ: which attributes are in which unit, what the lake calls them, and why something is refused.

Here: the declared lists that decoding follows. Not here: reading messages (`talq`), entries (`talq_entry`), devices (`talq_device`).

A log entry says an attribute's name and value, not its unit: the data model does (`x-talq-unit`, versions 2.5.1 and 2.7.1). Here stand the
functions whose units were read there; an attribute of another function, or of a vendor, needs its unit in the feed's contract.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from ingestion.contracts.units import UNITS, Conversion
from ingestion.formats import wire_json

REASONS: Final[dict[str, str]] = {
    # messages
    **wire_json.REASONS,
    "too_many": "the message holds more entries than a message may",
    "empty": "the message holds no entry, and nothing says which gateway sent it when",
    # entries
    "not_an_entry": "is no log entry, device, service or device class",
    "unknown_type": "is none of AttributeLogData, EventLogData and StateChangeEventLogData",
    "no_address": "nothing says which device it is about (srcAddress, address; of a service, clientAddress in the URL)",
    "no_name": "the entry names no attribute or event (attributeName, eventType)",
    "no_value": "the attribute has no value",
    "only_part": "a part of a description, without dated attributes: the whole one is not replaced by it",
    # entries, and values
    "no_instant": "nothing says when: neither the value, the entry nor the arrival",
    "not_an_instant": "is no RFC 3339 instant between 1900 and 2100",
    "ambiguous_time": "has no zone, and in the feed's zone there are two such times, or none (the clock was changed)",
    "unknown_unit": "is a number in a unit that neither the data model nor the contract states (fields: name and unit)",
    "not_a_number": "is not a number a double holds",
    "text_too_long": "a text of more than 32 KiB",
    "nul_character": "a NUL, which no database stores",
    "personal": "the contract declares it personal",
    "invalid_geometry": "is no WGS84 position",
}

# What the lake has a name for. `totalPower` is the whole active power of what the meter stands for.
LAKE_NAMES: Final[dict[str, str]] = {
    "activePower": "active_power",
    "batteryLevel": "battery_level",
    "fillingPercentage": "fill_level",
    "relativeHumidity": "relative_humidity",
    "totalPower": "active_power",
    "windSpeed": "wind_speed",
}

# Numbers of each unit, by function (the function's name minus `Function`). Of names that functions use for different quantities
# (`levelHighThreshold`: metres of filling, lux of light) none stands here. "1" where the model says None and means a plain number.
_OF_UNIT: Final[dict[str, str]] = {
    "V": """
        supplyVoltage highSupplyVoltageThreshold lowSupplyVoltageThreshold supplyVoltageHighThreshold supplyVoltageLowThreshold
        phase1VoltageHighThreshold phase1VoltageLowThreshold phase2VoltageHighThreshold phase2VoltageLowThreshold
        phase3VoltageHighThreshold phase3VoltageLowThreshold phase1Voltage phase2Voltage phase3Voltage voltagePhase1Phase2
        voltagePhase2Phase3 voltagePhase3Phase1 orp
    """,
    "A": """
        supplyCurrent totalCurrent averageCurrent neutralCurrent phase1Current phase2Current phase3Current totalCurrentHighThreshold
        totalCurrentLowThreshold neutralCurrentHighThreshold phase1CurrentHighThreshold phase1CurrentLowThreshold
        phase2CurrentHighThreshold phase2CurrentLowThreshold phase3CurrentHighThreshold phase3CurrentLowThreshold
        overCurrentChargeThreshold overCurrentDischargeThreshold
    """,
    # The model has the phases' powers in kilowatts and their thresholds in watts.
    "W": """
        activePower phase1ActivePowerHighThreshold phase1ActivePowerLowThreshold phase2ActivePowerHighThreshold
        phase2ActivePowerLowThreshold phase3ActivePowerHighThreshold phase3ActivePowerLowThreshold
    """,
    "kW": """
        totalPower maxDemandPower totalPowerHighThreshold totalPowerLowThreshold phase1ActivePower phase2ActivePower phase3ActivePower
    """,
    "var": "reactivePower",
    "kvar": "totalVAR phase1ReactivePower phase2ReactivePower phase3ReactivePower",
    "V.A": "apparentPower",
    "kV.A": "totalVA phase1ApparentPower phase2ApparentPower phase3ApparentPower",
    "kW.h": "activeEnergy totalActiveEnergy phase1ActiveEnergy phase2ActiveEnergy phase3ActiveEnergy",
    "kvar.h": "totalReactiveEnergy",
    "kV.A.h": "totalApparentEnergy",
    "Hz": "frequency",
    "1": """
        powerFactor totalPowerFactor phase1PowerFactor phase2PowerFactor phase3PowerFactor powerfactorThreshold
        phase1PowerfactorLowThreshold phase2PowerfactorLowThreshold phase3PowerfactorLowThreshold
    """,
    "{count}": """
        numberOfLamps switchOnCounter supplyLossCount phase1SupplyLossCount phase2SupplyLossCount phase3SupplyLossCount roadUserNumber
        accumulatedRoadUserNumber
    """,
    "%": """
        worstCurrentTHD phase1CurrentTHD phase2CurrentTHD phase3CurrentTHD worstVoltageTHD averageVoltageTHD phase1VoltageTHD
        phase2VoltageTHD phase3VoltageTHD phase1_2VoltageTHD phase2_3VoltageTHD phase3_1VoltageTHD batteryLevel batteryLevelLowThreshold
        fillingPercentage relativeHumidity cloudiness siltLevel
    """,
    "h": "operatingHours",
    "d": "collectionLateThreshold",
    "s": "duration accumulatedDuration maxDuration",
    "Cel": """
        temperature minMeasuredTemperature maxMeasuredTemperature fireDetectionThreshold highTemperatureThreshold dewPoint
    """,
    "hPa": "atmosphericPressure",
    "m/s": "windSpeed windGust maxWindGust",
    "deg": "windDirection windGustDirection",
    "W/m2": "solarDirectRadiation",
    "m": "fillingHeight containerHeight visibility",
    "m3": "containerVolume",
    "m3/s": "flowRate flowRateTooHighThreshold",
    "kg": "weight weightLowThreshold weightHighThreshold",
    "lx": "lightLevel",
    "ug/m3": "pm1 pm2-5 pm10 pm1HighThreshold pm2-5HighThreshold pm10HighThreshold",
    "[ppm]": """
        gasConcentration gasHighConcentrationThreshold gasConcentration1hAverage gasConcentration8hAverage chlorine totalDissolvedGas
        dissolvedOxygen
    """,
    "{NTU}": "turbidity",
    "S/m": "conductivity conductance",
    "mg/L": "totalSuspendedSolids totalDissolvedSolids",
    "[pH]": "pH",
}


class Attribute(NamedTuple):
    """What is known of an attribute: its name in the lake, and how its numbers convert (whole, and in parts, which are read often)."""

    property: str
    conversion: Conversion
    factor: float
    offset: float
    unit: str


def _attribute(name: str, how: Conversion) -> Attribute:
    return Attribute(LAKE_NAMES.get(name, name), how, how.factor, how.offset, how.canonical)


# The one type of attribute that says its unit: percent, of whatever attribute, a vendor's too.
PERCENT_TYPE: Final = "AttributePercent"
PERCENT: Final = UNITS["%"]
MODEL: Final[dict[str, Attribute]] = {name: _attribute(name, UNITS[unit]) for unit, names in _OF_UNIT.items() for name in names.split()}


@lru_cache(maxsize=64)  # as many as an instance may have feeds of this format
def attributes(units: tuple[tuple[str, str], ...]) -> dict[str, Attribute]:
    """Return what is known of attributes: the data model, and before it what a contract states.

    >>> attributes(())["activePower"].property, attributes((("vendorFlow", "L/s"),))["vendorFlow"].conversion.canonical
    ('active_power', 'm3/s')
    """
    if not units:
        return MODEL
    stated = {name: UNITS[unit] for name, unit in units if unit in UNITS}
    # A contract may say the attribute's name or the lake's.
    stated |= {name: stated[lake] for name, lake in LAKE_NAMES.items() if lake in stated and name not in stated}
    return MODEL | {name: _attribute(name, how) for name, how in stated.items()}
