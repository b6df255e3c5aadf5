"""Hugging Face ``config.json`` files to shapes.

Finds the text model's part, its family (`families`), and reads it through checks (`reader`). What no rule
reads must be in the list of harmless fields (`harmless`); any other field is refused by name.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenroof.records.huggingface.context import longest_context
from tokenroof.records.huggingface.contradictions import (
    refuse_other_class,
    refuse_unknown_activation,
)
from tokenroof.records.huggingface.families import FAMILIES
from tokenroof.records.huggingface.families.table import defaults_of
from tokenroof.records.huggingface.heads import output
from tokenroof.records.huggingface.nearest import unknown_family
from tokenroof.records.huggingface.quantised import by_type, quantisation, stored_type, with_experts
from tokenroof.records.huggingface.reader import Reader, Values, short
from tokenroof.records.huggingface.reading import Reading
from tokenroof.records.huggingface.towers import read_towers, warn_of_uncounted
from tokenroof.support.arguments import shown
from tokenroof.support.json import read_json
from tokenroof.support.names import near_matches

_LARGEST_FILE = 16 * 2**20
_NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
# what belongs to the whole stands outside
_SHARED = ("tie_word_embeddings", "quantization_config", "torch_dtype", "dtype", "architectures")
_MOST_NESTED = 4
#: What PyTorch calls types of weights, and what configs say in their place.
_DTYPES = (
    "bfloat16", "float16", "float32", "float64", "half", "float", "double", "auto", "float8_e4m3fn",
    "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2",
    "int8", "uint8", "bf16", "fp16", "fp32", "fp8",
)  # fmt: skip
# whose modules for further tokens store tables of their own, although these are the model's
_MTP_TABLES = ("deepseek_v3", "kimi_k2", "glm4_moe", "glm_moe_dsa")
# whose checkpoints lack these modules, although their configs count them
_MTP_APART = ("minimax_m",)


def _load(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    file = Path(path)
    if file.is_dir():
        file = file / "config.json"
    config = _json(file)
    return with_side_file(config, file)


def name_of(path: str | os.PathLike[str]) -> str:
    """What a model is called by where its config lies: the file's stem, of a ``config.json`` its folder.

    Examples
    --------
    >>> name_of("mine/wide.json"), name_of("mine/wide/config.json")
    ('wide', 'wide')
    >>> name_of("hub/models--openai--gpt-oss-20b/snapshots/6cee5e8/config.json")
    'gpt-oss-20b'
    """
    file = Path(path)
    if file.stem != "config" and not file.is_dir():
        return file.stem
    # not resolved: in the Hub's cache the file is a link to one of another folder and name
    whole = Path(os.path.abspath(file))
    folder = whole if file.is_dir() else whole.parent
    if folder.parent.name == "snapshots":  # as the Hub's cache lays them out
        return folder.parent.parent.name.rpartition("--")[2]
    return folder.name


def with_side_file(config: Any, file: Path) -> Mapping[str, Any]:
    """With what ``hf_quant_config.json`` beside the file says, where the config itself says nothing."""
    side = file.with_name("hf_quant_config.json")
    if not isinstance(config, dict) or config.get("quantization_config") or not side.is_file():
        return config  # type: ignore[no-any-return]
    return {**config, "quantization_config": {"quant_method": "modelopt", **_object(side)}}


def _json(file: Path) -> Any:
    with file.open("rb") as stream:
        raw = stream.read(_LARGEST_FILE + 1)
    if len(raw) > _LARGEST_FILE:
        raise ValueError(f"{file.name} is larger than 16 MiB; allowed: JSON of a checkpoint")
    try:
        return read_json(raw)
    except RecursionError:
        raise ValueError(
            f"{file.name} is nested too deeply; allowed: JSON of a checkpoint"
        ) from None
    except ValueError as error:  # truncated, or not UTF-8, or an integer of thousands of digits
        raise ValueError(
            f"{file.name} is not JSON ({error}); allowed: JSON of a checkpoint"
        ) from None


def _object(file: Path) -> dict[str, Any]:
    found = _json(file)
    if not isinstance(found, dict):
        raise TypeError(f"{file.name} is {short(found)}; allowed: an object")
    return found


def _family_name(stated: str) -> str:
    return stated.lower().replace("-", "_").replace(".", "_").removesuffix("_text")


def _text_part(config: Mapping[str, Any], reading: Reading) -> tuple[Mapping[str, Any], str, str]:
    """Fields of the text model, where they stand, and the ``model_type`` that says how to read them."""
    stated: list[str] = []
    path = ""
    for _ in range(_MOST_NESTED):
        reading.parts.append((path, config))
        kind = Reader(config, reading=Reading(), path=path).text("model_type")
        if kind:
            reading.read[f"{path}model_type"] = kind
            stated.append(kind)
        name = next((n for n in _NESTED if config.get(n) is not None), None)
        if name is None:
            break
        inner = Reader(config, reading=reading, path=path).part(name)
        lifted = {key: config[key] for key in _SHARED if key in config}
        reading.read.update({f"{path}{key}": value for key, value in lifted.items()})
        config, path = {**lifted, **inner.config}, inner.path
    if not stated:
        raise ValueError(f"model_type is missing; allowed: {', '.join(sorted(FAMILIES))}")
    known = [kind for kind in stated if _family_name(kind) in FAMILIES]
    # the text's own part says best what it is, where its kind is known
    return config, path, (known or stated)[-1]


def read_config(
    config: str | os.PathLike[str] | Mapping[str, Any], ignore: Collection[str] = ()
) -> Values:
    """Arguments of `Model` from a config; see `Model.from_config`."""
    file = ""
    if isinstance(config, (str, os.PathLike)):
        file, config = name_of(config), _load(config)
    if not isinstance(config, Mapping):
        raise TypeError(f"config is {short(config)}; allowed: a path or an object of fields")
    if isinstance(ignore, str) or not all(isinstance(name, str) for name in ignore):
        raise TypeError(f"ignore is {short(ignore)}; allowed: a list of names of fields")
    reading = Reading()
    fields, path, model_type = _text_part(config, reading)
    kind = _family_name(model_type)
    if kind not in FAMILIES:
        raise unknown_family(model_type, fields)
    inner = Reader(fields, defaults_of(kind), reading, path)
    values = read_fields(inner, kind)
    values["model_type"] = model_type
    values["name"] = (
        Reader(config, reading=Reading()).text("_name_or_path", "name") or file or model_type
    )
    values["native_dtype"] = _native_dtype(inner)
    quantised = inner.raw("quantization_config")
    if quantised is not None:
        if not isinstance(quantised, Mapping):
            raise TypeError(f"quantization_config is {short(quantised)}; allowed: an object")
        values["quantisation"] = with_experts(quantisation(quantised), inner.text("expert_dtype"))
    elif narrow := by_type(values["native_dtype"]):
        values["quantisation"] = narrow
    values["mtp_tables"] = model_type.startswith(_MTP_TABLES)
    values["mtp_stored"] = not model_type.startswith(_MTP_APART)
    values["mtp_modules"] = inner.size(
        "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules", default=0, low=0
    )
    if not inner.flag("use_mtp", default=True):
        values["mtp_modules"] = 0
    values["towers"], named = read_towers(config, values["hidden"])
    reading.read.update({name: "a tower" for name in named})
    warn_of_uncounted(config, {*named, *ignore})
    if "architectures" not in ignore:
        stated = {_family_name(v) for k, v in reading.read.items() if k.endswith("model_type")}
        refuse_other_class(inner.raw("architectures"), stated, inner, values)
    refuse_unknown_activation({k: v for k, v in fields.items() if k not in ignore}, path)
    _close(reading, model_type, tuple(ignore))
    values["reading"] = reading
    return values


def read_fields(r: Reader, kind: str) -> Values:
    """Shapes, output and context of a text model's fields, by the rules of a family that is known."""
    values = FAMILIES[kind](r)
    widths = (*_WIDTHS, *getattr(FAMILIES[kind], "renamed", ()))
    if all(r.reading.read.get(r.path + name) is None for name in widths):
        # a file without a width describes no model
        raise ValueError(f"{r.path}hidden_size is missing; allowed: a whole number >= 1")
    values.update(output(r))
    values["context_max"] = longest_context(r)
    return values


_WIDTHS = ("hidden_size", "n_embd", "n_embed", "d_model", "emb_size", "hidden_dim", "dim")


def _close(reading: Reading, model_type: str, ignore: tuple[str, ...]) -> None:
    left = reading.close(ignore)
    if not left:
        return
    value = short(reading.unknown[left[0]])
    many = f" and {len(left) - 1} more ({short(left[1:])})" if len(left) > 1 else ""
    raise ValueError(
        f"{left[0]} is {value}{many}: no rule for {shown(model_type)} reads it and "
        "it is not known to be harmless; allowed: fields of that architecture's public class, or "
        f"from_config(..., ignore={short(left)}) where it changes neither shapes nor counts"
    )


def _native_dtype(r: Reader) -> str:
    quantised = r.config.get("quantization_config")
    if isinstance(quantised, Mapping):
        stored = stored_type(quantised)
        if stored:
            return stored
    stated = r.text("dtype", "torch_dtype")
    if stated and stated.removeprefix("torch.") not in _DTYPES:
        near = near_matches(stated, _DTYPES)
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"{r.path}torch_dtype is {short(stated)}; allowed: {', '.join(_DTYPES)}{hint}"
        )
    return stated
