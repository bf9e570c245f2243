"""Where feed contracts live, and finding one by its name.

Here: the two folders (the instance's own contracts, the shipped examples) and which wins. Not here: reading one contract
(`load`), drafting one (`draft`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestion.errors import WrongUse
from ingestion.feeds.load import load_feed
from ingestion.feeds.load_problem import ContractError, Problem, did_you_mean, listed
from ingestion.feeds.model import Feed

EXAMPLES: Final = Path(__file__).parent / "examples"
SUFFIX: Final = ".yaml"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One contract of an instance.

    Attributes:
        name: the feed's name, which is also its file's.
        path: its file.
        feed: the contract; None when it is broken.
        error: why it is broken.
        is_example: whether it is shipped with the platform.
        replaces: the shipped example that it takes the place of.
    """

    name: str
    path: Path
    feed: Feed | None
    error: ContractError | None
    is_example: bool
    replaces: Path | None = None


def list_feeds(home_feeds: Path, *, examples: Path = EXAMPLES) -> list[Entry]:
    """Return every contract of an instance, broken ones too, by name.

    Args:
        home_feeds: the instance's own contracts; the folder may be absent.
        examples: the shipped ones.
    """
    own, shipped = _files(home_feeds), _files(examples)
    entries = [_entry(path, is_example=False, replaces=shipped.get(name)) for name, path in own.items()]
    entries += [_entry(path, is_example=True) for name, path in shipped.items() if name not in own]
    return sorted(entries, key=lambda e: e.name)


def valid_feeds(home_feeds: Path, *, examples: Path = EXAMPLES) -> Iterator[Feed]:
    """Yield the contracts that can be used; the broken ones are told in the log and left out."""
    for entry in list_feeds(home_feeds, examples=examples):
        if entry.feed is not None:
            yield entry.feed
        else:
            _log.error("feed %s is left out: %s", entry.name, entry.error)


def find_feed(name_or_path: str, home_feeds: Path, *, examples: Path = EXAMPLES, fault_types: Collection[str] | None = None) -> Feed:
    """Return one contract.

    Args:
        name_or_path: a feed's name, or the path of its YAML.
        home_feeds: the instance's own contracts, which win over examples of the same name.
        examples: the shipped ones.
        fault_types: the faults there are, where the caller knows them: another one in the contract is then a problem.

    Raises:
        ContractError: the contract is broken.
        WrongUse: there is no such feed; the message names the nearest ones.
    """
    path = find_path(name_or_path, home_feeds, examples=examples)
    if path.parent == home_feeds and path.stem in _files(examples):
        _log.warning("feed %s: %s is used instead of the shipped example", path.stem, path)
    if path.parent in (home_feeds, examples):
        return _checked(path, fault_types=fault_types)
    return load_feed(path, fault_types=fault_types)


def find_path(name_or_path: str, home_feeds: Path, *, examples: Path = EXAMPLES) -> Path:
    """Return the file of one contract; see `find_feed`.

    Raises:
        WrongUse: there is no such feed or file.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        if not path.is_file():
            raise WrongUse(f"{name_or_path}: no such contract", remedy="give the path of a YAML, or a feed's name (vigie feeds list)")
        return path
    own, shipped = _files(home_feeds), _files(examples)
    known = {**shipped, **own}
    if name_or_path not in known:
        remedy = did_you_mean(
            name_or_path, known, otherwise=f"feeds: {listed(sorted(known)) or 'none yet'}; vigie feeds add FILE drafts one"
        )
        raise WrongUse(f"no feed is called {name_or_path!r}", remedy=remedy)
    return known[name_or_path]


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix in (SUFFIX, ".yml") and p.is_file() and not p.name.startswith(".")}


def _entry(path: Path, *, is_example: bool, replaces: Path | None = None) -> Entry:
    try:
        return Entry(path.stem, path, _checked(path), None, is_example, replaces)
    except ContractError as error:
        return Entry(path.stem, path, None, error, is_example, replaces)


def _checked(path: Path, *, fault_types: Collection[str] | None = None) -> Feed:
    """Load a contract of a folder, where the file's name must be the feed's: it is how people find it."""
    feed = load_feed(path, fault_types=fault_types)
    if path.name != f"{feed.feed}{SUFFIX}":
        problem = Problem(
            ("feed",), f"the file is called {path.name}", f"rename it {feed.feed}{SUFFIX}, or write feed: {path.stem}", line=1
        )
        raise ContractError(path, [problem])
    return feed
