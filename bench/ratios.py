"""The figures that the project watches, from one run: ``python bench/ratios.py``."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np

from cases import calibrated_records, loads, pool_paths, records
from inference import numpy_measured, numpy_step
from mining import numpy_pools
from tokenroof import _core, kernels, mining


def best(function, repeats=11):
    """Least time of a call, after one to warm up [s]."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def process(*arguments, repeats=15):
    """Median time of a fresh process, with a bytecode cache [s]."""
    times = []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for i in range(repeats + 1):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], check=True, capture_output=True, env=environment
        )
        if i:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def cpu(*functions, repeats=9):
    """Median processor time of each, run in turns [s]."""
    times = [[] for _ in functions]
    for _ in range(repeats):
        for mine, function in zip(times, functions, strict=True):
            began = time.process_time()
            function()
            mine.append(time.process_time() - began)
    return [statistics.median(mine) for mine in times]


def pools(paths=10_000):
    """Paths per second of processor time, and the same answer: within five standard errors."""
    for scheme in ("solo", "pplns"):
        model, numpy_paths = getattr(numpy_pools, scheme.upper()), getattr(numpy_pools, scheme)
        rng = np.random.default_rng(1)
        income, ruined = numpy_paths(rng, model, paths)
        got, ruin = pool_paths(model, paths)
        error = np.hypot(income.std(), got.std()) / paths**0.5
        assert abs(income.mean() - got.mean()) < 5 * error
        assert abs(ruined.mean() - np.isfinite(ruin).mean()) < 5 * (0.5 / paths) ** 0.5
        isas = list(kernels.by_isa())
        numpy_s, *seconds = cpu(
            lambda r=rng, m=model, f=numpy_paths: f(r, m, paths),
            *(lambda m=model, i=isa: pool_paths(m, paths, i) for isa in isas),
        )
        print(f"{scheme} paths of 30 blocks, one thread: NumPy {paths / numpy_s / 1e6:.2f} M/s")
        for isa, s in zip(isas, seconds, strict=True):
            print(f"  {isa:10} {paths / s / 1e6:7.2f} M/s  {numpy_s / s:5.1f} x")


def interruption():
    """From Ctrl-C to KeyboardInterrupt, inside long paths on all threads [s]."""
    late = []
    for _ in range(7):
        sent = []
        timer = threading.Timer(
            0.1, lambda s=sent: (s.append(time.perf_counter()), os.kill(os.getpid(), signal.SIGINT))
        )
        timer.start()
        try:
            mining.simulate_pool(
                "PPLNS", 1e20, 1e14, 1e9, pool_hashrate=2e20, share_difficulty=1e6, paths=10**6
            )
        except KeyboardInterrupt:
            late.append(time.perf_counter() - sent[0])
        timer.join()
    print(f"Ctrl-C in simulate_pool: median {1e3 * statistics.median(late):.0f} ms, "
          f"worst {1e3 * max(late):.0f} ms")  # fmt: skip


def calibrated(n=1_000_000):
    """Decode steps of a dense model by the measured forms, against the same formula in NumPy."""
    for engine, kind in (("trtllm", "whole"), ("trtllm", "fractional"), ("vllm", "fractional")):
        records_ = calibrated_records(engine)
        made = numpy_measured.prepared(records_)
        batch, context = loads(n, kind == "whole")
        few = slice(0, n // 10)
        numpy_s = 10 * best(
            lambda r=made, b=batch[few], x=context[few]: numpy_measured.decode_time(r, b, x), 1
        )
        want = numpy_measured.decode_time(made, batch[few], context[few])
        got = kernels.decode_time(*records_, batch, context)
        np.testing.assert_allclose(got[few], want, rtol=1e-9)
        print(
            f"calibrated decode_time, {engine}, {kind} batches: NumPy {n / numpy_s / 1e6:.2f} M/s"
        )
        out = np.empty(n)
        for isa, table in kernels.by_isa().items():
            s = best(
                lambda k=table["decode_time"], r=records_, b=batch, x=context, o=out: k(
                    *r, b, x, out=o
                ),
                5,
            )
            print(f"  {isa:10} {n / s / 1e6:7.1f} M/s  {numpy_s / s:5.1f} x")


def main():
    pools()
    calibrated()
    interruption()
    n = 1_000_000
    prepared = numpy_step.coefficients(records())
    for whole in (True, False):
        batch, context = loads(n, whole)
        numpy_s = best(lambda b=batch, x=context: numpy_step.decode_time(prepared, b, x), 5)
        bandwidth = records()[0][_core.DEVICE_FIELDS.index("memory_bandwidth")]
        terms = numpy_step.plain_terms(records())
        got = numpy_step.plain_decode_time(terms, bandwidth, batch, context)
        np.testing.assert_allclose(got, kernels.decode_time(*records(), batch, context), rtol=1e-9)
        plain_s = best(
            lambda t=terms, w=bandwidth, b=batch, x=context: numpy_step.plain_decode_time(
                t, w, b, x
            ),
            3,
        )
        kind = "whole" if whole else "fractional"
        print(
            f"decode_time, {kind} batches, 1e6 configurations: NumPy expressions "
            f"{n / plain_s / 1e6:.1f} M/s, NumPy tuned by hand {n / numpy_s / 1e6:.1f} M/s"
        )
        out = np.empty(n)
        for isa, table in kernels.by_isa().items():
            s = best(
                lambda k=table["decode_time"], b=batch, x=context, o=out: k(*records(), b, x, out=o)
            )
            print(f"  {isa:10} {n / s / 1e6:7.1f} M/s  {plain_s / s:5.1f} x, {numpy_s / s:5.1f} x")
    base = process("-c", "import numpy")
    beyond = process("-c", "import tokenroof") - base
    print(f"import tokenroof: {1e3 * beyond:.1f} ms beyond NumPy's {1e3 * base:.0f}")
    print(f"tokenroof --help: {1e3 * process('-m', 'tokenroof.cli', '--help'):.0f} ms")


if __name__ == "__main__":
    main()
