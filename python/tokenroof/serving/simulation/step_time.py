"""How long the steps of a simulation take: a line for tests, or a table of the step kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.support.arguments import is_integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["StepTable", "StepTime", "captured_sizes", "step_table"]


@dataclass(frozen=True)
class StepTime:
    """A step's time as a line: fixed + per_token * tokens + per_context_token * contexts.

    Parameters
    ----------
    fixed_ns : int
        Of each step [ns].
    per_token_ns : int
        Of each token that it carries [ns].
    per_context_token_ns : int
        Of each token in the contexts of those sequences that are past their prompt, the new token
        among them [ns].

    Raises
    ------
    ValueError
        For what is no whole number of zero and more.

    Examples
    --------
    >>> StepTime(5_000_000, 10_000, 2).clock()["fixed_ns"]
    5000000
    """

    fixed_ns: int
    per_token_ns: int = 0
    per_context_token_ns: int = 0

    def __post_init__(self) -> None:
        for name in ("fixed_ns", "per_token_ns", "per_context_token_ns"):
            value = getattr(self, name)
            if not is_integer(value) or not 0 <= value <= 10**15:
                raise ValueError(f"{name} is {value!r}; allowed: whole numbers from 0 to 10**15")
            object.__setattr__(self, name, int(value))

    def clock(self) -> dict[str, Any]:
        """As the compiled simulator takes it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False)
class StepTable:
    """Times of steps at points, linear between them.

    Attributes
    ----------
    axes : tuple of ndarray
        Sequences past their prompt [1]; mean context of them [token]; tokens of prompts [1]; mean keys
        that such a token attends to [1].
    table : ndarray
        Time over the four [ns].
    """

    axes: tuple[NDArray[np.float64], ...]
    table: NDArray[np.float64]

    def clock(self, padded: NDArray[np.float64], host_ns: int) -> dict[str, Any]:
        """As the compiled simulator takes it."""
        return {
            "axes": [axis.tolist() for axis in self.axes],
            "table": self.table,
            "padded": padded.tolist(),
            "host_ns": host_ns,
        }


def captured_sizes(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """Sizes of vLLM's CUDA graphs: 1, 2, 4, by 8 to 248, by 16 to 512 [vllm/config/compilation.py]."""
    if not config["cudagraphs"]:
        return np.empty(0)
    most = min(2 * config["max_num_seqs"], 512, config["max_num_batched_tokens"])
    sizes = np.array([1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)], np.float64)
    return np.asarray(sizes[sizes <= most])


def _grid(most: float, ratio: float, first: float = 1.0) -> NDArray[np.float64]:
    """0, then whole steps that grow by about a ratio, up to `most` and a point beyond."""
    points = [0.0, first]
    while points[-1] < most:
        points.append(max(points[-1] + 1.0, round(points[-1] * ratio)))
    return np.array(points)


def step_table(on: Deployment, config: Mapping[str, Any], longest: float) -> StepTable:
    """The step kernels over what steps of a scheduler can carry.

    Parameters
    ----------
    on : Deployment
    config : mapping
        A scheduler's knobs, resolved.
    longest : float
        The most tokens of one request [1].
    """
    sequences = _grid(min(config["max_num_active_seqs"], config["max_num_batched_tokens"]), 1.25)
    context = _grid(longest, 2.0, 64.0)
    tokens = _grid(config["max_num_batched_tokens"], 1.4, 16.0)
    keys = _grid(longest, 2.0, 64.0)
    table = np.empty((len(sequences), len(context), len(tokens), len(keys)))
    b, x = (a[:, :, None, None] for a in np.meshgrid(sequences, context, indexing="ij"))
    n, a = (v[None, None] for v in np.meshgrid(tokens, keys, indexing="ij"))
    past = np.maximum(a - 0.5 * n, 0.0)
    # prompts whose tokens attend to few keys are several: each of 2 a tokens, from its beginning
    each = np.maximum(np.where(past > 0.0, n, np.minimum(2.0 * a, n)), 1.0)
    prompts = np.where(n > 0.0, n / each, 0.0)
    table[...] = kernels.mixed_prompts_time(*on.records, b, x, prompts, each, past)
    table[:, :, 0] = kernels.decode_time(*on.records, b[..., 0, :], x[..., 0, :])
    table[0] = kernels.prompts_time(*on.records, prompts[0], each[0], past[0])
    table[0, :, 0] = 0.0
    return StepTable((sequences, context, tokens, keys), np.ascontiguousarray(1e9 * table))
