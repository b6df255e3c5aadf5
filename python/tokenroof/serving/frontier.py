"""The Pareto set over plans and batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.door import as_device, as_model, as_plan, check_plan, resolved
from tokenroof.records.plan import Plan
from tokenroof.serving.closed_loop import UNITS, attributes, describe, evaluate
from tokenroof.serving.loads import as_concurrency, as_load, as_power
from tokenroof.serving.plans import default_plans
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["frontier"]


def frontier(
    device: str | Device,
    model: str | Model,
    plans: Sequence[Plan] | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    devices_max: int | None = None,
    concurrency: ArrayLike | None = None,
    fidelity: str | Calibration = "calibrated",
    engine: str = "vllm",
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """The Pareto set over plans and batches: most tokens per MW at each speed per user.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`.
    plans : sequence of Plan, optional
        `default_plans` by default.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    devices_max : int, optional
        Devices of the largest replica; by default those that one link domain joins.
    concurrency : array_like, optional
        Requests in flight to try; by default 64 steps from 1 to 16,384.
    fidelity : {"calibrated", "datasheet"} or Calibration
        As in `curve`.
    engine : str
        Engine of the default plans.
    power, pue
        As in `curve`: which megawatts count.

    Returns
    -------
    xarray.Dataset
        Over ``point``, by growing interactivity, with the variables of `curve` and ``plan``,
        ``concurrency``, ``devices``. Empty where no plan fits the memory.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.

    Examples
    --------
    >>> front = frontier("H200-SXM", "Llama-3.1-8B", devices_max=8)
    >>> bool((np.diff(front.output_tokens_per_s_per_mw) < 0).all())
    True
    """
    xarray = require("xarray", extra="analysis")
    d, m = as_device(device), as_model(model)
    load = as_load(input_tokens, output_tokens)
    power, pue = as_power(power, pue)
    tried = default_plans(d, m, devices_max, engine) if plans is None else _given(plans, d, m)
    users = (
        np.unique(np.round(np.geomspace(1, 16384, 64)))
        if concurrency is None
        else as_concurrency(concurrency)
    )
    on = resolved(d, m, tried or [Plan()], fidelity)
    names = [*UNITS]
    if tried:
        values = evaluate(on, load, users, power, pue)
        chosen = _pareto(values["interactivity"], values["output_tokens_per_s_per_mw"])
    else:
        values = {name: np.empty((0, users.size)) for name in names}
        chosen = np.empty(0, dtype=int)
    row, column = np.unravel_index(chosen, (max(len(tried), 1), users.size))
    data: dict[str, Any] = {name: ("point", values[name].ravel()[chosen]) for name in names}
    labels = np.array([p.label() for p in tried] or [""])
    data["plan"] = ("point", labels[row])
    data["concurrency"] = ("point", users[column])
    data["devices"] = ("point", np.array([p.devices for p in tried] or [0])[row])
    shown = _tried(on, row)
    where = "; ".join(
        dict.fromkeys(p for one in shown for p in one.calibration.calibrated_on.split("; "))
    )
    about = attributes(shown, load, users[np.unique(column)], fidelity, where, power)
    table = xarray.Dataset(data, attrs=about)
    table.attrs["plans_tried"] = len(tried)
    return describe(table)


def _tried(on: Sequence[Deployment], row: NDArray[np.intp]) -> list[Deployment]:
    """Those with a point; the first of all where none has."""
    return [on[i] for i in np.unique(row)] or [on[0]]


def _given(plans: object, device: Device, model: Model) -> list[Plan]:
    if isinstance(plans, (Plan, str)) or not isinstance(plans, Iterable):
        raise TypeError(f"plans is {plans!r}; allowed: a sequence of Plan, or None")
    tried = [as_plan(p) for p in plans]
    for plan in tried:
        check_plan(device, model, plan)
    return tried


def _pareto(speed: NDArray[np.float64], worth: NDArray[np.float64]) -> NDArray[np.intp]:
    """Flat indexes of the points that no other beats in both, by growing speed."""
    # from the fastest user on, a point counts if no faster one yields as much
    order = np.lexsort((-worth.ravel(), -speed.ravel()))
    order = order[np.isfinite(speed.ravel()[order]) & np.isfinite(worth.ravel()[order])]
    best = np.maximum.accumulate(np.concatenate([[-np.inf], worth.ravel()[order]]))
    return np.asarray(order[worth.ravel()[order] > best[:-1]][::-1])
