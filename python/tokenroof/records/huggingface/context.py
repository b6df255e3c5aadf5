"""How many tokens a model was made for, by its config."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tokenroof.records.huggingface.reader import LARGEST_SIZE, Reader, short

__all__ = ["longest_context"]

_NAMES = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length",
    "sequence_len", "model_max_length", "n_ctx", "max_seq_length", "seq_len", "max_position_embedding",
)  # fmt: skip
# of ROPE_INIT_FUNCTIONS in transformers' modeling_rope_utils.py, and older names in files
_KINDS = (
    "default",
    "linear",
    "dynamic",
    "yarn",
    "longrope",
    "llama3",
    "proportional",
    "su",
    "ntk",
    "mrope",
)
_MOST = 10_000.0


def longest_context(r: Reader) -> int:
    """Tokens of the longest context; 0 where the file does not say.

    Positions as the file states them; with YaRN at least the original ones times the factor. Without original
    ones these are what the file states (RotaryEmbeddingConfigMixin.standardize_rope_params), and a factor of
    null is what leads from the one to the other.
    """
    stated = r.size(*_NAMES, default=0, low=0)
    field = "rope_scaling" if r.raw("rope_scaling") else "rope_parameters"
    scaling = r.raw(field)
    if not scaling:
        return stated
    if not isinstance(scaling, Mapping):
        raise TypeError(
            f"{r.path}{field} is {short(scaling)}; allowed: an object with rope_type and factor, or null"
        )
    parts = {field: scaling}  # or one of each kind of layer
    parts |= {f"{field}.{k}": v for k, v in scaling.items() if isinstance(v, Mapping)}
    return max(_scaled(r, r.path + name, part, stated) for name, part in parts.items())


def _scaled(r: Reader, name: str, scaling: Mapping[str, Any], stated: int) -> int:
    """Tokens that one object of scaling makes of the stated ones."""
    key = "rope_type" if "rope_type" in scaling else "type"
    kind = scaling.get(key)
    if kind is not None and not isinstance(kind, str):
        raise TypeError(f"{name}.{key} is {short(kind)}; allowed: text, such as 'yarn'")
    # others are of a model's own code
    if kind is not None and kind not in _KINDS and kind.strip().lower() in _KINDS:
        raise ValueError(
            f"{name}.{key} is {short(kind)}; allowed: {', '.join(_KINDS)}; did you mean "
            f"{short(kind.strip().lower())}?"
        )
    if kind != "yarn":
        return stated
    if "factor" not in scaling:
        raise ValueError(f"{name}.factor is missing; allowed: a number >= 1, or null")
    own = r.raw("original_max_position_embeddings")  # beside the object it goes first
    inside = scaling.get("original_max_position_embeddings")
    given = next((x for x in (own, inside, stated) if x is not None), 0)
    original = _number(f"{name}.original_max_position_embeddings", given, 0.0, float(LARGEST_SIZE))
    if scaling["factor"] is None:
        return stated
    factor = _number(f"{name}.factor", scaling["factor"], 1.0, _MOST)
    return max(stated, int(min(original * factor, LARGEST_SIZE)))


def _number(name: str, value: object, least: float, most: float) -> float:
    allowed = f"a number {least:g} to {most:g}"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is {short(value)}; allowed: {allowed}")
    if not (math.isfinite(value) and least <= value <= most):
        raise ValueError(f"{name} is {short(value)}; allowed: {allowed}")
    return float(value)
