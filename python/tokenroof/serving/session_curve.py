"""Sessions on a replica in closed form: what its cache holds between turns, and what turns find there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof import _core, kernels
from tokenroof.inference.door import deployment
from tokenroof.serving.closed_loop import attributes
from tokenroof.serving.loads import ONE_TOKEN, Load, as_concurrency, check_length, timed
from tokenroof.serving.prompts import ungapped
from tokenroof.serving.room import why_not
from tokenroof.serving.session_load import as_sessions
from tokenroof.support.arguments import count, finite_number, shown
from tokenroof.support.lazy import require

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.records.device import Device
    from tokenroof.records.model import Model
    from tokenroof.records.plan import Plan
    from tokenroof.serving.session_load import SessionLoad

    Array = NDArray[np.float64]

__all__ = ["session_curve"]

_TERM = {name: i for i, name in enumerate(_core.SERVING_TERMS)}
_FIELD = {name: i for i, name in enumerate(_core.SERVING_FIELDS)}
_STEP = {name: i for i, name in enumerate(_core.STEP_FIELDS)}
_DP = _core.PLAN_FIELDS.index("dp")
_HALVINGS = 40  # of hits in the devices' memory
_PARTS, _ROUNDS = 16, 12  # that what hits at all is sought in, again and again: 16^12 of them
_STEPS = 64  # of Newton's, of which some eight are taken

UNITS = {
    "ttft_s": (
        "s",
        "mean time to the first token of a turn, transfers from the offload tier included",
    ),
    "tpot_s": ("s", "mean time per output token after the first"),
    "interactivity": ("token/s", "output tokens per second of one user, 1 / TPOT"),
    "turn_s": ("s", "mean time from a turn to its last token"),
    "output_throughput": ("token/s", "output tokens of the replica per second"),
    "input_throughput": (
        "token/s",
        "prompt tokens of the replica per second, cached ones included",
    ),
    "turns_per_s": ("1/s", "turns that are answered"),
    "sessions_per_s": ("1/s", "sessions that begin, and end"),
    "users": ("1", "sessions that are open, those that think included"),
    "hit_share": ("1", "share of prompt tokens found in the devices' memory"),
    "offload_share": ("1", "share of prompt tokens found in the offload tier"),
    "cached_tokens": ("1", "prompt tokens of a turn that are not computed again"),
    "held_tokens": ("1", "tokens that open sessions hold between turns, in the devices' memory"),
    "held_bytes": ("B", "the same in bytes, over the replica"),
    "reach_s": ("s", "time that what is not used stays in the devices' memory"),
    "offload_reach_s": ("s", "time that it stays in either"),
    "batch": ("1", "sequences in the engine's batch"),
    "watts": ("W", "mean board power of the replica, by load"),
    "fits": ("1", "whether weights, and one request's cache, fit the memory"),
}


@dataclass(frozen=True)
class _Replica:
    """What does not change while hits are sought: terms without hits, what a hit saves, room."""

    on: Deployment
    load: SessionLoad
    block: int
    users: Array
    offload_tokens: float
    load_s: float  # of one turn's cache from the offload tier
    terms: Array
    hit: Array  # (concurrency, term): a turn's terms, where all that was said is found
    miss: Array  # where the shared beginning alone is

    @property
    def mean(self) -> float:
        return self.load.mean_input

    @property
    def room(self) -> Array:
        """Tokens that stay for sessions between turns, beside those that are answered."""
        slots, batch = self.terms[..., _TERM["slots"]], self.terms[..., _TERM["batch"]]
        held = slots * (self.mean + self.load.output_tokens)
        own = self.mean - self.load.shared_tokens + 0.5 * self.load.output_tokens
        return np.maximum(held - batch * own - self.load.shared_tokens, 0.0)


def session_curve(
    device: str | Device,
    model: str | Model,
    plan: Plan | None = None,
    load: str | SessionLoad = "agentic",
    concurrency: ArrayLike = (1, 2, 4, 8, 16, 32, 64),
    *,
    block: int = 16,
    offload_bytes: float = 0.0,
    offload_bandwidth: float | None = None,
    fidelity: str | Calibration = "calibrated",
) -> xr.Dataset:
    """Sessions on one replica: hits, what is held between turns, latency and throughput, in means.

    Caches evict what was used longest ago, so that all stays for one time T after its last use, at which what
    is held fills the memory that running requests leave. A turn whose gap is shorter finds all that was said;
    one whose gap is longer finds the shared beginning, or fetches it from the offload tier, which holds what
    left the devices' memory by the same rule. Should several shares of hits agree with their reach, it is the
    least, to which empty caches come.

    Parameters
    ----------
    device, model, plan, fidelity
        As in `curve`.
    load : SessionLoad or "agentic"
        Or another preset of sessions (`presets`).
    concurrency : array_like, 1-d
        Turns in flight over the replica [1]; ``users`` says how many sessions are open for that.
    block : int
        Tokens of a block of the cache; a last one that is not full is not found [1].
    offload_bytes : float
        Host memory that keeps what leaves the devices', over the replica [B].
    offload_bandwidth : float, optional
        From there into the devices, over the replica [B/s]; with `offload_bytes` alone.

    Returns
    -------
    xarray.Dataset
        Over ``concurrency``, with units in ``attrs``. Where weights and one request's cache do not fit,
        ``fits`` is false, the rest NaN, and ``attrs["reason"]`` says what is needed.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `curve`; for a load of requests that are alone, an offload tier without a bandwidth, or a
        bandwidth without a tier.

    References
    ----------
    Che, Tung, Wang, IEEE Journal on Selected Areas in Communications 20(7), 2002; docs/serving/load.md.

    Examples
    --------
    >>> from tokenroof.records.plan import Plan
    >>> plan = Plan(tp=8, weights="fp8", kv_cache="fp8")
    >>> table = session_curve("H200-SXM", "Llama-3.1-70B", plan, concurrency=[1, 32])
    >>> bool(table.hit_share[0] > 0.9), bool(table.users[0] > 1.0)
    (True, True)
    """
    xarray = require("xarray", extra="analysis")
    given, users = as_sessions(load), as_concurrency(concurrency)
    block = count("block", block)
    on = deployment(device, model, plan, fidelity)
    check_length(on.model, float(given.prompts[-1]), given.output_tokens)
    tier = _tier(on, given, offload_bytes, offload_bandwidth)
    found = _solve(_replica(on, given, users, block, tier))
    means = Load(given.mean_input, given.output_tokens)
    table: xr.Dataset = xarray.Dataset(
        {name: ("concurrency", found[name]) for name in UNITS},
        coords={"concurrency": users},
        attrs=attributes([on], means, users, fidelity, on.calibration.calibrated_on, "board"),
    )
    del table.attrs["power"]
    table.attrs["load"] = "sessions: turns in flight are constant; times are means"
    table.attrs["most_cached"] = given.most_cached
    table.attrs["reason"] = "" if means.gaps else ONE_TOKEN
    if not found["fits"].any():
        table.attrs["reason"] = why_not([on], means)
    for name, (units, long_name) in UNITS.items():
        table[name].attrs.update(units=units, long_name=long_name)
    return table


def _tier(
    on: Deployment, load: SessionLoad, held: float, bandwidth: float | None
) -> tuple[float, float]:
    """Tokens that the offload tier holds, and seconds that what a turn finds there takes."""
    held = finite_number("offload_bytes", held)
    if not held:
        if bandwidth is not None:
            raise ValueError(
                f"offload_bandwidth is {shown(bandwidth)} with offload_bytes 0; allowed: None"
            )
        return 0.0, 0.0
    if bandwidth is None:
        raise ValueError(
            "offload_bandwidth is None with offload_bytes above 0; allowed: a number above 0"
        )
    bandwidth = finite_number("offload_bandwidth", bandwidth, above=True)
    each = float(on.model.kv_bytes(load.mean_input, on.plan.kv_cache)) / load.mean_input
    found = load.said[1:].mean() if load.turns > 1 else 0.0
    return held / each, float(found) * each / bandwidth


def _replica(
    on: Deployment, load: SessionLoad, users: Array, block: int, tier: tuple[float, float]
) -> _Replica:
    d, c, m, p = on.records
    mean, out = load.mean_input, load.output_tokens
    terms = kernels.serving_terms(d, c, m, p, users, mean, out)
    records = ungapped(on)
    # a last block that is not full is computed again: half of one in the mean
    found = np.maximum(load.shared_tokens + load.said - 0.5 * block, 0.0)
    shared = np.full(load.turns, max(load.shared_tokens - 0.5 * block, 0.0))
    plain = _carried(records, load, terms, np.array([mean]), np.zeros(1))

    def with_past(past: Array) -> Array:
        changed = terms.copy()
        carried = _carried(records, load, terms, load.prompts - past, past)
        for name in ("mixed_s", "mixed_j", "prefill_s", "beside_s"):
            changed[..., _TERM[name]] += carried[name] - plain[name]
        return np.asarray(changed)

    return _Replica(on, load, block, users, *tier, terms, with_past(found), with_past(shared))


def _carried(
    records: tuple[Any, ...], load: SessionLoad, terms: Array, new: Array, past: Array
) -> dict[str, Array]:
    """Means over turns of a step that carries their prompts, and of the prompts alone: one, and as many.

    Joules are those beyond the boards' at rest, as serving's terms have them.
    """
    d, c, m, p = records
    batch, many, rest = (terms[..., _TERM[name], None] for name in ("batch", "prompts", "rest_w"))
    context = load.mean_input + 0.5 * load.output_tokens
    mixed = kernels.mixed_prompts_step(d, c, m, p, batch, context, float(p[_DP]) * many, new, past)
    alone, several = (kernels.prompts_step(d, c, m, p, n, new, past) for n in (1.0, many))
    seconds = mixed[..., _STEP["time"]]
    return {
        "mixed_s": seconds.mean(axis=-1),
        "mixed_j": ((mixed[..., _STEP["watts"]] - rest) * seconds).mean(axis=-1),
        "prefill_s": alone[..., _STEP["time"]].mean(axis=-1),
        "beside_s": several[..., _STEP["time"]].mean(axis=-1),
    }


def _solve(r: _Replica) -> dict[str, Array]:
    """The least share of turns that hits at all, at which caches reach as far as it needs.

    What hits shortens turns, so that the rate rises and caches reach less far: as more hits, the caches fall
    behind. Should they be ahead again further on, the least is where empty ones come to.
    """
    low, high = np.zeros(r.users.shape), np.ones(r.users.shape)
    inner = (np.arange(1, _PARTS) / _PARTS)[:, None]
    for _ in range(_ROUNDS):
        points = np.concatenate([[low], low + (high - low) * inner, [high]])
        _, state = _found_above(r, points[1:-1])
        short = state["reached_either"] <= points[1:-1]
        first = np.where(short.any(axis=0), short.argmax(axis=0), _PARTS - 1)
        low, high = (np.take_along_axis(points, first[None] + k, axis=0)[0] for k in (0, 1))
    either = 0.5 * (low + high)
    hits, state = _found_above(r, either)
    return _described(r, state, hits, either - hits)


def _found_above(r: _Replica, either: Array) -> tuple[Array, dict[str, Array]]:
    """Hits in the devices' memory where so many turns hit at all, and what comes of them.

    The more is found above, the less is fetched: the rate rises, and what is found above falls.
    """
    if not r.offload_tokens:
        return either, _at(r, either, np.zeros(either.shape))
    low, high, served = np.zeros(either.shape), either, _served(r, either)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        rate, gap = _rate(r, served, either - middle)
        more = _reached(r.load, gap, _reach(r.load, rate, gap, r.room)) > middle
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    hits = 0.5 * (low + high)
    return hits, _at(r, hits, either - hits)


def _served(r: _Replica, either: Array) -> Array:
    """Serving's fields where so many turns find what was said."""
    terms = either[..., None] * r.hit + (1.0 - either[..., None]) * r.miss
    return np.asarray(
        kernels.serving_of_terms(r.on.records[1], terms, r.users, r.load.output_tokens)
    )


def _rate(r: _Replica, served: Array, offload: Array) -> tuple[Array, Array]:
    """Sessions that begin in a second, and seconds from an answer to the next turn's start."""
    turn = served[..., _FIELD["latency"]] + _fetched(r, offload)
    return r.users / turn / r.load.turns, r.load.think_s + served[..., _FIELD["queue_s"]]


def _fetched(r: _Replica, offload: Array) -> Array:
    """Seconds of a mean turn's transfers from the offload tier."""
    return (r.load.turns - 1) / r.load.turns * offload * r.load_s


def _at(r: _Replica, hits: Array, offload: Array) -> dict[str, Array]:
    """One turn of the wheel: latency with these hits, the rate, how far the caches reach, who hits."""
    load = r.load
    served = _served(r, hits + offload)
    rate, gap = _rate(r, served, offload)
    fetch = _fetched(r, offload)
    turn = served[..., _FIELD["latency"]] + fetch
    reach, reach_either = (
        _reach(load, rate, gap, room) for room in (r.room, r.room + r.offload_tokens)
    )
    return {
        "ttft": served[..., _FIELD["ttft"]] + fetch,
        "tpot": timed(load.output_tokens, served[..., _FIELD["tpot"]]),
        "watts": served[..., _FIELD["watts"]], "turn": turn, "rate": rate, "gap": gap,
        "reach": reach, "reach_either": reach_either, "reached": _reached(load, gap, reach),
        "reached_either": _reached(load, gap, reach_either),
    }  # fmt: skip


def _reached(load: SessionLoad, gap: Array, reach: Array) -> Array:
    if load.think == "fixed":
        return np.where(reach >= gap, 1.0, 0.0)
    return np.asarray(kernels.cache_reached(gap, reach))


def _held(load: SessionLoad, rate: Array | float, gap: Array, reach: Array) -> Array:
    """Tokens that are held, of sessions that go on and of those that ended."""
    kept, left = _left(load)
    if load.think == "fixed":
        return rate * (kept * np.minimum(gap, reach) + left * reach)
    return np.asarray(kernels.cache_held(rate, kept, left, gap, reach))


def _left(load: SessionLoad) -> tuple[float, float]:
    """A session's own tokens after the turns that another follows, in all, and after the last."""
    each = load.input_tokens + load.output_tokens
    return float(load.said.sum()), load.turns * each


def _reach(load: SessionLoad, rate: Array, gap: Array, room: Array) -> Array:
    """How long things stay: what is held fills the room."""
    kept, left = _left(load)
    with np.errstate(divide="ignore", invalid="ignore"):
        filled = room / rate
        reach = filled / (kept + left)
        if load.think == "fixed":
            return np.asarray(np.where(reach <= gap, reach, (filled - kept * gap) / left))
        for _ in range(_STEPS):  # Newton's, from below: what is held bends down
            gone = 1.0 - kernels.cache_reached(gap, reach)
            step = (filled - _held(load, 1.0, gap, reach)) / (kept * gone + left)
            reach = reach + step
            if not (np.abs(step) > 1e-15 * reach).any():
                break
    return np.asarray(reach)


def _described(r: _Replica, s: dict[str, Array], hits: Array, offload: Array) -> dict[str, Array]:
    load, mean = r.load, r.mean
    fits = r.terms[..., _TERM["slots"]] >= 1.0
    own = np.maximum(load.shared_tokens + load.said - 0.5 * r.block, 0.0).mean()
    shared = max(load.shared_tokens - 0.5 * r.block, 0.0)
    kept, _ = _left(load)
    stays = _held(load, s["rate"], s["gap"], s["reach"]) - s["rate"] * _left(load)[1] * s["reach"]
    held = np.where(kept > 0.0, stays, 0.0)
    each = float(r.on.model.kv_bytes(mean, r.on.plan.kv_cache)) / mean
    idle = (load.turns - 1) * s["gap"]
    found = {
        "ttft_s": s["ttft"], "tpot_s": s["tpot"], "interactivity": 1.0 / s["tpot"], "turn_s": s["turn"],
        "turns_per_s": s["rate"] * load.turns, "sessions_per_s": s["rate"],
        "output_throughput": s["rate"] * load.turns * load.output_tokens,
        "input_throughput": s["rate"] * load.turns * mean,
        "users": r.users + s["rate"] * idle,
        "hit_share": (hits * own + (1.0 - hits) * shared) / mean,
        "offload_share": offload * (own - shared) / mean,
        "cached_tokens": (hits + offload) * own + (1.0 - hits - offload) * shared,
        "held_tokens": held, "held_bytes": held * each,
        "reach_s": s["reach"], "offload_reach_s": s["reach_either"],
        "batch": r.terms[..., _TERM["batch"]], "watts": s["watts"],
    }  # fmt: skip
    return {**{k: np.where(fits, v, np.nan) for k, v in found.items()}, "fits": fits}
