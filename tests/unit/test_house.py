"""What the repository says of itself holds: papers, links, quoted commands, locks, licence.

Here: checks on the files of the repository as they are. Not here: what the code does.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from orchestration.cli.main import COMMANDS
from tests.conftest import ROOT

# The licence's own text, as the Apache Software Foundation publishes it: nobody types its hash by chance.
APACHE_2_0 = "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"
# Only lock files, which say in their first lines what they are made from.
WITHOUT_README = {"requirements"}
LARGEST_PICTURE = 400_000
# Options that the frame of every command takes.
EVERYWHERE = {"--home", "--help", "--version"}
THIS = "tests/unit/test_house.py"


@cache
def tracked() -> tuple[Path, ...]:
    """The files of the repository, relative to its root."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout", allow_module_level=True)
    return tuple(Path(name) for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file())


def texts() -> Iterator[tuple[str, str]]:
    """Every tracked text file but this one: its name, its content."""
    for path in tracked():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content and path.as_posix() != THIS:
            yield path.as_posix(), content.decode("utf-8")


def papers() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".md"]


# --- folders -----------------------------------------------------------------------------------------------------------


def test_every_top_level_folder_says_what_belongs_in_it_and_what_does_not() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")} - WITHOUT_README
    assert {"ingestion", "dbt_project", "quality", "orchestration", "dashboards", "data_catalog", "tests", "bench", "docs"} <= folders
    missing = [folder for folder in sorted(folders) if not (ROOT / folder / "README.md").is_file()]
    assert not missing
    silent = [f for f in sorted(folders - {"docs"}) if not re.search(r"\bnot (?:here|there)\b", _read(Path(f, "README.md")), re.IGNORECASE)]
    assert not silent, "a README does not say what does not belong there"


def test_the_two_first_pages_give_the_two_commands_and_a_picture_on_their_first_screen() -> None:
    for page in ("README.md", "LISEZMOI.md"):
        screen = "\n".join(_read(Path(page)).splitlines()[:30])
        for wanted in (r"^    make up\b", r"^    make test\b", r"!\[.+\]\(docs/img/"):
            assert re.search(wanted, screen, re.MULTILINE), f"{page}: {wanted}"


# --- what may not stand here -------------------------------------------------------------------------------------------

_FORBIDDEN = {
    "a developer's folder": re.compile(r"(?<![\w.$}>-])/(?:home|Users|work)/[a-z_][\w.-]*/|(?<![\w.$}>-])/(?:root)/\w"),
    "a registry's address": re.compile(r"https?://[^\s\"'`]*(?:pypi\.|pythonhosted|npmjs|/simple\b)|--(?:extra-)?index-url|--find-links"),
}


@pytest.mark.parametrize("what", _FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if _FORBIDDEN[what].search(line)
    ]
    assert not found


@pytest.mark.parametrize(
    "line",
    # In pieces: this file must pass its own test, and others' searches for such lines.
    [
        "open('/" + "home/anna/data.csv')",
        "/" + "work/vigie/x",
        "cd /" + "root/vigie",
        "/" + "Users/jo/lake/",
        "https://registry.example/" + "simple",
        "--" + "index-url x",
    ],
)
def test_what_may_not_stand_here_is_recognised(line: str) -> None:
    assert any(pattern.search(line) for pattern in _FORBIDDEN.values())


def test_locks_hold_versions_and_hashes_and_nothing_else() -> None:
    for lock in ("requirements/base.lock", "requirements/dev.lock"):
        wrong = [
            line
            for line in _read(Path(lock)).splitlines()
            if not re.fullmatch(r"[a-z0-9.-]+(\[[a-z0-9,._-]+\])?==\S+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|#.*|", line)
        ]
        assert not wrong, lock


def test_every_dependency_gives_its_reason() -> None:
    lines = _read(Path("pyproject.toml")).splitlines()
    declared = tomllib.loads("\n".join(lines))
    for name in declared["project"]["dependencies"]:
        (line,) = [line for line in lines if line.strip().startswith(f'"{name}"')]
        assert re.search(r"# .{9,}", line), f"{name} gives no reason"


def test_the_licence_is_the_whole_apache_2_0() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


# --- pictures ----------------------------------------------------------------------------------------------------------


def test_pictures_are_light_and_fetch_nothing() -> None:
    for path in tracked():
        if path.suffix in {".png", ".jpg", ".svg"}:
            assert (ROOT / path).stat().st_size < LARGEST_PICTURE, path
        if path.suffix == ".svg":
            assert not re.search(r"url\(\s*['\"]?http|href=['\"]http|<script|@import", _read(path)), path


# --- links -------------------------------------------------------------------------------------------------------------

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)


@pytest.mark.parametrize("paper", papers(), ids=str)
def test_links_lead_somewhere(paper: Path) -> None:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", _read(paper), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for match in _LINK.finditer(prose):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        aim = ROOT / paper.parent / name if name else ROOT / paper
        if not aim.exists() or (anchor and aim.suffix == ".md" and anchor not in _anchors(aim)):
            broken.append(target)
    assert not broken


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# --- commands ----------------------------------------------------------------------------------------------------------

_INLINE = re.compile(r"`((?:\.venv/bin/)?vigie [^`\n]+|make [^`\n]+)`")
_BLOCK_LINE = re.compile(r"^(?:    |\t)?\$? ?(?:\w+=\S+ )*((?:\.venv/bin/)?vigie .+|make .+)$")


def quoted_commands(text: str) -> Iterator[str]:
    """The commands of a page: in back quotes, in fenced blocks, in indented blocks."""
    yield from (match[1] for match in _INLINE.finditer(text))
    is_fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        elif (is_fenced or line.startswith(("    ", "\t"))) and (match := _BLOCK_LINE.match(line)):
            yield match[1]


def wrong_with(quoted: str) -> str | None:
    """What is wrong with a quoted command: an unknown name or option; `None` when all of it exists."""
    lexer = shlex.shlex(quoted.split("    #", maxsplit=1)[0], posix=True, punctuation_chars="|&;")
    lexer.whitespace_split, lexer.commenters = True, "#"
    try:
        words = list(lexer)
    except ValueError:  # a query that goes on on the next line
        words = quoted.split()
    end = next((i for i, word in enumerate(words) if word in {"|", "&&", ";", "&"}), len(words))
    program, words = words[0], words[1:end]
    if program == "make":
        targets = re.findall(r"^([a-z]+):", _read(Path("Makefile")), re.MULTILINE)
        return next((f"no target {w}" for w in words if re.fullmatch(r"[a-z]+", w) and w not in targets), None)
    if words[0] == "…" or words[0] in EVERYWHERE:
        return None
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    command, rest = _command(words[0]), words[1:]
    named = [w for w in rest if not w.startswith("-")]
    while commands := getattr(command, "commands", None):
        # `vigie alerts people|systems add`: the first of them stands for all.
        if not named or named[0] == "…":
            return None
        if missing := [n for n in named[0].split("|") if n not in commands]:
            return f"no command {words[0]} {missing[0]}"
        command, named = commands[named[0].split("|")[0]], named[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | EVERYWHERE
    unknown = [w for w in rest if re.match(r"--?[a-z]", w) and w.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else None


@cache
def _command(name: str) -> Any:
    # Typer brings its own copy of click, whose classes it does not name in public.
    module, _, attribute = COMMANDS[name].target.partition(":")
    loaded = getattr(importlib.import_module(module), attribute)
    if isinstance(loaded, typer.Typer):
        return typer.main.get_command(loaded)
    application = typer.Typer(add_completion=False)
    application.command(name)(loaded)
    return typer.main.get_command(application)


@pytest.mark.parametrize("paper", papers(), ids=str)
def test_quoted_commands_exist(paper: Path) -> None:
    wrong = {quoted: problem for quoted in quoted_commands(_read(paper)) if (problem := wrong_with(quoted))}
    assert not wrong


def test_the_first_page_quotes_commands_that_are_found() -> None:
    found = list(quoted_commands(_read(Path("README.md"))))
    assert {"make up", "vigie build", "vigie ingest sf-311 cases_sample.csv"} <= {quoted.split("  ")[0] for quoted in found}


@pytest.mark.parametrize(
    ("quoted", "problem"),
    [
        ("vigie ingset sf-311", "no command ingset"),
        ("vigie feeds remove x", "no command feeds remove"),
        ("vigie sql --output csv 'SELECT 1'", "no option --output"),
        (".venv/bin/vigie status --json | jq .", None),
        ("vigie up -d --home /srv/x", None),
        ("vigie feeds add f.csv --name f   # drafts", None),
        ("make tset", "no target tset"),
    ],
)
def test_a_wrong_quotation_is_recognised(quoted: str, problem: str | None) -> None:
    assert wrong_with(quoted) == problem


def _read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
