"""Random scenes in which the closed forms of a load are held against the simulator: run by hand.

    python bench/twin_scenes.py [scenes] [seed] [open|closed]

Models that are dense and mixtures, devices, lengths with and without spread, loads of 2 to 95 % of saturation
or 1 to 128 users. Says of how many scenes the form claims to hold, and prints every scene that claims it and
is beyond 10 % in a mean or 20 % in a percentile. A mean over requests of which many depend on each other is
not known so well: near saturation play more of them before a scene is believed.
"""

from __future__ import annotations

import sys

import numpy as np

import tokenroof as tr
from tokenroof.serving import Lengths, curve, poisson, simulate, stability, summary, users

PLACES = [
    ("H100-SXM", "Llama-3.1-8B", tr.Plan()),
    ("L40S", "Llama-3.1-8B", tr.Plan()),
    ("A100-SXM-80GB", "Qwen3-14B", tr.Plan()),
    ("H200-SXM", "Llama-3.3-70B", tr.Plan(tp=4, weights="fp8", kv_cache="fp8")),
    ("H200-SXM", "gpt-oss-120b", tr.Plan(weights="mxfp4")),
    ("B200-SXM", "gpt-oss-120b", tr.Plan(weights="mxfp4")),
    ("H100-SXM", "gpt-oss-20b", tr.Plan(weights="mxfp4")),
    ("H200-SXM", "Qwen3-30B-A3B", tr.Plan()),
    ("MI300X", "Mixtral-8x7B", tr.Plan()),
    (
        "H200-SXM",
        "Qwen3-235B-A22B",
        tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8"),
    ),
]
TIMES, PERCENTILES = ("ttft", "tpot", "e2e"), ("p50", "p90", "p99")


def lengths(random, low, high, spreads):
    """A distribution of a mean between two, drawn by its logarithm."""
    mean = int(np.exp(random.uniform(np.log(low), np.log(high))))
    cv = random.choice(spreads)
    return Lengths.fixed(mean) if cv == 0.0 else Lengths.lognormal(mean, float(cv))


def scene(random, kind):
    """Where, what lengths, and how much load: a share of saturation, or users."""
    place = PLACES[random.integers(len(PLACES))]
    spreads = [0.0, 0.5, 1.0] if kind == "open" else [0.2, 0.5, 1.0]
    shortest = (20, 5) if kind == "open" else (60, 40)
    sizes = {
        "input_tokens": lengths(random, shortest[0], 4000, [0.0, 0.5, 1.0]),
        "output_tokens": lengths(random, shortest[1], 600, spreads),
    }
    if kind == "open":
        return place, sizes, float(np.exp(random.uniform(np.log(0.02), np.log(0.95))))
    return place, sizes, int(random.choice([1, 1, 2, 4, 8, 16, 32, 64, 128]))


def both(place, sizes, load, kind, seed):
    """The closed form's row, and the simulator's summary."""
    if kind == "open":
        means = {name: of.mean for name, of in sizes.items()}
        rate = load * stability(*place, **means).rate
        requests = poisson(rate, requests=6000 if load < 0.5 else 24_000, seed=seed, **sizes)
        row = curve(*place, load=requests).isel(rate=0)
        mean = "{}_s"
    else:
        requests = users(load, max(4000, 60 * load), seed=seed, **sizes)
        row = curve(*place, concurrency=[load], **sizes).isel(concurrency=0)
        mean = "{}_mean_s"
    run = simulate(*place, requests).requests
    return row, summary(run[len(run) // 20 : -len(run) // 20]), mean


def errors(row, seen, mean):
    """Ratio less one of each mean, and of each percentile."""
    of_means = {t: float(row[mean.format(t)]) / seen[f"{t}_s"]["mean"] - 1.0 for t in TIMES}
    of_others = {
        f"{t}_{p}": float(row[f"{t}_{p}_s"]) / seen[f"{t}_s"][p] - 1.0
        for t in TIMES
        for p in PERCENTILES
    }
    return of_means, of_others


def hunt(scenes, seed, kind):
    """Play the scenes, print those that claim what is not so, and the counts."""
    random = np.random.default_rng(seed)
    held = {"means": 0, "percentiles": 0}
    wrong = dict(held)
    for k in range(scenes):
        place, sizes, load = scene(random, kind)
        row, seen, mean = both(place, sizes, load, kind, seed + k)
        for name, found, most in zip(held, errors(row, seen, mean), (0.1, 0.2), strict=True):
            claims = bool(row[f"{name}_hold"])
            worst = max(found, key=lambda one: abs(found[one]) if found[one] == found[one] else 0.0)
            off = not abs(found[worst]) <= most
            held[name] += claims
            wrong[name] += claims and off
            if (claims and off) or "-v" in sys.argv:
                said = [f"{x.mean:.0f}~{x.variance**0.5 / x.mean:.1f}" for x in sizes.values()]
                print(
                    name, "HELD" if claims else "no", place[0], place[1], *said, f"{load:.3g}",
                    {one: round(x, 2) for one, x in found.items() if abs(x) > 0.6 * most}, flush=True,
                )  # fmt: skip
    for name in held:
        print(f"{kind}: {scenes} scenes, {name} hold in {held[name]}, wrongly in {wrong[name]}")


if __name__ == "__main__":
    given = [x for x in sys.argv[1:] if x != "-v"]
    many, first = (int(x) for x in (*given[:2], *("100", "1")[len(given[:2]) :]))
    for kind in given[2:] or ["open", "closed"]:
        hunt(many, first, kind)
