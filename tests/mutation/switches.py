"""All changes of headers in one build: each stands beside what it changes, and an environment variable chooses.

`a * (b + c)` with `+` to become `-` under number 7 is written `a * ((tr_change == 7 ? (b - c) : (b + c)))`, but for a
mark that it was come to: the expression between two delimiters is one whatever stands in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from places import Mutant

MOST = 4096  # changes in one build
# which change counts (-1: none, but each says that it was come to), and those that were
DECLARED = 'extern "C" int tr_change; extern "C" unsigned char tr_hits[];'
DEFINED = f"""#include <cstdlib>
extern "C" {{ int tr_change = std::getenv("TOKENROOF_CHANGE") ? std::atoi(std::getenv("TOKENROOF_CHANGE")) : 0;
unsigned char tr_hits[{MOST}]; }}
"""
_SKIP = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|^[ \t]*#(?:\\\n|[^\n])*", re.DOTALL | re.MULTILINE
)
_OPEN, _CLOSE = "([{", ")]}"
_ASSIGNED = {"+=": "-({})", "-=": "-({})", "*=": "1.0 / ({})", "/=": "1.0 / ({})"}


def _blank(text: str) -> str:
    """The same length, without what is no code."""
    return _SKIP.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def _delimits(code: str, i: int) -> bool:
    """Whether an expression may begin behind this character."""
    if code[i] in ",;?":
        return True
    if code[i] == ":":
        return "::" not in code[i - 1 : i + 2]
    if code[i] == "=":  # no comparison
        return code[i - 1] not in "=!<>" and code[i + 1] != "="
    return bool(re.search(r"\breturn$", code[max(0, i - 7) : i + 1])) and not code[i + 1].isalnum()


def _end(code: str, j: int, stops: str) -> int:
    """The first of these characters from a place on, or the bracket that closes around it."""
    depth = 0
    while depth or not (
        code[j] in _CLOSE or (code[j] in stops and "::" not in code[j - 1 : j + 2])
    ):
        depth += (code[j] in _OPEN) - (code[j] in _CLOSE)
        j += 1
    return j


def expression(code: str, start: int, end: int) -> tuple[int, int]:
    """From where to where the expression goes that a place is in: up to delimiters that are not nested in it."""
    depth, i = 0, start - 1
    while i >= 0:
        if code[i] in _CLOSE:
            depth += 1
        elif code[i] in _OPEN:
            if depth == 0:
                break
            depth -= 1
        elif depth == 0 and _delimits(code, i):
            break
        i -= 1
    first, j = i + 1, _end(code, end, ",;?:")
    while code[first].isspace():
        first += 1
    while code[j - 1].isspace():
        j -= 1
    return first, j


def _arms(text: str, mutant: Mutant, code: str) -> tuple[int, int, str]:
    old = text[mutant.start : mutant.end]
    if old in _ASSIGNED:
        first, last = mutant.end + 1, _end(code, mutant.end + 1, ",;")
        return first, last, _ASSIGNED[old].format(text[first:last])
    first, last = expression(code, mutant.start, mutant.end)
    return first, last, text[first : mutant.start] + mutant.new + text[mutant.end : last]


def switched(text: str, numbered: list[tuple[int, Mutant]]) -> tuple[str, list[int]]:
    """A header with these changes beside what they change; and those that overlap others, which stay out."""
    code, places, out = _blank(text), defaultdict(list), []
    for number, mutant in numbered:
        first, last, arm = _arms(text, mutant, code)
        overlaps = any(a < last and first < b and (a, b) != (first, last) for a, b in places)
        head = code[code.rfind("\n", 0, first) + 1 : first]
        fixed = re.search(r"constexpr|\benum\b|\bcase [^:]*(::[^:]*)*$", head) is not None
        if overlaps or last <= first or fixed or mutant.path.endswith("core/config.hpp"):
            out.append(number)
        else:
            places[first, last].append((number, arm))
    for first, last in sorted(places, reverse=True):
        chain = "".join(
            f"((tr_change < 0 ? (void)(tr_hits[{number}] = 1) : (void)0), tr_change == {number}) ? ({arm}) : "
            for number, arm in places[first, last]
        )
        text = f"{text[:first]}({chain}({text[first:last]})){text[last:]}"
    return text, out


def write(root: Path, copy: Path, numbered: list[tuple[int, Mutant]], alone: set[int]) -> set[int]:
    """Change the copy's headers but for those alone; say which numbers are to be built alone."""
    by_path: dict[str, list[tuple[int, Mutant]]] = defaultdict(list)
    for number, mutant in numbered:
        if number not in alone:
            by_path[mutant.path].append((number, mutant))
    alone = set(alone)
    for header in sorted((root / "cpp/include").rglob("*.hpp")):
        path = str(header.relative_to(root))
        text, out = switched(header.read_text(), by_path.get(path, []))
        alone |= set(out)
        if path.endswith("core/config.hpp"):
            text = text.replace("#pragma once\n\n", f"#pragma once\n{DECLARED}\n", 1)
        if (copy / path).read_text() != text:
            (copy / path).write_text(text)
    return alone
