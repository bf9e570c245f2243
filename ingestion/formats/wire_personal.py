"""Personal members of JSON documents, by name or by path.

Here: taking them out. Not here: which are personal (the registry and the contract say), NGSI's attributes (`ngsi` has its own way).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def without_personal(document: Any, names: Iterable[str]) -> Any:
    """Return a document without the members of these names, wherever they stand; `a.b` is the member b of the member a.

    Lists are looked through, and are no segment of a path.

    >>> without_personal({"owner": "x", "badge": [{"holder": "y", "n": 1}], "holder": 2}, ["owner", "badge.holder"])
    {'badge': [{'n': 1}], 'holder': 2}
    """
    paths = [tuple(name.split(".")) for name in names]
    return _without(document, paths, ()) if paths else document


def _without(value: Any, personal: list[tuple[str, ...]], path: tuple[str, ...]) -> Any:
    if type(value) is list:
        return [_without(v, personal, path) for v in value]
    if type(value) is not dict:
        return value
    kept: dict[str, Any] = {}
    for key, inner in value.items():
        whole = (*path, key)
        if not any(whole[-len(name) :] == name for name in personal):
            kept[key] = _without(inner, personal, whole)
    return kept
