"""A system of pools in steady state: docs/serving/systems.md, read aloud."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenroof import _core
from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.records.records import unpack

__all__ = ["serving_system"]


def closed_wait(service: float, load: float, others: float) -> float:
    """A service in progress, and those of the queue that an arrival sees with itself removed (Schweitzer)."""
    busy = others * minimum(load, 1.0)
    return math.inf if busy >= 1.0 else divide(0.5 * service * busy, 1.0 - busy)


def whole(x: float) -> float:
    """The least whole number that is not below."""
    return float(math.ceil(x)) if math.isfinite(x) else x


def serving_system(
    system: Mapping[str, float] | Sequence[float], output_tokens: float
) -> dict[str, float]:
    """All quantities of a system in which each decode replica holds `batch` sequences.

    Examples
    --------
    >>> pools = dict.fromkeys(_core.SYSTEM_TERMS, 0.0) | {
    ...     "replicas": 2.0, "batch": 8.0, "round_s": 0.01, "tokens": 1.0, "devices": 4.0}
    >>> round(serving_system(pools, 101.0)["rate"], 6)
    15.841584
    """
    t = system if isinstance(system, Mapping) else unpack(_core.SYSTEM_TERMS, system)
    output = float(output_tokens)
    apart = t["prefill_s"] > 0.0
    tpot = divide(t["round_s"], t["tokens"]) + t["interference_s"]
    decoding = maximum(output - 1.0, 1.0) * tpot
    stay = decoding + (0.0 if apart else t["first_s"] + t["round_s"])
    asked = divide(t["replicas"] * t["batch"], stay)
    prefills, load, prefill, transfer, crossing = 0.0, 0.0, 0.0, 0.0, 0.0
    most = carried = math.inf
    if apart:
        each = divide(t["prefill_batch"], t["prefill_s"])
        prefills = t["prefill_replicas"]
        if not prefills > 0.0:
            prefills = maximum(whole(divide(asked, each)), 1.0)
        most = prefills * each
        senders, takers = prefills * t["prefill_devices"], t["replicas"] * t["devices"]
        crossing = divide(t["cache_bytes"], t["link_bandwidth"] * minimum(senders, takers))
        carried = divide(1.0, crossing) if crossing > 0.0 else math.inf
    rate = minimum(asked, minimum(most, carried))
    link_load = rate * crossing
    if apart:
        load = divide(rate, most)
        prefill = t["alone_s"] + load * maximum(t["prefill_s"] - t["alone_s"], 0.0)
        pair = t["link_bandwidth"] * minimum(t["prefill_devices"], t["devices"])
        transfer = t["hop_s"] + divide(t["cache_bytes"], pair)
    bare = t["first_s"] + prefill + transfer + t["round_s"]
    inside = maximum(rate * (bare + decoding), 1.0)
    others = divide(inside - 1.0, inside)
    waits = 0.0
    if apart:
        waits = closed_wait(divide(1.0, most), load, others)
        waits = waits + closed_wait(crossing, link_load, others)
    ttft = bare + waits
    latency = ttft + maximum(output - 1.0, 0.0) * tpot
    used = prefills * t["prefill_devices"] + t["replicas"] * t["devices"]
    systems, idle = 1.0, 0.0
    if t["all_devices"] > 0.0:
        systems = 0.0 - whole(0.0 - divide(t["all_devices"], used))
        idle = t["all_devices"] - systems * used
    watts = t["replicas"] * (t["idle_w"] + divide(rate, asked) * (t["watts"] - t["idle_w"]))
    aside = t["replicas"] * t["provisioned_w"]
    if apart:
        watts = watts + prefills * (
            t["prefill_idle_w"] + load * (t["prefill_w"] - t["prefill_idle_w"])
        )
        aside = aside + prefills * t["prefill_provisioned_w"]
    found = {
        "rate": systems * rate,
        "ttft": ttft,
        "tpot": tpot,
        "latency": latency,
        "concurrency": systems * rate * latency,
        "output_rate": systems * rate * output,
        "prefill_replicas": systems * prefills,
        "prefill_load": load,
        "link_load": link_load,
        "wait_s": waits,
        "transfer_s": transfer,
        "devices": systems * used + idle,
        "idle_devices": idle,
        "watts": systems * watts + idle * divide(t["idle_w"], t["devices"]),
        "provisioned_w": systems * aside + idle * divide(t["provisioned_w"], t["devices"]),
        "short_of": 0.0 if not rate < asked else 2.0 if rate < most else 1.0,
    }
    if not (t["batch"] > 0.0 and output > 0.0 and systems >= 1.0):
        return dict.fromkeys(found, math.nan)
    return {name: value + 0.0 for name, value in found.items()}
