"""What the kernel of systems takes: steps, watts and caches of each pool under a load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference import memory
from tokenroof.inference.speculative.drafting import draft_cost
from tokenroof.inference.speculative.verification import verify_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.loads import Load
    from tokenroof.serving.system.parts import Speculation

__all__ = [
    "Round",
    "decode_terms",
    "handed_over",
    "prefill_terms",
    "prefill_tokens",
    "rounds",
    "sampled_before",
    "shared_terms",
    "solved",
]

# Tokens of a prefill step on each attention rank that engines take by themselves [1], and from what memory on
# vLLM and SGLang take twice as many [B]; TensorRT-LLM takes as many everywhere.
_PREFILL_TOKENS, _LARGE_MEMORY = 8192.0, 160e9
# Whose prompt replicas sample the first token.
_FIRST_TOKEN_COMES = ("sglang", "trtllm")
_SERVING = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}
_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_BURST, _TOGETHER = (
    _core.CALIBRATION_FIELDS.index(f"engine.{name}") for name in ("burst", "together")
)
_PARAMETERS = np.array([name.endswith("parameters") for name in _core.MODEL_FIELDS])
Terms = dict[str, "NDArray[np.float64] | float"]


@dataclass(frozen=True)
class Round:
    """Seconds and tokens of a round, watts meanwhile, bytes of the drafts on the fullest device.

    Of several numbers of drafts along the first axis, before that of sequences.
    """

    seconds: Any
    tokens: Any
    watts: Any
    held: Any

    def first(self) -> Round:
        """Of the first number of drafts alone."""
        if np.ndim(self.tokens) == 0:
            return self
        held = self.held[0] if np.ndim(self.held) > 1 else self.held
        return Round(self.seconds[0], self.tokens[0], self.watts[0], held)


def rounds(
    on: Deployment,
    batch: NDArray[np.float64],
    context: float,
    drafts: Sequence[Speculation | None],
    fidelity: str | Calibration,
) -> Round:
    """Rounds with so many drafts each, by one method, none of them without any; or a step, of [None]."""
    plain = kernels.decode_step(*on.records, batch, context)
    some = [spec for spec in drafts if spec is not None and spec.length]
    if not some:
        return Round(plain[..., _STEP["time"]], 1.0, plain[..., _STEP["watts"]], 0.0)
    k = np.array([float(spec.length) for spec in some])[:, None]
    token_s, token_w, held = draft_cost(
        on, some[0].method, None, batch, np.full_like(batch, context), context + k.max(), fidelity, plain
    )  # fmt: skip
    checked = verify_fields(on.records, batch, context, k + 1.0)
    draft_s, verify_s = k * token_s, checked[..., _STEP["time"]]
    with np.errstate(invalid="ignore", divide="ignore"):
        joules = draft_s * token_w + verify_s * checked[..., _STEP["watts"]]
        watts = joules / (draft_s + verify_s)
    tokens = np.array([spec.tokens for spec in some])[:, None]
    return Round(draft_s + verify_s, tokens, watts, _beside(on, held))


def _taken(batch: Any, most: int | None) -> Any:
    """Whether an engine takes so many sequences at once."""
    return np.ones(np.shape(batch), dtype=bool) if most is None else np.asarray(batch) <= most


def _beside(on: Deployment, held: Any) -> Any:
    """Bytes of drafts without the buffers of a step, which they share with the target's."""
    _, _, model, plan = on.records
    empty = np.where(_PARAMETERS, 0.0, model)
    return np.maximum(held - kernels.memory_required(empty, plan, 0.0, 0.0), 0.0)


def decode_terms(
    on: Deployment,
    load: Load,
    batch: NDArray[np.float64],
    found: Round,
    most: int | None = None,
    cache_bytes: float | None = None,
) -> Terms:
    """Terms of a pool that decodes alone, over sequences of a replica; a batch that does not fit is NaN."""
    if cache_bytes is None:
        cache_bytes = float(on.model.kv_bytes(load.input_tokens, on.plan.kv_cache))
    whole = load.input_tokens + load.output_tokens
    fits = memory.fits(on.records, batch, whole, found.held) & _taken(batch, most)
    return _replica(on) | {
        "batch": np.where(fits, batch, np.nan),
        "round_s": found.seconds,
        "tokens": found.tokens,
        "watts": found.watts,
        "cache_bytes": cache_bytes,
    }


def shared_terms(
    on: Deployment,
    load: Load,
    batch: NDArray[np.float64],
    found: Round,
    served: NDArray[np.float64] | None = None,
    most: int | None = None,
) -> Terms:
    """Terms of a pool that does both: its prompts pass through the steps of the others."""
    if served is None:
        served = kernels.serving(*on.records, batch, load.input_tokens, load.output_tokens)
    take = {name: served[..., i] for name, i in _SERVING.items()}
    with np.errstate(invalid="ignore"):
        first = take["ttft"] - take["step_s"] - take["queue_s"]
        fits = (batch <= take["slots"]) & _taken(batch, most)
    terms = _replica(on) | {
        "batch": np.where(fits, batch, np.nan),
        "round_s": take["step_s"],
        "interference_s": take["interference_s"],
        "first_s": first,
        "watts": take["watts"],
    }
    if np.ndim(found.tokens) == 0:  # a token a step
        return terms
    # what a step has beside the bare one, an engine's own, a round has too
    beside = take["step_s"] - kernels.decode_time(*on.records, batch, load.context)
    whole = load.input_tokens + load.output_tokens
    fits &= memory.fits(on.records, batch, whole, found.held)
    return terms | {
        "batch": np.where(fits, batch, np.nan),
        "round_s": found.seconds + np.maximum(beside, 0.0),
        "tokens": found.tokens,
        "watts": np.maximum(take["watts"], found.watts),
    }


def prefill_terms(
    on: Deployment, load: Load, users: Any = 1.0, budget: float | None = None
) -> Terms:
    """Terms of a pool that computes prompts, `users` in flight on each replica, steps of `budget` tokens."""
    served = kernels.serving(*on.records, users, load.input_tokens, 1.0)
    take = {name: served[..., i] for name, i in _SERVING.items()}
    alone = take["prefill_s"]
    admission = take["ttft"] - alone - take["step_s"] - take["burst_s"] - take["queue_s"]
    lanes, budget = float(on.plan.dp), budget or prefill_tokens(on)
    many = max(1.0, np.floor(budget / load.input_tokens)) * lanes
    full, one = (kernels.prompts_step(*on.records, n, load.input_tokens, 0.0) for n in (many, 1.0))
    # what an engine adds to a step's time a request waits for, and the pool's next step does not
    bare = float(one[_STEP["time"]]) + 0.0 * alone  # NaN where not even one prompt fits
    own = _replica(on)
    return {
        "prefill_batch": many * on.plan.pp,
        "prefill_stages": float(on.plan.pp),
        "prefill_s": np.maximum(float(full[_STEP["time"]]), bare),
        "alone_s": bare,
        "prefill_w": float(full[_STEP["watts"]]),
        "prefill_idle_w": own["idle_w"],
        "prefill_devices": own["devices"],
        "prefill_provisioned_w": own["provisioned_w"],
        "first_s": admission + np.maximum(alone - bare, 0.0),
        "burst": _bunched(on),
    }


def sampled_before(engine: str) -> bool:
    """Whether an engine's pool of prompts samples the first token, which comes with the cache."""
    return engine in _FIRST_TOKEN_COMES


def handed_over(engine: str, terms: Terms) -> Terms:
    """Terms of prompts apart: where their replicas sample the first token it comes with the cache: no round
    of the answers' comes before it, in which vLLM's compute the prompt's last token once more."""
    if not sampled_before(engine):
        return terms
    return terms | {"first_s": terms["first_s"] - terms["round_s"]}


def _bunched(on: Deployment) -> float:
    """Share of the others' prompts that one waits for: half of those that start together, fewer later."""
    together, burst = (float(on.records[1][i]) for i in (_TOGETHER, _BURST))
    return 0.5 * together + (1.0 - together) * burst


def prefill_tokens(on: Deployment) -> float:
    """Tokens of a prefill step on each attention rank that the engine takes by itself [1]."""
    large = (on.device.memory_bytes or 0.0) >= _LARGE_MEMORY and on.plan.engine != "trtllm"
    return 2.0 * _PREFILL_TOKENS if large else _PREFILL_TOKENS


def _replica(on: Deployment) -> Terms:
    devices = float(on.plan.devices)
    return {
        "devices": devices,
        "idle_w": devices * on.power.idle_w,
        "provisioned_w": devices * on.power.provisioned_w,
    }


def solved(terms: Mapping[str, Any], output_tokens: float) -> dict[str, NDArray[np.float64]]:
    """All quantities of systems by name, over the broadcast shape of their terms; terms not given are 0."""
    shape = np.broadcast_shapes(*(np.shape(value) for value in terms.values()))
    packed = np.zeros((*shape, len(_core.SYSTEM_TERMS)))
    for i, name in enumerate(_core.SYSTEM_TERMS):
        packed[..., i] = terms.get(name, 1.0 if name in ("replicas", "tokens") else 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = kernels.serving_system(packed, output_tokens)
    return {name: found[..., i] for i, name in enumerate(_core.SYSTEM_FIELDS)}
