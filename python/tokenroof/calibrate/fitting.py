"""Robust fits of few positive constants over the library's own kernels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.calibrate.specs import Spec
from tokenroof.calibrate.tables import Table
from tokenroof.records.calibration import Calibration
from tokenroof.support.kinds import takes_records
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tokenroof.records.device import Device

_FIELDS = {name: i for i, name in enumerate(_core.CALIBRATION_FIELDS)}
# Residuals beyond this (as a logarithm of model over measured) count linearly: kernel artefacts exist.
_SOFT = 0.1


@dataclass(frozen=True)
class Errors:
    """Of predictions against measurements.

    Attributes
    ----------
    mape, median, bias, band : float
        Mean and median of ``|model/measured - 1|``, median of ``model/measured - 1``, and the
        four-in-five quantile of ``|log(model/measured)|`` [1].

    Examples
    --------
    >>> import numpy as np
    >>> found = Errors.of(np.array([1.1, 0.9, 1.0]), np.ones(3))
    >>> round(found.mape, 6), round(found.median, 6), round(found.bias, 6)
    (0.066667, 0.1, 0.0)
    """

    mape: float
    median: float
    bias: float
    band: float

    @classmethod
    def of(cls, model: NDArray[np.float64], measured: NDArray[np.float64]) -> Errors:
        """Of two arrays of times."""
        error = model / measured - 1.0
        return cls(
            float(np.mean(np.abs(error))),
            float(np.median(np.abs(error))),
            float(np.median(error)),
            float(np.quantile(np.abs(np.log(model / measured)), 0.8)),
        )


class Objective:
    """Predictions of one operator for constants as a vector of logarithms.

    Examples
    --------
    >>> import tokenroof as tr
    >>> from tokenroof.calibrate import SPECS
    >>> one = Objective(SPECS["gemm"], tr.device("H100-SXM"), "bf16 dense", {"t0": 1e-6})
    >>> "t0" in one.free, "memory" in one.free
    (False, True)
    """

    @takes_records
    def __init__(
        self, spec: Spec, device: Device, kind: str, given: Mapping[str, float] | None = None
    ) -> None:
        self.spec = spec
        self.fixed = spec.fixed(kind) | dict(given or {})
        self.ranges = {**spec.constants, **spec.narrower(kind)}
        self.free = [name for name in spec.constants if name not in self.fixed]
        self.device = device.pack()
        self.record = Calibration(constants={spec.operator: self.fixed}).pack()
        self.record[_FIELDS["form"]] = 1.0
        self.places = np.array([_FIELDS[f"{spec.operator}.{n}"] for n in self.free], dtype=int)
        for name, value in self.fixed.items():
            self.record[_FIELDS[f"{spec.operator}.{name}"]] = value
        self.kernel: Any = getattr(kernels, spec.kernel)

    def predict(self, logs: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
        """Times [s]."""
        return self._times(logs, self.spec.arguments(table.columns))

    def _times(self, logs: NDArray[np.float64], arguments: tuple[Any, ...]) -> NDArray[np.float64]:
        record = self.record.copy()
        record[self.places] = np.exp(logs)
        fields = self.kernel(self.device, record, *arguments)
        times: NDArray[np.float64] = fields[..., 0]
        return times

    def constants(self, logs: NDArray[np.float64]) -> dict[str, float]:
        """All constants by name, rounded to the digits that a fit has."""
        values = dict(zip(self.free, np.exp(logs), strict=True)) | self.fixed
        return {name: float(f"{values[name]:.4g}") for name in self.spec.constants}

    def start(self) -> NDArray[np.float64]:
        """Logarithms to start from."""
        return np.log([self.spec.constants[name].start for name in self.free])

    def fit(self, table: Table, evaluations: int = 80) -> NDArray[np.float64]:
        """Least squares of log(model / measured) with a soft L1 loss."""
        optimize = require("scipy.optimize", extra="analysis")
        low = np.log([self.ranges[name].low for name in self.free])
        high = np.log([self.ranges[name].high for name in self.free])
        measured = table.time

        start = self.start()
        arguments = self.spec.arguments(table.columns)
        weight = self.spec.prior * np.sqrt(len(table))

        def residual(logs: NDArray[np.float64]) -> NDArray[np.float64]:
            error = np.log(self._times(logs, arguments) / measured)
            return np.append(error, weight * (logs - start)) if weight else error

        draws = np.random.default_rng(0)
        best: Any = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for i in range(self.spec.starts):
                step = 0.6 * draws.standard_normal(len(start)) if i else 0.0
                found = optimize.least_squares(
                    residual, np.clip(start + step, low + 1e-6, high - 1e-6), bounds=(low, high),
                    loss="soft_l1", f_scale=_SOFT, max_nfev=evaluations,
                )  # fmt: skip
                if best is None or found.cost < best.cost:
                    best = found
        logs: NDArray[np.float64] = best.x
        return np.where(self.told(logs, table), logs, np.clip(start, low, high))

    def told(self, logs: NDArray[np.float64], table: Table) -> NDArray[np.bool_]:
        """Constants that some row's time depends on: others would be left where a random start put them."""
        times, start = self.predict(logs, table), self.start()
        out = np.ones(len(logs), dtype=bool)
        for i in range(len(logs)):
            moved = logs.copy()
            moved[i] = start[i]
            out[i] = logs[i] == start[i] or bool((self.predict(moved, table) != times).any())
        return out


def sample(table: Table, most: int, seed: int = 0) -> Table:
    """At most so many rows, drawn at random."""
    if len(table) <= most:
        return table
    chosen = np.random.default_rng(seed).choice(len(table), most, replace=False)
    return table.where(np.sort(chosen))


# Of types of which only rows that outlast the host count: those longer than so many times the first quartile
# of all times, which is the host's, and so many of them.
_HOSTS, _OUTLASTING = 2.0, 1000


def device_bound(spec: Spec, engine: str, kind: str, table: Table) -> Table:
    """The rows of one type without those on the launching host's time; none if few outlast it."""
    if not len(table) or not spec.outlasting(engine, kind):
        return table
    kept = table.where(table.time > _HOSTS * np.quantile(table.time, 0.25))
    return kept if len(kept) >= _OUTLASTING else table.where(np.zeros(len(table), dtype=bool))


def split(table: Table, by: tuple[str, ...], share: float = 0.25, seed: int = 0) -> NDArray[Any]:
    """Mask of the rows that are left out: whole combinations of some columns."""
    keys = np.stack([table.columns[name].astype(float) for name in by], axis=1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    groups = int(group.max()) + 1
    if groups < 4:
        return np.random.default_rng(seed).random(len(table)) < share
    out = np.random.default_rng(seed).permutation(groups)[: max(1, round(share * groups))]
    return np.isin(group, out)


# Rows on which choices are compared.
_CHOICE_ROWS = 800


def choose(
    spec: Spec, device: Device, kind: str, table: Table, given: Mapping[str, float]
) -> Objective:
    """The objective with the best of the spec's choices, and what is given besides."""
    part = sample(table, _CHOICE_ROWS, seed=2)
    best, least = None, np.inf
    choices = spec.choices(kind)
    for choice in choices:
        objective = Objective(spec, device, kind, {**choice, **given})
        if len(choices) == 1:
            return objective
        error = np.log(objective.predict(objective.fit(part, 40), part) / part.time) / _SOFT
        loss = float(np.mean(np.sqrt(1.0 + error * error)))
        if best is None or loss < least:
            best, least = objective, loss
    assert best is not None
    return best


def fit(
    spec: Spec,
    device: Device,
    kind: str,
    table: Table,
    most: int = 2500,
    given: Mapping[str, float] | None = None,
) -> tuple[dict[str, float], Errors]:
    """Constants from all rows, and the errors on a quarter of the combinations when it is left out."""
    objective = choose(spec, device, kind, table, given or {})
    out = split(table, spec.held_out)
    errors = Errors(np.nan, np.nan, np.nan, np.nan)
    if out.any() and not out.all():
        judged = objective.fit(sample(table.where(~out), most))
        left = table.where(out)
        errors = Errors.of(objective.predict(judged, left), left.time)
    return objective.constants(objective.fit(sample(table, most, seed=1))), errors
