"""What a store holds, written once, and which of its chunks are whole: a line each."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Journal", "fresh_file"]

#: Folder of a store that holds both; readers of Parquet and Zarr pass it by.
FOLDER = "_tokenroof"
_FORMAT = 1


def fresh_file(path: str, data: bytes) -> None:
    """Write a file that others see whole or not at all: beside it, to the disk, then in its place."""
    beside = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.getpid()}-{os.urandom(4).hex()}.part"
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def _lock(file: int) -> None:
    """Hold a file until its process ends, where the system can."""
    if os.name == "posix":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Journal:
    """Chunks that are whole, with the sizes of their files.

    A line is written after the files of its chunk are in their places, by the one process that hands chunks
    out: what is not in the journal is computed again, in the same bits.

    Parameters
    ----------
    store : str
        Folder of the store.
    """

    def __init__(self, store: str) -> None:
        self.store = store
        self.folder = os.path.join(store, FOLDER)
        self._file: int | None = None

    @property
    def about(self) -> dict[str, Any] | None:
        """What the store holds; None of a new one."""
        try:
            with open(os.path.join(self.folder, "work.json"), encoding="utf-8") as file:
                found: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return None
        except (ValueError, NotADirectoryError) as error:
            raise ValueError(
                f"store {shown(self.store)} cannot be read ({error}); allowed: one that a sweep began"
            ) from None
        if found.get("format") != _FORMAT:
            raise ValueError(
                f"store {shown(self.store)} has format {shown(found.get('format'))}; allowed: {_FORMAT}"
            )
        return found

    def begin(self, about: Mapping[str, Any]) -> None:
        """Say what the store holds: the last step of making a new one."""
        text = json.dumps({"format": _FORMAT, **about})
        fresh_file(os.path.join(self.folder, "work.json"), text.encode())

    def lines(self, chunks: int, files: int) -> NDArray[np.int64]:
        """Bytes of each file of each chunk [chunks, files]; -1 where the journal has none."""
        sizes = np.full((chunks, files), -1, dtype=np.int64)
        try:
            with open(os.path.join(self.folder, "journal.jsonl"), "rb") as file:
                for line in file:
                    try:
                        k, found = json.loads(line)
                        sizes[k] = found
                    except (ValueError, TypeError, IndexError):
                        continue  # cut short when its writer was killed, or the disk was full
        except FileNotFoundError:
            pass
        return sizes

    def __enter__(self) -> Journal:
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, "journal.jsonl")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            _lock(self._file)
        except BlockingIOError:
            os.close(self._file)
            self._file = None
            raise BlockingIOError(
                f"store {shown(self.store)} is being written by another process; allowed: one at a time"
            ) from None
        if (
            os.fstat(self._file).st_size
            and os.pread(self._file, 1, os.fstat(self._file).st_size - 1) != b"\n"
        ):
            os.write(self._file, b"\n")  # ends a line that was cut short
        return self

    def add(self, sizes: Mapping[int, list[int]]) -> None:
        """Say that chunks are whole: the bytes of each one's files."""
        assert self._file is not None
        lines = b"".join(json.dumps(line).encode() + b"\n" for line in sizes.items())
        if os.write(self._file, lines) != len(lines):
            raise OSError(f"store {shown(self.store)} has no room for its journal")

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
