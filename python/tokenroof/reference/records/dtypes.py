"""Element types: bytes of weights, caches and activations, and the unit that multiplies them."""

from __future__ import annotations

from tokenroof.reference.core.ieee import maximum
from tokenroof.reference.records.records import Record

TYPES = ("fp32", "tf32", "bf16", "fp16", "fp8", "fp8_block", "int8", "fp4", "nvfp4", "mxfp4", "int4",
         "mxfp4_mxfp8", "mxfp8", "int4_32", "int4_64", "fp8_bf16", "int8_bf16", "nvfp4_bf16",
         "mxfp4_mxfp4")  # fmt: skip
# bytes of an element, with its share of the block's scales
STORED = {
    "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_block": 1.0 + 4.0 / 128**2,
    "int8": 1.0, "fp4": 0.5, "nvfp4": 0.5 + 1.0 / 16, "mxfp4": 0.5 + 1.0 / 32, "int4": 0.5 + 2.0 / 128,
    "mxfp4_mxfp8": 0.5 + 1.0 / 32, "mxfp8": 1.0 + 1.0 / 32, "int4_32": 0.5 + 2.0 / 32,
    "int4_64": 0.5 + 2.0 / 64, "fp8_bf16": 1.0, "int8_bf16": 1.0, "nvfp4_bf16": 0.5 + 1.0 / 16,
    "mxfp4_mxfp4": 0.5 + 1.0 / 32,
}  # fmt: skip
# bytes of an activation that meets such a weight
ACTIVATION = {
    "fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "int8": 1.0,
    "fp4": 0.5, "nvfp4": 0.5 + 1.0 / 16, "mxfp4": 2.0, "int4": 2.0, "mxfp4_mxfp8": 1.0,
    "mxfp8": 1.0 + 1.0 / 32, "int4_32": 2.0, "int4_64": 2.0, "fp8_bf16": 2.0, "int8_bf16": 2.0,
    "nvfp4_bf16": 2.0, "mxfp4_mxfp4": 0.5 + 1.0 / 32,
}  # fmt: skip
# the unit that does the maths
UNIT = {
    "fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "fp16": "fp16", "fp8": "fp8", "fp8_block": "fp8",
    "int8": "int8", "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "bf16", "int4": "bf16", "mxfp4_mxfp8": "fp8",
    "mxfp8": "fp8", "int4_32": "bf16", "int4_64": "bf16", "fp8_bf16": "bf16", "int8_bf16": "bf16",
    "nvfp4_bf16": "bf16", "mxfp4_mxfp4": "fp4",
}  # fmt: skip


def type_name(code: float) -> str:
    """Name of a type code in a packed record."""
    return TYPES[int(code)]


def peak_of(device: Record, type_: str) -> float:
    """Peak of the unit for a type."""
    return device[f"peak_{UNIT[type_]}"]


def attention_peak(device: Record, cache: str) -> float:
    """Of attention over a cache of this type: kernels may multiply eight bits as they are."""
    wide = device["peak_bf16"]
    return maximum(wide, device["peak_fp8"]) if cache == "fp8" else wide
