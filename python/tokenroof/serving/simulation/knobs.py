"""The knobs of each engine's scheduler that are played, by the engine's own names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.support.arguments import is_integer, is_number, shown
from tokenroof.support.names import among, near_matches
from tokenroof.support.quoting import brief

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PRESETS", "Knob", "checked", "knobs_of"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One knob.

    Attributes
    ----------
    default : object
        The engine's own; None where the device, or another knob, decides.
    low, high : float
        Of a number: the least and the most allowed.
    choices : tuple of str
        Of a name.
    versions : tuple of str
        Presets that have it; none: all of its engine.
    real : bool
        Whether a number without a default need not be whole.
    above : bool
        Whether the least itself is not allowed, of a number that need not be whole.
    """

    default: Any
    low: float = 1
    high: float = 2**40
    choices: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    real: bool = False
    above: bool = False

    def of(self, preset: str) -> bool:
        """Whether a preset of its engine has it."""
        return not self.versions or preset in self.versions

    def check(self, name: str, value: object) -> Any:
        """The value as the engine takes it; an error names what is allowed."""
        if value is None and self.default is None:
            return None
        if self.choices:
            if value not in self.choices:
                raise ValueError(f"{name} is {shown(value)}; allowed: {', '.join(self.choices)}")
            return value
        if isinstance(self.default, bool):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} is {shown(value)}; allowed: True or False")
            return bool(value)
        if self.real or isinstance(self.default, float):
            real = float(value) if is_number(value) else -1.0  # type: ignore[arg-type]
            if not self.low <= real < self.high or (self.above and real == self.low):
                least = "above" if self.above else "from"
                allowed = f"numbers {least} {self.low:g} to below {self.high:g}"
                raise ValueError(f"{name} is {shown(value)}; allowed: {allowed}")
            return float(value)  # type: ignore[arg-type]
        if not is_integer(value) or not self.low <= value <= self.high:
            allowed = f"whole numbers from {self.low:g} to {self.high:g}"
            raise ValueError(f"{name} is {shown(value)}; allowed: {allowed}")
        return int(value)


_NEW = ("vllm-0.33",)

#: By engine: knobs of vLLM [vllm/config/scheduler.py, cache.py and compilation.py;
#: vllm/v1/engine/coordinator.py].
_VLLM = {
    "max_num_batched_tokens": Knob(None),
    "max_num_seqs": Knob(None),
    "max_num_scheduled_tokens": Knob(None),
    "max_num_active_seqs": Knob(None, versions=_NEW),
    "max_num_queued_reqs": Knob(None, versions=_NEW),
    "max_num_queued_tokens": Knob(None, versions=_NEW),
    "block_size": Knob(16, high=2**16),
    "num_blocks": Knob(None, low=2, high=2**31 - 2),
    "max_model_len": Knob(None, low=2),
    "enable_chunked_prefill": Knob(True),
    "enable_prefix_caching": Knob(True),
    "long_prefill_token_threshold": Knob(0, low=0),
    "long_prefill_token_threshold_adaptive": Knob(False, versions=_NEW),
    "policy": Knob("fcfs", choices=("fcfs", "priority")),
    "scheduler_reserve_full_isl": Knob(True),
    "watermark": Knob(0.0, low=0.0, high=1.0, versions=_NEW),
    "prefill_schedule_interval": Knob(1, versions=_NEW),
    "min_stats_update_interval_ms": Knob(100, low=0),
    "loop": Knob("async", choices=("async", "sync")),
    "cudagraphs": Knob(True),
    "host_ns": Knob(0, low=0),
}

#: Knobs of SGLang [sglang/srt/arg_groups/fields/schedule.py, memory.py, exec.py], and of its environment
#: [environ.py]; `ignore_eos` is a parameter of every request.
_SGLANG = {
    "max_total_tokens": Knob(None, low=8, high=2**31 - 2),
    "mem_fraction_static": Knob(None, low=0.0, high=1.0, real=True),
    "page_size": Knob(1, high=2**16),
    "context_length": Knob(None, low=8),
    "max_running_requests": Knob(None, high=2**31 - 2),
    "chunked_prefill_size": Knob(None, low=-1),
    "max_prefill_tokens": Knob(16384),
    "prefill_max_requests": Knob(None),
    "max_queued_requests": Knob(None),
    "prefill_decode_interval": Knob(0, low=0),
    "prefill_decode_interval_min_bs": Knob(0, low=0),
    "schedule_policy": Knob("fcfs", choices=("fcfs", "lpm", "lof")),
    "schedule_conservativeness": Knob(1.0, low=0.0, high=2**20),
    "enable_mixed_chunk": Knob(False),
    "disable_overlap_schedule": Knob(False),
    "disable_radix_cache": Knob(False),
    "radix_eviction_policy": Knob("lru", choices=("lru", "mru", "fifo", "filo", "lfu", "slru")),
    "enable_hierarchical_cache": Knob(False),
    "hicache_ratio": Knob(None, low=0.0, high=2**20, real=True, above=True),
    "hicache_size": Knob(0, low=0),
    "hicache_write_policy": Knob(
        "write_through", choices=("write_through", "write_through_selective", "write_back")
    ),
    "retraction_policy": Knob("length", choices=("length", "priority")),
    "enable_priority_scheduling": Knob(False),
    "schedule_low_priority_values_first": Knob(False),
    "init_new_token_ratio": Knob(0.7, low=0.0, high=2**20),
    "min_new_token_ratio_factor": Knob(0.14, low=0.0, high=2**20),
    "new_token_ratio_decay_steps": Knob(600),
    "retract_decode_steps": Knob(20, low=0),
    "clip_max_new_tokens_estimation": Knob(4096),
    "ignore_eos": Knob(False),
    "num_reserved_decode_tokens": Knob(512, low=0),
    "disaggregation_decode_extra_slots": Knob(None, low=0),
    "disable_cuda_graph": Knob(False),
    "disable_cuda_graph_padding": Knob(False),
    "cuda_graph_max_bs_decode": Knob(None, high=4096),
    "host_ns": Knob(0, low=0),
}

_TRTLLM_NAMES = ("trtllm-1.4",)

#: Knobs of TensorRT-LLM [SchedulerConfig, KvCacheConfig, CudaGraphConfig and TorchLlmArgs of its reference].
_TRTLLM = {
    "max_num_tokens": Knob(8192, versions=_TRTLLM_NAMES),
    "max_batch_size": Knob(2048, versions=_TRTLLM_NAMES),
    "max_seq_len": Knob(None, low=2, versions=_TRTLLM_NAMES),
    "capacity_scheduler_policy": Knob(
        "GUARANTEED_NO_EVICT", choices=("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"),
        versions=_TRTLLM_NAMES,
    ),
    "waiting_queue_policy": Knob("FCFS", choices=("FCFS",), versions=_TRTLLM_NAMES),
    "enable_prefix_aware_scheduling": Knob(True, versions=_TRTLLM_NAMES),
    "enable_chunked_prefill": Knob(False, versions=_TRTLLM_NAMES),
    "context_chunking_policy": Knob(
        "FIRST_COME_FIRST_SERVED", choices=("FIRST_COME_FIRST_SERVED", "EQUAL_PROGRESS"),
        versions=_TRTLLM_NAMES,
    ),
    "batch_wait_timeout_iters": Knob(0, low=0, versions=_TRTLLM_NAMES),
    "batch_wait_max_tokens_ratio": Knob(0.0, low=0.0, high=1.0 + 1e-9, versions=_TRTLLM_NAMES),
    "tokens_per_block": Knob(32, high=2**16, versions=_TRTLLM_NAMES),
    "max_tokens": Knob(None, versions=_TRTLLM_NAMES),
    "free_gpu_memory_fraction": Knob(0.9, low=0.0, high=1.0, versions=_TRTLLM_NAMES),
    "enable_block_reuse": Knob(True, versions=_TRTLLM_NAMES),
    "enable_partial_reuse": Knob(True, versions=_TRTLLM_NAMES),
    "copy_on_partial_reuse": Knob(True, versions=_TRTLLM_NAMES),
    "disable_overlap_scheduler": Knob(False, versions=_TRTLLM_NAMES),
    "cuda_graph_max_batch_size": Knob(128, low=0, versions=_TRTLLM_NAMES),
    "cuda_graph_enable_padding": Knob(False, versions=_TRTLLM_NAMES),
    "host_ns": Knob(0, low=0, versions=_TRTLLM_NAMES),
}  # fmt: skip

#: Presets by name, and the knobs that their engine has.
PRESETS = {
    "vllm-0.33": _VLLM, "vllm-0.19": _VLLM, "sglang-0.5.23": _SGLANG, "trtllm-1.4": _TRTLLM,
}  # fmt: skip


def knobs_of(preset: str) -> Mapping[str, Knob]:
    """The knobs that a preset plays."""
    if not among(preset, PRESETS):
        raise ValueError(f"preset is {shown(preset)}; allowed: {', '.join(PRESETS)}")
    return {name: knob for name, knob in PRESETS[preset].items() if knob.of(preset)}


def checked(preset: str, given: Mapping[str, object]) -> dict[str, Any]:
    """All knobs of a preset, given ones in place of its defaults; one that is not played fails."""
    knobs = knobs_of(preset)
    config = {name: knob.default for name, knob in knobs.items()}
    for name, value in given.items():
        if name not in knobs:
            other = next((p for p, k in PRESETS.items() if name in k and k[name].of(p)), "")
            why = f"is of {other}, not of {preset}" if other else f"is not played by {preset}"
            near = [] if other else near_matches(name, list(knobs), 1)
            hint = f"; did you mean {shown(near[0])}?" if near else ""
            raise ValueError(f"{brief(name)} {why}{hint}; allowed: {', '.join(knobs)}")
        config[name] = knobs[name].check(name, value)
    return config
