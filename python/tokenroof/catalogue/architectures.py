"""The models of the catalogue: their published shapes, read on first use."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Any

from tokenroof.catalogue.files import table
from tokenroof.catalogue.own import is_file, read, unknown_record
from tokenroof.records.model import Model
from tokenroof.support.arguments import shown
from tokenroof.support.names import normalise

# What variants of one architecture add to its name, from the end.
_VARIANT = re.compile(
    r"[-_. ](?:instruct|chat|base|it|pt|hf|thinking|nothink|exp|terminus|preview|original|eagle3?|"
    r"kv|dynamic|quantized|fp8|fp4|fp16|bf16|nvfp4|mxfp4|mxfp8|int4|int8|w4a16|w8a8|w4a8|awq|gptq|"
    r"gguf|autoround|block|v\d+(?:\.\d+)?|\d{4}|\d{2}-\d{4})$",
    re.IGNORECASE,
)
# Sizes that are part of a name for readers only ("Llama-4-Scout-17B-16E").
_SIZES = re.compile(r"[-_. ]e?\d+(?:\.\d+)?[bm](?:[-_. ](?:a\d+(?:\.\d+)?b|\d+e))?$", re.IGNORECASE)


def _candidates(name: str) -> tuple[list[str], list[str]]:
    """The name as it stands, without organisation, with fewer and fewer suffixes; then without its size."""
    out = [name]
    rest = name.rsplit("/", 1)[-1]
    out.append(rest)
    while (shorter := _VARIANT.sub("", rest)) != rest:
        rest = shorter
        out.append(rest)
    for prefix in ("meta-", "nvidia-", "meta_"):
        if rest.lower().startswith(prefix):
            rest = rest[len(prefix) :]
            out.append(rest)
    shorter = _SIZES.sub("", rest)
    return out, [shorter] if shorter != rest else []


@cache
def _index() -> tuple[dict[str, str], dict[str, str]]:
    """Normalised name, alias or id, the same without suffixes, to the model's name; then without sizes."""
    exact: dict[str, str] = {}
    loose: dict[str, set[str]] = {}
    sizeless: dict[str, set[str]] = {}
    for row in table("models")["model"]:
        for name in (row["name"], row["hf_id"], *row.get("aliases", ())):
            if not name:
                continue
            forms, short = _candidates(name)
            exact.setdefault(normalise(name), row["name"])
            exact.setdefault(normalise(forms[1]), row["name"])
            for form in forms:
                loose.setdefault(normalise(form), set()).add(row["name"])
            for form in (*forms, *short):
                sizeless.setdefault(normalise(form), set()).add(row["name"])
    return _single(loose, exact), _single(sizeless, exact)


def _single(meant: dict[str, set[str]], exact: dict[str, str]) -> dict[str, str]:
    """A shortened name counts only where it can mean one model."""
    return {key: next(iter(names)) for key, names in meant.items() if len(names) == 1} | exact


@cache
def _rows() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in table("models")["model"]}


@cache
def _build(name: str, revision: str | None = None) -> Model:
    row = _rows()[name]
    if "config" not in row:
        raise ValueError(
            f"model {shown(name)} has no published shapes ({row['notes']}); "
            "allowed: a model with shapes, or Model(...) with shapes of your own"
        )
    shape = Model.from_config(row["config"], name=name)
    described = {
        key: row.get(key, "")
        for key in ("hf_id", "family", "release", "native_dtype", "confidence", "notes")
    }
    if "mtp_modules" in row:  # of a checkpoint whose config does not say
        described["mtp_modules"] = row["mtp_modules"]
    stated = row["revisions"][revision] if revision is not None else row.get("context")
    if stated is not None:
        described["context_max"] = stated["tokens"]
    return shape.replace(**described, aliases=tuple(row.get("aliases", ())), source=_source(row))


def _named(name: str, asked: str) -> Model:
    """The model of that name, in the revision that was asked for: of those its row knows, in its name."""
    said = normalise(asked)
    known: dict[str, Any] = _rows()[name].get("revisions", {})
    return _build(name, next((tag for tag in known if tag in said), None))


def _source(row: dict[str, Any]) -> str:
    return "; ".join(table("models")["sources"][key] for key in row["sources"])


def model(name: str | os.PathLike[str] | Model) -> Model:
    """A model of the catalogue, by name, alias or Hugging Face id.

    Case and separators do not matter, nor do the organisation and suffixes of variants that share the
    architecture (-Instruct, -FP8, -NVFP4, dates ...). A `Model` is returned as it is. A path, or text
    that ends in ``.json`` or ``.toml``, is a Hugging Face ``config.json`` or a file of the fields of a
    `Model`; a folder stands for the ``config.json`` in it.

    Parameters
    ----------
    name : str, path or Model
        A name, an alias, a Hugging Face id, a file or its folder, or the record itself.

    Returns
    -------
    Model
        Frozen: shapes and counts.

    Raises
    ------
    KeyError
        If there is none, with near matches.
    ValueError
        If the model is known by name only, its shapes unpublished, or if a file is not one of a model.
    OSError
        If a file cannot be read.

    Examples
    --------
    >>> model("nvidia/DeepSeek-R1-NVFP4").name
    'DeepSeek-R1'
    """
    if isinstance(name, Model):
        return name
    if isinstance(name, os.PathLike) or is_file(name):
        found: Model = read("model", name)
        return found
    known, sizeless = _index()
    forms, short = _candidates(name) if isinstance(name, str) else ([normalise(name)], [])
    for form in forms:
        if (key := normalise(form)) in sizeless and key:
            return _named(sizeless[key], forms[0])
    # a size that the catalogue's name lacks: another size is another model
    for form in short:
        if (key := normalise(form)) in known and key:
            found = _named(known[key], forms[0])
            if _has_size(found, forms[-1]):
                return found
    rows = table("models")["model"]
    raise unknown_record("model", name, {row["name"]: row["name"] for row in rows})


def _has_size(found: Model, name: str) -> bool:
    """Whether a name's first size is this model's, of all parameters or of those that a token meets."""
    said = re.search(r"[-_. ]e?(\d+(?:\.\d+)?)([bm])(?![a-z])", name, re.IGNORECASE)
    if said is None:
        return True
    size = float(said[1]) * (1e9 if said[2].lower() == "b" else 1e6)
    return any(abs(size / own - 1.0) < 0.1 for own in (found.parameters, found.active_parameters))


def models() -> tuple[Model, ...]:
    """All models that have shapes."""
    return tuple(_build(name) for name, row in _rows().items() if "config" in row)


def rows() -> list[dict[str, Any]]:
    """One row per model: what is known, and what is counted from the shapes."""

    out = []
    for name, row in _rows().items():
        base = {
            "name": name,
            "hf_id": row["hf_id"],
            "family": row["family"],
            "release": row["release"],
        }
        if "config" in row:
            m: Model = _build(name)
            base |= {
                "attention": m.attention,
                "parameters": m.parameters,
                "active_parameters": m.active_parameters,
                "kv_bytes_per_token_bf16": m.kv_bytes_per_token("bf16"),
                "layers": m.layers,
                "hidden": m.hidden,
                "heads": m.heads,
                "kv_heads": m.kv_heads,
                "head_dim": m.head_dim,
                "ffn": m.ffn,
                "vocab": m.vocab,
                "experts": m.experts,
                "topk": m.topk,
                "moe_ffn": m.moe_ffn,
                "window": m.window,
                "context_max": m.context_max,
            }
        else:
            base |= {k: row[k] for k in ("parameters", "active_parameters") if k in row}
            base |= {"context_max": row["context"]["tokens"]} if "context" in row else {}
        base |= {
            "native_dtype": row["native_dtype"],
            "kind": row["basis"],
            "confidence": row["confidence"],
            "source": _source(row),
            "notes": row.get("notes", ""),
        }
        out.append(base)
    return out


def _unit(field: str) -> str:
    words = ("context", "position", "window", "seq")
    return "token" if any(word in field for word in words) else "1"


def source_rows() -> list[dict[str, Any]]:
    """One row per published number: item, field, value, unit, kind, source, date."""
    date = table("models")["date"]
    out = []
    for name, row in _rows().items():
        numbers: dict[str, Any] = dict(row.get("config", {}))
        for key in [key for key, value in numbers.items() if isinstance(value, dict)]:
            numbers |= {f"{key}.{inner}": value for inner, value in numbers.pop(key).items()}
        numbers |= {k: row[k] for k in ("parameters", "active_parameters") if k in row}
        cited = {field: (value, _source(row)) for field, value in numbers.items()}
        for field, stated in _contexts(row).items():
            cited[field] = stated["tokens"], table("models")["sources"][stated["source"]]
        for field, (value, source) in cited.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            out.append(
                {
                    "item": name,
                    "field": field,
                    "value": value,
                    "unit": _unit(field),
                    "kind": row["basis"],
                    "source": source,
                    "date": date,
                }
            )
    return out


def _contexts(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Longest contexts that a row states beside its config: its own, and those of revisions."""
    found = {"context_max": row["context"]} if "context" in row else {}
    return found | {f"context_max of {tag}": of for tag, of in row.get("revisions", {}).items()}
