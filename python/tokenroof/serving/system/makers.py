"""Ways to make a `System`: one pool, prompts from answers, experts from attention, drafts apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokenroof.records.device import Device
from tokenroof.records.plan import Plan
from tokenroof.serving.system.parts import Drafts, Link, Pool
from tokenroof.serving.system.record import System

if TYPE_CHECKING:
    from tokenroof.inference.dataflow import Parameter
    from tokenroof.records.model import Model

__all__ = ["aggregate", "disaggregate", "draft_apart", "split_experts"]


def _pool(field: str, given: Any, role: str) -> Pool:
    """A pool of what `decouple` takes for a site: a device, or (device, plan, replicas)."""
    if isinstance(given, Pool):
        return Pool(given.device, given.plan, given.count, role)
    parts = given if isinstance(given, tuple) else (given,)
    if not 1 <= len(parts) <= 3 or (
        len(parts) > 1 and not isinstance(parts[1], (Plan, type(None)))
    ):
        raise ValueError(
            f"{field} is {given!r}; allowed: a Pool, a device, (device, plan) or (device, plan, n)"
        )
    if not isinstance(parts[0], (str, Device)):
        raise TypeError(f"{field} has the device {parts[0]!r}; allowed: a name or a Device")
    plan = parts[1] if len(parts) > 1 else None
    n = parts[2] if len(parts) > 2 else 1
    return Pool(parts[0], plan, n, role)


def aggregate(
    model: str | Model,
    pool: Any,
    *,
    speculation: Drafts | None = None,
    version: str | None = None,
) -> System:
    """A system of replicas that each answer whole requests.

    Parameters
    ----------
    model : str or Model
    pool : Pool, device, or (device, plan, n)
    speculation, version
        As in `System`.

    Returns
    -------
    System

    Raises
    ------
    KeyError, ValueError, TypeError
        As `System`.

    Examples
    --------
    >>> aggregate("Llama-3.1-8B", ("H200-SXM", Plan(tp=2), 3)).devices
    6
    """
    return System(model, (_pool("pool", pool, "both"),), None, speculation, version)


def disaggregate(
    model: str | Model,
    prefill: Any,
    decode: Any,
    *,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    speculation: Drafts | None = None,
    version: str | None = None,
) -> System:
    """A system that computes prompts on one pool and answers on another, caches sent between them.

    Parameters
    ----------
    model : str or Model
    prefill, decode : Pool, device, or (device, plan, n)
        As `decouple.prefill_decode` takes them.
    link_bandwidth, hop_s
        As in `Link`.
    speculation, version
        As in `System`.

    Returns
    -------
    System

    Raises
    ------
    KeyError, ValueError, TypeError
        As `System`: caches of unlike types or layouts, a link without bandwidth.

    References
    ----------
    Zhong et al., DistServe, arXiv:2401.09670; Patel et al., Splitwise, arXiv:2311.18677.

    Examples
    --------
    >>> plan = Plan(tp=4, weights="fp8", kv_cache="fp8")
    >>> disaggregate("Llama-3.1-70B", ("H200-SXM", plan), ("H200-SXM", plan, 3)).label()
    'prefill 1x H200-SXM tp4 fp8 kv fp8, decode 3x H200-SXM tp4 fp8 kv fp8'
    """
    pools = (_pool("prefill", prefill, "prefill"), _pool("decode", decode, "decode"))
    return System(model, pools, Link(link_bandwidth, hop_s), speculation, version)


def split_experts(
    model: str | Model,
    attention: Any,
    experts: Any,
    *,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    version: str | None = None,
) -> System:
    """A system with attention and its cache on one pool, MLPs and experts on dataflow chips.

    Parameters
    ----------
    model : str or Model
    attention, experts : Pool, device, or (device, plan)
        As `decouple.attention_experts` takes them.
    link_bandwidth, hop_s, version
        As in `disaggregate`.

    Returns
    -------
    System

    Raises
    ------
    KeyError, ValueError, TypeError
        As `System`.

    Examples
    --------
    >>> plan = Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> split_experts("Qwen3-235B-A22B", ("B200-SXM", plan), "LPX").pool("experts").where.kind
    'lpu'
    """
    pools = (_pool("attention", attention, "attention"), _pool("experts", experts, "experts"))
    return System(model, pools, Link(link_bandwidth, hop_s), None, version)


def draft_apart(
    model: str | Model,
    verify: Any,
    draft: str | Model,
    drafter: Any,
    *,
    drafts: int = 4,
    acceptance: Any = 0.8,
    link_bandwidth: Parameter = None,
    hop_s: Parameter = None,
    version: str | None = None,
) -> System:
    """A system whose drafts are made on dataflow chips and verified by another pool.

    Parameters
    ----------
    model : str or Model
    verify, drafter : Pool, device, or (device, plan)
        As `decouple.drafts` takes them.
    draft : str or Model
        The model that drafts.
    drafts, acceptance
        As in `Drafts`.
    link_bandwidth, hop_s, version
        As in `disaggregate`.

    Returns
    -------
    System

    Raises
    ------
    KeyError, ValueError, TypeError
        As `System`.

    Examples
    --------
    >>> plan = Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> draft_apart("Llama-3.1-70B", ("B200-SXM", plan), "Llama-3.2-1B", "LPX").speculation.drafts
    4
    """
    pools = (_pool("verify", verify, "both"), _pool("drafter", drafter, "draft"))
    return System(
        model, pools, Link(link_bandwidth, hop_s), Drafts(draft, drafts, acceptance), version
    )
