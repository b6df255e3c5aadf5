"""One GPU, checked and measured: `python bench/cuda/gpu.py [--device 0] [--seconds 100] [--json FILE]`.

Checks come first: scans against the processor's, pools bit for bit, a Ctrl-C. Then hashrates against the
integer model at the measured clock, decode steps on device arrays, probes against the datasheet and, where
torch is there, against cuBLAS. `bench/gpu.sh` builds and tests before it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import tokenroof as tr
from tokenroof import cuda, mining
from tokenroof.cuda.probes import CudaMachine, Sensors

HERE = Path(__file__).parent
GENESIS = "01000000" + "00" * 32 + ("3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
                                    "29ab5f49ffff001d00000000")  # fmt: skip
MODEL = (
    7.38e9 / 132 / 1.98e9
)  # hashes per multiprocessor and clock: additions, 64 lanes (docs/cuda.md)

INTERRUPTED = """
import sys, time
from tokenroof import mining
mining.scan(bytes(80), count=2**20, target=1, backend=sys.argv[1])
print("go", flush=True)
try:
    mining.scan(bytes(80), count=2**32, target=1, versions=60000, backend=sys.argv[1])
except KeyboardInterrupt:
    print(time.time(), flush=True)
"""


class Report:
    """Lines for a reader, numbers for a file, and what failed."""

    def __init__(self) -> None:
        self.numbers: dict[str, Any] = {}
        self.failed: list[str] = []

    def say(self, name: str, value: float, unit: str, more: str = "") -> None:
        self.numbers[name] = value
        print(f"{name:34} {value:14.4g} {unit:8} {more}", flush=True)

    def check(self, name: str, right: bool, more: str = "") -> None:
        print(f"{name:34} {'right' if right else 'WRONG':>14} {more}", flush=True)
        if not right:
            self.failed.append(name)

    def part(self, name: str, run: Any) -> None:
        """A part that fails does not take the others with it."""
        print(f"--- {name}", flush=True)
        try:
            run()
        except Exception as error:
            self.failed.append(f"{name}: {type(error).__name__}: {error}")
            print(f"FAILED: {type(error).__name__}: {error}", flush=True)


def checks(report: Report, name: str) -> None:
    found = mining.scan(GENESIS, 2_083_236_893 - 10**6, 2 * 10**6, backend=name)
    report.check("genesis nonce", found.hits == [(2083236893, 1)])
    header, easy = bytes(range(80)), 2**256 // 50
    for versions, count in ((1, 3_000_000), (300, 8000), (4096, 500)):
        got = mining.scan(header, 7, count, easy, versions, backend=name)
        want = mining.scan(header, 7, count, easy, versions)
        report.check(
            f"hits, {versions} versions",
            got.hits == want.hits,
            f"{len(want.hits)} hits, {got.mode}",
        )
    every = mining.scan(header, 2**32 - 200_000, 200_000, 2**256 - 1, backend=name)
    report.check(
        "every nonce a hit", [n for n, _ in every.hits] == list(range(2**32 - 200_000, 2**32))
    )
    module, number = cuda._module(), int(name.partition(":")[2])
    for roll in (False, True):
        print(f"faster sums, {'roll' if roll else 'nonce'}: "
              f"{('additions', 'multiply-adds')[module.scan_variant(number, roll)]}")  # fmt: skip
    both = [
        set(module.scan_hashes(header, 5, 4096, roll, v)) for roll in (False, True) for v in (0, 1)
    ]
    report.check("both kernels alike", both[0] == both[1] and both[2] == both[3] and all(both))
    late = []
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, name], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.3)
            sent = time.time()
            child.send_signal(signal.SIGINT)
            late.append(float(child.stdout.readline() or "inf") - sent)
    report.check(
        "Ctrl-C within 50 ms", min(late) < 0.05, ", ".join(f"{1e3 * x:.0f} ms" for x in late)
    )


def pools(report: Report, name: str) -> None:
    case = {"hashrate": 1e18, "difficulty": 1e14, "seconds": 30 * 86400.0, "pool_hashrate": 2e19, "seed": 5,
            "share_difficulty": 1e8, "fees_btc": 0.1, "fees_std_btc": 0.05, "paths": 200_000}  # fmt: skip
    for scheme in ("SOLO", "PPS+", "PPLNS"):
        took = {}
        for where in (None, name):
            began = time.perf_counter()
            got = mining.simulate_pool(scheme, device=where, **case)  # type: ignore[arg-type]
            took[where] = time.perf_counter() - began, got.income_btc
        same = np.array_equal(took[None][1], took[name][1])
        report.check(
            f"pool, {scheme}",
            same,
            f"{took[None][0] / took[name][0]:.1f} x the processor's threads",
        )


def hashrates(report: Report, found: cuda.CudaDevice, seconds: float) -> None:
    name = f"cuda:{found.index}"
    for mode, versions in (("nonce", 1), ("roll", 16384)):
        rates, began = [], time.perf_counter()
        nonces = 2**20 // versions
        with Sensors(found.pci_bus) as sensors:
            while time.perf_counter() - began < seconds:
                run = mining.scan(bytes(80), 0, nonces, 1, versions, backend=name)
                rates.append(run.hashrate)
                if run.seconds < 0.3:
                    nonces, rates = min(4 * nonces, 2**32), []
        rate, clock = (
            statistics.median(rates),
            sensors.median(sensors.clocks) if sensors.clocks else None,
        )
        watts = sensors.median(sensors.watts) if sensors.watts else None
        told = [sensors.note] if clock is None else [f"{clock / 1e9:.3f} GHz"]
        told += [f"{watts:.0f} W, {watts / rate * 1e12:.0f} J/TH"] if watts else []
        model = MODEL * found.sm_count * (clock or found.clock_hz)
        told.append(f"{rate / model:.1%} of the model, additions, nonces: {model / 1e9:.2f} GH/s")
        report.say(f"hash.{mode}", rate, "hash/s", "; ".join(told))
        report.numbers[f"hash.{mode}.clock_hz"] = clock
        report.numbers[f"hash.{mode}.of_model"] = rate / model


def probes(report: Report, found: cuda.CudaDevice) -> CudaMachine:
    got = cuda.probe(found.index, seconds=1.5)
    near = "H200-SXM" if "H200" in found.name else "H100-SXM" if "H100" in found.name else None
    sheet = tr.device(near) if near else None
    by_bus = 2 * found.memory_clock_hz * found.memory_bus_bits / 8
    for name, reading in got.readings.items():
        more = f"{reading.low:.4g} to {reading.high:.4g}, {reading.repeats} repeats"
        if sheet is not None and name.startswith("flops.") and sheet.peak.get(name.split(".")[1]):
            more += f"; {reading.best / sheet.peak[name.split('.')[1]]:.1%} of {near}'s datasheet"
        if name.startswith("bandwidth.memory") and (sheet is not None or by_bus):
            bandwidth = by_bus if sheet is None else sheet.memory_bandwidth
            more += f"; {reading.best / bandwidth:.1%} of {bandwidth / 1e12:.2f} TB/s"
        report.say(name, reading.value, reading.unit, more)
    for name, why in got.absent.items():
        print(f"{name:34} absent: {why}")
    if got.clock_hz and got.watts:
        print(f"clock {got.clock_hz / 1e9:.3f} GHz, {got.watts:.0f} W while it computed")
    else:
        print(got.sensors_note)
    return got


def cublas(report: Report, machine: CudaMachine, index: int) -> None:
    try:
        import torch
    except ImportError:
        print("no torch here: no cuBLAS to compare with")
        return
    n, where = 8192, f"cuda:{index}"

    def best(product: Any) -> float:
        rates = []
        for _ in range(12):
            began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            began.record()
            for _ in range(4):
                product()
            ended.record()
            ended.synchronize()
            rates.append(4 * 2 * n**3 / (1e-3 * began.elapsed_time(ended)))
        return max(rates)

    def of(kind: str) -> Any:
        if kind == "int8":
            a, b = (
                torch.randint(-127, 127, (n, n), dtype=torch.int8, device=where) for _ in range(2)
            )
            return lambda: torch._int_mm(a, b)
        a, b = (torch.randn(n, n, device=where) for _ in range(2))
        if kind == "fp8":
            x, y = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
            one = torch.ones((), device=where)
            return lambda: torch._scaled_mm(x, y, one, one, out_dtype=torch.bfloat16)
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}
        x, y = a.to(kinds[kind]), b.to(kinds[kind])
        return lambda: x @ y

    with torch.cuda.device(index):
        for kind in ("bf16", "fp16", "fp8", "int8"):
            try:
                rate = best(of(kind))
            except Exception as error:
                print(f"cublas.{kind:27} absent: {error}")
                continue
            mine = machine.peak.get(kind)
            report.say(
                f"cublas.{kind}",
                rate,
                "FLOP/s",
                f"the probe is {mine / rate:.1%} of it" if mine else "",
            )


def decode(device: int) -> None:
    subprocess.run(
        [sys.executable, str(HERE / "kernels.py"), "--device", str(device)], check=True, timeout=150,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument(
        "--seconds", type=float, default=100.0, help="time for hashrates, in all [s]"
    )
    parser.add_argument("--json", type=Path, default=None, help="numbers to this file")
    chosen = parser.parse_args()
    if reason := cuda.why_not():
        print(f"no CUDA here: {reason}; nothing was measured", file=sys.stderr)
        return 2
    found = cuda.devices()[chosen.device]
    capability = ".".join(map(str, found.compute_capability))
    print(
        f"{found.name}: {found.sm_count} multiprocessors, {found.memory_bytes / 2**30:.0f} GiB, {capability}"
    )
    report, name = Report(), f"cuda:{chosen.device}"
    report.numbers["device"] = found.name
    machines: list[CudaMachine] = []
    report.part("scans are right", lambda: checks(report, name))
    report.part("pools, bit for bit", lambda: pools(report, name))
    report.part("hashes", lambda: hashrates(report, found, chosen.seconds / 4))
    report.part("kernels over device arrays", lambda: decode(chosen.device))
    report.part("probes", lambda: machines.append(probes(report, found)))
    if machines:
        report.numbers["probe"] = machines[0].as_dict()
        report.part("cuBLAS", lambda: cublas(report, machines[0], chosen.device))
    if chosen.json is not None:
        report.numbers["failed"] = report.failed
        chosen.json.write_text(json.dumps(report.numbers, indent=1, default=str))
    for one in report.failed:
        print(f"failed: {one}")
    if not report.failed:
        print("all checks passed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
