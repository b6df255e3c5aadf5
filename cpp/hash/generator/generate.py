"""Writes the header scanners: `python generate.py OUT_DIR`.

One description of SHA-256 (description.py) becomes the straight-line code of every vector scanner, and the
count of its operations, which the integer roofline divides by what a core can issue.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import hybrid
import shani
from description import Graph, Uniform, Vector, needed, nonce_scan, roll_scan
from vectors import Machine, allocate

HEAD = "// Made by cpp/hash/generator; do not edit.\n"


def write(path: Path, text: str) -> None:
    """Unless that is what the file has: what was compiled from it stays compiled."""
    if not path.exists() or path.read_text() != HEAD + text:
        path.write_text(HEAD + text)


# Kinds of operations that the integer roofline tells apart, by instruction.
KINDS = {
    "vpaddd": "add", "paddd": "add", "vprord": "rotate", "vpsrld": "shift", "vpslld": "shift",
    "vpternlogd": "logic", "vpxor": "logic", "vpand": "logic", "vpxord": "logic", "vpandd": "logic",
    "vpunpckldq": "shuffle", "vpunpckhdq": "shuffle", "vpunpcklqdq": "shuffle", "vpunpckhqdq": "shuffle",
    "pshufd": "shuffle", "palignr": "shuffle", "pblendw": "shuffle", "pslldq": "shuffle",
    "sha256rnds2": "rounds2", "sha256msg1": "message1", "sha256msg2": "message2",
}  # fmt: skip
counts: dict[str, Counter] = {}


def count(name: str, lanes: int, lines: list[str]) -> None:
    """Counts a batch's instructions by kind, and those that touch memory."""
    found = Counter(lanes=lanes)
    for line in lines:
        name_, _, operands = line.partition(" ")
        if name_ in KINDS:
            bits = 512 if "zmm" in line else 256 if "ymm" in line else 128
            found[f"{KINDS[name_]}@{bits}"] += 1
        if "(" in operands and name_ != "lea":
            found["store" if operands.endswith(")") else "load"] += 1
        found["instructions"] += not name_.startswith(".")
    counts[name] = found


def asm(lines: list[str], outputs: str, inputs: str, clobbers: list[str]) -> str:
    lines = [".p2align 6", *lines]
    body = "\n".join(f'        "{line}\\n\\t"' for line in lines)
    clobbered = ", ".join(f'"{c}"' for c in [*clobbers, "memory", "cc"])
    operands = f"        : {outputs}\n        : {inputs}\n        : {clobbered}"
    return f"    __asm__ volatile(\n{body}\n{operands});\n"


def prepare(name: str, graph: Graph, slots: dict, copies: int) -> str:
    """Scalar code that fills the job's words; each stands `copies` times."""
    wanted = {key[-1] if isinstance(key, tuple) else key for key in slots}
    used: list[str] = []
    for line in reversed(graph.scalars):  # each is made of earlier ones
        left, right = line.removeprefix("const u32 ").split(" = ")
        if left in wanted:
            used.insert(0, line)
            wanted.update(re.findall(r"x\d+", right))
    fill = []
    for key, slot in slots.items():
        key = key[-1] if isinstance(key, tuple) else key
        word = f"0x{key:08x}u" if isinstance(key, int) else key
        at = f"job[{slot}]" if copies == 1 else None
        fill.append(
            f"    {at} = {word};"
            if at
            else f"    for (int l = 0; l < {copies}; ++l) job[{slot * copies} + l] = {word};"
        )
    return (
        f"constexpr int {name}_words = {max(len(slots), 1) * copies};\n"
        f"[[maybe_unused]] void {name}_prepare(const u32* middle, const u32* tail, u32* job) {{\n"
        + "    (void)middle, (void)tail, (void)job;\n"
        + "\n".join("    " + line for line in used)
        + "\n"
        + "\n".join(fill)
        + "\n}\n"
    )


def vertical(
    name: str, machine: Machine, roll: bool, batches: int, window: int, latencies: tuple[int, int]
) -> str:
    """A scanner whose lanes are whole hashes: last words of some batches, compared with the limit."""
    graph = Graph(machine.wide)
    outs = (roll_scan if roll else nonce_scan)(graph, batches)
    slots: dict = {}

    def memory(op):
        if op[0] == "keyed":
            return f"{8 * machine.lanes * (op[1] // 2) + 4 * (op[1] % 2)}(%[keyed])", True
        _, word, batch = op
        row = (
            batch if word == "nonce" else int(word[-1]) + 8 * word.startswith("middle") + 16 * batch
        )
        return f"{machine.bytes * row}(%[lanes])", False

    lines, places, spills = allocate(machine, graph, outs, memory, slots, window, latencies)
    move = "vmovdqa64" if machine.wide else "vmovdqa"
    count(name, batches * machine.lanes, lines)
    lines += [f"{move} {place}, {machine.bytes * b}(%[last])" for b, place in enumerate(places)]
    registers = [machine.name(r).strip("%") for r in machine.registers]
    text = prepare(name, graph, slots, 1 if machine.wide else machine.lanes)
    text += f"constexpr int {name}_batches = {batches};\n"
    text += f"constexpr int {name}_spill = {max(spills, 1) * machine.lanes};\n"
    inputs = ["job", "lanes", "keyed", "spill", "last"]
    arguments = ", ".join(f"{'' if x in ('spill', 'last') else 'const '}u32* {x}" for x in inputs)
    text += (
        f"inline __attribute__((always_inline)) void {name}({arguments}) {{\n"
        + asm(lines, "", ", ".join(f'[{x}] "r"({x})' for x in inputs), registers)
        + "}\n"
    )
    return text


def hybrid_text(name: str, roll: bool) -> str:
    lines, graph, slots, spills = hybrid.hybrid(roll)
    count(name, hybrid.LANES, lines)
    text = prepare(name, graph, slots, 1)
    text += f"constexpr int {name}_spill = {max(spills, 1) * 16};\n"
    inputs = ["job", "here", "next", "spill", "nonce"] + ["keyed", "starts", "middles"] * roll
    arguments = ", ".join(
        f"const u32* {x}" if x not in ("next", "spill") else f"u32* {x}" for x in inputs
    )
    text += (
        f"inline __attribute__((always_inline)) void {name}({arguments}) {{\n"
        + "    const u32 *row1, *row2;\n"
        + asm(
            lines,
            '[row1] "=&r"(row1), [row2] "=&r"(row2)',
            ", ".join(f'[{x}] "r"({x})' for x in inputs),
            [f"xmm{r}" for r in range(32)],
        )
        + "}\n"
    )
    return text


TEXT = {
    "add": "{} + {}",
    "xor": "{} ^ {}",
    "and": "{} & {}",
    "rotate": "rotate_right({}, {})",
    "right": "{} >> {}",
}


def scalar_text(name: str, roll: bool) -> str:
    """The same as C++, a word at a time, for any compiler."""
    graph = Graph(False, rotate=True, nested="s" if roll else "se")  # by measuring on Zen 4
    (out,) = (roll_scan if roll else nonce_scan)(graph, 1)
    slots: dict = {}

    def word(x) -> str:
        if isinstance(x, Vector):
            return f"v{x.index}"
        key = x.name if isinstance(x, Uniform) else x
        return f"0x{x:08x}u" if isinstance(x, int) else f"job[{slots.setdefault(key, len(slots))}]"

    lines = []
    for i in needed(graph.ops, [out]):
        kind, *x = graph.ops[i]
        if kind == "keyed":
            value = f"keyed[{x[0]}]"
        elif kind == "lane":
            value = (
                "nonce"
                if x[0] == "nonce"
                else f"lanes[{int(x[0][-1]) + 8 * x[0].startswith('middle')}]"
            )
        elif kind in ("rotate", "right"):
            value = TEXT[kind].format(word(x[0]), x[1])
        else:
            value = TEXT[kind].format(*map(word, x))
        lines.append(f"    const u32 v{i} = {value};")
    found = Counter(graph.ops[i][0] for i in needed(graph.ops, [out]))
    counts[name] = Counter({"lanes": 1, "add@32": found["add"], "rotate@32": found["rotate"],
                            "shift@32": found["right"], "logic@32": found["xor"] + found["and"]})  # fmt: skip
    arguments = (
        "const u32* job, const u32* lanes, const u32* keyed"
        if roll
        else "const u32* job, u32 nonce"
    )
    text = (
        f"TR_HD u32 {name}({arguments}) {{\n"
        + ("    (void)job;\n")
        + "\n".join(lines)
        + f"\n    return {word(out)};\n}}\n"
    )
    return prepare(name, graph, slots, 1) + text


def shani_text(name: str, lanes: int, roll: bool) -> str:
    lines, graph, slots = shani.sha_ni(lanes, roll)
    count(name, lanes, lines)
    text = prepare(name, graph, slots, 1)
    inputs = ["job", "lanes", "keyed", "work", "last"]
    arguments = ", ".join(
        f"const u32* {x}" if x not in ("work", "last") else f"u32* {x}" for x in inputs
    )
    text += (
        f"inline __attribute__((always_inline)) void {name}({arguments}) {{\n"
        + asm(
            lines,
            "",
            ", ".join(f'[{x}] "r"({x})' for x in inputs),
            [f"xmm{r}" for r in range(2 * lanes + 3)],
        )
        + "}\n"
    )
    return text


def armv8_text() -> str:
    graph, quad4, numbers = shani.armv8()
    slots = {("quad4", i, w.name): i for i, w in enumerate(quad4)}
    text = prepare("armv8_nonce", graph, slots, 1) + "constexpr int armv8_quad4 = 0;\n"
    for name, words in numbers.items():
        text += f"constexpr u32 armv8_{name}[{len(words)}] = {{{', '.join(f'0x{w:08x}u' for w in words)}}};\n"
    # quads of four rounds: 15 and 16; as written in scan_armv8.cpp, a hash
    counts["armv8_nonce"] = Counter(
        {"lanes": 1, "rounds4@128": 62, "message1@128": 24, "message2@128": 23, "add@128": 31}
    )
    counts["armv8_roll"] = Counter(
        {"lanes": 1, "rounds4@128": 62, "message1@128": 12, "message2@128": 12, "add@128": 18}
    )
    return text


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    # batches side by side, then windows and latencies of the schedule (none: the order of the description),
    # by measuring on Zen 4; with sixteen registers a second batch only spills
    for name, machine, nonce, roll in (
        ("avx512", Machine(512, [*range(32)], 16), (2, 24, (4, 3)), (2, 24, (5, 3))),
        ("avx2", Machine(256, [*range(16)], 8), (1, 0, (2, 1)), (1, 0, (2, 1))),
    ):
        text = vertical(f"{name}_nonce", machine, False, *nonce)
        text += vertical(f"{name}_roll", machine, True, *roll)
        write(out / f"{name}.inc", text)
    text = scalar_text("scalar_nonce", False) + scalar_text("scalar_roll", True)
    write(out / "scalar.inc", text)
    write(out / "armv8.inc", armv8_text())
    text = "".join(
        shani_text(f"sha_ni{n}_{m}", n, m == "roll") for n in (2, 4, 6) for m in ("nonce", "roll")
    )
    write(out / "sha_ni.inc", text)
    text = hybrid_text("hybrid_nonce", False) + hybrid_text("hybrid_roll", True)
    names = ("MIDDLE", "DONE2", "BLOCK")
    text += "".join(
        f"constexpr int hybrid_{n.lower()} = {getattr(hybrid, n) // 4};\n" for n in names
    )
    write(out / "hybrid.inc", text)
    rows = [
        f'    {{"{name}", "{kind}", {n}}},'
        for name, found in counts.items()
        for kind, n in found.items()
    ]
    write(
        out / "counts.inc",
        "constexpr OperationCount operation_counts[] = {\n" + "\n".join(rows) + "\n};\n",
    )


if __name__ == "__main__":
    main()
