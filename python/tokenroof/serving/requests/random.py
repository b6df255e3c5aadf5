"""Random numbers by counter: a stream is a function of its seed and its purpose alone."""

from __future__ import annotations

import numpy as np

from tokenroof.support.arguments import as_seed

__all__ = ["MOST_REQUESTS", "STREAMS", "stream"]

#: Of one load.
MOST_REQUESTS = 2**28

#: What draws from a stream of its own, so that a change of one leaves the others as they were.
STREAMS = (
    "arrivals", "inputs", "outputs", "thinking", "states", "thinning", "turns", "prefixes", "pairs", "agents",
    "priorities",
)  # fmt: skip


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator whose counter starts at 0 under the key (seed, purpose) [Salmon et al., SC'11]."""
    key = np.array([as_seed(seed), STREAMS.index(purpose)], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
