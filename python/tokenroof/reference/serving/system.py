"""A system of pools in steady state: docs/serving/systems.md, read aloud."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tokenroof import _core
from tokenroof.reference.core.ieee import divide, maximum, minimum
from tokenroof.reference.core.roundings import root
from tokenroof.reference.records.records import unpack

__all__ = ["serving_system"]


def closed_wait(service: float, load: float, others: float) -> float:
    """A service in progress, and those of the queue that an arrival sees with itself removed (Schweitzer)."""
    busy = others * minimum(load, 1.0)
    return math.inf if busy >= 1.0 else divide(0.5 * service * busy, 1.0 - busy)


def whole(x: float) -> float:
    """The least whole number that is not below."""
    return float(math.ceil(x)) if math.isfinite(x) else x


def rates(t: Mapping[str, float], output: float) -> dict[str, float]:
    """What decode replicas ask for, prefill replicas give and the link carries [1/s]; replicas."""
    apart = t["prefill_s"] > 0.0
    tpot = divide(t["round_s"], t["tokens"]) + t["interference_s"]
    decoding = maximum(output - 1.0, 1.0) * tpot
    stay = decoding + (0.0 if apart else t["first_s"] + t["round_s"])
    asked = divide(t["replicas"] * t["batch"], stay)
    takers = t["replicas"] * t["devices"]
    if not apart:
        return {
            "asked": asked, "most": math.inf, "rate": asked, "prefills": 0.0, "crossing": 0.0,
            "near": 0.0 * t["prefill_devices"], "far": takers, "tpot": tpot, "decoding": decoding,
        }  # fmt: skip
    each = divide(t["prefill_batch"], t["prefill_s"])
    prefills = t["prefill_replicas"]
    if not prefills > 0.0:
        prefills = maximum(whole(divide(asked, each)), 1.0)
    most, senders = prefills * each, prefills * t["prefill_devices"]
    crossing = divide(t["cache_bytes"], t["link_bandwidth"] * minimum(senders, takers))
    carried = divide(1.0, crossing) if crossing > 0.0 else math.inf
    return {
        "asked": asked, "most": most, "rate": minimum(asked, minimum(most, carried)), "prefills": prefills,
        "crossing": crossing, "near": senders, "far": takers, "tpot": tpot, "decoding": decoding,
    }  # fmt: skip


def batch_after(x: float) -> float:
    """x / (1 - e^-x), the mean of what a step holds that follows another; e^x by four terms of its series."""
    over = 1.0 + x * (0.5 + x * (1.0 / 6.0))
    return divide(1.0 + x * over, over)


def prompt_times(
    alone: float, full: float, many: float, rate: float, replicas: float
) -> tuple[float, float]:
    """A prompt's step and its wait for it, where the least loaded replica takes all that came in one step.

    Steps of n = 1 to `many` prompts take a + d (n - 1) seconds, `alone` to `full`; `rate` is each replica's.
    """
    share = divide(1.0, replicas)
    further = (
        root(2.0 * (replicas + 1.0)) - 2.0
    )  # Sakasegawa: all replicas are busy by p^(1 + this)
    d = divide(maximum(full - alone, 0.0), many - 1.0) if many > 1.0 else 0.0
    ld = minimum(rate * d, 1.0 - 2.0**-20)

    def found_busy(p: float) -> float:
        return divide(p, p + further * (1.0 - p)) if p > 0.0 else 0.0

    # what came during a step makes the next: n = l s, in a fluid; then with its fluctuations
    s = minimum(full, maximum(alone, divide(alone - d, 1.0 - ld)))
    p, n = minimum(rate * s, 1.0), 1.0
    for _ in range(3):
        h = found_busy(p)
        x = rate * s * h
        m = share * batch_after(x) + (1.0 - share) * maximum(x, 1.0)
        n = minimum(divide(1.0, (1.0 - p * h) + divide(p * h, m)), many)
        s = minimum(full, alone + d * (n - 1.0))
        p = minimum(divide(rate * s, n), 1.0)
    h = found_busy(p)
    q, slope = p * h, ld * h
    seen = minimum(full, s + divide(share * d * slope * p, 1.0 - slope * slope))
    y = rate * h * seen
    more = share * y + (1.0 - share) * (maximum(y, 1.0) - 1.0)
    step = (1.0 - q) * alone + q * minimum(full, alone + d * more)
    load, fill = divide(rate * full, many), divide(n, many)
    behind = math.inf
    if not load >= 1.0:
        behind = divide(divide(0.5 * full, many) * share * load * load, 1.0 - load)
    return step, 0.5 * q * seen + behind * (fill * fill * fill)


def bunch_time(alone: float, full: float, many: float, bunch: float) -> float:
    """Mean time until the step is over that one of so many prompts is in, of which a step takes `many`."""
    if bunch > many:
        return divide(full * (bunch + many), 2.0 * many)
    d = divide(maximum(full - alone, 0.0), many - 1.0) if many > 1.0 else 0.0
    return alone + d * (bunch - 1.0)


def pool_prompts(
    t: Mapping[str, float], r: Mapping[str, float], around: float
) -> tuple[float, float]:
    """A prompt's step and wait in a prefill pool, where a request stays `around` seconds besides.

    Stages of a pipeline take turns; an arrival sees all but itself; what started together stays so.
    """
    stages, replicas = maximum(t["prefill_stages"], 1.0), maximum(r["prefills"], 1.0)
    alone, full, many = (
        divide(t[name], stages) for name in ("alone_s", "prefill_s", "prefill_batch")
    )
    least = maximum(r["rate"] * (around + t["alone_s"]), 1.0)
    others = divide(least - 1.0, least)
    one, wait = prompt_times(alone, full, many, divide(others * r["rate"], replicas), replicas)
    step = one * stages
    inside = maximum(r["rate"] * (around + step), 1.0)
    bunch = 1.0 + 2.0 * divide(t["burst"] * (inside - 1.0), replicas)
    together = bunch_time(alone, full, many, bunch) - one if bunch > 1.0 else 0.0
    return step, maximum(wait, together)


def times(t: Mapping[str, float], r: Mapping[str, float]) -> dict[str, float]:
    """Seconds to the first token, and what of them waits and crosses."""
    if not t["prefill_s"] > 0.0:
        bare = t["first_s"] + t["round_s"]
        return {"load": 0.0, "wait_s": 0.0, "transfer_s": 0.0, "ttft": bare}
    pair = t["link_bandwidth"] * minimum(t["prefill_devices"], t["devices"])
    transfer = t["hop_s"] + divide(t["cache_bytes"], pair)
    around = t["first_s"] + transfer + t["round_s"]
    step, wait = pool_prompts(t, r, around + r["decoding"])
    bare = around + step
    inside = maximum(r["rate"] * (bare + r["decoding"]), 1.0)
    others = divide(inside - 1.0, inside)
    waits = wait + closed_wait(r["crossing"], r["rate"] * r["crossing"], others)
    load = divide(r["rate"], r["most"])
    return {"load": load, "wait_s": waits, "transfer_s": transfer, "ttft": bare + waits}


def draws(t: Mapping[str, float], r: Mapping[str, float], load: float) -> tuple[float, float]:
    """Watts of one system's boards, and what is set aside for them."""
    at_work = t["idle_w"] + divide(r["rate"], r["asked"]) * (t["watts"] - t["idle_w"])
    watts, aside = t["replicas"] * at_work, t["replicas"] * t["provisioned_w"]
    if t["prefill_s"] > 0.0:
        idle = t["prefill_idle_w"]
        watts = watts + r["prefills"] * (idle + load * (t["prefill_w"] - idle))
        aside = aside + r["prefills"] * t["prefill_provisioned_w"]
    return watts, aside


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
    r = rates(t, output)
    rate, tpot, seen = r["rate"], r["tpot"], times(t, r)
    latency = seen["ttft"] + maximum(output - 1.0, 0.0) * tpot
    used = r["near"] + r["far"]
    systems, idle = 1.0, 0.0
    if t["all_devices"] > 0.0:
        systems = 0.0 - whole(0.0 - divide(t["all_devices"], used))
        idle = t["all_devices"] - systems * used
    watts, aside = draws(t, r, seen["load"])
    found = {
        "rate": systems * rate,
        "ttft": seen["ttft"],
        "tpot": tpot,
        "latency": latency,
        "concurrency": systems * rate * latency,
        "output_rate": systems * rate * output,
        "prefill_replicas": systems * r["prefills"],
        "prefill_load": seen["load"],
        "link_load": rate * r["crossing"],
        "wait_s": seen["wait_s"],
        "transfer_s": seen["transfer_s"],
        "devices": systems * used + idle,
        "idle_devices": idle,
        "watts": systems * watts + idle * divide(t["idle_w"], t["devices"]),
        "provisioned_w": systems * aside + idle * divide(t["provisioned_w"], t["devices"]),
        "short_of": 0.0 if not rate < r["asked"] else 2.0 if rate < r["most"] else 1.0,
    }
    if not (t["batch"] > 0.0 and output > 0.0 and systems >= 1.0):
        return dict.fromkeys(found, math.nan)
    return {name: value + 0.0 for name, value in found.items()}
