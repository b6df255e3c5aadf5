"""What is imported when it is first needed: optional libraries, and the public names of packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

__all__ = ["attach", "require"]


def attach(
    package: str, names: Mapping[str, str], others: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package that hands out names when they are first asked for.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    names : mapping of str to str
        Where each name is: "module" for the module itself, "module:name" for what it holds.
    others : iterable of str
        Public names that the package has already.
    """
    known = sorted({*names, *others})

    def get(name: str) -> Any:
        where = names.get(name)
        if where is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, held = where.partition(":")
        value: Any = import_module(module)
        if held:
            value = getattr(value, held)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: list(known)


def require(name: str, *, extra: str) -> ModuleType:
    """Return the module `name`, or say in one line how to get it.

    Parameters
    ----------
    name : str
        Module to import.
    extra : str
        The extra of this package that brings it.

    Raises
    ------
    ImportError
        If it is not installed.

    Examples
    --------
    >>> require("math", extra="analysis").sqrt(4.0)
    2.0
    """
    try:
        return import_module(name)
    except ImportError as error:
        hint = f"{name} is needed here: python -m pip install 'tokenroof[{extra}]'"
        raise ImportError(hint) from error
