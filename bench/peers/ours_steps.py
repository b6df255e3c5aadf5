"""tokenroof: decode steps, a call a point and 100,000 points a call; measured points by `serving.curve`."""

import itertools

import numpy as np
import timing

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment

NAMES = {"h100_sxm": "H100-SXM", "h200_sxm": "H200-SXM"}


def answered(p):
    plan = tr.Plan(tp=p["tp"], weights=p["weights"], kv_cache=p["kv_cache"], engine=p["engine"])
    try:
        table = tr.serving.curve(
            NAMES[p["system"]], p["model"], plan, p["input"], p["output"], [p["users"]]
        )
    except ValueError:
        return None
    return float(table.tpot_s[0])


asked = timing.work()
grid = [g for g in itertools.product(asked["batches"], asked["contexts"]) if g[0] * g[1] < 300_000]
plan = tr.Plan(engine="trtllm")
one = timing.least(
    lambda: [tr.decode("H100-SXM", "Llama-3.1-8B", plan, batch=b, context=c) for b, c in grid]
)
packed = deployment("H100-SXM", "Llama-3.1-8B", plan, "calibrated").records
rng = np.random.default_rng(1)
batch, context, out = (
    rng.integers(1, 129, 100_000).astype(float),
    rng.uniform(500, 8000, 100_000),
    np.empty(100_000),
)
many = timing.least(lambda: kernels.decode_time(*packed, batch, context, out=out))
predicted = [answered(p) for p in asked["points"]]
timing.say({"evaluation_s": many / 100_000, "one_call_s": one / len(grid), "how": "100,000 points a call",
            "predicted": predicted})  # fmt: skip
