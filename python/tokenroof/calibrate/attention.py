"""What is fitted of attention: decode and prompts, over heads and over a latent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.calibrate.specs import Columns, Range, Spec, codes
from tokenroof.records import dtypes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADS = ("heads", "kv_heads", "head_dim", "window")
_COLUMNS = {
    "batch": ("batch_size",), "past": ("step",), "heads": ("num_heads",),
    "kv_heads": ("num_key_value_heads",), "head_dim": (), "window": ("window_size",),
    "kv_dtype": ("kv_cache_dtype",),
}  # fmt: skip
_LATENT = {"batch": ("batch_size",), "past": ("step",), "heads": ("num_heads",),
           "kv_dtype": ("kv_cache_dtype",)}  # fmt: skip
_OVERLAP = Range(0.3, 0.02, 1.0)


def _kv_heads(t: Columns) -> NDArray[np.float64]:
    """Tables write 0 where each query head has its own."""
    return np.where(t["kv_heads"] > 0, t["kv_heads"], t["heads"]).astype(float)


def _attention_decode(t: Columns) -> tuple[Any, ...]:
    return (t["batch"], t["past"] + 1.0, t["heads"], _kv_heads(t), t["head_dim"], t["head_dim"],
            t["window"], codes(t["kv_dtype"]), 1.0)  # fmt: skip


def _attention_prefill(t: Columns) -> tuple[Any, ...]:
    return (t["batch"], t["tokens"], t["past"], t["heads"], _kv_heads(t), t["head_dim"],
            t["head_dim"], t["window"], codes(t["kv_dtype"]), codes(t["dtype"]))  # fmt: skip


def _mla_decode(t: Columns) -> tuple[Any, ...]:
    return t["batch"], t["past"] + 1.0, t["heads"], 512.0, 64.0, codes(t["kv_dtype"]), 1.0


def _mla_prefill(t: Columns) -> tuple[Any, ...]:
    bf16, kv = dtypes.code("bf16"), codes(t["kv_dtype"])
    return t["batch"], t["tokens"], t["past"], t["heads"], 128.0, 64.0, 128.0, 512.0, 0.0, bf16, kv


def _maths(t: Columns) -> NDArray[Any]:
    pairs = zip(t["dtype"], t["kv_dtype"], strict=True)
    return np.array([dtypes.attention(str(maths), str(cache)) for maths, cache in pairs])


ATTENTION_DECODE = Spec(
    operator="attention_decode",
    kernel="attention_decode_operator",
    columns=_COLUMNS,
    types=("kv_dtype",),
    tables=("generation_attention_perf",),
    constants={
        "t0": Range(9e-6, 1e-6, 1e-4), "memory": Range(0.85, 0.3, 1.0),
        "compute": Range(0.3, 0.03, 1.0), "overlap": _OVERLAP, "cached": Range(3.0, 1.0, 10.0),
        "resident": Range(0.7, 0.3, 1.5), "block": Range(2e-6, 1e-8, 2e-5),
        "width": Range(0.5, 1e-3, 5.0), "group": Range(0.05, 5e-4, 1.0),
        "key": Range(1e-8, 1e-11, 1e-7), "splits": Range(1.0, 1e-3, 8.0),
        "keys": Range(200.0, 32.0, 2048.0), "most": Range(32.0, 2.0, 512.0),
        "split": Range(2e-6, 1e-8, 1e-5), "pad": Range(64.0, 1.0, 4096.0),
        "reread": Range(1.5, 0.3, 6.0), "lone_t0": Range(9e-6, 1e-6, 1e-4),
        "lone_block": Range(1.5e-6, 1e-8, 1e-5), "lone_key": Range(1e-8, 1e-11, 1e-7),
        "lone_splits": Range(1.0, 1e-3, 8.0),
        "grouped": Range(40.0, 8.0, 1024.0), "lone_window": Range(0.0, 0.0, 1.0),
    },
    kind=lambda t: t["kv_dtype"],
    arguments=_attention_decode,
    zeros=("past", "kv_heads", "window"),
    held_out=_HEADS,
    defaults={"window": 0.0, "kv_dtype": "bf16"},
    choices=lambda kind: (
        {"grouped": 40.0, "lone_window": 0.0}, {"grouped": 72.0, "lone_window": 0.0},
        {"grouped": 72.0, "lone_window": 1.0},
    ),
    prior=0.02,
)  # fmt: skip

_TILES = tuple({"tile": tile, "packed": packed} for packed in (0.0, 1.0) for tile in (64.0, 128.0))
ATTENTION_PREFILL = Spec(
    operator="attention_prefill",
    kernel="attention_prefill_operator",
    columns=_COLUMNS | {"tokens": ("isl",), "dtype": ("attn_dtype",)},
    types=("kv_dtype", "dtype"),
    tables=("context_attention_perf",),
    constants={
        "t0": Range(1.1e-5, 1e-6, 1e-4), "compute": Range(0.6, 0.05, 1.0),
        "narrow": Range(0.8, 0.2, 1.3), "wide": Range(1.0, 0.05, 1.3),
        "memory": Range(0.8, 0.2, 1.0), "overlap": _OVERLAP, "block": Range(1e-6, 1e-8, 2e-5),
        "path": Range(1.0, 0.3, 4.0), "write": Range(0.8, 0.05, 3.0),
        "queries": Range(0.3, 0.01, 1.0), "cached": Range(2.0, 1.0, 10.0),
        "resident": Range(0.8, 0.2, 1.5), "sag": Range(0.05, 1e-3, 1.0),
        "tile": Range(64.0, 16.0, 512.0), "packed": Range(0.0, 0.0, 1.0),
        "single": Range(0.0, 0.0, 1.0),
    },
    kind=_maths,
    arguments=_attention_prefill,
    zeros=("past", "kv_heads", "window"),
    held_out=_HEADS,
    moves_memory=False,
    defaults={"window": 0.0, "kv_dtype": "bf16", "dtype": "bf16", "past": 0.0},
    choices=lambda kind: _TILES,
    prior=0.02,
    # vLLM runs a prompt of one token as a decode: such rows say nothing of the kernels for prompts
    engine_fixed=lambda engine: {"single": float(engine == "vllm")},
    rows=lambda engine, t: t["tokens"] > 1.0 if engine == "vllm" else t["tokens"] > 0.0,
)  # fmt: skip

MLA_DECODE = Spec(
    operator="mla_decode",
    kernel="mla_decode_operator",
    columns=_LATENT,
    types=("kv_dtype",),
    tables=("generation_mla_perf",),
    constants={
        "t0": Range(1.1e-5, 1e-6, 1e-4), "memory": Range(0.8, 0.2, 1.0),
        "compute": Range(0.5, 0.05, 1.0), "overlap": _OVERLAP, "cached": Range(2.0, 1.0, 10.0),
        "resident": Range(0.7, 0.3, 1.5), "block": Range(2e-6, 1e-8, 2e-5),
        "group": Range(0.01, 5e-4, 0.3), "key": Range(1e-8, 1e-10, 1e-6),
        "splits": Range(1.0, 0.05, 8.0), "keys": Range(200.0, 32.0, 2048.0),
        "most": Range(32.0, 2.0, 512.0), "split": Range(2e-6, 1e-8, 2e-5),
        "host": Range(5e-5, 1e-7, 1e-3), "tile": Range(64.0, 8.0, 256.0),
    },
    kind=lambda t: t["kv_dtype"],
    arguments=_mla_decode,
    zeros=("past",),
    held_out=("heads", "batch"),
    defaults={"kv_dtype": "bf16"},
    choices=lambda kind: tuple(
        {"tile": tile} | host
        for tile in (16.0, 64.0, 128.0) for host in ({}, {"host": 1e-7})
    ),
    prior=0.02,
)  # fmt: skip

MLA_PREFILL = Spec(
    operator="mla_prefill",
    kernel="mla_prefill_operator",
    columns=_LATENT | {"tokens": ("isl",)},
    types=("kv_dtype",),
    tables=("context_mla_perf",),
    constants={
        "t0": Range(1.3e-5, 1e-6, 1e-4), "compute": Range(0.6, 0.05, 1.0),
        "memory": Range(0.8, 0.2, 1.0), "overlap": _OVERLAP, "block": Range(2e-6, 1e-8, 2e-5),
        "path": Range(1.5, 0.3, 4.0), "write": Range(0.8, 0.05, 3.0),
        "queries": Range(0.3, 0.01, 1.0), "cached": Range(2.0, 1.0, 10.0),
        "resident": Range(0.8, 0.2, 1.5), "sag": Range(0.05, 1e-3, 1.0),
        "host": Range(5e-5, 1e-7, 1e-3), "tile": Range(64.0, 16.0, 512.0),
    },
    kind=lambda t: t["kv_dtype"],
    arguments=_mla_prefill,
    zeros=("past",),
    held_out=("heads", "batch"),
    moves_memory=False,
    defaults={"kv_dtype": "bf16", "past": 0.0},
    choices=lambda kind: tuple(
        {"tile": tile} | host for tile in (64.0, 128.0) for host in ({}, {"host": 1e-7})
    ),
    prior=0.02,
)  # fmt: skip

#: The four of them.
ATTENTION = (ATTENTION_DECODE, ATTENTION_PREFILL, MLA_DECODE, MLA_PREFILL)
