"""Fitted constants of the operators, as files of the catalogue and of folders that come before it.

Each file ``catalogue/constants/<operator>.toml`` holds the fits of one operator, written by
`tokenroof.calibrate`: per device, engine and type the constants, what they were fitted on and how far off
they were on shapes left out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from tokenroof.catalogue.files import FOLDER
from tokenroof.support.arguments import shown

_LARGEST_FILE = 2**24

__all__ = ["files_of", "first_from", "fits", "read_from", "remembered"]

_T = TypeVar("_T")

# Folders whose files count before the catalogue's.
_folders: list[str] = [f for f in os.environ.get("TOKENROOF_CONSTANTS", "").split(os.pathsep) if f]
_caches: list[Callable[[], None]] = []


def remembered(size: int) -> Callable[[Callable[..., _T]], Callable[..., _T]]:
    """Decorator: remember what a function found in the fits, until other files count first."""

    def decorate(function: Callable[..., _T]) -> Callable[..., _T]:
        cached = lru_cache(maxsize=size)(function)
        _caches.append(cached.cache_clear)
        return cached

    return decorate


def _read(folder: str, operator: str) -> list[dict[str, Any]]:
    import tomllib

    path = os.path.join(folder, f"{operator}.toml")
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        raw = file.read(_LARGEST_FILE + 1)
        if len(raw) > _LARGEST_FILE:
            raise ValueError(f"{path} is larger than 16 MiB; allowed: fits of one operator")
        try:
            rows = tomllib.loads(raw.decode("utf-8-sig"))["fit"]
        except (KeyError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} holds no fits: {error}") from None
    return list(rows)


@remembered(64)
def fits(operator: str) -> tuple[dict[str, Any], ...]:
    """The fits of an operator: those of the folders in ``TOKENROOF_CONSTANTS``, then the catalogue's.

    Of several fits of a device, engine and type the first counts. Empty if there is no file yet.

    Raises
    ------
    ValueError
        For a file that holds no fits, or a folder that is none.

    Each row of such a folder says so: its ``file``.
    """
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for folder in _folders:
        if not os.path.isdir(folder):
            raise ValueError(
                f"TOKENROOF_CONSTANTS is {shown(folder)}; allowed: folders of files of constants"
            )
        for row in _read(folder, operator):
            row["file"] = os.path.join(folder, f"{operator}.toml")
            found.setdefault((row.get("device"), row["engine"], row.get("dtype")), row)
    for row in _read(os.path.join(FOLDER, "constants"), operator):
        found.setdefault((row.get("device"), row["engine"], row.get("dtype")), row)
    return tuple(found.values())


def files_of(*rows: dict[str, Any]) -> str:
    """The files outside the catalogue that fits come from, with commas between; empty if there is none."""
    return ", ".join(sorted({row["file"] for row in rows if "file" in row}))


def read_from(*rows: dict[str, Any]) -> str:
    """The same as the end of a sentence on where constants come from."""
    return f", from {files_of(*rows)}" if files_of(*rows) else ""


@contextmanager
def first_from(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Within it, fits of a folder count before all others."""

    def forget() -> None:
        for clear in _caches:
            clear()

    _folders.insert(0, os.fspath(folder))
    forget()
    try:
        yield
    finally:
        _folders.pop(0)
        forget()
