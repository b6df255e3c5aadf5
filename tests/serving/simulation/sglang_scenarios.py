"""SGLang too small in every way: scenarios drawn at random, and how they are played by `simulate`."""

import random

import numpy as np
import recorded

from tokenroof import serving


def draw(seed, content=True, undeclared=False, **fixed):
    """A scenario without what is decided."""
    rng = random.Random(seed)
    page = rng.choice([1, 1, 1, 2, 4, 16])
    count = rng.randint(3, 40)
    inputs = [rng.randint(1, rng.choice([6, 40, 160])) for _ in range(count)]
    outputs = [rng.randint(1, rng.choice([2, 20, 60])) for _ in range(count)]
    most = max(-(-(i + o) // page) for i, o in zip(inputs, outputs, strict=True)) * page + 2 * page
    config = {
        "max_total_tokens": max(16, rng.randint(most // rng.choice([1, 1, 2]), 4 * most)),
        "page_size": page,
        "max_running_requests": rng.choice([2, 5, 40]),
        "chunked_prefill_size": rng.choice([-1, 4, 16, 32, 64, 2048]),
        "max_prefill_tokens": rng.choice([8, 64, 16384]),
        "prefill_max_requests": rng.choice([None, None, None, 1, 3]),
        "prefill_decode_interval": rng.choice([0, 0, 0, 0, 1, 3]),
        "prefill_decode_interval_min_bs": rng.choice([0, 2]),
        "schedule_policy": rng.choice(["fcfs", "fcfs", "lpm", "lof"]),
        "schedule_conservativeness": rng.choice([1.0, 0.05, 0.3]),
        "enable_mixed_chunk": rng.random() < 0.3,
        "disable_overlap_schedule": rng.random() < 0.4,
        "disable_radix_cache": rng.random() < 0.3,
        "radix_eviction_policy": rng.choice(["lru"] * 5 + ["mru", "fifo", "filo", "lfu", "slru"]),
        "retraction_policy": rng.choice(["length", "length", "priority"]),
        "enable_priority_scheduling": rng.random() < 0.2,
        "schedule_low_priority_values_first": rng.random() < 0.5,
        "retract_decode_steps": rng.choice([20, 0, 3]),
        "new_token_ratio_decay_steps": rng.choice([600, 5]),
        "clip_max_new_tokens_estimation": rng.choice([4096, 4096, 7]),
        "ignore_eos": not undeclared and rng.random() < 0.25,
        "context_length": rng.choice([2**40, 120]),
    }
    config.update(fixed)
    if config["chunked_prefill_size"] > 0 and config["chunked_prefill_size"] % config["page_size"]:
        config["chunked_prefill_size"] = 4 * config["page_size"]
    step = {"a": rng.randint(1, 10**7), "b": rng.randint(0, 10**4), "c": rng.randint(0, 50)}
    rows = _requests(rng, inputs, outputs, content)
    if undeclared:
        for row in rows:
            row["declared"] = row["max_tokens"] + rng.choice([0, 0, 1, 2, 50])
    return {"engine": {"sglang": "0.5.23"}, "config": config, "step_time": step, "requests": rows}


def _requests(rng, inputs, outputs, content):
    """Some share a beginning, some go on where another ended, with what it said."""
    last = rng.choice([1, 10**8, 10**9])
    times = sorted(rng.randint(0, last) for _ in inputs)
    rows = []
    for i, (tokens, outs) in enumerate(zip(inputs, outputs, strict=True)):
        row = {"id": i, "prompt_tokens": tokens, "max_tokens": outs, "priority": rng.randint(0, 2)}
        after = bool(i) and rng.random() < 0.25
        if after:
            row["after"] = [rng.randrange(i), rng.choice([0, 10**6])]
        else:
            row["arrival"] = times[i]
        runs = []
        if content and after and rng.random() < 0.5:
            parent = rows[row["after"][0]]
            runs = [*parent["prompt"], [10**12 + parent["id"] * 10**6, parent["max_tokens"]]]
        elif content:
            runs = [[rng.choice([0, 10**6]), rng.randint(0, tokens)]]
        left, prompt = tokens, []
        for start, n in [*runs, [10**9 + i * 10**6, tokens]]:
            if min(n, left):
                prompt.append([start, min(n, left)])
            left -= min(n, left)
        row["prompt"] = prompt
        rows.append(row)
    return rows


def play(trace, content=True, **options):
    given = {name: value for name, value in trace["config"].items() if value is not None}
    scheduler = serving.Scheduler.preset("sglang-0.5.23", **given)
    options.setdefault("step_time", serving.StepTime(*(trace["step_time"][name] for name in "abc")))
    if "host" in trace:
        host, page = trace["host"], trace["config"]["page_size"]
        options["host_tier"] = serving.HostTier(
            host["pages"] * host["page_bytes"], host["bytes_per_s"] or np.inf,
            bytes_per_token=host["page_bytes"] / page, layers=host["layers"],
        )  # fmt: skip
    requests = recorded.requests_of(trace, content)
    return serving.simulate(None, None, None, requests, scheduler, **options)


def hosted(seed, policy=None, sizes=(3, 60, 300, 10_000), **fixed):
    """With memory of the host, of which there is little, or a slow link to it; many begin like another."""
    rng = random.Random(seed)
    policies = ["write_through", "write_through_selective", "write_back"]
    trace = draw(
        seed,
        disable_radix_cache=False,
        hicache_write_policy=policy or rng.choice(policies),
        **fixed,
    )
    page = trace["config"]["page_size"]
    rows, beginnings = trace["requests"], rng.choice([2, 4, 8])
    longest = max(row["prompt_tokens"] + row["max_tokens"] for row in rows)
    size = (longest // page + 3) * page
    trace["config"]["max_total_tokens"] = max(16, round(size * rng.choice([1.0, 1.2, 1.5, 3.0])))
    for row in rows:
        tokens, alike = row["prompt_tokens"], rng.random()
        if alike < 0.7:
            same = round(tokens * min(1.0, 2.0 * alike))
            runs = [
                [10**6 * rng.randrange(beginnings), same],
                [10**9 + row["id"] * 10**6, tokens - same],
            ]
            row["prompt"] = [run for run in runs if run[1]]
    trace["host"] = {
        "pages": max(1, rng.choice(sizes) // page),
        "page_bytes": page * rng.choice([1, 1000]),
        "bytes_per_s": rng.choice([0, 10**4, 10**6, 10**9]), "layers": rng.choice([1, 3, 40]),
    }  # fmt: skip
    return trace


def hashed(trace, size):
    """The same requests with hashes of blocks in place of ids."""
    given = recorded.requests_of(trace, content=False)
    seen = {}
    rows = []
    for row in trace["requests"]:
        ids = [start + k for start, n in row["prompt"] for k in range(n)]
        rows.append(np.array([
            seen.setdefault((k, tuple(ids[: (k + 1) * size])), len(seen))
            for k in range(len(ids) // size)
        ], np.int64))  # fmt: skip
    return given | {"block_hashes": rows, "hash_block": size}
