"""Experts that see a token through fewer values, and experts that compute nothing.

LatentMoE: the public classes of Nemotron 3 and Kimi K3. LongCat-Flash, arXiv:2509.01322, section 2.1.
"""

from __future__ import annotations

from typing import NamedTuple

from tokenroof.reference.core.ieee import divide
from tokenroof.reference.inference.experts import OfExperts, experts_of
from tokenroof.reference.inference.gemm import gemm_operator
from tokenroof.reference.inference.operator_fields import after_one_another
from tokenroof.reference.records.records import Record, takes_fields, takes_records

__all__ = ["latent_experts_operator"]


def computed_topk(topk: float, experts: float, zero: float) -> float:
    """Of a token's choices, evenly among all, those that fall on experts that compute."""
    return topk * divide(experts, experts + zero) if zero > 0.0 else topk + (zero - zero)


def expert_width(model: Record) -> float:
    """Width of what the routed experts see."""
    return model["moe_latent"] if model["moe_latent"] > 0.0 else model["hidden"]


def routed_topk(model: Record) -> float:
    """Experts that compute, per token."""
    return computed_topk(model["topk"], model["experts"], model["zero_experts"])


class LatentExperts(NamedTuple):
    """Inputs of `latent_experts_operator` behind its records."""

    tokens: float
    hidden: float
    latent: float  # width that the experts see
    intermediate: float
    experts_: float
    zero_experts: float
    topk: float
    matrices: float
    moe_tp: float
    moe_ep: float
    skew: float
    weights: float  # type code, of the experts
    activations: float  # type code, of both projections


@takes_records("device", "calibration")
@takes_fields(LatentExperts)
def latent_experts_operator(
    device: Record, calibration: Record, x: LatentExperts
) -> dict[str, float]:
    """Down, experts, up; the projections are whole on every device."""
    kind = x.activations
    down = gemm_operator(device, calibration, x.tokens, x.latent, x.hidden, kind, kind, 0.0)
    topk = computed_topk(x.topk, x.experts_, x.zero_experts)
    routed = OfExperts(
        x.tokens, x.latent, x.intermediate, x.experts_, topk, x.matrices, x.moe_tp, x.moe_ep, x.skew,
        x.weights, 0.0,
    )  # fmt: skip
    inside = experts_of(device, calibration, routed)
    up = gemm_operator(device, calibration, x.tokens, x.hidden, x.latent, kind, kind, 0.0)
    return after_one_another(down, inside, up)
