"""Why nothing fits, and which plan would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.inference.door import as_device, as_model, as_plan, check_plan, resolved
from tokenroof.inference.memory import needed
from tokenroof.inference.released import released_plan
from tokenroof.records.device import link_domain
from tokenroof.records.plan import Plan
from tokenroof.serving.closed_loop import evaluate
from tokenroof.serving.loads import as_load
from tokenroof.serving.plans import native_types
from tokenroof.support.formats import si

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.serving.loads import Load

__all__ = ["no_watts", "plan_that_fits", "unknown", "why_not"]

_MOST_DEVICES = 64  # of a suggestion where a network joins more than one domain


def plan_that_fits(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    input_tokens: float = 1024,
    output_tokens: float = 1024,
    fidelity: str | Calibration = "calibrated",
) -> Plan | None:
    """The plan with the fewest devices that holds a model's weights and one request's cache.

    Types are those of `plan`, then those that the model was released in, then the narrowest that the
    device has units for; layouts are powers of two of tensor and expert parallelism, then stages.

    Parameters
    ----------
    device, model : str or record
    plan : Plan, optional
        Whose types and engine; by default one device in the types that the model was released in.
    input_tokens, output_tokens : float
        Mean tokens of prompt and answer [1].
    fidelity : {"calibrated", "datasheet"} or Calibration

    Returns
    -------
    Plan or None
        None where none of these fits.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `curve`; and for a device whose memory nobody states, of which no plan is known to fit.

    Examples
    --------
    >>> plan_that_fits("H100-SXM", "Llama-3.3-70B").label()
    'tp2 bf16 kv bf16'
    """
    d, m = as_device(device), as_model(model)
    load = as_load(input_tokens, output_tokens)
    if d.memory_bytes is None:
        raise ValueError(
            f"memory_bytes of {d.name} is None, where a plan that fits it is asked for; allowed: a "
            "device with its memory_bytes [B], as device.replace(memory_bytes=80e9)"
        )
    for candidate in _candidates(d, m, plan):
        try:
            check_plan(d, m, candidate)
        except ValueError:
            continue
        if evaluate(resolved(d, m, [candidate], fidelity), load, np.ones(1))["fits"].all():
            return candidate
    return None


def _candidates(device: Device, model: Model, given: Plan | None) -> Iterator[Plan]:
    """Plans by types, then by devices."""
    domain = link_domain(device)
    most = 1 if device.link is None else domain
    if device.link is not None and device.node_link_bandwidth:
        most = max(domain, _MOST_DEVICES)
    weights, cache = native_types(device)
    readable = model.quantisation is None or not model.quantisation.refusal
    released = released_plan(model) if readable else {}
    plan = as_plan(given, model) if given is not None or readable else Plan()
    kinds = [plan, _in(plan, released | {"kv_cache": plan.kv_cache}) if released else plan,
             _in(plan, {"weights": weights, "kv_cache": cache})]  # fmt: skip
    for named in dict.fromkeys(kinds):
        for count in (2**i for i in range(most.bit_length()) if 2**i <= most):
            for pp in (1, *(2**i for i in range(1, 4) if count % 2**i == 0)):
                tp = count // pp
                if tp > domain:
                    continue
                for ep in dict.fromkeys((tp, 1) if model.experts else (1,)):
                    yield named.replace(
                        tp=tp, pp=pp, dp=1, cp=1, moe_ep=ep, moe_tp=tp // ep, activations=None
                    )


def _in(plan: Plan, types: dict[str, Any]) -> Plan:
    """The plan in other types."""
    none = {"experts": None, "activations": None, "attention": None, "shared_experts": None,
            "head": None, "wide": ()}  # fmt: skip
    return plan.replace(**{**none, **types})


def no_watts(device: Device, power: str) -> bool:
    """Whether nothing says the watts of a kind of power, the board's limit or what stands for it."""
    stated = power in ("provisioned", "dashboard")
    return device.tdp_w is None and not (
        stated and (device.provisioned_power_w or device.system_power_w)
    )


def unknown(power: str, *devices: Device) -> str:
    """What a table of devices leaves open that their cards do not state; empty where they state all.

    Examples
    --------
    >>> import tokenroof as tr
    >>> unknown("board", tr.device("H200-SXM"))
    ''
    >>> unknown("board", tr.device("H200-SXM"), tr.device("L4").replace(memory_bytes=None))
    'memory_bytes of L4 is None: whether it fits is not known'
    """
    said = []
    for device in devices:
        name = device.name
        if device.memory_bytes is None:
            said.append(f"memory_bytes of {name} is None: whether it fits is not known")
        if no_watts(device, power):
            said.append(f"tdp_w of {name} is None: tokens per MW of {power} power are not known")
    return "; ".join(dict.fromkeys(said))


def why_not(on: Sequence[Deployment], load: Load) -> str:
    """What the deployment that needs least per device needs, and what there is."""
    need, where = min(((_needed(one, load), one) for one in on), key=lambda pair: sum(pair[0]))
    weights, cache = need
    device, plan, model = where.device, where.plan, where.model
    have = si(device.memory_bytes, "B") if device.memory_bytes else "an unknown memory"
    return (
        f"{model.name} needs {si(weights + cache, 'B')} per device with the plan {plan.label(model)} "
        f"({si(weights, 'B')} of weights, {si(cache, 'B')} for the cache of one request); "
        f"{device.name} has {have}, of which {plan.engine} keeps a part for itself"
    )


def _needed(on: Deployment, load: Load) -> tuple[float, float]:
    """Weights, and the cache of one request, on the fullest device [B]."""
    weights = float(needed(on.records, 0.0, 0.0))
    both = float(needed(on.records, 1.0, load.context))
    return weights, both - weights
