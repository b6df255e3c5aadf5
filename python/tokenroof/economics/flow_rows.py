"""Worths and rates of many streams of flows at once: ufuncs over their rows."""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from tokenroof import _core

if TYPE_CHECKING:
    import numpy as np

__all__ = ["irr_each", "npv_each", "xirr_each", "xnpv_each"]

_RATE = "rate : array_like\n    Yearly discount rate, above -1 [1]."
_FLOWS = "flows : array_like\n    Income along the last axis, expenses below zero [$]{}."
_YEARS = "years : array_like\n    Years of 365 days since the first flow, in any order, along the last axis."
_OPTIONS = "**options\n    ``out``, ``axis``, ``axes`` and ``keepdims``, as any ufunc with core dimensions."
_NOTES = """NaN in, NaN out. {} NaN and the invalid flag, of which NumPy warns. Rows of the other inputs are
broadcast; every instruction set gives the same bits."""
_NO_RATE = "Where there is no rate, or a flow is infinite:"
_NO_WORTH = "Where the rate is -1 or below:"

_DOCUMENTED = {
    "irr_each": (
        "Rate at which each row of yearly flows is worth nothing: of several the one nearest to 0.",
        [_FLOWS.format(", the first of them now")],
        "Rate per year [1]; `irr` has all rates of one row.",
        _NO_RATE,
        ">>> irr_each([[-1.0, 2.0], [-100.0, 110.0]]).round(9).tolist()\n[1.0, 0.1]\n"
        ">>> round(float(irr_each([-1600, 10000, -10000])), 9)\n0.25",
    ),
    "npv_each": (
        "Net present value of each row of yearly flows, the first of them now.",
        [_RATE, _FLOWS.format("")],
        "As `npv` [$].",
        _NO_WORTH,
        ">>> npv_each([0.0, 0.1], [-1000, 300, 420, 680]).round(6).tolist()\n[400.0, 130.728775]",
    ),
    "xirr_each": (
        "Rate at which each row of dated flows is worth nothing: of several the one nearest to 0.",
        [_FLOWS.format(""), _YEARS],
        "Rate per year [1]; `xirr` has all rates of one row.",
        _NO_RATE,
        ">>> round(float(xirr_each([-100.0, 121.0], [0.0, 2.0])), 9)\n0.1",
    ),
    "xnpv_each": (
        "Net present value, at year 0, of each row of dated flows.",
        [_RATE, _FLOWS.format(""), _YEARS],
        "As `xnpv` [$].",
        _NO_WORTH,
        ">>> round(float(xnpv_each(0.1, [-100.0, 121.0], [0.0, 2.0])), 9)\n0.0",
    ),
}


def _described(name: str, function: Any) -> np.ufunc:
    summary, inputs, result, where, example = _DOCUMENTED[name]
    text = "\n".join([*inputs, _OPTIONS])
    function.__doc__ = (
        f"{summary}\n\nParameters\n----------\n{text}\n\nReturns\n-------\nfloat or ndarray\n    {result}\n\n"
        f"Notes\n-----\n{_NOTES.format(where)}\n\nExamples\n--------\n{example}\n"
    )
    function.__module__ = "tokenroof.economics"
    names = [line.partition(" : ")[0] for line in inputs]
    function.__signature__ = Signature(
        [Parameter(one, Parameter.POSITIONAL_ONLY) for one in names]
        + [Parameter("options", Parameter.VAR_KEYWORD)]
    )
    made: np.ufunc = function
    return made


_ACTIVE: dict[str, np.ufunc] = _core.flow_ufuncs_by_isa()[_core.ISA]
irr_each = _described("irr_each", _ACTIVE["irr_each"])
npv_each = _described("npv_each", _ACTIVE["npv_each"])
xirr_each = _described("xirr_each", _ACTIVE["xirr_each"])
xnpv_each = _described("xnpv_each", _ACTIVE["xnpv_each"])

#: So that doctest finds the examples: it does not look into ufuncs.
__test__ = {name: function.__doc__ for name, function in _ACTIVE.items()}
