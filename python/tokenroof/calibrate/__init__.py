"""Constants of the operators, fitted on measured tables (extra ``analysis``).

``python -m tokenroof.calibrate DIR`` fits every operator that the folder has tables of,
``DIR/operators/<device>/<engine>-<version>/<table>.parquet`` or ``.csv``, and writes a TOML file each: the
catalogue's were made so. `fit_operator` does the same for one table of your own device.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tokenroof.calibrate.attention import ATTENTION
from tokenroof.calibrate.engines import EngineFit, fit_engines, write_engines
from tokenroof.calibrate.experts import ALL_REDUCE, EXCHANGES, EXPERTS
from tokenroof.calibrate.fitting import Errors, Objective, fit, sample
from tokenroof.calibrate.plausible import possible
from tokenroof.calibrate.points import Points, read_serving
from tokenroof.calibrate.specs import GEMM, Spec
from tokenroof.calibrate.tables import NoTablesError, Table, read, shapes
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.inference import constants as _constants
from tokenroof.records.device import Device

__all__ = [
    "SPECS",
    "EngineFit",
    "Errors",
    "Points",
    "Table",
    "fit_engines",
    "fit_operator",
    "fit_tables",
    "measured_tables",
    "read_operator",
    "read_serving",
    "write_constants",
    "write_engines",
]

#: By operator.
SPECS: dict[str, Spec] = {
    spec.operator: spec for spec in (GEMM, *ATTENTION, EXPERTS, ALL_REDUCE, *EXCHANGES)
}


def _spec(operator: str) -> Spec:
    if operator not in SPECS:
        raise KeyError(f"unknown operator {operator!r}; allowed: {', '.join(SPECS)}")
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
    spec = _spec(operator)
    frame = read(path) if isinstance(path, (str, os.PathLike)) else path
    table = shapes(frame, spec.columns, spec.types, unit, spec.defaults, spec.zeros)
    return possible(spec, find_device(device), table)


def fit_operator(
    operator: str,
    table: Table,
    device: str | Device,
    engine: str,
    most: int = 2500,
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

    Returns
    -------
    list of dict
        A row per type, as the catalogue's files hold them: device, engine, dtype, constants, rows,
        and mape, median, bias and band on a quarter of the combinations, left out.

    Raises
    ------
    KeyError
        For an unknown operator or device.
    """
    spec, d = _spec(operator), find_device(device)
    table = _own_rows(spec, engine, table)
    kinds = np.asarray(spec.kind(table.columns)).astype(str)
    out = []
    for kind in np.unique(kinds):
        rows = table.where(kinds == kind)
        if len(rows) < spec.fewest or spec.skip(engine, kind):
            continue
        constants, errors = fit(spec, d, kind, rows, most, spec.engine_fixed(engine))
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


def measured_tables(
    folder: str | os.PathLike[str], operator: str
) -> Iterator[tuple[str, str, str, Path]]:
    """(device, engine, version, path) of an operator's tables below ``folder/operators``."""
    names = _spec(operator).tables
    for path in sorted(Path(folder, "operators").glob("*/*/*")):
        if path.stem in names and path.suffix in (".csv", ".parquet"):
            engine, _, version = path.parent.name.partition("-")
            yield path.parent.parent.name, engine, version, path


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
    ``band_generation`` and ``band_other``: the band on a device when its constants are the geometric
    mean of those of the other devices of its generation, or of other generations.

    Raises
    ------
    KeyError, ValueError
        As `read_operator`; naming the folder if it has no such table.
    """
    spec = _spec(operator)
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
    rows, tables = [], []
    for (name, engine, kind), (version, table) in sorted(newest.items(), key=lambda item: item[0]):
        if progress and len(table) < spec.fewest:
            progress(
                f"{operator} {name} {engine} {kind}: {len(table)} shapes are too few to fit; "
                f"allowed: {spec.fewest} or more"
            )
        for row in fit_operator(operator, table, name, engine, most):
            row["version"] = version
            rows.append(row)
            tables.append(table)
            if progress:
                progress(
                    f"{operator} {name} {engine} {row['dtype']}: {row['rows']} shapes, "
                    f"mean error {row['mape']:.1%} on shapes left out"
                )
    if not rows:
        raise NoTablesError(
            f"{os.fspath(folder)} has no table of {operator} with {spec.fewest} shapes or more of a type"
        )
    _carry_over(spec, rows, tables)
    return rows


def _carry_over(spec: Spec, rows: list[dict[str, Any]], tables: list[Table]) -> None:
    """Bands of constants that come from other devices."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row, table in zip(rows, tables, strict=True):
        own = _constants.generation(find_device(row["device"]))
        alike = [r for r in rows if (r["engine"], r["dtype"]) == (row["engine"], row["dtype"])
                 and r["device"] != row["device"]]  # fmt: skip
        near = [r for r in alike if _constants.generation(find_device(r["device"])) == own]
        far = [r for r in alike if _constants.generation(find_device(r["device"])) != own]
        for name, others in (("generation", near), ("other", far)):
            if not others:
                continue
            mean = _constants.geometric_mean([r["constants"] for r in others])
            objective = Objective(spec, find_device(row["device"]), row["dtype"], mean)
            part = sample(table, 2500)
            errors = Errors.of(objective.predict(np.empty(0), part), part.time)
            row[f"mape_{name}"] = _short(errors.mape)
            found.setdefault((row["engine"], row["dtype"], name), []).append(errors.band)
    for row in rows:
        for name in ("generation", "other"):
            bands = found.get((row["engine"], row["dtype"], name))
            if bands:
                row[f"band_{name}"] = _short(max(bands))


def write_constants(
    path: str | os.PathLike[str], operator: str, rows: list[dict[str, Any]]
) -> None:
    """Write fits as a file of the catalogue: TOML, a table ``[[fit]]`` per row."""
    judged = "each quarter" if operator == "power" else "a quarter"
    lines = [
        f"# Constants of {operator}: cpp/include/tokenroof/constants.hpp names them, and the operator's",
        "# header says what they mean. Written by `python -m tokenroof.calibrate`; do not edit.",
        f"# rows: shapes fitted on; mape, median, bias, band: on {judged} of the combinations, left out;",
        "# band: four in five are within exp(+-band). mape_generation, band_generation, mape_other,",
        "# band_other: with the constants of other devices of the generation, or of other generations.",
        "",
    ]
    for row in rows:
        lines.append("[[fit]]")
        for key, value in row.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{k} = {v!r}" for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            elif isinstance(value, str):
                lines.append(f'{key} = "{value}"')
            else:
                lines.append(f"{key} = {value!r}")
        lines.append("")
    Path(path).write_text("\n".join(lines))
