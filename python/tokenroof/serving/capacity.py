"""The most load of a replica or a system that meets an objective."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack, cast

import numpy as np

from tokenroof.inference.door import deployment
from tokenroof.serving.closed_loop import evaluate
from tokenroof.serving.closed_twin import shape_from
from tokenroof.serving.curve import table_of
from tokenroof.serving.loads import as_load, as_power, check_length, refuse_gaps
from tokenroof.serving.open_capacity import PERCENTILES, nearest_miss, open_at, open_capacity
from tokenroof.serving.open_pools import pools_at
from tokenroof.serving.slo import SLO
from tokenroof.serving.system.record import System, named, refuse_beside
from tokenroof.serving.system.table import system_table
from tokenroof.serving.tuning.proved import ProofOptions, proved, with_proof
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.tuning.tune import beside
from tokenroof.serving.twin import twin_of
from tokenroof.support.arguments import check_options, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.loads import Load
    from tokenroof.serving.requests.lengths import Lengths
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.tuning.proved import Sizes
    from tokenroof.serving.twin import Shape

__all__ = ["capacity"]


# Replicas are not asked to hold more requests in flight than this.
_MOST_REQUESTS = 2.0**24


def capacity(
    device: str | Device | System,
    model: str | Model | None,
    plan: Plan | None,
    slo: SLO,
    input_tokens: float | Lengths = 1024,
    output_tokens: float | Lengths = 1024,
    fidelity: str | Calibration = "calibrated",
    power: str = "provisioned",
    pue: float = 1.2,
    prove: bool = False,
    **proof: Unpack[ProofOptions],
) -> xr.Dataset:
    """The most load of a replica or system that meets an objective: requests in flight, or arrivals a second.

    Both times grow with the requests in flight, so the most is found by halving an interval of whole
    numbers. No more than 2**24 = 16,777,216 requests are looked at: an objective that these meet has that
    answer. ``attrs["caveat"]`` says how many of them have a place where TPOT alone is bounded, which a queue
    does not change.

    Parameters
    ----------
    device, model, plan, input_tokens, output_tokens, fidelity, power, pue
        As in `curve`; a `System` in place of device and plan: its counts stay, all of it is asked. Lengths
        that are distributions with a percentile or `prove`: mean times in closed form are of means.
    slo : SLO
        Bounds on TTFT, TPOT, E2E, and with `prove` ITL; `fleet` and `tune` take several.
    prove : bool
        Play the loads as `tune` does: every run of several seeds has to meet every bound. Users in closed
        loop are played up to 16,384.
    requests, seeds, scheduler, tolerance, progress, results, speculation, host_tier
        How it is proved, as in `tune`. A system has drafts of its own, and `scheduler` may be a mapping from
        its pools.

    Returns
    -------
    xarray.Dataset
        `curve` at the largest ``concurrency`` that meets the objective on mean times, without a dimension.
        Where not even one request does, or none fits, ``concurrency`` is 0 and all else NaN, and
        ``attrs["reason"]`` names what comes nearest. Of an
        objective with a ``percentile``: in open loop, at the highest ``rate`` of arrivals. With `prove` at
        what the simulation shows, and what it gave beside the closed form: ``simulated_ttft_p99_s``,
        ``_low`` and ``_high`` by seed; ``attrs["proved"]`` says how, and
        ``attrs["caveat"]`` where too few ``requests`` were asked for. A system's closed form says by
        ``means_hold`` and ``percentiles_hold`` where it was held against simulations.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `curve`; TypeError if `slo` is not an `SLO`; ValueError if it has no bound, bounds the time
        between tokens of answers that have one, asks for a percentile other than 50, 90 or 99, or is to be
        sure of times whose error band is unknown (those of ``fidelity="datasheet"``, and percentiles); for a
        bound on ITL, another percentile, or how to prove, without `prove`; for a percentile on a replica
        whose memory holds no request, of which without one ``concurrency`` is 0.

    Examples
    --------
    >>> most = capacity("H200-SXM", "Llama-3.1-8B", None, SLO(tpot_s=0.02))
    >>> bool(most.tpot_s <= 0.02), int(most.concurrency) > 64
    (True, True)
    >>> most = capacity("H200-SXM", "Llama-3.1-8B", None, SLO(ttft_s=0.5, percentile=99))
    >>> bool(most.ttft_p99_s <= 0.5 < 2 * most.ttft_p99_s)
    True
    """
    _check(slo, prove, proof)
    sizes = (input_tokens, output_tokens)
    load, shape = shape_from(*sizes)
    if not prove and slo.percentile is None:
        as_load(*sizes, instead="a percentile or prove=True, which count all of it")
    refuse_gaps(slo.bounds, load.output_tokens)
    power, pue = as_power(power, pue)
    if isinstance(device, System):
        refuse_beside(device, plan=plan)
        system = device.replace(model=device.serves(model))
        if slo.percentile is not None:
            return _of_pools(
                system, slo, shape, sizes, fidelity, power, pue, proof if prove else None
            )
        return _of_system(system, slo, load, sizes, fidelity, power, pue, proof if prove else None)
    on = deployment(device, named(model), plan, fidelity)
    check_length(on.model, load.input_tokens, load.output_tokens, proof.get("scheduler"))
    if slo.percentile is not None:
        said = fidelity if isinstance(fidelity, str) else fidelity.name
        if not prove:
            return open_capacity(
                twin_of(on, shape), slo, lambda rate: open_at(on, shape, rate, said)
            )
        rate, trial, why = proved(on, sizes, slo, 0.0, fidelity, proof)
        scheduler = cast("Scheduler | None", proof.get("scheduler"))
        return with_proof(open_at(on, shape, rate, said, scheduler), trial, why)
    if slo.sure:
        _check_bands(slo, on.calibration)
    bounds = _bounds(slo)

    def meets(users: float) -> bool:
        values = evaluate([on], load, np.array([users]), power, pue)
        return all(
            bound is None or bool(values[name][0, 0] <= bound) for name, bound in bounds.items()
        )

    trial, why, most = None, "", _most(meets)
    if prove:
        most, trial, why = proved(on, sizes, slo, most, fidelity, proof)
    table = table_of(on, load, np.array([max(most, 1.0)]), fidelity, power, pue).isel(concurrency=0)
    if most < 1.0:
        return with_proof(_nothing(table, slo), None, why)
    return with_proof(_waiting(table, slo), trial)


def _waiting(table: xr.Dataset, slo: SLO) -> xr.Dataset:
    """The table, with a word on those without a place where no bound is on what they wait for."""
    users, places = float(table.concurrency), float(table.batch)
    if slo.ttft_s is None and slo.e2e_s is None and users > places:
        table.attrs["caveat"] = (
            f"{places:,.0f} of {users:,.0f} requests have a place and the others wait, which neither a bound "
            "on TTFT nor one on E2E holds"
        )
    return table


def _bounds(slo: SLO) -> dict[str, float | None]:
    """What each variable of a table may be at most."""
    end = "_high_s" if slo.sure else "_s"
    bounds = {f"{name}{end}": getattr(slo, f"{name}_s") for name in ("ttft", "tpot")}
    return {**bounds, "latency_s": slo.e2e_s}


def _nothing(table: xr.Dataset, slo: SLO) -> xr.Dataset:
    """The table of a load of nobody, from that of one request, which does not meet the objective."""
    nothing = table.where(False)
    nothing.attrs["reason"] = nearest_miss(table, _bounds(slo), "one request")
    for name in ("fits", "beyond"):
        if name in table:
            nothing[name] = table[name]
    return nothing.assign_coords(concurrency=0.0)


def _of_system(
    system: System,
    slo: SLO,
    load: Load,
    sizes: Sizes,
    fidelity: str | Calibration,
    power: str,
    pue: float,
    proof: ProofOptions | None,
) -> xr.Dataset:
    """The table of a system's `curve` at the most requests in flight."""
    what = system.serves(None)
    if slo.sure:
        for one in system.deployments(what, fidelity).values():
            _check_bands(slo, one.calibration)

    def table(users: float) -> xr.Dataset:
        found = system_table(system, what, load, np.array([users]), fidelity, power, pue)
        return found.isel(concurrency=0)

    def meets(users: float) -> bool:
        found = table(users)
        return all(
            bound is None or (name in found and bool(found[name] <= bound))
            for name, bound in _bounds(slo).items()
        )

    trial, why, most = None, "", _most(meets)
    if proof is not None:
        most, trial, why = proved(system, sizes, slo, most, fidelity, proof)
    if most < 1.0:
        return with_proof(_nothing(table(1.0), slo), None, why)
    return with_proof(table(most), trial)


def _of_pools(
    system: System,
    slo: SLO,
    shape: Shape,
    sizes: Sizes,
    fidelity: str | Calibration,
    power: str,
    pue: float,
    proof: ProofOptions | None,
) -> xr.Dataset:
    """The table of a system at the highest rate of arrivals, by the closed form or as it was played."""
    options: ProofOptions = {} if proof is None else proof
    on = OfPools(system, options.get("scheduler"), shape, fidelity, beside(options))

    def table(rate: float) -> xr.Dataset:
        return pools_at(system, on.on, on.twin, rate, fidelity, power, pue)

    if proof is None:
        return open_capacity(on.twin, slo, table)
    rate, trial, why = proved(system, sizes, slo, 0.0, fidelity, proof)
    return with_proof(table(rate), trial, why)


def _check(slo: SLO, prove: bool, proof: ProofOptions) -> None:
    """Reject what is no objective, or one that the closed form does not know."""
    if not isinstance(slo, SLO):
        raise TypeError(f"slo is {shown(slo)}; allowed: an SLO; fleet and tune take several")
    if not slo.bounds:
        raise ValueError("slo has neither ttft_s nor tpot_s nor e2e_s; allowed: at least one bound")
    if not isinstance(prove, (bool, np.bool_)):
        raise TypeError(f"prove is {shown(prove)}; allowed: True or False")
    if slo.sure and (prove or slo.percentile is not None):
        raise ValueError(
            "sure is True with a percentile or prove=True, whose error band is unknown; allowed: False"
        )
    if prove:
        return
    check_options("capacity", proof, ProofOptions)
    for name in proof:
        raise ValueError(f"{name} is given without prove=True; allowed: with it")
    if slo.itl_s is not None:
        raise ValueError(
            f"itl_s is {shown(slo.itl_s)}; allowed: None, or prove=True, which plays every step"
        )
    if slo.percentile is not None and slo.percentile not in PERCENTILES:
        raise ValueError(
            f"percentile is {shown(slo.percentile)}; allowed: 50, 90, 99, None for the mean request, or "
            "any with prove=True"
        )


def _check_bands(slo: SLO, known: Calibration) -> None:
    """Reject an objective that is to be sure of times whose error band is unknown."""
    bands = {"ttft_s": known.ttft_band, "tpot_s": known.error_band, "e2e_s": np.nan}
    for name, band in bands.items():
        if getattr(slo, name) is not None and not np.isfinite(band):
            raise ValueError(
                f"sure is True with {name} and fidelity {shown(known.name)}, whose error band is unknown; "
                "allowed: sure=False, or a fidelity with a band, as 'calibrated' has"
            )


def _most(meets: Callable[[float], bool]) -> float:
    """The largest whole number that meets, up to `_MOST_REQUESTS`; 0 where not even one does."""
    if not meets(1.0):
        return 0.0
    low, high = 1.0, 2.0
    while meets(high):
        low = high
        if low >= _MOST_REQUESTS:
            return low
        high = 2.0 * low
    while high - low > 1.0:
        middle = float(np.floor(0.5 * (low + high)))
        if meets(middle):
            low = middle
        else:
            high = middle
    return low
