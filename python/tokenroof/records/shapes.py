"""Shapes of a decoder: whole numbers, checked, and what follows from leaving some out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from tokenroof.records.fields import names, several
from tokenroof.records.quantisation import Quantisation
from tokenroof.records.tower import Tower
from tokenroof.support.arguments import is_integer, shown
from tokenroof.support.quoting import counted

__all__ = ["Shapes"]

_POSITIVE = ("hidden", "vocab", "layers")
_FLAGS = (
    "tied", "qkv_bias", "out_bias", "mlp_bias", "expert_bias", "router_bias", "norm_bias", "sinks",
    "shared_gate", "head_bias", "embedding_norm", "tied_values", "single_key", "idle_kv_weights",
    "head_gate", "index_unweighted", "altup", "linear_full_gate", "moe_latent_norm", "headless", "final_norm",
    "joint_norm", "mamba_norm", "mamba_conv_bias", "mamba_proj_bias", "mtp_stored", "mtp_tables",
)  # fmt: skip
_TEXT = ("name", "hf_id", "family", "model_type", "release", "native_dtype", "source", "confidence",
         "notes")  # fmt: skip
_LARGEST = 10**12


def _extras(value: object) -> tuple[tuple[str, int], ...]:
    pairs = several("extras", value, "pairs of a name and a number of parameters")
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        raise TypeError(
            f"extras is {shown(value)}; allowed: pairs of a name and a number of parameters"
        )
    return tuple((str(name), _size(str(name), n, False)) for name, n in pairs)


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """What `tokenroof.Model` says of layers and widths; that class documents the fields."""

    # fields that were left out and follow others
    _derived: ClassVar[frozenset[str]] = frozenset()

    name: str
    hidden: int
    vocab: int
    layers: int
    heads: int = 0
    kv_heads: int = 0
    head_dim: int = 0
    v_head_dim: int = 0
    q_multiplier: int = 1
    q_lora_rank: int = 0
    kv_lora_rank: int = 0
    rope_head_dim: int = 0
    nope_head_dim: int = 0
    full_layers: int = 0
    window_layers: int = 0
    window: int = 0
    window_heads: int = 0
    window_kv_heads: int = 0
    window_head_dim: int = 0
    window_v_head_dim: int = 0
    tied_values: bool = False
    single_key: bool = False
    shared_full_layers: int = 0
    shared_window_layers: int = 0
    head_gate: bool = False
    o_groups: int = 0
    o_lora_rank: int = 0
    compressed_layers: int = 0
    compress_ratio: int = 0
    selected_layers: int = 0
    select_ratio: int = 0
    index_heads: int = 0
    index_head_dim: int = 0
    index_topk: int = 0
    index_layers: int = 0
    sparse_layers: int = 0
    linear_layers: int = 0
    linear_key_heads: int = 0
    linear_key_dim: int = 0
    linear_value_heads: int = 0
    linear_value_dim: int = 0
    linear_conv: int = 0
    linear_gate_rank: int = 0
    linear_full_gate: bool = False
    mamba_layers: int = 0
    mamba_heads: int = 0
    mamba_head_dim: int = 0
    mamba_groups: int = 0
    mamba_state: int = 0
    mamba_conv: int = 0
    dense_layers: int = 0
    ffn: int = 0
    mlp_matrices: int = 3
    wide_layers: int = 0
    wide_ffn: int = 0
    moe_layers: int = 0
    experts: int = 0
    topk: int = 0
    moe_ffn: int = 0
    shared_ffn: int = 0
    moe_latent: int = 0
    zero_experts: int = 0
    streams: int = 0
    stream_mixes: int = 0
    residual_slots: int = 0
    layer_embedding: int = 0
    laurel_rank: int = 0
    mtp_modules: int = 0
    mtp_stored: bool = True
    mtp_tables: bool = False
    # what the count of parameters needs beside the shapes
    tied: bool = False
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    expert_bias: bool = False
    router_bias: bool = False
    norm_bias: bool = False
    norms_per_layer: int = 2
    qk_norm: int = 0
    joint_norm: bool = False
    sinks: bool = False
    positions: int = 0
    shared_gate: bool = False
    head_bias: bool = False
    embedding_norm: bool = False
    idle_kv_weights: bool = False
    index_unweighted: bool = False
    altup: bool = False
    moe_latent_norm: bool = False
    layer_vocab: int = 0
    final_norm: bool = True
    headless: bool = False
    labels: int = 0
    embedding_width: int = 0
    mamba_rank: int = 0
    mamba_norm: bool = True
    mamba_conv_bias: bool = True
    mamba_proj_bias: bool = False
    extras: tuple[tuple[str, int], ...] = ()
    # how the released checkpoint is stored
    quantisation: Quantisation | None = None
    # what stands in front of it
    towers: tuple[Tower, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in _TEXT:
                if not isinstance(value, str):
                    raise TypeError(f"{f.name} is {shown(value)}; allowed: text")
            elif f.name in _FLAGS:
                if not isinstance(value, (bool, np.bool_)):
                    raise TypeError(f"{f.name} is {shown(value)}; allowed: True or False")
            elif f.name == "aliases":
                put(self, "aliases", names("aliases", value))
            elif f.name == "towers":
                put(self, "towers", several("towers", value, "Towers"))
                if not all(isinstance(tower, Tower) for tower in self.towers):
                    raise TypeError(f"towers is {shown(value)}; allowed: Towers")
            elif f.name == "quantisation":
                if not (value is None or isinstance(value, Quantisation)):
                    raise TypeError(
                        f"quantisation is {shown(value)}; allowed: a Quantisation or None"
                    )
            elif f.name == "extras":
                put(self, "extras", _extras(value))
            elif f.name == "reading":
                continue
            else:
                put(self, f.name, _size(f.name, value, f.name in _POSITIVE))
        self._derive()
        self._check()

    def _derive(self) -> None:
        """Fill in what was left out; `_derived` names it, as it follows other fields when these change."""
        derived: set[str] = set()

        def put(name: str, value: int) -> None:
            object.__setattr__(self, name, value)
            derived.add(name)

        mixers = self.linear_layers + self.mamba_layers
        if not self.kv_heads:
            put("kv_heads", self.heads)
        if not self.head_dim and self.heads:
            if self.hidden % self.heads:
                raise ValueError(
                    f"heads is {self.heads}; allowed: a divisor of hidden = {self.hidden}, "
                    "or give head_dim"
                )
            put("head_dim", self.hidden // self.heads)
        if not self.v_head_dim:
            put("v_head_dim", self.head_dim)
        for name in ("heads", "kv_heads", "head_dim", "v_head_dim"):
            if not getattr(self, f"window_{name}"):  # as in the full layers
                put(f"window_{name}", getattr(self, name))
        mixers += self.compressed_layers + self.selected_layers
        if self.heads and not (self.full_layers or self.window_layers or mixers >= self.layers):
            put("full_layers", self.layers - mixers)
        if self.ffn and not (self.dense_layers or self.moe_layers):
            put("dense_layers", self.layers)
        if self.index_topk and not (self.selected_layers or self.sparse_layers):
            put("sparse_layers", self.full_layers)
        if self.index_topk and not self.index_layers:
            put("index_layers", self.selected_layers or self.sparse_layers)
        object.__setattr__(self, "_derived", frozenset(derived))

    def _check(self) -> None:
        def need(good: bool, field: str, allowed: str) -> None:
            if not good:
                raise ValueError(f"{field} is {shown(getattr(self, field))}; allowed: {allowed}")

        softmax = self.softmax_layers
        need(softmax <= self.layers, "full_layers", f"with window_layers at most {self.layers}")
        if softmax:
            need(self.heads > 0, "heads", "a positive integer")
            need(self.heads % self.kv_heads == 0, "kv_heads", f"a divisor of {self.heads} heads")
            need(self.v_head_dim > 0, "v_head_dim", "a positive integer")
        if self.window_layers:
            need(self.window > 0, "window", "a positive integer, as there are window_layers")
            kv_heads = self.window_kv_heads
            need(self.window_heads % kv_heads == 0, "window_kv_heads",
                 f"a divisor of {self.window_heads} window_heads")  # fmt: skip
        self._check_attention(need)
        for field in ("linear_layers", "mamba_layers", "dense_layers", "wide_layers", "moe_layers"):
            need(
                getattr(self, field) <= self.layers,
                field,
                f"at most {counted(self.layers, 'layer')}",
            )
        if self.dense_layers:
            need(self.ffn > 0, "ffn", "a positive integer, as there are dense_layers")
        need(self.mlp_matrices in (2, 3), "mlp_matrices", "2 or 3")
        need(self.q_multiplier in (1, 2), "q_multiplier", "1 or 2")
        if self.moe_layers:
            need(self.experts > 0, "experts", "a positive integer, as there are moe_layers")
            need(1 <= self.topk <= self.experts, "topk", f"1 to {counted(self.experts, 'expert')}")
            need(self.moe_ffn > 0, "moe_ffn", "a positive integer, as there are moe_layers")
        if self.wide_layers:
            need(self.wide_ffn > 0, "wide_ffn", "a positive integer, as there are wide_layers")
        if self.kv_lora_rank:
            need(self.rope_head_dim > 0, "rope_head_dim", "a positive integer with kv_lora_rank")
            need(self.nope_head_dim > 0, "nope_head_dim", "a positive integer with kv_lora_rank")
        for group, first in (("linear", "linear_value_heads"), ("mamba", "mamba_heads")):
            if getattr(self, f"{group}_layers"):
                need(getattr(self, first) > 0, first, f"a positive integer with {group}_layers")

    @property
    def softmax_layers(self) -> int:
        """Layers of softmax attention of every kind."""
        plain = self.full_layers + self.window_layers
        return plain + self.compressed_layers + self.selected_layers

    def _check_attention(self, need: Callable[[bool, str, str], None]) -> None:
        """Layers that compress, choose or share their keys."""
        for kind, ratio in (("compressed", "compress_ratio"), ("selected", "select_ratio")):
            if getattr(self, f"{kind}_layers"):
                need(getattr(self, ratio) > 0, ratio, f"a positive integer with {kind}_layers")
                need(self.single_key, "single_key", f"True with {kind}_layers")
                need(self.window > 0, "window", f"a positive integer with {kind}_layers")
        if self.selected_layers:
            need(self.index_topk > 0, "index_topk", "a positive integer with selected_layers")
        if self.single_key:
            need(
                not self.full_layers,
                "full_layers",
                "0 with single_key: its layers slide or compress",
            )
            need(not self.kv_lora_rank, "kv_lora_rank", "0 with single_key")
        limit = self.selected_layers or self.full_layers
        need(self.sparse_layers <= self.full_layers, "sparse_layers",
             f"at most {self.full_layers} full_layers")  # fmt: skip
        need(
            self.index_layers <= limit,
            "index_layers",
            f"at most {counted(limit, 'layer')} that choose",
        )
        for kind in ("full", "window"):
            layers = getattr(self, f"{kind}_layers")
            need(getattr(self, f"shared_{kind}_layers") <= layers, f"shared_{kind}_layers",
                 f"at most {layers} {kind}_layers")  # fmt: skip
        if self.o_lora_rank:
            need(self.o_groups > 0, "o_groups", "a positive integer with o_lora_rank")


def _size(field: str, value: object, positive: bool) -> int:
    low = 1 if positive else 0
    if not is_integer(value):
        raise TypeError(f"{field} is {shown(value)}; allowed: a whole number >= {low}")
    if not low <= value <= _LARGEST:
        raise ValueError(
            f"{field} is {shown(value)}; allowed: a whole number >= {low}, at most 1e12"
        )
    return int(value)
