"""Scenarios drawn at random: engines that are too small in every way, requests that share what they can.

``python scenarios.py`` writes those that lie in ``traces/``: drawn here, decided by `twin`, which had been held
against recordings of vLLM's own scheduler in the same layout.
"""

import gzip
import json
import random
from pathlib import Path


def draw(seed, content=True, **fixed):
    """A scenario without what is decided."""
    rng = random.Random(seed)
    old, loop = rng.random() < 0.4, rng.choice(["sync", "async"])
    size = rng.choice([1, 2, 4, 16])
    count = rng.randint(4, 40)
    inputs = [rng.randint(1, rng.choice([6, 40, 160])) for _ in range(count)]
    outputs = [rng.randint(1, rng.choice([2, 20, 60])) for _ in range(count)]
    most = max(-(-(i + o) // size) for i, o in zip(inputs, outputs, strict=True)) + 2
    budget = rng.choice([16, 64, 256, 2048])
    config = {
        "max_num_batched_tokens": budget,
        "max_num_seqs": min(budget, rng.randint(1, 16)),
        "block_size": size,
        "num_blocks": rng.randint(most, 3 * most),
        "max_model_len": rng.choice([120, 100000]),
        "enable_chunked_prefill": rng.random() < 0.8,
        "enable_prefix_caching": rng.random() < 0.7,
        "long_prefill_token_threshold": rng.choice([0, 0, 8, 40]),
        "policy": rng.choice(["fcfs", "fcfs", "priority"]),
        "scheduler_reserve_full_isl": rng.random() < 0.8,
    }
    if rng.random() < 0.3:
        config["max_num_scheduled_tokens"] = max(1, budget // 3)
    if not old:
        config["watermark"] = rng.choice([0.0, 0.0, 0.05])
        config["long_prefill_token_threshold_adaptive"] = rng.random() < 0.3
        config["prefill_schedule_interval"] = rng.choice([1, 1, 3])
        config["max_num_active_seqs"] = max(1, config["max_num_seqs"] - rng.choice([0, 0, 2]))
    config.update(fixed)
    requests = _requests(rng, inputs, outputs, content)
    step = {"a": rng.randint(1, 10**7), "b": rng.randint(0, 10**4), "c": rng.randint(0, 50)}
    engine = {"vllm": "0.19.0" if old else "0.33.0", "loop": loop}
    return {
        "format": 1, "name": f"drawn-{seed}", "engine": engine, "config": config, "step_time": step,
        "requests": requests,
    }  # fmt: skip


def _requests(rng, inputs, outputs, content):
    """Some share a beginning, some go on where a parent ended."""
    last = rng.choice([1, 10**8, 10**9])
    times = sorted(rng.randint(0, last) for _ in inputs)
    rows = []
    for i, (tokens, outs) in enumerate(zip(inputs, outputs, strict=True)):
        row = {"id": i, "prompt_tokens": tokens, "max_tokens": outs, "priority": rng.randint(0, 2)}
        if i and rng.random() < 0.25:
            row["after"] = [rng.randrange(i), rng.choice([0, 10**6])]
        else:
            row["arrival"] = times[i]
        shared = rng.randint(0, tokens) if content else 0
        runs = [[rng.choice([0, 10**6]), shared]] if shared else []
        if tokens - shared:
            runs.append([10**9 + i * 10**6, tokens - shared])
        row["prompt"] = runs
        rows.append(row)
    return rows


#: Seeds of those that are kept: both versions, both loops, both policies, with preemptions and hits.
KEPT = (3, 6, 12, 25, 44, 46, 53, 65, 66, 67)


def main():
    from twin import play

    folder = Path(__file__).parent / "traces"
    folder.mkdir(exist_ok=True)
    for seed in KEPT:
        trace = draw(seed)
        trace.update(play(trace))
        text = json.dumps(trace, separators=(",", ":"))
        with (folder / f"{trace['name']}.json.gz").open("wb") as file:
            file.write(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
