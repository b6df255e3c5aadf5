"""The kernels: NumPy ufuncs and gufuncs over the C++ formulas.

They broadcast, take ``out=``, ``where=`` and ``dtype=``, pickle, and work on pandas, polars, xarray and
Dask objects as any ufunc does. Inputs are positional, in SI units. `by_isa` gives the same kernels for
each instruction set that this machine can run; `tokenroof.reference` mirrors them in plain Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenroof import _core
from tokenroof.kernels.describe import describe as _describe
from tokenroof.kernels.keywords import by_keyword

if TYPE_CHECKING:
    import numpy as np

#: Names along the last axis of the ``_step`` kernels. FLOPs, bytes and watts are those of the whole
#: replica; the seconds by cause, and those by group with ``overhead_s``, each sum to ``time``.
STEP_FIELDS: tuple[str, ...] = _core.STEP_FIELDS
#: Names along the last axis of `serving` and of `serving_terms`: seconds, sequences, tokens/s, watts.
SERVING_FIELDS: tuple[str, ...] = _core.SERVING_FIELDS
SERVING_TERMS: tuple[str, ...] = _core.SERVING_TERMS
SYSTEM_FIELDS: tuple[str, ...] = _core.SYSTEM_FIELDS
SYSTEM_TERMS: tuple[str, ...] = _core.SYSTEM_TERMS
#: Names along the last axis of the ``_operator`` kernels.
OPERATOR_FIELDS: tuple[str, ...] = _core.OPERATOR_FIELDS

_active: dict[str, np.ufunc] = _core.ufuncs_by_isa()[_core.ISA]
for _name, _function in _active.items():
    _describe(_name, _function)
globals().update(_active)

#: So that doctest finds the examples: it does not look into ufuncs.
__test__ = {name: function.__doc__ for name, function in _active.items()}
__all__ = [
    "OPERATOR_FIELDS", "SERVING_FIELDS", "SERVING_TERMS", "STEP_FIELDS", "SYSTEM_FIELDS",
    "SYSTEM_TERMS", "by_isa", "by_keyword", *_active,
]  # fmt: skip


def by_isa() -> dict[str, dict[str, np.ufunc]]:
    """Kernels by the instruction set that they were compiled for, newest first.

    Returns
    -------
    dict of str to dict
        Of ufuncs by name, by instruction set.

    Examples
    --------
    >>> "generic" in by_isa()
    True
    """
    kernels: dict[str, dict[str, np.ufunc]] = _core.ufuncs_by_isa()
    return kernels


def __dir__() -> list[str]:
    return sorted(__all__)
