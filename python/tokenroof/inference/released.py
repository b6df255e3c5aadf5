"""The types that a model was released in, where a plan does not name others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tokenroof.records import dtypes
from tokenroof.records.plan import Plan

if TYPE_CHECKING:
    from tokenroof.records.model import Model

__all__ = ["plan_as_released", "released_plan", "said_types"]


def plan_as_released(model: Model, **given: Any) -> Plan:
    """A plan of these fields; types that are not among them are those that the model was released in.

    Where weights are named, what is not named follows from them, as in `tokenroof.Plan`.

    Raises
    ------
    ValueError
        For a ``quantization_config`` that cannot be read; what a plan itself refuses.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plan_as_released(tr.model("gpt-oss-120b"), tp=2).label()
    'tp2 bf16/mxfp4 kv bf16'
    """
    if not given:
        return _as_released(model)
    return Plan(**given) if "weights" in given else Plan(**{**released_plan(model), **given})


@lru_cache(maxsize=512)
def _as_released(model: Model) -> Plan:
    return Plan(**released_plan(model))


def released_plan(model: Model) -> dict[str, Any]:
    """Fields of a plan for the types that a model was released in; none where that is in 16 bits.

    By its ``quantization_config`` where that is known (`tokenroof.Plan.from_config`), otherwise by what
    `Model.native_dtype` says.

    Raises
    ------
    ValueError
        For a ``quantization_config`` that cannot be read.

    Examples
    --------
    >>> import tokenroof as tr
    >>> released_plan(tr.model("gpt-oss-120b"))
    {'weights': 'bf16', 'experts': 'mxfp4'}
    """
    if model.quantisation is not None:
        plan = Plan.from_config(model)
        names = ("experts", "attention", "shared_experts", "head")
        found: dict[str, Any] = {"weights": plan.weights}
        found |= {n: v for n in names if (v := getattr(plan, n)) not in (None, plan.weights)}
        if plan.attention is not None:
            found["attention"] = plan.attention
        if plan.wide:
            found["wide"] = plan.wide
        if model.quantisation.kv_cache:
            found["kv_cache"] = plan.kv_cache
        return found if found != {"weights": "bf16"} else {}
    said = said_types(model)
    return {} if said is None else dict(zip(("weights", "experts"), said, strict=True))


def said_types(model: Model) -> tuple[str, str] | None:
    """Types of attention and of experts that `Model.native_dtype` says; None where these are wide."""
    said = model.native_dtype
    experts, _, rest = said.partition(" experts")
    if rest.endswith(" rest") and experts in dtypes.NAMES:
        return rest.rpartition(", ")[2].removesuffix(" rest"), experts
    # scales as powers of two (ue8m0) stand by blocks as well
    if "fp8" in said and ("block" in said or "ue8m0" in said):
        return ("fp8_block", "fp8_block")
    kind = said.partition(" ")[0]
    if kind in dtypes.NAMES and dtypes.BYTES[kind] < dtypes.BYTES["bf16"]:
        return kind, kind
    return None
