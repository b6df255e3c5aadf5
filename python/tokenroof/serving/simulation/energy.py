"""Energy of a simulation: joules of steps by the power model, and what a whole run drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.serving.prompts import slower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["TIME", "Energy", "energy_of", "side_by_side", "step_joules"]

_WAITING = _core.SERVING_TERMS.index("waiting")
_GAP = _core.CALIBRATION_FIELDS.index("engine.kernel_gap")
_WATTS, TIME = (_core.STEP_FIELDS.index(name) for name in ("watts", "time"))


def step_joules(
    on: Deployment,
    axes: tuple[NDArray[np.float64], ...],
    prompts: tuple[NDArray[np.float64], NDArray[np.float64]],
    decode: NDArray[np.float64],
) -> tuple[tuple[NDArray[np.float64], ...], float]:
    """Watts and energy of the boards of a replica where steps are tabulated, and their watts at rest.

    Parameters
    ----------
    on : Deployment
    axes : tuple of ndarray
        As of `StepTable`.
    prompts : tuple of ndarray
        Fields of steps (`STEP_FIELDS`) over tokens of one prompt, and over tokens and prompts.
    decode : ndarray
        Of steps without prompts, over sequences and mean context.

    Returns
    -------
    tuple of ndarray
        Watts of steps with prompts over the first four axes [W]; what it takes off that prompts are several,
        and steps without prompts [J].
    float
        Watts of the replica while nothing runs [W].
    """
    idle = on.plan.devices * on.power.idle_w
    one, many = (step[..., _WATTS] * step[..., TIME] for step in prompts)
    several = np.where(axes[4] <= np.maximum(axes[2][:, None], 1.0), one - many, 0.0)
    alone = decode[..., _WATTS] * decode[..., TIME]
    alone[0] = 0.0  # a step without anything is none
    return (np.ascontiguousarray(_mixed_watts(on, axes)), several, alone), idle


def side_by_side(kernel: Callable[..., Any], on: Deployment, *loads: Any) -> NDArray[np.float64]:
    """A kernel over all its loads in one row, which vectors of any number of lanes take whole."""
    each = np.broadcast_arrays(*loads)
    found = np.asarray(kernel(*on.records, *(load.ravel() for load in each)))
    return found.reshape(*each[0].shape, *found.shape[1:])


def _mixed_watts(on: Deployment, axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
    """Watts over the first four axes: by the power model at fewer points, as watts change little, linear in
    the logarithm between them.

    What prompts take longer in company is time in which the work is the same, as in gaps between kernels.
    """
    coarse = [axis[_few(axis)] for axis in axes[:4]]
    sequences, context, tokens, past = coarse
    b, x = (a[:, :, None, None] for a in np.meshgrid(sequences, context, indexing="ij"))
    n, s = (a[None, None] for a in np.meshgrid(tokens, past, indexing="ij"))
    device, calibration, model, plan = on.records
    more = slower(on, n, s)
    if more.any():
        gap = more / kernels.serving_terms(*on.records, 1.0, 1.0, 1.0)[_WAITING]
        calibration = np.broadcast_to(calibration, (*gap.shape, len(calibration))).copy()
        calibration[..., _GAP] += gap
    found = kernels.mixed_step(device, calibration, model, plan, b, x, n, s)[..., _WATTS].copy()
    found[:, :, 0] = kernels.decode_step(*on.records, b[..., 0, :], x[..., 0, :])[..., _WATTS]
    found[0] = side_by_side(kernels.prefill_step, on, n[0], s[0])[..., _WATTS]
    found[0, :, 0] = found[0, :, 1]
    for k in (3, 1, 0, 2):  # the axis with most new points last
        found = _between(found, k, np.log1p(coarse[k]), np.log1p(axes[k]))
    return found


def _few(axis: NDArray[np.float64]) -> NDArray[np.intp]:
    """Every other point, the first two and the last among them; of longer axes six to a dozen."""
    every = max(3 if len(axis) > 12 else 2, len(axis) // 10)
    return np.unique([0, 1, *range(0, len(axis), every), len(axis) - 1])


def _between(
    found: NDArray[np.float64], axis: int, few: NDArray[np.float64], every: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear between few points of an axis, at every one."""
    low = np.minimum(np.searchsorted(few, every, side="right"), len(few) - 1) - 1
    part = (every - few[low]) / (few[low + 1] - few[low])
    start, more = (np.take(found, at, axis) for at in (low, low + 1))
    more -= start
    more *= part.reshape([-1 if k == axis else 1 for k in range(found.ndim)])
    more += start
    return more


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
