"""Systems: pools of replicas, links between them, drafts; what they give under a load."""

from __future__ import annotations

from tokenroof.serving.system.makers import disaggregate, draft_apart, split_experts
from tokenroof.serving.system.parts import Pool, Speculation
from tokenroof.serving.system.record import System

__all__ = ["Pool", "Speculation", "System", "disaggregate", "draft_apart", "split_experts"]


def __dir__() -> list[str]:
    return sorted(__all__)
