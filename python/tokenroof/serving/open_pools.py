"""Systems of pools in open loop, in closed form: where a search begins, and what its result stands beside."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.closed_loop import UNITS
from tokenroof.serving.loads import ONE_TOKEN, Load
from tokenroof.serving.open_curve import OPEN_UNITS, values_at
from tokenroof.serving.prompt_pool import prompt_twin
from tokenroof.serving.prompts import padded_decode
from tokenroof.serving.system.closed import SYSTEM_UNITS, evaluate_system
from tokenroof.serving.system.table import about, left_open
from tokenroof.serving.system.terms import rounds, sampled_before
from tokenroof.serving.twin import Shape, Told, Twin, raw_moments, told_of, twin_of
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.prompt_pool import PromptTwin
    from tokenroof.serving.simulation.scheduler import Scheduler
    from tokenroof.serving.system.record import System

__all__ = ["PoolsTwin", "pools_at", "pools_table", "pools_twin"]

_PERCENTILES = ("_p50", "_p90", "_p99")
_EXPONENTIAL = (0.6931471805599453, 2.302585092994046, 4.605170185988092)  # of mean 1
# What is not known where a pool or the link cannot bear the rate.
_OVER = (
    "queue", "running", "waiting",
    *(f"{name}{p}" for name in ("ttft", "tpot", "e2e") for p in ("", *_PERCENTILES)),
)  # fmt: skip
#: Up to where means of prompts and answers apart are within 10 % of a simulation and percentiles within 20
#: %: of the loads of either pool and of the link, of replicas for prompts, of their squared variation, of
#: that of gaps beside Poisson's, and, where several replicas answer, of what a step of a sequence more has
#: over one of a sequence fewer: requests go where fewest are, and the form takes them as they come. Answers
#: have so many tokens at least. tests/serving/test_pools_hold.py holds them, and docs/serving/systems.md
#: counts the systems.
POOLS_HOLD = {
    "prompts": 0.6, "answers": 0.6, "link": 0.05, "replicas": 3.0, "input_cv2": 0.3, "gaps": 0.1,
    "one_more": 0.05,
}  # fmt: skip
LEAST_ANSWER = 20.0
#: Of prompts, for percentiles: beyond, a loop that seldom plans ahead has a 99th up to a quarter late.
PERCENTILES_AT = 0.4
# What a request adds to a step of a pool that computes no prompts [s].
_NOTHING = 1e-9
# Of a system's closed loop, by the throughput at which users of it are looked for.
_ALIKE = (
    "watts", "chassis_watts", "provisioned_watts", "facility_watts", "error_band", "ttft_error_band",
    "beyond", "devices", "idle_devices", "prefill_load", "link_load", "transfer_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolsTwin:
    """The open loop of pools, each replica of which gets an equal part of the arrivals.

    Prompts go through replicas whose steps carry nothing else, each of which gets every so many-th arrival;
    answers through replicas whose steps carry no prompts; between them a link that transfers share evenly,
    whose mean does not know how their sizes vary [1]_. Means add up. A percentile is that of one part, the
    link's exponential, beside the means of the others: of whichever it is longest, a median the shortest.

    References
    ----------
    .. [1] Kleinrock, Queueing Systems II, 1976, section 4.4.

    Attributes
    ----------
    first : PromptTwin, optional
        Of a replica that computes prompts; None where one pool does both.
    last : Twin
        Of a replica that answers.
    first_count, last_count : int
        Replicas [1].
    near, far : int
        Devices of a replica that computes prompts, and of one that answers [1].
    cache_s : float
        Seconds that a cache takes of what one device has of the link [s].
    transfer_s : float
        From the first byte's hop to the last, alone on the link [s].
    early : bool
        Whether the first token comes with the cache.
    asked : bool
        Whether memory for an answer is set aside before its prompt is begun.
    """

    first: PromptTwin | None
    last: Twin
    first_count: int
    last_count: int
    near: int = 0
    far: int = 0
    cache_s: float = 0.0
    transfer_s: float = 0.0
    early: bool = False
    asked: bool = False

    @property
    def crossing_s(self) -> float:
        """Seconds of the whole link that a cache takes: that of the pool with fewer devices [s]."""
        return self.cache_s / self._links if self._links else 0.0

    @property
    def _links(self) -> int:
        """Of devices, at the narrower end."""
        return min(self.near * self.first_count, self.far * self.last_count)

    @property
    def _pairs(self) -> float:
        """How a wait for the link goes with its load, so many transfers at once (Sakasegawa 1977)."""
        return float(np.sqrt(2.0 * (self._links / max(min(self.near, self.far), 1) + 1.0)) - 1.0)

    def counted(self, counts: Sequence[int]) -> PoolsTwin:
        """The same pools with other numbers of replicas, in the order of a request's way."""
        first = counts[0] if self.first is not None else 0
        return replace(self, first_count=first, last_count=counts[-1])

    @property
    def inputs(self) -> Mapping[str, float]:
        """Of the whole requests."""
        whole = {} if self.first is None else {"input": self.first.inputs["input"]}
        return {**self.last.inputs, **whole}

    @property
    def saturation(self) -> float:
        """Requests per second that the scarcest of pools and link takes [1/s]."""
        most = [self.last_count * self.last.saturation]
        if self.first is not None:
            most.append(self.first_count * self.first.saturation)
        if self.crossing_s:
            most.append(1.0 / self.crossing_s)
        return min(most)

    @property
    def places(self) -> float:
        """Requests that run at once in all replicas [1]."""
        ahead = 0 if self.first is None else self.first_count * self.first.places
        return float(ahead + self.last_count * (len(self.last.steps) - 1))

    def at(self, rates: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Quantities over rates of arrivals [1/s], by the names of `Twin.at`, and whether they hold."""
        found = self.last.at(rates / self.last_count)
        for name in ("running", "waiting"):
            found[name] = found[name] * self.last_count
        if self.first is not None:
            found = self._apart(rates, found)
        found["load"] = rates / self.saturation
        for name in _OVER if (found["load"] >= 1.0).any() else ():
            found[name] = np.where(found["load"] < 1.0, found[name], np.nan)
        return found

    def _apart(
        self, rates: NDArray[np.float64], last: dict[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        assert self.first is not None
        ahead = self.first.at(rates / self.first_count, self.first_count)
        with np.errstate(invalid="ignore", divide="ignore"):
            load = np.minimum(rates * self.crossing_s, 1.0)
            waits = self.crossing_s * load**self._pairs / (1.0 - load)
            link = self.transfer_s + waits
            own = self._handed_over(last, link)
            out = {
                **last,
                "ttft": ahead["ttft"] + own,
                "e2e": ahead["ttft"] + own + last["e2e"] - last["ttft"],
                "queue": ahead["queue"] + waits + last["queue"],
                "running": last["running"] + self.first_count * ahead["running"] + rates * link,
                "waiting": last["waiting"] + self.first_count * ahead["waiting"],
                "waits": np.maximum(last["waits"], ahead["waits"]),
            }
            held = self._held(ahead["load"], last, load)
            out["means_hold"] = held & last["means_hold"]
            few = ahead["load"] <= PERCENTILES_AT
            out["percentiles_hold"] = held & few & last["percentiles_hold"]
            rest = own - last["ttft"]
            for p, times in zip(_PERCENTILES, _EXPONENTIAL, strict=True):
                for name in ("ttft", "e2e"):
                    both = ahead["ttft"] + last[name]
                    each = np.stack([
                        ahead[f"ttft{p}"] + last[name],
                        ahead["ttft"] + last[name + p],
                        both + (times - 1.0) * waits,
                    ])  # fmt: skip
                    # medians lie below means, by the part that is furthest from its own
                    out[name + p] = rest + (each.min(axis=0) if p == "_p50" else each.max(axis=0))
        return out

    def _held(
        self,
        prompts: NDArray[np.float64],
        last: Mapping[str, NDArray[Any]],
        link: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Whether all is within `POOLS_HOLD`, over rates."""
        assert self.first is not None
        # of one replica the chain knows who is there
        here, steps = last["running"] / self.last_count, self.last.steps[1:]
        step, longer = (
            np.interp(n, np.arange(1.0, steps.size + 1.0), steps) for n in (here - 1.0, here + 1.0)
        )
        found: dict[str, Any] = {
            "prompts": prompts,
            "answers": last["load"],
            "link": link,
            "replicas": self.first_count,
            "input_cv2": self.first.inputs["input_cv2"],
            "gaps": abs(self.last.inputs["arrival_cv2"] - 1.0),
            "one_more": (longer / step - 1.0) * (self.last_count > 1),
        }
        within = [np.asarray(found[what] <= most) for what, most in POOLS_HOLD.items()]
        long_ = self.last.inputs["output"] >= LEAST_ANSWER
        kept = np.all(np.broadcast_arrays(*within), axis=0) & self.first.shown & long_
        return np.asarray(kept, bool)

    def _handed_over(
        self, last: Mapping[str, NDArray[Any]], link: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Seconds from a prompt's end to the first token, and what came before it for the answer's sake [s].

        Blocks are set aside at a turn of the loop, and the cache is seen at one: half a step each, where
        steps run. Where it crosses in what is left of the step that the first turn began, at its end.
        """
        lag = self.last.inputs["lag"]
        # none where nobody runs; who finds few has shorter steps than who is among them
        step = np.maximum((last["ttft"] - last["queue"] - last["tpot"]) / (0.5 + lag), 0.0)
        if self.asked:  # the turn came before the prompt
            return np.asarray(step + link + last["queue"])
        seen = 0.5 * step + np.maximum(step, link + 0.5 * step) + last["queue"]
        return np.asarray(seen if self.early else seen + lag * step + last["tpot"])


def pools_twin(
    system: System,
    on: Mapping[str, Deployment],
    shape: Shape,
    schedulers: Mapping[str, Scheduler],
    fidelity: str | Calibration = "calibrated",
) -> PoolsTwin:
    """The open loop of a system of one pool, or of prompts and answers apart."""
    if system.both is not None:
        one = _whole(system, on["both"], shape, schedulers["both"], fidelity)
        return PoolsTwin(None, one, 0, system.both.count)
    first, second = system.prefill, system.decode
    alone = Shape(
        shape.input_tokens, 1.0, shape.input_cv2, 0.0, shape.arrival_cv2, lengths=shape.lengths
    )
    cache = float(on["prefill"].model.kv_bytes(shape.input_tokens, on["prefill"].plan.kv_cache))
    rate = system.link_bandwidth.mid
    near, far = (on[role].plan.devices for role in ("prefill", "decode"))
    engine = schedulers["decode"].name.partition("-")[0]
    return PoolsTwin(
        prompt_twin(on["prefill"], alone, schedulers["prefill"]),
        _answers(system, on["decode"], shape, schedulers["decode"], fidelity),
        first.count,
        second.count,
        near,
        far,
        cache / rate,
        system.hop_s.mid + cache / (rate * min(near, far)),
        sampled_before(engine),
        engine == "sglang",
    )


def _decoding(
    system: System,
    on: Deployment,
    shape: Shape,
    told: Told,
    fidelity: str | Calibration,
    places: int,
) -> NDArray[np.float64]:
    """Seconds of a step with 1, 2, ... sequences and no prompt; of drafts a round's over its tokens."""
    n = np.arange(1, places + 1, dtype=float)
    if system.speculation is None:
        return padded_decode(on, n, shape.context, told.graphs) + told.host_s
    found = rounds(on, n, shape.context, [system.speculation], fidelity).first()
    return np.asarray((found.seconds + told.host_s) / found.tokens)


def _whole(
    system: System,
    on: Deployment,
    shape: Shape,
    scheduler: Scheduler,
    fidelity: str | Calibration,
) -> Twin:
    """The twin of a replica for whole requests."""
    found = twin_of(on, shape, scheduler)
    if system.speculation is None:
        return found
    told, places = told_of(on, shape, scheduler), len(found.steps) - 1
    steps = _decoding(system, on, shape, told, fidelity, places)
    return replace(found, steps=np.append(found.steps[:1], steps), shown=False)


def _answers(
    system: System,
    on: Deployment,
    shape: Shape,
    scheduler: Scheduler,
    fidelity: str | Calibration,
) -> Twin:
    """The twin of a replica whose prompts are computed elsewhere."""
    told = told_of(on, shape, scheduler, answers=True)
    steps = _decoding(system, on, shape, told, fidelity, told.places)
    inputs = {
        "input": 1.0, "input_cv2": 0.0, "output": shape.output_tokens, "output_cv2": shape.output_cv2,
        "budget": told.budget, "arrival_cv2": shape.arrival_cv2, "lag": told.lag, "ranks": 1.0,
    }  # fmt: skip
    nothing = np.full(told.places + 1, _NOTHING)
    shown = told.shown and system.speculation is None and on.plan.dp * on.plan.pp == 1
    return Twin(
        np.append(steps[0], steps), raw_moments(nothing, 0.0 * nothing, 0.0 * nothing), inputs,
        told.sequences, told.memory, shown,
    )  # fmt: skip


def pools_table(
    system: System,
    on: Mapping[str, Deployment],
    twin: PoolsTwin,
    rates: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """The table of `curve` over systems and rates of arrivals."""
    xarray = require("xarray", extra="analysis")
    values = values_at(twin, rates)
    load = Load(twin.inputs["input"], twin.inputs["output"])
    inside = twin.at(rates)["running"] + twin.at(rates)["waiting"]
    users = np.where(np.isfinite(inside), np.clip(inside, 1.0, twin.places), twin.places)
    closed = evaluate_system(system, on, load, users, fidelity, power, pue)
    values |= {name: closed[name] for name in _ALIKE}
    values["output_tokens_per_s_per_mw"] = (
        closed["output_tokens_per_s_per_mw"]
        * values["output_throughput"]
        / closed["output_throughput"]
    )
    values["per_device"] = values["output_throughput"] / system.devices
    values["output_tokens_per_joule"] = values["output_throughput"] / values["watts"]
    attrs = about(system, on, load, users, fidelity, power) | {
        "saturation_per_s": twin.saturation,
        "places": twin.places,
        "reason": left_open(system, power) if load.gaps else ONE_TOKEN,
        "load": "open loop: requests arrive at random; pools by themselves",
    }
    table: xr.Dataset = xarray.Dataset(
        {name: ("rate", np.broadcast_to(array, rates.shape)) for name, array in values.items()},
        coords={"rate": ("rate", rates, {"units": "1/s"})},
        attrs=attrs,
    )
    for name, (units, long_name) in (UNITS | SYSTEM_UNITS | OPEN_UNITS).items():
        if name in table:
            table[name].attrs.update(units=units, long_name=long_name.replace("replica", "system"))
    return table


def pools_at(
    system: System,
    on: Mapping[str, Deployment],
    twin: PoolsTwin,
    rate: float,
    fidelity: str | Calibration,
    power: str = "provisioned",
    pue: float = 1.2,
) -> xr.Dataset:
    """The table at one rate; of 0 with NaN throughout."""
    rates = np.array([rate or 1.0])
    table = pools_table(system, on, twin, rates, fidelity, power, pue).isel(rate=0)
    return table if rate else table.where(False).assign_coords(rate=0.0)
