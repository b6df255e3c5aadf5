"""Host time per step and a factor of the step from one recorded run, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from tokenroof.inference.door import as_device, as_model, as_plan
from tokenroof.inference.step import decode
from tokenroof.serving.recorded.dilated import dilated
from tokenroof.serving.recorded.fitted import RunFit
from tokenroof.serving.recorded.run import Recorded, recorded_run
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.support.arguments import check_options, count, shown, whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.simulation.result import Simulation

    Array = NDArray[np.float64]

__all__ = ["FitOptions", "calibrate_run"]

_BLOCKS = 24  # of requests that arrive behind one another: the units of the bootstrap
_RESAMPLES = 2000
# Drawn at 95 %, as what replays' own schedules add is not in the groups: nine in ten truths lay inside.
_SHARE = 0.95
_ROUNDS = 12
_DIFFERENCE = (
    0.2  # of factor and step, for slopes: wide, as replays jump from one schedule to another
)
_DONE = 3e-4
# A factor that is not known within this is not one.
_WIDEST = 0.5
# Student's t of some 20 degrees of freedom over the normal's quantile.
_T = 2.086 / 1.96


class FitOptions(TypedDict, total=False):
    """What `calibrate_run` takes beside its first arguments; documented there."""

    scheduler: Scheduler | None
    fidelity: str | Calibration
    replicas: int
    router: str
    signal_age_s: float
    seed: int
    progress: Callable[[int, int], Any] | None


def calibrate_run(
    requests: Mapping[str, Any] | NDArray[Any] | pd.DataFrame,
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    **options: Unpack[FitOptions],
) -> RunFit:
    """Fit the host's time of a step, and a factor of the step, on one short recorded run.

    The run's requests are played again and again, with steps of factor * (step kernels) + host, until times
    to the first token and from there to the last are those that were recorded: by least squares of their
    logarithms, over 24 groups of requests that arrived behind one another, large errors counting less.
    Intervals are the bootstrap's over these groups: what requests of a time have in common is in them.

    Parameters
    ----------
    requests : mapping of arrays, DataFrame of pandas or polars, or structured ndarray
        ``arrival``, ``first_token``, ``last_token`` [s, of one clock], ``input_tokens``, ``output_tokens``
        [1], an entry a request, at least 64; or records as `simulate` and `summary` have them (``arrival_s``,
        ``first_token_s``, ``last_token_s``).
    device, model, plan
        What it ran on, as in `simulate`.
    scheduler : Scheduler
        How the engine was set; the newest preset of vLLM by default. Its ``host_ns`` is the raw one's.
    fidelity : {"calibrated", "datasheet"} or Calibration
    replicas, router, signal_age_s
        As in `simulate`.
    seed : int
        Of the bootstrap.
    progress : callable
        Called with rounds done and the most there are.

    Returns
    -------
    RunFit
        With which `simulate` and `curve` are run raw and calibrated.

    Raises
    ------
    KeyError, ValueError, TypeError
        For a name or an entry that is not allowed; for a run that is too short, whose requests do not tell
        the factor within 50 %, or whose tokens come faster than the datasheet's bound of one user's step.

    References
    ----------
    Künsch, The jackknife and the bootstrap for general stationary observations, Annals of Statistics
    17, 1989.

    Examples
    --------
    >>> from tokenroof.serving.requests.arrivals import poisson
    >>> from tokenroof.serving.simulation.simulate import simulate
    >>> load = poisson(8.0, requests=200, input_tokens=500, output_tokens=100)
    >>> run = simulate(
    ...     "H200-SXM", "Llama-3.1-8B", None, load, Scheduler.preset("vllm-0.33", host_ns=2_000_000)
    ... )
    >>> fit = calibrate_run(run.requests, "H200-SXM", "Llama-3.1-8B")
    >>> abs(fit.factor - 1.0) < 0.1, abs(fit.host_s - 0.002) < 0.001
    (True, True)
    """
    check_options("calibrate_run", options, FitOptions)
    seen = recorded_run(requests)
    scheduler = options.get("scheduler") or Scheduler.preset("vllm-0.33")
    if not isinstance(scheduler, Scheduler):
        raise TypeError(f"scheduler is {shown(scheduler)}; allowed: a Scheduler, or None")
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    played: dict[str, Any] = {
        name: options[name]
        for name in ("fidelity", "replicas", "router", "signal_age_s")
        if name in options
    }
    count("replicas", options.get("replicas", 1))
    seed = whole_number("seed", options.get("seed", 0), 0, 2**64 - 1)
    d, m = as_device(device), as_model(model)
    where = d, m, as_plan(plan, m)

    def play(factor: float, host_s: float) -> Simulation:
        return dilated(factor, host_s, *where, seen.load, scheduler, played)

    alone = decode(*where, batch=1, context=1, fidelity="datasheet")
    seen.refuse_faster_than(float(alone.time_s))
    raw_host = 1e-9 * float(scheduler.config.get("host_ns") or 0)
    fit = _Fit(seen, play, raw_host)
    fit.search(progress)
    low, high = fit.intervals(seed)
    if not high[0] - low[0] < 2.0 * _WIDEST * fit.at[0]:
        raise ValueError(
            f"requests tell the factor between {low[0]:.3g} and {high[0]:.3g} alone, a run too "
            f"short; allowed: a longer one, or one whose load varies more{seen.unit_hint()}"
        )
    return RunFit(
        float(fit.at[0]), (float(low[0]), float(high[0])), float(fit.at[1]), (float(low[1]), float(high[1])),
        raw_host, where[0], where[1], where[2], scheduler, dict(played), seen.records, fit.raw.requests,
        fit.best.requests,
    )  # fmt: skip


class _Fit:
    """Gauss and Newton on what groups of requests are off by."""

    def __init__(
        self, seen: Recorded, play: Callable[[float, float], Simulation], raw_host: float
    ) -> None:
        self.seen, self.play = seen, play
        self.raw = self.best = play(1.0, raw_host)
        totals = self.raw.totals
        self.step_s = 1e-9 * float(totals["busy_ns"]) / max(float(totals["steps"]), 1.0)
        groups = min(_BLOCKS, len(seen.many) // 8)
        self.group = np.arange(len(seen.many)) * groups // len(seen.many)
        self.groups = groups
        self.at = np.array([1.0, raw_host])
        self.off = self.slope = np.empty(0)
        self.moved = np.zeros(2)
        self.slopes: list[Array] = []
        self.weight = np.ones(2 * groups)

    def errors(self, run: Simulation) -> tuple[Array, Array]:
        """By request, logarithms of simulated over recorded: to the first token, from there to the last."""
        made = run.requests
        done = made["status"] == "done"
        with np.errstate(invalid="ignore", divide="ignore"):
            first = np.log((made["first_token_ns"] - made["arrival_ns"]) * 1e-9 / self.seen.first_s)
            rest = np.log(
                (made["last_token_ns"] - made["first_token_ns"]) * 1e-9 / self.seen.decode_s
            )
        several = self.seen.many & done & np.isfinite(rest)
        return np.where(done & np.isfinite(first), first, np.nan), np.where(several, rest, np.nan)

    def grouped(self, run: Simulation, bounds: Array) -> Array:
        """Means by group of both, errors beyond the bounds counted as these."""
        found = []
        for error, bound in zip(self.errors(run), bounds, strict=True):
            known = ~np.isnan(error)
            kept = np.clip(error[known], -bound, bound)
            many = np.bincount(self.group[known], minlength=self.groups)
            total = np.bincount(self.group[known], kept, minlength=self.groups)
            found.append(np.where(many > 0, total / np.maximum(many, 1), 0.0))
        return np.concatenate(found)

    def search(self, progress: Callable[[int, int], Any] | None) -> None:
        bounds = np.full(2, 3.0)
        best = np.inf
        for rounds in range(_ROUNDS):
            spread = [_deviation(error) for error in self.errors(self.best)]
            bounds = np.array([max(2.5 * s, 0.05) for s in spread]) if rounds > 2 else bounds
            self.off = self.grouped(self.best, bounds)
            half = self.groups
            scale = [max(_deviation(self.off[:half]), 2e-3), max(_deviation(self.off[half:]), 1e-3)]
            self.weight = np.repeat(1.0 / np.square(scale), half)
            self.slope = self._pooled(self._slopes(bounds) * self._unit(), rounds) / self._unit()
            step = self._solve(self.off, self.slope, self.weight)
            now = float(self.weight @ np.square(self.off))
            self.moved = np.abs(step)
            self._go(step)
            if progress is not None:
                progress(rounds + 1, _ROUNDS)
            if float(np.max(self.moved / self._unit())) < _DONE or abs(best - now) < 1e-12 * now:
                break
            best = now
        self.off = self.grouped(self.best, bounds)

    def _pooled(self, slope: Array, rounds: int) -> Array:
        """Slopes in units of the parameters, the mean of all rounds but the first two: replays are rough."""
        self.slopes = [*self.slopes, slope] if rounds > 1 else [slope]
        return np.asarray(np.mean(self.slopes, axis=0), np.float64)

    def _unit(self) -> Array:
        return np.array([self.at[0], self.step_s])

    def _slopes(self, bounds: Array) -> Array:
        columns = []
        for which in range(2):
            reach = _DIFFERENCE * self._unit()[which]
            ends = []
            for sign in (1.0, -1.0):
                there = self.at.copy()
                there[which] = max(there[which] + sign * reach, 0.0)
                ends.append((there[which], self.grouped(self.play(*there.tolist()), 4.0 * bounds)))
            (a, high), (b, low) = ends
            columns.append((high - low) / (a - b))
        return np.stack(columns, 1)

    def _solve(self, off: Array, slope: Array, weight: Array) -> Array:
        """The step of least squares, in units of the parameters; a host below 0 is 0."""
        unit = self._unit()
        scaled = slope * unit
        normal = scaled.T @ (scaled * weight[:, None])
        normal += 1e-9 * np.trace(normal) * np.eye(2)
        step = -np.linalg.solve(normal, scaled.T @ (weight * off)) * unit
        if self.at[1] + step[1] < 0.0:
            step[1] = -self.at[1]
            left = off + slope[:, 1] * step[1]
            step[0] = -float(slope[:, 0] @ (weight * left)) / float(
                slope[:, 0] @ (weight * slope[:, 0])
            )
        return np.asarray(step, np.float64)

    def _go(self, step: Array) -> None:
        """Along a step, not further than a factor of two at once."""
        most = 0.5 * np.array([self.at[0], self.at[1] + self.step_s])
        reach = max(float(np.max(np.abs(step) / most)), 1.0)
        self.at = np.maximum(self.at + step / reach, [1e-3, 0.0])
        self.best = self.play(*self.at.tolist())

    def intervals(self, seed: int) -> tuple[Array, Array]:
        """Nine in ten of what groups drawn again would have given, and the last step of the search."""
        random = np.random.Generator(np.random.Philox(key=np.array([seed, 71], np.uint64)))
        half, found = self.groups, np.empty((_RESAMPLES, 2))
        base = self._solve(self.off, self.slope, self.weight)
        for row in found:
            drawn = random.integers(0, half, half)
            both = np.concatenate([drawn, drawn + half])
            row[:] = self._solve(self.off[both], self.slope[both], self.weight[both]) - base
        wide = _T * np.sqrt(half / (half - 2.0))
        tails = 50.0 * (1.0 - _SHARE)
        low, high = np.percentile(found * wide, [tails, 100.0 - tails], axis=0)
        rest = np.maximum(self.moved, _DONE * self._unit())  # what the search left
        return (
            np.maximum(self.at + np.minimum(low, 0.0) - rest, 0.0),
            self.at + np.maximum(high, 0.0) + rest,
        )


def _deviation(values: Array) -> float:
    known = values[~np.isnan(values)]
    if not known.size:
        return 0.0
    return float(1.4826 * np.median(np.abs(known - np.median(known))))
