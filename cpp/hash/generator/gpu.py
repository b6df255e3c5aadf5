"""Writes the header scanners of CUDA devices: `python gpu.py OUT_DIR`.

The same description as the processors' scanners, one hash a thread: logic of three inputs, rotations by
funnel shifts, words of the job from the constant bank. Sums stand as `sum<mad>`: an addition, or a
multiplication by a one that the compiler does not know, which other pipes of a multiprocessor do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from description import Graph, Uniform, Vector, needed, nonce_scan, roll_scan
from generate import prepare, write

TEXT = {
    "add": "sum<mad>({}, {}, one)",
    "xor": "{} ^ {}",
    "xor3": "{} ^ {} ^ {}",
    "and": "{} & {}",
    "choose": "choose({}, {}, {})",
    "majority": "majority({}, {}, {})",
    "rotate": "__funnelshift_r({0}, {0}, {1})",
    "right": "{} >> {}",
}


def text(name: str, roll: bool) -> str:
    """The function of one hash, and the one that fills its job."""
    graph = Graph(logic3=True)
    (out,) = (roll_scan if roll else nonce_scan)(graph, 1)
    slots: dict = {}

    def word(x) -> str:
        if isinstance(x, Vector):
            return f"v{x.index}"
        if isinstance(x, int):
            return f"0x{x:08x}u"
        return f"job[{slots.setdefault(x.name, len(slots))}]"

    lines = []
    for i in needed(graph.ops, [out]):
        kind, *x = graph.ops[i]
        if kind == "keyed":
            value = f"keyed[{x[0] - 3}]"
        elif kind == "lane":
            place = int(x[0][-1]) + 8 * x[0].startswith("middle") if roll else 0
            value = f"lanes[{place}]" if roll else "nonce"
        elif kind in ("rotate", "right"):
            value = TEXT[kind].format(word(x[0]), x[1])
        else:
            value = TEXT[kind].format(*map(word, x))
        lines.append(f"    const u32 v{i} = {value};")
    inputs = "const u32* lanes, const u32* keyed" if roll else "const u32* job, u32 nonce"
    function = (
        f"template <bool mad> TR_DEVICE u32 {name}({inputs}, [[maybe_unused]] u32 one) {{\n"
        + "\n".join(lines)
        + f"\n    return {word(out)};\n}}\n"
    )
    if roll:
        assert not slots, "words of the job are all in the schedule"
        return function
    return prepare(name, graph, {Uniform(k).name: v for k, v in slots.items()}, 1) + function


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    write(out / "gpu.inc", text("gpu_nonce", False) + text("gpu_roll", True))


if __name__ == "__main__":
    main()
