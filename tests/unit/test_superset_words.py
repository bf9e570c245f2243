"""What the dashboard server says in French (refusals, corrections of Superset's language and scripts), and the ground of its maps."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from orchestration.settings import BESIDE
from orchestration.superset.process import ROOT

pytestmark = pytest.mark.skipif(not BESIDE.exists(), reason="Superset's environment is not installed (make superset)")

READER: Final = ROOT / "ingestion" / "lake" / "reader.py"


def _beside(script: str, *arguments: str) -> Any:
    """Run a script in Superset's own environment, and return the JSON it prints last."""
    done = subprocess.run(
        [str(BESIDE), "-c", script, *arguments], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_refusal_of_the_allow_list_has_its_french() -> None:
    source = READER.read_text(encoding="utf-8")
    written = re.findall(r'(?:_refused|WrongUse)\(\s*f?"((?:[^"\\]|\\.)*)"', source)
    sentences = [re.sub(r"\{[^}]*\}", "7", s) for s in written if "does not fit" not in s and s != "refused: {why}"]
    # `_refused` puts its word before the reason; the two others are whole.
    whole = [s if s.startswith("the query") else f"refused: {s}" for s in sentences]
    assert len(whole) >= 9
    script = "import json, sys; from dashboards.server import refusals; print(json.dumps([refusals.refused(s) for s in sys.argv[1:]]))"
    for english, french in zip(whole, _beside(script, *whole), strict=True):
        assert french.startswith("Requête refusée : "), english
        assert not re.search(r"\b(refused|is not|only|allowed|query|name the)\b", french.split(". Cet accès")[0]), french


def test_corrections_keep_the_places_of_what_is_filled_in() -> None:
    script = (
        "import json; from dashboards.server import french\n"
        "print(json.dumps([[m.id if isinstance(m.id, str) else list(m.id), m.string if isinstance(m.string, str) else list(m.string)] "
        "for m in french.corrections() if m.id]))"
    )
    pairs = _beside(script)
    assert len(pairs) > 600
    place = re.compile(r"%(?:\(\w+\))?[sd]")
    for english, french in pairs:
        if isinstance(english, str):
            assert sorted(place.findall(english)) == sorted(place.findall(french)), english
            assert english[-1:].isspace() == french[-1:].isspace(), english
        else:
            assert place.findall(english[-1]) == place.findall(french[-1])


def test_corrections_win_over_the_installed_pack() -> None:
    script = (
        "import json; from dashboards.server import french\n"
        "m = json.loads(french.pack()[0])['locale_data']['superset']\n"
        "print(json.dumps([m['Summary'], m['Current week'], m['%s record'], m['Dashboards'], m['']]))"
    )
    summary, week, records, untouched, head = _beside(script)
    assert (summary, week) == (["Synthèse"], ["Cette semaine"])
    assert records == ["%s ligne", "%s lignes"]
    assert untouched == ["Tableaux de bord"]
    assert head["lang"] == "fr"


def test_every_correction_of_a_script_still_finds_its_place() -> None:
    script = (
        "import json; from dashboards.server import pages\n"
        "served = b''.join(pages.corrected().values())\n"
        "print(json.dumps([[new.encode() in served, old.encode() in served] for old, new in pages.CORRECTIONS]))"
    )
    found = _beside(script)
    assert len(found) > 4
    assert found == [[True, False]] * len(found)


_SQUARE: Final = '{"type": "Polygon", "coordinates": [[[4.2, 48.9], [4.4, 48.9], [4.4, 49.0], [4.2, 49.0], [4.2, 48.9]]]}'
_DRAW: Final = """
import io, json, sys
from PIL import Image
from dashboards.server import ground
rows, z, x, y = json.loads(sys.argv[1])
content = ground.draw(ground.outlines_of([tuple(r) for r in rows]), z, x, y)
image = Image.open(io.BytesIO(content)).convert("RGB")
print(json.dumps([image.size, len(image.getcolors(65536)), image.getpixel((128, 128)), len(content)]))
"""


def _drawn(rows: list[list[Any]], z: int, x: int, y: int) -> Any:
    return _beside(_DRAW, json.dumps([rows, z, x, y]))


def test_a_ground_without_communes_is_plain() -> None:
    size, colours, pixel, _ = _drawn([], 8, 131, 88)
    assert (size, colours, pixel) == ([256, 256], 1, [0xE9, 0xED, 0xF0])


@pytest.mark.parametrize(
    "geometry", [_SQUARE, _SQUARE.replace('"Polygon"', '"MultiPolygon"').replace("[[[", "[[[[").replace("]]]", "]]]]")]
)
def test_a_commune_is_drawn_where_it_is(geometry: str) -> None:
    # At zoom 12 the world is 4,096 tiles wide: longitude 4.3 is tile (4.3 + 180) / 360 * 4096 = 2096.9, latitude 48.95 tile 1407.5.
    rows = [["Sarry-sur-Vesle-lès-Écluses", geometry, 4.3, 48.95]]
    _, colours, pixel, size = _drawn(rows, 12, 2096, 1407)
    assert colours > 2  # its name, at least
    assert size < 20_000
    _, far, outside, _ = _drawn(rows, 12, 2100, 1407)
    assert (far, outside) == (1, [0xE9, 0xED, 0xF0])
    inside = _drawn([["", geometry, 4.3, 48.95]], 12, 2096, 1407)
    assert inside[2] == [0xF7, 0xF8, 0xF9]
    assert pixel is not None


def test_a_commune_without_shape_or_place_is_left_out_and_a_huge_one_is_drawn() -> None:
    assert _drawn([["Nulle part", None, None, None]], 10, 524, 352)[1] == 1
    world = '{"type": "Polygon", "coordinates": [[[-179, -84], [179, -84], [179, 84], [-179, 84], [-179, -84]]]}'
    assert _drawn([["Monde", world, 0.0, 0.0]], 20, 524_288, 300_000)[2] == [0xF7, 0xF8, 0xF9]


def test_no_file_of_the_server_names_another_host() -> None:
    for path in (ROOT / "dashboards" / "server").rglob("*"):
        if path.suffix in {".html", ".css", ".svg"}:
            text = Path(path).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "http" not in text, path.name
