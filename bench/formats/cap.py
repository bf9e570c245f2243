"""CAP as a weather service sends it: one hazard in two languages, of three zones with their outlines.

Here: generated alerts. Not here: measuring.
"""

from __future__ import annotations

import math
from typing import Final

from lxml import etree

from bench.formats.case import Case

_SEVERITIES: Final = ("Minor", "Moderate", "Severe", "Extreme")


def _area(number: int) -> str:
    """A zone with its code and an outline of 40 corners: zones are the same in every alert, as a service's are."""
    corners = [
        f"{48 + number % 7 / 4 + math.sin(step * math.pi / 20) / 5:.4f},{4 + number % 11 / 3 + math.cos(step * math.pi / 20) / 5:.4f}"
        for step in range(40)
    ]
    return (
        f"<area><areaDesc>Zone {number}</areaDesc><polygon>{' '.join([*corners, corners[0]])}</polygon>"
        f"<geocode><valueName>EMMA_ID</valueName><value>FR{number:03d}</value></geocode></area>"
    )


def _info(number: int, language: str, event: str) -> str:
    hour = number % 20
    return (
        f"<info><language>{language}</language><category>Met</category><event>{event}</event><responseType>Monitor</responseType>"
        f"<urgency>Future</urgency><severity>{_SEVERITIES[number % 4]}</severity><certainty>Likely</certainty>"
        f"<effective>2026-11-22T{hour:02d}:00:00+01:00</effective><onset>2026-11-22T{hour + 2:02d}:00:00+01:00</onset>"
        f"<expires>2026-11-23T{hour:02d}:00:00+01:00</expires><senderName>Service de prévision</senderName>"
        f"<headline>{event} : épisode {number}</headline><description>{'Rafales attendues en soirée sur les hauteurs. ' * 6}</description>"
        f"<instruction>{'Limiter les déplacements. ' * 4}</instruction><web>https://example.org/vigilance/{number}</web>"
        "<parameter><valueName>awareness_level</valueName><value>3; orange; Severe</value></parameter>"
        "<parameter><valueName>awareness_type</valueName><value>1; Wind</value></parameter>"
        f"{''.join(_area((number + step) % 96) for step in range(3))}</info>"
    )


def _alert(number: int) -> bytes:
    infos = _info(number, "fr-FR", "Vent violent") + _info(number, "en-GB", "Strong wind")
    return (
        '<?xml version="1.0" encoding="UTF-8"?><alert xmlns="urn:oasis:names:tc:emergency:cap:1.2">'
        f"<identifier>2.49.0.0.250.{number}</identifier><sender>vigilance@example.org</sender><sent>2026-11-22T06:00:00+01:00</sent>"
        f"<status>Actual</status><msgType>Alert</msgType><scope>Public</scope>{infos}</alert>"
    ).encode()


CASE: Final = Case("cap", [_alert(n) for n in range(3_000)], etree.fromstring, "lxml")
