"""A contract's YAML to plain values, each with its line; hostile or ambiguous YAML is refused.

Here: syntax, bounds, duplicate keys, where each key stands. Not here: what the keys mean (`load_shape`, `load_rules`).

Scalars are kept as written wherever YAML would change them: keys are always text, a date stays text, and so does a number
that would lose something (`007`, `1_000`, `0x1F`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ingestion.feeds.load_problem import ContractError, KeyPath, Problem

# The longest contract written so far has 20 kB; past 256 KiB a file is something else.
MAX_BYTES: Final = 256 * 1024
# 20,000 values once anchors are expanded: ten times the longest contract. A few nested anchors make billions.
MAX_VALUES: Final = 20_000
# The deepest key of a contract has 6 levels, and an example or a constraint may nest some more.
MAX_DEPTH: Final = 20

_SAFE_NUMBER: Final = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


@dataclass
class Document:
    """A contract's plain values, and the line of each.

    Attributes:
        data: nested dicts, lists and scalars.
        lines: key path to line, from 1; of a key where there is one, else of the value.
        texts: key path to a scalar as it is written.
        problems: what YAML would have accepted silently.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    texts: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest enclosing one that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(path: Path) -> Document:
    """Read a contract's YAML.

    Raises:
        ContractError: the file cannot be read, is too large, is not YAML, or is not one mapping of keys.
    """

    def refuse(what: str, remedy: str, line: int = 1) -> ContractError:
        return ContractError(path, [Problem((), what, remedy, line)])

    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise refuse(
            f"cannot be read ({error.strerror})", "give the path of a contract, or the name of a feed (vigie feeds list)"
        ) from None
    if len(content) > MAX_BYTES:
        raise refuse(f"is larger than {MAX_BYTES // 1024} KiB", "a contract is a short text: is this the data itself?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("is not UTF-8 text", "save it as UTF-8", content[: error.start].count(b"\n") + 1) from None
    try:
        yaml = YAML(typ="safe", pure=True)  # the round-trip loader leaves marks in folded texts
        yaml.composer.warn_double_anchors = False  # the warning would print the line, and whatever stands in it
        nodes = list(yaml.compose_all(text))
    except MarkedYAMLError as error:
        # A quote that is never closed is found missing at the end of the file: what matters is where it opens.
        ends = "end of stream" in str(error.problem)
        mark = (ends and error.context_mark) or error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise refuse(f"is not YAML: {_reason(error)}", _syntax_remedy(text, line), line) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise refuse(f"is not YAML: {type(error).__name__}", "look for a control character or very deep nesting") from None
    if len(nodes) != 1 or not isinstance(nodes[0], MappingNode):
        line = nodes[1].start_mark.line + 1 if len(nodes) > 1 else 1
        raise refuse("a contract is one list of keys and values (feed: …, title: …)", "see docs/feed-contract.md", line)
    reader = _Reader()
    reader.document.data = reader.value(nodes[0], ())
    if reader.refused is not None:
        raise ContractError(path, [reader.refused])
    return reader.document


class _Reader:
    """Turns nodes into values, within bounds, and remembers lines."""

    def __init__(self) -> None:
        self.document = Document()
        self.refused: Problem | None = None
        self._left = MAX_VALUES

    def value(self, node: Node, path: KeyPath) -> Any:
        self._left -= 1
        line: int = node.start_mark.line + 1
        self.document.lines.setdefault(path, line)
        if self.refused is None and (self._left < 0 or len(path) > MAX_DEPTH):
            what = f"expands to more than {MAX_VALUES:,} values" if self._left < 0 else f"nests deeper than {MAX_DEPTH} levels"
            self.refused = Problem(path[:1], what, "write the values out instead of anchors (&) within anchors (*)", line)
        if self.refused is not None:
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self.document.problems.append(Problem(path, "a key must be a text", "quote it if it holds {, [ or ?", line))
                continue
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                self.document.problems.append(Problem((*path, key), "merge keys are not read", "write the keys out", line))
                continue
            if key in result:
                first = self.document.lines[(*path, key)]
                what = f"is written twice (first on line {first})"
                self.document.problems.append(Problem((*path, key), what, "keep one: YAML would silently keep the last", line))
                continue
            self.document.lines[(*path, key)] = line
            result[key] = self.value(value_node, (*path, key))
        return result

    def _scalar(self, node: ScalarNode, path: KeyPath) -> str | int | float | bool | None:
        text = str(node.value)
        self.document.texts[path] = text
        tag = str(node.tag).rsplit(":", 1)[-1]
        if node.style is not None:  # quoted or block: text, whatever it looks like
            return text
        if tag == "null":
            return None
        if tag == "bool":
            return text.casefold() == "true"
        if tag in ("int", "float") and _SAFE_NUMBER.fullmatch(text):
            return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
        if tag not in ("str", "int", "float", "timestamp"):
            self.document.problems.append(
                Problem(path, "tags (!…) are not read", "quote the text if it begins with !", node.start_mark.line + 1)
            )
        return text


def _reason(error: MarkedYAMLError) -> str:
    # What the parser quotes of the file may be a secret that someone wrote there.
    reason = " ".join(str(part) for part in (error.context, error.problem) if part)
    return re.sub(r"'[^']{4,}'|\"[^\"]{4,}\"", "…", reason)


def _syntax_remedy(text: str, line: int) -> str:
    lines = text.split("\n")
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in written:
        return "indent with spaces, not tabs"
    if re.search(r":\s+[^'\"#\s][^#]*:\s", written):
        return "quote a text that holds ': '"
    if re.search(r":\s*[%@`*&!\[{]", written):
        return "quote a text that begins with % @ ` * & ! [ or {"
    return "look at this line and the one before: a missing colon, quote or indentation"
