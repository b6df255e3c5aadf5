"""Schedulers by engine and version: their knobs, and what they come to on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenroof.serving.simulation.engines import engine_of
from tokenroof.serving.simulation.knobs import checked, knobs_of
from tokenroof.support.arguments import is_integer, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.limits import Limits

__all__ = ["Scheduler"]


@dataclass(frozen=True, init=False, repr=False)
class Scheduler:
    """How an engine chooses what each of its steps carries.

    Parameters
    ----------
    max_batched_tokens : int, optional
        The most tokens of a step; by the device's memory where not given.
    max_sequences : int, optional
        The most requests that run at once; by the device's memory where not given.
    kv_tokens : int, optional
        Tokens that the KV memory holds; what weights and engine leave of the device where not given.
    engine : str
        Whose rules: one of the presets' names.
    **knobs
        The engine's own names, as in `preset`.

    Attributes
    ----------
    name : str
        The preset.
    config : dict
        Every knob by the engine's own name; None where the device decides.

    Raises
    ------
    ValueError, TypeError
        For a knob that is out of range, of another version, or not played: by name.

    Examples
    --------
    >>> Scheduler(max_batched_tokens=2048, max_sequences=256).config["max_num_seqs"]
    256
    >>> Scheduler.preset("vllm-0.33", block_size=0)
    Traceback (most recent call last):
    ValueError: block_size is 0; allowed: whole numbers from 1 to 65536
    """

    name: str
    _given: tuple[tuple[str, Any], ...]

    def __init__(
        self,
        max_batched_tokens: int | None = None,
        max_sequences: int | None = None,
        kv_tokens: int | None = None,
        *,
        engine: str = "vllm-0.33",
        **knobs: Any,
    ) -> None:
        knobs_of(engine)  # that it is one
        rules = engine_of(engine)
        given = {"max_batched_tokens": max_batched_tokens, "max_sequences": max_sequences}
        for own, value in (*given.items(), ("kv_tokens", kv_tokens)):
            if value is not None and not (is_integer(value) and (value > 0 or own == "kv_tokens")):
                raise ValueError(f"{own} is {shown(value)}; allowed: whole numbers from 1")
        if kv_tokens is not None:
            size = checked(engine, {k: v for k, v in knobs.items() if k == rules.block})[
                rules.block
            ]
            if kv_tokens < size:
                raise ValueError(
                    f"kv_tokens is {shown(kv_tokens)}; allowed: at least a block ({size})"
                )
            given["kv_tokens"] = (
                kv_tokens // size * (size if rules.counts_tokens else 1) + rules.unused_blocks
            )
        for own, value in given.items():
            theirs = rules.own[own]
            if value is None:
                continue
            if theirs in knobs:
                raise ValueError(f"{own} and {theirs} are given; allowed: one of them")
            knobs[theirs] = value
        checked(engine, knobs)
        object.__setattr__(self, "name", engine)
        object.__setattr__(self, "_given", tuple(knobs.items()))

    @classmethod
    def preset(cls, name: str, **overrides: Any) -> Scheduler:
        """The defaults of an engine's version, with others in their place.

        Parameters
        ----------
        name : {"vllm-0.33", "vllm-0.19", "sglang-0.5.23", "trtllm-1.4"}
        **overrides
            By the engine's own names. vLLM: ``max_num_batched_tokens``, ``max_num_seqs``, ``block_size``,
            ``num_blocks`` (one of them is never used), ``max_model_len``, ``enable_chunked_prefill``,
            ``enable_prefix_caching``, ``long_prefill_token_threshold``, ``policy`` ("fcfs" or "priority"),
            ``scheduler_reserve_full_isl``, ``max_num_scheduled_tokens``, ``loop`` ("async" or "sync");
            ``min_stats_update_interval_ms`` (of the coordinator of data-parallel ranks [ms]; 0: their
            router sees them as they are); of 0.33 alone: ``watermark``,
            ``long_prefill_token_threshold_adaptive``, ``max_num_active_seqs``,
            ``prefill_schedule_interval``. Beside them ``cudagraphs`` (steps are padded to captured sizes)
            and ``host_ns`` (time of the host in each step [ns]).
            SGLang: ``max_total_tokens``, ``mem_fraction_static``, ``page_size``, ``context_length``,
            ``max_running_requests``, ``chunked_prefill_size`` (-1: off), ``max_prefill_tokens``,
            ``prefill_max_requests``, ``max_queued_requests``, ``prefill_decode_interval`` (and ``_min_bs``),
            ``schedule_policy`` ("fcfs", "lpm", "lof"), ``schedule_conservativeness``, ``enable_mixed_chunk``,
            ``disable_overlap_schedule``, ``disable_radix_cache``, ``radix_eviction_policy``,
            ``enable_hierarchical_cache`` (memory of the host), with ``hicache_ratio`` (its tokens over the
            device's; 2 by default) or ``hicache_size`` (of each device [GB]), and ``hicache_write_policy``
            ("write_through", "write_through_selective", "write_back"),
            ``retraction_policy``, ``enable_priority_scheduling``, ``schedule_low_priority_values_first``,
            ``disable_cuda_graph`` (and ``_padding``), ``cuda_graph_max_bs_decode``; of its environment
            ``init_new_token_ratio``, ``min_new_token_ratio_factor``, ``new_token_ratio_decay_steps``,
            ``retract_decode_steps``, ``clip_max_new_tokens_estimation``; ``ignore_eos`` of all requests; of a
            pool of answers ``num_reserved_decode_tokens`` and ``disaggregation_decode_extra_slots``.
            TensorRT-LLM: ``max_num_tokens``, ``max_batch_size``, ``max_seq_len``,
            ``capacity_scheduler_policy`` ("GUARANTEED_NO_EVICT", "MAX_UTILIZATION", "STATIC_BATCH"),
            ``waiting_queue_policy`` ("FCFS"), ``enable_prefix_aware_scheduling``,
            ``enable_chunked_prefill``, ``context_chunking_policy`` ("FIRST_COME_FIRST_SERVED",
            "EQUAL_PROGRESS"), ``batch_wait_timeout_iters``, ``batch_wait_max_tokens_ratio``,
            ``tokens_per_block``, ``max_tokens`` (of KV memory), ``free_gpu_memory_fraction``,
            ``enable_block_reuse``, ``enable_partial_reuse``, ``copy_on_partial_reuse``,
            ``disable_overlap_scheduler``, ``cuda_graph_max_batch_size``, ``cuda_graph_enable_padding``,
            and ``host_ns``.

        Raises
        ------
        ValueError, TypeError
            For an unknown preset, or a knob that is out of range or not played.

        Examples
        --------
        >>> Scheduler.preset("vllm-0.33", max_num_seqs=64).config["block_size"]
        16
        """
        return cls(engine=name, **overrides)

    @property
    def config(self) -> dict[str, Any]:
        return checked(self.name, dict(self._given))

    @property
    def given(self) -> dict[str, Any]:
        """The knobs that were given."""
        return dict(self._given)

    @property
    def longest(self) -> int | None:
        """Tokens of the longest request that it was told to take; None: as many as the model takes."""
        found = self.given.get(engine_of(self.name).context)
        return None if found is None else int(found)

    def __repr__(self) -> str:
        knobs = "".join(f", {name}={value!r}" for name, value in self._given)
        return f"Scheduler.preset({self.name!r}{knobs})"

    def resolved(
        self, on: Deployment | None, defaults: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Every knob as a number, by `defaults` and then by the device where nothing else says it."""
        config = self.config
        for name, value in (defaults or {}).items():
            if config.get(name) is None:
                config[name] = value
        return engine_of(self.name).resolved(config, on, self.name)

    def compiled(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Resolved knobs as the compiled rules take them."""
        return engine_of(self.name).compiled(config, self.name)

    def limits(self, config: Mapping[str, Any]) -> Limits:
        """What every engine has, of resolved knobs."""
        return engine_of(self.name).limits(config)
