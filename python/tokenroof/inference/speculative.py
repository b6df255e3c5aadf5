"""Speculative decoding over the step kernels: a draft proposes, one step of the target verifies.

A round drafts `length` tokens one after another and verifies them in one step of the target that carries
``length + 1`` tokens per sequence: its products and experts see ``batch * (length + 1)`` tokens, its
attention reads each sequence's cache once. A round yields
``(1 - a**(length + 1)) / (1 - a)`` tokens (Leviathan et al., arXiv:2211.17192, eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.door import as_model, check_units, deployment, resolved
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.records.refusals import check_loads
from tokenroof.support.arguments import amounts, check_shapes, is_number, together

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device

__all__ = ["Speculation", "decode", "mtp_model", "verify"]

_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_HEADS = [_core.MODEL_FIELDS.index(name) for name in ("heads", "index_heads")]
_GROUPED = _core.CALIBRATION_FIELDS.index("attention_decode.grouped")


@dataclass(frozen=True)
class Speculation:
    """Rounds of drafting and verifying, over arrays of loads.

    Attributes
    ----------
    length, acceptance : ndarray
        Tokens drafted per round, chance that one is accepted after those before it [1].
    expected_tokens : ndarray
        Tokens that a round yields per sequence [1].
    draft_s, verify_s, round_s : ndarray
        Seconds of a round: drafting, verifying, both [s].
    plain_s : ndarray
        A step of plain decoding at the same load [s].
    tpot_s : ndarray
        Mean time per token of a sequence [s].
    tokens_per_s : ndarray
        Tokens of the whole replica per second [token/s].
    watts : ndarray
        Mean board power of the target's devices, drafting on them included [W].
    fits : ndarray of bool
        Whether weights and caches of target and draft fit the memory that the engine gives them. A draft
        that is a number has none.
    error_band : float
        Relative band around step times; acceptance is yours and has none here.
    calibrated_on : str
    """

    length: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    batch: NDArray[np.float64]
    expected_tokens: NDArray[np.float64]
    draft_s: NDArray[np.float64]
    verify_s: NDArray[np.float64]
    plain_s: NDArray[np.float64]
    watts: NDArray[np.float64]
    error_band: float
    calibrated_on: str
    fits: NDArray[np.bool_]

    @property
    def round_s(self) -> NDArray[np.float64]:
        return np.asarray(self.draft_s + self.verify_s)

    @property
    def tpot_s(self) -> NDArray[np.float64]:
        return np.asarray(self.round_s / self.expected_tokens)

    @property
    def interactivity(self) -> NDArray[np.float64]:
        """Tokens per second of one user [token/s]."""
        return np.asarray(1.0 / self.tpot_s)

    @property
    def tokens_per_s(self) -> NDArray[np.float64]:
        return np.asarray(self.batch / self.tpot_s)

    @property
    def speedup(self) -> NDArray[np.float64]:
        """Over plain decoding at the same batch [1]."""
        return np.asarray(self.plain_s / self.tpot_s)

    @property
    def tokens_per_joule(self) -> NDArray[np.float64]:
        """Tokens per joule of board energy [token/J]."""
        return np.asarray(self.tokens_per_s / self.watts)

    def best(self, axis: int = -1) -> NDArray[np.intp]:
        """Index of the shortest time per token along an axis, say that of draft lengths."""
        return np.asarray(self.tpot_s.argmin(axis=axis))


def verify_fields(
    records: tuple[NDArray[np.float64], ...], batch: Any, context: Any, width: Any
) -> NDArray[np.float64]:
    """STEP_FIELDS of a step with `width` tokens per sequence, whose attention reads the cache once.

    Products see batch * width tokens. Attention with `width` queries is that of `width` times the query
    heads over the same keys: a step is a sum of operators of which attention alone depends on the
    context, so its cost is the difference to no context.
    """
    d, c, m, p = records
    batch, context, width = np.broadcast_arrays(batch, context, width)
    wide = np.broadcast_to(m, (*width.shape, m.size)).copy()
    wide[..., _HEADS] *= width[..., None]
    # more tokens share a read of the cache as more heads do: no kernel reads it again for them
    shared = np.broadcast_to(c, (*width.shape, c.size)).copy()
    shared[..., _GROUPED] *= width
    parts = [
        kernels.decode_step(d, constants, model, p, b, x)  # type: ignore[attr-defined]
        for constants, model, b, x in (
            (c, m, batch * width, 0.0), (shared, wide, batch, context), (shared, wide, batch, 0.0)
        )
    ]  # fmt: skip
    fields = parts[0] + (parts[1] - parts[2])
    joules = [f[..., _STEP["watts"]] * f[..., _STEP["time"]] for f in parts]
    with np.errstate(invalid="ignore", divide="ignore"):
        watts = (joules[0] + (joules[1] - joules[2])) / fields[..., _STEP["time"]]
    highest = np.maximum(parts[0][..., _STEP["watts"]], parts[1][..., _STEP["watts"]])
    fields[..., _STEP["watts"]] = np.where(width == 1.0, parts[1][..., _STEP["watts"]],
                                           np.minimum(watts, highest))  # fmt: skip
    return np.asarray(fields)


def verify(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    tokens: ArrayLike = 1.0,
    fidelity: str | Calibration = "calibrated",
) -> dict[str, NDArray[np.float64]]:
    """A decode step that carries several tokens per sequence, as verification does.

    Parameters
    ----------
    device, model, plan, batch, context, fidelity
        As in `tokenroof.decode`.
    tokens : array_like
        Tokens per sequence: the draft length and one [1].

    Returns
    -------
    dict of ndarray
        By name of ``kernels.STEP_FIELDS``. One token gives `tokenroof.decode`'s numbers, within rounding.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`.

    Notes
    -----
    A recurrent state is read and written for each token, as engines that can roll back do.

    Examples
    --------
    >>> one, four = verify("H200-SXM", "Llama-3.1-8B", batch=8, tokens=[1, 4])["time"]
    >>> bool(one < four < 1.3 * one)
    True
    """
    on = deployment(device, model, plan, fidelity)
    b, x = amounts("batch", batch), amounts("context", context)
    width = amounts("tokens", tokens, positive=True)
    check_shapes(batch=b, context=x, tokens=width)
    fields = verify_fields(on.records, b, x, width)
    return {name: fields[..., i] for name, i in _STEP.items()}


def mtp_model(model: str | Model) -> Model:
    """The module that predicts one further token: a layer of the model between embedding and head.

    Its projection of two hidden states to one is left out (under 3 % of the layer for DeepSeek-V3).

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


def _module(m: Model) -> Model:
    if not m.mtp_modules:
        raise ValueError(
            f"draft is 'mtp', but {m.name} has no module that predicts further tokens; allowed: a model with "
            "mtp_modules, or as draft 'ngram', a model, or a number"
        )
    kinds = ("full_layers", "window_layers", "linear_layers", "mamba_layers")
    mixer = next((name for name in kinds if getattr(m, name)), "full_layers")
    mixture = 1 if m.moe_layers else 0
    counts: dict[str, Any] = dict.fromkeys(kinds, 0) | {
        mixer: 1, "layers": 1, "moe_layers": mixture, "dense_layers": 1 - mixture,
        "mtp_modules": 0,
    }  # fmt: skip
    return m.replace(name=f"{m.name} MTP", hf_id="", aliases=(), **counts)


def _draft_plan(plan: Plan, draft: Model) -> Plan:
    """The target's types over as many of its devices as the draft's heads divide over."""
    tp = plan.tp * plan.dp
    types = {"weights": plan.weights, "kv_cache": plan.kv_cache, "engine": plan.engine}
    while tp > 1:
        layout = Plan(tp=tp, moe_ep=1, **types)  # type: ignore[arg-type]
        try:
            layout.check(draft)
            check_loads(layout, draft)
            return layout
        except ValueError:
            tp -= 1
    return Plan(tp=1, moe_ep=1, **types)  # type: ignore[arg-type]


def decode(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    *,
    draft: str | Model | float = "mtp",
    length: ArrayLike = 3,
    acceptance: ArrayLike = 0.8,
    batch: ArrayLike = 1.0,
    context: ArrayLike = 1024.0,
    draft_plan: Plan | None = None,
    fidelity: str | Calibration = "calibrated",
) -> Speculation:
    """Speculative decoding on one replica.

    Parameters
    ----------
    device, model, plan, batch, context, fidelity
        As in `tokenroof.decode`; everything broadcasts.
    draft : str, Model or float
        "mtp": the model's own module (`mtp_model`), where it has one, run once per drafted token; "ngram":
        look-up in the prompt, at no cost; a model, by name or record; or the seconds of a drafted token over
        those of a step of the target, a number.
    length : array_like
        Tokens drafted per round; 0 is plain decoding [1].
    acceptance : array_like
        Chance that a drafted token is accepted after those before it, 0 to 1. With a last axis per
        position, use `kernels.expected_tokens_by_position` on top.
    draft_plan : Plan, optional
        Layout of a draft model, on at most the target's devices; by default over as many of them as its
        heads divide over. None for a draft that is no model.

    Returns
    -------
    Speculation

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`; for an acceptance beyond 0 ... 1, a length that is negative, "mtp" of a
        model without such a module, or a draft plan over more devices than the target's.

    References
    ----------
    Leviathan, Kalman, Matias, ICML 2023, arXiv:2211.17192.

    Examples
    --------
    >>> found = decode("H200-SXM", "Llama-3.1-70B", Plan(tp=8), draft="Llama-3.1-8B",
    ...                length=np.arange(9), acceptance=0.8)
    >>> found.speedup[0].round(6), bool(found.speedup[found.best()] > 1.5)
    (np.float64(1.0), True)
    """
    on = deployment(device, model, plan, fidelity)
    b, x = amounts("batch", batch), amounts("context", context)
    k, a = amounts("length", length), amounts("acceptance", acceptance)
    if (a > 1.0).any():
        raise ValueError(f"acceptance is {a.max():g}; allowed: numbers from 0 to 1")
    b, x, k, a = together(batch=b, context=x, length=k, acceptance=a)
    plain = kernels.decode_step(*on.records, b, x)  # type: ignore[attr-defined]
    checked = verify_fields(on.records, b, x, k + 1.0)
    token_s, token_w, draft_bytes = _draft(on, draft, draft_plan, b, x, x + k, fidelity, plain)
    draft_s, verify_s = k * token_s, checked[..., _STEP["time"]]
    with np.errstate(invalid="ignore"):
        joules = draft_s * token_w + verify_s * checked[..., _STEP["watts"]]
        watts = joules / (draft_s + verify_s)
    return Speculation(
        k, a, b, kernels.expected_tokens(a, k), draft_s, verify_s,  # type: ignore[attr-defined]
        plain[..., _STEP["time"]], watts, on.calibration.error_band, on.calibration.calibrated_on,
        memory.fits(on.records, b, x + k, draft_bytes),
    )  # fmt: skip


def _draft(
    on: Deployment, draft: str | Model | float, draft_plan: Plan | None, b: Any, x: Any, longest: Any,
    fidelity: str | Calibration, plain: NDArray[np.float64],
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Seconds of a drafted token, watts of the replica meanwhile, and bytes on the fullest device."""
    d, m, p = on.device, on.model, on.plan
    time, watts = plain[..., _STEP["time"]], plain[..., _STEP["watts"]]
    own = isinstance(draft, str) and draft == "mtp"
    if draft_plan is not None:
        if not isinstance(draft_plan, Plan):
            raise TypeError(f"draft_plan is {draft_plan!r}; allowed: a Plan or None")
        if own or is_number(draft) or (isinstance(draft, str) and draft == "ngram"):
            raise ValueError(
                f"draft_plan is {draft_plan.label()} with draft {draft!r}; allowed: None, as only a draft "
                "model has a plan"
            )
        if draft_plan.devices > p.devices:
            raise ValueError(
                f"draft_plan has {draft_plan.devices} devices; allowed: at most the {p.devices} of the target"
            )
    if isinstance(draft, str) and draft == "ngram":
        return np.zeros_like(time), watts, 0.0
    if is_number(draft):
        ratio = amounts("draft", draft)  # type: ignore[arg-type]
        return ratio * time, watts, 0.0
    if own:
        small, layout = _module(m), p.replace(pp=1)
    else:
        small = as_model(_named(draft))
        layout = draft_plan or _draft_plan(p, small)
    layout.check(small)
    if not own:  # its module is loaded as the target's layers are
        check_loads(layout, small)
    check_units(d, layout)
    records = resolved(d, small, [layout], fidelity)[0].records
    fields = kernels.decode_step(*records, b, x)  # type: ignore[attr-defined]
    idle = (p.devices - layout.devices) * (d.idle_w or 0.1 * (d.tdp_w or np.nan))
    others = max(idle, 0.0) if np.isfinite(idle) else idle
    weights = records[2].copy()
    if own:  # the target's own embedding and head
        ends = [_core.MODEL_FIELDS.index(f"{name}_parameters") for name in ("embedding", "head")]
        weights[_core.MODEL_FIELDS.index("parameters")] -= weights[ends].sum()
        weights[ends] = 0.0
    held = kernels.memory_required(weights, records[3], b, longest)  # type: ignore[attr-defined]
    return fields[..., _STEP["time"]], fields[..., _STEP["watts"]] + others, held


def _named(draft: object) -> Any:
    if not isinstance(draft, (str, Model)):
        raise TypeError(
            f"draft is {draft!r}; allowed: 'mtp', 'ngram', a model's name or record, or a number"
        )
    return draft
