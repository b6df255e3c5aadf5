"""Speculation in the simulator: what engines do with drafts, what they cost and what memory they take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.memory import cache_room
from tokenroof.inference.speculative.drafting import draft_cost
from tokenroof.inference.speculative.verification import verify_fields
from tokenroof.serving.simulation import sglang, trtllm
from tokenroof.serving.simulation.memory import room_blocks
from tokenroof.serving.system.checks import check_method
from tokenroof.serving.system.parts import as_speculation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.limits import Limits
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.parts import Speculation

__all__ = [
    "drafted_config",
    "drafted_defaults",
    "drafted_limits",
    "drafting",
    "drafting_planes",
    "drafts_token_bytes",
    "speculation_of",
]

_TIME, _WATTS = (_core.STEP_FIELDS.index(name) for name in ("time", "watts"))
_PARAMETERS = np.array([name.endswith("parameters") for name in _core.MODEL_FIELDS])
_CONTEXT = 4096.0  # tokens at which a draft's cache is counted
_LARGEST_GRAPH = 512


def speculation_of(given: Any, engine: Scheduler, on: Deployment | None) -> Speculation | None:
    """The record, None where nothing is drafted; refused by name where it is not played."""
    spec = as_speculation(given)
    if spec is None or not spec.length:
        return None
    if on is not None:
        check_method(on.model, spec.method)
    if on is not None and on.plan.pp > 1:
        raise ValueError(
            f"speculation is {spec.label()} with the plan {on.plan.label(on.model)}, which vLLM itself does "
            "not run [its issues 44697 and 57755]; allowed with pp above 1: None"
        )
    config, wide = engine.config, 1 + spec.length
    if config.get("enable_mixed_chunk"):
        raise ValueError(
            f"enable_mixed_chunk is True with speculation ({spec.label()}), where {engine.name} turns it "
            "off; allowed: False"
        )
    if engine.name.startswith("trtllm"):
        if not _reads_states(spec) and not config["disable_overlap_scheduler"]:
            raise ValueError(
                f"disable_overlap_scheduler is False with speculation by {spec.label()}, whose drafter runs "
                "between the steps; allowed: True, or drafts by mtp or eagle"
            )
        if config["max_num_tokens"] < wide:
            raise ValueError(
                f"max_num_tokens is {config['max_num_tokens']} with {spec.label()}; allowed: at least {wide}"
            )
    return spec


def _reads_states(spec: Speculation) -> bool:
    """Whether a module or a head over the target's states drafts."""
    return isinstance(spec.method, str) and spec.method in ("mtp", "eagle")


def drafting(spec: Speculation | None, seed: int, engine: Scheduler) -> dict[str, Any]:
    """As the compiled rules take it [vllm/v1/core/sched/scheduler.py, vllm/config/speculative.py].

    In vLLM drafts of a module, a head or a model have slots in the cache of their own, the look-ahead, and a
    module or a head needs states of the target, so that the last block that is found is computed again; in
    SGLang it makes keys of its tree pairs of tokens [mem_cache/radix_cache.py: maybe_bigram_convert]. In
    TensorRT-LLM it has slots beside each request for all drafts but one [_torch/speculative/utils.py:
    get_num_extra_kv_tokens].
    """
    if spec is None:
        return {"survived": [], "lookahead": 0, "reads_states": False, "seed": 0}
    of_states, ahead = _reads_states(spec), 0
    if engine.name.startswith("vllm"):
        ahead = 0 if spec.method == "ngram" else spec.length
    elif engine.name.startswith("trtllm"):
        ahead = spec.length - 1 if of_states else 0
    return {
        "survived": np.cumprod(spec.acceptance).tolist(),
        "lookahead": ahead,
        "reads_states": of_states and not engine.name.startswith("trtllm"),
        "seed": int(seed) % 2**64,
    }


def drafted_defaults(engine: Scheduler, spec: Speculation | None) -> dict[str, Any]:
    """Knobs by which drafts change an engine's own defaults [sglang/srt/server_args.py]."""
    if spec is None or not engine.name.startswith("sglang"):
        return {}
    own = 0 if spec.method == "ngram" else 2048 if _reads_states(spec) else 6144
    return {"max_running_requests": 48, "draft_mib": own}


def drafted_limits(
    limits: Limits, config: Mapping[str, Any], spec: Speculation | None, engine: Scheduler
) -> Limits:
    """Graphs are captured for whole sequences of a token and its drafts each: of vLLM up to the largest size
    of tokens, of others up to the largest batch.

    Times of steps are tabulated over sequences, so that points stand where graphs of tokens do.
    """
    if spec is None or not len(limits.graphs):
        return limits
    wide = 1 + spec.length
    if engine.name.startswith("sglang"):
        sizes = sglang.drafted_sizes(config)
        return replace(limits, graphs=wide * sizes, sizes=np.unique([*limits.sizes, *sizes]))
    if engine.name.startswith("trtllm"):
        return replace(limits, graphs=wide * limits.graphs)
    most = min(2 * config["max_num_seqs"] * wide, _LARGEST_GRAPH, config["max_num_batched_tokens"])
    sizes = np.unique(np.ceil(limits.sizes / wide) * wide)
    sizes = sizes[sizes <= most]
    sizes = sizes if len(sizes) else np.array([1.0 * wide])
    return replace(limits, graphs=sizes, sizes=np.unique([*limits.sizes, *(sizes / wide)]))


def drafted_config(
    config: dict[str, Any],
    given: Mapping[str, Any],
    on: Deployment | None,
    spec: Speculation | None,
    fidelity: str | Calibration,
) -> dict[str, Any]:
    """Knobs with what drafts leave, where they were not given: memory beside their weights and cache, and of
    a step's tokens those beside the one that a draft model computes of each sequence."""
    if (
        spec is None or "max_total_tokens" in given
    ):  # SGLang's drafts take what is left beside its share
        return config
    if "tokens_per_block" in given:
        if on is None or given["max_tokens"] is not None:
            return config
        held, per_token = _memory(on, spec, fidelity)
        size, share = config["tokens_per_block"], config["free_gpu_memory_fraction"]
        blocks = room_blocks(on, trtllm.room(on, share, held), size, per_token)
        return {**config, "num_blocks": blocks, "max_tokens": blocks * size}
    own = isinstance(spec.method, str) and spec.method in ("mtp", "eagle", "ngram")
    if not own and given["max_num_scheduled_tokens"] is None:
        left = config["max_num_batched_tokens"] - config["max_num_seqs"]
        if left < 1:
            raise ValueError(
                f"max_num_batched_tokens is {config['max_num_batched_tokens']} with max_num_seqs "
                f"{config['max_num_seqs']} and a model that drafts; allowed: more"
            )
        config = {**config, "max_num_scheduled_tokens": left}
    if on is None or given["num_blocks"] is not None:
        return config
    held, per_token = _memory(on, spec, fidelity)
    room = float(cache_room(on.records)) - held
    return {**config, "num_blocks": room_blocks(on, room, config["block_size"], per_token)}


def drafts_token_bytes(
    on: Deployment, spec: Speculation | None, fidelity: str | Calibration
) -> float:
    """Bytes that a token takes of the fullest device in a cache of drafts."""
    return 0.0 if spec is None else _memory(on, spec, fidelity)[1]


def _memory(on: Deployment, spec: Speculation, fidelity: str | Calibration) -> tuple[float, float]:
    """Bytes of the drafts' weights on the fullest device, and of their cache a token."""
    batch = np.array([1.0, 2.0]) * on.plan.dp  # one and two on each rank
    context = np.full(2, _CONTEXT)
    plain = np.asarray(kernels.decode_step(*on.records, batch, context))
    held = draft_cost(on, spec.method, None, batch, context, _CONTEXT, fidelity, plain)[2]
    if not np.ndim(held):
        return 0.0, 0.0
    cache = float(held[1] - held[0])
    _, _, model, plan = on.records
    buffers = float(kernels.memory_required(np.where(_PARAMETERS, 0.0, model), plan, 0.0, 0.0))
    return max(float(held[0]) - cache - buffers, 0.0), cache / _CONTEXT


def drafting_planes(
    on: Deployment,
    spec: Speculation,
    sequences: NDArray[np.float64],
    context: NDArray[np.float64],
    fidelity: str | Calibration,
) -> dict[str, Any]:
    """What drafting and verifying add to steps without prompts, over sequences and mean context [ns, J]; of
    data-parallel ranks where all others do the same."""
    k = float(spec.length)
    b, x = np.meshgrid(on.plan.dp * np.maximum(sequences, 1.0), context, indexing="ij")
    plain = np.asarray(kernels.decode_step(*on.records, b, x))
    token_s, token_w, _ = draft_cost(
        on, spec.method, None, b, x, float(context[-1]) + k, fidelity, plain
    )
    checked = verify_fields(on.records, b, x, k + 1.0)
    seconds = k * token_s + checked[..., _TIME] - plain[..., _TIME]
    joules = k * token_s * token_w + (
        checked[..., _WATTS] * checked[..., _TIME] - plain[..., _WATTS] * plain[..., _TIME]
    )
    some = np.minimum(sequences, 1.0)[:, None]  # of none nothing
    return {
        "drafting": np.ascontiguousarray(1e9 * seconds * some),
        "drafting_j": np.ascontiguousarray(joules * some),
        "drafts": k,
    }
