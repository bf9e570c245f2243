"""docs/add-a-format.md is true: its module, its line and its tests work as they stand there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ingestion.formats import registry
from ingestion.formats.registry import WireFormat, decoder_for

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "add-a-format.md"


@pytest.fixture
def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_a_format_is_one_module_one_line_and_one_test(blocks: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module, line, tests = blocks
    senml = ModuleType("ingestion.formats.senml")
    exec(compile(module, str(_PAGE), "exec"), senml.__dict__)  # noqa: S102 - the page's own text
    monkeypatch.setitem(sys.modules, "ingestion.formats.senml", senml)
    (added,) = eval(f"{{{line}}}", {"WireFormat": WireFormat}).items()  # noqa: S307 - likewise
    monkeypatch.setitem(registry.FORMATS, *added)
    assert decoder_for("senml") is senml.decode
    written: dict[str, object] = {}
    exec(compile(tests, str(_PAGE), "exec"), written)  # noqa: S102 - likewise
    found = [f for name, f in written.items() if name.startswith("test_")]
    assert len(found) == 2
    for test in found:
        assert callable(test)
        test()
