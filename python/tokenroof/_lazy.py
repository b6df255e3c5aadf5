"""Optional libraries, imported when they are first needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

__all__ = ["require"]


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
