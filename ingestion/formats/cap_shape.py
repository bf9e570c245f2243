"""CAP: XML elements to an alert's texts, whether it stands alone, in a feed's entry, or is only summed up there.

Here: reading elements, in one pass. Not here: what becomes of them (`cap_rows`), feeds (`cap`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from ingestion.formats.cap_area import HOLE_SCHEME, Area
from ingestion.formats.wire_xml import local_name

NAMESPACES: Final = ("urn:oasis:names:tc:emergency:cap:1.2", "urn:oasis:names:tc:emergency:cap:1.1")
# Elements that may be written several times, and are kept together.
_REPEATED: Final = frozenset({"category", "responseType"})
_PAIRS: Final = frozenset({"eventCode", "geocode", "parameter"})
_CODE: Final = re.compile(r"[A-Z]{0,3}[0-9]{3,6}")  # UGC `MTZ014`, FIPS `030049`
# How feeds spell an element of CAP otherwise.
_SPELLINGS: Final = {"message_type": "msgType", "messageType": "msgType", "response_type": "responseType"}


@dataclass(slots=True)
class Info:
    """What an `<info>` states: texts by element, codes and parameters as pairs, areas once they are read (`read_areas`)."""

    texts: dict[str, str] = field(default_factory=dict)
    codes: list[tuple[str, str]] = field(default_factory=list)
    parameters: list[tuple[str, str]] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    elements: list[etree._Element] = field(default_factory=list)
    hazard: str = ""  # what kind of event it is, where a feed names it apart

    def read_areas(self) -> None:
        """Read its areas: of a warning in several languages those of one are read."""
        self.areas += map(_area, self.elements)
        self.elements.clear()

    @property
    def language(self) -> str:
        """RFC 3066 code, in lower case; CAP's default where none is stated."""
        return self.texts.get("language", "en-US").lower()

    def same_but_for_language(self) -> tuple[object, ...]:
        """What two translations of one warning share."""
        said = ("category", "urgency", "severity", "certainty", "effective", "onset", "expires")
        return (*(self.texts.get(name) for name in said), *self.codes)


@dataclass(slots=True)
class Alert:
    """What an alert states: texts by element; `is_summary` when only a feed's entry says it."""

    texts: dict[str, str] = field(default_factory=dict)
    infos: list[Info] = field(default_factory=list)
    is_summary: bool = False


def read_alert(root: etree._Element) -> Alert:
    """Return what an `<alert>` states; elements of other namespaces (signatures) are passed over."""
    alert = Alert()
    prefix = root.tag[: len(root.tag) - len("alert")]
    cut = len(prefix)
    for element in root:
        tag = element.tag
        if not tag.startswith(prefix):
            continue
        if tag[cut:] == "info":
            alert.infos.append(_info(element, prefix))
        elif (text := element.text) and (text := text.strip()):
            alert.texts.setdefault(tag[cut:], text)
    return alert


def read_summary(entry: etree._Element) -> Alert | None:
    """Return what the `cap:` elements of a feed's entry state; None when it has none that make a warning."""
    found = [e for e in entry.iter() if isinstance(e.tag, str) and e.tag.startswith(_TAGS)]
    if not found:
        return None
    info, area = Info(), Area()
    alert = Alert(info.texts, [info], is_summary=True)
    for element in found:
        name = local_name(element)
        name = _SPELLINGS.get(name, name)
        if name in _PAIRS:
            pairs = _pairs(element)
            if name == "geocode":
                area.geocodes += [(scheme, code) for scheme, codes in pairs for code in _codes(codes)]
            else:
                (info.codes if name == "eventCode" else info.parameters).extend(pairs)
        else:
            _add(name, element, info.texts, area)
    for name in ("valueName", "value"):
        info.texts.pop(name, None)  # the pairs' own children, where they too are of CAP's namespace
    if "event" not in info.texts:
        return None
    area.description = info.texts.pop("areaDesc", "")
    if area.description or area.geocodes:
        info.areas.append(area)
    return alert


def _codes(text: str) -> list[str]:
    """Return the codes of one value: the NWS writes several, separated by spaces; names of regions hold spaces of their own."""
    words = text.split()
    return words if all(map(_CODE.fullmatch, words)) else [text]


_TAGS: Final = tuple("{" + namespace + "}" for namespace in NAMESPACES)


def _info(root: etree._Element, prefix: str) -> Info:
    info, cut = Info(), len(prefix)
    texts = info.texts
    for element in root:
        tag = element.tag
        if not tag.startswith(prefix):
            continue
        name = tag[cut:]
        if name == "parameter":
            info.parameters += _pairs(element)
        elif name == "area":
            info.elements.append(element)
        elif name == "eventCode":
            info.codes += _pairs(element)
        elif name == "resource":
            continue  # files: docs/formats/cap.md
        elif (text := element.text) and (text := text.strip()):
            if name not in texts:
                texts[name] = text
            elif name in _REPEATED:
                texts[name] += f" {text}"
    return info


def _area(root: etree._Element) -> Area:
    area, cut = Area(), len(root.tag) - len("area")
    for element in root:
        name = element.tag[cut:]
        if name == "geocode":
            for scheme, code in _pairs(element):
                if scheme == HOLE_SCHEME:
                    area.holes.append(code)
                else:
                    area.geocodes.append((scheme, code))
        elif name == "areaDesc":
            area.description = (element.text or "").strip()
        elif (text := (element.text or "").strip()) and name in ("polygon", "circle"):
            (area.polygons if name == "polygon" else area.circles).append(text)
    return area


def _add(name: str, element: etree._Element, texts: dict[str, str], area: Area) -> None:
    text = (element.text or "").strip()
    if not text:
        return
    if name == "polygon":
        area.polygons.append(text)
    elif name == "circle":
        area.circles.append(text)
    elif name not in texts:
        texts[name] = text
    elif name in _REPEATED:
        texts[name] += f" {text}"


def _pairs(elements: Iterable[etree._Element]) -> list[tuple[str, str]]:
    """Return each valueName and the value that follows it, where neither is empty."""
    pairs: list[tuple[str, str]] = []
    name = ""
    for element in elements:
        text = (element.text or "").strip()
        if element.tag.endswith("valueName"):
            name = text
        elif name and text:
            pairs.append((name, text))
    return pairs
