"""Operators that are fitted, and their measured tables in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tokenroof.calibrate.attention import ATTENTION
from tokenroof.calibrate.experts import ALL_REDUCE, EXCHANGES, EXPERTS
from tokenroof.calibrate.plausible import possible
from tokenroof.calibrate.specs import GEMM, Spec
from tokenroof.calibrate.tables import Table, opened, shapes
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.records.device import Device
from tokenroof.support.arguments import shown
from tokenroof.support.names import UnknownNameError, near_matches

#: By operator.
SPECS: dict[str, Spec] = {
    spec.operator: spec for spec in (GEMM, *ATTENTION, EXPERTS, ALL_REDUCE, *EXCHANGES)
}


def spec_of(operator: str) -> Spec:
    """How one of `SPECS` is fitted."""
    if not isinstance(operator, str) or operator not in SPECS:
        near = near_matches(operator, list(SPECS)) if isinstance(operator, str) else []
        hint = f"did you mean {', '.join(map(repr, near))}? " if near else ""
        raise UnknownNameError(f"operator is {shown(operator)}; {hint}allowed: {', '.join(SPECS)}")
    return SPECS[operator]


def read_operator(
    operator: str, path: str | os.PathLike[str] | Any, device: str | Device, unit: str | None = None
) -> Table:
    """A measured table of an operator, checked, one row per shape.

    Parameters
    ----------
    operator : str
        One of `SPECS`.
    path : path or pandas.DataFrame
        A .csv or .parquet file, or its contents: shapes in columns, times in ``latency`` (ms),
        ``latency_us`` or ``time_s``.
    device : str or Device
        What it was measured on.
    unit : {"s", "ms", "us"}, optional
        Of the times, if the column's name does not say.

    Returns
    -------
    Table
        ``counts`` says how many rows were left out, and why.

    Raises
    ------
    KeyError
        For an unknown operator or device.
    ValueError
        For missing columns, unknown types, or times in a unit that physics rules out.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"gemm_dtype": ["bfloat16"] * 2, "m": [16, 16], "n": [8192] * 2,
    ...                      "k": [8192] * 2, "latency": [0.05, 0.06]})
    >>> len(read_operator("gemm", rows, "H100-SXM"))
    1
    """
    spec = spec_of(operator)
    frame = opened(path)
    own = spec.own(frame) if spec.own is not None else np.ones(len(frame), dtype=bool)
    table = shapes(frame[own], spec.columns, spec.types, unit, spec.defaults, spec.zeros)
    table.counts["kernels of another type"] = int((~own).sum())
    return possible(spec, find_device(device), table)


def measured_tables(
    folder: str | os.PathLike[str], operator: str
) -> Iterator[tuple[str, str, str, Path]]:
    """(device, engine, version, path) of an operator's tables below ``folder/operators``.

    Parameters
    ----------
    folder : path
        Holds ``operators/DEVICE/ENGINE/VERSION/TABLE.csv`` or ``.parquet``.
    operator : str
        One of `SPECS`.

    Yields
    ------
    tuple of (str, str, str, Path)
        In the order of their names.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> list(calibrate.measured_tables("a folder that is empty", "gemm"))
    []
    """
    names = spec_of(operator).tables
    for path in sorted(Path(folder, "operators").glob("*/*/*")):
        if path.stem in names and path.suffix in (".csv", ".parquet"):
            engine, _, version = path.parent.name.partition("-")
            yield path.parent.parent.name, engine, version, path
