"""
A burst is over in seconds, its queue is not
============================================

A trace made here, in the layout of a public one: steady arrivals and one burst. The
engine's scheduler is played over it, step by step.
"""

import tempfile
from pathlib import Path

import numpy as np

import tokenroof as tr

draw = np.random.default_rng(7)
rate = np.where((np.arange(900) > 300) & (np.arange(900) < 600), 60.0, 10.0)
at = np.cumsum(draw.exponential(1 / rate))
dates = np.datetime64("2026-09-01T10:00") + (at * 1e6).astype("timedelta64[us]")
prompts, answers = draw.integers(200, 3000, 900), draw.integers(50, 400, 900)
rows = [f"{d},{p},{a}" for d, p, a in zip(dates, prompts, answers, strict=True)]
with tempfile.TemporaryDirectory() as folder:
    log = Path(folder) / "log.csv"
    text = "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows])
    log.write_text(text.replace("T1", " 1") + "\n")
    load = tr.serving.trace(log, "azure")
run = tr.serving.simulate("H100-SXM", "Llama-3.1-8B", None, load)
ttft = (run.requests["first_token_ns"] - run.requests["arrival_ns"]) / 1e9
burst, queue = at[600] - at[300], at[ttft > 1.0].max() - at[600]
assert ttft[:300].max() < 1.0
assert queue > 3 * burst
tr.plot.timeline(run.series()).show()
