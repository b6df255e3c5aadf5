"""Energy of a simulation: joules of steps by the power model, and what a whole run drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["Energy", "energy_of", "step_joules"]

_WATTS, _TIME = (_core.STEP_FIELDS.index(name) for name in ("watts", "time"))
_IDLE = _core.SERVING_TERMS.index("idle_w")


def step_joules(
    on: Deployment,
    axes: tuple[NDArray[np.float64], ...],
    times: tuple[NDArray[np.float64], ...],
) -> tuple[tuple[NDArray[np.float64], ...], float]:
    """Energy of the boards of a replica where steps are tabulated, and their watts at rest.

    Parameters
    ----------
    on : Deployment
    axes : tuple of ndarray
        As of `StepTable`.
    times : tuple of ndarray
        Its three tables [s].

    Returns
    -------
    tuple of ndarray
        Three tables alike [J].
    float
        Watts of the replica while nothing runs [W].
    """
    context, tokens, prompts, dense = axes[1], axes[2], axes[4], axes[5]
    idle = float(kernels.serving_terms(*on.records, 1.0, 64.0, 64.0)[_IDLE])
    table, _, decode = times
    some, k = np.meshgrid(np.maximum(tokens, 1.0), prompts, indexing="ij")
    one = kernels.prompts_step(*on.records, 1.0, some[:, :1], 0.0)
    many = kernels.prompts_step(*on.records, k, np.maximum(some / k, 1.0), 0.0)
    saved = one[..., _WATTS] * one[..., _TIME] - many[..., _WATTS] * many[..., _TIME]
    watts = kernels.decode_step(*on.records, dense[:, None], context)[..., _WATTS]
    watts[0] = 0.0  # a step without anything is none
    joules = (table * _mixed_watts(on, axes), np.where(k <= some, saved, 0.0), decode * watts)
    return tuple(np.ascontiguousarray(j) for j in joules), idle


def _mixed_watts(on: Deployment, axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Watts over the first four axes: by the power model at fewer points, as watts change little, linear in
    the logarithm between them."""
    coarse = [axis[_few(axis)] for axis in axes[:4]]
    sequences, context, tokens, past = coarse
    b, x = (a[:, :, None, None] for a in np.meshgrid(sequences, context, indexing="ij"))
    n, s = (a[None, None] for a in np.meshgrid(tokens, past, indexing="ij"))
    found = np.array(kernels.mixed_step(*on.records, b, x, n, s)[..., _WATTS])
    found[:, :, 0] = kernels.decode_step(*on.records, b[..., 0, :], x[..., 0, :])[..., _WATTS]
    found[0] = kernels.prefill_step(*on.records, n[0], s[0])[..., _WATTS]
    found[0, :, 0] = found[0, :, 1]
    for k, (few, all_) in enumerate(zip(coarse, axes, strict=False)):
        found = np.moveaxis(np.tensordot(_weights(few, all_), found, (1, k)), 0, k)
    return found


def _few(axis: NDArray[np.float64]) -> NDArray[np.intp]:
    """Every other point, the first two and the last among them; of long axes a dozen."""
    every = max(2, len(axis) // 12)
    return np.unique([0, 1, *range(0, len(axis), every), len(axis) - 1])


def _weights(few: NDArray[np.float64], every: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each of few points counts at every point between them."""
    at, own = np.log1p(every), np.log1p(few)
    return np.stack([np.interp(at, own, unit) for unit in np.eye(len(few))], axis=1)


@dataclass(frozen=True, slots=True)
class Energy:
    """What the boards of all replicas drew, from the first arrival to the last step's end.

    Attributes
    ----------
    busy_j : float
        In steps, which is the sum over requests [J].
    idle_j : float
        Between steps [J].
    idle_watts : float
        Of a replica in which nothing runs [W].
    seconds : float
        From the first arrival to the last step's end [s].
    """

    busy_j: float
    idle_j: float
    idle_watts: float
    seconds: float

    @property
    def joules(self) -> float:
        """All of it [J]."""
        return self.busy_j + self.idle_j

    @property
    def watts(self) -> float:
        """Mean over the time [W]."""
        return self.joules / self.seconds if self.seconds > 0.0 else np.nan


def energy_of(totals: Mapping[str, Any], idle_watts: float, ranks: int) -> Energy:
    """The energy of a run from what its replicas did, of so many ranks each, while they stood."""
    rest = (ranks * int(totals["on_ns"]) - int(totals["busy_ns"])) / 1e9
    return Energy(
        float(totals["busy_j"]), idle_watts * rest, idle_watts, int(totals["span_ns"]) / 1e9
    )
