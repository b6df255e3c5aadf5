"""Data-parallel ranks of a plan: which are played, and what is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.scheduler import Scheduler

__all__ = ["ranks_of", "stages_of"]


def ranks_of(on: Deployment | None, scheduler: Scheduler) -> int:
    """Ranks of one replica that step together.

    Raises
    ------
    ValueError
        For a plan whose ranks are not played, and for a knob of ranks where there is one alone.
    """
    ranks = 1 if on is None else on.plan.dp
    if on is not None and ranks > 1:
        if not scheduler.name.startswith("vllm-"):
            raise ValueError(
                f"plan has dp={ranks}, whose ranks are not played by {scheduler.name}; allowed: 1, and "
                "replicas"
            )
        if not on.model.experts:
            raise ValueError(
                f"plan has dp={ranks}, and {on.model.name} has no experts to share: its ranks are engines by "
                f"themselves; allowed: dp=1, replicas={ranks}, router='least_loaded', signal_age_s=0.1"
            )
    if ranks == 1 and "min_stats_update_interval_ms" in scheduler.given:
        raise ValueError(
            "min_stats_update_interval_ms is given; allowed with a plan that has dp above 1, whose "
            "coordinator's it is"
        )
    return ranks


def stages_of(on: Deployment | None, scheduler: Scheduler) -> int:
    """Stages of a pipeline, each of which holds a batch.

    Raises
    ------
    ValueError
        For a plan whose stages are not played.
    """
    stages = 1 if on is None else on.plan.pp
    if on is None or stages == 1:
        return 1
    if not scheduler.name.startswith("vllm-"):
        raise ValueError(
            f"plan has pp={stages}, whose stages are not played by {scheduler.name}; allowed: 1, and tp or "
            "replicas"
        )
    if on.plan.dp > 1:
        raise ValueError(
            f"plan has pp={stages} and dp={on.plan.dp}, which are not played together; allowed: one of them"
        )
    if scheduler.config["loop"] != "sync":
        raise ValueError(
            f"plan has pp={stages} and the scheduler loop='async': batches in a pipeline are played of the "
            "synchronous loop; allowed: loop='sync'"
        )
    return stages
