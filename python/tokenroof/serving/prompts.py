"""What prompts of many lengths add to steps: moments of seconds, by the step kernels at each length."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.deployment import Deployment

    Records = tuple[
        NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]
    ]

__all__ = [
    "SLOWER", "Prompts", "beside", "central_moments", "further", "lognormal", "padded_decode", "prompts_of",
    "slower", "ungapped", "ungapped_prompts",
]  # fmt: skip

#: Where a calibration's record has what company makes of a prompt's kernels.
SLOWER = _core.CALIBRATION_FIELDS.index("engine.beside")
_GAPS = [
    _core.CALIBRATION_FIELDS.index(f"engine.{n}")
    for n in ("kernel_gap", "collective_gap", "sequence")
]
_BINS = 24
_POINTS = 512

#: Lengths [1], and the share of prompts of each [1].
Prompts = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def prompts_of(lengths: ArrayLike) -> Prompts:
    """Some two dozen lengths, and shares, that stand for many: means of bins of their logarithm.

    Examples
    --------
    >>> at, share = prompts_of([100, 100, 300])
    >>> at.tolist(), share.round(3).tolist()
    ([100.0, 300.0], [0.667, 0.333])
    """
    given = np.asarray(lengths, np.float64)
    low, high = np.log(given.min()), np.log(given.max())
    width = (high - low) / _BINS or 1.0
    which = np.minimum((np.log(given) - low) / width, _BINS - 1).astype(np.intp)
    many = np.bincount(which).astype(np.float64)
    total = np.bincount(which, given)
    some = many > 0.0
    return total[some] / many[some], many[some] / given.size


@cache
def _normal() -> NDArray[np.float64]:
    inverse = NormalDist().inv_cdf
    return np.array([inverse((k + 0.5) / _POINTS) for k in range(_POINTS)])


def lognormal(mean: float, cv2: float) -> Prompts:
    """Of prompts of which mean and squared coefficient of variation are all that is known."""
    if not cv2:
        return np.array([mean]), np.ones(1)
    spread = float(np.log1p(cv2))
    lengths = np.exp(spread**0.5 * _normal())
    return prompts_of(np.maximum(lengths * (mean / lengths.mean()), 1.0))


def padded_decode(
    on: Deployment, sequences: NDArray[np.float64], context: float, graphs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Seconds of steps without prompts, whose sequences are padded to the sizes of captured graphs.

    What pads is computed like a sequence without a context.
    """
    sizes = np.append(graphs, np.inf)
    padded = sizes[np.searchsorted(sizes, sequences)]
    wide = np.where(np.isfinite(padded), padded, sequences)
    return np.asarray(kernels.decode_time(*on.records, wide, context * sequences / wide))


def ungapped(on: Deployment) -> Records:
    """Records of a deployment whose kernels follow one another without gaps, sampling among these."""
    device, calibration, model, plan = on.records
    bare = calibration.copy()
    bare[_GAPS] = 0.0
    return device, bare, model, plan


def ungapped_prompts(
    on: Deployment, tokens: ArrayLike, past: ArrayLike = 0.0, prompts: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Seconds that the kernels of so many prompts take by themselves, one after the other without gaps."""
    return np.asarray(kernels.prompts_time(*ungapped(on), prompts, tokens, past))


def slower(
    on: Deployment, tokens: ArrayLike, past: ArrayLike = 0.0, prompts: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Seconds that those kernels take longer beside sequences that decode."""
    return np.asarray((on.records[1][SLOWER] - 1.0) * ungapped_prompts(on, tokens, past, prompts))


def beside(
    on: Deployment, sequences: NDArray[np.float64], context: float, prompts: Prompts
) -> NDArray[np.float64]:
    """Of a step that carries one prompt beside so many sequences: mean, variance, third central moment.

    Parameters
    ----------
    on : Deployment
    sequences : ndarray
        That decode [1]; with 0 the prompt has the step for itself.
    context : float
        Of each of them [1].
    prompts : Prompts

    Returns
    -------
    ndarray, (*sequences, 3)
        [s], [s2], [s3].
    """
    at, share = prompts
    some = np.maximum(sequences, 1.0)[..., None]
    found = np.asarray(kernels.mixed_prompts_time(*on.records, some, context, 1.0, at, 0.0))
    found = found + slower(on, at)
    alone: Any = np.asarray(kernels.prompts_time(*on.records, 1.0, at, 0.0))
    seconds = np.where(sequences[..., None] > 0.0, found, alone)
    return central_moments(seconds, share)


def central_moments(
    seconds: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean, variance, third central moment over the last axis, whose values have these shares.

    Examples
    --------
    >>> central_moments(np.array([1.0, 3.0]), np.array([0.75, 0.25])).tolist()
    [1.5, 0.75, 0.75]
    """
    mean = seconds @ share
    apart = seconds - mean[..., None]
    return np.stack([mean, apart**2 @ share, apart**3 @ share], axis=-1)


def further(
    on: Deployment,
    sequences: NDArray[np.float64],
    context: float,
    tokens: float,
    others: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Seconds that each further prompt adds to a step that has one: the mean over so many, one and more.

    Of a mixture of experts the first prompt touches what all touch; a short one hides behind the weights,
    and the next does not.
    """
    many = np.maximum(others, 1.0)
    some = np.maximum(sequences, 1.0)
    one, all_ = (
        np.asarray(kernels.mixed_prompts_time(*on.records, some, context, k, tokens, 0.0))
        + slower(on, tokens, prompts=k)
        for k in (1.0, 1.0 + many)
    )
    return np.maximum((all_ - one) / many, 1e-9)
