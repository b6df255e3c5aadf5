"""Constants of operators, fitted on measured tables of devices."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tokenroof.calibrate.carrying import carry_over
from tokenroof.calibrate.fitting import Errors, Objective, device_bound, fit, sample
from tokenroof.calibrate.operators import measured_tables, read_operator, spec_of
from tokenroof.calibrate.specs import Spec
from tokenroof.calibrate.tables import NoTablesError, Table
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.records.device import Device


def fit_operator(
    operator: str,
    table: Table,
    device: str | Device,
    engine: str,
    most: int = 2500,
    known: Iterable[dict[str, Any]] = (),
) -> list[dict[str, Any]]:
    """Fit the constants of one operator on one device, a set per number type.

    Parameters
    ----------
    operator : str
        One of `SPECS`.
    table : Table
        From `read_operator`.
    device : str or Device
    engine : str
        Whose kernels these are.
    most : int
        Rows that a fit uses, drawn at random.
    known : iterable of dict
        Fits of other engines, for types of whose constants the table says only some: without one of the
        device and type these are left out.

    Returns
    -------
    list of dict
        A row per type, as the catalogue's files hold them: device, engine, dtype, constants, rows,
        and mape, median, bias and band on a quarter of the combinations, left out.

    Raises
    ------
    KeyError
        For an unknown operator or device.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> table = calibrate.read_operator("gemm_perf.csv", "gemm")  # doctest: +SKIP
    >>> rows = calibrate.fit_operator("gemm", table, "H100-SXM", "vllm")  # doctest: +SKIP
    >>> rows[0]["mape"]  # doctest: +SKIP
    0.064
    """
    spec, d = spec_of(operator), find_device(device)
    table = _own_rows(spec, engine, table)
    kinds = np.asarray(spec.kind(table.columns)).astype(str)
    out = []
    for kind in np.unique(kinds):
        rows = device_bound(spec, engine, kind, table.where(kinds == kind))
        if len(rows) < spec.fewest or spec.skip(engine, kind):
            continue
        given = dict(spec.engine_fixed(engine))
        if free := spec.outlasting(engine, kind):
            near = [r for r in known if (r["device"], r["dtype"]) == (d.name, kind)]
            if not near:
                continue
            given |= {n: x for n, x in near[0]["constants"].items() if n not in free}
        constants, errors = fit(spec, d, kind, rows, most, given)
        out.append({
            "device": d.name, "engine": engine, "dtype": str(kind), "constants": constants,
            "rows": len(rows), "mape": _short(errors.mape), "median": _short(errors.median),
            "bias": _short(errors.bias), "band": _short(errors.band),
            "date": datetime.date.today().isoformat(),
        })  # fmt: skip
    return out


def _own_rows(spec: Spec, engine: str, table: Table) -> Table:
    return table if spec.rows is None else table.where(spec.rows(engine, table.columns))


def _left_out(table: Table) -> str:
    """Rows of a table that do not count, by reason."""
    kept = ("rows", "shapes")
    return ", ".join(f"{n} {why}" for why, n in table.counts.items() if n and why not in kept)


def _short(x: float) -> float:
    return round(float(x), 4)


def _version_key(version: str) -> tuple[Any, ...]:
    numbers = "".join(c if c.isdigit() else " " for c in version).split()
    return tuple(int(n) for n in numbers)


def fit_tables(
    folder: str | os.PathLike[str],
    operator: str,
    most: int = 2500,
    progress: Callable[[str], Any] | None = None,
) -> list[dict[str, Any]]:
    """Fit one operator on all tables of a folder, and measure how well constants carry over.

    Of several versions of an engine the newest that has a type counts. Each row also gets
    ``band_generation`` and ``band_other``: the band on a device when its constants are those that carry
    over from the other devices of its generation, or from other generations.

    Parameters
    ----------
    folder : path
        As `measured_tables` reads it.
    operator : str
        One of `SPECS`.
    most : int
        Rows that a fit uses, drawn at random.
    progress : callable, optional
        Called with a line per table.

    Returns
    -------
    list of dict
        A row per device, engine and type, as `fit_operator` gives them.

    Raises
    ------
    KeyError, ValueError
        As `read_operator`; naming the folder if it has no such table.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> rows = calibrate.fit_tables("measured", "gemm")  # doctest: +SKIP
    >>> sorted({row["device"] for row in rows})  # doctest: +SKIP
    ['B200-SXM', 'H100-SXM']
    """
    spec = spec_of(operator)
    newest: dict[tuple[str, str, str], tuple[str, Table]] = {}
    for system, engine, version, path in measured_tables(folder, operator):
        try:
            table = _own_rows(spec, engine, read_operator(operator, path, system))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if progress and (out := _left_out(table)):
            progress(f"{path}: left out: {out}")
        kinds = np.asarray(spec.kind(table.columns)).astype(str)
        for kind in np.unique(kinds):
            key = (find_device(system).name, engine, str(kind))
            if key not in newest or _version_key(newest[key][0]) < _version_key(version):
                newest[key] = version, table.where(kinds == kind)
    if not newest:
        raise NoTablesError(f"{os.fspath(folder)} has no tables of {operator} below operators/")
    rows: list[dict[str, Any]] = []
    tables: list[Table] = []
    for (name, engine, kind), (version, table) in sorted(newest.items(), key=lambda item: item[0]):
        if progress and len(table) < spec.fewest:
            progress(
                f"{operator} {name} {engine} {kind}: {len(table)} shapes are too few to fit; "
                f"allowed: {spec.fewest} or more"
            )
        for row in fit_operator(operator, table, name, engine, most, rows):
            row["version"] = version
            rows.append(row)
            tables.append(device_bound(spec, engine, kind, table))
            if progress:
                progress(
                    f"{operator} {name} {engine} {row['dtype']}: {row['rows']} shapes, "
                    f"mean error {row['mape']:.1%} on shapes left out"
                )
    if not rows:
        raise NoTablesError(
            f"{os.fspath(folder)} has no table of {operator} with {spec.fewest} shapes or more of a type"
        )
    _judge(spec, rows, tables)
    return rows


def _judge(spec: Spec, rows: list[dict[str, Any]], tables: list[Table]) -> None:
    """Errors and bands with the constants of other devices of the same engine and type."""

    def errors(i: int, constants: dict[str, float]) -> Errors:
        part = sample(tables[i], 2500)
        objective = Objective(spec, find_device(rows[i]["device"]), rows[i]["dtype"], constants)
        return Errors.of(objective.predict(np.empty(0), part), part.time)

    carry_over(spec.operator, rows, lambda row: (row["engine"], row["dtype"]), errors)
