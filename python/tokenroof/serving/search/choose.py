"""Systems of states and prefill replicas: bounds that are proved, and what is left worked out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.system.terms import handed_over, solved
from tokenroof.support.pareto import pareto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.search.axes import Prefill
    from tokenroof.serving.search.states import States

__all__ = [
    "Found", "Links", "combined", "joinable", "least_times", "upper_bound", "worth_trying",
]  # fmt: skip

#: Decoding replicas of a system.
REPLICAS = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0])
#: Devices of the largest system, where a number is not given.
MOST_DEVICES = 1024.0


@dataclass(frozen=True)
class Found:
    """Systems that were worked out.

    Attributes
    ----------
    state, prefill : ndarray
        Index of each into states and prefill replicas; -1: none.
    values : dict of ndarray
        What the kernel gives.
    """

    state: NDArray[np.intp]
    prefill: NDArray[np.intp]
    values: dict[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.state)

    @property
    def speed(self) -> NDArray[np.float64]:
        return np.asarray(1.0 / self.values["tpot"])


@dataclass(frozen=True)
class Links:
    """What lies between pools of any two of some devices.

    Attributes
    ----------
    names : tuple of str
        Of the devices.
    bandwidth : ndarray
        Of the pool of prompts, then of the one of answers: one way, a device of the pool with fewer [B/s];
        0 where there is none.
    hop_s : float
        Latency of a transfer [s].
    """

    names: tuple[str, ...]
    bandwidth: NDArray[np.float64]
    hop_s: float

    def of(self, on: Sequence[Deployment]) -> NDArray[np.intp]:
        """Place of each replica's device."""
        return np.array([self.names.index(one.device.name) for one in on], dtype=np.intp)


def _tpot(of: States) -> NDArray[np.float64]:
    t = of.terms
    return np.asarray(t["round_s"] / t["tokens"] + t.get("interference_s", 0.0))


def upper_bound(of: States, first: Prefill | None, output: float) -> NDArray[np.float64]:
    """Tokens per joule set aside that no system of a state passes, with each of the prefill replicas.

    With n replicas of rate r and prefill replicas that take w joules a prompt at least, rate R <= n r:
    R output / (n W + watts of prefill) <= R output / (n W + R w), which grows with R, up to R = n r. Whole
    replicas, a link, and devices that stay idle only lower it; so does a stay that begins with the prompt.

    Returns
    -------
    ndarray, shape (states, prefill replicas)
        One column where there are none [token/J].
    """
    t, least = of.terms, np.zeros(1)
    rate = (t["batch"] / (max(output - 1.0, 1.0) * _tpot(of)))[:, None]
    if first is not None:
        p = first.terms
        least = p["prefill_provisioned_w"] * p["prefill_s"] / p["prefill_batch"]
    return np.asarray(rate * output / (t["provisioned_w"][:, None] + rate * least))


def least_times(of: States, first: Prefill | None, link: Links) -> dict[str, NDArray[np.float64]]:
    """What the constraints on times are at least: a prompt alone, a cache that finds the link free.

    Returns
    -------
    dict of ndarray, shape (states, prefill replicas)
        "ttft" and "tpot" [s]; a millionth of a millionth less, as the kernel rounds elsewhere.
    """
    t = of.terms
    tpot = _tpot(of)[:, None]
    if first is None:
        ttft = (t["first_s"] + t["round_s"])[:, None]
    else:
        p = first.terms
        bandwidth = link.bandwidth[link.of(first.on), link.of(of.on)[of.plan][:, None]]
        lanes = np.minimum(p["prefill_devices"], t["devices"][:, None])
        rest: dict[str, Any] = {"first_s": p["first_s"], "round_s": t["round_s"][:, None]}
        rest = handed_over(of.on[0].plan.engine, rest)
        with np.errstate(divide="ignore"):
            crossing = link.hop_s + t["cache_bytes"][:, None] / (bandwidth * lanes)
        ttft = rest["first_s"] + crossing + rest["round_s"] + p["alone_s"]
    return {
        name: np.broadcast_to(value, ttft.shape) * (1.0 - 1e-12)
        for name, value in (("ttft", ttft), ("tpot", tpot))
    }


def joinable(of: States, first: Prefill | None, link: Links, devices: float) -> NDArray[np.bool_]:
    """Which states go with which prefill replicas: they hand caches on, and are not too many devices.

    Returns
    -------
    ndarray, shape (states, prefill replicas)
        One column where there are none.
    """
    if first is None:
        return np.ones((len(of), 1), dtype=bool)
    rate = link.bandwidth[link.of(first.on), link.of(of.on)[:, None]]
    hands_on = _fit(of, first) & (rate > 0.0)
    many = of.terms["devices"][:, None] + first.terms["prefill_devices"]
    return np.asarray(hands_on[of.plan] & (many <= (devices or MOST_DEVICES)))


def combined(
    of: States,
    first: Prefill | None,
    state: NDArray[np.intp],
    prefill: NDArray[np.intp],
    link: Links,
    output: float,
    devices: float,
) -> Found:
    """All systems of some pairs of a state and a prefill replica, at all numbers of replicas."""
    many = np.ones(1) if first is None else REPLICAS
    replicas = np.tile(many, state.size)
    state, prefill = np.repeat(state, many.size), np.repeat(prefill, many.size)
    if first is not None:
        most = devices or MOST_DEVICES
        keep = (
            replicas * of.terms["devices"][state] + first.terms["prefill_devices"][prefill] <= most
        )
        state, prefill, replicas = state[keep], prefill[keep], replicas[keep]
    terms: dict[str, Any] = {name: column[state] for name, column in of.terms.items()}
    terms |= {"replicas": replicas, "all_devices": np.full(state.size, devices)}
    if first is not None:
        terms |= {name: column[prefill] for name, column in first.terms.items()}
        last, near = link.of(of.on)[of.plan[state]], link.of(first.on)[prefill]
        terms |= {"link_bandwidth": link.bandwidth[near, last], "hop_s": link.hop_s}
        terms = handed_over(of.on[0].plan.engine, terms)  # all plans have one
    else:
        prefill = np.full(state.size, -1)
    return Found(state, prefill, solved(terms, output))


def _fit(of: States, first: Prefill) -> NDArray[np.bool_]:
    """Whether pools of two plans hand caches on: of one type, heads split alike."""
    kinds = np.array([one.plan.kv_cache for one in of.on])[:, None]
    same = kinds == np.array([one.plan.kv_cache for one in first.on])
    model = of.on[0].model
    if not model.kv_heads or model.kv_lora_rank:
        return np.asarray(same)
    a = np.minimum([one.plan.tp for one in of.on], model.kv_heads)[:, None]
    b = np.minimum([one.plan.tp for one in first.on], model.kv_heads)
    return np.asarray(same & (np.maximum(a, b) % np.minimum(a, b) == 0))


def worth_trying(
    bound: NDArray[np.float64], speed: NDArray[np.float64], have: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.bool_]:
    """States whose bound passes what a system that is as fast already yields."""
    at, worth = have
    chosen = pareto(at, worth)
    speeds, best = at[chosen], worth[chosen]  # by growing speed, falling worth
    where = np.searchsorted(speeds, speed)
    known = np.append(best, -np.inf)[np.minimum(where, len(best))]
    return np.asarray(bound > known)
