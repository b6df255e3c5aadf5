"""SHA-256 written once, on values that are numbers, scalars of a job, or vectors.

What is known before the vectors are is folded away: sums of constants, rounds on constant words, words of
the schedule that do not depend on the nonce. What no output needs is never emitted.

FIPS 180-4, sections 4.1.2, 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass

MASK = 0xFFFFFFFF


def _primes(n: int) -> list[int]:
    found: list[int] = []
    k = 2
    while len(found) < n:
        if all(k % p for p in found):
            found.append(k)
        k += 1
    return found


def _root(n: int, degree: int) -> int:
    """First 32 bits of the fractional part of a root of n."""
    scaled = n << 32 * degree
    low, high = 0, 1 << 48
    while high - low > 1:
        middle = (low + high) // 2
        if middle**degree <= scaled:
            low = middle
        else:
            high = middle
    return low & MASK


K = [_root(p, 3) for p in _primes(64)]
IV = [_root(p, 2) for p in _primes(8)]


def rotate(x: int, n: int) -> int:
    return (x >> n | x << (32 - n)) & MASK


@dataclass(frozen=True)
class Uniform:
    """A word of the job, the same in all lanes: its C++ name."""

    name: str


@dataclass(frozen=True)
class Vector:
    """A word in each lane: the index of the operation that makes it."""

    index: int


Word = int | Uniform | Vector
Linear = tuple[Word, Word]  # a uniform part still to be added to a vector


class Graph:
    """Operations on vectors, in order, and the scalar code that prepares the job."""

    def __init__(self, logic3: bool, rotate: bool | None = None, nested: str = "") -> None:
        self.logic3 = logic3  # three-input logic is one operation
        self.rotate = logic3 if rotate is None else rotate  # and so is a rotation
        self.nested = nested  # of "a", "e" (rounds), "s" (schedule): rotations of rotations
        self.ops: list[tuple] = []
        self.seen: dict[tuple, int] = {}
        self.scalars: list[str] = []
        self.scalar_seen: dict[str, str] = {}

    # --- leaves and scalars

    def op(self, *key) -> Vector:
        if key not in self.seen:
            self.seen[key] = len(self.ops)
            self.ops.append(key)
        return Vector(self.seen[key])

    def uniform(self, text: str) -> Uniform:
        if text not in self.scalar_seen:
            name = f"x{len(self.scalar_seen)}"
            self.scalar_seen[text] = name
            self.scalars.append(f"const u32 {name} = {text};")
        return Uniform(self.scalar_seen[text])

    def text(self, x: Word) -> str:
        return f"0x{x:08x}u" if isinstance(x, int) else x.name

    # --- arithmetic

    def add(self, *terms: Word, lazy: bool = False):
        """Sum mod 2**32. A lazy sum keeps its uniform part apart: (vector, uniform)."""
        number = sum(t for t in terms if isinstance(t, int)) & MASK
        names = sorted(t.name for t in terms if isinstance(t, Uniform))
        vectors = [t for t in terms if isinstance(t, Vector)]
        if names and (number or len(names) > 1):
            total: Word = self.uniform(" + ".join(names + [self.text(number)] * bool(number)))
        else:
            total = Uniform(names[0]) if names else number
        if not vectors:
            return total
        if not lazy and total != 0:
            vectors[0] = self.op("add", vectors[0], total)
        out = vectors[0]
        for v in vectors[1:]:
            out = self.op("add", out, v)
        return (out, total) if lazy else out

    def rotates(self, x: Word, rotations: tuple[int, ...], shift: int | None = None) -> Word:
        """Exclusive or of rotations of x and, perhaps, one shift to the right."""
        if isinstance(x, int):
            out = 0
            for n in rotations:
                out ^= rotate(x, n)
            return out ^ (x >> shift if shift is not None else 0)
        if isinstance(x, Uniform):
            parts = [f"rotate_right({x.name}, {n})" for n in rotations]
            parts += [f"({x.name} >> {shift})"] * (shift is not None)
            return self.uniform(" ^ ".join(parts))
        if self.logic3:
            words = [self.op("rotate", x, n) for n in rotations]
            words += [self.op("right", x, shift)] if shift is not None else []
            return self.op("xor3", *words)
        which = "s" if shift is not None else "a" if rotations[0] == 2 else "e"
        if which in self.nested:
            # r6(x) ^ r11(x) ^ r25(x) = r6(x ^ r5(x ^ r14(x))): fewer copies where operands are overwritten
            out = x
            for low, high in zip(reversed(rotations[:-1]), reversed(rotations[1:]), strict=True):
                out = self.op("xor", self.op("rotate", out, high - low), x)
            out = self.op("rotate", out, rotations[0])
            return out if shift is None else self.op("xor", out, self.op("right", x, shift))
        # each part is taken in as soon as it is there: few registers, and a short way to the sum
        out: Vector | None = None
        for n in rotations:
            parts = [("rotate", n)] if self.rotate else [("right", n), ("left", 32 - n)]
            for kind, by in parts:
                part = self.op(kind, x, by)
                out = part if out is None else self.op("xor", out, part)
        return out if shift is None else self.op("xor", out, self.op("right", x, shift))

    def choose(self, e: Word, f: Word, g: Word) -> Word:
        if not any(isinstance(x, Vector) for x in (e, f, g)):
            if all(isinstance(x, int) for x in (e, f, g)):
                return e & f ^ (~e & MASK) & g
            e, f, g = (self.text(x) for x in (e, f, g))
            return self.uniform(f"({e} & {f}) ^ (~{e} & {g})")
        if self.logic3:
            return self.op("choose", e, f, g)
        return self.xor(g, self.both(e, self.xor(f, g)))

    def majority(self, a: Word, b: Word, c: Word) -> Word:
        if not any(isinstance(x, Vector) for x in (a, b, c)):
            if all(isinstance(x, int) for x in (a, b, c)):
                return a & b ^ a & c ^ b & c
            a, b, c = (self.text(x) for x in (a, b, c))
            return self.uniform(f"({a} & {b}) ^ ({a} & {c}) ^ ({b} & {c})")
        if self.logic3:
            return self.op("majority", a, b, c)
        # a ^ b is the next round's b ^ c
        return self.xor(b, self.both(self.xor(a, b), self.xor(b, c)))

    def xor(self, x: Word, y: Word) -> Word:
        if isinstance(x, Vector):
            return self.op("xor", x, y)
        if isinstance(y, Vector):
            return self.op("xor", y, x)
        if isinstance(x, int) and isinstance(y, int):
            return x ^ y
        return self.uniform(f"{self.text(x)} ^ {self.text(y)}")

    def both(self, x: Word, y: Word) -> Word:
        return self.op("and", x, y) if isinstance(x, Vector) else self.op("and", y, x)

    # --- SHA-256

    def scheduled(self, w: list[Word], t: int) -> Word:
        # one sum after the other: both terms in rotations at once take more registers
        early = self.add(w[t - 16], self.rotates(w[t - 15], (7, 18), 3), w[t - 7], lazy=True)
        late = self.rotates(w[t - 2], (17, 19), 10)
        return self.add(*(early if isinstance(early, tuple) else (early,)), late)

    def round(self, state: list[Word], keyed: Word | None, *parts: Word) -> list[Word]:
        """One round; the round's constant and word are the sum of `parts`, or stand in `keyed`."""
        a, b, c, d, e, f, g, h = state
        terms = [*parts, h] if keyed is None else [h, keyed]
        terms += [self.choose(e, f, g), self.rotates(e, (6, 11, 25))]
        # a constant part is worth keeping apart where it meets another constant
        if isinstance(d, Vector) and any(isinstance(x, Vector) for x in (a, b, c)):
            t1 = [self.add(*terms)]
        else:
            lazy = self.add(*terms, lazy=True)
            t1 = list(lazy) if isinstance(lazy, tuple) else [lazy]
        following = self.add(d, *t1)  # first: the next round waits for it
        return [
            self.add(*t1, self.rotates(a, (2, 13, 22)), self.majority(a, b, c)),
            a, b, c, following, e, f, g,
        ]  # fmt: skip

    def rounds(self, state: list[Word], w: list[Word], first: int, last: int) -> list[Word]:
        for t in range(first, last):
            if t >= 16 and t == len(w):
                w.append(self.scheduled(w, t))
            state = self.round(state, None, w[t], K[t])
        return state


# --- the two kinds of scan -----------------------------------------------------------------------------

PADDING = [0x80000000] + [0] * 6 + [256]  # of a 32-byte message


def second_hashes(g: Graph, batches: list[list[Word]]) -> list[Vector]:
    """Last words of the second hashes: e after round 60 is h after round 63."""
    words = [w + PADDING for w in batches]
    states = [list(IV) for _ in words]
    for t in range(61):
        states = [g.rounds(state, w, t, t + 1) for state, w in zip(states, words, strict=True)]
    return [g.add(state[4], IV[7]) for state in states]


def nonce_scan(g: Graph, batches: int) -> list[Vector]:
    """A nonce in each lane (its bytes swapped), all other words of the header the job's.

    Batches go side by side, a round each in turn: one alone waits for its own sums.
    """
    middle: list[Word] = [Uniform(f"middle[{i}]") for i in range(8)]
    tail: list[Word] = [Uniform(f"tail[{i}]") for i in range(3)]
    words: list[list[Word]] = [
        [*tail, g.op("lane", "nonce", b), 0x80000000, *[0] * 10, 640] for b in range(batches)
    ]
    states = [list(middle) for _ in words]
    for t in range(64):
        states = [g.rounds(state, w, t, t + 1) for state, w in zip(states, words, strict=True)]
    return second_hashes(
        g, [[g.add(m, x) for m, x in zip(middle, state, strict=True)] for state in states]
    )


def roll_scan(g: Graph, batches: int) -> list[Vector]:
    """A version in each lane, hence a midstate; words plus constants the nonce's, the same in all lanes.

    Lanes bring the state after round 3 less the nonce, which enters a and e alone.
    """
    nonce = g.op("keyed", 3)
    states: list[list[Word]] = []
    for b in range(batches):
        state: list[Word] = [g.op("lane", f"early{i}", b) for i in range(8)]
        state[0], state[4] = g.op("add", state[0], nonce), g.op("add", state[4], nonce)
        states.append(state)
    for t in range(4, 64):
        states = [g.round(state, g.op("keyed", t)) for state in states]
    return second_hashes(
        g,
        [
            [g.op("add", x, g.op("lane", f"middle{i}", b)) for i, x in enumerate(state)]
            for b, state in enumerate(states)
        ],
    )


def needed(ops: list[tuple], outputs: list[Vector]) -> list[int]:
    """Operations that the outputs depend on, in order."""
    live = {v.index for v in outputs}
    for i in range(len(ops) - 1, -1, -1):
        if i in live:
            live.update(x.index for x in ops[i] if isinstance(x, Vector))
    return sorted(live)
