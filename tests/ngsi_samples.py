"""What becomes of every example of Smart Data Models: the table of docs/formats/ngsi.md.

Here: `python -m tests.ngsi_samples FOLDER`, which writes it; tests/unit/test_ngsi_samples.py holds it to a fresh decode. Not here: the
samples, which are no part of this repository.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ingestion.formats.ngsi import decode
from ingestion.formats.wire import WireBatch, WireOptions

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "formats" / "ngsi.md"
BEGIN: Final = "<!-- generated: python -m tests.ngsi_samples FOLDER -->"
END: Final = "<!-- end of generated text -->"
_SHAPES: Final = {
    "example.json": "v2 key-values",
    "example-normalized.json": "v2 normalized",
    "example.jsonld": "LD simplified",
    "example-normalized.jsonld": "LD normalized",
    "example-geojsonfeature.json": "LD GeoJSON",
}
_ARRIVAL: Final = 0


def samples(folder: Path) -> Iterator[Path]:
    """Yield the examples, by model and name."""
    yield from sorted(path for path in folder.glob("dataModel.*/*/example*") if path.suffix in {".json", ".jsonld"})


def decoded(path: Path) -> tuple[int, WireBatch]:
    """Decode one example as a message that arrived without its date being known better."""
    batch = WireBatch()
    return decode(path.read_bytes(), batch, after=0, received_at=_ARRIVAL, options=WireOptions()), batch


def line(path: Path) -> str:
    """Return an example's line of the table."""
    records, batch = decoded(path)
    refused = [row for row in batch.rejects if row.scope == "record"]
    aside = Counter(row.reason for row in batch.rejects if row.scope == "value")
    uncertain = sum(row.quality == "uncertain" for row in batch.observations)
    parts = ["stored" if len(refused) < records else "", *(f"rejected: `{row.reason}`" for row in refused)]
    parts += [f"set aside: {count} `{reason}`" for reason, count in sorted(aside.items())]
    if uncertain:
        parts.append("dated by arrival" if uncertain == len(batch.observations) else f"{uncertain} dated by arrival")
    domain, model = path.parts[-3].removeprefix("dataModel."), path.parts[-2]
    shape = _SHAPES.get(path.name, f"`{path.name}`")
    return f"| {domain} | {model} | {shape} | {len(batch.observations)} | {len(batch.assets)} | {'; '.join(filter(None, parts))} |"


def table(folder: Path) -> str:
    """Return the table of all examples."""
    head = "| repository | model | shape | observations | assets | outcome |\n|---|---|---|---:|---:|---|"
    return "\n".join([head, *map(line, samples(folder))])


def written() -> str:
    """Return the table that the page holds."""
    return PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def main(folder: Path) -> None:
    """Write the table into the page."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END, maxsplit=1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(folder)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
