"""Board power of a replica in open loop: with so many requests, weighted by how often it has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof import _core, kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.twin import Twin

__all__ = ["drawn", "mean_watts", "watts_at"]

_WATTS = _core.SERVING_FIELDS.index("watts")
_BLOCK = 2**17  # numbers of requests times rates of a piece, after which Ctrl-C is heard


def drawn(on: Deployment, twin: Twin) -> NDArray[np.float64]:
    """Watts of the boards of a replica with 0, 1, ... requests in service, to all places [W]."""
    sizes = twin.inputs["input"], twin.inputs["output"]
    idle = on.plan.devices * on.power.idle_w
    users = np.arange(1.0, len(twin.steps))
    found = np.asarray(kernels.serving(*on.records, users, *sizes))[..., _WATTS]
    return np.concatenate([[idle], found])


def mean_watts(
    twin: Twin, watts: NDArray[np.float64], rates: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean over time at rates of arrivals [W], from those with 0, 1, ... requests.

    How many there are goes as in `Twin`: one more with the rate, one less as those are answered that are
    there. Where the queue grows all places are taken.
    """
    places = len(twin.steps) - 1
    n = np.arange(1.0, places + 1.0)
    work = twin.inputs["output"] * twin.steps[1:] / n + twin.prompts[1:, 0]
    heights = np.concatenate([[0.0], np.cumsum(np.log(work))])
    found = np.empty(rates.size)
    rows = max(1, _BLOCK // (places + 1))
    for at in range(0, rates.size, rows):
        some = rates[at : at + rows]
        ratio = some * work[-1]
        borne = ratio < 1.0
        log_rates = np.log(np.where(borne, some, 1.0))
        weight = heights + log_rates[:, None] * np.arange(places + 1.0)
        weight[:, -1] -= np.log1p(-np.where(borne, ratio, 0.0))  # with all who wait beyond
        weight -= weight.max(axis=1, keepdims=True)
        np.exp(weight, out=weight)
        mean = weight @ watts / weight.sum(axis=1)
        found[at : at + rows] = np.where(borne, mean, watts[-1])
    return found


def watts_at(on: Deployment, twin: Twin, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean board power of a replica at rates of arrivals [W]."""
    return mean_watts(twin, drawn(on, twin), rates)
