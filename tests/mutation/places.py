"""Where a formula can be changed, and into what: numbers, signs, operators, comparisons, one at a time."""

from __future__ import annotations

import ast
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

# What each operator and comparison becomes; of several, a change of its own.
BINARY = {
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "**": ("*",), "//": ("/",), "%": ("*",),
    "<": ("<=", ">"), "<=": ("<", ">"), ">": (">=", "<"), ">=": (">", "<"), "==": ("!=",), "!=": ("==",),
    "&&": ("||",), "||": ("&&",), "<<": (">>",), ">>": ("<<",), "&": ("|",), "|": ("&",), "^": ("&",),
    "+=": ("-=",), "-=": ("+=",), "*=": ("/=",), "/=": ("*=",), "and": ("or",), "or": ("and",),
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "min_nan": "max_nan",
         "max_nan": "min_nan", "all": "any", "any": "all"}  # fmt: skip
PYTHON_OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.And: "and",
    ast.Or: "or",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: characters from `start` to `end` of a file become `new`."""

    path: str  # from the root of the repository
    line: int
    start: int
    end: int
    new: str
    before: str  # the line as it is
    after: str  # and as it becomes

    @property
    def name(self) -> str:
        """What it is called in results: the text counts, not the number of the line."""
        text = f"{self.path}|{self.before}|{self.after}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _number(text: str) -> str:
    """A literal next to this one: 0 and 1 one more, others twice as much."""
    digits = re.fullmatch(
        r"(?i)(0x[0-9a-f]+|[0-9.]+(?:e[+-]?\d+)?)([uflULF]*)",
        text.replace("_", "").replace("'", ""),
    )
    if digits is None:
        return ""
    body, suffix = digits.groups()
    if body.lower().startswith("0x"):
        return hex(int(body, 16) ^ 1) + suffix
    if re.fullmatch(r"\d+", body):
        return str(int(body) + 1) + suffix
    value = float(body)
    return (repr(value * 2) if value not in (0.0, 1.0) else repr(value + 1)) + suffix


class _Lines:
    """Offsets of lines, and mutants of places in them."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        self.begins = [0]
        for line in text.splitlines(keepends=True):
            self.begins.append(self.begins[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """Characters before a place that the parser counts in bytes of UTF-8."""
        start = self.begins[line - 1]
        row = self.text[start : self.begins[line]].encode()
        return start + len(row[:column].decode())

    def mutant(self, start: int, end: int, new: str) -> Mutant:
        line = sum(b <= start for b in self.begins)
        first, last = self.begins[line - 1], self.text.find("\n", end)
        last = len(self.text) if last < 0 else last
        before = self.text[first:last]
        after = self.text[first:start] + new + self.text[end:last]
        return Mutant(self.path, line, start, end, new, before.strip(), after.strip())


class _Python(ast.NodeVisitor):
    """Places of a module's formulas: what only speaks (errors, texts, annotations) is passed over."""

    def __init__(self, lines: _Lines) -> None:
        self.lines, self.found = lines, []

    def _between(self, left: ast.AST, right: ast.AST, operator: str) -> None:
        start = self.lines.offset(left.end_lineno, left.end_col_offset)
        end = self.lines.offset(right.lineno, right.col_offset)
        at = re.search(rf"(?<![\w*/<>=!]){re.escape(operator)}(?![\w*/=])|\s{re.escape(operator)}\s",
                       self.lines.text[start:end])  # fmt: skip
        if at is None:
            return
        place = start + at.start() + at.group().find(operator)
        for new in BINARY[operator]:
            self.found.append(self.lines.mutant(place, place + len(operator), new))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        text = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)
        wordy = any(isinstance(side, text) or isinstance(getattr(side, "value", None), str)
                    for side in (node.left, node.right))  # fmt: skip
        name = PYTHON_OPERATORS.get(type(node.op))
        if name and not wordy:
            self._between(node.left, node.right, name)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, operator, right in zip(
            [node.left, *node.comparators], node.ops, node.comparators, strict=False
        ):
            if type(operator) in PYTHON_OPERATORS:
                self._between(left, right, PYTHON_OPERATORS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, PYTHON_OPERATORS[type(node.op)])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        start = self.lines.offset(node.lineno, node.col_offset)
        if isinstance(node.op, ast.USub):
            self.found.append(self.lines.mutant(start, start + 1, ""))
        elif isinstance(node.op, ast.Not):
            self.found.append(self.lines.mutant(start, start + 4, ""))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) not in (int, float):
            return
        start = self.lines.offset(node.lineno, node.col_offset)
        end = self.lines.offset(node.end_lineno, node.end_col_offset)
        new = _number(self.lines.text[start:end])
        if new:
            self.found.append(self.lines.mutant(start, end, new))

    def visit_Call(self, node: ast.Call) -> None:
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        if name in NAMES:
            end = self.lines.offset(node.func.end_lineno, node.func.end_col_offset)
            self.found.append(self.lines.mutant(end - len(name), end, NAMES[name]))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in (*node.args.defaults, *node.args.kw_defaults, *node.body):
            if part is not None:
                self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if getattr(node.test, "id", "") != "TYPE_CHECKING":
            self.generic_visit(node)

    def _passed_over(self, node: ast.AST) -> None:
        """Errors and texts say; they do not compute."""

    visit_Raise = visit_JoinedStr = visit_ImportFrom = visit_Assert = _passed_over


def of_python(root: Path, path: Path) -> list[Mutant]:
    """Every mutant of a Python file."""
    text = path.read_text()
    visitor = _Python(_Lines(str(path.relative_to(root)), text))
    visitor.visit(ast.parse(text))
    return _once(visitor.found)


# what the build that is judged does not have: other instructions, devices
_ELSEWHERE = r"^#if defined\(__(?:AVX|CUDA).*?^#(?:else|elif|endif)"
_CPP = re.compile(
    rf"(?P<skip>{_ELSEWHERE}"
    r"|//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'|^[ \t]*#(?:\\\n|[^\n])*|\bstatic_assert\b[^;]*;)"
    r"|(?P<number>(?<![\w.])(?:0[xX][0-9a-fA-F']+|\d[\d']*\.?\d*(?:[eE][+-]?\d+)?|\.\d+)[uUlLfF]*)"
    r"|(?P<name>\b(?:min_nan|max_nan)\b)"
    r"|(?P<binary>(?<= )(?:<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|/=|[-+*/<>&|^])(?= ))"
    r"|(?P<minus>(?<=[(\[,=?:] )-(?=[\w(])|(?<=[(\[])-(?=[\w(])|(?<=return )-(?=[\w(]))",
    re.DOTALL | re.MULTILINE,
)
_SIZES = re.compile(
    r"^\s*(?:const |static |constexpr )*(?:T|U|V|double|float|int|u8|u32|u64|bool|Size|Line)&? [^=();]*\[[^=]*;"
)


def of_cpp(root: Path, path: Path) -> list[Mutant]:
    """Every mutant of a header: of numbers, operators, signs; not of comments, sizes of arrays and templates."""
    text = path.read_text()
    lines, found = _Lines(str(path.relative_to(root)), text), []
    for match in _CPP.finditer(text):
        kind, old, (start, end) = match.lastgroup, match.group(), match.span()
        line = text[text.rfind("\n", 0, start) + 1 : text.find("\n", end)]
        if kind == "skip" or _SIZES.match(line) or "template <" in line.split("{")[0][:start]:
            continue
        news = {"number": (_number(old),), "name": (NAMES.get(old),), "minus": ("",)}.get(
            kind
        ) or BINARY[old]
        found += [
            lines.mutant(start, end, new)
            for new in news
            if new is not None and (new or kind == "minus")
        ]
    return _once(found)


def _once(found: list[Mutant]) -> list[Mutant]:
    """Changes that read the same in the same file count once."""
    return list({m.name: m for m in found}.values())
