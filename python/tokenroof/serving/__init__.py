"""Serving in closed loop: throughput against speed per user, and the load that an objective allows.

So many requests are in flight, each answered one followed by the next. `tokenroof.kernels.serving` holds
the formulas: the batch that the memory allows, prompts that pass through the steps of the others, bursts,
and the queue for a slot. Times are means.
"""

from __future__ import annotations

from tokenroof.serving.alone import OneUser, one_user
from tokenroof.serving.beside import beside_lpx
from tokenroof.serving.capacity import capacity
from tokenroof.serving.comparing import SystemComparison, compare
from tokenroof.serving.curve import curve
from tokenroof.serving.frontier import frontier
from tokenroof.serving.gaps import token_gaps
from tokenroof.serving.loads import LONGEST_WAIT, POWERS
from tokenroof.serving.outcome import Verdict, series, spread, summary, verdict
from tokenroof.serving.plans import default_plans, native_types, released_types
from tokenroof.serving.recorded import RunFit, calibrate_run
from tokenroof.serving.replications import replicate
from tokenroof.serving.requests import (
    Lengths,
    Requests,
    as_requests,
    daily,
    gamma,
    modulated,
    poisson,
    prioritised,
    sessions,
    trace,
    users,
)  # fmt: skip
from tokenroof.serving.room import plan_that_fits
from tokenroof.serving.session_curve import session_curve
from tokenroof.serving.session_load import Preset, SessionLoad, preset, presets
from tokenroof.serving.simulation import (
    Autoscale,
    BestHits,
    HostTier,
    PooledSimulation,
    Scheduler,
    Simulation,
    StepTime,
    best_hits,
    simulate,
)
from tokenroof.serving.slo import SLO
from tokenroof.serving.stability import Stability, stability
from tokenroof.serving.system import (
    Pool,
    Speculation,
    System,
    disaggregate,
    draft_apart,
    split_experts,
)
from tokenroof.serving.tuning import Fleet, Trial, Tuning, fleet, spares, tune

__all__ = [
    "LONGEST_WAIT", "POWERS", "SLO", "Autoscale", "BestHits", "Fleet", "HostTier", "Lengths",
    "OneUser", "Pool", "PooledSimulation", "Preset", "Requests", "RunFit", "Scheduler",
    "SessionLoad", "Simulation", "Speculation", "Stability", "StepTime", "System",
    "SystemComparison", "Trial", "Tuning", "Verdict", "as_requests", "beside_lpx", "best_hits",
    "calibrate_run", "capacity", "compare", "curve", "daily", "default_plans", "disaggregate",
    "draft_apart", "fleet", "frontier", "gamma", "modulated", "native_types", "one_user",
    "plan_that_fits", "poisson", "preset", "presets", "prioritised", "released_types", "replicate",
    "series", "session_curve", "sessions", "simulate", "spares", "split_experts", "spread",
    "stability", "summary", "token_gaps", "trace", "tune", "users", "verdict",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
