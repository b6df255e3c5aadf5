"""The types that a config says its checkpoint is stored in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["stored_type"]

_METHODS = {"fbgemm_fp8": "fp8", "nvfp4": "nvfp4", "fp_quant": "nvfp4"}
_ALGORITHMS = {"NVFP4": "nvfp4", "FP8": "fp8", "MXFP4": "mxfp4", "FP8_PB_WO": "fp8_block"}


def stored_type(quantised: Mapping[str, Any]) -> str:
    """The type of the weights, as `Model.native_dtype` says it; the method's name where it is no type.

    Examples
    --------
    >>> stored_type({"quant_method": "fp8", "weight_block_size": [128, 128]})
    'fp8_block'
    >>> stored_type({"quant_method": "mxfp4"}), stored_type({"quant_method": "awq", "bits": 4})
    ('mxfp4 experts, bf16 rest', 'int4')
    """
    method = quantised.get("quant_method")
    if not isinstance(method, str):
        return ""
    found = ""
    if method == "fp8":
        found = "fp8_block" if quantised.get("weight_block_size") else "fp8"
    elif method == "mxfp4":  # the method of checkpoints whose experts alone are narrow
        found = "mxfp4 experts, bf16 rest"
    elif method in ("awq", "gptq", "auto-round"):
        found = _integer(quantised.get("bits"))
    elif method == "modelopt":
        algorithm = quantised.get("quant_algo")
        found = _ALGORITHMS.get(algorithm, "") if isinstance(algorithm, str) else ""
    elif method == "compressed-tensors":
        found = _compressed(quantised)
    return found or _METHODS.get(method, method)


def _integer(bits: object) -> str:
    return f"int{bits}" if isinstance(bits, int) and bits in (4, 8) else ""


def _compressed(quantised: Mapping[str, Any]) -> str:
    """Of compressed-tensors: the weights of its first group."""
    groups = quantised.get("config_groups")
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return ""
    bits, kind = weights.get("num_bits"), weights.get("type")
    found = ""
    if kind == "int":
        found = _integer(bits)
    elif kind == "float" and bits == 8:
        found = "fp8_block" if weights.get("strategy") == "block" else "fp8"
    elif kind == "float" and bits == 4:
        found = "mxfp4" if weights.get("group_size") == 32 else "nvfp4"
    left = quantised.get("ignore")
    if found and isinstance(left, list) and any("attn" in str(name) for name in left):
        return f"{found} experts, bf16 rest"  # what is left out of it stays as it was
    return found
