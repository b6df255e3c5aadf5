"""Families of architectures, a file per kind: one small function from config fields to shapes each.

Rules: the public implementations of the architectures (the model files of each family). A new family is a
function under `@family("its_model_type")` in the file of its kind, and nothing else.
"""

from __future__ import annotations

# each enters its families into the table
from tokenroof.records.huggingface.families import dense, hybrids, latent, mixtures, ungated
from tokenroof.records.huggingface.families.table import FAMILIES, family

__all__ = ["FAMILIES", "dense", "family", "hybrids", "latent", "mixtures", "ungated"]


def __dir__() -> list[str]:
    return sorted(__all__)
