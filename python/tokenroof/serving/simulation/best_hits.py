"""A bound on what a prefix cache can find: the best possible order of eviction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core
from tokenroof.serving.requests.given import as_requests
from tokenroof.serving.simulation.simulate import packed
from tokenroof.support.arguments import count
from tokenroof.support.equality import by_value
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.serving.requests.record import Requests

__all__ = ["BestHits", "best_hits"]


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BestHits:
    """The most that a prefix cache of so many blocks can find.

    Attributes
    ----------
    cached_tokens : ndarray of int64, (n,)
        Of each request's prompt [token].
    input_tokens : ndarray of int64, (n,)
        Of each request [token].
    blocks : int
        Of the cache [1].
    block_size : int
        Tokens of a block [token].
    """

    cached_tokens: NDArray[np.int64]
    input_tokens: NDArray[np.int64]
    blocks: int
    block_size: int

    def __repr__(self) -> str:
        return (
            f"<BestHits: {int(self.cached_tokens.sum()):,} of {int(self.input_tokens.sum()):,} prompt tokens "
            f"({100 * self.share:.3g} %) of {counted(len(self.input_tokens), 'request', ',')} in "
            f"{self.blocks:,} blocks of "
            f"{self.block_size}>"
        )

    @property
    def share(self) -> float:
        """Of all prompt tokens [1]."""
        return float(self.cached_tokens.sum() / max(int(self.input_tokens.sum()), 1))


def best_hits(
    requests: Mapping[str, Any] | Requests, blocks: int, block_size: int = 16
) -> BestHits:
    """The most prompt tokens that any order of eviction finds in a cache, by knowing what comes.

    Requests are looked up in the order in which they are given, each after those before it have left what
    they computed. No engine that admits in that order finds more blocks in all, whatever it evicts and
    however many replicas, or tiers of memory, its blocks are spread over.

    Parameters
    ----------
    requests : mapping or Requests
        As in `as_requests`, with ``prompt`` or ``block_hashes``; prompts that share nothing find nothing.
    blocks : int
        Blocks of all tiers and replicas together, whose requests in flight need none of them [1].
    block_size : int
        Tokens of a block [token].

    Returns
    -------
    BestHits
        Single requests of it may find more elsewhere; their sum is the bound.

    Raises
    ------
    ValueError, TypeError
        For requests that are not allowed, and sizes that are no whole numbers of 1 and more, or do not divide
        the blocks of hashes.

    References
    ----------
    Belady, IBM Systems Journal 5(2), 1966; Carlisle and Lloyd, Discrete Applied Mathematics 59(3), 1995.

    Examples
    --------
    >>> import numpy as np
    >>> ids = [np.array([[1000 * k, 33]]) for k in (0, 1, 0, 1)]
    >>> load = {"arrival": np.arange(4.0), "input_tokens": 33, "output_tokens": 1, "prompt": ids}
    >>> [best_hits(load, blocks).cached_tokens.tolist() for blocks in (2, 4)]
    [[0, 0, 32, 0], [0, 0, 32, 32]]
    """
    load = as_requests(requests)
    places, size = count("blocks", blocks), count("block_size", block_size)
    if load.hash_block % size:
        raise ValueError(
            f"hash_block is {load.hash_block}; allowed: a multiple of block_size ({size})"
        )
    found = _core.best_hits(packed(load), size, places)
    return BestHits(size * found, load.input_tokens, places, size)
