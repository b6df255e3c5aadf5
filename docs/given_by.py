"""What pages add: to a record the example of a function that gives it, to a method the type that it gives."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import Any

from reference_pages import NAMESPACES

_HEAD = "Examples\n--------\n"


def public(kind: Any) -> dict[str, Any]:
    """Public functions or classes by the name under which they are handed out, each once."""
    found: dict[Any, str] = {}
    for space in NAMESPACES:
        module = importlib.import_module(space)
        for name in getattr(module, "__all__", ()):
            one = getattr(module, name)
            if kind(one):
                found.setdefault(one, f"{space}.{name}")
    return {name: one for one, name in found.items()}


def example_of(found: Any) -> str:
    """The section of a docstring; empty without one."""
    _, _, rest = (inspect.getdoc(found) or "").partition(_HEAD)
    return re.split(r"\n\n(?=[^\n]+\n-{3,}\n)", rest)[0].strip()


@cache
def givers() -> dict[str, str]:
    """Name of a class -> public name of the function that gives it, the one whose name is nearest first."""
    out: dict[str, str] = {}
    for name, function in public(inspect.isfunction).items():
        if "+SKIP" in (text := example_of(function)) or not text:
            continue
        for given in re.findall(r"\w+", str(function.__annotations__.get("return", ""))):
            before = out.get(given)
            if before is None or _nearer(name, before, given):
                out[given] = name
    return out


def _nearer(name: str, before: str, given: str) -> bool:
    """Whether a function of this name is likelier to be asked for a class than the one before."""
    ends = [n.rpartition(".")[2].replace("_", "") == given.lower() for n in (name, before)]
    return ends == [True, False]


def shown(found: Any) -> str:
    """The example of a class that has none of its own, with who gives it; empty where nobody does."""
    name = givers().get(found.__name__)
    if name is None or example_of(found):
        return ""
    space, _, last = name.rpartition(".")
    function = getattr(importlib.import_module(space), last)
    return (
        f"{_HEAD}As `{name}` gives it:\n\n>>> from {space} import {last}\n{example_of(function)}\n"
    )


def returned(found: Any) -> str:
    """The type that a method gives, where its docstring has no section of that; empty if it gives nothing."""
    text = inspect.getdoc(found) or ""
    given = str(getattr(found, "__annotations__", {}).get("return", "None"))
    if given == "None" or "Returns\n---" in text or "Yields\n---" in text:
        return ""
    return f"Returns\n-------\n``{given}``\n"


def complete(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Before numpydoc reads a docstring."""
    text = {"class": shown, "method": returned}.get(what, lambda _: "")(found)
    if text and any(lines):
        lines += ["", *text.splitlines()]
