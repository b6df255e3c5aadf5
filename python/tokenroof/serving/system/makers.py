"""Ways to make a `System`: prompts apart from answers, experts from attention, drafts apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from tokenroof.serving.system.parts import Speculation
from tokenroof.serving.system.record import System
from tokenroof.support.arguments import check_options

if TYPE_CHECKING:
    from tokenroof.inference.dataflow import Parameter
    from tokenroof.records.model import Model

__all__ = ["Rest", "disaggregate", "draft_apart", "split_experts"]


class Rest(TypedDict, total=False):
    """What a `System` has beside its pools: a link, the model that it serves, the engine's version."""

    link_bandwidth: Parameter
    hop_s: Parameter
    model: str | Model | None
    version: str | None


def disaggregate(
    prefill: Any, decode: Any, speculation: Speculation | None = None, **rest: Unpack[Rest]
) -> System:
    """A system that computes prompts on one pool and answers on another, caches sent between them.

    Parameters
    ----------
    prefill, decode : Pool, device, or (device, plan, n)
        As `decouple.prefill_decode` takes them.
    speculation : Speculation or its fields by name, optional
    link_bandwidth, hop_s, model, version
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
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=4, weights="fp8", kv_cache="fp8")
    >>> disaggregate(prefill=("H200-SXM", plan), decode=("H200-SXM", plan, 3)).label()
    'prefill 1x H200-SXM tp4 fp8 kv fp8, decode 3x H200-SXM tp4 fp8 kv fp8'
    """
    check_options("disaggregate", rest, Rest)
    return System(prefill=prefill, decode=decode, speculation=speculation, **rest)


def split_experts(attention: Any, experts: Any, **rest: Unpack[Rest]) -> System:
    """A system with attention and its cache on one pool, MLPs and experts on dataflow chips.

    Parameters
    ----------
    attention, experts : Pool, device, or (device, plan)
        As `decouple.attention_experts` takes them.
    link_bandwidth, hop_s, model, version
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
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> split_experts(("B200-SXM", plan), "LPX").experts.where.kind
    'lpu'
    """
    check_options("split_experts", rest, Rest)
    return System(attention=attention, experts=experts, **rest)


def draft_apart(
    verify: Any,
    draft: str | Model,
    drafter: Any,
    drafts: int = 4,
    acceptance: Any = 0.8,
    **rest: Unpack[Rest],
) -> System:
    """A system whose drafts are made on dataflow chips and verified by another pool.

    Parameters
    ----------
    verify, drafter : Pool, device, or (device, plan)
        As `decouple.drafts` takes them.
    draft : str or Model
        The model that drafts.
    drafts, acceptance
        As in `Speculation`.
    link_bandwidth, hop_s, model, version
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
    >>> import tokenroof as tr
    >>> plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> draft_apart(("B200-SXM", plan), "Llama-3.2-1B", "LPX").speculation.length
    4
    """
    check_options("draft_apart", rest, Rest)
    how = Speculation(draft, drafts, acceptance)
    return System(both=verify, draft=drafter, speculation=how, **rest)
