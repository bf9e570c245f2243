"""The page's static files, at an address that changes with their content: no browser keeps an old one.

Here: the folder and its address. Not here: who mounts it (`add`).
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("static")


@functools.cache
def root() -> str:
    """Return the path of the folder on the site: for files whose address must end with their name."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return f"/mur-{digest.hexdigest()[:12]}"


def address(name: str) -> str:
    """Return the address of a file."""
    return f"{root()}/{name}"
