"""Models whose blocks were searched for: each with heads, widths and parts of its own."""

from __future__ import annotations

import math

from tokenroof.records.huggingface.families.blocks import basics, layers_of
from tokenroof.records.huggingface.families.table import family
from tokenroof.records.huggingface.reader import Reader, Values, short
from tokenroof.support.quoting import counted

_ROUNDED = 256  # widths of MLPs are whole multiples of this


def _width(multiple: float, hidden: int) -> int:
    """Of an MLP: two thirds of the multiple, rounded up, as the architecture's class has it."""
    return math.ceil(int(2 * multiple * hidden / 3) / _ROUNDED) * _ROUNDED


@family("nemotron_nas", "deci")
def nemotron_nas(r: Reader) -> Values:
    """Llama's layers of which attention or MLP may be absent, or one matrix.

    A step is priced with the mean width of the MLPs there are; what a mean cannot say of the count of
    parameters is counted apart.
    """
    blocks = r.raw("block_configs")
    if not isinstance(blocks, list) or not blocks:
        raise ValueError(f"block_configs is {short(blocks)}; allowed: a list of blocks")
    v = basics(r, layers=len(blocks))
    if r.given("num_hidden_layers") and layers_of(r) != len(blocks):
        raise ValueError(
            f"block_configs has {counted(len(blocks), 'entry')}; allowed: one per layer, {layers_of(r)}"
        )
    hidden, heads = v["hidden"], v["heads"]
    groups: list[int] = []
    widths: list[int] = []
    norms = linear = 0
    part = Reader({"block_configs": {str(i): block for i, block in enumerate(blocks)}}).part(
        "block_configs"
    )
    for i in range(len(blocks)):
        block = part.part(str(i))
        attention, mlp = block.part("attention"), block.part("ffn")
        for one in (attention, mlp):
            if not one.flag("no_op"):
                norms += 1
                linear += one.flag("replace_with_linear")
        if not (attention.flag("no_op") or attention.flag("replace_with_linear")):
            groups.append(attention.size("n_heads_in_group", high=heads))
            attention.must_be("window_length", None)
            attention.must_be("sparsify", None)
            attention.must_be("num_sink_tokens", None)
        if not (mlp.flag("no_op") or mlp.flag("replace_with_linear")):
            mlp.must_be("sparsify", None)
            widths.append(_ffn(mlp, hidden))
    if not groups or heads % max(groups) or any(heads % group for group in groups):
        raise ValueError(
            f"n_heads_in_group has {sorted(set(groups))}; allowed: divisors of {heads}, somewhere"
        )
    return {**v, **_means(v, groups, widths), "norms_per_layer": 0,
            "extras": (*_extras(v, groups, widths, linear), ("block_norms", norms * hidden)),
            "mlp_bias": r.flag("mlp_bias"), "qkv_bias": r.flag("attention_bias"),
            "out_bias": r.flag("attention_bias")}  # fmt: skip


def _ffn(mlp: Reader, hidden: int) -> int:
    if mlp.given("ffn_mult"):
        return _width(mlp.number("ffn_mult", 1.0), hidden)
    return mlp.size("intermediate_size")


def _mean(widths: list[int]) -> int:
    """Of the MLPs, rounded down as they are rounded, so that devices divide it."""
    whole = _ROUNDED if min(widths, default=0) >= _ROUNDED else 1
    return sum(widths) // (len(widths) * whole) * whole if widths else 0


def _kv_heads(v: Values, groups: list[int]) -> tuple[int, int]:
    """Heads of keys and values all together, and of a layer, rounded to a divisor of the heads."""
    total = sum(v["heads"] // group for group in groups)
    mean = total / len(groups)
    fits = [n for n in range(1, v["heads"] + 1) if v["heads"] % n == 0 and n <= mean]
    return total, max(fits)


def _means(v: Values, groups: list[int], widths: list[int]) -> Values:
    return {
        "full_layers": len(groups), "kv_heads": _kv_heads(v, groups)[1],
        "dense_layers": len(widths), "ffn": _mean(widths),
    }  # fmt: skip


def _extras(
    v: Values, groups: list[int], widths: list[int], linear: int
) -> tuple[tuple[str, int], ...]:
    hidden = v["hidden"]
    total, each = _kv_heads(v, groups)
    keys = (total - each * len(groups)) * 2 * v["head_dim"] * hidden
    mlps = 3 * hidden * (sum(widths) - _mean(widths) * len(widths))
    found = (("attention", keys), ("mlp", mlps), ("linear_blocks", linear * hidden * hidden))
    return tuple((name, count) for name, count in found if count)
