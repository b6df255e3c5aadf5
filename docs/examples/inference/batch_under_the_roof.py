"""
A batch climbs the roof of memory until its own caches hold it back
===================================================================

A decode step reads the weights once for all sequences, and each sequence's cache for
itself alone. With long contexts the caches win, and more sequences no longer do more
work per byte.
"""

import numpy as np
import pandas as pd

import tokenroof as tr

device, model, plan = "H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, weights="fp8")
batch = 2.0 ** np.arange(0, 9)
points = []
for context in (512, 16384):
    step = tr.decode(device, model, plan, batch=batch, context=context)
    at, rate = tr.roofline.point(step)
    points.append(pd.DataFrame({
        "device": device, "model": model, "step": "decode", "plan": plan.label(), "intensity": at,
        "load": [f"batch {b:.0f} at {context}" for b in batch], "flops_per_s": rate,
        "time_s": step.time_s, "bound": [str(b) for b in step.bound],
    }))  # fmt: skip
short, long = points
assert short.intensity.iloc[-1] > 4 * long.intensity.iloc[-1]
assert (short.bound == "memory").any()
tr.plot.roofline([device], pd.concat(points), dtype="fp8").show()
