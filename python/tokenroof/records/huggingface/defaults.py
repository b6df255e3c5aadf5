"""Defaults of the architectures' public classes: what a config means that leaves a field out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["class_defaults"]


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = files("tokenroof.records.huggingface").joinpath("defaults.toml").read_text("utf-8")
    return tomllib.loads(text)


def class_defaults(kind: str) -> Mapping[str, Any]:
    """Of one ``model_type``, as in the table of families; empty where there is no public class.

    Examples
    --------
    >>> class_defaults("gemma2")["head_dim"], class_defaults("nemotron_nas")
    (256, {})
    """
    return _table().get(kind, {})
