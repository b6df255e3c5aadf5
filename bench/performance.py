"""What the package's own work costs here, in one file: ``python bench/performance.py [--traces FOLDER]``.

Writes ``docs/results/performance.json``, of which the page of performance is made when the pages are built.
Figures of one thread are of processor time, the least of several rounds in turns; those of two threads and of
Ctrl-C are of the clock, and want an idle machine: each part says the load that it found. FOLDER may have
``mooncake_conversation.jsonl.gz`` (Mooncake's published trace). Parts that are there already stay where a run
is interrupted or asked for others (``--only``); five minutes of one core.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import hashes
import test_bench_kernels as cases_of
import tokenroof as tr
from cases import calibrated_records, loads, pool_paths, records
from inference import numpy_measured, numpy_step
from mining import numpy_pools
from tokenroof import _core, economics, kernels, mining, reference
from tokenroof.serving import Scheduler, StepTime, poisson, replicate, simulate, trace

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from results import RESULTS, processor, save, unpacked  # noqa: E402

BY_ISA = kernels.by_isa()


def least(
    functions: dict[str, Callable[[], Any]], rounds: int, wall: bool = False, warm: bool = True
) -> dict[str, float]:
    """Least time of each by name, in turns, after one to warm up: of the processor, or of the clock [s]."""
    clock = time.perf_counter if wall else time.process_time
    times: dict[str, float] = {}
    for turn in range(rounds + warm):
        for name, function in functions.items():
            began = clock()
            function()
            took = clock() - began
            if turn >= warm:
                times[name] = min(times.get(name, np.inf), took)
    return times


def _rates(n: int, times: dict[str, float]) -> dict[str, float]:
    return {name: n / s for name, s in times.items() if s > 0}


def elementwise(rounds: int) -> list[dict[str, Any]]:
    """Elements a second of kernels that have an expression in NumPy, and of their twins in plain Python."""
    rows = []
    n = 100_000
    for name, expression in cases_of.NUMPY.items():
        arrays, out = cases_of._arrays(name, n), np.empty(n)
        few = list(zip(*(a[:500].tolist() for a in arrays), strict=True))
        twin = getattr(reference, name)
        ways = {
            isa: lambda f=table[name], a=arrays, o=out: f(*a, out=o)
            for isa, table in BY_ISA.items()
        }
        rate = _rates(n, least(ways | {"numpy": lambda e=expression, a=arrays: e(*a)}, rounds))
        rate |= _rates(len(few), least({"python": lambda t=twin, r=few: [t(*row) for row in r]}, 3))
        rows.append({"kernel": name} | rate)
    return rows


def _steps(
    packed: list[Any], load: tuple[Any, Any], rounds: int, **ways: Callable[[], Any]
) -> dict[str, float]:
    """Steps a second by instruction set, of further ways, and of the twin in plain Python."""
    n = load[0].size
    out = np.empty(n)
    fields = (_core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS)
    named = [reference.unpack(f, v) for f, v in zip(fields, packed, strict=True)]
    few = {
        "python": lambda: [reference.decode_time(*named, float(b), 4096.0) for b in range(1, 31)]
    }
    kernels_of = {
        isa: lambda f=table["decode_time"]: f(*packed, *load, out=out)
        for isa, table in BY_ISA.items()
    }
    return _rates(n, least(kernels_of | ways, rounds)) | _rates(30, least(few, 2))


def steps(rounds: int) -> list[dict[str, Any]]:
    """Decode steps a second: the datasheet's times and calibrated ones, beside NumPy and the plain twin."""
    rows = []
    n = 200_000
    bound = records()
    prepared, terms = numpy_step.coefficients(bound), numpy_step.plain_terms(bound)
    bandwidth = bound[0][_core.DEVICE_FIELDS.index("memory_bandwidth")]
    for kind in ("whole", "fractional"):
        load = loads(n, kind == "whole")
        rate = _steps(bound, load, rounds, **{
            "numpy": partial(numpy_step.plain_decode_time, terms, bandwidth, *load),
            "numpy, tuned": partial(numpy_step.decode_time, prepared, *load),
        })  # fmt: skip
        rows.append({"kernel": f"decode_time, a mixture's bound, {kind} batches"} | rate)
    for engine, kind in (("trtllm", "whole"), ("trtllm", "fractional"), ("vllm", "fractional")):
        packed = calibrated_records(engine)
        load = loads(n, kind == "whole")
        few = [x[: n // 20] for x in load]
        rate = _steps(packed, load, rounds)
        call = {"numpy": partial(numpy_measured.decode_time, numpy_measured.prepared(packed), *few)}
        rows.append({"kernel": f"decode_time, calibrated, {engine}, {kind} batches"}
                    | rate | _rates(n // 20, least(call, 2)))  # fmt: skip
    return rows


def paths(rounds: int) -> list[dict[str, Any]]:
    """Monte Carlo: paths of a mine in a pool, and of a factory's cash, a second; two threads beside one."""
    rows = []
    n = 5_000
    for scheme in ("solo", "pplns"):
        model, in_numpy = getattr(numpy_pools, scheme.upper()), getattr(numpy_pools, scheme)
        rng = np.random.default_rng(1)
        ways: dict[str, Callable[[], Any]] = {
            isa: lambda m=model, i=isa: pool_paths(m, n, i) for isa in BY_ISA
        }
        times = least(ways | {"numpy": lambda f=in_numpy, m=model, r=rng: f(r, m, n)}, rounds)
        rows.append({"work": f"a pool's paths of 30 blocks, {scheme}"} | _rates(n, times))
    packed = np.array([float(numpy_pools.PPLNS.get(name, 0.0)) for name in _core.POOL_FIELDS])
    income, ruin = np.empty(4 * n), np.empty(4 * n)
    rows[-1]["two threads"] = _threads(
        lambda threads: _core.simulate_pool(_core.ISA, packed, 0, 0, income, ruin, threads), rounds
    )
    spec = importlib.util.spec_from_file_location(
        "cash_paths", ROOT / "bench" / "economics" / "cash_paths.py"
    )
    cash = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cash)
    n = 50_000
    for what, how, tax, in_numpy in (
        ("every input wanders", cash.HOW, 0.25, cash.in_numpy),
        ("the price alone", cash.PLAIN, 0.0, cash.plain_in_numpy),
    ):
        play, model, named, years = cash.prepared(how, tax, n)
        ways = {isa: partial(play, isa, 1) for isa in BY_ISA}
        ways["numpy"] = partial(in_numpy, model, named, n, np.random.default_rng(1))
        rate = _rates(n * years, least(ways, rounds))
        rate["two threads"] = _threads(partial(play, _core.ISA), rounds)
        rows.append({"work": f"years of paths of a factory's cash, {years} each: {what}"} | rate)
    return rows


def _threads(play: Callable[[int], Any], rounds: int) -> float:
    """How much faster two threads are than one, by the clock: the best of rounds in turns."""
    times = least({"1": lambda: play(1), "2": lambda: play(2)}, rounds, wall=True)
    return times["1"] / times["2"]


def hashing(rounds: int) -> dict[str, Any]:
    """Headers a second of each scanner, of hashlib, and of two threads."""
    here = [name for name, b in mining.backends().items() if b["available"] and name != "cuda"]
    cases = [(name, mode) for name in here for mode in ("nonce", "roll")]
    found: dict[tuple[str, str], float] = {}
    lib = 0.0
    for _ in range(rounds):
        lib = max(lib, hashes.hashlib_rate())
        for case in cases:
            found[case] = max(found.get(case, 0.0), hashes.rate(*case))
    fastest = max(here, key=lambda name: found[name, "nonce"])
    two = _threads(lambda t: mining.scan(bytes(80), 0, 2**23, 1, 1, t, fastest), rounds)
    rows = [{"scanner": name, "mode": mode, "rate": rate} for (name, mode), rate in found.items()]
    return {"rows": rows, "hashlib": lib, "fastest": fastest, "two threads": two}


def simulator(rounds: int, traces: Path | None) -> dict[str, Any]:
    """Runs of the simulator: requests a second of a processor, and replications on two threads."""
    rows = []

    def played(what: str, requests: int, call: Callable[[], Any], turns: int) -> None:
        rows.append(
            {"run": what, "requests": requests, "seconds": least({"": call}, turns, warm=False)[""]}
        )

    site = ("H200-SXM", "Llama-3.1-8B", None)
    for rate in (30.0, 10.0, 1.0):
        load = poisson(rate, requests=10**6, input_tokens=500, output_tokens=200)
        played(f"10^6 requests of 500 and 200 tokens, {rate:g} a second, one replica", 10**6,
               lambda at=load: simulate(*site, at, threads=1), 1 if rate < 10 else 2)  # fmt: skip
    path = traces and traces / "mooncake_conversation.jsonl.gz"
    if path and path.exists():
        load = trace(path, "mooncake")
        for tokens in (512, 16):
            knobs = Scheduler.preset("vllm-0.33", block_size=tokens)
            played(f"Mooncake's conversation trace, 8 replicas, blocks of {tokens} tokens", len(load),
                   lambda at=load, k=knobs: simulate(*site, at, k, replicas=8, threads=1),
                   2)  # fmt: skip
    knobs = Scheduler.preset("vllm-0.33", num_blocks=30_000)
    line = {"step_time": StepTime(5_000_000, 20_000, 1)}

    def again() -> Any:
        def drawn(seed: int) -> Any:
            return poisson(20.0, requests=5_000, input_tokens=500, output_tokens=200, seed=seed)

        return replicate(None, None, None, drawn, 16, knobs, simulation=line)

    loads_of = [
        poisson(20.0, requests=20_000, input_tokens=500, output_tokens=200, seed=s)
        for s in range(8)
    ]
    two = _threads(
        lambda threads: simulate(None, None, None, loads_of, knobs, threads=threads, **line), rounds
    )
    times = least({"": again}, 1)
    return {
        "runs": rows,
        "replications, two threads": two,
        "16 replications of 5,000 requests": times[""],
    }


def searches(rounds: int) -> list[dict[str, Any]]:
    """Frontiers and curves: seconds of a processor."""
    asked: dict[str, Callable[[], Any]] = {
        "a curve of 64 numbers of users, gpt-oss-120b on B200": lambda: tr.serving.curve(
            "B200-SXM", "gpt-oss-120b", tr.Plan(tp=8, moe_ep=8), concurrency=np.arange(1, 65)),
        "the frontier over plans, gpt-oss-120b on 8 B200": lambda: tr.serving.frontier(
            "B200-SXM", "gpt-oss-120b", devices_max=8),
        "the frontier over systems, DeepSeek-R1 on 72 GB200": lambda: tr.serving.frontier(
            "GB200-NVL72", "DeepSeek-R1", devices_max=72, systems=True),
    }  # fmt: skip
    return [{"search": name, "seconds": s} for name, s in least(asked, min(3, rounds)).items()]


def _heard(call: Callable[[], Any], after: float) -> float | None:
    """From Ctrl-C to KeyboardInterrupt inside a call [s]; None where the call had ended before."""
    sent = [0.0]

    def interrupt() -> None:
        sent[0] = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, interrupt)
    timer.start()
    try:
        call()
        timer.cancel()
        timer.join()
        time.sleep(0.01)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    return None


def interrupts(rounds: int) -> list[dict[str, Any]]:
    """How long after Ctrl-C a long call ends, by the clock: middle and longest [s]."""
    long = poisson(2.0, requests=2 * 10**6, input_tokens=500, output_tokens=200)
    grid = {"devices": "H200-SXM", "models": "DeepSeek-V3",
            "plans": tr.Plan(tp=8, moe_ep=8, weights="fp8"), "batch": np.arange(1, 2001),
            "context": np.arange(1000) * 16.0, "fields": True}  # fmt: skip
    calls: dict[str, Callable[[], Any]] = {
        "mining.scan": lambda: mining.scan(bytes(80), 0, 2**32, 1, 2**16),
        "mining.simulate_pool": lambda: mining.simulate_pool(
            "PPLNS", 1e20, 1e14, 1e9, pool_hashrate=2e20, share_difficulty=1e6, paths=10**7),
        "economics.risk": lambda: economics.risk(
            economics.mine("Antminer S21", hashprice=50.0, usd_per_terahash=16.0),
            economics.Uncertainty(price_volatility=0.5, price_reversion=0.5), paths=3 * 10**7),
        "serving.simulate": lambda: simulate("H200-SXM", "Llama-3.1-8B", None, long),
        "serving.frontier": lambda: [
            tr.serving.frontier("GB200-NVL72", "DeepSeek-R1", devices_max=72, systems=True)
            for _ in range(20)],
        "sweep": lambda: tr.sweep(**grid),
    }  # fmt: skip
    # what is imported on a first call is there before one is interrupted
    tr.serving.frontier("H200-SXM", "Llama-3.1-8B", devices_max=1)
    tr.sweep(**grid | {"batch": [1], "context": [1.0]})
    rows = []
    for name, call in calls.items():
        late = [s for i in range(rounds) if (s := _heard(call, 0.3 + 0.07 * i)) is not None]
        rows.append({"call": name, "heard": len(late), "middle": float(np.median(late)) if late else None,
                     "longest": max(late, default=None)})  # fmt: skip
    return rows


def starting(rounds: int) -> list[dict[str, Any]]:
    """Seconds of a processor of fresh interpreters, with a bytecode cache: the least."""
    asked = {"import numpy": ["-c", "import numpy"], "import tokenroof": ["-c", "import tokenroof"],
             "tokenroof --help": ["-m", "tokenroof.cli", "--help"]}  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    found: dict[str, float] = {}
    for turn in range(max(rounds, 5) + 1):
        for name, words in asked.items():
            before = os.times()
            subprocess.run(
                [sys.executable, *words], check=True, capture_output=True, env=environment
            )
            after = os.times()
            took = (
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system
            )
            if turn:
                found[name] = min(found.get(name, np.inf), took)
    return [{"start": name, "seconds": s} for name, s in found.items()]


def parts(rounds: int, traces: Path | None) -> dict[str, Callable[[], Any]]:
    """What is measured, by the name of its part."""
    return {
        "elementwise": lambda: elementwise(rounds), "steps": lambda: steps(rounds),
        "paths": lambda: paths(rounds), "hashing": lambda: hashing(rounds),
        "simulator": lambda: simulator(rounds, traces), "searches": lambda: searches(rounds),
        "interrupts": lambda: interrupts(rounds), "starting": lambda: starting(rounds),
    }  # fmt: skip


def main() -> int:
    """Measure each part and keep it at once, so that what is done stays."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=Path, help="a folder of public traces")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=list(parts(1, None)), help="these parts")
    parser.add_argument("--out", type=Path, default=RESULTS / "performance.json")
    asked = parser.parse_args()
    found = unpacked(json.loads(asked.out.read_text())) if asked.out.exists() else {}
    found |= {"command": "python bench/performance.py --traces FOLDER", "version": tr.__version__,
              "processor": processor(), "numpy": np.__version__, "isa": _core.ISA,
              "python": sys.version.split()[0]}  # fmt: skip
    for name, call in parts(asked.rounds, asked.traces).items():
        if asked.only and name not in asked.only:
            continue
        before = os.getloadavg()[0]
        found[name] = {"date": datetime.date.today().isoformat(), "rounds": asked.rounds,
                       "found": call(), "load": [before, os.getloadavg()[0]]}  # fmt: skip
        save(asked.out, found)
        print(f"{name}: done, load {before:.1f} to {os.getloadavg()[0]:.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
