"""Highest loads that keep a promise, proved by simulation: knobs of the scheduler, plans, fleets."""

from __future__ import annotations

from tokenroof.serving.tuning.fleet import Fleet, fleet, spares
from tokenroof.serving.tuning.fleet_pools import FleetPool
from tokenroof.serving.tuning.proof import Trial
from tokenroof.serving.tuning.tune import Tuning, tune

__all__ = ["Fleet", "FleetPool", "Trial", "Tuning", "fleet", "spares", "tune"]


def __dir__() -> list[str]:
    return sorted(__all__)
