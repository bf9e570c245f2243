"""What pydantic says of a written document, as problems with their place: for rules, sheets, whatever people write in YAML.

Here: one error of pydantic to one `Problem`, the keys a place may hold. Not here: reading the YAML (`load_yaml`), a feed contract's own
shape (`load_shape`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ingestion.feeds.load_problem import KeyPath, Problem, did_you_mean, listed, shown

NO_KINDS: Final[Mapping[str, type[BaseModel]]] = MappingProxyType({})


def model_problem(
    detail: ErrorDetails, data: Any, model: type[BaseModel], *, kinds_at: str = "", kinds: Mapping[str, type[BaseModel]] = NO_KINDS
) -> Problem:
    """Return the problem that one error of pydantic tells of, without its line.

    Args:
        detail: one of `ValidationError.errors()`.
        data: the document, as it was validated.
        model: what it was validated against.
        kinds_at: the key of the root whose value is one of several models, told apart by their `type`; empty: none is.
        kinds: these models, by type.
    """
    path = _written(detail, data, kinds_at, frozenset(kinds))
    kind, value = detail["type"], detail.get("input")
    quoted = "" if isinstance(value, dict | list) else f" (found {shown(value)})"
    match kind:
        case "extra_forbidden":
            known = _keys(path[:-1], data, model, kinds_at, kinds)
            return Problem(
                path, f"unknown key {shown(path[-1])}", did_you_mean(str(path[-1]), known, otherwise=f"keys here: {listed(known)}")
            )
        case "missing":
            return Problem(path, "is required")
        case "union_tag_not_found" | "union_tag_invalid":
            tag = value.get("type") if isinstance(value, dict) else None
            return Problem(path, f"is no kind of condition: {shown(tag)}", did_you_mean(str(tag), kinds, otherwise=listed(kinds)))
        case "literal_error":
            allowed = _words(str(detail.get("ctx", {}).get("expected", "")))
            return Problem(path, f"is none of {listed(allowed)}{quoted}", did_you_mean(str(value), allowed))
        case _:
            message = str(detail["msg"]).removeprefix("Value error, ")
            remedy = "for instance PT15M, PT2H, P1D" if "ISO 8601" in message else None
            return Problem(path, message[:1].lower() + message[1:] + quoted, remedy)


def _words(expected: str) -> list[str]:
    """Return the words of pydantic's "'a', 'b' or 'c'"."""
    return [w.strip("' ") for w in expected.replace(" or ", ",").split(",")]


def _written(detail: ErrorDetails, data: Any, kinds_at: str, kinds: Collection[str | int]) -> KeyPath:
    """Drop from pydantic's location what is not in the file: the kind of a union, the branch of another."""
    path: list[str | int] = []
    here: Any = data
    for i, part in enumerate(detail["loc"]):
        is_inside = (isinstance(here, dict) and part in here) or (isinstance(here, list) and isinstance(part, int) and part < len(here))
        if not is_inside and ((part in kinds and path == [kinds_at]) or i < len(detail["loc"]) - 1):
            continue
        if not is_inside and not isinstance(here, dict):
            continue  # the branch of a union that did not fit a plain value
        path.append(part)
        here = here[part] if is_inside else None
    return tuple(path)


def _keys(path: KeyPath, data: Any, model: type[BaseModel], kinds_at: str, kinds: Mapping[str, type[BaseModel]]) -> list[str]:
    found: type[BaseModel] | None = model
    here: Any = data
    for part in path:
        here = here.get(part) if isinstance(here, dict) else here[part] if isinstance(here, list) and isinstance(part, int) else None
        if part == kinds_at:
            found = kinds.get(str(here.get("type"))) if isinstance(here, dict) else None
        elif isinstance(part, str) and found is not None:
            fields = {f.alias or name: f for name, f in found.model_fields.items()}
            found = _model(fields[part].annotation) if part in fields else None
    return [f.alias or name for name, f in found.model_fields.items()] if found else []


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model that an annotation holds, however deep: `tuple[M, ...]`, `M | None`, `Annotated[tuple[M, ...], …]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in (_model(a) for a in get_args(annotation)) if m is not None), None)
