"""How many tokens a model was made for, by its config."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tokenroof.records.huggingface.reader import LARGEST_SIZE, Reader

__all__ = ["longest_context"]

_NAMES = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length",
    "sequence_len", "model_max_length", "n_ctx", "max_seq_length", "seq_len", "max_position_embedding",
)  # fmt: skip


def longest_context(r: Reader) -> int:
    """Tokens of the longest context; 0 where the file does not say.

    Positions as the file states them; with YaRN at least the original ones times the factor.
    """
    stated = r.size(*_NAMES, default=0, low=0)
    if not stated:
        return 0
    scaling = r.raw("rope_scaling") or r.raw("rope_parameters")
    if not isinstance(scaling, Mapping):
        return stated
    kind = scaling.get("rope_type", scaling.get("type"))
    factor = _positive(scaling.get("factor"))
    original = _positive(scaling.get("original_max_position_embeddings"))
    if kind == "yarn" and factor and original:
        return max(stated, _whole(original * factor))
    return stated


def _positive(value: object) -> float:
    """The number, if it is a finite one above 0; else 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value) if 0 < value < LARGEST_SIZE and math.isfinite(value) else 0.0


def _whole(tokens: float) -> int:
    return int(min(tokens, LARGEST_SIZE))
