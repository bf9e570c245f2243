"""What is wrong with a feed contract: problems with their place and their remedy, and the error that lists them.

Here: the vocabulary shared by the steps of loading. Not here: the steps (`load_yaml`, `load_shape`, `load_rules`).
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestion.contracts.units import near_units, quantity
from ingestion.errors import WrongUse

KeyPath = tuple[str | int, ...]

# What a draft writes where only a person knows: `vigie feeds check` lists them.
PLACEHOLDERS: Final = ("TO COMPLETE", "À COMPLÉTER", "A COMPLETER")

# What stands in for a missing text while the rest of a contract is checked; never shown.
FILLER: Final = "stand-in"

# 60 characters show what a value is without printing a document.
_SHOWN: Final = 60


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a contract.

    Attributes:
        path: keys from the root of the contract to the faulty value; a number is a place in a list, from 0.
        what: what is wrong.
        remedy: what to write instead, where it is known.
        line: line in the file, from 1.
        is_placeholder: whether a value is merely left to fill in.
    """

    path: KeyPath
    what: str
    remedy: str | None = None
    line: int = 0
    is_placeholder: bool = False

    @property
    def key(self) -> str:
        """The key path as people write it: `measures[2].unit`."""
        text = ""
        for part in self.path:
            text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text or "(contract)"

    def __str__(self) -> str:
        return f"line {self.line}: {self.key}: {self.what}" + (f"\n      → {self.remedy}" if self.remedy else "")

    def as_dict(self) -> dict[str, str | int | bool | None]:
        """The problem for a machine."""
        return {
            "line": self.line,
            "key": self.key,
            "problem": self.what,
            "remedy": self.remedy,
            "to_complete": self.is_placeholder,
        }


class ContractError(WrongUse):
    """A feed contract is wrong: every problem found, by line."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.key, p.what)))
        blanks = sum(p.is_placeholder for p in self.problems)
        wrong = len(self.problems) - blanks
        counts = [f"{n} {word}" for n, word in ((wrong, "problem" if wrong == 1 else "problems"), (blanks, "left to fill in")) if n]
        lines = "\n".join(f"  {path}:{p}".replace(f"{path}:line ", f"{path}:") for p in self.problems)
        super().__init__(f"{path}: {', '.join(counts)}\n{lines}", remedy=f"correct {path.name}, then: vigie feeds check {path}")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a misspelt one most likely means, or None.

    >>> nearest("timezone", ["time_zone", "title"])
    'time_zone'
    >>> nearest("xyz", ["time_zone", "title"]) is None
    True
    """
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(_folded(candidate), candidate)
    if _folded(word) in by_folded:
        return by_folded[_folded(word)]
    close = difflib.get_close_matches(_folded(word), list(by_folded), n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """Return the remedy of a misspelt word: the nearest known one, else `otherwise`."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near is not None else otherwise


def unit_remedy(written: str) -> str:
    """Return the remedy of an unknown unit: its code where only its spelling is off, else where the units are listed."""
    near = near_units(written)
    codes = " or ".join(f"{code!r} ({quantity(code)})" for code in near)
    return f"write {codes}" if near else "docs/units.md lists the units; none is written like this one"


def listed(words: Iterable[str], *, most: int = 30) -> str:
    """Return words for a message, shortened when there are many."""
    every = [w for w in words if w != FILLER]
    return ", ".join(every[:most]) + (f"… ({len(every)} in all)" if len(every) > most else "")


def shown(value: object) -> str:
    """Return a value for a message: quoted, on one line, shortened."""
    text = " ".join(str(value).split())
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def _folded(word: str) -> str:
    bare = "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))
    return re.sub(r"[\s_.\-\ufeff]+", "", bare).casefold()
