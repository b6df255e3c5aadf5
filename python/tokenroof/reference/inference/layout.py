"""What each device has of a model under a plan (docs/inference/step-model.md, section 4)."""

from __future__ import annotations

from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.inference.heads import full_heads, softmax_layers, window_heads
from tokenroof.reference.inference.structure import (
    head_type,
    mixer_types,
    mlp_types,
    shared_types,
    wide_type,
)
from tokenroof.reference.records.dtypes import type_name
from tokenroof.reference.records.records import Record

__all__ = ["share"]


def share(load: float, n: float) -> float:
    """Even shares; below one item a rank, the busiest still has the whole item."""
    return maximum(divide(load, n), minimum(load, 1.0))


class Layout:
    """What each device has of the model under a plan."""

    def __init__(self, model: Record, plan: Record) -> None:
        self.tp, self.pp, self.dp, self.cp = plan["tp"], plan["pp"], plan["dp"], plan["cp"]
        self.heads = model["heads"] / self.tp
        self.full = full_heads(model, self.tp)
        self.windows = window_heads(model, self.tp)
        self.softmax = softmax_layers(model)
        self.group = self.tp * self.dp
        self.moe_ep = plan["moe_ep"]
        self.power_cap_w = plan["power_cap_w"]  # of a board; 0: none
        self.weights = type_name(plan["weights"])
        self.mixers, self.mlp, self.shared = (
            mixer_types(model, plan), mlp_types(plan), shared_types(plan)
        )  # fmt: skip
        self.experts = type_name(plan["experts"])
        self.cache = type_name(plan["kv_cache"])
        self.wide, self.head = wide_type(plan), head_type(plan)
