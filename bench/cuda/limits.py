"""Stages of `gpu.py` that look for what no play on a processor shows: limits, alignment, order, interrupts.

Device code that runs on a processor has no grid to overfill, no memory that must be aligned, atomics that
cannot collide, copies that are always finished and a host that is not interrupted in the middle of a launch.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from checks import inputs, same
from stage_results import Report

from tokenroof import cuda, kernels, mining
from tokenroof.cuda import module as compiled

INTERRUPTED = """
import sys, time
import numpy as np
from tokenroof import cuda, mining
what, name, here, played = sys.argv[1:]
if played == "True":
    sys.path.insert(0, here)
    from gpu import play
    play()
device = int(name.partition(":")[2])
mining.scan(bytes(80), count=4096, target=1, backend=name)
print("go", flush=True)
try:
    if what == "scan":
        mining.scan(bytes(80), count=2**32, target=1, versions=60000, backend=name)
    else:
        mining.simulate_pool("PPLNS", 1e18, 1e14, 3e9, pool_hashrate=1e20, paths=10**7,
                         share_difficulty=1e10, device=name)
except KeyboardInterrupt:
    print(time.time(), flush=True)
x = cuda.asarray(np.arange(1.0, 5.0), device=device)
print(cuda.ridge_point(x, x).get().tolist() == [1.0] * 4, flush=True)
found = mining.scan(bytes(80), count=4096, target=2**256 - 1, backend=name)
print(len(found.hits) == 4096, flush=True)
"""


class Shifted:
    """A device array that begins some elements into its memory: aligned to an element alone."""

    def __init__(self, array: Any, first: int, step: int = 1) -> None:
        told = dict(array.__cuda_array_interface__)
        size = np.dtype(told["typestr"]).itemsize
        count = (told["shape"][0] - first + step - 1) // step
        told |= {
            "data": (told["data"][0] + first * size, False),
            "shape": (count,),
            "strides": (step * size,),
        }
        self.array, self.__cuda_array_interface__ = array, told


def launches(report: Report, out: Path) -> None:
    """Counts that no block divides, more elements than a grid has threads, offsets, threads at once."""
    rng, device = np.random.default_rng(1), report.device
    wrong = []
    sizes = (
        (1, 31, 255, 257, 1025) if report.played else (1, 31, 255, 257, 65_535 * 256 + 3, 2**27 + 5)
    )
    for n in sizes:
        given = [rng.uniform(0.1, 4.0, n).astype(np.float32) for _ in range(3)]
        got = cuda.attainable(*(cuda.asarray(x, device=device) for x in given)).get()
        if not same(got, kernels.attainable(*given)):
            wrong.append(n)
    report.check("counts that no block divides", not wrong, f"{wrong or sizes}")
    wrong = []
    for kind in (np.float32, np.float64):
        for first, step in ((1, 1), (3, 1), (1, 2), (5, 3)):
            given = [rng.uniform(0.1, 4.0, 1000).astype(kind) for _ in range(3)]
            on = [Shifted(cuda.asarray(x, device=device), first, step) for x in given]
            got = cuda.attainable(*on).get()
            if not same(got, kernels.attainable(*(x[first::step] for x in given))):
                wrong.append((np.dtype(kind).name, first, step))
    headers = rng.integers(0, 256, (65, 80), np.uint8)
    raw = cuda.asarray(np.concatenate([[0], headers.ravel()]).astype(np.uint8), device=device)
    told = dict(raw.__cuda_array_interface__)

    class Rows:
        __cuda_array_interface__ = told | {
            "data": (told["data"][0] + 1, False),
            "shape": (65, 80),
            "strides": None,
        }

    if not same(cuda.sha256d(Rows()).get(), kernels.sha256d(headers)):
        wrong.append(("headers", 1, 80))
    report.check(
        "memory aligned to an element", not wrong, str(wrong or "offsets and steps of both types")
    )
    many = 64 if report.played else 20_000  # combinations of records: a table each
    args = inputs("decode_time", 8, rng, np.float64)
    models = np.repeat(args[2][None], many, axis=0)
    on = [args[0], args[1], models[:, None, :], args[3], args[4], args[5]]
    got = cuda.decode_time(*(cuda.asarray(x, device=device) for x in on)).get()
    report.check("many combinations of records", same(got, kernels.decode_time(*on)), f"{many}")
    _together(report)


def _together(report: Report) -> None:
    """Scans and kernels from several threads on one device: grids that have to share it."""
    name, found, failed = f"cuda:{report.device}", {}, []
    count = 500 if report.played else 1_000_000
    want = mining.scan(bytes(80), 0, count, 2**256 // 100).hits
    rows = np.linspace(0.1, 4.0, 1000)

    def scan(i: int) -> None:
        try:
            found[i] = mining.scan(bytes(80), 0, count, 2**256 // 100, backend=name).hits
        except Exception as error:
            failed.append(str(error))

    def run(i: int) -> None:
        try:
            x = cuda.asarray(rows, device=report.device)
            found[i] = [bool(np.all(cuda.ridge_point(x, x).get() == 1.0)) for _ in range(20)]
        except Exception as error:
            failed.append(str(error))

    threads = [threading.Thread(target=scan if i < 2 else run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    right = not failed and sorted(found[0]) == sorted(found[1]) == sorted(want)
    right = right and all(found[2]) and all(found[3])
    report.check("four threads on one device", right, "; ".join(failed))


def streams(report: Report, out: Path) -> None:
    """Results that depend on the order of streams; copies that must not be read before they are whole."""
    device, module = report.device, compiled.module()
    n = 4096 if report.played else 1 << 24
    rows = np.random.default_rng(2).uniform(0.1, 4.0, n)
    for size in (1, n // 3, n):  # pageable and staged copies; the host's array is changed at once
        mine = rows[:size].copy()
        there = cuda.asarray(mine, device=device)
        mine[:] = -1.0
        report.check(f"a copy of {size} is whole", np.array_equal(there.get(), rows[:size]))
    ones = cuda.asarray(np.ones(n), device=device)
    x = cuda.asarray(rows, device=device)
    for _ in range(200):  # each reads what the one before wrote
        x = cuda.ridge_point(x, ones)
    report.check("a chain of 200 on one stream", np.array_equal(x.get(), rows))
    module.synchronize(device, 1)
    try:
        import torch
    except ImportError:
        report.skip("streams of torch", "torch is missing")
        return
    if report.played:
        report.skip("streams of torch", "needs a device: torch's streams are not played")
        return
    side = torch.cuda.Stream(device)
    wrong = 0
    for i in range(20):
        with torch.cuda.stream(side):
            torch.cuda._sleep(
                20_000_000
            )  # the write comes late; a launch elsewhere would read before it
            late = torch.full((n,), float(i + 1), dtype=torch.float64, device=f"cuda:{device}")
            got = cuda.ridge_point(late, torch.ones_like(late))
        side.synchronize()  # what is read below is read on another stream
        wrong += int((got.cpu().numpy() != i + 1.0).sum())
    report.check("a launch waits for its stream", wrong == 0, f"{wrong} read too early")
    peer = torch.ones(8, dtype=torch.float64, device=f"cuda:{device}")
    report.check("results are torch's", type(cuda.ridge_point(peer, peer)) is torch.Tensor)


def errors(report: Report, out: Path) -> None:
    """What is refused, and that the next call works."""
    device = report.device
    x = cuda.asarray(np.ones(4), device=device)

    def works() -> bool:
        return bool(np.all(cuda.ridge_point(x, x).get() == 1.0))

    def refused(name: str, call: Any, *kinds: type[BaseException]) -> None:
        try:
            call()
            said = "not refused"
        except kinds as error:
            said = f"{type(error).__name__}: {str(error)[:100]}"
        except Exception as error:
            said = f"not refused by its kind: {type(error).__name__}: {error}"
        report.check(name, not said.startswith("not refused") and works(), said)

    refused("an array of the host", lambda: cuda.ridge_point(np.ones(4), x), TypeError)
    # over-commitment is the host's way, not a device's: more than there is must fail at once
    more = cuda.devices()[device].memory_bytes // 8 + 1
    one = cuda.asarray(np.ones(1), device=device)
    refused("full memory", lambda: cuda.ridge_point(one, Wide(one, more)), MemoryError)
    if len(cuda.devices()) > 1:
        other = cuda.asarray(np.ones(4), device=1 - device)
        refused("arrays of two devices", lambda: cuda.ridge_point(x, other), ValueError, TypeError)
    else:
        report.skip("arrays of two devices", "needs two devices")
    for what in ("scan", "pool"):
        late = [_interrupted(report, what) for _ in range(1 if report.played else 3)]
        told = ", ".join(f"{1e3 * x:.0f} ms" for x in late)
        if report.played:
            report.skip(
                f"Ctrl-C in a {what} within 50 ms", f"needs a device: played, it took {told}"
            )
        else:
            report.check(f"Ctrl-C in a {what} within 50 ms", min(late) < 0.05, told)


class Wide:
    """One element, read so many times: the result alone needs memory."""

    def __init__(self, array: Any, count: int) -> None:
        self.array = array
        told = dict(array.__cuda_array_interface__)
        self.__cuda_array_interface__ = told | {"shape": (count,), "strides": (0,)}


def _interrupted(report: Report, what: str) -> float:
    """Seconds from Ctrl-C to its exception; the device must work on in that process."""
    command = [sys.executable, "-c", INTERRUPTED, what, f"cuda:{report.device}",
               str(Path(__file__).resolve().parent), str(report.played)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.3)
        sent = time.time()
        child.send_signal(signal.SIGINT)
        late = float(child.stdout.readline() or "inf") - sent
        after = [child.stdout.readline().strip() for _ in range(2)]
    report.check(f"{what}: the context works on", after == ["True", "True"], str(after))
    return late
