"""Loads and steps of SGLang's scheduler, as tests by hand write them."""

import numpy as np

from tokenroof import serving

MS = 1_000_000


def run(requests, step=None, loop="sync", **knobs):
    names = ("replicas", "router", "threads", "horizon_s")
    options = {name: knobs.pop(name) for name in names if name in knobs}
    knobs = {"max_total_tokens": 10_000, "context_length": 20_000, **knobs}
    knobs.setdefault("disable_overlap_schedule", loop == "sync")
    scheduler = serving.Scheduler.preset("sglang-0.5.23", **knobs)
    return serving.simulate(
        None, None, None, requests, scheduler, step_time=step or serving.StepTime(MS),
        record_steps=options.pop("record_steps", True), **options,
    )  # fmt: skip


def steps(found):
    """Of each step who got how many tokens."""
    out = [[] for _ in found.steps]
    for e in found.entries:
        out[e["step"]].append((int(e["request"]), int(e["tokens"])))
    return out


def load(inputs, outputs, arrival=0, **more):
    n = len(inputs)
    return {
        "arrival_ns": np.broadcast_to(np.asarray(arrival, np.int64), n).copy(),
        "input_tokens": np.asarray(inputs), "output_tokens": np.asarray(outputs), **more,
    }  # fmt: skip
