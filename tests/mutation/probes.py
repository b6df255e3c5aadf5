"""Code of functions that are there, changed or watched: the text of a file compiled anew, in place of what runs."""

from __future__ import annotations

import ast
import builtins
import gc
import types
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from places import Mutant

HIT = "_tr_hit"
_FUNCTION = 0x3  # flags of code that has locals of its own: no module, no body of a class


def _inner(code: types.CodeType) -> list[types.CodeType]:
    return [part for part in code.co_consts if isinstance(part, types.CodeType)]


def _own(code: types.CodeType) -> object:
    """What a code does itself, but for the functions in it."""
    consts = [(type(c), c) for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_code, repr(consts), code.co_names, code.co_varnames


def _pairs(old: types.CodeType, new: types.CodeType) -> list[tuple[types.CodeType, types.CodeType]]:
    """Codes of functions that differ, also those that do so in what they contain."""
    out = []
    for a, b in zip(_inner(old), _inner(new), strict=True):
        if a != b or _own(a) != _own(b):
            out += _pairs(a, b)
            if a.co_flags & _FUNCTION == _FUNCTION:
                out.append((a, b))
    return out


def _outside(old: types.CodeType, new: types.CodeType) -> bool:
    """Whether a module or the body of a class differs itself: defaults and constants, computed on loading."""
    if old.co_flags & _FUNCTION == _FUNCTION:
        return False
    inner = zip(_inner(old), _inner(new), strict=True)
    return _own(old) != _own(new) or any(_outside(a, b) for a, b in inner)


def _compiled(text: str | ast.Module, path: Path) -> types.CodeType:
    return compile(text, str(path), "exec", dont_inherit=True)


def _changed(text: str, mutant: Mutant) -> str:
    return text[: mutant.start] + mutant.new + text[mutant.end :]


def in_functions(root: Path, mutant: Mutant) -> bool:
    """Whether a change is one of functions' code alone."""
    path = root / mutant.path
    text = path.read_text()
    try:
        old, new = _compiled(text, path), _compiled(_changed(text, mutant), path)
        return bool(_pairs(old, new)) and not _outside(old, new)
    except ValueError:  # more functions, or fewer: what is constant is left out
        return False


def _replace(pairs: list[tuple[types.CodeType, types.CodeType]]) -> int:
    """Give the live functions of these codes the new ones; how many there are."""
    new_of = {_place(old): new for old, new in pairs}
    found = [f for f in gc.get_objects() if type(f) is types.FunctionType]
    replaced = [(f, new_of[_place(f.__code__)]) for f in found if _place(f.__code__) in new_of]
    for function, new in replaced:
        function.__code__ = new
    return len(replaced)


def _place(code: types.CodeType) -> tuple[object, ...]:
    """What tells a code from all others, two of one line too: the table of lines has columns."""
    return code.co_filename, code.co_qualname, code.co_firstlineno, code.co_linetable


def change(root: Path, mutant: Mutant) -> None:
    """Make a change in the functions that are there."""
    path = root / mutant.path
    text = path.read_text()
    gc.unfreeze()
    _replace(_pairs(_compiled(text, path), _compiled(_changed(text, mutant), path)))
    gc.freeze()


class _Watched(ast.NodeTransformer):
    """A call before each statement that has one of these places; for None, at the start of every function."""

    def __init__(self, places: dict[int, set[int]], anywhere: list[int]) -> None:
        self.places, self.anywhere, self.inside = places, anywhere, False

    def _call(self, numbers: list[int]) -> list[ast.stmt]:
        source = "\n".join(f"{HIT}({n})" for n in numbers)
        return list(ast.parse(source).body)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        before, self.inside = self.inside, True
        node.body = self._call(self.anywhere) + self._block(node.body)
        self.inside = before
        return node

    def _block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for statement in body:
            here = self._numbers(statement) if self.inside else []
            out += [*self._call(here), self.visit(statement)]
        return out

    def _numbers(self, statement: ast.stmt) -> list[int]:
        """Changes on lines of a statement that none of the statements inside it has."""
        lines = set(range(statement.lineno, (statement.end_lineno or 0) + 1))
        for part in ast.walk(statement):
            if part is not statement and isinstance(part, ast.stmt):
                lines -= set(range(part.lineno, (part.end_lineno or 0) + 1))
        return sorted(n for line in lines for n in self.places.get(line, ()))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, self._block(block))
        for handler in [*getattr(node, "handlers", ()), *getattr(node, "cases", ())]:
            self.generic_visit(handler)
        return node


def watch(root: Path, numbered: dict[int, Mutant], hits: set[int]) -> None:
    """Have the functions that are there put a change's number into `hits` when they come to its place."""
    setattr(builtins, HIT, hits.add)
    gc.unfreeze()  # what the tests' own hook set aside once they were collected
    by_path: dict[str, list[int]] = {}
    for number, mutant in numbered.items():
        by_path.setdefault(mutant.path, []).append(number)
    for name, numbers in by_path.items():
        path = root / name
        text = path.read_text()
        places: dict[int, set[int]] = {}
        anywhere = [n for n in numbers if not in_functions(root, numbered[n])]
        for n in set(numbers) - set(anywhere):
            places.setdefault(numbered[n].line, set()).add(n)
        tree = ast.fix_missing_locations(_Watched(places, anywhere).visit(ast.parse(text)))
        _replace(_pairs(_compiled(text, path), _compiled(tree, path)))
    gc.freeze()
