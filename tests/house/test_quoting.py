"""What errors quote of a caller's value: long ones in part, wherever they are given."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import tokenroof as tr
from _arrays import FIXED, FUNCTIONS, LOAD, MODULES, OWN, given_to

PACKAGE = Path(tr.__file__).parent
# which write a value as a file, a note or a call holds it, and quote none in an error
WRITE = {"calibrate/files.py", "economics/meter.py", "serving/simulation/scheduler.py"}
LONG = "h200" * 12_500
MOST = 2_000


def _quoted_whole(source: str) -> list[int]:
    """Lines that convert a value by `!r`, in an f-string."""
    return [
        n.lineno
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.FormattedValue) and n.conversion == ord("r")
    ]


def test_errors_quote_values_by_one_function_that_shortens():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: write {{shown(value)}}, not {{value!r}}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if str(path.relative_to(PACKAGE)) not in WRITE
        for line in _quoted_whole(path.read_text())
    ]
    assert found == []
    assert _quoted_whole('x = f"{x}"\ny = f"{y!r:>3} {y!s}"') == [2]


def _public() -> dict[str, Any]:
    """Functions, and records that callers make, of all public modules."""
    found = {}
    for module in (tr, *MODULES, tr.calibrate, tr.catalogue, tr.kernels):
        short = module.__name__.rpartition(".")[2]
        for name in getattr(module, "__all__", None) or dir(module):
            member = getattr(module, name)
            callable_ = inspect.isfunction(member) or (
                inspect.isclass(member) and not issubclass(member, dict)
            )
            if callable_ and member.__module__.startswith("tokenroof") and not name.startswith("_"):
                found[f"{short}.{name}"] = member
    return found


PUBLIC = _public()


def _texts(function: Any) -> dict[str, inspect.Parameter]:
    """Arguments that take a text: a name, a path, a word."""
    parameters = inspect.signature(function).parameters
    named = {n: p for n, p in parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return {
        n: p
        for n, p in named.items()
        if "str" in str(p.annotation) or "PathLike" in str(p.annotation)
    }


def _given(name: str, function: Any) -> dict[str, Any]:
    """What a function takes beside the text: as elsewhere, else nothing good, which is refused as well."""
    if name in FUNCTIONS:
        _, arrays, rest = given_to(name)
        return rest | arrays
    parameters = inspect.signature(function).parameters.items()
    plain = FIXED | {"load": LOAD} | OWN.get(name, {})
    return {
        n: plain.get(n, 1) for n, p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
def test_a_text_of_50_000_characters_is_quoted_in_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a name is taken for a file's
    said = {}
    for name, function in PUBLIC.items():
        for text in _texts(function):
            try:
                function(**_given(name, function) | {text: LONG})
            except Exception as error:  # beside what is wrong of the rest, too
                said[f"{name}({text})"] = str(error)
    assert {place: len(text) for place, text in said.items() if len(text) >= MOST} == {}
    in_part = [text for text in said.values() if f"... ({len(repr(LONG))} characters)" in text]
    assert len(in_part) > 250
