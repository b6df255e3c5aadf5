"""Hugging Face ``config.json`` files to shapes.

Finds the text model's part, its family (`families`), and reads it through checks (`reader`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenroof.records.huggingface.families import FAMILIES
from tokenroof.records.huggingface.quantised import quantisation, stored_type
from tokenroof.records.huggingface.reader import Reader, Values, short

_LARGEST_FILE = 16 * 2**20
_NESTED = ("text_config", "llm_config", "language_config")
# whose modules for further tokens store tables of their own, although these are the model's
_MTP_TABLES = ("deepseek_v3", "kimi_k2", "glm4_moe", "glm_moe_dsa")
# whose checkpoints lack these modules, although their configs count them
_MTP_APART = ("minimax_m2",)


def _family(r: Reader, outer: Reader) -> tuple[str, Callable[[Reader], Values]]:
    stated = r.text("model_type") or outer.text("model_type")
    if not stated:
        raise ValueError(f"model_type is missing; allowed: {', '.join(sorted(FAMILIES))}")
    kind = stated.lower().replace("-", "_").replace(".", "_").removesuffix("_text")
    if kind not in FAMILIES:
        from tokenroof.support.names import near_matches

        near = near_matches(kind, sorted(FAMILIES))
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"model_type is {short(stated)}; allowed: {', '.join(sorted(FAMILIES))}{hint}"
        )
    return stated, FAMILIES[kind]


def _load(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    if len(raw) > _LARGEST_FILE:
        raise ValueError(f"{file.name} is larger than 16 MiB; allowed: a config.json")
    try:
        config = json.loads(raw)
    except RecursionError:
        raise ValueError(f"{file.name} is nested too deeply; allowed: a config.json") from None
    except ValueError as error:  # truncated, or not UTF-8, or an integer of thousands of digits
        raise ValueError(f"{file.name} is not JSON ({error}); allowed: a config.json") from None
    return with_side_file(config, file)


def with_side_file(config: Any, file: Path) -> Mapping[str, Any]:
    """With what ``hf_quant_config.json`` beside the file says, where the config itself says nothing."""
    side = file.with_name("hf_quant_config.json")
    if not isinstance(config, dict) or config.get("quantization_config") or not side.is_file():
        return config  # type: ignore[no-any-return]
    return {**config, "quantization_config": {"quant_method": "modelopt", **_object(side)}}


def _object(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_bytes()[:_LARGEST_FILE])
    if not isinstance(found, dict):
        raise TypeError(f"{file.name} is {short(found)}; allowed: an object")
    return found


def read_config(config: str | os.PathLike[str] | Mapping[str, Any]) -> Values:
    """Arguments of `Model` from a config; see `Model.from_config`."""
    if isinstance(config, (str, os.PathLike)):
        config = _load(config)
    if not isinstance(config, Mapping):
        raise TypeError(f"config is {short(config)}; allowed: a path or an object of fields")
    outer = inner = Reader(config)
    for name in _NESTED:
        if config.get(name) is not None:
            inner = outer.part(name)
            # what belongs to the whole stands outside
            shared = {"tie_word_embeddings", "quantization_config", "torch_dtype", "dtype"}
            lifted = {key: config[key] for key in shared if key in config}
            inner = Reader({**lifted, **inner.config})
            break
    model_type, family = _family(inner, outer)
    values = family(inner)
    values["model_type"] = model_type
    values["name"] = outer.text("_name_or_path", "name") or model_type
    values["context_max"] = inner.size(
        "max_position_embeddings", "n_positions", "max_seq_len", "sequence_len", default=0, low=0
    )
    values["native_dtype"] = _native_dtype(inner)
    quantised = inner.config.get("quantization_config")
    if quantised is not None:
        values["quantisation"] = quantisation(inner.part("quantization_config").config)
    values["mtp_tables"] = model_type.startswith(_MTP_TABLES)
    values["mtp_stored"] = not model_type.startswith(_MTP_APART)
    values["mtp_modules"] = inner.size(
        "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", default=0, low=0
    )
    if not inner.flag("use_mtp", default=True):
        values["mtp_modules"] = 0
    return values


def _native_dtype(r: Reader) -> str:
    quantised = r.config.get("quantization_config")
    if isinstance(quantised, Mapping):
        stored = stored_type(quantised)
        if stored:
            return stored
    return r.text("dtype", "torch_dtype")
