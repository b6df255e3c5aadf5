"""Who drafts, and what a drafted token costs: a module of the model, a head over its states, a model."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.door import as_model, check_units, resolved
from tokenroof.inference.speculative.verification import STEP, step_fields
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.records.refusals import check_loads
from tokenroof.support.arguments import amounts, is_number, shown
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment

__all__ = ["draft_cost", "eagle_model", "mtp_model"]


def mtp_model(model: str | Model) -> Model:
    """The module that predicts one further token: a layer of the model between embedding and head.

    Its projection of two hidden states to one is left out (under 3 % of the layer for DeepSeek-V3).

    Parameters
    ----------
    model : str or Model

    Returns
    -------
    Model
        Of one layer, without embedding and head, which it shares with its model.

    Raises
    ------
    ValueError
        For a model without such a module (`Model.mtp_modules`).

    References
    ----------
    DeepSeek-V3, arXiv:2412.19437, section 2.2.

    Examples
    --------
    >>> module = mtp_model("DeepSeek-V3")
    >>> module.layers, module.moe_layers
    (1, 1)
    """
    return _module(as_model(model))


@lru_cache(maxsize=64)
def _module(m: Model) -> Model:
    if not m.mtp_modules:
        raise ValueError(
            f"draft is 'mtp', but {m.name} has no module that predicts further tokens; allowed: a model with "
            "mtp_modules, or as draft 'eagle', 'ngram', a model, or a number"
        )
    mixture = 1 if m.moe_layers else 0
    counts = _one_layer(m) | {"moe_layers": mixture, "dense_layers": 1 - mixture, "wide_layers": 0}
    return m.replace(name=f"{m.name} MTP", hf_id="", aliases=(), **counts)


def _one_layer(m: Model) -> dict[str, Any]:
    """Counts of a model of one layer, with the first of the target's mixers."""
    kinds = (
        "full_layers", "window_layers", "compressed_layers", "selected_layers", "linear_layers",
        "mamba_layers",
    )  # fmt: skip
    mixer = next((name for name in kinds if getattr(m, name)), "full_layers")
    # what counts layers of these in turn: those that choose their keys, those that share their values
    names = ("sparse_layers", "index_layers", "shared_full_layers", "shared_window_layers")
    within = dict.fromkeys(names, 0)
    if mixer == "full_layers" and m.sparse_layers:
        within |= {"sparse_layers": 1, "index_layers": 1}
    if mixer == "selected_layers":
        within |= {"index_layers": 1}
    return dict.fromkeys(kinds, 0) | within | {mixer: 1, "layers": 1, "mtp_modules": 0}


def eagle_model(model: str | Model) -> Model:
    """A head that drafts from the target's hidden states: one dense layer like its own, and a narrow head.

    Its attention is of the target's kind, its MLP as wide as what the target computes per token, its head
    over 32,000 frequent tokens. What fuses three hidden states into one, and the second input of its
    attention, count as width of the MLP: the same parameters.

    Parameters
    ----------
    model : str or Model
        The target.

    Returns
    -------
    Model

    Raises
    ------
    KeyError, TypeError
        For an unknown model, or what is none.

    References
    ----------
    Li et al., EAGLE-3, arXiv:2503.01840, section 3.

    Examples
    --------
    >>> head = eagle_model("Llama-3.1-70B")
    >>> head.layers, head.moe_layers, head.vocab
    (1, 0, 32000)
    """
    return _head(as_model(model))


#: Tokens that a head of EAGLE-3 may draft.
_DRAFT_VOCABULARY = 32_000


@lru_cache(maxsize=64)
def _head(m: Model) -> Model:
    counts = _one_layer(m) | {"moe_layers": 0, "dense_layers": 1}
    wide = m.ffn if not m.moe_layers else m.topk * m.moe_ffn + m.shared_ffn
    # 3 hidden^2 of the fusion, and the attention's second input, over the three matrices of a gated MLP
    inputs = (m.heads + 2 * m.kv_heads) * m.head_dim if m.head_dim else m.hidden
    width = round(wide + m.hidden + inputs / 3.0)
    vocab = min(m.vocab, _DRAFT_VOCABULARY)
    return m.replace(
        name=f"{m.name} EAGLE",
        hf_id="",
        aliases=(),
        ffn=width,
        vocab=vocab,
        wide_layers=0,
        **counts,
    )


def _draft_plan(plan: Plan, draft: Model) -> Plan:
    """The target's types over as many of its devices as the draft's heads divide over."""
    tp = plan.tp * plan.dp
    types: dict[str, Any] = {
        name: getattr(plan, name) for name in ("weights", "kv_cache", "engine", "power_cap_w")
    }
    while tp > 1:
        layout = Plan(tp=tp, moe_ep=1, **types)
        try:
            layout.check(draft)
            check_loads(layout, draft)
            return layout
        except ValueError:
            tp -= 1
    return Plan(tp=1, moe_ep=1, **types)


def draft_cost(
    on: Deployment, draft: str | Model | float, draft_plan: Plan | None, b: Any, x: Any, longest: Any,
    fidelity: str | Calibration, plain: NDArray[np.float64], graphs: NDArray[np.float64] | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Seconds of a drafted token, watts of the replica meanwhile, and bytes on the fullest device."""
    d, m, p = on.device, on.model, on.plan
    time, watts = plain[..., STEP["time"]], plain[..., STEP["watts"]]
    own = isinstance(draft, str) and draft in ("mtp", "eagle")
    if draft_plan is not None:
        if not isinstance(draft_plan, Plan):
            raise TypeError(f"draft_plan is {shown(draft_plan)}; allowed: a Plan or None")
        if own or is_number(draft) or (isinstance(draft, str) and draft == "ngram"):
            raise ValueError(
                f"draft_plan is {draft_plan.label()} with draft {shown(draft)}; allowed: None, as only a "
                "draft model has a plan"
            )
        if draft_plan.devices > p.devices:
            raise ValueError(
                f"draft_plan has {counted(draft_plan.devices, 'device')}; allowed: at most the "
                f"{p.devices} of the target"
            )
    if isinstance(draft, str) and draft == "ngram":
        return np.zeros_like(time), watts, 0.0
    if is_number(draft):
        ratio = amounts("draft", draft)  # type: ignore[arg-type]
        return ratio * time, watts, 0.0
    if own:
        small = _module(m) if draft == "mtp" else _head(m)
        layout = p.replace(pp=1) if small.moe_layers else p.replace(pp=1, moe_tp=p.tp, moe_ep=p.dp)
    else:
        small = as_model(_named(draft))
        layout = draft_plan or _draft_plan(p, small)
    layout.check(small)
    if not own:  # its module is loaded as the target's layers are
        check_loads(layout, small)
    check_units(d, layout)
    records = resolved(d, small, [layout], fidelity)[0].records
    fields = step_fields(records, b, x, graphs)
    idle = (p.devices - layout.devices) * (d.idle_w or 0.1 * (d.tdp_w or np.nan))
    others = max(idle, 0.0) if np.isfinite(idle) else idle
    weights = records[2].copy()
    if own:  # the target's own embedding, and of its module the head
        shared = ("embedding", "head") if draft == "mtp" else ("embedding",)
        ends = [_core.MODEL_FIELDS.index(f"{name}_parameters") for name in shared]
        weights[_core.MODEL_FIELDS.index("parameters")] -= weights[ends].sum()
        weights[ends] = 0.0
    held = kernels.memory_required(weights, records[3], b, longest)
    return fields[..., STEP["time"]], fields[..., STEP["watts"]] + others, held


def _named(draft: object) -> Any:
    if not isinstance(draft, (str, Model)):
        raise TypeError(
            f"draft is {shown(draft)}; allowed: 'mtp', 'ngram', 'eagle', a model's name or record, or a "
            "number"
        )
    return draft
