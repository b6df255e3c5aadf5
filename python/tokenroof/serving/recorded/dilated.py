"""A simulation whose steps take a factor longer: the same run on a clock that goes slower.

Steps of f t + h among arrivals a are steps of t + h / f among arrivals a / f, all times f times as long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.simulation.simulate import simulate

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.result import Simulation

__all__ = ["dilated", "with_host"]

_TIMES = ("arrival", "scheduled", "first_token", "last_token")


def with_host(scheduler: Scheduler, host_s: float) -> Scheduler:
    """The same scheduler with so much time of the host in each step."""
    return Scheduler.preset(scheduler.name, **{**scheduler.given, "host_ns": round(1e9 * host_s)})


def dilated(
    factor: float,
    host_s: float,
    device: str | Device,
    model: str | Model,
    plan: Plan | None,
    requests: Requests,
    scheduler: Scheduler,
    options: dict[str, Any],
) -> Simulation:
    """`simulate` with steps of `factor` times what the step kernels say, and `host_s` [s] each."""
    slower = replace(
        requests,
        arrival_ns=_over(requests.arrival_ns, factor),
        think_ns=_over(requests.think_ns, factor),
    )
    scaled = dict(options)
    for name in ("horizon_s", "signal_age_s"):
        if options.get(name):
            scaled[name] = options[name] / factor
    engine = with_host(scheduler, host_s / factor)
    run = cast("Simulation", simulate(device, model, plan, slower, engine, **scaled))
    _stretch(run.requests, factor)
    alone = (requests.after < 0) & (run.requests["arrival_ns"] >= 0)
    run.requests["arrival_ns"][alone] = requests.arrival_ns[alone]
    for name in _TIMES:
        seconds = run.requests[f"{name}_ns"] * 1e-9
        run.requests[f"{name}_s"] = np.where(run.requests[f"{name}_ns"] < 0, np.nan, seconds)
    _stretch(run.steps, factor)
    for name, value in run.totals.items():
        if name.endswith("_ns"):
            run.totals[name] = round(value * factor)
    run.scheduler = with_host(scheduler, host_s)
    run.config["host_ns"] = round(1e9 * host_s)
    return run


def _over(times: Any, factor: float) -> Any:
    return np.rint(times / factor).astype(np.int64)


def _stretch(rows: Any, factor: float) -> None:
    """Multiply all fields of nanoseconds; -1, which is never, stays."""
    for name in rows.dtype.names or ():
        if name.endswith("_ns"):
            times = rows[name]
            rows[name] = np.where(times < 0, times, np.rint(times * factor).astype(np.int64))
