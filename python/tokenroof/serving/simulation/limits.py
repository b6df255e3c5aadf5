"""What every engine's scheduler has, by one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """The bounds of a scheduler's steps, and its memory.

    Attributes
    ----------
    sequences : int
        The most that run at once [1].
    step_tokens : int
        The most tokens of one step [token].
    block_tokens, blocks : int
        Tokens of a block of KV memory; blocks, with those that are never used.
    host_ns : int
        Of each step [ns].
    graphs : ndarray
        Sizes of CUDA graphs, ascending; of none: empty.
    sizes : ndarray
        Sizes that the engine knows, captured or not: times of steps are tabulated there.
    pads_prompts : bool
        Whether steps with prompts run captured graphs too.
    unused_blocks : int
        Of `blocks`, those that are never used.
    """

    sequences: int
    step_tokens: int
    block_tokens: int
    blocks: int
    host_ns: int
    graphs: NDArray[np.float64]
    sizes: NDArray[np.float64]
    pads_prompts: bool = True
    unused_blocks: int = 0
