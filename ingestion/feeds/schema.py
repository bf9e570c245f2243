"""What is generated from the contract's model: the JSON Schema for editors, the reference pages.

Here: `python -m ingestion.feeds.schema`, which writes `feed.schema.json`, docs/feed-contract.md's tables and docs/units.md;
a test holds them up to date. Not here: the texts, which stand under each key of the model.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel

from ingestion.contracts.canonical import CONTRACTS
from ingestion.contracts.units import COLUMN_UNITS, QUANTITIES, SPELLINGS, UNITS
from ingestion.feeds import model as shape

SCHEMA_FILE: Final = Path(__file__).parent / "feed.schema.json"
DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_BEGIN: Final = "<!-- generated: python -m ingestion.feeds.schema -->"
_END: Final = "<!-- end of generated text -->"

# In the order in which a reader meets them.
_SECTIONS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("The contract", shape.Feed),
    ("owner, steward", shape.Person),
    ("source", shape.Publisher),
    ("territory", shape.Territory),
    ("connector, type: file", shape.FileConnector),
    ("connector, type: rest", shape.RestConnector),
    ("connector.paginator", shape.Paginator),
    ("connector.window", shape.Window),
    ("connector.auth", shape.Auth),
    ("connector, type: sql", shape.SqlConnector),
    ("connector.incremental", shape.Incremental),
    ("connector, type: stream", shape.StreamConnector),
    ("format", shape.FormatSpec),
    ("fields", shape.FieldSpec),
    ("mapping", shape.MapTo),
    ("measures", shape.Measure),
    ("indicators", shape.IndicatorRules),
    ("indicators.states", shape.StateRule),
    ("indicators.faults", shape.FaultRule),
    ("indicators.baselines", shape.Baseline),
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a contract, for editors that complete and underline YAML."""
    schema = copy.deepcopy(shape.Feed.model_json_schema(by_alias=True))
    definitions = schema["$defs"]
    definitions["MapTo"] = {"anyOf": [{"type": "string", "description": "A source column."}, definitions["MapTo"]]}
    for spec in _walk(schema):
        if "default" in spec and spec["default"] is None:
            del spec["default"]
        if spec.get("format") == "duration":
            spec["examples"] = ["PT30M", "P1D"]
    for definition in definitions.values():
        if "unit" in definition.get("properties", {}):
            definition["properties"]["unit"]["enum"] = [*UNITS, None]
    # Which columns a mapping may fill depends on the contract.
    schema["allOf"] = [
        {
            "if": {"properties": {"contract": {"const": name}}, "required": ["contract"]},
            "then": {"properties": {"mapping": {"propertyNames": {"enum": list(contract.columns)}}}},
        }
        for name, contract in CONTRACTS.items()
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Vigie feed contract"}


def _walk(node: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if isinstance(node, dict):
        found.append(node)
        for value in node.values():
            found += _walk(value)
    elif isinstance(node, list):
        for value in node:
            found += _walk(value)
    return found


def reference() -> str:
    """Return the reference tables of every key, in Markdown."""
    lines = tables(_SECTIONS)
    lines += ["", "### Columns of each canonical contract", "", "| contract | key | required | other columns |", "|---|---|---|---|"]
    for name, contract in CONTRACTS.items():
        others = [c for c in contract.columns if c not in contract.required]
        lines.append(f"| {name} | {_codes(contract.key)} | {_codes(contract.required)} | {_codes(others)} |")
    return "\n".join(lines).strip()


def tables(sections: Sequence[tuple[str, type[BaseModel]]]) -> list[str]:
    """Return a table of keys for each of some models, as lines of Markdown: what each key takes and means."""
    lines: list[str] = []
    for title, model in sections:
        about = " ".join((model.__doc__ or "").split())
        lines += ["", f"### {title}", "", about, "", "| key | takes | meaning |", "|---|---|---|"]
        for name, info in model.model_fields.items():
            needed = "**required**, " if info.is_required() else ""
            meaning = " ".join((info.description or "").split())
            lines.append(f"| `{info.alias or name}` | {needed}{_takes(info.annotation)} | {_cell(meaning)} |")
    return lines


def units() -> str:
    """Return the page of units, in Markdown."""
    spelled: dict[str, list[str]] = {}
    for spelling, code in SPELLINGS.items():
        spelled.setdefault(code, []).append(spelling)
    lines = [
        "# Units",
        "",
        "A contract states the unit of each measure by its UCUM code (first column). Values are converted to the lake's unit, in",
        "which bounds, thresholds and indicators are written. A unit that is not listed is refused: nothing is guessed. `1` is a",
        "number without unit. Mind `g`, the gram, and `[g]`, the acceleration of gravity: `vigie feeds check` says what each unit",
        "is taken for. This page is written by `python -m ingestion.feeds.schema`.",
        "",
        "| UCUM code | often written | quantity | in the lake |",
        "|---|---|---|---|",
    ]
    for code, conversion in UNITS.items():
        factor = (
            "as it is" if conversion.is_identity else f"x {conversion.factor:.10g}{f' {conversion.offset:+g}' if conversion.offset else ''}"
        )
        often = ", ".join(f"`{s}`" for s in spelled.get(code, []))
        lines.append(f"| `{code}` | {often} | {QUANTITIES[conversion.canonical]} | `{conversion.canonical}` ({factor}) |")
    lines += ["", "Columns whose unit is fixed by their contract:", "", "| column | in the lake |", "|---|---|"]
    lines += [f"| `{column}` | `{unit}` |" for column, unit in COLUMN_UNITS.items()]
    return "\n".join(lines) + "\n"


def _takes(annotation: Any) -> str:
    words = re.sub(r"\b(?:typing|ingestion\.feeds\.\w+|datetime|pydantic\.\w+)\.", "", str(annotation))
    literals = [str(v) for v in get_args(annotation) if isinstance(v, str)]
    if literals:
        return _codes(literals)
    nested = re.search(r"(MapTo|Measure|FieldSpec|StateRule|FaultRule|Baseline|ProcedureStep)\b", words)
    if nested:
        return f"{'by canonical column' if words.startswith('dict') else 'a list'}, see below"
    if any(isinstance(a, type) and issubclass(a, BaseModel) for a in _inside(annotation)):
        return "see below"
    kinds = {
        "dict": "keys and values",
        "timedelta": "duration (`PT30M`, `P1D`)",
        "date": "date",
        "float": "number",
        "int": "number",
        "bool": "`true` or `false`",
        "str": "text",
    }
    if "list[typing.Literal" in str(annotation):
        return "list of " + _codes(v for v in get_args(get_args(annotation)[0]))
    if "list[str | float]" in words:
        return "list of texts or numbers"
    if "list[str]" in words:
        return "text, or a list of texts" if words.startswith("str |") else "list of texts"
    if "str" in words and "dict[" not in words and ("float" in words or "int" in words):
        return "text or number"
    return next((text for kind, text in kinds.items() if kind in words), "any")


def _inside(annotation: Any) -> list[Any]:
    return [annotation, *(inner for arg in get_args(annotation) for inner in _inside(arg))]


def _codes(names: Any) -> str:
    return ", ".join(f"`{n}`" for n in names)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_reference(page: str) -> str:
    """Return docs/feed-contract.md with its generated part renewed.

    Raises:
        ValueError: the page has lost its marks.
    """
    return renewed(page, _BEGIN, reference())


def renewed(page: str, begin: str, text: str) -> str:
    """Return a page whose part between a mark and `<!-- end of generated text -->` is a new text.

    Raises:
        ValueError: the page has lost its marks.
    """
    if begin not in page or _END not in page:
        raise ValueError(f"the page needs the lines {begin} and {_END}")
    before, after = page.split(begin, maxsplit=1)[0], page.split(_END)[1]
    return f"{before}{begin}\n\n{text}\n\n{_END}{after}"


def schema_text() -> str:
    """Return the JSON Schema as it is kept in the repository."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def write() -> None:
    """Write everything that is generated."""
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    (DOCS / "units.md").write_text(units(), encoding="utf-8")
    page = DOCS / "feed-contract.md"
    page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
