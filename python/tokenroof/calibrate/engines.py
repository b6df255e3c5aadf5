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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.calibrate.fitting import Errors
from tokenroof.calibrate.points import Points
from tokenroof.inference.calibration import HOST_CONSTANTS, host_speed, resolve
from tokenroof.records.calibration import Calibration
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIELDS = {name: i for i, name in enumerate(_core.CALIBRATION_FIELDS)}
_SERVED = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}


@dataclass(frozen=True)
class Prior:
    """What is known of a constant before any serving point: its value, and two spreads of its logarithm.

    Attributes
    ----------
    value : float
        In SI units.
    spread : float
        Of what the engines share.
    between : float
        From engine to engine; 0: one value for all.
    """

    value: float
    spread: float
    between: float


#: Constants of ``_core.CALIBRATION_BLOCKS["engine"]`` that are fitted.
ENGINE_PRIORS = {
    "kernel_gap": Prior(6e-6, 0.2, 0.05),
    "collective_gap": Prior(3.5e-6, 0.4, 0.0),
    "sequence": Prior(5e-6, 0.5, 0.1),
    "prefill_kernel": Prior(45e-6, 0.4, 0.15),
    "prompt": Prior(1.3, 0.2, 0.0),
    "request": Prior(20e-3, 1.0, 0.5),
    "burst": Prior(0.08, 0.5, 0.0),
}
#: Shares of the bandwidth that operators without a measured form reach inside a step.
LINE_PRIORS = {
    "gemm_memory": Prior(0.8, 0.1, 0.0),
    "attention_decode_memory": Prior(0.8, 0.15, 0.05),
    "experts_memory": Prior(0.75, 0.1, 0.0),
    "collective_memory": Prior(0.6, 0.2, 0.0),
}
# Memory that engines leave to the cache, of what the label says (its gigabytes are 2^30 bytes, 1.068 times
# as many): vLLM 0.9 of it less weights and 2 GB, the others 0.9 of what weights and 4 GB leave.
_MEMORY = {
    "vllm": {"memory_share": 0.961, "memory_weights": 1.0, "memory_reserved": 2e9, "skew": 1.01},
    "trtllm": {
        "memory_share": 0.961,
        "memory_weights": 0.9,
        "memory_reserved": 3.6e9,
        "skew": 1.01,
    },
    "sglang": {
        "memory_share": 0.961,
        "memory_weights": 0.9,
        "memory_reserved": 3.6e9,
        "skew": 1.01,
    },
}
# Errors beyond these (as logarithms) count linearly; times to the first token weigh half.
_SOFT = (0.1, 0.2)
_WEIGHT = (1.0, 0.5)
# Shares of the datasheet stay below this.
_MOST = 0.97


class Objective:
    """Logarithms of predicted over measured times, against logarithms of constants."""

    def __init__(self, points: Points, base: Callable[[Points], list[Calibration]]) -> None:
        self.points = points
        calibrations = base(points)
        self.devices, self.records, self.models, self.plans = points.packed(calibrations)
        for row, engine in zip(self.records, points.engine, strict=True):
            for name, value in _MEMORY[engine].items():
                row[_FIELDS[f"engine.{name}"]] = value
        self.priors = {**LINE_PRIORS, **ENGINE_PRIORS}
        self.engines = sorted(set(points.engine))
        self.own = np.searchsorted(self.engines, points.engine)
        self.host = np.array([host_speed(d) for d in points.devices])
        start: list[float] = []
        spread: list[float] = []
        self.place: dict[str, int] = {}
        for name, prior in self.priors.items():
            self.place[name] = len(start)
            start += [float(np.log(prior.value))]
            spread += [prior.spread]
            if prior.between:
                start += [0.0] * len(self.engines)
                spread += [prior.between] * len(self.engines)
        self.start, self.spread = np.array(start), np.array(spread)
        _, group, size = np.unique(points.combination, return_inverse=True, return_counts=True)
        # a combination of many rows says less per row
        self.weight = np.sqrt((size[group] / size.mean()) ** -0.5)
        self._terms: dict[bytes, NDArray[np.float64]] = {}

    def values(self, name: str, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        """A constant by engine, in the order of `engines`."""
        i, n = self.place[name], len(self.engines)
        own = logs[i + 1 : i + 1 + n] if self.priors[name].between else np.zeros(n)
        out: NDArray[np.float64] = np.exp(logs[i] + own)
        # shares bend below what is possible, smoothly, so that the fit does not stall at a corner
        if name in LINE_PRIORS:
            out = out * (1.0 + (out / _MOST) ** 12) ** (-1.0 / 12)
        return out

    def predict(self, logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """TPOT and TTFT [s] of every point."""
        p = self.points
        records = self.records.copy()
        for name in self.priors:
            value = self.values(name, logs)[self.own]
            field = name if name in LINE_PRIORS else f"engine.{name}"
            records[:, _FIELDS[field]] = value * self.host if name in HOST_CONSTANTS else value
        lines = [_FIELDS[name] for name in self.priors if name in LINE_PRIORS]
        key = records[:, lines].tobytes()
        if key not in self._terms:
            if len(self._terms) > 16:
                self._terms.clear()
            self._terms[key] = kernels.serving_terms(  # type: ignore[attr-defined]
                self.devices, records, self.models, self.plans, p.concurrency, p.input_tokens,
                p.output_tokens,
            )  # fmt: skip
        out = kernels.serving_of_terms(records, self._terms[key], p.concurrency, p.output_tokens)  # type: ignore[attr-defined]
        return out[..., _SERVED["tpot"]], out[..., _SERVED["ttft"]]

    def fit(
        self, chosen: NDArray[np.bool_], start: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Least squares with a soft L1 loss, and the priors."""
        optimize = require("scipy.optimize", extra="analysis")
        measured = self.points.tpot_s[chosen], self.points.ttft_s[chosen]
        weight = self.weight[chosen]

        def residual(logs: NDArray[np.float64]) -> NDArray[np.float64]:
            parts = [(logs - self.start) / self.spread]
            for soft, w, predicted, m in zip(
                _SOFT, _WEIGHT, self.predict(logs), measured, strict=True
            ):
                r = np.log(predicted[chosen] / m) / soft
                parts.append(w * weight * np.sign(r) * np.sqrt(2.0 * (np.sqrt(1.0 + r * r) - 1.0)))
            return np.concatenate(parts)

        found = optimize.least_squares(
            residual, self.start if start is None else start, max_nfev=100, ftol=1e-7, xtol=1e-7
        )
        logs: NDArray[np.float64] = found.x
        return logs

    def left_out(
        self,
        groups: NDArray[Any],
        start: NDArray[np.float64],
        progress: Callable[[str], Any] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predictions of each group of rows by a fit without it."""
        tpot, ttft = np.empty(len(self.points)), np.empty(len(self.points))
        names = np.unique(groups)
        for i, name in enumerate(names):
            out = groups == name
            predicted = self.predict(self.fit(~out, start))
            tpot[out], ttft[out] = predicted[0][out], predicted[1][out]
            if progress:
                error = np.abs(tpot[out] / self.points.tpot_s[out] - 1.0).mean()
                progress(f"left out {i + 1} of {len(names)}, {name}: mean TPOT error {error:.1%}")
        return tpot, ttft


def _errors(name: str, errors: Errors, end: str = "") -> dict[str, float]:
    return {f"{key}_{name}{end}": round(float(getattr(errors, key)), 4)
            for key in ("mape", "median", "bias", "band")}  # fmt: skip


def pooled_band(
    error: NDArray[np.float64], engines: NDArray[Any], engine: str, level: float = 0.8
) -> float:
    """Band of an engine's points: between what holds `level` of its own and of all engines'.

    An engine has few combinations, of which a band of its own would say too much; all engines' hides that
    some are harder. The geometric mean of both covers best on combinations left out.
    """
    own = error[engines == engine]
    every = float(np.quantile(error, level))
    return float(np.sqrt(every * np.quantile(own, level))) if len(own) else every


def covered(
    predicted: NDArray[np.float64],
    measured: NDArray[np.float64],
    groups: NDArray[Any],
    engines: NDArray[Any] | None = None,
    level: float = 0.8,
) -> NDArray[np.bool_]:
    """Points within a band that is set on the other groups: of an honest one, `level` are."""
    error = np.abs(np.log(predicted / measured))
    kind = np.full(len(error), "any") if engines is None else engines
    inside = np.zeros(len(error), dtype=bool)
    for name in np.unique(groups):
        out = groups == name
        for engine in np.unique(kind[out]):
            own = out & (kind == engine)
            inside[own] = error[own] <= pooled_band(error[~out], kind[~out], str(engine), level)
    return inside


def base_calibrations(points: Points) -> list[Calibration]:
    """The catalogue's calibrations of the operators, a row each: what engines' constants stand beside."""
    pairs = zip(points.devices, points.plans, strict=True)
    return [resolve("calibrated", d, p) for d, p in pairs]


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
    """
    left = [
        "# Left out: " + ", ".join(f"{k}={v}" for k, v in rule.items()) + "." for rule in exclude
    ]
    lines = [
        "# Engines' constants (cpp/include/tokenroof/constants.hpp names them, serving.hpp says what they",
        "# mean) and shares of the bandwidth of operators without a measured form. Written by",
        "# `python -m tokenroof.calibrate`; do not edit. rows, combinations: serving points fitted on, and",
        "# their combinations of model, device and engine. mape, median, bias: of each combination by a fit",
        "# without it. band: four in five points are within exp(+-band), between the engine's own and all",
        "# engines'; _device: by fits without the device.",
        f"# Coverage of the 80 % band when set on the other combinations: TPOT {found.coverage['tpot']:.3f}, "
        f"TTFT {found.coverage['ttft']:.3f}.",
        *left,
        "",
    ]
    for row in found.rows:
        lines.append("[[fit]]")
        for key, value in row.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{k} = {v!r}" for k, v in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            else:
                lines.append(
                    f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value!r}"
                )
        lines.append("")
    Path(path).write_text("\n".join(lines))


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
    """
    combinations = points.combination
    if len(points) < 50 or len(set(combinations)) < 3:
        raise ValueError(
            f"table has {len(points)} points of {len(set(combinations))} combinations of model, device "
            "and engine; allowed: at least 50 points of 3"
        )
    objective = Objective(points, base)
    every = np.ones(len(points), dtype=bool)
    logs = objective.fit(every)
    tpot, ttft = objective.predict(logs)
    out = objective.left_out(combinations, logs, progress)
    names = np.array([d.name for d in points.devices])
    apart = objective.left_out(names, logs, progress) if len(set(names)) > 2 else out
    rows = []
    for i, engine in enumerate(objective.engines):
        own = points.engine == engine
        row: dict[str, Any] = {"engine": str(engine)}
        values = {n: float(f"{objective.values(n, logs)[i]:.4g}") for n in objective.priors}
        row["constants"] = {n: v for n, v in values.items() if n in ENGINE_PRIORS} | _MEMORY[engine]
        row["lines"] = {n: v for n, v in values.items() if n in LINE_PRIORS}
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
