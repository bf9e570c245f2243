"""One format to measure.

Here: the shape. Not here: any format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ingestion.formats.wire import WireOptions


@dataclass(frozen=True)
class Case:
    """One format to measure.

    Attributes:
        format: its name in the registry.
        payloads: messages or files as they come, all different.
        bare: what the underlying library does alone: bytes to its own objects, no more.
        library: its name.
        topic: as the decoder is told.
        options: likewise.
    """

    format: str
    payloads: list[bytes]
    bare: Callable[[bytes], object]
    library: str
    topic: str | None = None
    options: WireOptions = field(default_factory=WireOptions)
