"""Kernels by keyword, also over xarray and Dask, whose protocol for ufuncs knows no core dimensions."""

from __future__ import annotations

import sys
from functools import partial
from inspect import Parameter, signature
from re import findall
from typing import Any

import numpy as np

from tokenroof import _core
from tokenroof.support.arguments import shown
from tokenroof.support.labels import called, keeps_form, kind_of, unlabelled
from tokenroof.support.names import UnknownNameError, among, near_matches

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


def by_keyword(name: str, *, out: Any = None, **inputs: Any) -> Any:
    """Run a kernel with its inputs by name; over labelled, masked and lazy arrays as well as plain ones.

    Parameters
    ----------
    name : str
        Of the kernel.
    out : ndarray, optional
        Where to write, as of a ufunc; with plain arrays alone.
    **inputs
        Its inputs, in the units that its own page gives. A packed record has its fields along the last axis;
        of an xarray.DataArray that is the dimension ``device_field``, ``calibration_field``, ``model_field``
        or ``plan_field``.

    Returns
    -------
    ndarray, float, or the form of the inputs
        Of pandas, polars and NumPy's masked arrays, with their labels; of a Series what has names along its
        last axis is a DataFrame with these as columns. Of xarray, by dimension; what has names along its
        last axis has them in the coordinate ``field``. Of Dask, in the chunks or partitions of the inputs,
        not yet computed. What is absent of a nullable type stays absent.

    Raises
    ------
    KeyError
        For a name that is no kernel.
    TypeError
        For an input that is missing or unknown, for a record that is not packed, for labelled arrays of two
        kinds, for Dask beside what has no form in common with it and for labels that have nowhere to go, by
        name.
    ValueError
        For labels that differ, and for what is no record of its kind.

    Examples
    --------
    >>> import tokenroof as tr
    >>> records = {"device": tr.device("H200-SXM").pack(), "calibration": tr.Calibration.ideal().pack(),
    ...            "model": tr.model("Llama-3.1-8B").pack(), "plan": tr.Plan().pack()}
    >>> tr.kernels.by_keyword("decode_time", **records, batch=[1.0, 64.0], context=4096.0).shape
    (2,)
    """
    kernels = _core.ufuncs_by_isa()[_core.ISA]
    if not among(name, kernels):
        near = near_matches(str(name), list(kernels))
        hint = f"; did you mean {', '.join(map(repr, near))}?" if near else ""
        raise UnknownNameError(
            f"kernel is {shown(name)}{hint}; allowed: names in tokenroof.kernels"
        )
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
    kinds = {kind for value in values if (kind := keeps_form(value))}
    if not kinds:
        return kernel(*values) if out is None else kernel(*values, out=out)
    if out is not None:
        raise TypeError(
            f"out is given beside arrays of {', '.join(sorted(kinds))}; allowed: plain arrays"
        )
    given = dict(zip(names, values, strict=True))
    if not kinds <= {"xarray", "dask"}:
        if "dask" in kinds:
            _refuse_mixture(given)
        return _in_their_form(name, kernel, given)
    if any(_is_table(value) for value in values):
        return _over_partitions(name, given)
    return _over_dimensions(name, kernel, given, kinds)


def _is_table(value: Any) -> bool:
    """Whether it is a Series or DataFrame of Dask, whose parts are those of pandas."""
    return kind_of(value) == "dask" and type(value).__name__ != "Array"


def _refuse_mixture(inputs: dict[str, Any]) -> None:
    """Refuse Dask beside arrays with which it has no common form.

    Raises
    ------
    TypeError
        Always, naming each input.
    """
    both = ", ".join(f"{n} ({called(value)})" for n, value in inputs.items() if keeps_form(value))
    raise TypeError(
        f"arrays beside Dask are {both}; allowed: Dask's arrays alone or with xarray's, its Series and "
        "DataFrames alone; a plain array by to_numpy() or compute()"
    )


def _over_partitions(name: str, inputs: dict[str, Any]) -> Any:
    """Over Series and DataFrames of Dask: by the parts of these, as pandas."""
    import dask.dataframe

    if not all(_is_table(v) for v in inputs.values() if keeps_form(v)):
        _refuse_mixture(inputs)
    tables = {n: v for n, v in inputs.items() if _is_table(v)}
    rest = {n: v for n, v in inputs.items() if n not in tables}
    part = partial(_part, name, tuple(tables), rest)
    lazily: Any = dask.dataframe.map_partitions
    return lazily(part, *tables.values())


def _part(name: str, names: tuple[str, ...], rest: dict[str, Any], *tables: Any) -> Any:
    return by_keyword(name, **rest, **dict(zip(names, tables, strict=True)))


def _block(name: str, *blocks: Any) -> Any:
    """A kernel over blocks of Dask's arrays, which may be masked."""
    kernel: Any = _core.ufuncs_by_isa()[_core.ISA][name]
    if not any(isinstance(block, np.ma.MaskedArray) for block in blocks):
        return kernel(*blocks)
    names = [
        p.name for p in signature(kernel).parameters.values() if p.kind is Parameter.POSITIONAL_ONLY
    ]
    return _in_their_form(name, kernel, dict(zip(names, blocks, strict=True)))


def _in_their_form(name: str, kernel: Any, inputs: dict[str, Any]) -> Any:
    """Over Series, DataFrames and masked arrays: what stands beside records carries the form."""
    cores = dict(zip(inputs, _cores(kernel, list(inputs)), strict=True))
    for n, core in cores.items():
        if core and (kind := keeps_form(inputs[n])):
            raise TypeError(
                f"{n} is of {kind}; allowed: a plain array, as pack() of its record gives"
            )
    plain, put = unlabelled(True, **{n: inputs[n] for n, core in cores.items() if not core})
    answer = kernel(*(inputs | plain).values())
    if kernel.signature is None or kernel.signature.endswith("->()"):
        return put(answer)
    labels = list(_fields(name)[1])
    columns = [put(answer[..., i]) for i in range(len(labels))]
    if isinstance(columns[0], np.ma.MaskedArray):
        return np.ma.stack(columns, axis=-1)
    if len(np.shape(columns[0])) == 1:
        frame = sys.modules[type(columns[0]).__module__.partition(".")[0]].DataFrame
        return frame(dict(zip(labels, columns, strict=True)))
    raise TypeError(
        f"{name} has {len(labels)} numbers of each element, for which a DataFrame has no room; allowed: a "
        "Series, or plain arrays"
    )


def _over_dimensions(name: str, kernel: Any, inputs: dict[str, Any], kinds: set[str]) -> Any:
    """Over xarray and Dask, whose protocol for ufuncs knows no core dimensions, and no labels that differ."""
    names, values = list(inputs), list(inputs.values())
    if kernel.signature is None:
        if "xarray" not in kinds:
            return kernel(*values)
        import xarray

        return xarray.apply_ufunc(kernel, *values, join="exact", dask="allowed")
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
    meta: Any = np.empty((0,) * len(ends), kind)
    if any(isinstance(getattr(value, "_meta", None), np.ma.MaskedArray) for value in values):
        meta = np.ma.masked_array(meta)
    chunked = _in_same_chunks(values, [len(core) for core in cores])
    return lazily(partial(_block, name), form, *chunked, output_sizes=sizes, meta=meta)


def _in_same_chunks(values: list[Any], cores: list[int]) -> list[Any]:
    """Arrays with the same chunks along what broadcasts together; the fields of records stay as they are."""
    import dask.array
    from dask.array.core import unify_chunks

    lazily: Any = dask.array.asanyarray
    arrays = [
        lazily(value) if np.ndim(value) > core else value
        for value, core in zip(values, cores, strict=True)
    ]
    at = [i for i, core in enumerate(cores) if np.ndim(arrays[i]) > core]
    pairs: list[Any] = []
    for i in at:
        loops = np.ndim(arrays[i]) - cores[i]
        own = tuple(f"field of {i}, {axis}" for axis in range(cores[i]))
        pairs += [arrays[i], (*range(loops, 0, -1), *own)]
    unify: Any = unify_chunks
    for i, one in zip(at, unify(*pairs)[1], strict=True):
        arrays[i] = one
    return arrays
