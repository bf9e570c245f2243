"""Encodings of text files: which one, and a stream of UTF-8 whatever it is.

Here: detection on the whole file, transcoding while streaming. Not here: splitting into records.
"""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ingestion.errors import WrongUse
from ingestion.formats.model import MIB, Job

_CHUNK: Final = 4 * MIB
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What files of Western Europe are written in besides UTF-8. cp1252 first: it is Latin-1 with the euro and the real quotes.
_PLAUSIBLE: Final = ["cp1252", "mac_roman", "cp850"]
# A UTF-8 file with a few broken characters (a cell cut in the middle of one) is still UTF-8: only those records are refused.
_MAX_BROKEN_SHARE: Final = 0.1
_SAMPLE_BYTES: Final = 256 * 1024
# Noncharacters, which Unicode keeps out of interchange, so no real cell holds them.
BROKEN: Final = "\U0010ffff"
NUL_MARK: Final = "\U0010fffe"
_MARK_BROKEN: Final = "vigie-mark-broken"


@dataclass(frozen=True)
class TextEncoding:
    """How a file's text is written.

    Attributes:
        name: Python codec name.
        bom_bytes: length of the byte order mark to skip (the UTF-16 and UTF-32 codecs take theirs themselves).
        is_clean: every byte decodes and none is NUL, so no record needs to be looked at one by one.
        note: what was found out, for people.
    """

    name: str
    bom_bytes: int
    is_clean: bool
    note: str | None


def find_encoding(job: Job, declared: str | None) -> TextEncoding:
    """Return a file's encoding: the declared one, else its mark, else UTF-8 if it holds, else a guess.

    Raises:
        WrongUse: the declared encoding does not exist.
        BadFile: the time is over.
    """
    with job.path.open("rb") as file:
        head = file.read(4)
    marked = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), None)
    if declared is not None:
        name = _known(declared)
        if marked and marked[1] == name == "utf-8":
            return TextEncoding(name, len(marked[0]), _scan(job, name).is_clean, None)
        return TextEncoding(name, 0, _scan(job, name).is_clean, None)
    if marked:
        mark, name = marked
        skipped = len(mark) if name == "utf-8" else 0
        return TextEncoding(name, skipped, _scan(job, name).is_clean, f"encoding {name}, from its byte order mark")
    utf8 = _scan(job, "utf-8")
    if not utf8.broken:
        return TextEncoding("utf-8", 0, utf8.is_clean, "encoding utf-8")
    if utf8.broken <= _MAX_BROKEN_SHARE * utf8.beyond_ascii:
        return TextEncoding("utf-8", 0, False, f"encoding utf-8, with {utf8.broken} characters broken")
    name = _guess(job, utf8.first_broken)
    scan = _scan(job, name)
    if name == "cp1252" and scan.broken:
        name, scan = "latin-1", _scan(job, "latin-1")  # five bytes mean nothing in cp1252: Latin-1 has them all
    return TextEncoding(name, 0, scan.is_clean, f"encoding {name}, guessed: it is not UTF-8")


def _known(declared: str) -> str:
    try:
        name = codecs.lookup(declared).name
    except LookupError as error:
        raise WrongUse(
            f"format.encoding: {declared!r} is not an encoding", remedy="for instance utf-8, cp1252, iso-8859-15, utf-16"
        ) from error
    return "utf-8" if name in {"utf-8", "utf-8-sig", "ascii"} else name


@dataclass
class _Scan:
    broken: int = 0
    beyond_ascii: int = 0
    first_broken: int = 0
    nul: bool = False

    @property
    def is_clean(self) -> bool:
        return not self.broken and not self.nul


def _scan(job: Job, name: str) -> _Scan:
    """Decode the whole file once and count what does not decode."""
    result = _Scan()
    strict = codecs.getincrementaldecoder(name)("strict")
    offset = 0
    with job.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            job.clock.check()
            state = strict.getstate()
            try:
                text = strict.decode(chunk)
            except UnicodeError:
                lenient = codecs.getincrementaldecoder(name)("replace")
                lenient.setstate(state)
                text = lenient.decode(chunk)
                broken = text.count("�")
                if not result.broken:
                    result.first_broken = offset + max(0, text.find("�"))
                result.broken += broken
                strict.setstate(lenient.getstate())
            if not text.isascii():
                result.beyond_ascii += len(text) - len(text.encode("ascii", "ignore"))
            result.nul = result.nul or "\x00" in text
            offset += len(chunk)
    try:
        strict.decode(b"", final=True)
    except UnicodeError:
        result.broken += 1
        result.beyond_ascii += 1
        result.first_broken = result.first_broken or max(0, offset - _SAMPLE_BYTES)
    return result


def _guess(job: Job, near: int) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - 0.1 s, and only files that are not UTF-8 need it

    with job.path.open("rb") as file:
        file.seek(max(0, near - _SAMPLE_BYTES // 4))
        # Only lines that hold something beyond ASCII tell encodings apart; the others drown them.
        lines = [line for line in file.read(_SAMPLE_BYTES).splitlines() if not line.isascii()]
    best = from_bytes(b"\n".join(lines), cp_isolation=_PLAUSIBLE, enable_fallback=False).best()
    return best.encoding if best is not None else "cp1252"


class Utf8Stream(io.RawIOBase):
    """A file's text as UTF-8 bytes from `skip_bytes` on, then `tail`.

    Bytes that do not decode come out as `BROKEN` and two hexadecimal digits, NUL as `NUL_MARK`, so that their records can be
    found and refused while the others are kept.
    """

    def __init__(self, path: Path, encoding: TextEncoding, *, skip_bytes: int = 0, tail: bytes = b"") -> None:
        super().__init__()
        self._file = path.open("rb")
        self._file.seek(encoding.bom_bytes)
        as_it_is = encoding.name == "utf-8" and encoding.is_clean
        self._decoder = None if as_it_is else codecs.getincrementaldecoder(encoding.name)(_MARK_BROKEN)
        self._tail = tail
        self._pending = b""
        self._ended = False
        if skip_bytes:
            self.read(skip_bytes)

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes; less only at the end."""
        wanted = -1 if size is None else size
        parts, held = [self._pending], len(self._pending)
        while not self._ended and (wanted < 0 or held < wanted):
            parts.append(self._next(max(wanted, _CHUNK)))
            held += len(parts[-1])
        data = b"".join(parts)
        cut = len(data) if wanted < 0 else wanted
        self._pending = data[cut:]
        return data[:cut]

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as buffered readers ask; return how much."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        chunk = self._file.read(size)
        self._ended = not chunk
        if self._decoder is None:
            return chunk or self._tail
        data = self._decoder.decode(chunk, final=self._ended).replace("\x00", NUL_MARK).encode()
        return data + self._tail if self._ended else data


def shown(text: str) -> str:
    r"""Return marked text as people may read it: `\xE9` for a broken byte, `\x00` for NUL."""
    return text.replace(BROKEN, "\\x").replace(NUL_MARK, "\\x00")


def _mark_broken(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(f"{BROKEN}{byte:02X}" for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_MARK_BROKEN, _mark_broken)
