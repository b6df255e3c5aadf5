"""
At half of what a replica bears one request in a hundred waits twice the median
===============================================================================

Time to the first token over the rate of arrivals, up to the rate at which the queue would
grow without end; the knee of each device is marked.
"""

import numpy as np

import tokenroof as tr

plan = tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
tables = []
for device in ("H100-SXM", "H200-SXM", "B200-SXM"):
    bears = tr.serving.stability(device, "Llama-3.1-70B", plan).rate
    rate = np.linspace(0.05, 0.95, 19) * bears
    table = tr.serving.curve(device, "Llama-3.1-70B", plan, rate=rate)
    tables.append(table)
    tail = table.ttft_p99_s / table.ttft_p50_s
    assert tail[9] > 1.8  # at half of what it bears
    assert table.ttft_p99_s[-1] > 2.5 * table.ttft_p50_s[0]
tr.plot.latency(tables).show()
