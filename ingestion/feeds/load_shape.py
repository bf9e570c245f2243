"""Plain values to a typed `Feed`: which keys exist, what type each takes, and what is most likely meant.

Here: pydantic's errors turned into problems with a path and a remedy; a faulty contract patched up so that its other rules
can still be checked and every problem is listed at once. Not here: YAML (`load_yaml`), rules between keys (`load_rules`).
"""

from __future__ import annotations

import copy
import types
import typing
import zoneinfo
from dataclasses import dataclass, field
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ingestion.feeds.load_problem import FILLER, PLACEHOLDERS, KeyPath, Problem, did_you_mean, listed, nearest, shown, unit_remedy
from ingestion.feeds.load_yaml import Document
from ingestion.feeds.model import Feed, FileConnector, MapTo, Measure, RestConnector, SqlConnector, StreamConnector

_CONNECTORS: Final[dict[str, type[BaseModel]]] = {
    "file": FileConnector,
    "rest": RestConnector,
    "sql": SqlConnector,
    "stream": StreamConnector,
}

# Words that other tools use for our keys, too far from them for a comparison of letters.
_ELSEWHERE: Final[dict[str, str]] = {
    "separator": "format.delimiter",
    "sep": "format.delimiter",
    "charset": "format.encoding",
    "licence": "source.licence",
    "license": "source.licence",
    "publisher": "source.publisher",
    "columns": "fields",
    "na_values": "missingValues",
    "null_values": "missingValues",
    "nulls": "missingValues",
    "date_formats": "dates",
    "date_format": "dates",
    "cron": "schedule",
    "path": "connector.path",
    "url": "connector.base_url",
    "states": "indicators.states",
    "faults": "indicators.faults",
    "baselines": "indicators.baselines",
    "expression": "sql",
    "map": "values",
    "value": "constant",
    "min": "minimum",
    "max": "maximum",
}

# What stands in for a required value that is missing or wrong, while the rest of the contract is checked.
_STAND_IN: Final[dict[str, Any]] = {
    "feed": FILLER,
    "title": FILLER,
    "domain": "GRC",
    "owner": {"name": FILLER},
    "steward": {"name": FILLER},
    "source": {"publisher": FILLER, "licence": FILLER},
    "territory": {"code": FILLER, "name": FILLER, "time_zone": "UTC", "holidays": "FR", "latitude": 0, "longitude": 0},
    "time_zone": "UTC",
    "fields": [{"name": FILLER}],
    "mapping": {},
}

# Each round mends at least one fault; a contract broken in more layers than this is listed as far as it was understood.
_ROUNDS: Final = 6


@dataclass
class Shape:
    """What the shape of a contract comes to.

    Attributes:
        feed: the contract, patched where it was faulty; None when its rules cannot be checked at all.
        problems: what is wrong with its keys and values.
        touched: paths that were patched: what rules say about them is a consequence, not another problem.
    """

    feed: Feed | None
    problems: list[Problem] = field(default_factory=list)
    touched: set[KeyPath] = field(default_factory=set)


def read_shape(document: Document) -> Shape:
    """Type a contract's plain values."""
    data = copy.deepcopy(document.data)
    shape = Shape(None)
    for path, text in document.texts.items():
        if text.strip() in PLACEHOLDERS:
            shape.problems.append(Problem(path, "to be filled in", _hint(path), is_placeholder=True))
            _mend(data, path, shape.touched)
    for _ in range(_ROUNDS):
        try:
            shape.feed = Feed.model_validate(data)
        except ValidationError as error:
            # One fault can break several branches of a union: it is told and mended once a round.
            for problem in {p.path: p for p in (_problem(d, data, document) for d in reversed(error.errors(include_url=False)))}.values():
                if not _inside(problem.path, shape.touched) and not _is_emptied(problem.path, shape.touched):
                    shape.problems.append(problem)
                _mend(data, problem.path, shape.touched)
        else:
            break
    if "contract" not in data or ("contract",) in shape.touched:
        shape.feed = None
    return shape


def _inside(path: KeyPath, touched: set[KeyPath]) -> bool:
    return any(path[:n] in touched for n in range(1, len(path) + 1))


def _is_emptied(path: KeyPath, touched: set[KeyPath]) -> bool:
    """Whether a mapping lacks its origin only because that is still to be filled in."""
    return path[:1] == ("mapping",) and any((*path, key) in touched for key in ("column", "constant", "sql"))


def _problem(detail: ErrorDetails, data: Any, document: Document) -> Problem:
    path = _written_path(detail, data)
    kind, value = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return Problem(path, f"unknown key {shown(path[-1])}", _unknown_key(path, data))
    if kind == "missing":
        return Problem(path, "is required", _hint(path))
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        what = "needs a type" if kind == "union_tag_not_found" else "has an unknown type"
        return Problem(path, what, "type: file, rest or sql")
    # A connector may hold what someone took for the place of a secret: its values are never repeated.
    quoted = "" if path[:1] == ("connector",) or isinstance(value, (dict, list)) else f" (found {shown(value)})"
    if kind == "literal_error":
        allowed = [w.strip("' ") for w in str(detail.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")]
        return Problem(path, f"is none of {listed(allowed)}{quoted}", did_you_mean(str(value), allowed))
    if path[-1:] == ("secret",):
        return Problem(
            path, "is not the name of a secret", "capitals, digits and _ (GRC_TOKEN); the value is kept by the instance, never here"
        )
    if kind == "string_type" and isinstance(value, (int, float, bool)):
        text = document.texts.get(path, str(value))
        return Problem(path, f"must be a text{quoted}", f'write it in quotes: "{text}"' if quoted else "write it in quotes")
    if kind == "string_pattern_mismatch":
        return Problem(path, f"must be lower case letters, digits and hyphens, beginning with a letter{quoted}", _slug(str(value)))
    message = str(detail["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    already = not quoted or shown(value) in message or str(value) in message
    return Problem(path, message + ("" if already else quoted), _remedy(path, str(value)))


def _written_path(detail: ErrorDetails, data: Any) -> KeyPath:
    """Drop from pydantic's location what is not in the file: union tags, the long form of a shorthand, `[key]`."""
    path: list[str | int] = []
    here = data
    location = detail["loc"]
    for i, part in enumerate(location):
        is_last = i == len(location) - 1
        if _at(here, (part,)) is not None or (isinstance(here, dict) and part in here):
            here = _at(here, (part,))
        elif not (is_last and detail["type"] == "missing" and isinstance(here, dict)):
            continue
        path.append(part)
    return tuple(path)


def keys_at(path: KeyPath, data: Any) -> list[str]:
    """Return the keys that a contract may hold at a path; empty where any key is allowed."""
    model = _model_at(path, data)
    return [f.alias or n for n, f in model.model_fields.items()] if model is not None else []


def _model_at(path: KeyPath, data: Any) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Feed
    here = data
    annotation: Any = Feed
    for part in path:
        here = _at(here, (part,))
        if part == "connector" and model is Feed:
            annotation = _CONNECTORS.get(str(here.get("type", "")) if isinstance(here, dict) else "")
        elif isinstance(part, str) and model is not None:
            fields = {f.alias or n: f for n, f in model.model_fields.items()}
            annotation = fields[part].annotation if part in fields else None
        else:
            annotation = next(iter(get_args(annotation)[-1:]), None)
        annotation = _bare(annotation)
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return model


def _bare(annotation: Any) -> Any:
    """Strip Annotated and Optional."""
    while True:
        if get_origin(annotation) is typing.Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (typing.Union, types.UnionType):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            if len(rest) != 1:
                return None
            annotation = rest[0]
        else:
            return annotation


def _unknown_key(path: KeyPath, data: Any) -> str:
    key = str(path[-1])
    known = keys_at(path[:-1], data)
    near = nearest(key, known)
    if near is not None:
        return f"did you mean {near!r}?"
    home = _ELSEWHERE.get(key.casefold())
    if home is not None and (len(path) == 1 or home in known):
        return f"did you mean {home!r}?"
    for part in ("format", "connector", "source", "indicators", "territory"):
        if len(path) == 1 and key in keys_at((part,), data):
            return f"did you mean {part}.{key}? It goes under {part}"
    if len(path) > 1 and key in Feed.model_fields:
        return f"{key} stands at the root of the contract: take it out of {path[0]}"
    return f"keys here: {listed(known)}"


def _remedy(path: KeyPath, value: str) -> str | None:
    last = path[-1] if path else None
    if last == "time_zone":
        return did_you_mean(value, zoneinfo.available_timezones())
    if last == "unit":
        return unit_remedy(value)
    return None


def _slug(value: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in value.casefold()).split()
    return f"for instance {'-'.join(words)}" if words and words[0][0].isalpha() else "for instance grc-reports"


def _hint(path: KeyPath) -> str | None:
    """What a key means, from the contract's own reference."""
    plain = tuple(p for p in path if isinstance(p, str))
    if len(plain) == 2 and plain[0] == "mapping":  # noqa: PLR2004 - mapping.<column>
        return "a column of the source, or constant: …, or sql: …"
    for model in (_model_at(plain[:-1], {}) if len(plain) != 3 else None, MapTo, Measure):  # noqa: PLR2004 - mapping.<column>.<key>
        if model is not None and plain and plain[-1] in model.model_fields:
            text = model.model_fields[plain[-1]].description
            return " ".join(text.split()) if text else None
    return None


def _mend(data: Any, path: KeyPath, touched: set[KeyPath]) -> None:
    """Patch one fault: put a stand-in, or take the smallest optional part out. Places in lists keep their numbers."""
    if not path:
        return
    touched.add(path)
    block = _STAND_IN.get(str(path[0]))
    if len(path) == 1 and block is not None:
        data[path[0]] = copy.deepcopy(block)
        return
    if isinstance(block, dict) and len(path) == 2 and path[1] in block:  # noqa: PLR2004 - territory.latitude
        data[path[0]][path[1]] = block[str(path[1])]
        return
    here, key = _at(data, path[:-1]), path[-1]
    if isinstance(here, dict) and key not in here:
        here[key] = FILLER  # it is required
    elif isinstance(here, dict) and here[key] != FILLER:
        del here[key]
    elif isinstance(here, list) and isinstance(key, int) and here[key] != FILLER:
        here[key] = FILLER
    else:  # not even a filler will do: what holds it goes
        _mend(data, path[:-1], touched)


def _at(data: Any, path: KeyPath) -> Any:
    here = data
    for part in path:
        if isinstance(here, dict):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return None
    return here
