"""Lines of a file with their numbers, whatever its bytes are, packed by gzip or not."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from tokenroof.support.quoting import LONGEST_SHOWN

__all__ = ["TraceError", "numbered"]

# A line of a million hashes is shorter.
_LONGEST_LINE = 2**26
# Bytes that come out of what is no file, as a pipe, before it is taken for one without an end.
_MOST_PIPED = 2**31


class TraceError(ValueError):
    """A trace that cannot be read: which file, which line, what was expected."""

    def __init__(self, path: Path, line: int, found: str, expected: str) -> None:
        if len(found) > 2 * LONGEST_SHOWN:  # what a line has may be all of a file
            found = f"{found[:LONGEST_SHOWN]}... ({len(found)} characters)"
        super().__init__(f"{path.name}, line {line}: {found}; expected {expected}")
        self.line = line


def numbered(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, from number 1 on, without their ends.

    Raises
    ------
    TraceError
        For bytes that are no text, for a packed file that is damaged or cut, for a pipe without an end.
    OSError
        For a file that is not there.
    """
    number, left = 0, _MOST_PIPED
    with path.open("rb") as raw:
        endless = not stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        packed = raw.peek(2)[:2] == b"\x1f\x8b"  # pipes cannot go back
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        while True:
            try:
                line = stream.readline(_LONGEST_LINE)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise TraceError(
                    path,
                    number + 1,
                    f"the packed file ends or is damaged ({error})",
                    "a whole gzip file",
                ) from None
            if not line:
                return
            number += 1
            left -= len(line) if endless else 0
            if left < 0:
                found = f"more than {_MOST_PIPED / 2**30:g} GiB and no end"
                raise TraceError(path, number, found, "less, or a file")
            if len(line) == _LONGEST_LINE:
                raise TraceError(
                    path, number, "the line has no end", f"less than {len(line)} bytes"
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                found = f"byte {error.start + 1} is no text of UTF-8"
                raise TraceError(path, number, found, "UTF-8") from None
            text = text.rstrip("\r\n")
            if text and not text.isspace():
                yield number, text
