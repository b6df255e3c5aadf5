"""Kernels by keyword, also over xarray and Dask, whose protocol for ufuncs knows no core dimensions."""

from __future__ import annotations

from inspect import Parameter, signature
from re import findall
from typing import Any

import numpy as np

from tokenroof import _core
from tokenroof.support.labels import kind_of

__all__ = ["by_keyword"]


def _fields(name: str) -> tuple[str, tuple[str, ...]]:
    """The core dimension of what a kernel gives, and the names along it."""
    if name.endswith("_operator"):
        return "field", _core.OPERATOR_FIELDS
    if name == "serving_system":
        return "field", _core.SYSTEM_FIELDS
    if name == "serving_terms":
        return "field", _core.SERVING_TERMS
    return "field", _core.SERVING_FIELDS if name.startswith("serving") else _core.STEP_FIELDS


def _cores(kernel: Any, names: list[str]) -> list[str]:
    """What each input has along its last axis, as the signature says; "" of numbers."""
    if kernel.signature is None:
        return [""] * len(names)
    return list(findall(r"\(([^)]*)\)", kernel.signature.partition("->")[0]))


def _record(name: str, value: Any, core: str) -> Any:
    """An input that is a record not yet packed, or another one's, is refused by name."""
    if hasattr(value, "pack"):
        raise TypeError(f"{name} is a {type(value).__name__}; allowed: what its pack() gives")
    if core.isdigit() and not kind_of(value) and np.shape(value)[-1:] != (int(core),):
        raise ValueError(
            f"{name} has the shape {np.shape(value)}; allowed: {core} numbers along the last axis, as pack() "
            "of its record gives"
        )
    return value


def by_keyword(name: str, **inputs: Any) -> Any:
    """Run a kernel with its inputs by name; over xarray and Dask arrays as well as plain ones.

    Parameters
    ----------
    name : str
        Of the kernel.
    **inputs
        Its inputs, in the units that its own page gives. A packed record has its fields along the last axis;
        of an xarray.DataArray that is the dimension ``device_field``, ``calibration_field``, ``model_field``
        or ``plan_field``.

    Returns
    -------
    ndarray, float, xarray.DataArray or dask.array.Array
        Of xarray, by dimension; what has names along its last axis has them in the coordinate ``field``.
        Of Dask, in the chunks of the inputs, not yet computed.

    Raises
    ------
    KeyError
        For a name that is no kernel.
    TypeError
        For an input that is missing or unknown, and for a record that is not packed, by name.
    ValueError
        For dimensions whose labels differ, and for what is no record of its kind.

    Examples
    --------
    >>> import tokenroof as tr
    >>> records = {"device": tr.device("H200-SXM").pack(), "calibration": tr.Calibration.ideal().pack(),
    ...            "model": tr.model("Llama-3.1-8B").pack(), "plan": tr.Plan().pack()}
    >>> tr.kernels.by_keyword("decode_time", **records, batch=[1.0, 64.0], context=4096.0).shape
    (2,)
    """
    kernels = _core.ufuncs_by_isa()[_core.ISA]
    if name not in kernels:
        raise KeyError(f"kernel is {name!r}; allowed: {', '.join(kernels)}")
    kernel: Any = kernels[name]
    every = signature(kernel).parameters.values()
    names = [p.name for p in every if p.kind is Parameter.POSITIONAL_ONLY]
    wrong = [n for n in names if n not in inputs] + [n for n in inputs if n not in names]
    if wrong:
        raise TypeError(
            f"{name}() takes {', '.join(names)}; missing or unknown: {', '.join(wrong)}"
        )
    values = [
        _record(n, inputs[n], part) for n, part in zip(names, _cores(kernel, names), strict=True)
    ]
    kinds = {kind_of(value) for value in values}
    if kernel.signature is None or not kinds & {"xarray", "dask"}:
        return kernel(*values)
    before, _, after = kernel.signature.partition("->")
    cores = [
        [] if part == "" else [f"{n}_field"]
        for n, part in zip(names, findall(r"\(([^)]*)\)", before), strict=True)
    ]
    out, labels = _fields(name) if after != "()" else ("", ())
    kind = np.uint8 if name == "sha256d" else np.float64
    if name == "sha256d":
        out, labels = "digest", tuple(map(str, range(32)))
    sizes, ends = ({out: len(labels)}, [out]) if out else ({}, [])
    if "xarray" in kinds:
        import xarray

        found = xarray.apply_ufunc(
            kernel, *values, input_core_dims=cores, output_core_dims=[ends], join="exact",
            dask="parallelized",
            dask_gufunc_kwargs={"output_sizes": sizes, "meta": np.empty((0,) * len(ends), kind)},
        )  # fmt: skip
        return found.assign_coords({out: list(labels)}) if out == "field" else found
    import dask.array

    form = ",".join(f"({','.join(core)})" for core in cores) + f"->({','.join(ends)})"
    lazily: Any = dask.array.apply_gufunc
    return lazily(kernel, form, *values, output_sizes=sizes, meta=np.empty((0,) * len(ends), kind))
