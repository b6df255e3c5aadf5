"""Operations on vectors to x86 instructions: registers by farthest next use, then AT&T text.

Straight-line code on single assignments: a register that is needed goes to the value whose next use is
farthest (Belady), which is stored once if it is not in memory already.
"""

from __future__ import annotations

from description import Graph, Uniform, Vector, needed
from schedule import scheduled


class Machine:
    """Where operands live: registers, and memory of the job, the lanes and the spills."""

    def __init__(self, bits: int, registers: list[int], lanes: int, evex: bool = False) -> None:
        self.bytes = bits // 8
        self.prefix = {128: "xmm", 256: "ymm", 512: "zmm"}[bits]
        self.registers = registers
        self.lanes = lanes
        self.wide = bits == 512 or evex  # EVEX: broadcasts from memory, 32 registers
        self.one = f"%{{1to{bits // 32}%}}"
        self.widths = (1, 2) if bits == 512 else (2, 4)  # shifts, operations a cycle

    def name(self, r: int) -> str:
        return f"%%{self.prefix}{r}"


TABLE = {"xor3": 0x96, "choose": 0xCA, "majority": 0xE8}
UNPACK = {
    "low": "vpunpckldq",
    "high": "vpunpckhdq",
    "low64": "vpunpcklqdq",
    "high64": "vpunpckhqdq",
}
PLAIN = {"add": "vpaddd", "xor": "vpxor", "and": "vpand"}


def _permuted(imm: int, order: tuple[int, int, int]) -> int:
    """Truth table of a three-input function whose operands are given in another order."""
    out = 0
    for index in range(8):
        bits = (index >> 2 & 1, index >> 1 & 1, index & 1)
        original = [0, 0, 0]
        for place, source in enumerate(order):
            original[source] = bits[place]
        if imm >> (original[0] << 2 | original[1] << 1 | original[2]) & 1:
            out |= 1 << index
    return out


class Allocator:
    """Instructions for the operations of a graph, in the order given.

    `slots` collects the job's uniform words; `memory(op)` tells where a leaf ("lane", "keyed") stands and
    whether it is one word to broadcast.
    """

    def __init__(
        self, machine: Machine, graph: Graph, order: list[int], memory, slots: dict
    ) -> None:
        self.m, self.ops, self.order, self.memory, self.slots = (
            machine,
            graph.ops,
            order,
            memory,
            slots,
        )
        self.lines: list[str] = []
        self.uses: dict[int, list[int]] = {}
        for position, i in enumerate(order):
            for x in self.ops[i]:
                if isinstance(x, Vector):
                    self.uses.setdefault(x.index, []).append(position)
        self.free = list(reversed(machine.registers))
        self.where: dict[int, int] = {}  # value -> register
        self.spilled: dict[int, int] = {}
        self.holes: list[int] = []
        self.spills = 0
        self.position = 0

    def emit(self, text: str) -> None:
        self.lines.append(text)

    def next_use(self, value: int) -> float:
        for p in self.uses.get(value, []):
            if p >= self.position:
                return p
        return float("inf")

    def dies(self, value: int) -> bool:
        return not any(p > self.position for p in self.uses.get(value, []))

    def leaf(self, value: int) -> bool:
        return self.ops[value][0] in ("lane", "keyed")

    def stack(self, value: int) -> str:
        return f"{self.spilled[value] * self.m.bytes}(%[spill])"

    def release(self, value: int) -> None:
        if value in self.where:
            self.free.append(self.where.pop(value))
        if value in self.spilled:
            self.holes.append(self.spilled.pop(value))

    def register(self, keep: tuple[int, ...] = ()) -> int:
        if not self.free:
            victim = max((v for v in self.where if v not in keep), key=self.next_use)
            r = self.where.pop(victim)
            if not self.leaf(victim) and victim not in self.spilled:
                self.spilled[victim] = self.holes.pop() if self.holes else self.spills
                self.spills = max(self.spills, self.spilled[victim] + 1)
                self.emit(
                    f"vmovdqa{'64' if self.m.wide else ''} {self.m.name(r)}, {self.stack(victim)}"
                )
            self.free.append(r)
        return self.free.pop()

    def operand(self, x) -> tuple[str, bool]:
        """Text of an operand in memory or a register, and whether it is a broadcast."""
        if isinstance(x, Vector):
            if x.index in self.where:
                return self.m.name(self.where[x.index]), False
            if self.leaf(x.index):
                return self.memory(self.ops[x.index])
            return self.stack(x.index), False
        key = x.name if isinstance(x, Uniform) else x
        slot = self.slots.setdefault(key, len(self.slots))
        if self.m.wide:
            return f"{4 * slot}(%[job])", True
        return f"{self.m.bytes * slot}(%[job])", False

    def load(self, x, keep: tuple[int, ...] = ()) -> int:
        """The register of a value, loaded if need be."""
        if isinstance(x, Vector) and x.index in self.where:
            return self.where[x.index]
        text, one = self.operand(x)
        r = self.register(keep)
        move = "vpbroadcastd" if one else "vmovdqa64" if self.m.wide else "vmovdqa"
        self.emit(f"{move} {text}, {self.m.name(r)}")
        if isinstance(x, Vector):
            self.where[x.index] = r
        return r

    def run(self) -> list[str]:
        for position, i in enumerate(self.order):
            self.position = position
            if not self.leaf(i):
                self.lower(i)
        return self.lines

    def finish(self, i: int, sources: list, make) -> None:
        """Frees what dies here, then writes the result."""
        dead = [x for x in {x.index for x in sources if isinstance(x, Vector)} if self.dies(x)]
        for x in dead:
            if x in self.where:
                self.free.append(self.where.pop(x))
        r = self.register(tuple(x.index for x in sources if isinstance(x, Vector)))
        self.where[i] = r
        make(self.m.name(r))
        for x in dead:  # its slot is free only after the instruction that reads it
            self.release(x)

    def lower(self, i: int) -> None:
        kind, *sources = self.ops[i]
        keep = tuple(x.index for x in sources if isinstance(x, Vector))
        if kind in PLAIN:
            x, y = sources
            if not (isinstance(x, Vector) and x.index in self.where):
                x, y = y, x
            if not isinstance(x, Vector):
                x, y = y, x
            rx = self.m.name(self.load(x, keep))
            text, one = self.operand(y)
            if one and not self.m.wide:
                text, one = self.m.name(self.load(y, keep)), False
            elif (
                isinstance(y, Vector)
                and y.index not in self.where
                and not self.leaf(y.index)
                and not self.dies(y.index)
            ):
                text = self.m.name(self.load(y, keep))
            text += self.m.one if one else ""
            name = PLAIN[kind] + ("d" if self.m.wide and kind != "add" else "")
            self.finish(i, sources, lambda r: self.emit(f"{name} {text}, {rx}, {r}"))
        elif kind in ("rotate", "right", "left"):
            x, n = sources
            rx = self.m.name(self.load(x, keep))
            name = {"rotate": "vprord", "right": "vpsrld", "left": "vpslld"}[kind]
            self.finish(i, [x], lambda r: self.emit(f"{name} ${n}, {rx}, {r}"))
        elif kind in UNPACK:
            x, y = sources
            rx = self.m.name(self.load(x, keep))
            text, one = self.operand(y)
            if one:
                text += self.m.one
            if one and "dq" not in UNPACK[kind]:
                raise ValueError("a broadcast word to a 64-bit unpack")
            self.finish(i, sources, lambda r: self.emit(f"{UNPACK[kind]} {text}, {rx}, {r}"))
        elif kind == "spread":
            text, _ = self.operand(sources[0])
            self.finish(i, [], lambda r: self.emit(f"vpbroadcastd {text}, {r}"))
        elif kind == "store":
            x, place = sources
            rx = self.m.name(self.load(x, keep))
            self.emit(f"vmovdqa{'64' if self.m.wide else ''} {rx}, {place}")
            if self.dies(x.index):
                self.release(x.index)
        elif kind in TABLE:
            self.ternary(i, kind, sources, keep)
        else:
            raise ValueError(kind)

    def ternary(self, i: int, kind: str, sources: list, keep: tuple[int, ...]) -> None:
        order = sorted(
            range(3),
            key=lambda k: 0 if self.dying(sources[k]) else 1 if self.held(sources[k]) else 2,
        )
        imm = _permuted(TABLE[kind], tuple(order))
        first, second, third = (sources[k] for k in order)
        if self.dying(first):
            r = self.load(first, keep)
        else:
            held = self.m.name(self.load(first, keep)) if isinstance(first, Vector) else None
            text, one = self.operand(first)
            r = self.register(keep)
            self.emit(f"{'vpbroadcastd' if one else 'vmovdqa64'} {held or text}, {self.m.name(r)}")
        r2 = self.m.name(self.load(second, keep))
        scratch = isinstance(second, Vector) is False
        text, one = self.operand(third)
        if (
            isinstance(third, Vector)
            and third.index not in self.where
            and not self.dies(third.index)
        ):
            text, one = self.m.name(self.load(third, keep)), False
        text += self.m.one if one else ""
        self.emit(f"vpternlogd $0x{imm:02x}, {text}, {r2}, {self.m.name(r)}")
        for x in {x.index for x in sources if isinstance(x, Vector)}:
            if self.dies(x):
                if self.where.get(x) == r:
                    del self.where[x]
                self.release(x)
        self.where[i] = r
        if scratch:  # a uniform operand held a register for this one instruction
            self.free.append(int(r2.split("mm")[1]))

    def held(self, x) -> bool:
        return isinstance(x, Vector) and x.index in self.where

    def dying(self, x) -> bool:
        return self.held(x) and self.dies(x.index)


def allocate(machine: Machine, graph: Graph, outputs: list[Vector], memory, slots: dict,
             window: int = 0, latencies: tuple[int, int] = (2, 1)):  # fmt: skip
    """Lines for a graph, the registers (names) of its outputs, and how many spill slots they take.

    With a window operations are rearranged first.
    """
    order = needed(graph.ops, outputs)
    if window:
        order = scheduled(graph, order, window, latencies, machine.widths)
    a = Allocator(machine, graph, order, memory, slots)
    for v in outputs:
        a.uses.setdefault(v.index, []).append(len(order))
    lines = a.run()
    a.position = len(order)
    places = [machine.name(a.load(v)) for v in outputs if graph.ops[v.index][0] != "store"]
    return lines, places, a.spills
