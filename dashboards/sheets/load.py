"""Reading a sheet: a file to a `Sheet`, or every problem that stands in the way, each with its line.

Here: the order of the steps, the error that lists what is wrong. Not here: the shape (`model`), what a sheet may draw on (`catalogue`),
whether what it draws holds together (`checks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from dashboards.sheets import checks
from dashboards.sheets.catalogue import Table
from dashboards.sheets.model import Sheet
from ingestion.errors import WrongUse
from ingestion.feeds.load_model import model_problem
from ingestion.feeds.load_problem import ContractError, Problem
from ingestion.feeds.load_yaml import Document, read_document


class SheetError(WrongUse):
    """A sheet cannot be drawn: every problem found, by line."""

    def __init__(self, path: Path, problems: Iterable[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.key, p.what)))
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        lines = "\n".join(f"  {path}:{p}".replace(f"{path}:line ", f"{path}:") for p in self.problems)
        super().__init__(f"{path}: {count}\n{lines}", remedy=f"correct {path.name}, then: vigie dashboards check")


def load_sheet(path: Path) -> Sheet:
    """Read one sheet, without asking whether what it draws on exists.

    Raises:
        SheetError: the file is not a sheet: every problem, with its line.
    """
    return _read(path)[0]


def check_sheet(path: Path, catalogue: Mapping[str, Table]) -> Sheet:
    """Read one sheet and hold it against the published tables.

    Raises:
        SheetError: it is not a sheet, or draws on what is not there: every problem, with its line.
    """
    sheet, document = _read(path)
    problems = check(sheet, document, catalogue)
    if problems:
        raise SheetError(path, problems)
    return sheet


def load_all(folder: Path) -> dict[str, Sheet]:
    """Read every sheet of a folder: code (the file's stem) to sheet, by rank; files whose name begins with `_` are no sheets.

    Raises:
        SheetError: of the first file that is wrong.
        WrongUse: two sheets have one rank or one title.
    """
    sheets = {path.stem: load_sheet(path) for path in sheet_paths(folder)}
    for what, said in (("rang", lambda s: str(s.rank)), ("titre", lambda s: s.title)):
        seen: dict[str, str] = {}
        for code, sheet in sheets.items():
            other = seen.setdefault(said(sheet), code)
            if other != code:
                raise WrongUse(f"{folder}: {other}.yaml and {code}.yaml have the same {what}: {said(sheet)}", remedy="change one of them")
    return dict(sorted(sheets.items(), key=lambda item: item[1].rank))


def sheet_paths(folder: Path) -> list[Path]:
    """Return the sheets of a folder, by name."""
    return sorted(p for p in folder.glob("*.yaml") if not p.name.startswith("_"))


def check(sheet: Sheet, document: Document, catalogue: Mapping[str, Table]) -> list[Problem]:
    """Return everything that keeps a sheet from being drawn, each with its line; none: it can be."""
    return [p if p.line else replace(p, line=document.line(p.path)) for p in checks.sheet_problems(sheet, catalogue)]


def _read(path: Path) -> tuple[Sheet, Document]:
    try:
        document = read_document(path)
    except ContractError as error:
        raise SheetError(path, error.problems) from None
    problems = list(document.problems)
    sheet: Sheet | None = None
    try:
        sheet = Sheet.model_validate(document.data)
    except ValidationError as error:
        problems += [model_problem(d, document.data, Sheet) for d in error.errors(include_url=False)]
    if problems or sheet is None:
        raise SheetError(path, [p if p.line else replace(p, line=document.line(p.path)) for p in problems])
    return sheet, document
