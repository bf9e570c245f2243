"""The errors people see: what happened, to what, and what to do next.

Here: the two kinds of failure the command line tells apart. Not here: reasons why a row is rejected (a row is not an error).
"""

from __future__ import annotations


class VigieError(Exception):
    """Something failed. The message says what and where; `remedy` says what to do next. Exit code 1."""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.remedy}" if self.remedy else self.message


class WrongUse(VigieError):
    """The command or a contract is wrong, whatever the state of the machine. Exit code 2."""


class BadFile(VigieError):
    """A file is refused whole: not what its format says, truncated, too large, a bomb. Nothing of it is landed."""
