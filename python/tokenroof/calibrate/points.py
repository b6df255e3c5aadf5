"""Measured serving points: read, checked, and mapped to records. What is wrong is named and counted."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.calibrate.benchmarks import SETTINGS, row_as_ran, settings
from tokenroof.calibrate.tables import (
    COUNTS,
    TIMES_S,
    UNIT_OF,
    none_usable,
    numbers_of,
    once,
    opened,
    refuse_beyond,
)
from tokenroof.catalogue.architectures import model as find_model
from tokenroof.catalogue.lookup import device as find_device
from tokenroof.records.calibration import Calibration
from tokenroof.records.device import Device
from tokenroof.records.model import Model
from tokenroof.records.plan import Plan
from tokenroof.support.arguments import shown
from tokenroof.support.equality import by_value
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Labels that closed-loop constants may be fitted on; rows without a label count as ``ok``.
FITTED = ("ok", "repaired")
# Our names, and those of tables.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "model": ("model_path",), "device": ("system",), "engine": ("backend",), "concurrency": (),
    "input_tokens": ("mean_input_tokens", "isl"), "output_tokens": ("mean_output_tokens", "osl"),
    "tp": (), "weights": (),
}  # fmt: skip
_OPTIONAL: dict[str, Any] = {
    "pp": 1, "dp": 1, "cp": 1, "moe_tp": None, "moe_ep": None, "experts": None, "kv_cache": "bf16",
    "label": "ok",
}  # fmt: skip
_LOADS = ("concurrency", "input_tokens", "output_tokens")
_UNITS = {"_s": 1.0, "_ms": 1e-3, "_us": 1e-6}
# A median beyond these ratios to the datasheet's time is in another unit than the column says; a row
# below the first is faster than physics allows.
_FASTEST, _SLOWEST = 0.8, 300.0


@by_value
@dataclass
class Points:
    """Serving points, one a row.

    Attributes
    ----------
    frame : pandas.DataFrame
        The rows that are left, as they were given.
    devices, models, plans : list
        Records of each row.
    concurrency, input_tokens, output_tokens : ndarray
        The load [1].
    ttft_s, tpot_s : ndarray
        What was measured [s].
    counts : dict
        Rows read, rows left out by reason, rows kept.
    settings : dict of ndarray
        How each row's benchmark ran, as constants of the engine: ``together``, ``max_batch``, ``wait_steps``
        (docs/calibrate.md).
    """

    frame: Any
    devices: list[Device]
    models: list[Model]
    plans: list[Plan]
    concurrency: NDArray[np.float64]
    input_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    counts: dict[str, int] = field(default_factory=dict)
    settings: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tpot_s)

    @property
    def combination(self) -> NDArray[Any]:
        """Model, device and engine of each row: what constants must carry over."""
        names = zip(self.models, self.devices, self.plans, strict=True)
        return np.array([f"{m.name}, {d.name}, {p.engine}" for m, d, p in names])

    @property
    def engine(self) -> NDArray[Any]:
        """Engine of each row."""
        return np.array([p.engine for p in self.plans])

    def where(self, chosen: NDArray[Any]) -> Points:
        """The rows of a mask."""
        rows = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Points(
            self.frame.iloc[rows],
            [self.devices[i] for i in rows],
            [self.models[i] for i in rows],
            [self.plans[i] for i in rows],
            self.concurrency[rows],
            self.input_tokens[rows],
            self.output_tokens[rows],
            self.ttft_s[rows],
            self.tpot_s[rows],
            dict(self.counts),
            {name: values[rows] for name, values in self.settings.items()},
        )

    def packed(self, calibrations: list[Calibration]) -> tuple[NDArray[np.float64], ...]:
        """Device, calibration, model and plan records, a row each, as kernels take them."""
        return tuple(
            np.stack([record.pack() for record in records]) if records else np.empty((0, 1))
            for records in (
                self.devices,
                calibrations,
                self.models,
                [plan.on(device) for plan, device in zip(self.plans, self.devices, strict=True)],
            )
        )


def _column(frame: Any, name: str) -> Any:
    for other in (name, *_COLUMNS.get(name, ())):
        if other in frame.columns:
            if name not in _LOADS:
                return frame[other]
            found = numbers_of(frame[other])
            refuse_beyond(frame, other, found, COUNTS)
            return found
    if name in _OPTIONAL:
        return require("pandas", extra="analysis").Series(_OPTIONAL[name], index=frame.index)
    raise ValueError(
        f"table has no column {shown(name)}; allowed names: {', '.join((name, *_COLUMNS[name]))}"
    )


def _time(frame: Any, name: str, unit: str | None) -> Any:
    found = [
        (column, scale)
        for column in (f"{prefix}{name}{end}" for prefix in ("", "silicon_") for end in _UNITS)
        if column in frame.columns
        for scale in [_UNITS["_" + column.rsplit("_", 1)[1]]]
    ]
    if len(found) != 1:
        what = f"columns {', '.join(c for c, _ in found)}" if found else f"no column of {name}"
        raise ValueError(f"table has {what}; allowed: one of {name}_s, {name}_ms, {name}_us")
    column, scale = found[0]
    if unit is not None:
        if "_" + unit not in _UNITS:
            raise ValueError(f"unit is {shown(unit)}; allowed: s, ms, us")
        scale = _UNITS["_" + unit]
    found = numbers_of(frame[column])
    refuse_beyond(frame, column, found, TIMES_S, UNIT_OF[scale], scale)
    return found.to_numpy() * scale


def _whole(value: Any) -> int | None:
    try:
        number = float(value) if value is not None else float("nan")
    except OverflowError:  # an integer that no float holds
        number = float("inf")
    if np.isnan(number):
        return None
    if not np.isfinite(number) or number != int(number):
        raise ValueError(f"{shown(value)} is not a whole number")
    return int(number)


def _word(value: Any) -> str | None:
    return None if value is None or value != value or value == "" else str(value)


def _plan(row: Mapping[str, Any]) -> Plan:
    given: dict[str, Any] = {
        n: _whole(row[n]) for n in ("tp", "pp", "dp", "cp", "moe_tp", "moe_ep")
    }
    given |= {n: _word(row[n]) for n in ("weights", "experts", "kv_cache", "engine")}
    return Plan(**{name: value for name, value in given.items() if value is not None})


def read_serving(
    path: str | os.PathLike[str] | Any,
    unit: str | None = None,
    labels: tuple[str, ...] = FITTED,
    exclude: tuple[Mapping[str, str], ...] = (),
    possible: bool = True,
) -> Points:
    """A table of serving points in closed loop, checked.

    Parameters
    ----------
    path : path or pandas.DataFrame
        A .csv or .parquet file, or its contents. Columns: model (or model_path), device (system), engine
        (backend), concurrency, input_tokens (mean_input_tokens), output_tokens (mean_output_tokens),
        tp, weights; pp, dp, cp, moe_tp, moe_ep, experts, kv_cache and label where they differ from
        `Plan`'s defaults and from ``ok``; rounds, max_batch, wait_steps or source where a benchmark ran
        otherwise than with ten requests for each one in flight; ttft_s, ttft_ms or ttft_us, and tpot
        likewise (also as silicon_ttft_ms ...).
    unit : {"s", "ms", "us"}, optional
        Of the times, if the columns' names do not say what they hold.
    labels : tuple of str
        Labels of the rows to keep.
    exclude : tuple of dict
        Rows to leave out: those that have all these values, column by column.
    possible : bool
        Leave out rows that the datasheet or the memory rule out; the unit is checked in any case.

    Returns
    -------
    Points
        ``counts`` says how many rows were left out, and why.

    Raises
    ------
    ValueError
        For missing columns, for numbers that nothing measured has, for times in a unit that physics rules
        out, or if no row is left.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"model": "Llama-3.1-8B", "device": "h200", "engine": "vllm", "concurrency": 8,
    ...        "input_tokens": 1024, "output_tokens": 1024, "tp": 1, "weights": "bf16",
    ...        "ttft_ms": 60.0, "tpot_ms": 6.5}
    >>> points = read_serving(pd.DataFrame([row]))
    >>> len(points), points.plans[0].engine
    (1, 'vllm')
    """
    frame = opened(path)
    if not frame.index.is_unique:  # of tables put together
        frame = frame.reset_index(drop=True)
    data = _columns(frame, unit)
    counts = {"rows": len(data)}
    data = _usable(data, frame, labels, exclude, counts)
    points = _mapped(data, frame, counts)
    if not len(points):
        raise none_usable(counts)
    return _possible(points, possible)


def _columns(frame: Any, unit: str | None) -> Any:
    """A table under our names, loads and times as numbers [1], [s]."""
    pandas = require("pandas", extra="analysis")
    data = pandas.DataFrame(
        {name: _column(frame, name).to_numpy() for name in (*_COLUMNS, *_OPTIONAL)},
        index=frame.index,
    )
    data["ttft"], data["tpot"] = _time(frame, "ttft", unit), _time(frame, "tpot", unit)
    return data


def _usable(
    data: Any, frame: Any, labels: tuple[str, ...], exclude: tuple[Mapping[str, str], ...],
    counts: dict[str, int],
) -> Any:  # fmt: skip
    """The rows that count; `counts` gets how many of the others there were, by reason."""

    def drop(reason: str, bad: Any) -> None:
        nonlocal data
        counts[reason] = int(bad.sum())
        data = data[~bad]

    drop("other labels", ~data["label"].isin(labels))
    drop("excluded", _excluded(frame, data.index, exclude))
    times = data[["ttft", "tpot"]]
    drop("times missing, zero or negative", ~(np.isfinite(times) & (times > 0)).all(axis=1))
    load = data[list(_LOADS)]
    drop("loads missing, zero or negative", ~(np.isfinite(load) & (load > 0)).all(axis=1))
    drop("duplicates", data.duplicated())
    return data


def _excluded(frame: Any, index: Any, exclude: tuple[Mapping[str, str], ...]) -> NDArray[np.bool_]:
    """Rows of the index that have all values of one of the rules."""
    out = np.zeros(len(index), dtype=bool)
    for rule in exclude:
        match = np.ones(len(index), dtype=bool)
        for column, value in rule.items():
            if column not in frame.columns:
                known = shown(", ".join(map(str, frame.columns)))
                raise ValueError(f"exclude names {shown(column)}; allowed: {known}")
            match &= frame.loc[index, column].astype(str).to_numpy() == value
        out |= match
    return out


def _mapped(data: Any, frame: Any, counts: dict[str, int]) -> Points:
    """Rows with their records; `counts` gets those that name what is unknown, or plans that do not fit."""
    devices, models, plans, kept = [], [], [], []
    sources = frame["source"] if "source" in frame.columns else None
    unknown: dict[str, int] = {}
    device_of, model_of = once(find_device), once(find_model)
    for index, row in zip(data.index, data.to_dict("records"), strict=True):
        try:
            device, model = (_word(row[name]) for name in ("device", "model"))
            if device is None or model is None:
                raise ValueError(f"{'device' if device is None else 'model'} missing")
            d, m = device_of(device), model_of(model)
            source = "" if sources is None else str(sources[index])
            names = {"source": source, "model": m.name, "device": d.name}
            p = _plan({**row, **row_as_ran({**dict(frame.loc[index]), **row, **names})})
            p.check(m)
        except (KeyError, ValueError, TypeError) as error:
            reason = str(error.args[0] if error.args else error)
            unknown[reason] = unknown.get(reason, 0) + 1
            continue
        devices.append(d)
        models.append(m)
        plans.append(p)
        kept.append(index)
    for reason, number in unknown.items():
        counts[reason] = number
    data = data.loc[kept]
    concurrency, input_tokens, output_tokens, ttft, tpot = (
        data[name].to_numpy(dtype=float)
        for name in ("concurrency", "input_tokens", "output_tokens", "ttft", "tpot")
    )
    return Points(
        frame.loc[kept], devices, models, plans, concurrency, input_tokens, output_tokens, ttft, tpot,
        counts, settings(_ran(frame.loc[kept], devices, models, plans), concurrency),
    )  # fmt: skip


def _ran(
    frame: Any, devices: list[Device], models: list[Model], plans: list[Plan]
) -> dict[str, NDArray[Any]]:
    """What says how a row's benchmark ran: its own columns, and those that rules ask for."""
    numbers = [name for name in (*SETTINGS, "isl", "osl") if name in frame.columns]
    found: dict[str, NDArray[Any]] = {}
    for name in numbers:
        values = numbers_of(frame[name])
        refuse_beyond(frame, name, values, COUNTS)
        found[name] = values.to_numpy()
    if "source" in frame.columns:
        found["source"] = frame["source"].to_numpy()
    return found | {
        "device": np.array([d.name for d in devices]),
        "model": np.array([m.name for m in models]),
        "engine": np.array([p.engine for p in plans]),
        "tp": np.array([p.tp for p in plans]),
        "dp": np.array([p.dp for p in plans]),
    }


def rule(text: str) -> dict[str, str]:
    """``"column=value,column=value"`` as a dict, for `read_serving`'s `exclude`.

    Raises
    ------
    ValueError
        If a part has no equals sign.

    Examples
    --------
    >>> rule("source=x,backend=sglang")
    {'source': 'x', 'backend': 'sglang'}
    """
    parts = [part.partition("=") for part in text.split(",")]
    if not all(column and equals for column, equals, _ in parts):
        raise ValueError(
            f"rule is {shown(text)}; allowed: column=value, several with commas between"
        )
    return {column: value for column, _, value in parts}


def _possible(points: Points, drop: bool) -> Points:
    """Rows that the datasheet and the memory allow; refuses a table in the wrong unit."""
    ideal = [Calibration.ideal()] * len(points)
    load = points.concurrency, points.input_tokens, points.output_tokens
    device, calibration, model, plan = points.packed(ideal)
    fields = kernels.serving(device, calibration, model, plan, *load)
    names = list(kernels.SERVING_FIELDS)
    fit = np.isfinite(fields[..., names.index("tpot")])
    good = fit.copy()
    for name, measured in (("tpot", points.tpot_s), ("ttft", points.ttft_s)):
        ratio = np.where(fit, measured / fields[..., names.index(name)], 1.0)
        median = float(np.median(ratio[fit])) if fit.any() else 1.0
        if median < _FASTEST or median > _SLOWEST:
            raise ValueError(
                f"{name} is {median:.3g} times the datasheet's bound in the median; allowed: "
                f"{_FASTEST:g} to {_SLOWEST:g}. Is the unit right? Pass unit='s', 'ms' or 'us'"
            )
        good &= ratio >= _FASTEST
    kept = points.where(good) if drop else points
    kept.counts["weights or a request beyond the memory"] = int((~fit).sum())
    kept.counts["faster than the datasheet allows"] = int((fit & ~good).sum())
    kept.counts["points"] = len(kept)
    return kept
