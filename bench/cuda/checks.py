"""Stages of `gpu.py` that come first: the device, every kernel's bits, and planted hits."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
from stage_results import Report

import tokenroof as tr
from tokenroof import cuda, kernels, mining
from tokenroof.cuda import module as compiled
from tokenroof.inference.door import deployment

GENESIS = "01000000" + "00" * 32 + ("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
                                    "29ab5f49ffff001d00000000")  # fmt: skip
# what kernels over records take beside them; the rest are shapes of a plausible model
SIZES = {
    "heads": 64, "kv_heads": 8, "head_dim": 128, "v_head_dim": 128, "window": 0, "kv_dtype": 1,
    "maths_dtype": 1, "warm": 0, "m": 64, "n": 4096, "k": 4096, "weights": 2, "activations": 2,
    "hidden": 4096, "intermediate": 1536, "experts": 128, "topk": 8, "matrices": 3, "moe_tp": 1,
    "moe_ep": 8, "skew": 0, "kv_lora_rank": 512, "rope_head_dim": 64, "nope_head_dim": 128,
    "absorbed": 1, "index_heads": 64, "index_head_dim": 128, "key_heads": 16, "key_dim": 128,
    "value_heads": 32, "value_dim": 128, "taps": 4, "chunk": 64, "groups": 8, "state": 128,
    "residual": 1, "width": 4096, "greedy": 1, "vocab": 128256, "kernels": 3, "ranks": 8,
}  # fmt: skip


def devices(report: Report, out: Path) -> None:
    """What the driver says, and whether the build has code for it."""
    report.note("build", str(tr.build_config()["cuda"]))
    found = cuda.devices()
    report.check("a device is there", bool(found) and not cuda.why_not(), cuda.why_not())
    one = found[report.device]
    name = f"{one.name}, compute capability {'.'.join(map(str, one.compute_capability))}"
    report.note("device", name)
    for what, value, unit in (
        ("multiprocessors", one.sm_count, "1"), ("memory", one.memory_bytes, "B"), ("L2", one.l2_bytes, "B"),
        ("clock", one.clock_hz, "Hz"), ("memory clock", one.memory_clock_hz, "Hz"),
        ("bus", one.memory_bus_bits, "bit"),
    ):  # fmt: skip
        report.say(what, value, unit)
    versions = compiled.module().versions()
    report.note("versions", str(versions))
    report.check("numbers are plausible", one.sm_count > 0 and one.memory_bytes > 1 << 20)
    rows = np.arange(5.0)
    report.check(
        "there and back", np.array_equal(cuda.asarray(rows, device=report.device).get(), rows)
    )


def inputs(name: str, n: int, rng: np.random.Generator, kind: Any) -> list[np.ndarray]:
    """Arrays of n elements, or records beside them, that a kernel takes."""
    function = getattr(kernels, name)
    if name == "sha256d":
        return [rng.integers(0, 256, (n, 80), np.uint8)]
    if not function.signature:
        return [rng.uniform(0.1, 0.9, n).astype(kind) for _ in range(function.nin)]
    if name == "expected_tokens_by_position":
        return [rng.uniform(0.1, 0.9, (n, 5)).astype(kind)]
    if name == "serving_system":
        return [
            rng.uniform(0.1, 9.0, (n, len(kernels.SYSTEM_TERMS))).astype(kind),
            np.full(n, 200.0).astype(kind),
        ]
    plan = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8")
    records = deployment("H200-SXM", "Qwen3-235B-A22B", plan, "calibrated").records
    packed = dict(zip(("device", "calibration", "model", "plan"), records, strict=True))
    given: list[np.ndarray] = []
    for parameter in list(inspect.signature(function).parameters)[: function.nin]:
        if parameter in packed:
            given.append(packed[parameter])
        elif parameter == "terms":
            load = (np.full(n, 8.0), np.full(n, 1000.0), np.full(n, 200.0))
            given.append(kernels.serving_terms(*records, *load))
        elif parameter in SIZES:
            given.append(np.array(float(SIZES[parameter])))
        elif parameter.endswith("_use"):
            given.append(rng.uniform(0.0, 0.2, n))
        else:
            given.append(np.floor(rng.uniform(1, 4096, n)))
    return [x.astype(kind) for x in given]


def same(got: np.ndarray, want: np.ndarray) -> bool:
    return got.dtype == want.dtype and bool(
        np.array_equal(got, want, equal_nan=got.dtype.kind == "f")
    )


def kernels_at(report: Report, sizes: tuple[int, ...]) -> None:
    """Every kernel by introspection: none can be forgotten."""
    rng = np.random.default_rng(0)
    wrong: list[str] = []
    count = 0
    for name in kernels.__test__:
        kinds = (np.float64, np.float32) if name != "sha256d" else (np.uint8,)
        for kind in kinds:
            for n in sizes:
                given = inputs(name, n, rng, kind)
                with np.errstate(all="ignore"):
                    want = getattr(kernels, name)(*given)
                on = [cuda.asarray(x, device=report.device) for x in given]
                got = getattr(cuda, name)(*on).get()
                count += 1
                if not same(got, want):
                    wrong.append(f"{name} {np.dtype(kind)} of {n}: {np.sum(got != want)} differ")
    report.check(
        "kernels, bit for bit",
        not wrong,
        "; ".join(wrong[:8]) or f"{count} calls, {sizes} elements",
    )


def kernels_(report: Report, out: Path) -> None:
    kernels_at(report, (1, 33) if report.played else (1, 33, 1000, 65_537))


def hits(report: Report, out: Path) -> None:
    """Genesis; as many as the processor finds; every nonce a hit; both ways of summing."""
    name = f"cuda:{report.device}"
    near = 1 << (12 if report.played else 20)
    found = mining.scan(GENESIS, 2_083_236_893 - near, 2 * near, backend=name)
    report.check("genesis nonce", found.hits == [(2083236893, 1)])
    header, easy = bytes(range(80)), 2**256 // 50
    cases = (
        ((1, 4000), (300, 40), (4096, 2))
        if report.played
        else ((1, 3_000_000), (300, 8000), (4096, 500))
    )
    for versions, count in cases:
        got = mining.scan(header, 7, count, easy, versions, backend=name)
        want = mining.scan(header, 7, count, easy, versions)
        report.check(f"hits, {versions} versions", sorted(got.hits) == sorted(want.hits),
                     f"{len(want.hits)} hits, {got.mode}")  # fmt: skip
    # a lost increment of the counter would leave a hole, a doubled one a hit twice
    last = 3000 if report.played else 2_000_000
    every = mining.scan(header, 2**32 - last, last, 2**256 - 1, backend=name)
    report.check(
        "every nonce a hit", [n for n, _ in every.hits] == list(range(2**32 - last, 2**32))
    )
    rolled = mining.scan(header, 0, 40, 2**256 - 1, 300, backend=name)
    report.check("every version a hit", len(set(rolled.hits)) == len(rolled.hits) == 40 * 300)
    module = compiled.module()
    for roll in (False, True):
        variant = ("additions", "multiply-adds")[module.scan_variant(report.device, roll)]
        report.note(f"faster sums, {'roll' if roll else 'nonce'}", variant)
        both = [set(module.scan_hashes(header, 5, 4096, roll, v)) for v in (0, 1)]
        report.check(
            f"both ways of summing, {'roll' if roll else 'nonce'}", both[0] == both[1] and all(both)
        )
