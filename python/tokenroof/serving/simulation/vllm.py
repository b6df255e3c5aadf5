"""vLLM: its knobs on a device, and its compiled rules' numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.simulation.limits import Limits
from tokenroof.serving.simulation.memory import GIB, device_memory, memory_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment

__all__ = ["captured_sizes", "compiled", "limits", "resolved"]

_UNBOUNDED = 2**40
# classes of devices: from so many bytes on, tokens of a step and sequences [vllm/engine/arg_utils.py]
_CLASSES = ((160 * GIB, 16384, 1024), (70 * GIB, 8192, 1024), (0.0, 2048, 256))
_SMALL = ("A100", "GB10")  # of the last class whatever their memory
_captured = np.array([1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)], np.float64)


def resolved(config: dict[str, Any], on: Deployment | None, preset: str) -> dict[str, Any]:
    """Every knob as a number, by the device where nothing else says it."""
    memory = device_memory(on)
    small = on is not None and any(name in on.device.name for name in _SMALL)
    tokens, sequences = next(
        (t, s) for least, t, s in _CLASSES if memory >= least and not (small and least > 0)
    )
    explicit = config["num_blocks"] is not None and config["max_model_len"] is not None
    if config["num_blocks"] is None:
        if on is None:
            raise ValueError("num_blocks is None; allowed without a device: a whole number")
        config["num_blocks"] = memory_blocks(on, config["block_size"])
    _default(config, "max_num_batched_tokens", tokens)
    _default(config, "max_num_seqs", min(sequences, config["max_num_batched_tokens"]))
    _default(config, "max_num_scheduled_tokens", config["max_num_batched_tokens"])
    _default(config, "max_num_active_seqs", config["max_num_seqs"])
    _default(config, "max_model_len", (on.model.context_max if on else 0) or _UNBOUNDED)
    # vLLM does not start where a request of max_model_len does not fit; what never fits is refused
    config["refuse_oversized"] = not explicit
    return config


def _default(config: dict[str, Any], name: str, value: int) -> None:
    if config.get(name) is None:
        config[name] = value


def compiled(config: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """As the compiled rules take it."""
    apart = ("policy", "loop", "min_stats_update_interval_ms")
    given = {name: value for name, value in config.items() if name not in apart}
    for name in ("max_num_queued_reqs", "max_num_queued_tokens"):
        given[name] = _UNBOUNDED if config.get(name) is None else config[name]
    return {
        "long_prefill_token_threshold_adaptive": False,
        "prefill_schedule_interval": 1,
        **given,
        "engine": "vllm",
        "report_ns": 1_000_000 * config["min_stats_update_interval_ms"],
        "watermark_blocks": int(config.get("watermark", 0.0) * config["num_blocks"]),
        "priority": config["policy"] == "priority",
        "asynchronous": config["loop"] == "async",
        "before_0_20": preset == "vllm-0.19",
    }


def limits(config: Mapping[str, Any]) -> Limits:
    """What every engine has."""
    return Limits(
        sequences=config["max_num_active_seqs"],
        step_tokens=config["max_num_batched_tokens"],
        block_tokens=config["block_size"],
        blocks=config["num_blocks"],
        host_ns=config["host_ns"],
        graphs=captured_sizes(config),
        sizes=_captured,
        unused_blocks=1,
    )


def captured_sizes(config: Mapping[str, Any]) -> NDArray[np.float64]:
    """Sizes of CUDA graphs: 1, 2, 4, by 8 to 248, by 16 to 512 [vllm/config/compilation.py]."""
    if not config["cudagraphs"]:
        return np.empty(0)
    most = min(2 * config["max_num_seqs"], 512, config["max_num_batched_tokens"])
    return np.asarray(_captured[_captured <= most])
