"""Docstring and signature of a kernel, which its ufunc does not bring along."""

from __future__ import annotations

from functools import cache
from inspect import Parameter, Signature
from typing import Any

from tokenroof.kernels.documentation import KERNELS, UNITS

_OPTIONS = [
    Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in ("out", "where", "dtype")
]


def describe(name: str, function: Any) -> None:
    """Give a kernel what `help` and `inspect` show of it, as its entry of the documentation says."""
    inputs, summary, result, source, example = KERNELS[name]
    names = inputs.split()
    parameters = "\n".join([_explained(argument) for argument in names])
    text = f"{summary}\n\nParameters\n----------\n{parameters}\n\nReturns\n-------\n{result}\n"
    if name != "sha256d":
        if (
            "attacker_share" in names
            or "gamma" in names
            or "; NaN " in summary
            or ". NaN " in summary
        ):
            below = " Outside the ranges above: NaN and the invalid flag."
        elif function.signature is not None:  # over records
            below = " A load below zero gives NaN and the invalid flag."
        else:
            below = ""
        text += f"\nNotes\n-----\nNaN in, NaN out.{below}\n"
    text += f"\nReferences\n----------\n{source}"
    if example:
        text += f"\n\nExamples\n--------\n{example}"
    function.__doc__ = text
    function.__module__ = "tokenroof.kernels"
    function.__signature__ = _signature(inputs)


@cache  # a few hundred inputs of the kernels have some hundred names
def _explained(name: str) -> str:
    return f"{name} : array_like\n    {UNITS[name]}."


@cache
def _input(name: str) -> Parameter:
    return Parameter(name, Parameter.POSITIONAL_ONLY)


@cache
def _signature(inputs: str) -> Signature:
    return Signature([*map(_input, inputs.split()), *_OPTIONS])
