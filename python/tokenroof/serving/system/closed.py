"""A system under a closed loop: the batch that so many requests in flight settle at, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tokenroof.serving.beyond import beyond, widened
from tokenroof.serving.closed_loop import UNITS
from tokenroof.serving.loads import timed
from tokenroof.serving.system.terms import (
    decode_terms,
    handed_over,
    prefill_terms,
    rounds,
    shared_terms,
    solved,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tokenroof.records.calibration import Calibration
    from tokenroof.records.deployment import Deployment
    from tokenroof.serving.loads import Load
    from tokenroof.serving.system.record import System

__all__ = ["SYSTEM_UNITS", "evaluate_system", "quantities", "terms_of"]

#: What tables over systems have beside those of one replica.
SYSTEM_UNITS = {
    "devices": ("1", "devices, those that stay idle too"),
    "idle_devices": ("1", "devices that make no whole system"),
    "prefill_load": ("1", "share of the time that prefill replicas work"),
    "link_load": ("1", "share of the time that the link carries caches"),
    "wait_s": (
        "s",
        "part of the time to the first token that waits for a prefill replica and the link",
    ),
    "transfer_s": ("s", "time that a cache takes from pool to pool"),
}
_HALVINGS = 48


def terms_of(
    system: System,
    on: Mapping[str, Deployment],
    load: Load,
    batch: NDArray[np.float64],
    fidelity: str | Calibration,
) -> dict[str, Any]:
    """Terms of a system whose decoding replicas hold so many sequences each."""
    spec = system.speculation
    one = on.get("both") or on["decode"]
    # a step that a sequence sees has one at least, however seldom there is any
    seen = np.maximum(batch, 1.0) if system.disaggregated else batch
    round_ = rounds(one, seen, load.context, [spec], fidelity).first()
    if system.both is not None:
        terms = shared_terms(one, load, batch, round_, most=system.both.sequences)
        return terms | {"replicas": float(system.both.count)}
    first, second = system.prefill, system.decode
    users = batch * second.count / first.count
    terms = {
        **decode_terms(one, load, batch, round_, second.sequences),
        **prefill_terms(on["prefill"], load, users, first.step_tokens),
        "replicas": float(second.count),
        "prefill_replicas": float(first.count),
        "link_bandwidth": system.link_bandwidth.mid,
        "hop_s": system.hop_s.mid,
    }
    return handed_over(one.plan.engine, terms)


def evaluate_system(
    system: System,
    on: Mapping[str, Deployment],
    load: Load,
    users: NDArray[np.float64],
    fidelity: str | Calibration,
    power: str = "provisioned",
    pue: float = 1.2,
) -> dict[str, NDArray[Any]]:
    """All quantities over requests in flight, of replicas for both, or of prompts and answers apart."""
    count = float((system.both or system.decode).count)

    def at(batch: NDArray[np.float64]) -> dict[str, Any]:
        return terms_of(system, on, load, batch, fidelity)

    batch = _settled(at, users, count, load.output_tokens)
    terms = at(batch)
    found = solved(terms, load.output_tokens)
    if system.disaggregated:
        ends = []
        for side in ("high", "low"):  # a fast link, a slow one
            rate, hop = system.link_bandwidth, system.hop_s
            link = {"link_bandwidth": getattr(rate, side)}
            link["hop_s"] = hop.low if side == "high" else hop.high
            ends.append(solved({**terms, **link}, load.output_tokens)["ttft"])
        found["ttft_low"], found["ttft_high"] = ends
    with np.errstate(invalid="ignore"):
        over = users > found["concurrency"] * (1.0 + 1e-9)
        queue = np.where(over, users / found["rate"] - found["latency"], 0.0)
    return quantities(found, on, load, power, pue, batch * count, queue, users / count)


def _settled(
    at: Callable[[NDArray[np.float64]], dict[str, Any]],
    users: NDArray[np.float64],
    count: float,
    output: float,
) -> NDArray[np.float64]:
    """Sequences of a replica: the most of which no more are in flight, that pools and memory keep up with."""
    low, high = np.zeros_like(users), users / count
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        found = solved(at(middle), output)
        with np.errstate(invalid="ignore"):
            good = (found["concurrency"] <= users) & (found["short_of"] == 0.0)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    return np.where(low > 0.0, low, np.nan)


def quantities(
    found: Mapping[str, Any],
    on: Mapping[str, Deployment],
    load: Load,
    power: str,
    pue: float,
    batch: Any,
    queue: Any,
    users: Any,
) -> dict[str, NDArray[Any]]:
    """The variables of `curve` from what the kernel gives."""
    last, first = on.get("both") or on["decode"], on.get("both") or on["prefill"]
    rate, ttft = found["output_rate"], found["ttft"] + queue
    tpot = timed(load.output_tokens, found["tpot"])
    dashboard = {last.power.provisioned_kind, first.power.provisioned_kind} == {"catalogue"}
    chassis = found["watts"] + found["devices"] * last.power.host_w
    if first.device != last.device:  # each with hosts of its own
        ahead = found["prefill_replicas"] * first.plan.devices
        chassis = chassis + ahead * (first.power.host_w - last.power.host_w)
    watts = {
        "board": found["watts"],
        "chassis": chassis,
        "provisioned": found["provisioned_w"],
        "facility": pue * chassis,
        "dashboard": found["provisioned_w"] * (1.0 if dashboard else np.nan),
    }
    band, shape = last.calibration.error_band, np.shape(rate)
    far = beyond([last], load, np.ravel(users))[0].reshape(np.shape(users))
    ttft_band = widened(np.broadcast_to(first.calibration.ttft_band, far.shape), far)
    low, high = (found.get(f"ttft_{end}", found["ttft"]) + queue for end in ("low", "high"))
    ratio = load.input_tokens / load.output_tokens
    with np.errstate(invalid="ignore", divide="ignore"):
        out = {
            "ttft_s": ttft, "tpot_s": tpot, "interactivity": 1.0 / tpot,
            "latency_s": found["latency"] + queue, "output_throughput": rate,
            "input_throughput": rate * ratio, "total_throughput": rate * (1.0 + ratio),
            "per_device": rate / found["devices"], "batch": batch, "queue_s": queue,
            "watts": found["watts"], "chassis_watts": chassis,
            "provisioned_watts": found["provisioned_w"], "facility_watts": pue * chassis,
            "output_tokens_per_joule": rate / found["watts"],
            "output_tokens_per_s_per_mw": rate / watts[power] * 1e6,
            "tpot_low_s": tpot / (1.0 + band), "tpot_high_s": tpot * (1.0 + band),
            "ttft_low_s": low / (1.0 + ttft_band), "ttft_high_s": high * (1.0 + ttft_band),
        }  # fmt: skip
    out |= {name: found[name] for name in SYSTEM_UNITS}
    out["fits"] = np.isfinite(rate)
    out["beyond"] = np.broadcast_to(far, shape).copy()
    out["error_band"] = np.full(shape, band)
    out["ttft_error_band"] = np.broadcast_to(ttft_band, shape).copy()
    assert set(UNITS) <= set(out)
    return out
