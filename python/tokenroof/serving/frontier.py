"""The Pareto set over plans and batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.door import as_device, as_model, as_plan, check_plan, resolved
from tokenroof.records.plan import Plan
from tokenroof.serving.closed_loop import UNITS, attributes, describe, evaluate
from tokenroof.serving.loads import as_concurrency, as_load, as_power
from tokenroof.serving.plans import default_plans
from tokenroof.serving.room import why_not
from tokenroof.support.arguments import check_options, number
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.serving.loads import Load

__all__ = ["Limits", "frontier"]


class Limits(TypedDict, total=False):
    """How long a user waits at most for a point to be an offer; None, the default: any time.

    Attributes
    ----------
    ttft_max, tpot_max : float or None
        Mean time to the first token, and per output token after it [s].
    """

    ttft_max: float | None
    tpot_max: float | None


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
    **limits: Unpack[Limits],
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
    ttft_max, tpot_max : float, optional
        Longest mean time to the first token, and per output token after it, of a point that counts
        [s]; by default any. A large batch yields more per MW and may wait minutes for its prompts.

    Returns
    -------
    xarray.Dataset
        Over ``point``, by growing interactivity, with the variables of `curve` and ``plan``,
        ``concurrency``, ``devices``. Empty where no plan fits the memory, or none keeps to the limits:
        ``attrs["reason"]``, which is empty otherwise, says what is needed.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`; ValueError for a limit that is not a positive number, or a device whose
        `power` is unknown.

    Examples
    --------
    >>> front = frontier("H200-SXM", "Llama-3.1-8B", devices_max=8, ttft_max=2.0)
    >>> bool((np.diff(front.output_tokens_per_s_per_mw) < 0).all()), bool((front.ttft_s <= 2.0).all())
    (True, True)
    """
    xarray = require("xarray", extra="analysis")
    d, m = as_device(device), as_model(model)
    load = as_load(input_tokens, output_tokens)
    power, pue = as_power(power, pue)
    check_options("frontier", limits, Limits)
    bounds = _bounds(limits)
    tried = default_plans(d, m, devices_max, engine) if plans is None else _given(plans, d, m)
    users = (
        np.unique(np.round(np.geomspace(1, 16384, 64)))
        if concurrency is None
        else as_concurrency(concurrency)
    )
    on = resolved(d, m, tried or [Plan()], fidelity)
    _check_power(on[0], power)
    names = [*UNITS]
    if tried:
        values = evaluate(on, load, users, power, pue)
        offered = np.ones(values["ttft_s"].shape, dtype=bool)
        for name, most in bounds.items():
            offered &= values[f"{name}_s"] <= most
        chosen = _pareto(
            values["interactivity"], np.where(offered, values["output_tokens_per_s_per_mw"], np.nan)
        )
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
    table.attrs.update({f"{name}_max": most for name, most in bounds.items()})
    table.attrs["reason"] = "" if chosen.size else _why_empty(on if tried else [], load, values)
    return describe(table)


def _bounds(limits: Limits) -> dict[str, float]:
    """The limits that were set, by the time that they bound [s]."""
    bounds = {}
    for name, most in (("ttft", limits.get("ttft_max")), ("tpot", limits.get("tpot_max"))):
        if most is None:
            continue
        if not 0.0 < number(most) < np.inf:
            raise ValueError(f"{name}_max is {most!r}; allowed: a positive number, or None")
        bounds[name] = float(most)
    return bounds


def _check_power(on: Deployment, power: str) -> None:
    """Reject a device of which nothing says the watts that are to count."""
    known, name = on.power, on.device.name
    if power == "dashboard" and known.provisioned_kind != "catalogue":
        raise ValueError(
            f"power is 'dashboard' on {name}, for which the dashboard has no constant; allowed: "
            "'provisioned', 'board', 'chassis', 'facility', or a device with provisioned_power_w"
        )
    d = on.device
    provisioned = power in ("provisioned", "dashboard")
    if d.tdp_w is None and not (provisioned and (d.provisioned_power_w or d.system_power_w)):
        raise ValueError(
            f"tdp_w of {name} is None, where tokens per MW count {power} power; allowed: a device with "
            "its tdp_w [W], as device.replace(tdp_w=700.0)"
        )


def _why_empty(on: Sequence[Deployment], load: Load, values: dict[str, NDArray[Any]]) -> str:
    if not on:
        return "no layout divides the model on a device that can run its types"
    return "no point keeps to what was asked" if values["fits"].any() else why_not(on, load)


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
