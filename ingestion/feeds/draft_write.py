"""A drafted contract as YAML, with the comments an integrator needs to finish it.

Here: layout, quoting, comments. Not here: what is proposed (`draft_mapping`, `draft_values`).
Personal values never appear: the profile of a personal column says how full it is, and no more.
"""

from __future__ import annotations

import json
import re
import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ingestion.feeds.draft_mapping import TO_COMPLETE, Suggestion
from ingestion.feeds.draft_values import Profile
from ingestion.feeds.model import Territory

# The longest line of a draft: what an editor shows beside a file tree.
_LINE = 120
_PLAIN = re.compile(r"[^\W\d]([\w .()/'°%+-]*[\w.)°%])?")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_DOMAINS = (
    "EP lighting, VP cameras, SLT signals and traffic, MOB mobility, RT telecom, PAT buildings, CDV living environment, "
    "EAU water, GRC citizens, METEO weather and air; else the nearest, and say so in description"
)


@dataclass
class Content:
    """All that a draft says."""

    name: str
    file: str
    suggestion: Suggestion
    profiles: list[Profile]
    format: dict[str, str | int]
    notes: list[str]
    domain: str | None = None
    territory: Territory | str | None = None
    zone: str | None = None
    owner: str | None = None
    missing: list[str] = field(default_factory=list)
    decimal: str = "."
    personal: dict[str, str] = field(default_factory=dict)


def render(content: Content) -> str:
    """Return the YAML of a draft."""
    blocks = [_head(content), _people(content), _place(content), _format(content), _fields(content), _mapping(content), _tail(content)]
    return "\n".join(blocks)


def render_wire(content: Content, unitless: Mapping[str, float], personal: Sequence[str]) -> str:
    """Return the YAML of a draft for messages that say by themselves what they hold.

    Args:
        content: what the draft says.
        unitless: properties whose numbers come without a unit, with an example.
        personal: members that the format knows to be personal.
    """
    lines = [f"# {_comment(note)}" for note in content.notes]
    lines += [
        'connector: {type: stream}  # sent to POST /ingest/FEED; over MQTT: {type: stream, topics: ["…"]}; files: take this line out',
        f"format: {{type: {content.format['type']}}}  # it says itself what it holds: no mapping (docs/formats/)",
    ]
    if personal:
        lines.append(f"# Never in the main lake, unless declared under fields with another classification: {', '.join(personal)}")
    if unitless:
        lines.append("# Numbers that come without a unit; say it where there is one (docs/units.md), and what the lake should call them:")
        lines.append("# measures:")
        lines += [f"#   - {_flow({'column': _comment(n), 'property': _comment(n), 'unit': '1'})}  # {v:g}" for n, v in unitless.items()]
    return "\n".join([_head(content), _people(content), _place(content), *lines, _tail(content)])


def quoted(value: object) -> str:
    """Return a scalar as YAML, plain where it reads the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    is_plain = _PLAIN.fullmatch(text) and text.casefold() not in _RESERVED and "  " not in text
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _line(key: str, value: object, comment: str | None = None, *, indent: str = "") -> str:
    return _annotated(f"{key}: {quoted(value)}", comment, indent=indent)


def _annotated(text: str, comment: str | None, *, indent: str = "") -> str:
    """Return a line with its comment: behind it where they fit, else above it."""
    line = f"{indent}{text}"
    if not comment:
        return line
    if len(line) + len(comment) + 4 <= _LINE:
        return f"{line}  # {comment}"
    return "\n".join([*(f"{indent}# {part}" for part in textwrap.wrap(comment, _LINE - len(indent) - 2)), line])


def _flow(pairs: Mapping[str, str | bool | list[str]]) -> str:
    return "{" + ", ".join(f"{k}: {_list(v) if isinstance(v, list) else quoted(v)}" for k, v in pairs.items()) + "}"


def _list(values: list[str]) -> str:
    return f"[{', '.join(quoted(v) for v in values)}]"


def _head(c: Content) -> str:
    lines = [
        f"# Drafted from {_comment(c.file, most=60)}. Every {TO_COMPLETE} is yours to fill in; read the guesses.",
        "# What each key means: docs/feed-contract.md.",
        _line("feed", c.name),
        _line("title", TO_COMPLETE, "a name for people"),
        _line("contract", c.suggestion.contract, c.suggestion.why),
        _line("domain", c.domain or TO_COMPLETE, "a guess; docs/feed-contract.md lists them" if c.domain else _DOMAINS),
    ]
    return "\n".join(lines)


def _people(c: Content) -> str:
    owner = c.owner or TO_COMPLETE
    return "\n".join(
        [
            f"owner: {{name: {quoted(owner)}}}  # the service whose data it is",
            f"steward: {{name: {quoted(owner)}}}  # whom people ask what it means; often someone of the owner's",
            "source:",
            _line("publisher", TO_COMPLETE, indent="  "),
            _line("licence", TO_COMPLETE, "etalab-2.0, ODbL-1.0, CC-BY-4.0…; internal; unknown (not published)", indent="  "),
        ]
    )


def _place(c: Content) -> str:
    zone = c.zone or TO_COMPLETE
    lines = ["territory:"]
    if isinstance(c.territory, Territory):
        lines += [_line(k, v, indent="  ") for k, v in c.territory.model_dump().items()]
        zone = c.zone or c.territory.time_zone
    else:
        lines += [
            _line("code", c.territory or TO_COMPLETE, "short name, the same in all feeds of the place", indent="  "),
            _line("name", TO_COMPLETE, indent="  "),
            _line("time_zone", zone, "IANA zone of the place, for instance Europe/Paris", indent="  "),
            _line(
                "holidays", "FR" if zone == "Europe/Paris" else TO_COMPLETE, "country or country-subdivision: FR, FR-57, US-CA", indent="  "
            ),
            *(_centre(c, key) for key in ("latitude", "longitude")),
        ]
    instants = [p for p in c.profiles if p.is_instant]
    if instants and all(p.has_offset for p in instants):
        lines.append(_line("time_zone", "UTC", "every instant of the file carries its zone"))
    else:
        lines.append(_line("time_zone", zone, "of the times the source writes without zone: local time, or UTC?"))
    return "\n".join(lines)


def _centre(c: Content, key: str) -> str:
    """The middle of the file's positions, good enough for sunrise and sunset."""
    mapped = next((t.how.get("column") for t in c.suggestion.targets if t.name == key), None)
    numbers = next((p.numbers for p in c.profiles if p.name == mapped and p.filled > p.rows / 2), [])
    if not numbers:
        return _line(key, TO_COMPLETE, "of the place's centre, degrees", indent="  ")
    return _line(key, round(statistics.median(numbers), 2), "the middle of the file's positions", indent="  ")


def _format(c: Content) -> str:
    stated = re.compile(rf"(encoding {re.escape(str(c.format.get('encoding')))}|delimiter \w+)")
    lines = [f"# {_comment(note)}" for note in c.notes if not stated.fullmatch(note)]
    lines += ["format:", *(_line(k, v, indent="  ") for k, v in c.format.items())]
    lines.append(f"missingValues: [{', '.join(json.dumps(v, ensure_ascii=False) for v in ['', *c.missing])}]")
    if c.decimal != ".":
        lines.append(_line("decimalChar", c.decimal))
    return "\n".join(lines)


def _fields(c: Content) -> str:
    rows = c.profiles[0].rows if c.profiles else 0
    lines = [f"# Profile of the first {rows:,} records. A column taken out of this list is not stored.", "fields:"]
    for p in c.profiles:
        spec: dict[str, str] = {"name": p.name}
        if p.type != "string":
            spec["type"] = p.type
        text = _flow(spec)[:-1]
        if p.formats:
            text += f", format: {quoted(p.formats[0])}" if len(p.formats) == 1 else f", format: {_list(p.formats)}"
        own = [m for m in p.missing if m not in c.missing]
        if own:
            text += f", missingValues: [{', '.join(json.dumps(v, ensure_ascii=False) for v in ['', *c.missing, *own])}]"
        if p.decimal is not None and p.decimal != c.decimal:
            text += f", decimalChar: {quoted(p.decimal)}"
        if p.group is not None:
            text += f", groupChar: {json.dumps(p.group, ensure_ascii=False)}"
        if p.name in c.personal:
            text += ", classification: personal"
        lines.append(_annotated(f"- {text}}}", _profile(p, c), indent="  "))
    return "\n".join(lines)


def _profile(p: Profile, c: Content) -> str:
    if not p.filled:
        return "always empty"
    share = "100 %" if p.filled == p.rows else f"{min(99.9, 100 * p.filled / p.rows):.3g} %"
    said = [f"{share}, {p.distinct:,} distinct"]
    if p.name in c.personal:
        said.append(f"personal: {c.personal[p.name]} (guess); internal if it is none")
    else:
        said.append(", ".join(_comment(e, most=30) for e in p.examples))
    if p.is_ambiguous:
        said.append("day or month first? No value decides: the day is assumed")
    elif len(p.formats) > 1:
        said.append("several date formats in one column")
    if p.sentinels:
        said.append(f"{', '.join(p.sentinels)} stands apart: no value? then missingValues: ['', '{p.sentinels[0]}']")
    return "; ".join(said)


def _mapping(c: Content) -> str:
    lines = ["mapping:"]
    for target in c.suggestion.targets:
        value = quoted(target.how["column"]) if list(target.how) == ["column"] else _flow(target.how)
        lines.append(_annotated(f"{target.name}: {value}", target.comment and _comment(target.comment, most=300), indent="  "))
    if c.suggestion.contract == "observation":
        lines.append("measures:  # UCUM units: docs/units.md, 1 for a number without unit; take out what is not needed")
        lines += [_annotated(f"- {_flow(m.how)}", m.comment and _comment(m.comment, most=300), indent="  ") for m in c.suggestion.measures]
        if not c.suggestion.measures:
            lines.append(f"  - {{column: {TO_COMPLETE}, property: {TO_COMPLETE}, unit: {TO_COMPLETE}}}")
    return "\n".join(lines)


def _tail(c: Content) -> str:
    lines = [
        "# Optional:",
        "# schedule: 15 6 * * *   # when it is fetched (with connector.path), in the territory's zone",
        "# freshness: P1D         # how old the last landing may be",
        "# retention: P1095D      # how long raw rows are kept" + ("; personal data needs one" if c.personal else ""),
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str, *, most: int = 120) -> str:
    """Make a text safe in a comment: one line, no control character, not too long."""
    line = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"
