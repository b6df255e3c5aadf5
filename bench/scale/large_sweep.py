"""A slice of a large sweep: one worker beside two, memory, bytes, and what 10^10 points cost.

    python bench/scale/large_sweep.py [--points 1e8] [--turns 3] [--folder /tmp]

Workers are processes of one thread each. One worker and two take turns at the same grid in one run, so that
whatever else the machine does befalls both; seconds of their processors do not count what others take.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time

import numpy as np

import tokenroof as tr

PLANS = [
    tr.Plan(tp=tp, moe_ep=ep, weights=w, kv_cache=kv)
    for tp in (4, 8)
    for ep in (1, tp)
    for w in ("bf16", "fp8")
    for kv in ("bf16", "fp8")
]


def grid(points: float) -> dict:
    """So many points: 2 devices, 2 models, 16 plans, and as many batches as contexts."""
    side = max(2, round((points / (4 * len(PLANS))) ** 0.5))
    return {
        "devices": ["H200-SXM", "B200-SXM"],
        "models": ["Qwen3-235B-A22B", "DeepSeek-V3"],
        "plans": PLANS,
        "batch": np.arange(1, side + 1),
        "context": np.linspace(16, 131072, side).round(),
    }


def size(given: dict) -> int:
    return int(np.prod([len(values) for values in given.values()]))


def cpu() -> float:
    return time.process_time()


def rss() -> float:
    """Most memory that the process had so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(client, given: dict, **options) -> tuple[float, float]:
    """Seconds of the clock, and of the workers' processors."""
    before = sum(client.run(cpu).values())
    begun = time.perf_counter()
    tr.sweep(**given, client=client, **options)
    return time.perf_counter() - begun, sum(client.run(cpu).values()) - before


def turns(clients: dict, given: dict, many: int, chunks: int) -> None:
    """One worker and two by turns."""
    seen: dict = {n: [] for n in clients}
    for client in clients.values():
        run(client, grid(2e4), reduce="frontier")  # imports
    for _ in range(many):
        for n, client in clients.items():
            seen[n].append(run(client, given, reduce="frontier", chunks=chunks))
    wall = {n: [w for w, _ in times] for n, times in seen.items()}
    ratio = [a / b for a, b in zip(wall[1], wall[2], strict=True)]
    busy = {n: statistics.median(c for _, c in times) for n, times in seen.items()}
    points = size(given)
    print(f"{points:,} points, {many} turns, frontier where the chunks are")
    for n in clients:
        print(f"  {n} worker(s): {min(wall[n]):.1f} s at best, {busy[n]:.1f} s of processors")
    print(f"  two over one, turn by turn: {', '.join(f'{r:.2f}' for r in ratio)}")
    print(
        f"  median {statistics.median(ratio):.2f}; best over best {min(wall[1]) / min(wall[2]):.2f}"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--points", type=float, default=1e8)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--turn-points", type=float, default=4e6)
    options.add_argument("--stored", type=float, default=4e6)
    options.add_argument("--folder", default=tempfile.gettempdir())
    asked = options.parse_args()
    import distributed

    def cluster(n: int):
        made = distributed.LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address=None, silence_logs=50
        )
        return distributed.Client(made, set_as_default=False)

    print(f"load of the machine: {os.getloadavg()[0]:.1f} over {os.cpu_count()} processors")
    clients = {1: cluster(1), 2: cluster(2)}
    turns(clients, grid(asked.turn_points), asked.turns, 2**17)
    clients.pop(1).shutdown()
    client = clients[2]

    for ending in ("parquet", "zarr"):
        store = f"{asked.folder}/large-sweep.{ending}"
        shutil.rmtree(store, ignore_errors=True)
        given = grid(asked.stored)
        try:
            wall, busy = run(client, given, store=store)
        except ImportError as error:
            print(error)
            continue
        held = sum(os.path.getsize(os.path.join(at, f)) for at, _, fs in os.walk(store) for f in fs)
        n = size(given)
        print(f"{n:,} points to {ending}: {wall:.1f} s, {busy / n * 1e9:.0f} ns of a processor and "
              f"{held / n:.1f} bytes a point")  # fmt: skip
        shutil.rmtree(store)

    given, told = grid(asked.points), []

    def progress(done: int, points: int) -> None:
        if len(told) < 10 * done // points:
            told.append(done)
            memory = ", ".join(f"{x:.0f}" for x in client.run(rss).values())
            clock = time.perf_counter() - begun
            print(
                f"  {done:>13,} points: {clock:6.1f} s, client {rss():.0f} MB, workers {memory} MB",
                flush=True,
            )

    begun = time.perf_counter()
    print(f"{size(given):,} points, frontier where the chunks are, tables kept")
    store = f"{asked.folder}/large-sweep-frontier.parquet"
    shutil.rmtree(store, ignore_errors=True)
    wall, busy = run(client, given, reduce="frontier", store=store, progress=progress)
    each = busy / size(given)
    print(f"  {wall:.0f} s, {busy:.0f} s of processors: {each * 1e9:.0f} ns a point")
    print(f"10^10 points: {1e10 * each / 3600:.2f} processor hours")
    for many in (16, 100, 1000):
        print(f"  {1e10 * each / many:.0f} s on {many} workers")
    shutil.rmtree(store)
    client.shutdown()


if __name__ == "__main__":
    main()
