"""Devices for a demand that a system of pools serves: whole systems, or so many replicas of each pool."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import kernels
from tokenroof.serving.loads import refuse_gaps
from tokenroof.serving.open_pools import pools_at
from tokenroof.serving.tuning.closed_form import highest_rate, keeps, nearest
from tokenroof.serving.tuning.counts import fewest, settled
from tokenroof.serving.tuning.kept import Kept
from tokenroof.serving.tuning.proved import candidate, highest
from tokenroof.serving.tuning.search import largest
from tokenroof.serving.tuning.spares import replicas_for, spares_of_pools
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.tuning.tune import beside, check_progress
from tokenroof.support.arguments import share, shown
from tokenroof.support.equality import by_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenroof.records.calibration import Calibration
    from tokenroof.serving.open_pools import PoolsTwin
    from tokenroof.serving.system.record import System
    from tokenroof.serving.tuning.asked import Asked
    from tokenroof.serving.tuning.objectives import Objective
    from tokenroof.serving.tuning.proof import Candidate, Trial

__all__ = ["FleetPool", "fleet_of_pools"]

#: Whether counts of pools stay as they are, in whole systems, or are looked for.
COUNTS = ("fixed", "free")
# Replicas that are played together at most, and of a pool: a larger demand is dealt out to systems alike.
_TOGETHER = 64
# How often parts are halved of a demand that so many replicas do not serve.
_DEALT = 3
_POOLS = ("prefill", "decode", "link")


@by_value
@dataclass(frozen=True, slots=True)
class FleetPool:
    """What a demand needs of one pool.

    Attributes
    ----------
    replicas, spare, devices : int
        That have to be up, beyond these, and the devices of all of them [1].
    availability : float
        Share of the time that one replica is up [1].
    """

    replicas: int
    spare: int
    devices: int
    availability: float


def fleet_of_pools(
    system: System,
    demand: float,
    asked: Asked,
    objectives: Sequence[Objective],
    fidelity: str | Calibration,
    options: Any,
    how: Any,
) -> dict[str, Any]:
    """The fields of a `Fleet` for a demand [1/s] of a system that names its model.

    `how` says how it is proved, or None for the closed form.
    """
    free = _free(system, options)
    refuse_gaps({one.time: one.bound for one in objectives}, asked.shape.output_tokens)
    on = OfPools(system, options.get("scheduler"), asked.shape, fidelity, beside(options))
    least = highest_rate(on.twin, objectives)
    rate, proof, many, why = least, None, 1, ""
    if free:
        many, system, rate, proof = _matched(on, demand, asked, objectives, fidelity, how)
    elif how is not None:
        rate, proof, why = highest(system, asked, objectives, 0.0, fidelity, how)
    if not rate:
        missed = f"slo: {why}" if why else f"slo has {nearest(on.twin, objectives)}"
        raise ValueError(f"{missed}; allowed: what {system.label()} keeps at some rate")
    if not free:
        many = replicas_for(demand, rate)
    return _fields(system, many, rate, demand, asked, fidelity, options, proof)


def _free(system: System, options: Any) -> bool:
    counts = options.get("counts", COUNTS[0])
    if counts not in COUNTS:
        raise ValueError(f"counts is {shown(counts)}; allowed: {', '.join(COUNTS)}")
    wrong = [role for role in system.pools if role not in ("both", "prefill", "decode")]
    if wrong:
        raise ValueError(
            f"pools are {' and '.join(system.pools)}, of which {wrong[0]} is not played; allowed: both, or "
            "prefill and decode"
        )
    return bool(counts == "free")


def _fields(
    system: System,
    many: int,
    rate: float,
    demand: float,
    asked: Asked,
    fidelity: str | Calibration,
    options: Any,
    proof: Trial | None,
) -> dict[str, Any]:
    """So many systems, their spare replicas, what they draw."""
    on = OfPools(system, options.get("scheduler"), asked.shape, fidelity, beside(options))
    each = dict(zip(system.pools, devices_of(system), strict=True))
    needed = [many * pool.count for pool in system.pools.values()]
    up = options.get("availability")
    ups = [1.0 if up is None else share("availability", up) ** devices for devices in each.values()]
    fixed = options.get("spare")
    spare = (
        spares_of_pools(needed, ups, list(each.values()), options.get("target", 0.999))
        if fixed is None
        else (fixed,) * len(needed)
    )
    pools = {
        role: FleetPool(n, k, (n + k) * each[role], a)
        for role, n, k, a in zip(each, needed, spare, ups, strict=True)
    }
    table = pools_at(system, on.on, on.twin, demand / many, fidelity)
    rest = sum(k * on.on[role].plan.devices * on.on[role].power.idle_w
               for role, k in zip(each, spare, strict=True))  # fmt: skip
    return {
        "replicas": many,
        "spare": sum(spare),
        "devices": sum(pool.devices for pool in pools.values()),
        "rate": rate,
        "utilisation": demand / (many * rate),
        "availability": prod(
            a**pool.count for a, pool in zip(ups, system.pools.values(), strict=True)
        ),
        "reached": prod(
            float(kernels.fleet_availability(a, float(n), float(k)))
            for a, n, k in zip(ups, needed, spare, strict=True)
        ),
        "proof": proof,
        "watts": many * float(table["watts"]) + rest,
        "means_hold": None if proof else False,
        "percentiles_hold": None if proof else False,
        "error_band": float(table["error_band"]),
        "ttft_error_band": float(table["ttft_error_band"]),
        "pools": pools,
        "system": system,
    }


def devices_of(system: System) -> list[int]:
    """Devices of a replica of each pool [1]."""
    return [pool.devices // pool.count for pool in system.pools.values()]


# --- counts that are looked for ---------------------------------------------------------------------------


def _counted(system: System, counts: Sequence[int]) -> System:
    """The same pools in other numbers; the link stays what it was."""
    pools = {
        role: replace(pool, count=n)
        for (role, pool), n in zip(system.pools.items(), counts, strict=True)
    }
    return system.replace(link_bandwidth=system.link_bandwidth, **pools)


def _matched(
    on: OfPools,
    demand: float,
    asked: Asked,
    objectives: Sequence[Objective],
    fidelity: str | Calibration,
    how: Any,
) -> tuple[int, System, float, Trial | None]:
    """How many systems, the counts of one, the rate that it takes, and the runs that prove it."""
    system = on.system
    devices = devices_of(system)
    alone = [float(one.saturation) for one in (on.twin.first, on.twin.last) if one is not None]
    # of at most so many replicas together
    many = replicas_for(demand, _TOGETHER / sum(1.0 / rate for rate in alone))
    for _ in range(_DEALT):
        part = demand / many
        least = tuple(max(1, int(np.ceil(part / rate))) for rate in alone)
        found = fewest(partial(_keeps, on.twin, objectives, part), least, devices, _TOGETHER)
        if how is not None:
            play = _Played(system, asked, objectives, fidelity, how)
            one, rate, proof = _played(play, part, found or least)
            if rate:
                return many, one, rate, proof
        elif found is not None:
            twin = on.twin.counted(found)
            return many, _counted(system, found), highest_rate(twin, objectives), None
        many *= 2
    return many, system, 0.0, None


def _keeps(
    twin: PoolsTwin, objectives: Sequence[Objective], rate: float, counts: tuple[int, ...]
) -> bool:
    """Whether so many replicas of each pool keep the promise at a rate, by the closed form."""
    one = twin.counted(counts)
    return rate < one.saturation and bool(keeps(one, objectives, np.array([rate]))[0])


def _played(
    play: _Played, part: float, start: tuple[int, ...]
) -> tuple[System, float, Trial | None]:
    """As `_matched`, of one system that is played at its part of the demand."""
    counts = settled(
        lambda n: play.ratio(n, part), lambda n: play.short(n, part), start, play.devices, _TOGETHER
    )
    if counts is None:
        return play.system, 0.0, None
    one = play.of(counts)
    tolerance = share("tolerance", play.how.get("tolerance", 0.02))
    rate, _ = largest(lambda amount: play.at(counts, amount).meets, part, tolerance, known=part)
    proof = next(t for t in reversed(one.trials) if t.meets and t.amount == rate)
    return _counted(play.system, counts), rate, proof


class _Played:
    """A system's loads, played with other counts of its pools."""

    def __init__(
        self, system: System, asked: Asked, objectives: Any, fidelity: Any, how: Any
    ) -> None:
        self.system, self.how = system, how
        self.devices = devices_of(system)
        self._asked, self._objectives, self._fidelity = asked, objectives, fidelity
        self._kept, self._progress = (
            Kept(how.get("results")),
            check_progress(how.get("progress")),
        )
        self._candidates: dict[tuple[int, ...], Candidate[Any]] = {}
        self._trials: dict[tuple[tuple[int, ...], float], Trial] = {}

    def of(self, counts: tuple[int, ...]) -> Candidate[Any]:
        if counts not in self._candidates:
            self._candidates[counts] = candidate(
                _counted(self.system, counts), self._asked, self._objectives, self._fidelity, self.how,
                self._kept,
            )  # fmt: skip
        return self._candidates[counts]

    def at(self, counts: tuple[int, ...], rate: float) -> Trial:
        key = counts, rate
        if key not in self._trials:
            self._trials[key] = self.of(counts).play(rate)
            if self._progress is not None:
                self._progress(0, 1)
        return self._trials[key]

    def ratio(self, counts: tuple[int, ...], rate: float) -> float:
        """The worst of what every run made of the bounds, over these; infinite where a queue grew."""
        trial = self.at(counts, rate)
        worst = max(trial.times[one.name + "_high"] / one.bound for one in self._objectives)
        return worst if trial.meets or worst > 1.0 else float("inf")

    def short(self, counts: tuple[int, ...], rate: float) -> int | None:
        """The pool that holds up a queue that grows, if it is told; a link's, the one with fewer devices."""
        trial = self.at(counts, rate)
        if len(counts) == 1:
            return 0
        if trial.short == "link":
            ends = [n * each for n, each in zip(counts, self.devices, strict=True)]
            return ends.index(min(ends))
        return _POOLS.index(trial.short) if trial.short in _POOLS else None
