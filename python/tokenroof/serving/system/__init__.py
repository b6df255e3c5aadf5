"""Systems: pools of replicas, links between them, drafts; what they give under a load."""

from __future__ import annotations

from tokenroof.serving.system.makers import aggregate, disaggregate, draft_apart, split_experts
from tokenroof.serving.system.parts import Drafts, Link, Pool
from tokenroof.serving.system.record import System

__all__ = [
    "Drafts", "Link", "Pool", "System", "aggregate", "disaggregate", "draft_apart", "split_experts",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
