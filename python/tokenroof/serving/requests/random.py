"""Random numbers by counter: a stream is a function of its seed and its purpose alone."""

from __future__ import annotations

import numpy as np

from tokenroof.support.arguments import is_integer, shown

__all__ = ["STREAMS", "stream"]

#: What draws from a stream of its own, so that a change of one leaves the others as they were.
STREAMS = (
    "arrivals", "inputs", "outputs", "thinking", "states", "thinning", "turns", "prefixes", "pairs", "agents",
    "priorities",
)  # fmt: skip


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator whose counter starts at 0 under the key (seed, purpose) [Salmon et al., SC'11]."""
    if not is_integer(seed) or not 0 <= seed < 2**64:
        raise ValueError(f"seed is {shown(seed)}; allowed: whole numbers from 0 to 2**64 - 1")
    key = np.array([int(seed), STREAMS.index(purpose)], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
