"""A slice of a large sweep: one worker beside two, who has how many seconds, memory on the way, bytes.

    python bench/scale/large_sweep.py [--parts turns stores slice] [--points 1e8] [--turns 3] [--folder /tmp]

Workers are processes of one thread each; the scheduler is in the client's process. One worker and two take
turns at the same grid in one run, so that whatever else the machine does befalls both. Seconds of their
processors do not count what others take: how fast two workers are on a machine that has a processor for each,
and for the client one more, is said by these.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

import tokenroof as tr
from tokenroof.scale.clusters import client_of

PLANS = [
    tr.Plan(tp=tp, moe_ep=ep, weights=w, kv_cache=kv)
    for tp in (4, 8)
    for ep in (1, tp)
    for w in ("bf16", "fp8")
    for kv in ("bf16", "fp8")
]
CONTEXTS = 128
#: Of each device, model and context; a point for 2 % of speed: the answer does not grow with the batches.
FRONTIER = tr.scale.Frontier(
    "interactivity", "tokens_per_s_per_device", over=("plan", "batch"), within=0.02
)


def grid(points: float) -> dict:
    """So many points: 2 devices, 2 models, 16 plans, 128 contexts, and as many batches as it takes."""
    batches = max(2, round(points / (4 * len(PLANS) * CONTEXTS)))
    return {
        "devices": ["H200-SXM", "B200-SXM"],
        "models": ["Qwen3-235B-A22B", "DeepSeek-V3"],
        "plans": PLANS,
        "batch": np.linspace(1, 4096, batches),
        "context": np.linspace(16, 131072, CONTEXTS).round(),
    }


def size(given: dict) -> int:
    return int(np.prod([len(values) for values in given.values()]))


def memory() -> float:
    """Memory that the process has now [MB]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def run(client, given: dict, **options) -> tuple[float, float, float]:
    """Seconds of the clock, of the workers' processors, of the client's and the scheduler's."""
    before, mine = sum(client.run(time.process_time).values()), time.process_time()
    begun = time.perf_counter()
    tr.sweep(**given, client=client, **options)
    wall, mine = time.perf_counter() - begun, time.process_time() - mine
    return wall, sum(client.run(time.process_time).values()) - before, mine


def turns(points: float, many: int) -> None:
    """One worker and two by turns."""
    given, seen = grid(points), {1: [], 2: []}
    print(f"{size(given):,} points a turn, {many} turns, frontier where the chunks are", flush=True)
    with ExitStack() as stack:
        clients = {n: stack.enter_context(client_of(n)) for n in seen}
        for client in clients.values():
            run(client, grid(1e5), reduce=FRONTIER)  # imports
        for _ in range(many):
            for n, client in clients.items():
                seen[n].append(run(client, given, reduce=FRONTIER))
                wall, busy, mine = seen[n][-1]
                print(f"  {n} worker(s): {wall:6.1f} s, {busy:5.1f} s of their processors, "
                      f"{mine:.2f} s of the client's and the scheduler's", flush=True)  # fmt: skip
    wall, busy, mine = ({n: [t[i] for t in seen[n]] for n in seen} for i in range(3))
    ratio = [a / b for a, b in zip(wall[1], wall[2], strict=True)]
    print(f"  two over one by the clock, turn by turn: {', '.join(f'{r:.2f}' for r in ratio)}; best over "
          f"best {min(wall[1]) / min(wall[2]):.2f}")  # fmt: skip
    alone = 2.0 * statistics.median(busy[1]) / statistics.median(busy[2])
    print(f"  by the workers' own seconds, each with a processor to itself: {alone:.2f}")
    share = statistics.median(m / w for m, w in zip(mine[2], wall[2], strict=True))
    print(
        f"  client and schedulers, of two clusters, take {share:.1%} of a processor for as long as it takes"
    )


def stores(points: float, folder: str) -> None:
    """All points to each kind of store."""
    given = grid(points)
    n = size(given)
    with client_of(2) as client:
        run(client, grid(1e5), reduce=FRONTIER)  # imports
        for ending in ("parquet", "zarr"):
            store = f"{folder}/large-sweep.{ending}"
            shutil.rmtree(store, ignore_errors=True)
            wall, busy, _ = run(client, given, store=store)
            held = sum(
                os.path.getsize(os.path.join(at, f)) for at, _, fs in os.walk(store) for f in fs
            )
            print(f"{n:,} points to {ending}: {wall:.1f} s, {busy / n * 1e9:.0f} ns of a processor and "
                  f"{held / n:.1f} bytes a point", flush=True)  # fmt: skip
            shutil.rmtree(store)


def the_slice(points: float, folder: str, kept: bool) -> None:
    """A slice of 10^10 points, with memory on the way."""
    given, told = grid(points), []
    n = size(given)
    store = f"{folder}/large-sweep-frontier.parquet"
    shutil.rmtree(store, ignore_errors=True)
    print(f"{n:,} points, frontier where the chunks are{', tables kept' * kept}", flush=True)
    with client_of(2) as client:
        run(client, grid(1e5), reduce=FRONTIER)  # imports
        begun = time.perf_counter()

        def progress(done: int, points: int) -> None:
            if len(told) < 10 * done // points:
                told.append(memory())
                theirs = ", ".join(f"{x:.0f}" for x in client.run(memory).values())
                print(f"  {done:>13,} points: {time.perf_counter() - begun:6.1f} s, client and scheduler "
                      f"{told[-1]:.0f} MB, workers {theirs} MB", flush=True)  # fmt: skip

        where = {"store": store} if kept else {}
        wall, busy, mine = run(client, given, reduce=FRONTIER, progress=progress, **where)
    print(f"  client and scheduler, from the first tenth to the last: {told[-1] - told[0]:+.0f} MB")
    each = busy / n
    print(f"  {wall:.0f} s, {busy:.0f} s of the workers' processors: {each * 1e9:.0f} ns a point; "
          f"{mine:.1f} s of the client's and the scheduler's")  # fmt: skip
    print(f"10^10 points: {1e10 * each / 3600:.2f} processor hours")
    for many in (16, 100, 1000):
        print(f"  {1e10 * each / many:.0f} s on {many} workers")
    shutil.rmtree(store, ignore_errors=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("turns", "stores", "slice")
    options.add_argument("--parts", nargs="+", choices=parts, default=parts)
    options.add_argument("--points", type=float, default=1e8, help="of the slice")
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--turn-points", type=float, default=3e7)
    options.add_argument("--stored", type=float, default=4e6)
    options.add_argument("--folder", default=tempfile.gettempdir())
    options.add_argument("--kept", action="store_true", help="tables of the slice in a store")
    asked = options.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} over {os.cpu_count()} processors")
    if "turns" in asked.parts:
        turns(asked.turn_points, asked.turns)
    if "stores" in asked.parts:
        stores(asked.stored, asked.folder)
    if "slice" in asked.parts:
        the_slice(asked.points, asked.folder, asked.kept)


if __name__ == "__main__":
    main()
