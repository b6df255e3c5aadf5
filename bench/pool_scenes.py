"""Pools of prompts and of answers drawn at random: their closed form in open loop beside the simulator.

    python bench/pool_scenes.py [--systems 40] [--seed 0] [--prompts]

With --prompts answers have two tokens and so many replicas that they wait for nobody: of the pool of prompts
alone, steps of several sizes, cut prompts and whole ones. Else of whole systems, and each row says which pool
is short. Printed, as the closed form over the simulator less one: the rate that is taken when too many come;
at 0.5 and 0.85 (0.3, 0.6, 0.8 and 0.9) of that mean first tokens, their 99th percentile, time per token
and to the last one; then their mean, mean size and the largest over all rows.
"""

from __future__ import annotations

import argparse

import numpy as np

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving import Lengths, Scheduler
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.twin import shape_of

PLACES = [
    ("H100-SXM", "Llama-3.1-8B", {}),
    ("L40S", "Llama-3.1-8B", {}),
    ("H200-SXM", "Llama-3.3-70B", {"tp": 4, "weights": "fp8", "kv_cache": "fp8"}),
    ("H200-SXM", "gpt-oss-120b", {"weights": "mxfp4"}),
    ("B200-SXM", "gpt-oss-120b", {"weights": "mxfp4"}),
    ("H200-SXM", "Qwen3-30B-A3B", {}),
    (
        "H200-SXM",
        "Qwen3-235B-A22B",
        {"tp": 8, "moe_ep": 8, "weights": "fp8", "kv_cache": "fp8"},
    ),
]
#: Of each engine its preset, tokens of a step, and a loop that does not overlap.
ENGINES = {
    "vllm": ("vllm-0.33", "max_num_batched_tokens", {"loop": "sync"}),
    "sglang": ("sglang-0.5.23", "chunked_prefill_size", {"disable_overlap_schedule": True}),
    "trtllm": ("trtllm-1.4", "max_num_tokens", {"disable_overlap_scheduler": True}),
}
#: Replicas that answer, where prompts are all that is looked at.
_MANY = 64
NAMES = ("ttft", "ttft_p99", "tpot", "e2e")


def lengths(rng, low, high, spreads):
    mean = int(np.exp(rng.uniform(np.log(low), np.log(high))))
    cv = float(rng.choice(spreads))
    # as long as all models take: others are refused
    return Lengths.lognormal(mean, cv, high=32_768) if cv else Lengths.fixed(mean)


def drawn(rng, prompts):
    """A system, its schedulers, and lengths."""
    engine = str(rng.choice(sorted(ENGINES)))
    device, model, how = PLACES[rng.integers(len(PLACES))]
    preset, tokens, sync = ENGINES[engine]
    knobs = {"enable_chunked_prefill": True} if engine == "trtllm" else {}
    inputs = (
        lengths(rng, 100, 8000, [0.0, 0.3, 1.0])
        if prompts
        else lengths(rng, 200, 6000, [0.0, 0.3, 0.5])
    )
    outputs = Lengths.fixed(2) if prompts else lengths(rng, 20, 500, [0.2, 0.5, 1.0])
    counts = (
        (int(rng.choice([1, 1, 2, 3])), _MANY)
        if prompts
        else tuple(map(int, rng.integers(1, 4, 2)))
    )
    first = dict(knobs)
    if prompts:
        size = [None, 2048, 8192, 16384][rng.integers(4)]
        first |= ({tokens: size} if size else {}) | (sync if rng.integers(2) else {})
        if engine == "trtllm" and rng.integers(2) and inputs.mean < (size or 8192) / 8:
            first["enable_chunked_prefill"] = False
    plan = tr.Plan(engine=engine, **how)
    link = {"link_bandwidth": 1e13, "hop_s": 0.0} if prompts else {}
    system = serving.disaggregate(
        (device, plan, counts[0]), (device, plan, counts[1]), model=model, **link
    )
    schedulers = {
        "prefill": Scheduler.preset(preset, **first),
        "decode": Scheduler.preset(preset, **knobs),
    }
    return system, schedulers, {"input_tokens": inputs, "output_tokens": outputs}


def taken(system, schedulers, sizes, twin, seed):
    """Requests a second that the simulator takes when twice as many come as the closed form bears."""
    prompts = int(twin.first_count * (1500 + 60 * twin.first.moments["many"]))
    many = min(60_000, prompts + 12 * int(twin.last_count * (len(twin.last.steps) - 1)))
    load = serving.poisson(2.0 * twin.saturation, requests=many, seed=seed, **sizes)
    run = np.sort(
        serving.simulate(system, None, None, load, schedulers).requests, order="last_token_ns"
    )
    ends, at = np.unique(run["last_token_ns"], return_index=True)
    low, high = int(0.3 * ends.size), int(0.75 * ends.size)
    # as many as their tokens are, of the mean
    tokens = run["input_tokens"] + 0.0 if twin.last_count == _MANY else np.ones(len(run))
    share = tokens[at[low] : at[high]].sum() / tokens.mean()
    return share / ((ends[high] - ends[low]) * 1e-9)


def compared(rng, prompts, seed):
    system, schedulers, sizes = drawn(rng, prompts)
    known = shape_of(serving.poisson(1.0, requests=4000, seed=seed, **sizes))
    twin = OfPools(system, schedulers, known, "calibrated", {}).twin
    bears = {
        "prompts": twin.first_count * twin.first.saturation,
        "answers": twin.last_count * twin.last.saturation,
        "the link": 1.0 / twin.crossing_s,
    }
    rate = taken(system, schedulers, sizes, twin, seed + 1)
    row = [twin.saturation / rate - 1.0]
    # thousands of steps: a loop that plans ahead may be long in coming to it
    many = 40_000 + (int(2000 * twin.first_count * twin.first.moments["many"]) if prompts else 0)
    for share in (0.3, 0.6, 0.8, 0.9) if prompts else (0.5, 0.85):
        load = serving.poisson(share * rate, requests=many, seed=seed + 2, **sizes)
        run = serving.simulate(system, None, None, load, schedulers).requests[many // 10 :]
        seen = serving.summary(run)
        own = shape_of(load)
        found = OfPools(system, schedulers, own, "calibrated", {}).twin.at(np.array([own.rate]))
        for name in NAMES:
            time, _, p = name.partition("_")
            row.append(float(found[name][0]) / seen[f"{time}_s"][p or "mean"] - 1.0)
    said = " ".join(f"{x.mean:.0f}~{x.variance**0.5 / x.mean:.1f}" for x in sizes.values())
    return f"{system.label()} {said}", min(bears, key=bears.get), np.array(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompts", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    rows = []
    for k in range(arguments.systems):
        name, short, row = compared(rng, arguments.prompts, 10 * k)
        rows.append((short, row))
        print(f"{name}, short of {short}: " + " ".join(f"{100 * x:+.1f}" for x in row), flush=True)
    for short in sorted({short for short, _ in rows}):
        off = 100.0 * np.array([row for one, row in rows if one == short])
        told = {
            "mean": off.mean(axis=0),
            "size": np.abs(off).mean(axis=0),
            "most": np.abs(off).max(axis=0),
        }
        for what, found in told.items():
            print(f"short of {short}, {len(off)}, {what}: " + " ".join(f"{x:.1f}" for x in found))


if __name__ == "__main__":
    main()
