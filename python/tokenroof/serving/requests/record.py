"""Requests as arrays of whole numbers: what a simulation reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Requests"]


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@by_value
@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests in the order of their arrival; all arrays are int64, contiguous and read-only.

    Made by `as_requests`, by the loads of `tokenroof.serving` and by the readers of traces, which check
    what they were given.

    Attributes
    ----------
    arrival_ns : ndarray, (n,)
        Arrival [ns], from 0 on and not falling; 0 where a request waits for a parent, whose end counts.
    input_tokens, output_tokens : ndarray, (n,)
        Tokens of the prompt and of the answer, at least 1.
    declared_tokens : ndarray, (n,)
        The most output tokens that the client asks for, which is what a scheduler may know [1].
    priority : ndarray, (n,)
        Lower is served first.
    after : ndarray, (n,)
        Index of the parent, always an earlier one; -1 for none.
    think_ns : ndarray, (n,)
        Time from the end of the last parent to the arrival [ns].
    also_after, also_after_offsets : ndarray, (k,), (n + 1,) or (0,)
        Further parents of request i: ``also_after[offsets[i]:offsets[i + 1]]``. Both are empty where no
        request has more than one.
    prompt, prompt_offsets : ndarray, (k, 2), (n + 1,) or (0,)
        Runs ``[first id, count]`` of the token ids of prompt i: ``prompt[offsets[i]:offsets[i + 1]]``.
        Empty where prompts share nothing.
    output_id : ndarray, (n,) or (0,)
        Id of the first output token; the others count on from it. With `prompt` alone.
    block_hashes, hash_offsets : ndarray, (k,), (n + 1,) or (0,)
        Hashes of the blocks of prompt i: ``block_hashes[offsets[i]:offsets[i + 1]]``. Two blocks are the same
        if their hashes and those of all before them are.
    hash_block : int
        Tokens of a hashed block; 0 without hashes.
    left_out : int
        Rows of a trace without tokens that are not among them.
    """

    arrival_ns: NDArray[np.int64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    declared_tokens: NDArray[np.int64]
    priority: NDArray[np.int64]
    after: NDArray[np.int64]
    think_ns: NDArray[np.int64]
    also_after: NDArray[np.int64] = field(default_factory=_none)
    also_after_offsets: NDArray[np.int64] = field(default_factory=_none)
    prompt: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))
    prompt_offsets: NDArray[np.int64] = field(default_factory=_none)
    output_id: NDArray[np.int64] = field(default_factory=_none)
    block_hashes: NDArray[np.int64] = field(default_factory=_none)
    hash_offsets: NDArray[np.int64] = field(default_factory=_none)
    hash_block: int = 0
    left_out: int = 0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                value = np.ascontiguousarray(value, np.int64)
                if value.flags.writeable:
                    value = value.view()
                    value.flags.writeable = False
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.arrival_ns)

    def __repr__(self) -> str:
        return (
            f"Requests({len(self)}, input_tokens={int(self.input_tokens.sum())}, "
            f"output_tokens={int(self.output_tokens.sum())}"
            f"{f', left_out={self.left_out}' if self.left_out else ''})"
        )

    def __hash__(self) -> int:  # arrays are read-only; equal ones share these
        return hash((len(self), int(self.input_tokens.sum()), int(self.output_tokens.sum())))

    @property
    def arrival_s(self) -> NDArray[np.float64]:
        """Arrival [s]."""
        return np.asarray(self.arrival_ns * 1e-9, np.float64)
