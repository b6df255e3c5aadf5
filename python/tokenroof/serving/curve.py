"""Latency and throughput of one replica against concurrency."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, Unpack

from tokenroof.inference.door import deployment
from tokenroof.inference.tile_edges import edges_said
from tokenroof.serving.closed_loop import attributes, described, evaluate
from tokenroof.serving.closed_twin import CLOSED_UNITS, closed_values, known_to_loop, shape_from
from tokenroof.serving.columns import Column, Columns
from tokenroof.serving.loads import ONE_TOKEN, as_concurrency, as_power, check_length
from tokenroof.serving.open_curve import as_rates, open_table
from tokenroof.serving.open_pools import pools_table
from tokenroof.serving.room import unknown, why_not
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.system.record import System, named, refuse_beside
from tokenroof.serving.system.table import system_table
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.twin import shape_of
from tokenroof.support.arguments import check_options, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.loads import Load
    from tokenroof.serving.requests.lengths import Lengths
    from tokenroof.serving.requests.record import Requests
    from tokenroof.serving.twin import Shape

__all__ = ["columns", "curve", "table_of"]

_USERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class LoopOptions(TypedDict, total=False):
    """What a curve plays beside the load, as `curve` takes it."""

    scheduler: Scheduler | Mapping[str, Scheduler] | None
    requests: float | None


def curve(
    device: str | Device | System,
    model: str | Model | None = None,
    plan: Plan | None = None,
    input_tokens: float | Lengths = 1024,
    output_tokens: float | Lengths = 1024,
    concurrency: ArrayLike = _USERS,
    fidelity: str | Calibration = "calibrated",
    power: str = "provisioned",
    pue: float = 1.2,
    rate: ArrayLike | None = None,
    load: Requests | None = None,
    **how: Unpack[LoopOptions],
) -> xr.Dataset:
    """Latency and throughput of one replica against concurrency, or against the rate of arrivals.

    Parameters
    ----------
    device, model : str or record
        Catalogue name, or your own `Device` and `Model`; or a `System`, which stands for device and plan,
        and with a model of its own for that too.
    plan : Plan, optional
        Layout and types; by default one device in the types that the model was released in.
    input_tokens, output_tokens : float or Lengths
        Mean tokens of prompt and answer [1], or how they are distributed, which percentiles are of: a number
        is the length of all.
    concurrency : array_like, 1-d
        Requests in flight over the replica [1].
    fidelity : {"calibrated", "datasheet"} or Calibration
        Constants of the device's generation, or an upper bound on speed at the
        printed clocks, or your own.
    power : {"provisioned", "board", "chassis", "facility", "dashboard"}
        Which power ``output_tokens_per_s_per_mw`` counts: what the site sets aside per device, all in;
        the boards' by load; their servers' at the wall; that times `pue`; or the InferenceX dashboard's
        constant per device, whatever the load.
    pue : float
        Facility power over IT power [1].
    rate : array_like, 1-d, optional
        Open loop: requests that arrive at random, per second [1/s], in place of `concurrency`.
    load : Requests, optional
        Open loop with the lengths of these requests, and the spread of the gaps between them, in place of
        `input_tokens` and `output_tokens`; at their own rate, where `rate` is not given.
    scheduler : Scheduler, optional
        Whose limits hold in open loop, and for percentiles in closed loop; vLLM's newest by default. Of a
        system in open loop a mapping from its pools, or the newest of its engine.
    requests : float, optional
        Of a run that ends, all there from the start, `concurrency` of them in flight [1]: as benchmarks of
        the most throughput are run. The last wave holds fewer, and of the first one all prompts come at
        once; without it the load goes on, as a benchmark of ten requests for each one in flight has it.

    Returns
    -------
    xarray.Dataset
        Over ``concurrency``, or ``rate``, with units in ``attrs``. In open loop ``ttft_s``, ``tpot_s`` and
        ``e2e_s`` have ``p50``, ``p90`` and ``p99`` beside them (``ttft_p99_s``); ``means_hold`` and
        ``percentiles_hold`` say where they were within 10 and 20 % of simulations; at a rate that cannot be
        borne times are NaN and ``growth_per_s`` says how fast the queue grows. ``running`` is
        ``rate * (e2e_s - queue_s)`` by Little's law, and no more than there are places.
        In closed loop the same
        percentiles are of users under the scheduler, with the means that they belong to (``ttft_mean_s``,
        ``tpot_mean_s``, ``e2e_mean_s``): of these ``means_hold`` speaks, not of ``tpot_s``, ``latency_s``
        and the rates, which know nothing of the scheduler's order.
        ``ttft_s`` means two things: in closed loop it has what the engine was measured to take beside, in
        open loop it has not; ``ttft_mean_s`` is what compares with it there. Where answers are all of one
        length users keep in step, and ``percentiles_hold`` is false. Of a system in open loop none counts as
        held.
        In closed loop requests beyond the cache's memory queue, and their wait is part of ``ttft_s``.
        Where weights and one request's cache do not fit, ``fits`` is
        false, times and rates are NaN, and ``attrs["reason"]``, which is empty otherwise, says what is
        needed (`plan_that_fits` names a plan). An answer of one token has no time per token after the first:
        ``tpot_s`` and ``interactivity`` are NaN, and ``attrs["reason"]`` says so. On a device without
        ``memory_bytes`` ``fits`` is true of all and the reason says that it is not known; without ``tdp_w``,
        and without what stands for it, tokens per MW are NaN, and the reason says so, too.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `tokenroof.decode`; for prompts and answers longer than the model's ``context_max``, or than the
        scheduler takes, where either is known; in open loop (`rate`) for a replica whose memory holds no
        request, of which in closed loop ``fits`` is false.
    ImportError
        Without xarray: the extra ``analysis``.

    Notes
    -----
    ``beyond`` is true where load, model or replica lie outside what the engine's constants were fitted on;
    ``attrs["beyond"]`` says in what, and the band of TTFT is wider there. ``attrs["edges"]`` names batches
    just beyond a tile of the matrix products that yield fewer tokens a second than the full tile before.

    ``watts`` is board power by load; in open loop that of 0, 1, ... requests in flight, by how often there
    are so many. The bands of TPOT and TTFT hold four in five of the serving points of combinations of model,
    device and engine that their constants had not seen; in open loop they are of means.

    References
    ----------
    docs/inference/step-model.md, section 8.

    Examples
    --------
    >>> table = curve("H200-SXM", "Llama-3.1-8B", concurrency=[1, 64])
    >>> bool(table.output_throughput[1] > 10 * table.output_throughput[0])
    True
    >>> table = curve("H200-SXM", "Llama-3.1-8B", rate=[0.5, 4.0])
    >>> bool(table.ttft_p99_s[1] > table.ttft_p50_s[1] > table.ttft_p50_s[0])
    True
    """
    check_options("curve", how, LoopOptions)
    scheduler, requests = how.get("scheduler"), how.get("requests")
    sizes, moments = shape_from(input_tokens, output_tokens, requests)
    users = as_concurrency(concurrency)
    if isinstance(device, System):
        refuse_beside(device, plan=plan, requests=requests)
        if rate is not None or load is not None:
            _in_place(concurrency)
            shape = moments if load is None else shape_of(load)
            return _over_rates(
                device, model, shape, rate, scheduler, fidelity, *as_power(power, pue)
            )
        refuse_beside(device, scheduler=scheduler)
        return system_table(device, model, sizes, users, fidelity, *as_power(power, pue))
    on = deployment(device, named(model), plan, fidelity)
    if not isinstance(scheduler, (Scheduler, type(None))):
        raise TypeError(f"scheduler is {shown(scheduler)}; allowed: a Scheduler, or None")
    if rate is not None or load is not None:
        if requests is not None:
            raise ValueError(
                f"requests is {shown(requests)} beside a rate; allowed: None in open loop"
            )
        _in_place(concurrency)
        shape = moments if load is None else shape_of(load)
        check_length(on.model, shape.input_tokens, shape.output_tokens, scheduler)
        said = fidelity if isinstance(fidelity, str) else fidelity.name
        return open_table(on, shape, rate, scheduler, said, *as_power(power, pue))
    counted = as_power(power, pue)
    check_length(on.model, sizes.input_tokens, sizes.output_tokens, scheduler)
    ends = requests is not None
    return _closed(on, sizes, moments, users, fidelity, counted, scheduler, ends).dataset()


def columns(
    device: Device,
    model: Model,
    plan: Plan,
    input_tokens: float | Lengths,
    output_tokens: float | Lengths,
    concurrency: ArrayLike,
    fidelity: str | Calibration,
) -> Columns:
    """What `curve` says of these, without xarray.

    Parameters
    ----------
    device : Device
    model : Model
    plan : Plan
    input_tokens, output_tokens : float or Lengths
        As in `curve` [1].
    concurrency : array_like, 1-d
        Requests in flight over the replica [1].
    fidelity : str or Calibration

    Returns
    -------
    Columns
        Over ``concurrency``.

    Raises
    ------
    ValueError, TypeError
        As in `curve`.
    """
    sizes, moments = shape_from(input_tokens, output_tokens, None)
    users, on = as_concurrency(concurrency), deployment(device, model, plan, fidelity)
    check_length(on.model, sizes.input_tokens, sizes.output_tokens, None)
    return _closed(on, sizes, moments, users, fidelity, as_power("provisioned", 1.2))


def _closed(
    on: Deployment,
    sizes: Load,
    moments: Shape,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    counted: tuple[str, float],
    scheduler: Scheduler | None = None,
    ends: bool = False,
) -> Columns:
    """The table of `curve` in closed loop, of a run that goes on or ends."""
    found = _columns_of(on, sizes, users, fidelity, *counted)
    # of a run that ends, and of stages, there are means alone
    if ends or not known_to_loop(on):
        return found
    for name, values in closed_values(on, moments, users, scheduler).items():
        units, long_name = CLOSED_UNITS[name]
        found.data_vars[name] = Column(values, {"units": units, "long_name": long_name})
    return found


def _in_place(concurrency: ArrayLike) -> None:
    if concurrency is not _USERS:
        raise ValueError("concurrency is given beside a rate or a load; allowed: one of them")


def _over_rates(
    system: System,
    model: str | Model | None,
    shape: Shape,
    rate: ArrayLike | None,
    scheduler: Scheduler | Mapping[str, Scheduler] | None,
    fidelity: str | Calibration,
    power: str,
    pue: float,
) -> xr.Dataset:
    """The table of `curve` for a system in open loop."""
    one = system.replace(model=system.serves(model))
    on = OfPools(one, scheduler, shape, fidelity, {})
    return pools_table(one, on.on, on.twin, as_rates(rate, shape), fidelity, power, pue)


def table_of(
    on: Deployment,
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str,
    pue: float,
) -> xr.Dataset:
    """The table of `curve` for a deployment."""
    return _columns_of(on, load, users, fidelity, power, pue).dataset()


def _columns_of(
    on: Deployment,
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str,
    pue: float,
) -> Columns:
    values = evaluate([on], load, users, power, pue)
    reason = unknown(power, on.device) if load.gaps else ONE_TOKEN
    middle = load.input_tokens + load.output_tokens / 2.0
    return Columns(
        "concurrency",
        {name: Column(array[0], described(name)) for name, array in values.items()},
        {
            **attributes([on], load, users, fidelity, on.calibration.calibrated_on, power),
            "plan": on.plan.label(on.model),
            "reason": reason if values["fits"].any() else why_not([on], load),
            "edges": edges_said(on, values["batch"][0], middle),
        },
        {"concurrency": Column(users, {"units": "1"})},
    )
