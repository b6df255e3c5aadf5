"""What a search over systems tries: plans, drafts, and the prefill replicas worth a choice."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.catalogue.accepted import Acceptance, acceptances
from tokenroof.inference.door import check_links, check_units
from tokenroof.inference.released import released_plan
from tokenroof.records.device import link_domain
from tokenroof.records.plan import Plan
from tokenroof.records.refusals import check_loads
from tokenroof.serving.plans import native_types
from tokenroof.serving.system.checks import check_method
from tokenroof.serving.system.parts import MOST_DRAFTS, Speculation
from tokenroof.serving.system.terms import prefill_terms, prefill_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.serving.loads import Load

__all__ = ["Prefill", "draft_lengths", "drafts_assumed", "prefills", "runs", "system_plans"]

#: Tensor and pipeline parallelism go no further [1].
_MOST_TP, _MOST_PP = 16, 2
_BUDGETS = (1.0, 2.0)


def system_plans(
    device: Device,
    model: Model,
    devices_max: int | None,
    engine: str,
    types: Sequence[str] | None = None,
    exclude: Iterable[str] = (),
) -> list[Plan]:
    """Plans worth trying in pools: wide ones too, beyond a domain of links where a network is known.

    Powers of two of tensor, attention-data and pipeline parallelism; experts as wide as the replica, as its
    attention ranks, or whole on each; the released and the narrowest types; caches in 8 and 16 bits.
    """
    without = set(exclude)
    domain = link_domain(device)
    most = max(int(devices_max or max(domain, 8)), 1)
    if device.link is None:
        most = 1
    elif not device.node_link_bandwidth or "network" in without:
        most = min(most, domain)
    powers = [2**i for i in range(most.bit_length()) if 2**i <= most]
    layouts = product(
        [n for n in powers if n <= _MOST_TP],
        powers if model.experts and "dp" not in without else [1],
        [n for n in powers if n <= _MOST_PP] if "pp" not in without else [1],
    )
    found: dict[Plan, None] = {}
    for (tp, dp, pp), fields in product(list(layouts), _types(device, model, types)):
        if tp * dp * pp > most:
            continue
        for ep in dict.fromkeys((tp * dp, dp, 1)) if model.experts else (dp,):
            if ep > 1 and "ep" in without:
                continue
            plan = Plan(tp=tp, dp=dp, pp=pp, moe_ep=ep, engine=engine, **fields)
            if types is None or _of_types(plan, types):
                found[plan] = None
    return [plan for plan in found if runs(device, model, plan)]


def _types(device: Device, model: Model, asked: Sequence[str] | None) -> list[dict[str, Any]]:
    """Fields of plans: the narrowest types of a device, those of the released model, those asked for."""
    weights, cache = native_types(device)
    readable = model.quantisation is None or not model.quantisation.refusal
    released = released_plan(model) if readable else {}
    kinds: list[dict[str, Any]] = [{"weights": weights}, released]
    kinds += [{"weights": kind} for kind in asked or ()]
    caches = dict.fromkeys([cache, "bf16"])
    found = [{"kv_cache": kv} | {k: v for k, v in kind.items() if k != "kv_cache"}
             for kind in kinds if kind for kv in caches]  # fmt: skip
    return [kind for i, kind in enumerate(found) if kind not in found[:i]]


def _of_types(plan: Plan, types: Sequence[str]) -> bool:
    narrow = {plan.weights, plan.experts} - {"bf16"}
    return narrow <= set(types) if narrow else "bf16" in types


def runs(device: Device, model: Model, plan: Plan) -> bool:
    """Whether a plan divides a model, and a device has units for its types and links for its devices."""
    try:
        plan.check(model)
        check_loads(plan, model)
        check_units(device, plan)
        check_links(device, plan)
    except ValueError:
        return False
    return True


def draft_lengths(
    model: Model, speculation: Speculation | None, exclude: Iterable[str]
) -> list[Speculation | None]:
    """Plain decoding, and drafts of each length with acceptance as given, or as measured for the model.

    Where nothing is given a model with a module of its own drafts by it: as measured for this model, or else
    for others that think, on coding prompts. What a vendor says of its own is not measured: points of public
    runs of DeepSeek-R1 with drafts are 18 % faster by it than they were, and 12 % off by the measured.
    """
    if "speculation" in set(exclude):
        return [None]
    if speculation is not None:
        check_method(model, speculation.method)
        chances = speculation.acceptance
        lengths = range(1, speculation.length + 1)
        return [None, *(Speculation(speculation.method, k, chances[:k]) for k in lengths)]
    if not model.mtp_modules:
        return [None]
    known = _measured(model).by_position[:MOST_DRAFTS]
    return [None, *(Speculation("mtp", k, known[:k]) for k in range(1, len(known) + 1))]


def _measured(model: Model) -> Acceptance:
    """Who drafts by a module of its own is taken to be accepted so."""
    own = acceptances("mtp", model=model.name)
    rows = [row for row in own if row.provenance.kind == "measured"]
    return max(rows or acceptances("mtp", task="coding"), key=lambda row: row.most)


def drafts_assumed(model: Model, speculation: Speculation | None, exclude: Iterable[str]) -> str:
    """What `draft_lengths` takes to be accepted, in words; empty where nothing drafts.

    Examples
    --------
    >>> import tokenroof as tr
    >>> drafts_assumed(tr.model("Llama-3.1-8B"), None, ())
    ''
    >>> drafts_assumed(tr.model("Llama-3.1-8B"), Speculation("eagle", 2, (0.8, 0.5)), ())
    'drafts by eagle are kept with chances 0.8, 0.5 (as given)'
    """
    longest = draft_lengths(model, speculation, exclude)[-1]
    if longest is None:
        return ""
    by = longest.method if isinstance(longest.method, str) else longest.method.name
    chances = ", ".join(f"{chance:.2g}" for chance in np.ravel(longest.acceptance))
    known = None if speculation is not None else _measured(model)
    where = "as given" if known is None else f"{known.provenance.kind}: {known.name}"
    return f"drafts by {by} are kept with chances {chances} ({where})"


class Prefill:
    """Prefill replicas worth a choice, as columns of the kernel's terms."""

    def __init__(
        self, on: Sequence[Deployment], index: list[int], rows: list[dict[str, Any]]
    ) -> None:
        self.on = [on[i] for i in index]
        self.terms = {
            name: np.array([float(np.asarray(row[name])) for row in rows])
            for name in (rows[0] if rows else ())
        }

    def __len__(self) -> int:
        return len(self.on)


def prefills(on: Sequence[Deployment], load: Load) -> Prefill:
    """Of each device, cap, size, cache and budget of a step the replica of most prompts, and the fastest.

    Steps have the tokens that the engine takes by itself, or twice as many.
    """
    best: dict[tuple[Any, ...], tuple[float, int, dict[str, Any]]] = {}
    for i, one in enumerate(on):
        for times in _BUDGETS:
            row = prefill_terms(one, load, 64.0, times * prefill_tokens(one))
            rate, alone = row["prefill_batch"] / row["prefill_s"], float(row["alone_s"])
            if not np.isfinite(alone):
                continue
            size = (
                one.device.name,
                one.plan.power_cap_w,
                one.plan.devices,
                one.plan.kv_cache,
                one.plan.tp if not one.model.kv_lora_rank else 0,
            )
            for key, worth in ((("most", *size), float(rate)), (("fast", *size), -alone)):
                if key not in best or worth > best[key][0]:
                    best[key] = (worth, i, row)
    rows = {(i, float(row["prefill_batch"])): (i, row) for _, i, row in best.values()}
    index = [i for i, _ in rows.values()]
    return Prefill(on, index, [row for _, row in rows.values()])
