"""An engine's scheduler, played step by step over requests."""

from __future__ import annotations

from tokenroof.serving.simulation.autoscale import Autoscale
from tokenroof.serving.simulation.best_hits import BestHits, best_hits
from tokenroof.serving.simulation.host_tier import HostTier
from tokenroof.serving.simulation.pooled import PooledSimulation
from tokenroof.serving.simulation.result import Simulation
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.simulation.simulate import simulate
from tokenroof.serving.simulation.step_time import StepTime

__all__ = [
    "Autoscale", "BestHits", "HostTier", "PooledSimulation", "Scheduler", "Simulation", "StepTime",
    "best_hits", "simulate",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
