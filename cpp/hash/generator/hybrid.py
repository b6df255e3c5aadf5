"""The hybrid scanner: schedules in vectors of 8 hashes, rounds by SHA-NI, merged in one pipeline.

Turn i makes the first schedule of batch i, the first rounds of i - 1, the second schedule of i - 2 and the
second rounds of i - 3. What one turn writes (block `next`) the following reads (block `here`). A slot
s = 2 g + j of the rounds is lane v = 4 j + g of the vectors: that is how four unpacks transpose. Vectors of
256 bits, as an operation of 512 holds its pipe for two cycles, for which the rounds wait.
"""

from __future__ import annotations

from dataclasses import dataclass

from description import IV, PADDING, Graph, K, Uniform, Vector, Word
from vectors import Machine, allocate

LANES = 8
ROW = 8 * LANES
PAIRS = 30  # two rounds each: 4..63 of the first hash, 1..60 of the second
# A block, in bytes: pairs of (word + constant), first states, and results of either hash.
PAIRS1, PAIRS2 = 0, PAIRS * ROW
START1, START2 = 2 * PAIRS * ROW, 2 * PAIRS * ROW + 16 * LANES
DONE1, DONE2 = START2 + 16 * LANES, START2 + 48 * LANES
BLOCK = DONE2 + 16 * LANES


# Hashes at once (16 of a batch in all), and how many sha256rnds2 stand between vector instructions: by
# measuring on Zen 4.
MIX = {False: ([6, 6, 4], 2), True: ([4, 7, 5], 2)}
MIDDLE = 4064  # blocks are addressed from here, so that most offsets of vectors take one byte


def at(name: str, offset: int) -> str:
    return f"{offset - MIDDLE * (name in ('here', 'next'))}(%[{name}])"


@dataclass(frozen=True)
class Part:
    """Lanes of one vector: part `index` of the batch."""

    index: int
    lanes: int

    def store(self, g: Graph, x: Vector, base: int, row: int) -> Vector:
        return g.op("store", x, at("next", base + 4 * self.lanes * row))

    def spread(self, g: Graph, x: Word) -> Vector:
        return g.op("spread", x, self.index)


def place(slot: int, lanes: int) -> tuple[int, int]:
    """Lane of a slot, and the bytes into a stored pair of vectors where that lane has its eight."""
    part, s = divmod(slot, lanes)
    g, j = divmod(s, lanes // 4)
    return part * lanes + 4 * j + g, 8 * lanes * part + 4 * lanes * (g >= 2) + 16 * j + 8 * (g & 1)


# --- schedules, in vectors


def store_pairs(g: Graph, part: Part, w: list[Word], first: int, base: int) -> list[Vector]:
    """Words from `first` on plus constants, two by two; those that are the job's own are left out."""
    out = []
    for p in range(PAIRS):
        t = first + 2 * p
        for k in (t, t + 1):
            if k == len(w):
                w.append(g.scheduled(w, k))
        pair = [g.add(w[k], K[k]) for k in (t, t + 1)]
        if not any(isinstance(x, Vector) for x in pair):
            continue
        if not isinstance(pair[0], Vector):  # the first operand stands in a register
            pair[0] = part.spread(g, pair[0])
        for row, kind in enumerate(("low", "high")):
            out.append(
                part.store(g, g.op(kind, *pair), base + ROW * p + 8 * part.lanes * part.index, row)
            )
    return out


def store_states(g: Graph, part: Part, state: list[Word], base: int) -> list[Vector]:
    """A state that differs in a and e alone, as the registers F E B A of each slot."""
    a, b, _, _, e, f, _, _ = state
    f, b = part.spread(g, f), part.spread(g, b)
    out = []
    for half, kind in enumerate(("low", "high")):
        fe, ba = g.op(kind, f, e), g.op(kind, b, a)
        for k, wide in enumerate(("low64", "high64")):
            out.append(
                part.store(g, g.op(wide, fe, ba), base + 16 * part.lanes * part.index, 2 * half + k)
            )
    return out


def first_schedule(g: Graph, part: Part) -> list[Vector]:
    middle: list[Word] = [Uniform(f"middle[{i}]") for i in range(8)]
    w: list[Word] = [Uniform(f"tail[{i}]") for i in range(3)] + [
        g.op("lane", "nonce", 0, part.index)
    ]
    w += [0x80000000] + [0] * 10 + [640]
    state = g.rounds(middle, w, 0, 4)
    return store_states(g, part, state, START1) + store_pairs(g, part, w, 4, PAIRS1)


def second_schedule(g: Graph, part: Part, roll: bool) -> list[Vector]:
    words: list[Word] = [0] * 8
    for half, places in enumerate(((5, 4, 1, 0), (7, 6, 3, 2))):  # F E B A, then H G D C
        rows = [g.op("lane", ("done", "done2")[half], k, part.index) for k in range(4)]
        t = [g.op(kind, rows[k], rows[k + 1]) for k in (0, 2) for kind in ("low", "high")]
        for k, (kind, x) in enumerate((("low64", 0), ("high64", 0), ("low64", 1), ("high64", 1))):
            i = places[k]
            middle = g.op("lane", "middle", i, part.index) if roll else Uniform(f"middle[{i}]")
            words[i] = g.add(g.op(kind, t[x], t[x + 2]), middle)
    w = words + PADDING
    state = g.rounds(list(IV), w, 0, 1)
    return store_states(g, part, state, START2) + store_pairs(g, part, w, 1, PAIRS2)


# --- rounds, one hash a register pair


def rounds(job: dict, groups: list[int], roll: bool, lanes: int) -> list[str]:
    """The rounds of all slots of both hashes, in groups that hide the latency of sha256rnds2."""
    work = [(number, slot) for number in (1, 2) for slot in range(LANES)]
    most = max(groups)
    lines = [f"vmovdqa (%[nonce]), %%xmm{2 * most + 1}"] * roll
    while work:
        size = groups[0]
        groups = groups[1:] + groups[:1]
        group, work = work[:size], work[size:]
        hashes = [(number, s, 1 + 2 * k, 2 + 2 * k) for k, (number, s) in enumerate(group)]
        for number, s, p, q in hashes:
            if roll and number == 1:
                lines += [
                    f"vpaddd {16 * s}(%[starts]), %%xmm{2 * most + 1}, %%xmm{p}",
                    f"vmovdqa {16 * LANES + 16 * s}(%[starts]), %%xmm{q}",
                ]
            else:
                start = (START1, START2)[number - 1]
                lines += [
                    f"vmovdqa {at('here', start + 16 * s)}, %%xmm{p}",
                    f"vmovdqa {job[f'state{number}']}, %%xmm{q}",
                ]
        # a pointer per hash walks down two pairs at a time, so that a lane's offset takes one byte
        walks = sorted({number for number, *_ in hashes if not (roll and number == 1)})
        lines += [f"lea {at('here', (PAIRS1, PAIRS2)[n - 1] + ROW)}, %[row{n}]" for n in walks]
        for pair in range(PAIRS):
            held = ""
            for number, s, p, q in hashes:
                if roll and number == 1:
                    words = f"{8 * LANES * (pair + 2)}(%[keyed])"
                else:
                    own = f"{place(s, lanes)[1] - ROW * (1 - pair % 2)}(%[row{number}])"
                    words = job.get((number, pair), own)
                if words != held:
                    lines.append(f"vmovq {words}, %%xmm0")
                    held = words
                if pair % 2:
                    p, q = q, p
                lines.append(f"sha256rnds2 %%xmm0, %%xmm{p}, %%xmm{q}")
            if pair % 2:
                lines += [f"add ${2 * ROW}, %[row{n}]" for n in walks]
        for number, s, p, q in hashes:
            lines.append(f"vmovdqa %%xmm{p}, {at('next', (DONE1, DONE2)[number - 1] + 16 * s)}")
            if number == 1:
                lines.append(f"vmovdqa %%xmm{q}, {at('next', DONE1 + 16 * LANES + 16 * s)}")
    return lines


def merged(first: list[str], second: list[str], every: int) -> list[str]:
    """Both in order; after `every` sha256rnds2 the share of the others that is due."""
    total = sum("rnds2" in line for line in first)
    out: list[str] = []
    seen = taken = 0
    for line in first:
        out.append(line)
        if "rnds2" in line:
            seen += 1
            if seen % every == 0:
                upto = len(second) * seen // total
                out += second[taken:upto]
                taken = upto
    return out + second[taken:]


def hybrid(roll: bool):
    """Lines of one turn, the graph with the job's scalar code, and the slots of the job."""
    groups, every = MIX[roll]
    lanes = LANES
    machine = Machine(32 * lanes, [*range(2 * max(groups) + 1 + roll, 32)], lanes, evex=True)
    slots: dict = {}

    def memory(op):
        _, name, row, part = op
        if name == "nonce":
            return at("nonce", 4 * lanes * part), False
        if name == "middle":
            return at("middles", 4 * LANES * row + 4 * lanes * part), False
        base = DONE1 if name == "done" else DONE1 + 16 * LANES
        return at("here", base + 16 * lanes * part + 4 * lanes * row), False

    graph = Graph(True)
    job: dict = {}
    # pairs and states that are the job's own stand first, on their boundaries
    middle: list[Word] = [Uniform(f"middle[{i}]") for i in range(8)]
    tail: list[Word] = [Uniform(f"tail[{i}]") for i in range(3)]
    state1 = graph.rounds(middle, [*tail, graph.op("lane", "nonce")], 0, 4)
    state2 = graph.rounds(list(IV), [graph.op("lane", "other")], 0, 1)
    fixed: list = []
    for number, state in ((1, state1), (2, state2)):
        if number == 1 and roll:
            continue
        job[f"state{number}"] = f"{4 * len(fixed)}(%[job])"
        fixed += [state[7], state[6], state[3], state[2]]
    for number, first in ((1, 4), (2, 1)):
        if number == 1 and roll:
            continue
        w: list = [*tail, None, 0x80000000, *[0] * 10, 640] if number == 1 else [None] * 8 + PADDING
        for pair in range(PAIRS):
            t = first + 2 * pair
            if number == 1 and t == 16:
                w += [
                    graph.add(
                        w[0],
                        graph.rotates(w[1], (7, 18), 3),
                        w[9],
                        graph.rotates(w[14], (17, 19), 10),
                    )
                ]
                w += [
                    graph.add(
                        w[1],
                        graph.rotates(w[2], (7, 18), 3),
                        w[10],
                        graph.rotates(w[15], (17, 19), 10),
                    )
                ]
            if t + 1 < len(w) and w[t] is not None and w[t + 1] is not None:
                job[number, pair] = f"{4 * len(fixed)}(%[job])"
                fixed += [graph.add(w[t], K[t]), graph.add(w[t + 1], K[t + 1])]
    for n, word in enumerate(fixed):
        slots["fixed", n, word.name if isinstance(word, Uniform) else word] = n
    parts = [Part(k, lanes) for k in range(LANES // lanes)]
    outputs = [v for part in parts for v in second_schedule(graph, part, roll)]
    if not roll:
        outputs += [v for part in parts for v in first_schedule(graph, part)]
    vectors, _, spills = allocate(machine, graph, outputs, memory, slots)
    rnds = rounds(job, groups, roll, lanes)
    return merged(rnds, vectors, every), graph, slots, spills
