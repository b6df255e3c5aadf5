"""Which of a step's kernels an engine fuses or adds, and what it sets aside: by its sources, never fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof.inference.carried import generation

if TYPE_CHECKING:
    from tokenroof.records.device import Device

__all__ = ["engine_kernels"]

# Generations whose folded products of MLA TensorRT-LLM runs in blocks of FP8, each behind a kernel that
# narrows (_torch/modules/attention.py, fp8_block_scaling_bmm_out: sm_version 89 and 90; 100 multiplies in
# 16 bits).
_FOLDED_IN_FP8 = ("ada", "hopper")


def engine_kernels(engine: str, device: Device) -> dict[str, float]:
    """Constants of an engine that say which kernels it fuses or adds on a device, and what it sets aside.

    TensorRT-LLM takes the residual and the norm behind an all-reduce into its kernel (`reduced_norms` in
    structure.hpp says of which models), narrows in front of the folded products of MLA before Blackwell, and
    sets whole answers aside before it begins a prompt (its default, GUARANTEED_NO_EVICT).

    Examples
    --------
    >>> import tokenroof as tr
    >>> engine_kernels("trtllm", tr.device("H200-SXM"))
    {'whole': 1.0, 'fused_norms': 1.0, 'folds_narrowed': 1.0}
    >>> engine_kernels("trtllm", tr.device("B200-SXM"))["folds_narrowed"]
    0.0
    >>> engine_kernels("vllm", tr.device("H100-SXM"))
    {}
    """
    if engine != "trtllm":
        return {}
    return {
        "whole": 1.0,
        "fused_norms": 1.0,
        "folds_narrowed": float(any(name in generation(device).split() for name in _FOLDED_IN_FP8)),
    }
