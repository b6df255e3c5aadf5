"""SGLang: its knobs on a device, and its compiled rules' numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.inference.memory import SGLANG_CLASSES
from tokenroof.serving.simulation.limits import Limits
from tokenroof.serving.simulation.memory import GIB, device_memory, room_blocks
from tokenroof.support.arguments import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = [
    "EVICTIONS",
    "captured_sizes",
    "compiled",
    "drafted_sizes",
    "limits",
    "memory_share",
    "of_role",
    "resolved",
]

EVICTIONS = ("lru", "mru", "fifo", "filo", "lfu", "slru")
_UNBOUNDED = 2**40
# requests that run, up to which twice as many more may wait for their caches
# [sglang/srt/arg_groups/pd_disaggregation_hook.py]
_FEW_RUNNING = 32
_MIB = 2.0**20
_captured = np.array(
    [1, 2, 4, 8, 12, *range(16, 257, 8), *range(272, 512, 16), *range(512, 4097, 32)], np.float64
)

_drafted = np.array(
    [*range(1, 9), *range(10, 33, 2), *range(40, 65, 4), *range(72, 257, 8), *range(272, 512, 16),
     *range(512, 4097, 32)], np.float64
)  # fmt: skip


def resolved(config: dict[str, Any], on: Deployment | None, preset: str) -> dict[str, Any]:
    """Every knob as a number, by the device where nothing else says it."""
    memory = device_memory(on)
    ranks = int(on.plan.tp) if on else 1
    page, drafts = config["page_size"], config.pop("draft_mib", 0)
    chunk, few, many = next(c[1:] for c in SGLANG_CLASSES if memory < c[0])
    if config["chunked_prefill_size"] is None:
        config["chunked_prefill_size"] = chunk
    if config["chunked_prefill_size"] > 0 and config["chunked_prefill_size"] % page:
        raise ValueError(
            f"chunked_prefill_size is {config['chunked_prefill_size']}; allowed: -1, and multiples of "
            f"page_size ({page})"
        )
    if config["cuda_graph_max_bs_decode"] is None:
        graph = many if ranks >= 4 else few
        config["cuda_graph_max_bs_decode"] = min(graph, config["max_running_requests"] or graph)
    if config["mem_fraction_static"] is None:
        config["mem_fraction_static"] = memory_share(config, memory, ranks, drafts)
    if config["max_total_tokens"] is None:
        if on is None:
            raise ValueError("max_total_tokens is None; allowed without a device: a whole number")
        weights = float(kernels.memory_required(*on.records[2:], 0.0, 0.0))
        bytes_ = on.device.memory_bytes * config["mem_fraction_static"] - weights
        config["max_total_tokens"] = room_blocks(on, bytes_, page) * page
    config["max_total_tokens"] -= config["max_total_tokens"] % page
    tokens = config["max_total_tokens"]
    if tokens < 8:
        raise ValueError(
            f"max_total_tokens is {tokens} in pages of {page}; allowed: at least 8, and a page"
        )
    if config["context_length"] is None:
        config["context_length"] = (on.model.context_max if on else 0) or _UNBOUNDED
    if config["disaggregation_decode_extra_slots"] is None:
        few = config["max_running_requests"] or _UNBOUNDED
        config["disaggregation_decode_extra_slots"] = 2 * few if few <= _FEW_RUNNING else 0
    most = min(max(int(tokens / config["context_length"] * 512), 2048), 4096)
    config["max_running_requests"] = min(config["max_running_requests"] or most, tokens // 2)
    return config


def memory_share(
    config: Mapping[str, Any], memory: float, ranks: int, drafts_mib: float = 0.0
) -> float:
    """The share of a device's memory that weights and KV memory may take, beside what drafts are left.

    Examples
    --------
    >>> knobs = {"chunked_prefill_size": 8192, "max_prefill_tokens": 16384, "disable_cuda_graph": False,
    ...          "cuda_graph_max_bs_decode": 256}
    >>> memory_share(knobs, 80 * 2.0**30, 1)
    0.836
    """
    chunk = config["chunked_prefill_size"]
    tokens = max(chunk if chunk > 0 else config["max_prefill_tokens"], 2048)
    reserved = 512.0 + 1.5 * tokens + ranks / 8.0 * 1024.0
    if not config["disable_cuda_graph"]:
        reserved += 2.0 * config["cuda_graph_max_bs_decode"]
    if memory > 60 * GIB:
        reserved = max(reserved, 10 * 1024.0)
    reserved += drafts_mib
    return float(max(round(1.0 - reserved * _MIB / memory, 3), 0.0))


def compiled(config: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """As the compiled rules take it."""
    ratio = min(config["init_new_token_ratio"] * config["schedule_conservativeness"], 1.0)
    least = min(ratio * config["min_new_token_ratio_factor"], 1.0)
    tokens = config["max_total_tokens"]
    by_prefix = config["schedule_policy"] == "lpm" and not config["disable_radix_cache"]
    return {
        "engine": "sglang",
        "page_size": config["page_size"],
        "tokens": tokens,
        "max_running_requests": config["max_running_requests"],
        "chunked_prefill_size": max(config["chunked_prefill_size"], 0),
        "max_prefill_tokens": config["max_prefill_tokens"],
        "prefill_max_requests": config["prefill_max_requests"] or _UNBOUNDED,
        "max_queued_requests": config["max_queued_requests"] or 2**63 - 1,
        "prefill_decode_interval": config["prefill_decode_interval"],
        "prefill_decode_interval_min_bs": config["prefill_decode_interval_min_bs"],
        "max_req_len": min(config["context_length"], tokens) - 1,
        "clip_max_new_tokens": config["clip_max_new_tokens_estimation"],
        "retract_decode_steps": config["retract_decode_steps"],
        "reserved_decode_tokens": config["num_reserved_decode_tokens"],
        "extra_slots": config["disaggregation_decode_extra_slots"],
        "init_ratio": ratio,
        "min_ratio": least,
        "ratio_decay": (ratio - least) / config["new_token_ratio_decay_steps"],
        "radix_cache": not config["disable_radix_cache"],
        "overlap": not config["disable_overlap_schedule"],
        "mixed_chunk": config["enable_mixed_chunk"] and config["chunked_prefill_size"] > 0,
        "ignore_eos": config["ignore_eos"],
        "by_priority": config["enable_priority_scheduling"] and not by_prefix,
        "priorities": config["enable_priority_scheduling"],
        "longest_prefix_first": by_prefix,
        "low_first": config["schedule_low_priority_values_first"],
        "longest_output_first": config["schedule_policy"] == "lof",
        "retract_by_priority": config["retraction_policy"] == "priority",
        "eviction": EVICTIONS.index(config["radix_eviction_policy"]),
    }


def of_role(config: dict[str, Any], given: Mapping[str, Any], role: str) -> None:
    """Resolved knobs as a server of prompts or of answers has them; an error for one that it does not have.

    A server of answers has no tree [sglang/srt/arg_groups/pd_disaggregation_hook.py].
    """
    apart = role in ("prefill", "decode")
    elsewhere = {
        "num_reserved_decode_tokens": role == "decode",
        "disaggregation_decode_extra_slots": role == "decode",
        "max_queued_requests": not apart,
        "prefill_decode_interval": not apart,
    }
    for name, there in elsewhere.items():
        if name in given and not there:
            where = (
                "of a pool of decode"
                if name.startswith(("num_", "disagg"))
                else "of one pool for both"
            )
            raise ValueError(
                f"{name} is {shown(given[name])} of {role}, where it does nothing; allowed: {where}"
            )
    if role != "decode":
        return
    if given.get("disable_radix_cache") is False:
        raise ValueError(
            "disable_radix_cache is False of decode, whose tree of prefixes is not played; allowed: True, "
            "the default there"
        )
    if config["enable_priority_scheduling"]:
        raise ValueError(
            "enable_priority_scheduling is True of decode, whose order by priority is not played; allowed: "
            "False"
        )
    config["disable_radix_cache"] = True


def limits(config: Mapping[str, Any]) -> Limits:
    """What every engine has."""
    chunk, page = config["chunked_prefill_size"], config["page_size"]
    sequences = config["max_running_requests"]
    most = chunk if chunk > 0 else config["max_prefill_tokens"]
    return Limits(
        sequences=sequences,
        step_tokens=max(most, sequences),
        block_tokens=page,
        blocks=config["max_total_tokens"] // page,
        host_ns=config["host_ns"],
        graphs=captured_sizes(config),
        sizes=_captured,
        pads_prompts=False,
    )


def captured_sizes(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """Sizes of the CUDA graphs of decode steps [sglang/srt/arg_groups/cuda_graph_hook.py]."""
    most = config["cuda_graph_max_bs_decode"]
    if config["disable_cuda_graph"]:
        return np.empty(0)
    if config["disable_cuda_graph_padding"]:
        return np.arange(1.0, most + 1.0)
    return np.unique([*_captured[_captured <= most], float(most)])


def drafted_sizes(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """Those of steps that verify drafts, with less padding."""
    most = config["cuda_graph_max_bs_decode"]
    if config["disable_cuda_graph_padding"]:
        return captured_sizes(config)
    return np.unique([*_drafted[_drafted <= most], float(most)])
