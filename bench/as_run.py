"""How public runs of a table were made beside what their rows say: `tokenroof.calibrate`, benchmarks.toml."""

from __future__ import annotations

import numpy as np
import pandas as pd

import tokenroof as tr
from recipes import read_recipes, sequences_of
from tokenroof.calibrate.benchmarks import row_as_ran, settings


def as_run(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the types and the layout that ran, and how: ``together``, ``wait_steps`` and ``max_batch``.

    These are the share of requests that start at once, steps that prompts are held for, and sequences that an
    engine takes.

    And ``sequences`` that each decode replica was told to take at most, by the table's own column or by a
    public recipe (`recipes.txt`); NaN where neither says.
    """
    rows = frame.copy()
    names = {
        "source": rows.source.astype(str), "engine": rows.backend.astype(str),
        "model": rows.model_path.map(_model), "device": rows.system.map(_device),
    }  # fmt: skip
    _lay_out(rows, names)
    columns = {name: values.to_numpy() for name, values in names.items()}
    columns |= {name: rows[name].to_numpy(dtype=float) for name in ("tp", "dp", "isl", "osl")}
    for name, values in settings(columns, rows.concurrency.to_numpy(dtype=float)).items():
        rows[name] = values
    if "sequences" not in rows:
        rows["sequences"] = np.nan
    if "mode" in rows:
        recipes = read_recipes()
        told = [sequences_of(row, recipes) for _, row in rows.iterrows()]
        rows["sequences"] = rows.sequences.fillna(pd.Series(told, rows.index, dtype=float))
    return rows


def _lay_out(rows: pd.DataFrame, names: dict[str, pd.Series]) -> None:
    """Types and layouts as they ran, in place, where rows do not say theirs."""
    for i in range(len(rows)):
        own = {name: values.iloc[i] for name, values in names.items()}
        for name, value in row_as_ran({**dict(rows.iloc[i]), **own}).items():
            rows.iloc[i, rows.columns.get_loc(name)] = value


def _model(name: str) -> str:
    try:
        return tr.model(name).name
    except (KeyError, ValueError):
        return name


def _device(name: str) -> str:
    try:
        return tr.device(name).name
    except (KeyError, ValueError):
        return name


def ran(rows: pd.DataFrame, wait_steps: float | None = 0.0) -> tr.Calibration:
    """The catalogue's constants, for a load that starts as these runs did; with prompts held for so many
    steps, or by None as the one row says, which says too how many sequences its engine takes."""
    shared = "together", "locked", "room"
    engine = {n: float(np.median(rows[n].to_numpy(dtype=float))) for n in shared}
    if wait_steps is None:
        engine |= {n: float(rows[n].iloc[0]) for n in ("wait_steps", "max_batch")}
    elif wait_steps:
        engine["wait_steps"] = wait_steps
    return tr.Calibration(constants={"engine": engine})
