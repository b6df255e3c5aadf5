"""Devices for a demand, with replicas to spare for those that fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack, cast

import numpy as np

from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving.beyond import beyond, widened
from tokenroof.serving.loads import Load, check_length, refuse_gaps
from tokenroof.serving.open_power import drawn, mean_watts
from tokenroof.serving.simulation.scheduler import Scheduler
from tokenroof.serving.system.record import System, named, refuse_beside
from tokenroof.serving.tuning.asked import LoadOptions, asked_of
from tokenroof.serving.tuning.closed_form import PERCENTILES, highest_rate, nearest
from tokenroof.serving.tuning.fleet_pools import FleetPool, fleet_of_pools
from tokenroof.serving.tuning.objectives import objectives_of
from tokenroof.serving.tuning.proved import ProofOptions, highest
from tokenroof.serving.tuning.spares import MOST_SPARES, replicas_for, spares
from tokenroof.serving.twin import twin_of
from tokenroof.support.arguments import check_options, finite_number, share, shown, whole_number
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.slo import SLO
    from tokenroof.serving.tuning.asked import Asked
    from tokenroof.serving.tuning.objectives import Objective
    from tokenroof.serving.tuning.proof import Trial
    from tokenroof.serving.twin import Shape, Twin

__all__ = ["Fleet", "FleetOptions", "fleet", "spares"]

_HELD = ("means", "percentiles")


class FleetOptions(LoadOptions, ProofOptions, total=False):
    """What `fleet` takes beside its first arguments; documented there."""

    availability: float | None
    target: float
    spare: int | None
    prove: bool
    fidelity: str | Calibration
    counts: str


@by_value
@dataclass(frozen=True, slots=True)
class Fleet:
    """Replicas for a demand.

    Attributes
    ----------
    replicas : int
        That have to be up for the demand [1].
    spare : int
        Beyond these [1].
    devices : int
        Of all of them [1].
    rate : float
        Highest rate at which one replica keeps the promise [1/s]; of a percentile by the closed form among
        the rates at which that is held, if it is at any.
    utilisation : float
        Demand over what the needed replicas can take [1].
    availability : float
        Share of the time that one replica is up: that all its devices are [1].
    reached : float
        Share of the time that enough replicas are up [1].
    proof : Trial or None
        The runs at `rate`, where it was proved.
    rate_low, rate_high : float
        `rate` at both ends of the error bands of what is promised, by the closed form [1/s]; NaN where a
        band is not known: of percentiles, of times to the last token, where the rate was proved.
    watts : float
        Mean board power at the demand [W]: of the needed replicas at their part of it, of the spare ones at
        rest.
    means_hold, percentiles_hold : bool or None
        Whether means, and percentiles, of the closed form were held against simulations at `rate`; None where
        the rate was proved.
    rate_unheld : float
        Of a percentile, what the closed form names beyond the rates at which it was held, and may overload a
        replica [1/s]; else NaN.
    error_band, ttft_error_band : float
        Bands of TPOT and TTFT at `rate` [1], as `curve` has them.
    pools : dict of FleetPool, or None
        Of a system, by what they do: `replicas`, `spare`, `devices`, `availability` of each pool. Then
        `replicas` counts systems, `spare` replicas of all pools; `rate`, `availability` are a system's.
    system : System or None
        One of them, with the counts of its pools.
    """

    replicas: int
    spare: int
    devices: int
    rate: float
    utilisation: float
    availability: float
    reached: float
    proof: Trial | None = None
    rate_low: float = np.nan
    rate_high: float = np.nan
    watts: float = np.nan
    means_hold: bool | None = None
    percentiles_hold: bool | None = None
    rate_unheld: float = np.nan
    error_band: float = np.nan
    ttft_error_band: float = np.nan
    pools: Mapping[str, FleetPool] | None = None
    system: System | None = None


def fleet(
    device: str | Device | System,
    model: str | Model | None,
    plan: Plan | None,
    slo: SLO | Sequence[SLO],
    requests_per_minute: float,
    **options: Unpack[FleetOptions],
) -> Fleet:
    """Replicas and devices for a demand, under an objective, with spare ones for failures.

    Requests are dealt out evenly: each of the needed replicas is asked for an equal part, and may be asked
    for the highest rate at which it keeps the promise.

    Parameters
    ----------
    device, model, plan
        Of one replica, as in `curve`; or a `System` of one pool, or of prompts and answers apart.
    slo : SLO, or a list of them
        What is promised, as in `tune`.
    requests_per_minute : float
        The demand at its peak [1/min].
    input_tokens, output_tokens, lengths, burstiness, load
        Of the requests, as in `tune`: numbers, or distributions of `Lengths`.
    availability : float
        Share of the time that one **device** is up: mean time to failure over that and the time to repair
        [1]. A replica is down while any of its devices is. None: nothing fails.
    target : float
        Share of the time that enough replicas are up [1]; 0.999 by default.
    spare : int
        So many replicas to spare, whatever fails, in place of `target`: N + k.
    prove : bool
        Find a replica's rate by simulation as `capacity` does; by the closed form by default, for means, p50,
        p90 and p99. Of a percentile only rates count at which it was held against simulations, if it was at
        any: beyond, a replica may be overloaded (``rate_unheld``).
    requests, seeds, scheduler, tolerance, progress, results, speculation, host_tier
        How it is proved, as in `tune`; `scheduler` counts for the closed form too.
    fidelity : {"calibrated", "datasheet"} or Calibration
    counts : {"fixed", "free"}
        Of a system, whether its pools keep their counts, in whole systems; or each gets as many replicas as
        the promise needs: with the fewest devices by the closed form, or so that with one less of any pool a
        run fails. What 64 replicas do not serve together is dealt out to systems alike.

    Returns
    -------
    Fleet

    Raises
    ------
    KeyError, ValueError, TypeError
        For an argument that is not allowed; for an objective that a replica does not keep at any rate.

    Examples
    --------
    >>> from tokenroof.serving.slo import SLO
    >>> slo = SLO(ttft_s=0.5, percentile=99)
    >>> found = fleet("H200-SXM", "Llama-3.1-8B", None, slo, 12_000, output_tokens=200, availability=0.99)
    >>> found.replicas * found.rate >= 200.0, found.spare > 0, found.reached >= 0.999
    (True, True, True)
    """
    check_options("fleet", options, FleetOptions)
    demand = finite_number("requests_per_minute", requests_per_minute, above=True) / 60.0
    objectives = objectives_of(slo)
    given = {name: options[name] for name in LoadOptions.__annotations__ if name in options}  # type: ignore[literal-required]
    asked = asked_of("fleet", given)  # type: ignore[arg-type]
    fidelity = options.get("fidelity", "calibrated")
    if isinstance(device, System):
        refuse_beside(device, plan=plan)
        how = _how(options, objectives)
        _fixed(options)
        system = device.replace(model=device.serves(model))
        return Fleet(**fleet_of_pools(system, demand, asked, objectives, fidelity, options, how))
    if "counts" in options:
        raise ValueError(
            f"counts is {shown(options['counts'])} of one replica; allowed: with a System"
        )
    on = deployment(device, named(model), plan, fidelity)
    up = options.get("availability")
    one_up = 1.0 if up is None else share("availability", up) ** on.plan.devices
    fixed = _fixed(options)
    proof: Trial | None = None
    how, why = _how(options, objectives), ""
    scheduler = _of_one(options)
    if how is not None:
        rate, proof, why = highest(on, asked, objectives, 0.0, fidelity, how)
    else:
        rate = _by_closed_form(on, asked, objectives, scheduler)
    twin = twin_of(on, asked.shape, scheduler)
    if not rate:
        missed = f"slo: {why}" if why else f"slo has {nearest(twin, objectives)}"
        raise ValueError(f"{missed}; allowed: what one replica keeps at some rate")
    tails = any(one.percentile is not None for one in objectives)
    held = highest_rate(twin, objectives, held=True) if tails and not proof else np.nan
    unheld = rate if held < rate else np.nan
    rate = held if held > 0.0 else rate
    replicas = replicas_for(demand, rate)
    spare = spares(replicas, one_up, options.get("target", 0.999)) if fixed is None else fixed
    bands = _bands(on, asked.shape, twin, rate)
    low, high = (np.nan, np.nan) if proof else _ends(bands, twin, objectives)
    at = twin.at(np.array([rate]))
    means, tails_hold = (None if proof else bool(at[f"{x}_hold"][0]) for x in _HELD)
    watts = drawn(on, twin)
    busy = float(mean_watts(twin, watts, np.array([demand / replicas]))[0])
    return Fleet(
        replicas, spare, (replicas + spare) * on.plan.devices, rate, demand / (replicas * rate), one_up,
        float(kernels.fleet_availability(one_up, float(replicas), float(spare))), proof, low, high,
        replicas * busy + spare * float(watts[0]), means, tails_hold, unheld, *bands,
    )  # fmt: skip


def _bands(on: Deployment, shape: Shape, twin: Twin, rate: float) -> tuple[float, float]:
    """Of TPOT and TTFT, as the table of `curve` has them at a rate."""
    running = twin.at(np.array([rate]))["running"]
    running = np.where(np.isnan(running), len(twin.steps) - 1.0, running)
    out = beyond([on], Load(shape.input_tokens, shape.output_tokens), running)[0]
    ttft = widened(np.array([on.calibration.ttft_band]), out)
    return on.calibration.error_band, float(ttft[0])


def _ends(
    known_bands: tuple[float, float], twin: Twin, objectives: Sequence[Objective]
) -> tuple[float, float]:
    """The highest rate where times are at the upper, and at the lower end of their error bands."""
    known = dict(zip(("tpot_s", "ttft_s"), known_bands, strict=True))
    bands = [np.nan if one.percentile else known.get(one.time, np.nan) for one in objectives]
    if not np.isfinite(bands).all():
        return np.nan, np.nan
    ends = []
    for sign in (-1.0, 1.0):
        moved = [
            one._replace(bound=one.bound * (1.0 + band) ** sign)
            for one, band in zip(objectives, bands, strict=True)
        ]
        ends.append(highest_rate(twin, moved))
    return ends[0], ends[1]


def _fixed(options: FleetOptions) -> int | None:
    """Spares that were given; None where a target says how many."""
    fixed = options.get("spare")
    if fixed is None:
        return None
    if "target" in options:
        raise ValueError("fleet has spare and target; allowed: one of them")
    return whole_number("spare", fixed, 0, MOST_SPARES)


def _how(options: FleetOptions, objectives: Sequence[Objective]) -> ProofOptions | None:
    """How it is proved; None for the closed form, which does not know every objective."""
    prove = options.get("prove", False)
    if not isinstance(prove, (bool, np.bool_)):
        raise TypeError(f"prove is {shown(prove)}; allowed: True or False")
    if prove:
        given = {name: options[name] for name in ProofOptions.__annotations__ if name in options}  # type: ignore[literal-required]
        return cast("ProofOptions", given)
    for name in (
        "requests", "seeds", "tolerance", "progress", "results", "speculation", "host_tier",
    ):  # fmt: skip
        if name in options:
            raise ValueError(f"{name} is given without prove=True; allowed: with it")
    for one in objectives:
        if one.time == "itl_s":
            raise ValueError(f"itl_s is {one.bound:g}; allowed: None, or prove=True")
        if one.percentile not in (None, *PERCENTILES):
            raise ValueError(
                f"percentile is {one.percentile:g}; allowed: 50, 90, 99, None for the mean request, or any "
                "with prove=True"
            )
    return None


def _of_one(options: FleetOptions) -> Scheduler | None:
    """The scheduler of a replica."""
    scheduler = options.get("scheduler")
    if scheduler is not None and not isinstance(scheduler, Scheduler):
        raise TypeError(f"scheduler is {shown(scheduler)}; allowed: a Scheduler, or None")
    return scheduler


def _by_closed_form(
    on: Deployment,
    asked: Asked,
    objectives: Sequence[Objective],
    scheduler: Scheduler | None,
) -> float:
    shape = asked.shape
    refuse_gaps({one.time: one.bound for one in objectives}, shape.output_tokens)
    check_length(on.model, shape.input_tokens, shape.output_tokens, scheduler)
    return highest_rate(twin_of(on, asked.shape, scheduler), objectives)
