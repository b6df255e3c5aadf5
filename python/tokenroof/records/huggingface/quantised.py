"""``quantization_config`` and ``hf_quant_config.json``: how a checkpoint says that its matrices are stored.

Each method has a reader from its fields to rules (`tokenroof.records.quantisation`). What cannot be read is
kept with its reason, so that shapes are read all the same, and whoever asks for types is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tokenroof.records.huggingface.reader import Reader, short
from tokenroof.records.quantisation import Quantisation, Rule, Stored
from tokenroof.support.arguments import shown
from tokenroof.support.names import near_matches

__all__ = ["METHODS", "by_type", "quantisation", "stored_type", "with_experts"]

_BITS = (4, 8)
_ALGORITHMS = {
    "NVFP4": Stored("nvfp4", 4, 1, 16, 1.0), "W4A16_NVFP4": Stored("nvfp4_bf16", 4, 1, 16, 1.0),
    "NVFP4_AWQ": Stored("nvfp4", 4, 1, 16, 1.0), "FP8": Stored("fp8", 8, 0, 0, 4.0),
    "FP8_PER_CHANNEL_PER_TOKEN": Stored("fp8", 8, 1, 0, 4.0),
    "FP8_PB_WO": Stored("fp8_block", 8, 128, 128, 4.0), "MXFP4": Stored("mxfp4", 4, 1, 32, 1.0),
    "MXFP8": Stored("mxfp8", 8, 1, 32, 1.0), "W4A16_AWQ": Stored("int4", 4, 1, 128, 2.0),
    "INT4_AWQ": Stored("int4", 4, 1, 128, 2.0), "W8A16": Stored("int8_bf16", 8, 1, 0, 2.0),
    "W8A8_SQ_PER_CHANNEL": Stored("int8", 8, 1, 0, 4.0),
}  # fmt: skip
_CACHES = {"FP8": "fp8", "NVFP4": "nvfp4", "INT8": "int8"}


def _integer(bits: int, group: int, zeros: bool, order: float = 0.0) -> Stored:
    """Integers whose activations stay in 16 bits, with a 16-bit scale per group of a row."""
    columns = max(group, 0)  # -1: the whole row
    name = "int8_bf16"
    if bits == 4:
        name = "int4_32" if 0 < group <= 32 else "int4_64" if 0 < group <= 64 else "int4"
    return Stored(name, bits, 1, columns, 2.0, bits if zeros else 0, order)


def _strings(r: Reader, *names: str) -> tuple[str, ...]:
    """Patterns of names, each a valid one."""
    found: list[str] = []
    for name in names:
        value = r.config.get(name)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            raise TypeError(f"{name} is {short(value)}; allowed: a list of names of modules")
        found += value
    for pattern in found:
        _expression(pattern, names[0])
    return tuple(x for x in found if x.strip("."))


def _expression(pattern: str, field: str) -> None:
    if pattern.startswith("re:"):
        try:
            re.compile(pattern[3:])
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(
                f"{field} has {short(pattern)}; allowed: a regular expression behind re: ({error})"
            ) from None


def _bits(r: Reader, *names: str, default: int | None = None) -> int:
    bits = r.size(*names, default=default, low=0)
    if bits not in _BITS:
        raise ValueError(f"{names[0]} is {bits}; allowed: 4, 8")
    return bits


def _group(r: Reader, default: int) -> int:
    group = r.size("group_size", "q_group_size", default=default, low=-1)
    if group == 0:
        raise ValueError("group_size is 0; allowed: a positive integer, or -1 for whole rows")
    return group


def _fp8(r: Reader) -> Quantisation:
    fmt = r.text("fmt", default="e4m3").lower()
    if "e4m3" not in fmt and "e5m2" not in fmt:
        raise ValueError(f"fmt is {shown(fmt)}; allowed: e4m3, e5m2")
    scheme = r.text("activation_scheme", default="dynamic")
    if scheme not in ("dynamic", "static"):
        raise ValueError(f"activation_scheme is {shown(scheme)}; allowed: dynamic, static")
    if r.has("bits") and r.size("bits", low=0) != 8:
        raise ValueError(f"bits is {shown(r.config['bits'])}; allowed: 8 with quant_method fp8")
    block = r.numbers("weight_block_size")
    how = Stored("fp8", 8, 0, 0, 4.0)
    if block:
        if len(block) != 2 or min(block) < 1:
            raise ValueError(f"weight_block_size is {short(block)}; allowed: two positive integers")
        powers = r.text("scale_fmt", "scale_dtype").lower() in ("ue8m0", "e8m0")
        how = Stored("fp8_block", 8, block[0], block[1], 1.0 if powers else 4.0)
        if block == [1, 32]:
            how = Stored("mxfp8", 8, 1, 32, 1.0)
    left = _strings(r, "modules_to_not_convert", "ignored_layers")
    return Quantisation("fp8", ((left, None), ((), how)) if left else (((), how),))


def _fbgemm(r: Reader) -> Quantisation:
    left = _strings(r, "modules_to_not_convert")
    rules: list[Rule] = [(left, None)] if left else []
    return Quantisation("fbgemm_fp8", (*rules, ((), Stored("fp8", 8, 1, 0, 4.0))))


def _mxfp4(r: Reader) -> Quantisation:
    left = _strings(r, "modules_to_not_convert")
    rules: list[Rule] = [(left, None)] if left else []
    # its kernels are those of experts: everything else stays as it was
    how = Stored("mxfp4", 4, 1, 32, 1.0)
    return Quantisation("mxfp4", (*rules, ((), how)), experts_alone=True)


def _awq(r: Reader) -> Quantisation:
    bits = _bits(r, "bits", "w_bit", default=4)
    left = _strings(r, "modules_to_not_convert")
    how = _integer(bits, _group(r, -1), r.flag("zero_point", default=True))
    return Quantisation("awq", ((left, None), ((), how)) if left else (((), how),))


def _gptq(r: Reader) -> Quantisation:
    bits, group = _bits(r, "bits"), _group(r, -1)
    rules: list[Rule] = []
    left = _strings(r, "modules_to_not_convert")
    if left:
        rules.append((left, None))
    dynamic = r.config.get("dynamic")
    if dynamic is not None:
        if not isinstance(dynamic, Mapping):
            raise TypeError(f"dynamic is {short(dynamic)}; allowed: an object of patterns")
        for pattern, change in dynamic.items():
            expression = (
                f"re:{str(pattern)[2:]}" if str(pattern)[:2] in ("-:", "+:") else f"re:{pattern}"
            )
            _expression(expression, "dynamic")
            if str(pattern).startswith("-:"):
                rules.append(((expression,), None))
                continue
            own = Reader(change if isinstance(change, Mapping) else {})
            changed = _integer(_bits(own, "bits", default=bits), _group(own, group), True, 4.0)
            rules.append(((expression,), changed))
    rules.append(
        ((), _integer(bits, group, True, 4.0))
    )  # packed zeros stand in symmetric ones, too
    return Quantisation("gptq", tuple(rules), head=r.flag("lm_head"))


def _numbers(
    weights: Reader, acts: int | None, where: str, form: str = "", scale: float = 2.0
) -> Stored:
    """One group's numbers: bits, kind (else by the format), and what shares a scale; `acts`: bits of
    activations, None where nothing is said; `scale`: bytes of a scale of eight bits."""
    bits = _bits(weights, "num_bits")
    kind = weights.text("type", default="float" if "fp4" in form or "float" in form else "int")
    if kind not in ("int", "float"):
        raise ValueError(f"{where}.type is {shown(kind)}; allowed: int, float")
    group = weights.size("group_size", default=0, low=-1)
    named = weights.text("strategy")
    strategy = named or ("group" if group > 0 else "tensor")
    if strategy not in ("tensor", "channel", "group", "tensor_group", "block"):
        raise ValueError(
            f"{where}.strategy is {shown(strategy)}; allowed: tensor, channel, group, tensor_group, block"
        )
    if strategy in ("group", "tensor_group") and group <= 0:
        raise ValueError(
            f"{where}.group_size is {group}; allowed: a positive integer for {strategy}"
        )
    if strategy in ("tensor", "channel") and group > 0:
        raise ValueError(
            f"{where}.group_size is {group} beside strategy {shown(strategy)}; allowed: none, or "
            "strategy group"
        )
    narrow = kind == "float" if acts is None else acts < 16
    zeros = not weights.flag("symmetric", default=True)
    if strategy == "block":
        block = weights.numbers("block_structure") or [128, 128]
        if len(block) != 2 or min(block) < 1 or (kind, bits) != ("float", 8):
            raise ValueError(f"{where}.block_structure is {short(block)}; allowed: two positive integers "
                             "of 8-bit floats")  # fmt: skip
        return Stored("fp8_block", 8, block[0], block[1], scale)
    columns = group if group > 0 else 0
    rows = 0 if strategy == "tensor" else 1
    if kind == "float" and bits == 8:
        if columns == 32:
            return Stored("mxfp8", 8, 1, 32, 1.0)
        return Stored("fp8" if narrow else "fp8_bf16", 8, rows, columns, scale)
    if kind == "float":
        if columns not in (16, 32):
            raise ValueError(f"{where}.group_size is {group}; allowed: 16 or 32 of 4-bit floats")
        name = "mxfp4" if columns == 32 else "nvfp4" if narrow else "nvfp4_bf16"
        return Stored(name, 4, 1, columns, 1.0)
    if narrow and bits == 4:
        raise ValueError(f"{where}.num_bits is 4 beside input_activations of 8 bits; allowed: 4-bit "
                         "integers whose activations stay in 16")  # fmt: skip
    how = _integer(bits, columns or -1, zeros)
    return Stored("int8", 8, 1, columns, scale, 8 if zeros else 0) if narrow else how


def _groups(r: Reader, scale: float) -> list[Rule]:
    """Rules of ``config_groups``: whose targets are classes of layers, or names; `scale` as of `_numbers`."""
    rules: list[Rule] = []
    outer = r.text("format")
    for name in r.part("config_groups").config:
        group = r.part("config_groups").part(name)
        where = f"config_groups.{name}.weights"
        if group.config.get("weights") is None:
            continue  # of activations alone
        acts = None
        if "input_activations" in group.config:
            given = group.has("input_activations")
            acts = group.part("input_activations").size("num_bits", default=8) if given else 16
        how = _numbers(group.part("weights"), acts, where, group.text("format") or outer, scale)
        targets = _strings(group, "targets")
        if not targets or "Linear" in targets:
            rules.append(((), how))
        else:
            rules.append((tuple(t for t in targets if t != "Linear"), how))
    return sorted(rules, key=lambda rule: not rule[0])  # names before classes


def _cache(r: Reader) -> str:
    algorithm = r.text("kv_cache_quant_algo")
    if algorithm:
        if algorithm.upper() not in _CACHES:
            raise ValueError(
                f"kv_cache_quant_algo is {shown(algorithm)}; allowed: {', '.join(_CACHES)}"
            )
        return _CACHES[algorithm.upper()]
    if not r.has("kv_cache_scheme"):
        return ""
    scheme = r.part("kv_cache_scheme")
    kinds = {("float", 8): "fp8", ("int", 8): "int8", ("float", 4): "nvfp4"}
    key = scheme.text("type", default="float"), scheme.size("num_bits", default=8)
    if key not in kinds:
        raise ValueError(f"kv_cache_scheme is {key[0]} of {key[1]} bits; allowed: 8-bit numbers")
    return kinds[key]


def _compressed(r: Reader) -> Quantisation:
    left = _strings(r, "ignore")
    rules: list[Rule] = [(left, None)] if left else []
    short_form = not r.has("config_groups")
    if short_form:  # a file that was cut down to its numbers: of mixtures these are the experts'
        rules.append(((), _numbers(r.part("weights"), None, "weights", r.text("format"))))
    else:
        # scales have the type of the weights that were quantised (initialize.py, scale_dtype)
        rules += _groups(r, 2.0)
    return Quantisation("compressed-tensors", tuple(rules), _cache(r), head=not short_form,
                        experts_alone=short_form)  # fmt: skip


def _algorithm(r: Reader, field: str = "quant_algo") -> Stored:
    name = r.text(field)
    if name.upper() not in _ALGORITHMS:
        raise ValueError(
            f"{field} is {shown(name)}; allowed: {', '.join(_ALGORITHMS)}, MIXED_PRECISION"
        )
    how = _ALGORITHMS[name.upper()]
    group = (
        r.size("group_size", default=how.columns, low=-1) if how.columns and how.rows == 1 else 0
    )
    if group and how.bits == 4 and how.type.startswith("int4"):
        return _integer(4, group, zeros=False)
    if group and group != how.columns:
        raise ValueError(f"group_size is {group}; allowed: {how.columns} with {field} {name}")
    return how


def _modelopt(r: Reader) -> Quantisation:
    if r.has("quantization"):
        r = r.part("quantization")
    left = _strings(r, "exclude_modules", "ignore")
    rules: list[Rule] = [(left, None)] if left else []
    algorithm = r.text("quant_algo")
    if algorithm.upper() == "MIXED_PRECISION":
        layers = r.part("quantized_layers")
        by: dict[Stored, list[str]] = {}
        for name in layers.config:
            by.setdefault(_algorithm(layers.part(name)), []).append(str(name))
        rules = [*((tuple(names), how) for how, names in by.items())]
    elif algorithm:
        rules.append(((), _algorithm(r)))
    else:
        rules += _groups(r, 4.0)
    return Quantisation("modelopt", tuple(rules), _cache(r))


#: Methods that are read.
METHODS: dict[str, Callable[[Reader], Quantisation]] = {
    "fp8": _fp8, "fbgemm_fp8": _fbgemm, "compressed-tensors": _compressed, "awq": _awq, "gptq": _gptq,
    "modelopt": _modelopt,
    "mxfp4": _mxfp4,
}  # fmt: skip
# Names of engines for the same files.
_ALIASES = {
    "awq_marlin": "awq", "gptq_marlin": "gptq", "auto-round": "gptq", "auto_round": "gptq",
    "modelopt_fp4": "modelopt", "modelopt_mxfp8": "modelopt", "modelopt_mixed": "modelopt",
    "compressed_tensors": "compressed-tensors", "gpt_oss_mxfp4": "mxfp4", "mxfp8": "fp8",
}  # fmt: skip


#: Methods that there are and that are not read: a model is counted, its checkpoint is not.
_UNREAD = (
    "bitsandbytes", "bitsandbytes_4bit", "bitsandbytes_8bit", "aqlm", "hqq", "eetq", "quanto",
    "quark", "torchao", "higgs", "vptq", "spqr", "fp_quant", "bitnet", "sinq", "gguf", "exl2",
    "exl3", "marlin", "qqq", "deepspeedfp", "experts_int8", "ipex", "inc", "tpu_int8",
    "finegrained_fp8", "ptpc_fp8", "petit_nvfp4", "rtn", "w8a8_fp8", "w8a8_int8", "four_over_six",
    "metal", "autoround",
)  # fmt: skip


def quantisation(config: Mapping[str, Any]) -> Quantisation:
    """How a checkpoint's matrices are stored, or why that cannot be read.

    Examples
    --------
    >>> quantisation({"quant_method": "awq", "bits": 4, "group_size": 128}).rules[0][1].type
    'int4'
    >>> quantisation({"quant_method": "bitsandbytes"}).refusal[:31]
    "quant_method is 'bitsandbytes';"
    """
    method = config.get("quant_method")
    if method is None and ("quantization" in config or "quant_algo" in config):
        method = "modelopt"
    named = method.lower() if isinstance(method, str) else ""
    named = _ALIASES.get(named, named)
    if named and named not in METHODS and named not in _UNREAD:
        near = near_matches(named, (*METHODS, *_ALIASES, *_UNREAD))
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"quant_method is {short(method)}; allowed: {', '.join(METHODS)}, and of what is not read "
            f"{', '.join(_UNREAD)}{hint}"
        )
    if named not in METHODS:
        kept = short(method) if method is not None else "missing"
        return Quantisation(
            method if isinstance(method, str) else "",
            refusal=f"quant_method is {kept}; allowed: {', '.join(METHODS)}",
        )
    try:
        return METHODS[named](Reader(config))
    except (ValueError, TypeError) as error:
        return Quantisation(named, refusal=f"quantization_config ({method}): {error}")


_OF_EXPERTS = {"fp4": "MXFP4", "mxfp4": "MXFP4", "nvfp4": "NVFP4", "mxfp8": "MXFP8"}


def with_experts(q: Quantisation, dtype: str) -> Quantisation:
    """With routed experts of a type that stands beside the ``quantization_config``, as ``expert_dtype``.

    Examples
    --------
    >>> q = with_experts(quantisation({"quant_method": "fp8"}), "fp4")
    >>> q.stored(["mlp.experts.0.up_proj"], 0).type, q.stored(["mlp.shared_experts.up_proj"], 0).type
    ('mxfp4', 'fp8')
    """
    if q.refusal or dtype.lower() not in _OF_EXPERTS:
        return q
    how = _ALGORITHMS[_OF_EXPERTS[dtype.lower()]]
    return replace(q, rules=((("experts",), how), *q.rules))


def by_type(dtype: str) -> Quantisation | None:
    """What a ``torch_dtype`` of eight bits says without a ``quantization_config``; None of wider ones.

    Examples
    --------
    >>> by_type("float8_e4m3fn").stored(["mlp.up_proj"], 0).type, by_type("bfloat16")
    ('fp8', None)
    """
    name = dtype.removeprefix("torch.")
    kind = {"fp8": "fp8", "flo": "fp8", "int": "int8", "uin": "int8"}.get(name[:3], "")
    if not kind or "8" not in name:
        return None
    return Quantisation("torch_dtype", (((), Stored(kind, 8)),))


def stored_type(quantised: Mapping[str, Any]) -> str:
    """The type of the weights, as `Model.native_dtype` says it; the method's name where it is no type.

    Examples
    --------
    >>> stored_type({"quant_method": "fp8", "weight_block_size": [128, 128]})
    'fp8_block'
    >>> stored_type({"quant_method": "mxfp4"}), stored_type({"quant_method": "awq", "bits": 4})
    ('mxfp4 experts, bf16 rest', 'int4')
    """
    read = quantisation(quantised)
    types = [how.type for _, how in read.rules if how is not None]
    if not types:
        return read.method
    left = [p for patterns, how in read.rules if how is None for p in patterns]
    if read.experts_alone or any("attn" in p for p in left):
        return f"{types[-1]} experts, bf16 rest"
    return types[-1]
