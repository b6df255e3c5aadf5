"""Milliseconds from Ctrl-C until a sweep's caller hears it: in memory, to stores, with a reduction."""

import os
import shutil
import signal
import tempfile
import threading
import time

import numpy as np

import tokenroof as tr

GRID = {
    "devices": "H200-SXM",
    "models": "DeepSeek-V3",
    "plans": tr.Plan(tp=8, moe_ep=8, weights="fp8"),
    "batch": np.arange(1, 1001),
    "context": np.arange(1000) * 16.0,
    "fields": True,
}


def main() -> None:
    folder = tempfile.mkdtemp()
    tr.sweep(**GRID | {"batch": [1], "context": [1.0]})
    for ways in ({}, {"store": "a.parquet"}, {"store": "a.zarr"}, {"reduce": "frontier"}):
        heard = []
        for after in (0.2, 0.3, 0.5, 0.7, 1.1):
            where = {"store": f"{folder}/{after}-{ways['store']}"} if "store" in ways else {}
            sent = [0.0]

            def interrupt(wait: float = after, sent: list[float] = sent) -> None:
                time.sleep(wait)
                sent[0] = time.perf_counter()
                os.kill(os.getpid(), signal.SIGINT)

            threading.Thread(target=interrupt, daemon=True).start()
            try:
                tr.sweep(**GRID, **ways | where)
                time.sleep(2.0)
            except KeyboardInterrupt:
                heard.append(1e3 * (time.perf_counter() - sent[0]))
        print(f"{ways or 'in memory'}: {', '.join(f'{ms:.1f}' for ms in heard)} ms", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
