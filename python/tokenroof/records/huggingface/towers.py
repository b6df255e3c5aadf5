"""Towers of images and sound in front of a language model, from ``vision_config`` and ``audio_config``.

Rules: the public implementations of the encoders. A tower is counted with its patch embedding, tables, blocks
and norms; what turns its results into tokens (mergers, adapters, projectors) apart. A new one is a function
under `@tower("its model_type")`. Towers of other kinds are left out, as a warning and `Model.explain` say.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tokenroof.records.huggingface.reader import Reader
from tokenroof.records.huggingface.reading import Reading
from tokenroof.records.tower import Tower
from tokenroof.support.arguments import shown
from tokenroof.support.units import caller

__all__ = ["TOWERS", "read_towers", "tower", "warn_of_uncounted"]

#: From the tower's own fields, those of the whole, and the width of the language model.
Rule = Callable[[Reader, Reader, int], dict[str, Any]]
TOWERS: dict[str, Rule] = {}
_MOST_LAYERS = 10_000


def tower(*model_types: str) -> Callable[[Rule], Rule]:
    """Enter a function into the table of towers."""

    def enter(function: Rule) -> Rule:
        for name in model_types:
            if name in TOWERS:
                raise ValueError(f"model_type {shown(name)} has a tower already")
            TOWERS[name] = function
        return function

    return enter


def _linear(rows: int, columns: int, bias: bool = True) -> int:
    return rows * columns + bias * rows


def _block(v: dict[str, Any], *, bias: bool = True, mlp_bias: bool = True, norms: int = 4) -> int:
    """Parameters of a block: attention, MLP, and its norms in widths."""
    h, f = v["hidden"], v["ffn"]
    wide = v["heads"] * v.get("head_dim", h // v["heads"])
    ups = v.get("mlp_matrices", 2) - 1
    attention = 3 * _linear(wide, h, bias) + _linear(h, wide, bias)
    return int(attention + ups * _linear(f, h, mlp_bias) + _linear(h, f, mlp_bias) + norms * h)


def _basics(r: Reader, **default: int) -> dict[str, Any]:
    """Width, depth, heads and MLP, with the defaults of the encoder's public class."""
    return {
        "hidden": r.size("hidden_size", "vt_hidden_size", "embed_dim", default=default["hidden"]),
        "layers": r.size("num_hidden_layers", "depth", "vt_num_hidden_layers",
                         default=default["layers"], high=_MOST_LAYERS),
        "heads": r.size("num_attention_heads", "num_heads", "vt_num_attention_heads",
                        default=default["heads"]),
        "ffn": r.size("intermediate_size", "vt_intermediate_size", default=default["ffn"]),
        "patch": _side(r, "patch_size", default["patch"]),
    }  # fmt: skip


def _side(r: Reader, name: str, default: int) -> int:
    """A side in pixels or patches, of a square that may be given twice."""
    value = r.config.get(name)
    if isinstance(value, list):
        sides = r.numbers(name)
        if len(set(sides)) != 1 or sides[0] < 1:
            raise ValueError(
                f"{r.path}{name} is {shown(value)}; allowed: a positive integer, or it twice"
            )
        return sides[0]
    return r.size(name, default=default)


def _patch_inputs(r: Reader, v: dict[str, Any], frames: int) -> int:
    channels = r.size("in_channels", "in_chans", "num_channels", default=3)
    return int(channels * v["patch"] ** 2 * frames)


def _grid(r: Reader, v: dict[str, Any], default: int) -> int:
    """Patches of the square image that the table of positions is for."""
    return int(max(_side(r, "image_size", default) // v["patch"], 1) ** 2)


@tower("qwen2_vl")
def qwen2_vl(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    h = r.size("embed_dim", default=1280)
    v = {**_basics(r, hidden=h, layers=32, heads=16, ffn=1, patch=14), "hidden": h}
    v["ffn"] = int(h * r.number("mlp_ratio", 4.0))
    merge = r.size("spatial_merge_size", default=2)
    inputs = _patch_inputs(r, v, r.size("temporal_patch_size", default=2))
    wide = h * merge**2
    return {
        **v, "merge": merge, "patch_inputs": inputs, "projector": ((wide, wide), (text, wide)),
        "parameters": inputs * h + v["layers"] * _block(v),
        "projector_parameters": 2 * h + _linear(wide, wide) + _linear(text, wide),
    }  # fmt: skip


@tower("qwen2_5_vl")
def qwen2_5_vl(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    v = {**_basics(r, hidden=1280, layers=32, heads=16, ffn=3420, patch=14), "mlp_matrices": 3}
    h, merge = v["hidden"], r.size("spatial_merge_size", default=2)
    full = set(r.numbers("fullatt_block_indexes") or [7, 15, 23, 31])
    window = r.size("window_size", default=112) // v["patch"]
    inputs = _patch_inputs(r, v, r.size("temporal_patch_size", default=2))
    wide, out = h * merge**2, r.size("out_hidden_size", default=text)
    return {
        **v, "merge": merge, "patch_inputs": inputs, "projector": ((wide, wide), (out, wide)),
        "window_layers": sum(1 for i in range(v["layers"]) if i not in full), "window": window**2,
        "parameters": inputs * h + v["layers"] * _block(v, norms=2),
        "projector_parameters": h + _linear(wide, wide) + _linear(out, wide),
    }  # fmt: skip


@tower("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "qwen3_omni_moe")
def qwen3_vl(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=1152, layers=27, heads=16, ffn=4304, patch=16)
    h, merge = v["hidden"], r.size("spatial_merge_size", default=2)
    inputs = _patch_inputs(r, v, r.size("temporal_patch_size", default=2))
    table = r.size("num_position_embeddings", default=2304)
    wide, out = h * merge**2, r.size("out_hidden_size", default=text)
    stacked = len(
        r.numbers("deepstack_visual_indexes")
    )  # mergers of inner layers, each with its norm
    one = _linear(wide, wide) + _linear(out, wide)
    return {
        **v, "merge": merge, "patch_inputs": inputs,
        "projector": ((wide, wide), (out, wide)) * (1 + stacked),
        "parameters": _linear(h, inputs) + table * h + v["layers"] * _block(v),
        "projector_parameters": one + 2 * h + stacked * (one + 2 * wide),
    }  # fmt: skip


@tower("siglip_vision_model", "siglip")
def siglip(r: Reader, outer: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=1152, layers=27, heads=16, ffn=4304, patch=14)
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    patches = _grid(r, v, 896)
    counted = _linear(h, inputs) + patches * h + v["layers"] * _block(v) + 2 * h
    tokens = outer.size("mm_tokens_per_image", default=0, low=0)
    if tokens:  # Gemma 3: a mean over squares of patches, a norm, one matrix
        merge = max(round((patches / tokens) ** 0.5), 1)
        return {**v, "merge": merge, "patch_inputs": inputs, "projector": ((text, h),),
                "parameters": counted, "projector_parameters": h * text + h}  # fmt: skip
    return {**v, "patch_inputs": inputs, "parameters": counted, **_two(text, h)}


def _two(text: int, inputs: int, bias: bool = True) -> dict[str, Any]:
    """A projector of two matrices, as of LLaVA."""
    return {
        "projector": ((text, inputs), (text, text)),
        "projector_parameters": _linear(text, inputs, bias) + _linear(text, text, bias),
    }


@tower("clip_vision_model")
def clip(r: Reader, outer: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=768, layers=12, heads=12, ffn=3072, patch=32)
    if r.has("img_token_compression_config"):
        return _merged_clip(r, v, outer, text)
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    tables = h + (_grid(r, v, 224) + 1) * h  # of the class, of positions
    return {
        **v, "patch_inputs": inputs, **_two(text, h, outer.flag("multimodal_projector_bias", default=True)),
        "parameters": inputs * h + tables + v["layers"] * _block(v) + 4 * h,
    }  # fmt: skip


def _merged_clip(r: Reader, v: dict[str, Any], outer: Reader, text: int) -> dict[str, Any]:
    """MiniMax-M3's: no tables, no norm at the end, patches merged behind a projector."""
    how = r.part("img_token_compression_config")
    merge, h = how.size("spatial_merge_size", default=2), v["hidden"]
    inputs = _patch_inputs(r, v, how.size("temporal_patch_size", default=2))
    wide = outer.size("projector_hidden_size", default=text)
    each, joined = ((wide, h), (text, wide)), ((wide, text * merge**2), (text, wide))
    return {
        **v, "merge": merge, "patch_inputs": inputs,
        # the projector runs on every patch, the merger on every token
        "projector": each * merge**2 + joined,
        "parameters": inputs * h + v["layers"] * _block(v) + 2 * h,
        "projector_parameters": sum(_linear(*x) for x in (*each, *joined)),
    }  # fmt: skip


@tower("llama4_vision_model", "llama4")
def llama4(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=768, layers=34, heads=16, ffn=5632, patch=14)
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    merge = round(1.0 / r.number("pixel_shuffle_ratio", 0.5))
    first, second = (
        r.size("projector_input_dim", default=4096),
        r.size("projector_output_dim", default=4096),
    )
    third = r.size("vision_output_dim", default=second)
    matrices = ((first, h * merge**2), (second, first), (text, third))
    return {
        **v, "merge": merge, "patch_inputs": inputs, "projector": matrices,
        "parameters": inputs * h + h + (_grid(r, v, 448) + 1) * h + v["layers"] * _block(v) + 4 * h,
        "projector_parameters": sum(rows * columns for rows, columns in matrices),
    }  # fmt: skip


@tower("pixtral")
def pixtral(r: Reader, outer: Reader, text: int) -> dict[str, Any]:
    v = {**_basics(r, hidden=1024, layers=24, heads=16, ffn=4096, patch=16), "mlp_matrices": 3}
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    if r.has("head_dim"):
        v["head_dim"] = r.size("head_dim")
    counted = inputs * h + h + v["layers"] * _block(v, bias=False, mlp_bias=False, norms=2)
    merge = outer.size("spatial_merge_size", default=1)
    bias = outer.flag("multimodal_projector_bias", default=not outer.given("spatial_merge_size"))
    two = _two(text, h, bias)
    if outer.given("spatial_merge_size"):  # a norm and a matrix that merges patches go before
        two["projector"] = ((h, h * merge**2), *two["projector"])
        two["projector_parameters"] += h + h * h * merge**2
    return {**v, "merge": merge, "patch_inputs": inputs, "parameters": counted, **two}


@tower("intern_vit_6b", "internvl_vision", "intern_vit")
def internvit(r: Reader, outer: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=1024, layers=24, heads=16, ffn=4096, patch=14)
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    rms = r.text("norm_type", default="layer_norm") == "rms_norm"
    qkv = r.flag("qkv_bias", "attention_bias", default=True)
    block = _block(v, norms=(2 if rms else 4) + 2)  # and two scales of residuals
    block -= 0 if qkv else 3 * h
    block += 2 * h if r.flag("qk_normalization", "use_qk_norm") else 0
    merge = round(1.0 / outer.number("downsample_ratio", 0.5))
    wide = h * merge**2
    return {
        **v, "merge": merge, "patch_inputs": inputs, "projector": ((text, wide), (text, text)),
        "parameters": _linear(h, inputs) + h + (_grid(r, v, 448) + 1) * h + v["layers"] * block,
        "projector_parameters": 2 * wide + _linear(text, wide) + _linear(text, text),
    }  # fmt: skip


@tower("moonvit", "kimi_k25", "kimi_k3", "kimi_vl")
def moonvit(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    v = _basics(r, hidden=1152, layers=27, heads=16, ffn=4304, patch=14)
    h, inputs = v["hidden"], _patch_inputs(r, v, 1)
    own = r.size("qkv_hidden_size", default=0, low=0)
    if own:  # heads of a width of their own, norms without biases
        v["head_dim"] = own // v["heads"]
    norm = 1 if own else 2
    kernel = r.numbers("merge_kernel_size") or [2, 2]
    merge = kernel[0]
    height = r.size("init_pos_emb_height", default=64)
    table = height * r.size("init_pos_emb_width", default=64)
    wide, out = h * merge**2, r.size("text_hidden_size", default=text)
    block = _block(v, bias=r.flag("attn_bias", default=not own), norms=2 * norm,
                   mlp_bias=r.flag("linear_bias", default=not own))  # fmt: skip
    patches = _linear(h, inputs, r.flag("patch_embed_proj_bias", default=True))
    return {
        **v, "merge": merge, "patch_inputs": inputs, "projector": ((wide, wide), (out, wide)),
        "parameters": patches + table * h + v["layers"] * block + norm * h,
        "projector_parameters": norm * h + _linear(wide, wide) + _linear(out, wide),
    }  # fmt: skip


@tower("glm4v_moe", "glm4v_moe_vision", "glm4v", "glm4v_vision")
def glm4v(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    v = {**_basics(r, hidden=1536, layers=24, heads=12, ffn=13696, patch=14), "mlp_matrices": 3}
    h, wide, out = v["hidden"], v["ffn"], r.size("out_hidden_size", default=text)
    inputs = _patch_inputs(r, v, r.size("temporal_patch_size", default=2))
    merge, v["ffn"] = r.size("spatial_merge_size", default=2), out
    block = _block(v, bias=r.flag("attention_bias"), mlp_bias=False, norms=2)
    counted = _linear(h, inputs) + _grid(r, v, 336) * h + v["layers"] * block + 2 * h
    down = _linear(out, h * merge**2)  # a convolution over the merged patches
    return {
        **v, "merge": merge, "patch_inputs": inputs, "parameters": counted,
        "projector": ((out, h * merge**2), (out, out), (2 * wide, out), (out, wide)),
        "projector_parameters": down + out * out + 2 * out + 3 * out * wide,
    }  # fmt: skip


@tower("qwen2_audio_encoder", "qwen2_5_omni_audio_encoder")
def qwen2_audio(r: Reader, _: Reader, text: int) -> dict[str, Any]:
    h, mel = r.size("d_model", default=1280), r.size("num_mel_bins", default=128)
    v = {
        "hidden": h, "layers": r.size("encoder_layers", "num_hidden_layers", default=32),
        "heads": r.size("encoder_attention_heads", default=20),
        "ffn": r.size("encoder_ffn_dim", default=5120),
    }  # fmt: skip
    block = _block(v) - h  # keys have no bias
    convolutions = _linear(h, 3 * mel) + _linear(h, 3 * h)
    out = r.size("output_dim", default=text)
    return {
        **v, "patch_inputs": 3 * mel, "projector": ((out, h),),
        "parameters": convolutions + v["layers"] * block + 2 * h,
        "projector_parameters": _linear(out, h),
    }  # fmt: skip


# The language model's kind says the tower's where its own fields do not.
_OF_WHOLE = {
    "gemma3": "siglip_vision_model", "mistral3": "pixtral", "internvl_chat": "intern_vit_6b",
    "internvl": "internvl_vision", "qwen2_audio": "qwen2_audio_encoder",
}  # fmt: skip


_HEADS = ("num_attention_heads", "num_heads", "vt_num_attention_heads", "encoder_attention_heads")


def _named(own: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """Which rule of the table reads a tower; empty: none.

    A part that says neither its kind nor its heads is too short to be one.
    """
    described = any(own.get(name) is not None for name in _HEADS)
    for stated in (own.get("model_type"), whole.get("model_type") if described else None):
        if isinstance(stated, str):
            name = stated.lower().replace("-", "_").replace(".", "_")
            name = _OF_WHOLE.get(name, name)
            if name in TOWERS:
                return name
            short = (
                name.removesuffix("_vision").removesuffix("_visual").removesuffix("_vision_encoder")
            )
            if short in TOWERS:
                return short
    return ""


def read_towers(whole: Mapping[str, Any], text: int) -> tuple[tuple[Tower, ...], list[str]]:
    """Towers of a config, and which of its fields they were read from.

    Parameters
    ----------
    whole : mapping
        The config.
    text : int
        Width of the language model.

    Examples
    --------
    >>> found, where = read_towers({"model_type": "gemma3", "mm_tokens_per_image": 256,
    ...                             "vision_config": {"model_type": "siglip_vision_model"}}, 2560)
    >>> found[0].parameters, found[0].projector_parameters, where
    (416866032, 2950272, ['vision_config'])
    """
    thinker = whole.get("thinker_config")
    if isinstance(thinker, Mapping):
        found, where = read_towers(thinker, text)
        return found, [f"thinker_config.{name}" for name in where]
    towers, fields = [], []
    for name in ("vision", "audio"):
        own = whole.get(f"{name}_config")
        if not isinstance(own, Mapping) or not own:
            continue
        rule = TOWERS.get(_named(own, whole))
        if rule is None or (name == "audio") != ("audio" in _named(own, whole)):
            continue
        reader = Reader(own, reading=Reading(), path=f"{name}_config.")
        values = rule(reader, Reader(whole, reading=Reading()), text)
        towers.append(Tower(name=name, **values))
        fields.append(f"{name}_config")
    return tuple(towers), fields


def warn_of_uncounted(whole: Mapping[str, Any], known: Collection[str]) -> None:
    """Warn of a tower that no rule reads, in front of a text model too: its parameters are in no count.

    Parameters
    ----------
    whole : mapping
        The config.
    known : collection of str
        Fields that are read, or that the caller passes over.

    Warns
    -----
    UserWarning
        With the field, its kind, and how to pass it over.
    """
    thinker = whole.get("thinker_config")
    for path, part in (("", whole), ("thinker_config.", thinker)):
        for name in ("vision_config", "audio_config"):
            own = part.get(name) if isinstance(part, Mapping) else None
            if not isinstance(own, Mapping) or not own or {name, path + name} & {*known}:
                continue
            kind = own.get("model_type")
            said = f"of model_type {shown(kind)} " if isinstance(kind, str) else ""
            warnings.warn(
                f"{path}{name} is a tower {said}that no rule reads: what it holds is not counted; pass it "
                f"over by from_config(..., ignore=['{name}'])",
                stacklevel=caller(),
            )
