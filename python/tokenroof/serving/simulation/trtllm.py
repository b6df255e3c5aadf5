"""TensorRT-LLM: its knobs on a device, and its compiled rules' numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.serving.simulation.limits import Limits
from tokenroof.serving.simulation.memory import device_memory, room_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["captured_sizes", "compiled", "limits", "resolved", "room"]

_UNBOUNDED = 2**40
_POLICIES = ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH")
_MOST_BLOCKS = 2**31 - 2


def resolved(config: dict[str, Any], on: Deployment | None, preset: str) -> dict[str, Any]:
    """Every knob as a number, by the device where nothing else says it."""
    size = config["tokens_per_block"]
    explicit = config["max_tokens"] is not None and config["max_seq_len"] is not None
    if config["max_tokens"] is None:
        if on is None:
            raise ValueError("max_tokens is None; allowed without a device: a whole number")
        config["num_blocks"] = room_blocks(on, room(on, config["free_gpu_memory_fraction"]), size)
        config["max_tokens"] = config["num_blocks"] * size
    else:
        config["num_blocks"] = min(-(-config["max_tokens"] // size), _MOST_BLOCKS)
    if config["max_seq_len"] is None:
        config["max_seq_len"] = (on.model.context_max if on else 0) or _UNBOUNDED
    config["refuse_oversized"] = not explicit
    return config


def room(on: Deployment, fraction: float, beside: float = 0.0) -> float:
    """Bytes of KV memory: a share of what weights, workspace and so many bytes beside leave of a device."""
    model, plan = on.records[2:]
    taken = float(kernels.memory_required(model, plan, 0.0, 0.0))
    return fraction * (device_memory(on) - taken - beside)


def compiled(config: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """As the compiled rules take it."""
    names = (
        "max_num_tokens", "max_batch_size", "tokens_per_block", "num_blocks", "max_seq_len",
        "batch_wait_timeout_iters", "batch_wait_max_tokens_ratio", "enable_chunked_prefill",
        "enable_block_reuse", "enable_partial_reuse", "copy_on_partial_reuse",
        "enable_prefix_aware_scheduling", "refuse_oversized",
    )  # fmt: skip
    return {
        **{name: config[name] for name in names},
        "engine": "trtllm",
        "capacity": _POLICIES.index(config["capacity_scheduler_policy"]),
        "equal_progress": config["context_chunking_policy"] == "EQUAL_PROGRESS",
        "overlap": not config["disable_overlap_scheduler"],
    }


def limits(config: Mapping[str, Any]) -> Limits:
    """What every engine has."""
    sizes = captured_sizes(config)
    return Limits(
        sequences=config["max_batch_size"],
        step_tokens=config["max_num_tokens"],
        block_tokens=config["tokens_per_block"],
        blocks=config["num_blocks"],
        host_ns=config["host_ns"],
        graphs=sizes if config["cuda_graph_enable_padding"] else np.empty(0),
        sizes=sizes,
        pads_prompts=False,
    )


def captured_sizes(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """Batches of CUDA graphs: 1 to 31, 32, 64, 128; with padding 1, 2, 4, by 8 to 128; then by 64."""
    most = min(config["cuda_graph_max_batch_size"], config["max_batch_size"])
    low = (
        [1, 2, 4, *range(8, 129, 8)]
        if config["cuda_graph_enable_padding"]
        else [*range(1, 33), 64, 128]
    )
    sizes = np.array([*low, *range(192, most + 1, 64)], np.float64)
    return np.asarray(sizes[sizes <= most])
