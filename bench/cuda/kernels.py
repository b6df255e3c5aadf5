"""Kernels over device arrays, checked and timed: `python bench/cuda/kernels.py [--elements N] [--device 0]`.

Every result is first compared with the CPU's on a part of the elements, bit for bit. Then launches in a row
into the same output, the host waiting at the end of each round: medians of the rounds, elements per second,
and the bytes of inputs and results over the time beside the memory's peak (twice its clock, times the bus).
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof import cuda, kernels
from tokenroof.cuda import module as compiled
from tokenroof.inference.door import deployment

PART = 1 << 16


def spent(call: Any, wait: Any, rounds: int, launches: int) -> float:
    """Median seconds of a launch."""
    call()
    wait()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(launches):
            call()
        wait()
        seconds.append((time.perf_counter() - began) / launches)
    return statistics.median(seconds)


def cases(n: int, rng: np.random.Generator) -> list[tuple[str, str, list[np.ndarray], list[int]]]:
    """(what, kernel, inputs, which of them are loads of n elements)"""
    plan = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8")
    counts, context = rng.integers(1, 4096, n).astype(float), rng.uniform(128, 131072, n)
    out: list[tuple[str, str, list[np.ndarray], list[int]]] = []
    for fidelity in ("datasheet", "calibrated"):
        records = deployment("H200-SXM", "Qwen3-235B-A22B", plan, fidelity).records
        out.append(
            (
                f"decode, {fidelity}, whole batches",
                "decode_time",
                [*records, counts, context],
                [4, 5],
            )
        )
        out.append(
            (
                f"decode, {fidelity}, any batch",
                "decode_time",
                [*records, counts + 0.5, context],
                [4, 5],
            )
        )
        out.append(
            (f"prompts, {fidelity}", "prefill_time", [*records, np.floor(context), counts], [4, 5])
        )
    for kind in (np.float64, np.float32):
        rates = [rng.uniform(1, 9, n).astype(kind) for _ in range(3)]
        out.append((f"attainable, {np.dtype(kind)}", "attainable", rates, [0, 1, 2]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1 << 25)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--launches", type=int, default=5)
    chosen = parser.parse_args()
    if cuda.why_not():
        parser.exit(2, f"{cuda.why_not()}\n")
    module, n = compiled.module(), chosen.elements
    found = cuda.devices()[chosen.device]
    peak = 2 * found.memory_clock_hz * found.memory_bus_bits / 8
    print(
        f"{found.name}, {found.sm_count} multiprocessors, {peak / 1e12:.2f} TB/s by clock and bus"
    )
    for what, name, inputs, loads in cases(n, np.random.default_rng(0)):
        part = [x[:PART] if i in loads else x for i, x in enumerate(inputs)]
        on_device = [cuda.asarray(x, device=chosen.device) for x in part]
        got, want = getattr(cuda, name)(*on_device).get(), getattr(kernels, name)(*part)
        if not np.array_equal(got, want):
            raise SystemExit(f"{what}: {np.sum(got != want)} of {want.size} differ from the CPU's")
        given = [cuda.asarray(x, device=chosen.device) for x in inputs]
        out = cuda.asarray(np.zeros(n, want.dtype), device=chosen.device)
        seconds = spent(
            lambda name=name, given=given, out=out: getattr(cuda, name)(*given, out=out),
            lambda: module.synchronize(chosen.device, 1), chosen.rounds, chosen.launches,
        )  # fmt: skip
        moved = sum(given[i].nbytes for i in loads) + out.nbytes
        print(f"{what:34} {n / seconds / 1e9:9.3f} G/s   {moved / seconds / 1e12:6.3f} TB/s   "
              f"{moved / seconds / peak:5.1%} of the peak")  # fmt: skip


if __name__ == "__main__":
    main()
