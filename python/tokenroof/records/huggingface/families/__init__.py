"""Families of architectures, a file per kind: one small function from config fields to shapes each.

Rules: the public implementations of the architectures (the model files of each family). A new family that is
shaped like one of these is an entry of the table in `alike`; any other is a function under
`@family("its_model_type")` in the file of its kind, and nothing else.
"""

from __future__ import annotations

# each enters its families into the table
from tokenroof.records.huggingface.families import (
    alike,
    compressed,
    dense,
    everyday,
    hybrids,
    latent,
    layered,
    mixtures,
    nas,
    older,
    recent,
    recurrent,
    ungated,
)
from tokenroof.records.huggingface.families.table import FAMILIES, family, like

__all__ = [
    "FAMILIES", "alike", "compressed", "dense", "everyday", "family", "hybrids", "latent", "layered",
    "like", "mixtures", "nas", "older", "recent", "recurrent", "ungated",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
