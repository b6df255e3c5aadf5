"""The highest rate of arrivals whose percentiles meet an objective."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tokenroof.serving.loads import ONE_TOKEN
from tokenroof.serving.open_curve import open_table, values_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.twin import OpenLoop, Shape

__all__ = ["PERCENTILES", "highest", "nearest_miss", "open_at", "open_capacity", "seldom"]

#: Percentiles that an objective may ask for.
PERCENTILES = (50.0, 90.0, 99.0)
_RATES = 256
_PASSES = 3  # so that it is one rate to seven digits


def seldom(twin: OpenLoop) -> float:
    """The lowest rate that `highest` looks at [1/s]: hardly two requests meet."""
    return twin.saturation / (_RATES + 1.0) ** _PASSES


def highest(twin: OpenLoop, meets: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> float:
    """The highest rate that does [1/s]; 0 for none.

    Times grow with the rate: it is looked for among 256 rates up to saturation, and twice more between two of
    them.
    """
    low, high = 0.0, twin.saturation
    for _ in range(_PASSES):
        rates = np.asarray(
            low + (high - low) * np.arange(1, _RATES + 1) / (_RATES + 1.0), np.float64
        )
        kept = meets(rates)
        first = _RATES if kept.all() else int(np.argmin(kept))
        edges = np.concatenate([[low], rates, [high]])
        low, high = float(edges[first]), float(edges[first + 1])
    return low


def open_capacity(twin: OpenLoop, slo: SLO, table_at: Callable[[float], xr.Dataset]) -> xr.Dataset:
    """The table at the highest rate at which that percentile of each bounded time meets its bound.

    Where not even the lowest does, ``rate`` is 0 and all else NaN.
    """
    names = {
        f"{name.removesuffix('_s')}_p{slo.percentile:g}_s": bound
        for name, bound in slo.bounds.items()
    }

    def meets(rates: NDArray[np.float64]) -> NDArray[np.bool_]:
        found = values_at(twin, rates)
        kept = np.ones(rates.size, bool)
        for name, bound in names.items():
            kept &= found[name] <= bound
        return kept

    low = highest(twin, meets)
    table = table_at(low)
    if not low:
        least = table_at(seldom(twin))
        bounds: dict[str, float | None] = dict(names)
        table.attrs["reason"] = nearest_miss(least, bounds, "requests that come seldom")
    return table


def nearest_miss(table: xr.Dataset, bounds: Mapping[str, float | None], of: str) -> str:
    """Which bounds the least load misses, and by how much; where it has no times, why."""
    reason = str(table.attrs.get("reason", ""))
    if reason == ONE_TOKEN or ("fits" in table and not table["fits"].all()):
        return reason
    missed = [
        f"{name.replace('_high', '')} is {bound:g}, nearest {float(table[name]):.4g} s of {of}"
        for name, bound in bounds.items()
        if bound is not None and name in table and not float(table[name]) <= bound
    ]
    said = [f"no load meets the objective; {'; '.join(missed)}"] if missed else []
    return "; ".join([*said, *filter(None, [reason])])


def open_at(
    on: Deployment, shape: Shape, rate: float, fidelity: str, scheduler: Scheduler | None = None
) -> xr.Dataset:
    """The table of `curve` at one rate; of 0 with NaN throughout."""
    table = open_table(on, shape, [rate or 1.0], scheduler, fidelity).isel(rate=0)
    return table if rate else table.where(False).assign_coords(rate=0.0)
