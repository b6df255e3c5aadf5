"""Milliseconds from Ctrl-C until a sweep's caller hears it: in memory, stores, reductions, clients.

    python bench/scale/sweep_interrupted.py

By the clock, and of this process's processors, which a busy machine does not lengthen. At the end: how many
worker processes are left of those that sweeps had started for themselves.
"""

import os
import shutil
import signal
import tempfile
import threading
import time
import warnings

import numpy as np

import tokenroof as tr
from tokenroof.scale.clusters import client_of

GRID = {
    "devices": "H200-SXM",
    "models": "DeepSeek-V3",
    "plans": tr.Plan(tp=8, moe_ep=8, weights="fp8"),
    "batch": np.arange(1, 2001),
    "context": np.arange(2000) * 16.0,
    "fields": True,
}
WAITS = (0.2, 0.3, 0.5, 0.7, 1.1)


def heard(after: float, **ways: object) -> tuple[float, float] | None:
    """Milliseconds by the clock and of this process; None where the sweep had ended."""
    sent = [0.0, 0.0]

    def interrupt() -> None:
        time.sleep(after)
        sent[:] = time.perf_counter(), time.process_time()
        os.kill(os.getpid(), signal.SIGINT)

    try:
        threading.Thread(target=interrupt, daemon=True).start()
        tr.sweep(**GRID, **ways)
        time.sleep(after + 1.0)
    except KeyboardInterrupt:
        clock, busy = time.perf_counter() - sent[0], time.process_time() - sent[1]
        return (1e3 * clock, 1e3 * busy) if sent[0] and clock < after + 0.9 else None
    return None


def workers_left(within_s: float) -> int:
    """Worker processes of this one that have not ended by then."""
    import multiprocessing

    until = time.monotonic() + within_s
    while (left := len(multiprocessing.active_children())) and time.monotonic() < until:
        time.sleep(0.2)
    return left


def main() -> None:
    warnings.simplefilter("ignore", ResourceWarning)
    folder = tempfile.mkdtemp()
    tr.sweep(**GRID | {"batch": [1], "context": [1.0]})
    print(f"load of the machine: {os.getloadavg()[0]:.1f} over {os.cpu_count()} processors")

    def say(name: str, ways: dict, waits: tuple[float, ...] = WAITS) -> None:
        found = []
        for after in waits:
            where = {"store": f"{folder}/{name}-{after}-{ways['store']}"} if "store" in ways else {}
            found.append(heard(after, **ways | where))
        said = ", ".join("it had ended" if f is None else f"{f[0]:.1f} ({f[1]:.1f})" for f in found)
        print(f"{name}: {said} ms by the clock (of the processor)", flush=True)

    say("in memory", {})
    say("to Parquet", {"store": "a.parquet"})
    say("to Zarr", {"store": "a.zarr"})
    for name in ("best_plan", "frontier", "quantiles"):
        say(name, {"reduce": name})
    with client_of(1) as client:
        tr.sweep(**GRID | {"batch": [1], "context": [1.0]}, client=client, reduce="frontier")
        say("a client of yours", {"client": client, "reduce": "frontier"})
        say("a client of yours, to Parquet", {"client": client, "store": "b.parquet"})
    say("client=1, from its start on", {"client": 1, "reduce": "frontier"}, (0.2, 0.5, 1, 2, 4, 8))
    print(f"worker processes left after 60 s: {workers_left(60)}")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
