"""Plans worth trying for a model on a device."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

from tokenroof.inference.door import check_units
from tokenroof.inference.released import released_plan, said_types
from tokenroof.records.device import block_type, link_domain
from tokenroof.records.plan import ENGINES, Plan
from tokenroof.records.refusals import check_loads
from tokenroof.support.arguments import is_integer, shown
from tokenroof.support.kinds import takes_records
from tokenroof.support.names import among

if TYPE_CHECKING:
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model

__all__ = ["default_plans", "native_types", "released_plan", "released_types"]


@takes_records
def native_types(device: Device) -> tuple[str, str]:
    """Narrowest types of weights and cache that this device has units for: of 4 bits its maker's.

    Parameters
    ----------
    device : Device

    Returns
    -------
    tuple of (str, str)
        Of weights and of the cache.

    Examples
    --------
    >>> import tokenroof as tr
    >>> native_types(tr.device("H100-SXM")), native_types(tr.device("Instinct MI355X"))
    (('fp8', 'fp8'), ('mxfp4', 'fp8'))
    """
    narrow = block_type(device) or ("fp8" if "fp8" in device.peak else None)
    return (narrow, "fp8") if narrow else ("bf16", "bf16")


@takes_records
def released_types(model: Model) -> tuple[str, str] | None:
    """Types of attention and of experts (of dense models: MLPs) in a released checkpoint, where these are
    narrow; integers whatever shares a scale.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of (str, str) or None
        None where the checkpoint is not narrow.

    Examples
    --------
    >>> import tokenroof as tr
    >>> released_types(tr.model("gpt-oss-120b")), released_types(tr.model("Llama-3.1-8B"))
    (('bf16', 'mxfp4'), None)
    """
    if model.quantisation is None:
        return said_types(model)
    if model.quantisation.refusal:
        return None
    found = released_plan(model)
    if not found:
        return None
    plan = Plan(**found)
    narrow = str(plan.experts if model.experts else plan.weights)
    rest, narrow = (
        "int4" if kind.startswith("int4") else kind for kind in (plan.attention_type(model), narrow)
    )
    return rest, narrow


@takes_records
def default_plans(
    device: Device, model: Model, devices_max: int | None = None, engine: str = "vllm"
) -> list[Plan]:
    """Plans worth trying: powers of two of tensor and attention-data parallelism, experts spread.

    Types are the device's narrowest (`native_types`), and those that the model was released in
    (`released_types`); layouts that do not divide the model, or that the engine refuses to
    load, are left out.

    Parameters
    ----------
    device : Device
    model : Model
    devices_max : int, optional
        The most devices of a plan; of a scale-up domain, or 8, by default.
    engine : str
        Of the plans.

    Returns
    -------
    list of Plan
        Without repeats.

    Examples
    --------
    >>> import tokenroof as tr
    >>> plans = default_plans(tr.device("H200-SXM"), tr.model("Llama-3.1-8B"), devices_max=8)
    >>> [plan.tp for plan in plans]
    [1, 2, 4, 8]
    """
    if devices_max is None:
        devices_max = max(device.link_domain_size or 1, 8)
    if not is_integer(devices_max) or devices_max < 1:
        raise ValueError(f"devices_max is {shown(devices_max)}; allowed: a positive integer")
    if not among(engine, ENGINES):
        raise ValueError(f"engine is {shown(engine)}; allowed: {', '.join(ENGINES)}")
    domain = link_domain(device)
    most = int(devices_max) if device.node_link_bandwidth else min(int(devices_max), domain)
    if device.link is None:
        most = 1
    weights, cache = native_types(device)
    readable = model.quantisation is None or not model.quantisation.refusal
    released = (released_plan(model) if readable else {}) | {"kv_cache": cache}
    narrow: dict[str, Any] = {"weights": weights}
    types = [narrow]
    if released_types(model) == ("fp8_block", "fp8_block") and weights == "fp8":
        types = [released]
    elif "weights" in released and released != narrow | {"kv_cache": cache}:
        types.append(released)
    given = tuple(_hashable({"kv_cache": cache, **fields}) for fields in types)
    return [plan for plan in _layouts(model, most, engine, given) if _has_units(device, plan)]


def _hashable(fields: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((k, tuple(v.items()) if isinstance(v, dict) else v) for k, v in fields.items())


@lru_cache(maxsize=256)
def _layouts(
    model: Model, most: int, engine: str, types: tuple[tuple[tuple[str, Any], ...], ...]
) -> tuple[Plan, ...]:
    """Plans of these types on at most so many devices, whichever these are."""
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    plans = []
    for tp, dp, given in product(powers, powers if model.experts else [1], types):
        if tp * dp > most:
            continue
        fields: dict[str, Any] = {k: dict(v) if isinstance(v, tuple) else v for k, v in given}
        for ep in {tp * dp, dp} if model.experts else {dp}:
            plan = Plan(tp=tp, dp=dp, moe_ep=ep, engine=engine, **fields)
            try:
                plan.check(model)
                check_loads(plan, model)
            except ValueError:
                continue
            plans.append(plan)
    return tuple(plans)


def _has_units(device: Device, plan: Plan) -> bool:
    try:
        check_units(device, plan)
    except ValueError:
        return False
    return True
