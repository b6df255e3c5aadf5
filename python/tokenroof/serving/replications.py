"""The same load drawn again and again, each draw played by the scheduler: a summary a draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

import numpy as np

from tokenroof import _core
from tokenroof.inference.door import deployment
from tokenroof.scale.datasets import dataset, stored
from tokenroof.scale.grid import Grid, chunked
from tokenroof.scale.reductions.rows import Rows
from tokenroof.scale.run import keep, reduced
from tokenroof.scale.work import Variable, mark_of
from tokenroof.serving.requests.given import as_requests
from tokenroof.serving.simulation.simulate import Options, simulate
from tokenroof.serving.slo import SLO
from tokenroof.support.arguments import check_options, count, reals, shown, whole_number
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import os

    import xarray as xr
    from distributed import Client
    from numpy.typing import NDArray

    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.scale.reductions.tables import Reduction
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.simulation.result import Simulation
    from tokenroof.serving.simulation.scheduler import Scheduler

    Load = Callable[[int], "Mapping[str, Any] | Requests"]

__all__ = ["ReplicateOptions", "replicate"]

#: Runs of a chunk where nobody says how many.
_CHUNK = 16
_PARTS = (50.0, 90.0, 99.0)
_STATES = ("stable", "backlogged", "overloaded", "stuck", "unknown")


class ReplicateOptions(TypedDict, total=False):
    """What `replicate` takes beside its first arguments; documented there."""

    slo: SLO | None
    percentiles: Sequence[float]
    chunks: int | None
    client: Client | str | int | None
    store: str | os.PathLike[str] | None
    reduce: Reduction | None
    progress: Callable[[int, int], Any] | None
    simulation: Mapping[str, Any]


@dataclass(frozen=True)
class _Runs:
    """Runs by number: each of the load that its seed draws."""

    given: tuple[Any, Any, Any]
    load: Load
    scheduler: Scheduler | None
    seed: int
    options: dict[str, Any]
    asked: tuple[SLO | None, tuple[float, ...]]
    first: dict[str, float] = field(repr=False)
    said: str
    grid: Grid

    @property
    def attrs(self) -> Mapping[str, Any]:
        return {}

    @property
    def coords(self) -> dict[str, tuple[Any, dict[str, Any]]]:
        seeds = np.arange(self.seed, self.seed + self.grid.points)
        return {"replication": (seeds, {"units": "1", "long_name": "seed of its load"})}

    @property
    def variables(self) -> dict[str, Variable]:
        """Numbers of a run's summary, and its verdict."""
        found = {name: Variable("float64") for name in self.first}
        flags = {"flag_values": list(range(len(_STATES))), "flag_meanings": " ".join(_STATES)}
        return found | {"state": Variable("uint8", flags)}

    def mark(self) -> str:
        return self.said

    def compute(self, block: tuple[slice, ...]) -> dict[str, NDArray[Any]]:
        """Runs of a block, each by itself: what it gives does not depend on who is beside it."""
        rows = [self.first if k == 0 else self.run(k) for k in range(block[0].start, block[0].stop)]
        return {
            name: np.array([row[name] for row in rows], dtype=v.dtype)
            for name, v in self.variables.items()
        }

    def run(self, k: int) -> dict[str, float]:
        """Numbers of run `k`."""
        played = simulate(
            *self.given, as_requests(self.load(self.seed + k)), self.scheduler, threads=1,
            **self.options,
        )  # fmt: skip
        return _numbers(cast("Simulation", played), *self.asked)


def _numbers(run: Simulation, slo: SLO | None, percentiles: tuple[float, ...]) -> dict[str, float]:
    """A run's summary with a name a number, and its verdict."""
    found: dict[str, float] = {}
    for name, value in run.summary(slo, percentiles).items():
        if isinstance(value, dict):
            found |= {f"{name}_{part}": float(number) for part, number in value.items()}
        else:
            found[name] = float(value)
    return found | {"state": float(_STATES.index(run.verdict.state))}


def replicate(
    device: str | Device | None,
    model: str | Model | None,
    plan: Plan | None,
    load: Load,
    replications: int,
    scheduler: Scheduler | None = None,
    seed: int = 0,
    **options: Unpack[ReplicateOptions],
) -> xr.Dataset:
    """Draw a load again and again, play the scheduler over each draw, and keep a summary of each.

    What one run says of a percentile is one draw of it; many say how far it may be off. Each run is played by
    itself, so that it has the same bits whatever is beside it, on any number of workers; with a store a run
    that was killed goes on (docs/scale.md).

    Parameters
    ----------
    device, model, plan, scheduler
        As in `simulate`.
    load : callable
        What a seed draws: a function of one integer that gives requests, such as
        ``lambda seed: tr.serving.poisson(2.0, requests=1000, seed=seed)``. With a client it has to pickle.
    replications : int
        Draws [1].
    seed : int
        Of the first; the others count on from it.
    slo : SLO, optional
        Whose bounds goodput counts.
    percentiles : sequence of float
        Which, from 0 to 100; 50, 90 and 99 by default.
    simulation : mapping, optional
        Options of `simulate`: ``{"replicas": 4, "router": "least_loaded"}``.
    chunks : int, optional
        Runs of a chunk [1]; 16 by default.
    client, store, progress : optional
        As in `tokenroof.sweep`, with runs in place of points.
    reduce : reduction of `tokenroof.scale`, optional
        What is wanted in place of all runs, such as ``tr.scale.Quantiles("ttft_s_p99", "replication")``.

    Returns
    -------
    xarray.Dataset
        Over ``replication``, whose coordinate is the seed: numbers of `summary`, those of its inner
        dictionaries as ``ttft_s_p99``, and ``state``, the verdict as a number with its meanings in
        ``attrs``. With a store, Dask arrays that read it; of a reduction, what it hands out.

    Raises
    ------
    KeyError, ValueError, TypeError
        As `simulate` and `summary`; for an option that is not allowed; for a store that holds other runs.
    OSError
        For a store that cannot be written; what is kept stays.
    KeyboardInterrupt
        At Ctrl-C; what is kept stays.
    ImportError
        Without xarray: the extra ``analysis``; without Dask, Zarr or PyArrow: ``cluster``.

    Examples
    --------
    >>> from tokenroof.serving import Scheduler, StepTime, poisson
    >>> def load(seed):
    ...     return poisson(20.0, requests=200, input_tokens=100, output_tokens=8, seed=seed)
    >>> knobs = Scheduler.preset("vllm-0.33", num_blocks=1000, loop="sync")
    >>> line = {"step_time": StepTime(2_000_000, per_token_ns=10_000)}
    >>> runs = replicate(None, None, None, load, 8, knobs, simulation=line)
    >>> runs.ttft_s_p99.dims, bool((runs.answered == 200).all()), bool(runs.ttft_s_p99.std() > 0)
    (('replication',), True, True)
    """
    check_options("replicate", options, ReplicateOptions)
    require("xarray", extra="analysis")
    if not callable(load):
        raise TypeError(f"load is {shown(load)}; allowed: a function of a seed that gives requests")
    progress = options.get("progress")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {shown(progress)}; allowed: a function or None")
    many, start = count("replications", replications), whole_number("seed", seed, 0, 2**63 - 2**53)
    grid = chunked(("replication",), (many,), options.get("chunks", _CHUNK))
    played = dict(options.get("simulation") or {})
    check_options("replicate", played, Options)
    percentiles = tuple(np.atleast_1d(reals("percentiles", options.get("percentiles", _PARTS))))
    given: tuple[Any, Any, Any] = (device, model, plan)
    said: list[Any] = [scheduler, sorted(map(repr, played.items())), percentiles, start, many]
    if device is not None or played.get("step_time") is None:
        on = deployment(device, model, plan, played.get("fidelity", "calibrated"))  # type: ignore[arg-type]
        given = (on.device, on.model, on.plan)
        if on.calibration.stands_alone:
            played["fidelity"] = on.calibration
        said += [record.tolist() for record in on.records]
    work = _Runs(
        given, load, scheduler, start, played, (options.get("slo"), percentiles), {}, "", grid
    )
    first = as_requests(load(start))
    said += [repr(options.get("slo")), first.arrival_ns.tolist(), first.input_tokens.tolist()]
    work = replace(
        work, first=work.run(0), said=mark_of("runs", _core.build_config()["version"], said)
    )
    return _answer(work, options)


def _answer(work: _Runs, options: Mapping[str, Any]) -> xr.Dataset:
    """All runs, in memory, in a store, or what a reduction makes of them."""
    ways = {"client": options.get("client"), "progress": options.get("progress")}
    reduction, store = options.get("reduce"), options.get("store")
    if reduction is not None:
        found: xr.Dataset = reduction.finish(work, reduced(work, reduction, store=store, **ways))
        return found
    if store is not None:
        return dataset(work, stored(keep(work, store=store, **ways)), {})
    rows = reduced(work, Rows(), **ways)
    return dataset(work, {name: rows[name] for name in work.variables}, {})
