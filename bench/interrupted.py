"""How long what may run for minutes is deaf to Ctrl-C: ``python bench/interrupted.py [NAME ...]``.

Each is called whole while a timer ticks every 5 ms: the longest time between two calls of its handler is the
longest time in which Ctrl-C waits (*deaf*). Then it is interrupted at moments over its length: from the
handler until its caller has the exception (*left*: threads are joined, files closed). Both in CPU time, so
that a busy machine says nearly the same; threads' times add up. At most 50 ms are allowed.
Sweeps: ``scale/sweep_interrupted.py``.
"""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof import economics, serving

TICK, MOST = 0.005, 0.050
WHERE = ("H200-SXM", "Llama-3.1-8B")
SLO = serving.SLO(ttft_s=0.5, percentile=99)
MANY = {"input_tokens": 500, "output_tokens": 200}


def _pools() -> Any:
    system = serving.disaggregate(("H200-SXM", None, 4), ("H200-SXM", None, 8), model=WHERE[1])
    load = serving.poisson(200.0, requests=200_000, **MANY)
    return serving.simulate(system, None, None, load)


def _one(**options: Any) -> Any:
    load = serving.poisson(30.0, requests=400_000, **MANY)
    return serving.simulate(*WHERE, None, load, **options)


def _ranks() -> Any:
    plan = tr.Plan(dp=32, moe_ep=32, weights="fp8")
    load = serving.poisson(60.0, requests=6_000, **MANY)
    return serving.simulate("H200-SXM", "DeepSeek-V3", plan, load)


def _ladder(times: int = 5) -> Any:
    uses = [
        economics.mine("Antminer S19 XP", 38.5), economics.lease_shell("Hut 8 River Bend"),
        economics.rent_gpus("H200-SXM", 31_000),
    ]  # fmt: skip
    for _ in range(times):
        economics.same_meter(uses, power_mw=20, price_per_mwh=50)


def _risk(paths: int = 3_000_000) -> Any:
    plan = economics.mine("Antminer S21", hashprice=50.0, usd_per_terahash=16.0)
    wander = economics.Uncertainty(price_volatility=0.5, price_reversion=0.5, can_stop=True)
    return economics.risk(plan, wander, paths=paths)


def _equilibrium(prices: int = 1_000_000) -> Any:
    fleet = [tr.mining.Tranche("Antminer S21", 1e6, 0.05 + 1e-4 * i) for i in range(50)]
    found = tr.mining.equilibrium(fleet, np.linspace(1e4, 1e5, prices))
    return found, found.running


def _many() -> Any:
    """Far more requests arrive than are served: what NumPy does with each array takes longest."""
    sizes = {name: serving.Lengths.lognormal(mean, 0.5) for name, mean in MANY.items()}
    load = serving.poisson(200.0, requests=2_000_000, **sizes)
    run = serving.simulate(*WHERE, None, load)
    return run.summary(), run.verdict, run.series()


CASES: dict[str, Callable[[], Any]] = {
    "simulate": _one,
    "simulate, 2 million": _many,
    "simulate, 64 replicas": lambda: _one(replicas=64, router="least_loaded"),
    "simulate, pools": _pools,
    "simulate, ranks": _ranks,
    "simulate, drafts": lambda: serving.simulate(
        *WHERE, None, serving.poisson(20.0, requests=20_000, **MANY),
        speculation=serving.Speculation("ngram", 3),
    ),
    "tune": lambda: serving.tune(*WHERE, None, SLO, **MANY, requests=2000, seeds=3),
    "capacity, proved": lambda: serving.capacity(
        *WHERE, None, SLO, 500, 200, prove=True, requests=20_000, tolerance=0.001
    ),
    "curve, users": lambda: serving.curve(*WHERE, None, concurrency=np.arange(1, 60_001)),
    "curve, rates": lambda: serving.curve(*WHERE, None, rate=np.linspace(0.1, 20.0, 300_000)),
    "frontier": lambda: serving.frontier("B200-SXM", "DeepSeek-V3", devices_max=72),
    "frontier, systems": lambda: serving.frontier(
        "H200-SXM", "DeepSeek-V3", systems=True, devices=256
    ),
    "same_meter": _ladder,
    "risk": _risk,
    "equilibrium": _equilibrium,
}  # fmt: skip


def deaf(call: Callable[[], Any]) -> tuple[float, float, str]:
    """Longest CPU time without a handler's turn, wall time of all [s]; the line where the longest ended."""
    last = longest = 0.0
    where = ""

    def tick(_: int, frame: Any) -> None:
        nonlocal last, longest, where
        now = time.process_time()
        if now - last > longest:
            longest, where = now - last, f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        last = now

    before = signal.signal(signal.SIGALRM, tick)
    begin, last = time.perf_counter(), time.process_time()
    signal.setitimer(signal.ITIMER_REAL, TICK, TICK)
    try:
        call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    return longest, time.perf_counter() - begin, where


def left(call: Callable[[], Any], after: float) -> float:
    """CPU time from a Ctrl-C's handler until the caller has it [s]; 0 where it came too late."""
    told = 0.0

    def interrupt(*_: object) -> None:
        nonlocal told
        told = time.process_time()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        call()
    except KeyboardInterrupt:
        return time.process_time() - told
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CASES)}")
    parser.add_argument("--moments", type=int, default=8, help="at which each is interrupted")
    asked = parser.parse_args()
    wanted = [name for name in CASES if not asked.names or any(n in name for n in asked.names)]
    print(f"{'':24s}{'took':>9s}{'deaf':>10s}{'left':>10s}")
    for name in wanted:
        CASES[name]()  # imports, and tables that are kept
        longest, took, where = deaf(CASES[name])
        worst = max(
            left(CASES[name], took * (k + 0.5) / asked.moments) for k in range(asked.moments)
        )
        bad = "" if max(longest, worst) <= MOST else f"   above 50 ms, at {where}"
        print(
            f"{name:24s}{took:7.2f} s{1e3 * longest:7.1f} ms{1e3 * worst:7.1f} ms{bad}", flush=True
        )


if __name__ == "__main__":
    main()
