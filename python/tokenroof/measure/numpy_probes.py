"""What the NumPy at hand, with its BLAS, reaches: products by rows, attention, activations, a call."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.support.sampling import ProbeError, Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ROWS", "attend", "gate", "tasks", "used"]

#: Rows (tokens) of the products that are probed, and columns and inner size of their weights.
ROWS = (1, 2, 3, 4, 5, 8, 12, 16, 24, 32, 64, 128, 256, 512)
SHAPES = ((4096, 1024), (1024, 4096))
# A layer's attention: heads, cached tokens, width of a head.
_HEADS, _CONTEXT, _WIDTH = 16, 1024, 64
# Numbers of a product's weights, or of two layers' caches.
_PIECE = 1 << 22
_GATED = 1 << 14


def used(call: Callable[[], object]) -> float:
    """Seconds of a call: processor time of this thread if it alone works, else by the clock.

    Processor time is what other programs on the machine disturb least; threads of a BLAS, that wait
    for each other, have the clock alone.
    """
    wall, mine, every = time.perf_counter(), time.thread_time(), time.process_time()
    call()
    every = time.process_time() - every
    mine = time.thread_time() - mine
    wall = time.perf_counter() - wall
    return mine if every <= 1.2 * mine + 2e-6 else wall


def attend(
    query: NDArray[np.float32], keys: NDArray[np.float32], values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """One new token's attention: query [..., width, 1] over keys and values [..., context, width]."""
    scores = keys @ query
    scores -= scores.max(axis=-2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-2, keepdims=True)
    out: NDArray[np.float32] = np.swapaxes(scores, -1, -2) @ values
    return out


def gate(gated: NDArray[np.float32], up: NDArray[np.float32]) -> NDArray[np.float32]:
    """SiLU of one half times the other: the activation of a gated feed-forward layer."""
    with np.errstate(over="ignore"):  # of exp(-x) where SiLU is 0
        out = np.exp(-gated)
    out += 1.0
    np.divide(gated, out, out=out)
    out *= up
    return out


def _pieces(nbytes: float) -> Iterator[NDArray[np.float32]]:
    """Numbers piece by piece, more than caches hold: each is read cold, as a model's layers are.

    All probes take from these in turn: nothing is read again before all others were.
    """
    count = max(2, int(nbytes / (4 * _PIECE)) + 1)
    one = np.random.default_rng(1).standard_normal(_PIECE, dtype=np.float32)
    return itertools.cycle([one + np.float32(0.001 * i) for i in range(count)])


def _check(name: str, found: NDArray[np.float32], want: NDArray[np.float64]) -> None:
    if not np.allclose(found, want, rtol=1e-3, atol=1e-3):
        raise ProbeError(f"{name}: NumPy's result is not that of float64")


def _product(
    rng: np.random.Generator, pieces: Iterator[NDArray[np.float32]], rows: int, n: int, k: int
) -> Task:
    name = f"product.fp32.{rows}x{n}x{k}"
    x = rng.standard_normal((k, rows), dtype=np.float32)
    y = np.empty((n, rows), np.float32)
    few = next(pieces).reshape(n, k)[:8]
    _check(name, few @ x, few.astype(np.float64) @ x)

    def once() -> float:
        w = next(pieces).reshape(n, k)
        return 2.0 * n * k * rows / used(lambda: np.matmul(w, x, out=y))

    # long ones need fewer repeats for the same error
    return Task((name,), "FLOP/s", lambda repeats: {
        name: [once() for _ in range(repeats if rows < 100 else 1)]})  # fmt: skip


def tasks(cold_bytes: float) -> list[Task]:
    """Probes of operators as NumPy runs them; `cold_bytes` are cycled through [B]."""
    rng = np.random.default_rng(2)
    out: list[Task] = []
    pieces = _pieces(cold_bytes)
    for n, k in SHAPES:
        out += [_product(rng, pieces, rows, n, k) for rows in ROWS]
    caches = (layer for piece in pieces for layer in piece.reshape(2, 2, _HEADS, _CONTEXT, _WIDTH))
    query = rng.standard_normal((_HEADS, _WIDTH, 1), dtype=np.float32)

    def attention() -> float:
        keys, values = next(caches)
        return float(keys.nbytes + values.nbytes) / used(lambda: attend(query, keys, values))

    out.append(Task(("attention.fp32",), "B/s",
                    lambda repeats: {"attention.fp32": [attention() for _ in range(repeats)]}))  # fmt: skip
    halves = rng.standard_normal((2, _GATED), dtype=np.float32)
    out.append(
        Task(("gated.fp32",), "s", lambda repeats: {
            "gated.fp32": [used(lambda: gate(*halves)) / _GATED for _ in range(repeats)]})
    )  # fmt: skip
    small, vector = np.ones((16, 16), np.float32), np.ones((16, 1), np.float32)
    answer, line = np.empty((16, 1), np.float32), np.empty(16, np.float32)
    calls: dict[str, Callable[[], object]] = {
        "cost.product": lambda: np.matmul(small, vector, out=answer),
        "cost.ufunc": lambda: np.add(line, line, out=line),
    }
    line[:] = 0.0
    for name, call in calls.items():
        out.append(call_task(name, call))
    return out


def call_task(name: str, call: Callable[[], object], turns: int = 500) -> Task:
    """Seconds of one of many calls."""

    def many() -> None:
        for _ in range(turns):
            call()

    return Task((name,), "s", lambda repeats: {name: [used(many) / turns for _ in range(repeats)]})
