"""Engines' constants, fitted on serving points after the operators: gaps, hosts, requests, bursts.

Engines are alike, and combinations of model, device and engine are few: each constant has a value that the
engines share, held near what such hardware takes, and each engine a deviation from it, held near zero.
Errors are those of combinations that the fit had not seen.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.calibrate.bands import covered, pooled_band
from tokenroof.calibrate.engine_objective import (
    BENCHMARK,
    ENGINE_PRIORS,
    GAP_PRIORS,
    LINE_PRIORS,
    MEMORY,
    Objective,
)
from tokenroof.calibrate.files import write_fits
from tokenroof.calibrate.fitting import Errors
from tokenroof.calibrate.points import Points
from tokenroof.inference.calibration import resolve, step_kind
from tokenroof.records.calibration import Calibration
from tokenroof.support.equality import by_value
from tokenroof.support.kinds import takes_records
from tokenroof.support.quoting import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


def base_calibrations(points: Points) -> list[Calibration]:
    """The catalogue's calibrations of the operators, a row each: what engines' constants stand beside."""
    pairs = zip(points.devices, points.plans, strict=True)
    return [resolve("calibrated", d, p) for d, p in pairs]


@by_value
@dataclass
class EngineFit:
    """Engines' constants, and predictions for every point.

    Attributes
    ----------
    rows : list of dict
        A row per engine, as the catalogue's file holds them.
    tpot_s, ttft_s : ndarray
        Predictions of the final constants [s].
    tpot_out_s, ttft_out_s : ndarray
        Predictions of each point by a fit without its combination [s].
    covered : dict
        Points within a band set on other combinations: ``tpot`` and ``ttft``.
    points : Points
        What was fitted.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> found = calibrate.fit_engines(calibrate.read_serving("end_to_end.csv"))  # doctest: +SKIP
    >>> found.rows[0]["engine"], found.coverage["tpot"]  # doctest: +SKIP
    ('sglang', 0.791)
    """

    rows: list[dict[str, Any]]
    tpot_s: NDArray[np.float64]
    ttft_s: NDArray[np.float64]
    tpot_out_s: NDArray[np.float64]
    ttft_out_s: NDArray[np.float64]
    covered: dict[str, NDArray[np.bool_]]
    points: Points

    @property
    def coverage(self) -> dict[str, float]:
        """Share of points within a band set on other combinations: ``tpot`` and ``ttft``."""
        return {name: float(inside.mean()) for name, inside in self.covered.items()}

    def summary(self) -> str:
        """Errors on combinations left out, by engine, device and model, as a table of text."""
        p = self.points
        lines = [f"{'left out, by':34}{'points':>7}{'TPOT mean':>11}{'median':>8}{'bias':>8}"
                 f"{'TTFT mean':>11}{'median':>8}{'bias':>8}"]  # fmt: skip
        keys = {
            "all": np.full(len(p), "all"), "engine": p.engine,
            "device": np.array([d.name for d in p.devices]), "model": np.array([m.name for m in p.models]),
        }  # fmt: skip
        for key in keys.values():
            for name in np.unique(key):
                own = key == name
                tpot = Errors.of(self.tpot_out_s[own], p.tpot_s[own])
                ttft = Errors.of(self.ttft_out_s[own], p.ttft_s[own])
                lines.append(
                    f"{name:34}{own.sum():7d}{tpot.mape:11.1%}{tpot.median:8.1%}{tpot.bias:+8.1%}"
                    f"{ttft.mape:11.1%}{ttft.median:8.1%}{ttft.bias:+8.1%}"
                )
        lines.append(
            "the 80 % band, set on the other combinations, covers "
            f"{self.coverage['tpot']:.1%} of TPOT and {self.coverage['ttft']:.1%} of TTFT"
        )
        for engine in np.unique(p.engine):
            tpot_in, ttft_in = (
                inside[p.engine == engine].mean() for inside in self.covered.values()
            )
            lines.append(f"  {engine}: {tpot_in:.1%} and {ttft_in:.1%}")
        return "\n".join(lines)


@takes_records
def write_engines(
    path: str | os.PathLike[str],
    found: EngineFit,
    exclude: Iterable[Mapping[str, str]] = (),
) -> None:
    """Write the fit as the catalogue's file: TOML, a table ``[[fit]]`` per engine.

    Parameters
    ----------
    path : path
    found : EngineFit
    exclude : iterable of dict
        What `read_serving` was told to leave out: the file's head says it.

    Returns
    -------
    None
        The file is replaced.

    Examples
    --------
    >>> from tokenroof import calibrate
    >>> calibrate.write_engines("engine.toml", calibrate.fit_engines(points))  # doctest: +SKIP
    """
    left = [
        "# Left out: " + ", ".join(f"{k}={v}" for k, v in rule.items()) + "." for rule in exclude
    ]
    head = [
        "# Engines' constants (tokenroof/records/constants.hpp names them, serving.hpp says what they",
        "# mean), shares of the bandwidth of operators without a measured form, and gaps of other",
        "# generations over Hopper's. Written by",
        "# `python -m tokenroof.calibrate`; do not edit. rows, combinations: serving points fitted on, and",
        "# their combinations of model, device and engine. mape, median, bias: of each combination by a fit",
        "# without it. band: four in five points are within exp(+-band), between the engine's own and all",
        "# engines'; _device: by fits without the device. fitted: least and most of load, model and replica.",
        f"# Coverage of the 80 % band when set on the other combinations: TPOT {found.coverage['tpot']:.3f}, "
        f"TTFT {found.coverage['ttft']:.3f}.",
        *left,
    ]
    write_fits(path, head, found.rows)


def _by_device(
    objective: Objective, names: NDArray[Any], logs: Any, progress: Callable[[str], None] | None
) -> Any:
    """Predictions of each device's points by the others', None for fewer than three devices."""
    return objective.left_out(names, logs, progress) if len(set(names)) > 2 else None


@takes_records
def fit_engines(
    points: Points,
    base: Callable[[Points], list[Calibration]] = base_calibrations,
    progress: Callable[[str], Any] | None = None,
) -> EngineFit:
    """Fit the constants of all engines of a table of serving points.

    Parameters
    ----------
    points : Points
        From `read_serving`.
    base : callable
        Operators' calibrations of the points; by default those of the catalogue.
    progress : callable, optional
        Called with a line per combination left out.

    Returns
    -------
    EngineFit

    Raises
    ------
    ValueError
        For fewer than 50 points, or fewer than three combinations.

    Examples
    --------
    >>> import tokenroof as tr
    >>> from tokenroof import calibrate
    >>> points = calibrate.read_serving("end_to_end.csv")  # doctest: +SKIP
    >>> calibrate.fit_engines(points).coverage["tpot"]  # doctest: +SKIP
    0.791
    """
    combinations = points.combination
    if len(points) < 50 or len(set(combinations)) < 3:
        raise ValueError(
            f"table has {counted(len(points), 'point')} of {len(set(combinations))} combinations of "
            "model, device "
            "and engine; allowed: at least 50 points of 3"
        )
    objective = Objective(points, base)
    every = np.ones(len(points), dtype=bool)
    logs = objective.fit(every)
    tpot, ttft = objective.predict(logs)
    out = objective.left_out(combinations, logs, progress)
    names = np.array([d.name for d in points.devices])
    apart = _by_device(objective, names, logs, progress) or out
    rows = []
    # before a prefill, a request alone takes what the quickest engine takes: the rest is a wait for others
    alone = float(f"{objective.values('request', logs).min():.4g}")
    for i, engine in enumerate(objective.engines):
        own = points.engine == engine
        row: dict[str, Any] = {"engine": str(engine)}
        values = {n: float(f"{objective.values(n, logs)[i]:.4g}") for n in objective.priors}
        row["constants"] = {n: v for n, v in values.items() if n in ENGINE_PRIORS} | MEMORY[engine]
        row["constants"] |= {"request_alone": alone, "request_users": fewest_users(points, own)}
        row["constants"] |= BENCHMARK
        row["lines"] = {n: v for n, v in values.items() if n in LINE_PRIORS}
        row["gaps"] = {n: v for n, v in values.items() if n in GAP_PRIORS}
        row["fitted"] = fitted_range(points, own)
        row["kinds"] = kinds_of(points, own)
        row["rows"] = int(own.sum())
        row["combinations"] = len(set(combinations[own]))
        row["devices"] = ", ".join(sorted({points.devices[k].name for k in np.flatnonzero(own)}))
        for name, measured, mine, left, far in (
            ("tpot", points.tpot_s, tpot, out[0], apart[0]),
            ("ttft", points.ttft_s, ttft, out[1], apart[1]),
        ):
            row[f"mape_{name}_in_sample"] = round(Errors.of(mine[own], measured[own]).mape, 4)
            row |= _errors(name, Errors.of(left[own], measured[own]))
            near, wide = (
                pooled_band(np.abs(np.log(x / measured)), points.engine, str(engine))
                for x in (left, far)
            )
            row[f"band_{name}"] = round(near, 4)
            row[f"band_{name}_device"] = round(max(near, wide), 4)
        row["date"] = datetime.date.today().isoformat()
        rows.append(row)
    inside = {
        "tpot": covered(out[0], points.tpot_s, combinations, points.engine),
        "ttft": covered(out[1], points.ttft_s, combinations, points.engine),
    }
    return EngineFit(rows, tpot, ttft, *out, inside, points)


def fewest_users(points: Points, own: NDArray[np.bool_]) -> float:
    """The fewest requests in flight that any of these points has [1]."""
    return float(points.concurrency[own].min())


def fitted_range(points: Points, own: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Least and most of a load, of models and of replicas that an engine's constants were fitted on."""
    rows = np.flatnonzero(own)
    columns = {
        "concurrency": points.concurrency[own],
        "input_tokens": points.input_tokens[own],
        "output_tokens": points.output_tokens[own],
        "parameters": np.array([points.models[i].parameters for i in rows], dtype=float),
        "devices": np.array([points.plans[i].devices for i in rows], dtype=float),
    }
    return {name: [float(x.min()), float(x.max())] for name, x in columns.items()}


def kinds_of(points: Points, own: NDArray[np.bool_]) -> list[str]:
    """Kinds of steps that were measured: device, types of weights and experts, dense or mixture."""
    rows = np.flatnonzero(own)
    return sorted(
        {
            step_kind(points.devices[i], points.plans[i], bool(points.models[i].experts))
            for i in rows
        }
    )


def _errors(name: str, errors: Errors, end: str = "") -> dict[str, float]:
    return {f"{key}_{name}{end}": round(float(getattr(errors, key)), 4)
            for key in ("mape", "median", "bias", "band")}  # fmt: skip
