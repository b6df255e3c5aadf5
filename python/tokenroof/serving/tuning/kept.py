"""Runs that were played, in a file of JSON lines: a search that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.support.arguments import shown
from tokenroof.support.whole import into

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokenroof.serving.requests.record import Requests

__all__ = ["Kept", "key_of"]


def key_of(parts: Iterable[object], load: Requests) -> str:
    """A name for a run: whatever would change it changes the name."""
    found = blake2b(digest_size=16)
    for part in parts:
        found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        found.update(b"\0")
    for name in load.__slots__:
        value = getattr(load, name)
        found.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        found.update(b"\0")
    return found.hexdigest()


class Kept:
    """What runs gave, by key; in a file too where there is one.

    Parameters
    ----------
    path : path, optional
        Made where it is not there. A last line that was cut is dropped.

    Raises
    ------
    ValueError
        For a file that holds something else: with the line.
    OSError
        For a file that can neither be read nor written.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"results is {shown(path)}; allowed: a path, or None")
        self.path = None if path is None else Path(path)
        self.rows: dict[str, dict[str, Any]] = {}
        self.played = 0
        if self.path is not None:
            self._read(self.path)

    def _read(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            raise ValueError(
                f"results is {shown(str(path))}; allowed: a file, or a path that is free"
            )
        whole = path.read_bytes() if path.exists() else b""
        good = 0
        for number, line in enumerate(whole.splitlines(keepends=True), 1):
            row = _row(line)
            if row is None:
                if good + len(line) == len(whole) and not line.endswith(b"\n"):
                    break  # it was being written
                raise ValueError(
                    f"{path.name}, line {number}: {shown(line)}; allowed: lines that an earlier search wrote"
                )
            self.rows[row["key"]] = row["found"]
            good += len(line)
        with path.open(
            "ab"
        ) as file:  # here, not after the first run, is when it is found unwritable
            file.truncate(good)

    def get(self, key: str) -> dict[str, Any] | None:
        return self.rows.get(key)

    def put(self, key: str, found: dict[str, Any], about: Mapping[str, Any]) -> None:
        """Remember a run; it is in the file when this returns."""
        self.rows[key] = found
        self.played += 1
        if self.path is not None:
            line = json.dumps({"key": key, **about, "found": found})
            with into(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    good = (
        line.endswith(b"\n")
        and isinstance(row, dict)
        and isinstance(row.get("key"), str)
        and isinstance(row.get("found"), dict)
        and isinstance(row["found"].get("times"), dict)
    )
    return row if good else None
