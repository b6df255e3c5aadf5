"""The SHA-NI scanner: hashes in pairs of registers, several interleaved to hide the latency of sha256rnds2.

Registers hold F E B A and H G D C of a hash, words of the schedule four by four. What the nonce does not
reach is the job's: sums of words and constants for whole pairs of rounds, and three quads of the schedule.
"""

from __future__ import annotations

from collections.abc import Iterator

from description import IV, PADDING, Graph, K, Uniform, Word


class Job:
    """Quads of the job, each 16 bytes; those of SHA-256 alone stand there too."""

    def __init__(self) -> None:
        self.quads: list[tuple] = []

    def quad(self, *words) -> str:
        key = tuple(w.name if isinstance(w, Uniform) else w for w in words)
        if key not in self.quads:
            self.quads.append(key)
        return f"{16 * self.quads.index(key)}(%[job])"


class Lane:
    """One hash: its two registers, its part of the scratch memory, and what it does step by step."""

    def __init__(self, index: int, lanes: int, job: Job, graph: Graph, roll: bool) -> None:
        self.index, self.job, self.g, self.roll = index, job, graph, roll
        self.p, self.q = f"%%xmm{1 + 2 * index}", f"%%xmm{2 + 2 * index}"
        self.t, self.u = f"%%xmm{2 * lanes + 1}", f"%%xmm{2 * lanes + 2}"
        self.lanes = lanes
        self.known: dict[int, list[Word]] = {}  # quads of words that are the job's

    def at(self, quad: int) -> str:
        """Memory of a quad of the schedule, a ring of four."""
        return f"{64 * self.index + 16 * (quad % 4)}(%[work])"

    def start(self, kind: str) -> str:
        row = {"state": 0, "other": 1, "middle": 2, "middle2": 3}[kind]
        return f"{16 * (row * self.lanes + self.index)}(%[lanes])"

    def rounds(self, words: str, both: bool = True) -> Iterator[list[str]]:
        """Two or four rounds with sums of words and constants in memory."""
        yield [f"movdqa {words}, %%xmm0", f"sha256rnds2 %%xmm0, {self.p}, {self.q}"]
        if both:
            yield [f"pshufd $0x0e, {words}, %%xmm0", f"sha256rnds2 %%xmm0, {self.q}, {self.p}"]
        else:
            self.p, self.q = self.q, self.p

    def keyed(self, quad: int, held: str | None, last: bool = False) -> list[str]:
        """Four rounds with words in memory, or still held in a register."""
        constants = self.job.quad(*K[4 * quad : 4 * quad + 4])
        out = [
            f"movdqa {held or self.at(quad)}, %%xmm0",
            f"paddd {constants}, %%xmm0",
            f"sha256rnds2 %%xmm0, {self.p}, {self.q}",
        ]
        if last:
            self.p, self.q = self.q, self.p
            return out
        return [*out, "pshufd $0x0e, %%xmm0, %%xmm0", f"sha256rnds2 %%xmm0, {self.q}, {self.p}"]

    def source(self, quad: int) -> str:
        return self.job.quad(*self.known[quad]) if quad in self.known else self.at(quad)

    def schedule(self, n: int) -> list[str]:
        """Quad n of the schedule into register t and its memory."""
        before = [self.known.get(k) for k in (n - 4, n - 3, n - 2, n - 1)]
        out = []
        # w[t-16] + s0(w[t-15])
        if before[0] and before[1]:
            words = before[0] + before[1]
            first = [
                self.g.add(words[i], self.g.rotates(words[i + 1], (7, 18), 3)) for i in range(4)
            ]
        else:
            first = None
            out += [
                f"movdqa {self.source(n - 4)}, {self.t}",
                f"sha256msg1 {self.source(n - 3)}, {self.t}",
            ]
        # + w[t-7]
        if before[2] and before[3]:
            seven = (before[2] + before[3])[1:5]
            if first is not None:
                first = [self.g.add(x, y) for x, y in zip(first, seven, strict=True)]
            elif any(x != 0 for x in seven):
                out.append(f"paddd {self.job.quad(*seven)}, {self.t}")
            if first is not None:
                out.append(f"movdqa {self.job.quad(*first)}, {self.t}")
            out.append(f"sha256msg2 {self.source(n - 1)}, {self.t}")
        elif before[2] and n in self.shifted:
            # the first word of quad n-1 is the job's: so are all four of w[t-7]
            seven = [*before[2][1:], self.shifted[n]]
            first = [self.g.add(x, y) for x, y in zip(first, seven, strict=True)]
            out += [
                f"movdqa {self.job.quad(*first)}, {self.t}",
                f"sha256msg2 {self.source(n - 1)}, {self.t}",
            ]
        else:
            out += [
                f"movdqa {self.source(n - 1)}, {self.u}",
                f"movdqa {self.u}, %%xmm0",
                f"palignr $4, {self.source(n - 2)}, %%xmm0",
            ]
            if first is not None:
                out.append(f"movdqa {self.job.quad(*first)}, {self.t}")
            out += [f"paddd %%xmm0, {self.t}", f"sha256msg2 {self.u}, {self.t}"]
        return [*out, f"movdqa {self.t}, {self.at(n)}"]

    def first_hash(self, middle: list[Word], tail: list[Word]) -> Iterator[list[str]]:
        """Rounds 4 to 63 and the midstate; p and q hold the state after round 3."""
        if self.roll:
            for pair in range(2, 32):
                yield [
                    f"movq {32 * pair}(%[keyed]), %%xmm0",
                    f"sha256rnds2 %%xmm0, {self.p}, {self.q}",
                ]
                self.p, self.q = self.q, self.p
            return
        self.known = {1: [0x80000000, 0, 0, 0], 2: [0, 0, 0, 0], 3: [0, 0, 0, 640]}
        w: list = [*tail, None, *self.known[1], *self.known[2], *self.known[3]]
        for t in (16, 17):
            w.append(self.g.scheduled(w, t))
        # words 18 and 19 less what the nonce brings
        w += [
            self.g.add(w[2], w[11], self.g.rotates(w[16], (17, 19), 10)),
            self.g.add(
                self.g.rotates(w[4], (7, 18), 3), w[12], self.g.rotates(w[17], (17, 19), 10)
            ),
        ]
        self.shifted = {5: w[16]}
        for quad in (1, 2, 3):
            yield from self.rounds(
                self.job.quad(*(self.g.add(w[4 * quad + i], K[4 * quad + i]) for i in range(4)))
            )
        # the nonce alone in the last word: msg1 gives s0(nonce) and the nonce where they belong
        yield [
            f"movd {4 * self.index}(%[lanes]), {self.t}",
            f"pslldq $12, {self.t}",
            f"sha256msg1 {self.job.quad(0, 0, 0, 0)}, {self.t}",
            f"paddd {self.job.quad(*w[16:20])}, {self.t}",
            f"movdqa {self.t}, {self.at(4)}",
            *self.keyed(4, self.t),
        ]
        for quad in range(5, 16):
            yield self.schedule(quad) + self.keyed(quad, self.t)
            self.known.pop(quad - 4, None)

    def turn(self) -> list[str]:
        """The first digest becomes the second hash's words; the state starts anew."""
        p, q, t = self.p, self.q, self.t
        middle = (
            (self.start("middle"), self.start("middle2"))
            if self.roll
            else (
                self.job.quad(*(Uniform(f"middle[{i}]") for i in (5, 4, 1, 0))),
                self.job.quad(*(Uniform(f"middle[{i}]") for i in (7, 6, 3, 2))),
            )
        )
        return [
            f"paddd {middle[0]}, {p}",
            f"paddd {middle[1]}, {q}",  # F E B A, H G D C
            f"pshufd $0x1b, {p}, {t}",  # A B E F
            f"pshufd $0xb1, {q}, {self.u}",  # G H C D
            f"movdqa {t}, %%xmm0",
            f"pblendw $0xf0, {self.u}, %%xmm0",  # A B C D
            f"palignr $8, {t}, {self.u}",  # E F G H
            f"movdqa %%xmm0, {self.at(0)}",
            f"movdqa {self.u}, {self.at(1)}",
            f"movdqa {self.job.quad(*IVS[0])}, {p}",
            f"movdqa {self.job.quad(*IVS[1])}, {q}",
        ]

    def second_hash(self) -> Iterator[list[str]]:
        """Rounds 0 to 61."""
        self.known = {2: PADDING[:4], 3: PADDING[4:]}
        self.shifted = {}
        yield self.keyed(0, None)
        yield self.keyed(1, None)
        for quad in (2, 3):
            yield from self.rounds(
                self.job.quad(*(self.g.add(self.known[quad][i], K[4 * quad + i]) for i in range(4)))
            )
        for quad in range(4, 16):
            yield self.schedule(quad) + self.keyed(quad, self.t, last=quad == 15)
            self.known.pop(quad - 4, None)
        yield [
            f"paddd {self.job.quad(IV[7], 0, 0, 0)}, {self.p}",
            f"movd {self.p}, {4 * self.index}(%[last])",
        ]

    def steps(self) -> Iterator[list[str]]:
        middle: list[Word] = [Uniform(f"middle[{i}]") for i in range(8)]
        tail: list[Word] = [Uniform(f"tail[{i}]") for i in range(3)]
        nonce = "36(%[keyed])" if self.roll else f"{4 * self.index}(%[lanes])"
        first = [self.start("state"), self.start("other")]
        if not self.roll:
            state = self.g.rounds(middle, [*tail, 0], 0, 4)
            first = [
                self.job.quad(*(state[i] for i in row)) for row in ((5, 4, 1, 0), (7, 6, 3, 2))
            ]
        yield [
            f"movd {nonce}, {self.p}",
            f"pshufd $0x11, {self.p}, {self.p}",  # into a and e
            f"paddd {first[0]}, {self.p}",
            f"movdqa {first[1]}, {self.q}",
        ]
        yield from self.first_hash(middle, tail)
        yield self.turn()
        yield from self.second_hash()


IVS = ([IV[5], IV[4], IV[1], IV[0]], [IV[7], IV[6], IV[3], IV[2]])


def sha_ni(lanes: int, roll: bool):
    job, graph = Job(), Graph(True)
    streams = [Lane(k, lanes, job, graph, roll).steps() for k in range(lanes)]
    lines: list[str] = []
    while streams:
        left = []
        for stream in streams:
            unit = next(stream, None)
            if unit is not None:
                lines += unit
                left.append(stream)
        streams = left
    slots = {
        ("quad", n, i, w): 4 * n + i for n, quad in enumerate(job.quads) for i, w in enumerate(quad)
    }
    return lines, graph, slots


def armv8() -> tuple[Graph, list[Word], dict[str, list[int]]]:
    """What the four-round instructions of ARMv8 take from the job, and constants of the paddings."""
    g = Graph(True)
    tail: list[Word] = [Uniform(f"tail[{i}]") for i in range(3)]
    header = [0x80000000, *[0] * 10, 640]
    w: list = [*tail, 0, *header]
    for t in range(16, 20):
        w.append(g.scheduled(w, t))
    numbers = {
        "padding": PADDING,
        "keyed_padding": [x + k & 0xFFFFFFFF for x, k in zip(PADDING, K[8:16], strict=True)],
        "header_padding": header,
        "keyed_header": [x + k & 0xFFFFFFFF for x, k in zip(header, K[4:16], strict=True)],
    }
    return g, w[16:20], numbers
