"""What loads are played on: one replica, or a system of pools, as a search sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from tokenroof.serving.loads import check_length
from tokenroof.serving.open_pools import pools_twin
from tokenroof.serving.simulation.pools import pools_of
from tokenroof.serving.twin import twin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.record import System
    from tokenroof.serving.twin import OpenLoop, Shape

__all__ = ["OfPools", "OneReplica", "Subject"]


class Subject(Protocol):
    """What a search needs to know of it."""

    @property
    def twin(self) -> OpenLoop:
        """Its open loop in closed form."""

    @property
    def devices(self) -> int:
        """Of all of it [1]."""

    @property
    def label(self) -> str:
        """A short name."""

    @property
    def places(self) -> float:
        """Requests that run at once [1]."""

    @property
    def replicas(self) -> int:
        """Of the pool that has the most [1]."""

    @property
    def where(self) -> tuple[Any, Any, Any]:
        """What `simulate` takes in place of a device, a model and a plan."""

    @property
    def scheduler(self) -> Any:
        """What `simulate` takes as its scheduler."""

    @property
    def about(self) -> tuple[Any, ...]:
        """All that a run depends on beside its load."""


class OneReplica:
    """A deployment under a scheduler."""

    def __init__(self, on: Deployment, scheduler: Scheduler, shape: Shape) -> None:
        check_length(on.model, shape.input_tokens, shape.output_tokens, scheduler)
        self.on, self.scheduler = on, scheduler
        self.twin = twin_of(on, shape, scheduler)
        self.devices, self.label = on.plan.devices, on.plan.label(on.model)
        self.places, self.replicas = float(len(self.twin.steps) - 1), 1
        self.where = on.device, on.model, on.plan

    @property
    def about(self) -> tuple[Any, ...]:
        """Packed records, and the scheduler's knobs."""
        config = self.scheduler.resolved(self.on)
        return (*self.on.records, sorted(config.items()), self.scheduler.name)


class OfPools:
    """A system that names its model, of one pool or of prompts and answers apart, each under its scheduler.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `simulate`, of what is not played; for lengths beyond the model.
    """

    def __init__(
        self,
        system: System,
        scheduler: Scheduler | Mapping[str, Scheduler] | None,
        shape: Shape,
        fidelity: str | Calibration,
        beside: Mapping[str, Any],
    ) -> None:
        self.system, self.model, self.scheduler = system, system.serves(None), scheduler
        told = {"fidelity": fidelity, **beside}
        played = pools_of(system, self.model, None, [], scheduler, 0, told)
        self.on = {pool.role: pool.on for pool in played if pool.on is not None}
        self.engines = {pool.role: pool.engine for pool in played}
        for engine in self.engines.values():
            check_length(self.model, shape.input_tokens, shape.output_tokens, engine)
        self.twin = pools_twin(system, self.on, shape, self.engines, fidelity)
        self.devices, self.label = system.devices, system.label(self.model)
        self.places, self.where = self.twin.places, (system, self.model, None)
        self.replicas = max(pool.count for pool in system.pools.values())
        self._configs = [
            (pool.role, pool.engine.name, sorted(pool.config.items())) for pool in played
        ]

    @property
    def about(self) -> tuple[Any, ...]:
        """Packed records and knobs of each pool, how many replicas there are, and the link between them."""
        one = self.system
        link = () if one.link_bandwidth is None else (one.link_bandwidth.mid, one.hop_s.mid)
        records = [array for on in self.on.values() for array in on.records]
        counts = [(role, pool.count) for role, pool in one.pools.items()]
        return (*map(np.asarray, records), *self._configs, *counts, *link, one.speculation)
