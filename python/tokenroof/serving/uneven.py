"""How far steps of several prompts are from the line that the open loop in closed form takes them for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import kernels
from tokenroof.serving.prompts import padded_decode, slower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["uneven"]

_MANY = np.arange(9.0)  # prompts of a step
_FACTORIALS = np.cumsum(np.log(np.maximum(_MANY, 1.0)))  # their logarithms
_LEFT = 0.05  # of the saturation, at least
# A normal of three values with its own mean, variance and third moment: equal shares of these deviates.
_DEVIATES = np.sqrt(1.5) * np.array([-1.0, 0.0, 1.0])


def uneven(
    on: Deployment, context: float, tokens: float, at: tuple[NDArray[np.float64], ...],
    line: tuple[NDArray[np.float64], ...], graphs: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Steps by the step kernels over those by a line in prompts, less one, at some numbers of sequences.

    The line is exact in the mean where one number of sequences meets a number of prompts. A short prompt
    hides behind weights that the third does not, and tiles and captured graphs end at some number of tokens,
    on both sides of which steps are where sequences come and go.

    Parameters
    ----------
    on : Deployment
    context : float
        Tokens of each sequence [1].
    tokens : float
        Of a prompt [1].
    at : tuple of ndarray, (n,) each
        Sequences [1]; prompts that come in a step beside so many, in the mean of a Poisson [1]; and the share
        of its saturation that the replica answers so [1]: sequences fluctuate by their root, over the root of
        what is left of that.
    line : tuple of ndarray, (places + 1,) each
        Seconds by sequences: of a step without prompts, what the first adds beyond the others, what each
        adds [s].
    graphs : ndarray
        Sizes of captured graphs [1].

    Returns
    -------
    tuple of ndarray, (n,) each
        The larger departure of the mean, as time and as prompts see it; and that of the deviation [1].
    """
    n, others, load = at
    places = np.arange(float(len(line[0])))
    apart = np.sqrt(n / np.maximum(1.0 - load, _LEFT))
    some = np.rint(n[:, None] + apart[:, None] * _DEVIATES)
    some = np.clip(some, 1.0, max(places[-1], 1.0))
    seconds = _seconds(on, context, tokens, some, graphs)
    step, begin, each = (np.interp(some, places, x)[..., None] for x in line)
    straight = step + np.where(_MANY > 0.0, begin, 0.0) + _MANY * each
    share = np.exp(_MANY * np.log(np.maximum(others, 1e-300))[:, None] - _FACTORIALS)
    share = (share / share.sum(axis=-1, keepdims=True))[:, None, :] / _DEVIATES.size

    def mean(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((share * x).sum(axis=(-2, -1)))

    real, flat = mean(seconds), mean(straight)
    seen = np.maximum(mean(_MANY * straight), 1e-300)
    of_means = np.maximum(np.abs(real / flat - 1.0), np.abs(mean(_MANY * seconds) / seen - 1.0))
    wide, narrow = (
        mean((x - m[:, None, None]) ** 2) for x, m in ((seconds, real), (straight, flat))
    )
    return of_means, np.abs(np.sqrt(wide / np.maximum(narrow, 1e-300)) - 1.0)


def _seconds(
    on: Deployment, context: float, tokens: float, some: NDArray[np.float64],
    graphs: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Seconds of steps that carry none, one, ... prompts beside some sequences."""
    carried = np.maximum(_MANY, 1.0)
    mixed = kernels.mixed_prompts_time(*on.records, some[..., None], context, carried, tokens, 0.0)
    with_prompts = np.asarray(mixed) + slower(on, tokens, prompts=carried)
    without = padded_decode(on, some, context, graphs)[..., None]
    return np.where(_MANY > 0.0, with_prompts, without)
