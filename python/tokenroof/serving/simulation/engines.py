"""Engines by preset: how their knobs become numbers on a device, and what the compiled rules are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenroof.serving.simulation import sglang, trtllm, vllm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.simulation.limits import Limits

__all__ = ["Engine", "engine_of"]


@dataclass(frozen=True)
class Engine:
    """One engine's rules.

    Attributes
    ----------
    resolved : callable
        From a preset's knobs, the deployment or None, and the preset's name: every knob as a number.
    compiled : callable
        From resolved knobs and the preset's name: what the compiled rules take, ``engine`` among it.
    limits : callable
        From resolved knobs: what every engine has.
    own : mapping
        The engine's names of ``max_batched_tokens``, ``max_sequences`` and ``kv_tokens``.
    context : str
        The knob of the most tokens of a request.
    block : str
        The knob that says how many tokens a block of memory has.
    unused_blocks : int
        Blocks that are never used.
    counts_tokens : bool
        Whether the knob of memory counts tokens; else blocks.
    """

    resolved: Callable[[dict[str, Any], Deployment | None, str], dict[str, Any]]
    compiled: Callable[[Mapping[str, Any], str], dict[str, Any]]
    limits: Callable[[Mapping[str, Any]], Limits]
    own: Mapping[str, str]
    context: str
    block: str
    unused_blocks: int = 0
    counts_tokens: bool = False


_VLLM = Engine(
    vllm.resolved, vllm.compiled, vllm.limits,
    {
        "max_batched_tokens": "max_num_batched_tokens", "max_sequences": "max_num_seqs",
        "kv_tokens": "num_blocks",
    },
    context="max_model_len", block="block_size", unused_blocks=1,
)  # fmt: skip

_SGLANG = Engine(
    sglang.resolved, sglang.compiled, sglang.limits,
    {
        "max_batched_tokens": "chunked_prefill_size", "max_sequences": "max_running_requests",
        "kv_tokens": "max_total_tokens",
    },
    context="context_length", block="page_size", counts_tokens=True,
)  # fmt: skip

_TRTLLM = Engine(
    trtllm.resolved, trtllm.compiled, trtllm.limits,
    {
        "max_batched_tokens": "max_num_tokens", "max_sequences": "max_batch_size",
        "kv_tokens": "max_tokens",
    },
    context="max_seq_len", block="tokens_per_block", counts_tokens=True,
)  # fmt: skip

_BY_NAME = {"vllm": _VLLM, "sglang": _SGLANG, "trtllm": _TRTLLM}


def engine_of(preset: str) -> Engine:
    """The engine of a preset's name."""
    return _BY_NAME[preset.partition("-")[0]]
