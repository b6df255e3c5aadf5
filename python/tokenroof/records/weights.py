"""Bytes of a released checkpoint by module, and the types of a plan that runs it as it was released."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from tokenroof.records.counting import parameter_groups
from tokenroof.records.modules import Matrix, matrices
from tokenroof.records.quantisation import Quantisation, Stored

if TYPE_CHECKING:
    from tokenroof.records.shapes import Shapes

__all__ = ["module_bytes", "plan_types", "storage"]

# Groups of parameters by the module that they are counted with.
_MODULES = {
    "embedding": "embedding", "positions": "embedding", "head": "head", "attention": "attention",
    "index": "attention", "linear_attention": "linear_attention", "mamba": "linear_attention",
    "mlp": "mlp", "router": "router", "experts": "experts", "shared_experts": "shared_experts",
    "norms": "norms",
}  # fmt: skip
# bytes of an element that no method narrows, where that is not two
_WIDER = {"fp32": 4.0, "float32": 4.0, "float": 4.0, "float64": 8.0, "double": 8.0}


def storage(m: Shapes, q: Quantisation, x: Matrix) -> Counter[Stored | None]:
    """How many layers store a matrix in which way; None: as it was."""
    narrowed = "experts" if m.experts else "mlp"  # where a method has kernels for these alone
    if x.module == "router" or (x.module == "head" and not q.head):
        return Counter({None: len(x.layers)})  # engines quantise neither
    if q.experts_alone and x.module != narrowed:
        return Counter({None: len(x.layers)})
    named = q.layers_named(m.layers)
    apart: Counter[Stored | None] = Counter()
    # a layer beyond those that are named stands for all others
    other = max([m.layers, *named]) + 1
    rest = q.stored(x.names_in(other), other)
    known: dict[int, Stored | None] = {}
    for layer, first in named.items():
        if layer not in x.layers and (x.placed or layer >= m.layers):
            continue
        if first not in known:
            known[first] = q.stored(x.names_in(first), first)
        if known[first] != rest:
            apart[known[first]] += 1
    count = len(x.layers)
    while apart.total() > count:  # names of layers that do not have it
        apart -= Counter([apart.most_common(1)[0][0]])
    apart[rest] += count - apart.total()
    return +apart


def check_groups(m: Shapes, q: Quantisation) -> None:
    """Reject groups that do not divide the rows of a matrix."""
    for x in matrices(m):
        for how in storage(m, q, x):
            if how and how.rows == 1 and how.columns and x.columns % how.columns:
                raise ValueError(
                    f"group_size is {how.columns} for {m.name}; allowed: a divisor of the {x.columns} "
                    f"inputs of {x.names[0]}"
                )


def _said(m: Shapes) -> tuple[str, str]:
    """The first word of what `native_dtype` says, and all of it."""
    said = str(getattr(m, "native_dtype", "")).removeprefix("torch.")  # bare shapes say none
    return re.split("[ /(]", said, maxsplit=1)[0], said


def _element(m: Shapes) -> float:
    """Bytes of an element that no method narrows: two, or what a checkpoint without a method says."""
    return 2.0 if m.quantisation else _WIDER.get(_said(m)[0], 2.0)


def _as_said(m: Shapes) -> Quantisation:
    """How a record stores its matrices that has no ``quantization_config``, by what `native_dtype` says."""
    kind, said = _said(m)
    if not kind.startswith(("fp8", "float8", "int8")) or "experts" in said:
        return Quantisation("")
    if "block" in said:
        return Quantisation("", (((), Stored("fp8_block", 8, 128, 128, 4.0)),))
    return Quantisation("", (((), Stored(kind, 8)),))


def _of(m: Shapes) -> Quantisation:
    q = m.quantisation or _as_said(m)
    if q.refusal:
        raise ValueError(f"{q.refusal} ({m.name})")
    check_groups(m, q)
    return q


def module_bytes(m: Shapes) -> dict[str, float]:
    """Bytes of the released checkpoint, by module; its scales and zero points apart [B].

    Parameters
    ----------
    m : Shapes

    Returns
    -------
    dict
        Module to bytes: embedding, head, attention, linear_attention, mlp, router, experts,
        shared_experts, norms, scales, zero_points, and what there is of mtp and of towers.
    """
    q = _of(m)
    element = _element(m)
    wide = Stored("", round(8 * element))
    counts = parameter_groups(m)
    out = dict.fromkeys([*_MODULES.values(), "scales", "zero_points"], 0.0)
    left: Counter[str] = Counter()
    for group, count in counts.items():
        left[_MODULES.get(group, group)] += count
    for x in matrices(m):
        if x.module == "head" and not m.vocab:
            continue
        for how, layers in storage(m, q, x).items():
            number = layers * x.each
            values, scales, zeros = (how or wide).parts(x.rows, x.columns)
            out[x.module] += number * values
            out["scales"] += number * scales
            out["zero_points"] += number * zeros
            left[x.module] -= number * x.rows * x.columns
    for module, count in left.items():  # biases, norms, convolutions, tables
        out[module] = out.get(module, 0.0) + element * count
    if m.mtp_modules and m.mtp_stored:
        out["mtp"] = _mtp_bytes(m, q)
    return out


def _mtp_bytes(m: Shapes, q: Quantisation) -> float:
    """Modules that predict further tokens: each a last layer, two hidden states to one, norms."""
    total, h, element = 0.0, m.hidden, _element(m)
    wide = Stored("", round(8 * element))
    modules = (
        {"attention", "experts", "shared_experts", "router"}
        if m.moe_layers
        else {"attention", "mlp"}
    )
    seen: set[str] = set()
    for x in matrices(m):
        # a last layer has one kind of attention, and compresses nothing
        name = x.names[0]
        compressed = "compressor" in name or ("indexer" in name and m.selected_layers)
        if x.module not in modules or name in seen or compressed:
            continue
        seen.add(name)
        how = None if x.module == "router" else q.stored(x.names_in(m.layers), m.layers)
        if q.experts_alone and x.module != ("experts" if m.experts else "mlp"):
            how = None
        total += x.each * sum((how or wide).parts(x.rows, x.columns))
    total += element * (2 * h * h + 5 * h)
    if m.mtp_tables:
        total += element * 2 * m.vocab * h
    return m.mtp_modules * total


def stored_as(m: Shapes) -> tuple[str, dict[str, float]]:
    """What a page says of a ``quantization_config``, and bytes by module of what is stored so [B].

    Of one that cannot be read the reason, and no bytes; nothing without one.
    """
    if m.quantisation is None:
        return "", {}
    try:
        types = plan_types(m)
        sizes = module_bytes(m)
    except ValueError as error:
        return str(error), {}
    said = ", ".join(f"{name} {kind}" for name, kind in types.items() if name != "wide")
    return f"{m.quantisation.method}; {said}", sizes


def plan_types(m: Shapes) -> dict[str, object]:
    """Fields of a plan for the types in which a model was released; none where that is in 16 bits.

    Returns
    -------
    dict
        Of `tokenroof.Plan`'s weights, experts, attention, shared_experts, head, wide and kv_cache those
        that differ from what a plan has by itself.
    """
    found = _plan_types(m)
    return {k: dict(v) if isinstance(v, dict) else v for k, v in found.items()}


@lru_cache(maxsize=512)
def _plan_types(m: Shapes) -> dict[str, object]:
    """What `plan_types` says, found once a model: every name of a matrix is matched with every pattern."""
    if m.quantisation is None:
        return {}
    q = _of(m)
    elements: dict[str, Counter[str]] = {}
    for x in matrices(m):
        module = "attention" if x.module == "linear_attention" else x.module
        counted = elements.setdefault(module, Counter())
        for how, layers in storage(m, q, x).items():
            counted[how.type if how else ""] += layers * x.each * x.rows * x.columns
    types = {module: _most(counted) for module, counted in elements.items()}
    shares = {
        module: counted[""] / counted.total() if types[module] != "bf16" else 0.0
        for module, counted in elements.items()
    }
    first = next((k for k in ("mlp", "shared_experts", "attention") if k in types), "")
    weights = types.get(first, "bf16")
    found: dict[str, object] = {"weights": weights}
    if "experts" in types:
        found["experts"] = types["experts"]
    for module in ("attention", "shared_experts"):
        if types.get(module, weights) != weights or module == "attention":
            found[module] = types.get(module, weights)
    if types.get("head", "bf16") != "bf16":
        found["head"] = types["head"]
    wide = {k: shares[k] for k in ("attention", "mlp", "shared_experts") if shares.get(k)}
    if wide:
        found["wide"] = wide
    if q.kv_cache:
        found["kv_cache"] = q.kv_cache
    return found


def _most(counted: Counter[str]) -> str:
    """The type of most of a module's elements beside what was left as it was."""
    narrow = Counter({k: v for k, v in counted.items() if k})
    return narrow.most_common(1)[0][0] if narrow else "bf16"
