"""What is imported when it is first needed: optional libraries, and the public names of packages."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from tokenroof.support.quoting import shown

__all__ = ["attach", "install_hint", "require"]

_PACKAGE = "tokenroof"


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
            raise AttributeError(f"module {shown(package)} has no attribute {shown(name)}")
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
        raise ImportError(f"{name} is needed here: {install_hint(extra)}") from error


def install_hint(extra: str) -> str:
    """The command that installs this package with an extra, from where the package came.

    That is the folder, archive or repository that it was installed from, the checkout that it is
    imported from, or the index by its name.

    Parameters
    ----------
    extra : str
        "analysis", "report", "all" ...

    Examples
    --------
    >>> install_hint("analysis").startswith("python -m pip install ")
    True
    """
    where, editable = _origin()
    if where and os.path.isabs(where) and not os.path.exists(where):
        where, editable = "", False  # a folder that is gone
    wanted = f"{where or _PACKAGE}[{extra}]"
    if "://" in where:
        wanted = f"{_PACKAGE}[{extra}] @ {where}"
    return f"python -m pip install {'-e ' if editable else ''}{_quoted(wanted)}"


def _quoted(text: str) -> str:
    quoted = shlex.quote(text)
    return quoted if quoted.startswith("'") else f"'{quoted}'"


def _origin() -> tuple[str, bool]:
    """Where the package came from, as pip noted it (PEP 610), and whether it is installed in place."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        found = distribution(_PACKAGE)
        noted = json.loads(found.read_text("direct_url.json") or "{}")
        url, kind = str(noted.get("url", "")), noted.get("vcs_info") or {}
        editable = bool((noted.get("dir_info") or {}).get("editable"))
    except (PackageNotFoundError, ValueError, AttributeError):
        found, url, kind, editable = None, "", {}, False
    root = os.path.dirname(here)
    if found is None or not _is_of(found, here, editable):
        for folder in (here, root):  # a checkout on the path, of whatever is installed beside it
            if os.path.isfile(os.path.join(folder, "pyproject.toml")):
                return folder, False
        return "", False
    if url.startswith("file://"):
        return url2pathname(urlsplit(url).path), editable
    return (f"{kind['vcs']}+{url}" if kind.get("vcs") else url), False


def _is_of(found: Any, here: str, editable: bool) -> bool:
    """Whether the package that runs is the one that is installed, and not a checkout before it."""
    try:
        installed = os.path.abspath(str(found.locate_file(_PACKAGE)))
    except (OSError, NotImplementedError):
        return True
    return editable or installed == os.path.join(here, _PACKAGE)
