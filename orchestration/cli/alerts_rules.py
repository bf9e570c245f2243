"""`vigie alerts rules`: list and check the rules. No server is needed.

Here: arguments and what is printed. Not here: reading rules (`orchestration.alerts.rulebook`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion.errors import WrongUse
from orchestration.cli import common

app: Final = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_command(*, as_json: common.Json = False) -> None:
    """List the rules, broken and disabled ones too."""
    from orchestration.alerts.model import PRIORITY_FR
    from orchestration.alerts.rulebook.registry import list_rules

    entries = list_rules(_folder())
    if as_json:
        common.print_json([
            {"rule": e.name, "path": e.path, "shipped": e.is_shipped, "error": e.error,
             "definition": e.rule and e.rule.model_dump(mode="json")}
            for e in entries
        ])  # fmt: skip
        return
    rows = [
        (
            e.name,
            e.rule.title,
            e.rule.when.type,
            PRIORITY_FR[e.rule.priority],
            "yes" if e.rule.enabled else "disabled",
            _where(e.is_shipped),
        )
        if e.rule is not None
        else (e.name, None, None, None, "broken" if e.in_force is None else "broken: the shipped one", _where(e.is_shipped))
        for e in entries
    ]
    common.print_table(("Rule", "Title", "Kind", "Priority", "In force", "From"), rows)
    if broken := [e.name for e in entries if e.rule is None]:
        common.say(common.pasteable(f"{len(broken)} broken: vigie alerts rules check {broken[0]} says what to correct"))


@app.command("check")
def check_command(
    rule: Annotated[str | None, typer.Argument(help="A rule's name, or the path of its YAML; all without it.")] = None,
) -> None:
    """Check a rule, or all. Exit code 2 when one cannot work."""
    from orchestration.alerts.rulebook.load import load_rule
    from orchestration.alerts.rulebook.registry import list_rules

    if rule is None:
        entries = list_rules(_folder())
        if broken := [e.error for e in entries if e.error]:
            raise WrongUse("\n".join(broken), remedy="correct these files; the other rules stay in force")
        print(f"{len(entries)} rules can work")
        return
    path = Path(rule)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise WrongUse(f"there is no file {path}", remedy="give the path of a rule")
        found = load_rule(path)
    else:
        entry = next((e for e in list_rules(_folder()) if e.name == rule), None)
        if entry is None:
            raise WrongUse(f"there is no rule {rule}", remedy="vigie alerts rules list")
        if entry.rule is None:
            raise WrongUse(entry.error or f"{rule} is broken", remedy=f"correct {entry.path}")
        found = entry.rule
    print(f"{found.rule}: {found.title} ({found.when.type}, priority {int(found.priority)}); it can work")


def _folder() -> Path:
    from orchestration.settings import find_home

    return find_home(common.home()) / "alerts" / "rules"


def _where(is_shipped: bool) -> str:  # noqa: FBT001 - one word of one cell
    return "shipped" if is_shipped else "this instance"
