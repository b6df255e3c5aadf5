"""Files that are written whole or not at all, and whose errors name them."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["into", "whole_file"]

# Of these the name is a stream that is open already: what stands in its place would not be it.
_STREAMS = ("/dev/", "/proc/")


@contextmanager
def into(path: object) -> Iterator[None]:
    """An error of the system that names no file, as of a disk that is full, is of this one.

    Examples
    --------
    >>> with into("a.csv"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    OSError: [Errno 28] No space left on device: 'a.csv'
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write a file that others see whole or as it was: beside it, and then in its place.

    Devices, pipes, and files in folders that may not be written, are written as they are.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/a.csv") as beside:
    ...         _ = beside.write_text("1,2")
    ...         print(os.listdir(folder) == [beside.name])
    ...     print(Path(folder, "a.csv").read_text(), len(os.listdir(folder)))
    True
    1,2 1
    """
    given = Path(path)
    final = Path(os.path.realpath(given))  # a link stays one
    known = given.is_file()
    plain = not os.path.abspath(given).startswith(_STREAMS) and (
        known or not os.path.lexists(final)
    )
    if (
        not plain
        or not os.access(final.parent, os.W_OK)
        or (known and not os.access(final, os.W_OK))
    ):
        with into(path):
            yield given
        return
    handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name[:64]}.", suffix=".part")
    os.close(handle)
    beside = Path(name)
    try:
        beside.chmod(_mode(final if known else None))
        with into(path):
            yield beside
        beside.replace(final)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (name, beside):
            error.filename = os.fspath(path)
        raise


def _mode(like: Path | None) -> int:
    """Permissions of a file that is replaced, or of a new one."""
    if like is not None:
        return like.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
