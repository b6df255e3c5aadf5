"""Stages of `gpu.py` that measure: kernels over device arrays, hashes, probes, cuBLAS."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from checks import same
from stage_results import Report, value_of

import tokenroof as tr
from kernels import cases, spent
from tokenroof import cuda, kernels, mining
from tokenroof.cuda import module as compiled
from tokenroof.cuda.probes import Sensors

MODEL = (
    7.38e9 / 132 / 1.98e9
)  # hashes per multiprocessor and clock: additions, 64 lanes (docs/cuda.md)
ROLLED = 8e9 / 132 / 1.98e9
DECODES = {"calibrated": 1e10, "datasheet": 5e10}  # per second, or 80 % of the memory's bandwidth


def peak_bandwidth(found: cuda.CudaDevice) -> float:
    """Twice the memory's clock, times its bus [B/s]."""
    return 2.0 * found.memory_clock_hz * found.memory_bus_bits / 8.0


def throughput(report: Report, out: Path) -> None:
    """Elements per second of launches in a row, after the first are compared with the processor's."""
    device, n = report.device, 1 << (12 if report.played else 25)
    peak = peak_bandwidth(cuda.devices()[device])
    rng = np.random.default_rng(0)
    plan = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8")
    records = _records(plan)
    small = n >> 4
    served = ("serving, calibrated", "serving",
              [*records, rng.integers(1, 512, small).astype(float), np.full(small, 1024.0),
               rng.uniform(64, 2048, small)], [4, 5, 6])  # fmt: skip
    for what, name, inputs, loads in [*cases(n, rng), served]:
        part = [x[: 1 << 12] if i in loads else x for i, x in enumerate(inputs)]
        got = getattr(cuda, name)(*(cuda.asarray(x, device=device) for x in part)).get()
        report.check(f"{what}, bits", same(got, getattr(kernels, name)(*part)))
        given = [cuda.asarray(x, device=device) for x in inputs]
        shape = (len(inputs[loads[0]]), *got.shape[1:])
        result = cuda.asarray(np.zeros(shape, got.dtype), device=device)
        seconds = spent(
            lambda name=name, given=given, result=result: getattr(cuda, name)(*given, out=result),
            lambda: compiled.module().synchronize(device, 1),
            *((1, 1) if report.played else (5, 3)),
        )
        rate = shape[0] / seconds
        moved = (sum(given[i].nbytes for i in loads) + result.nbytes) / seconds
        report.say(
            what, rate, "1/s", f"{moved / 1e12:.3f} TB/s, {moved / peak:.1%} of the memory's"
        )
        least = next((DECODES[k] for k in DECODES if what == f"decode, {k}, whole batches"), None)
        if least:
            report.bar(
                f"{what}: of its bar", max(rate / least, moved / peak / 0.8), 1.0, f"{least:g}/s"
            )


def _records(plan: tr.Plan) -> list[np.ndarray]:
    from tokenroof.inference.door import deployment

    return list(deployment("H200-SXM", "Qwen3-235B-A22B", plan, "calibrated").records)


def hashes(report: Report, out: Path) -> None:
    """Scans of some seconds in both modes, with clock and watts meanwhile."""
    found = cuda.devices()[report.device]
    name, seconds = f"cuda:{report.device}", 0.2 if report.played else 10.0
    for mode, versions, per_clock in (("nonce", 1, MODEL), ("roll", 16384, ROLLED)):
        rates: list[float] = []
        began = time.perf_counter()
        nonces = (1 << 12 if report.played else 1 << 20) // versions or 1
        with Sensors(found.pci_bus) as sensors:
            while time.perf_counter() - began < seconds or not rates:
                run = mining.scan(bytes(80), 0, nonces, 1, versions, backend=name)
                rates.append(run.hashrate)
                if run.seconds < 0.3 and not report.played:
                    nonces, rates = min(4 * nonces, 2**32), []
        rate = statistics.median(rates)
        clock = sensors.median(sensors.clocks) if sensors.clocks else None
        watts = sensors.median(sensors.watts) if sensors.watts else None
        told = [sensors.note] if clock is None else [f"{clock / 1e9:.3f} GHz"]
        if clock is not None:  # a clock that moves makes the bound a range
            told.append(f"{min(sensors.clocks) / 1e9:.2f} to {max(sensors.clocks) / 1e9:.2f}")
        variant = compiled.module().scan_variant(report.device, mode == "roll")
        told.append(("additions", "multiply-adds")[variant])
        told += [f"{watts:.0f} W, {watts / rate * 1e12:.0f} J/TH"] if watts else []
        bound = mining.hash_roofline("H100-SXM", mode).hashrate / 132 / 1.98e9
        told.append(
            f"integer model: {bound * found.sm_count * (clock or found.clock_hz):.3g} hash/s"
        )
        report.say(f"hash.{mode}", rate, "hash/s", "; ".join(told))
        if clock:
            report.say(f"hash.{mode}.clock", clock, "Hz")
        aim = per_clock * found.sm_count * (clock or found.clock_hz)
        report.bar(f"hash.{mode}: of {aim:.3g}", rate / aim, 0.9 if mode == "nonce" else 1.0,
                   "scaled by multiprocessors and clock")  # fmt: skip


def sheet_of(name: str) -> tr.Device | None:
    """The catalogue's device of a driver's name, where it is one of those looked for."""
    for part, listed in (("GH200", "GH200-96GB"), ("H200", "H200-SXM"), ("H100 PCIe", "H100-PCIe"),
                         ("H100", "H100-SXM"), ("B200", "B200-SXM"), ("A100-SXM4-80", "A100-SXM4-80GB"),
                         ("L40S", "L40S"), ("L4", "L4"), ("RTX 4090", "RTX 4090"), ("T4", "T4")):  # fmt: skip
        if part in name:
            return tr.device(listed)
    return None


def probes(report: Report, out: Path) -> None:
    """Every probe, beside the datasheet; the device that they make goes to `device.json`."""
    found = cuda.devices()[report.device]
    got = cuda.probe(report.device, 0.05 if report.played else 1.5)
    sheet = sheet_of(found.name)
    for name, reading in got.readings.items():
        span = f"{reading.low:.4g} to {reading.high:.4g}, {reading.repeats} repeats"
        report.say(name, reading.best, reading.unit, span + _beside(name, reading, sheet))
    for name, why in got.absent.items():
        report.skip(name, why)
    report.note("sensors", f"{got.clock_hz} Hz, {got.watts} W: {got.sensors_note}")
    bandwidth = sheet.memory_bandwidth if sheet else peak_bandwidth(found)
    report.bar(
        "memory: of its bandwidth", got.memory_bandwidth / bandwidth, 0.92, f"{bandwidth:.4g} B/s"
    )
    for kind, peak in got.peak.items():
        report.say(f"peak.{kind}", peak, "FLOP/s")
    made, names = got.device(), [f.name for f in dataclasses.fields(tr.Device)]
    fields = {name: getattr(made, name) for name in names if name != "provenance"}
    (out / "device.json").write_text(json.dumps(fields, default=str))
    (out / "probe.json").write_text(json.dumps(got.as_dict(), default=str))


def _beside(name: str, reading: Any, sheet: tr.Device | None) -> str:
    """The datasheet's number, where there is one."""
    if sheet is None or not name.startswith("flops."):
        return ""
    peak = sheet.peak.get(name.split(".")[1])
    return f"; {reading.best / peak:.1%} of {sheet.name}'s datasheet" if peak else ""


def measured_device(out: Path) -> tr.Device | None:
    """The device that the probes made."""
    path = out / "device.json"
    return tr.Device(**json.loads(path.read_text())) if path.exists() else None


def cublas(report: Report, out: Path) -> None:
    """Square products by torch: the best that its library reaches."""
    try:
        import torch
    except ImportError:
        report.skip("cuBLAS", "torch is missing")
        return
    if report.played or not torch.cuda.is_available():
        report.skip("cuBLAS", "needs a device")
        return
    with torch.cuda.device(report.device):
        for kind in ("bf16", "fp16", "fp8", "int8"):
            try:
                rate = _best(torch, _product(torch, kind, 8192))
            except Exception as error:
                report.skip(f"cublas.{kind}", f"{type(error).__name__}: {error}")
                continue
            report.say(f"cublas.{kind}", rate, "FLOP/s")
            if mine := value_of(out, "probes", f"peak.{kind}"):
                report.bar(f"{kind}: the probe of cuBLAS", mine / rate, 0.9)


def _best(torch: Any, product: Any, n: int = 8192) -> float:
    rates = []
    for _ in range(10):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        for _ in range(4):
            product()
        ended.record()
        ended.synchronize()
        rates.append(4 * 2 * n**3 / (1e-3 * began.elapsed_time(ended)))
    return max(rates)


def _product(torch: Any, kind: str, n: int) -> Any:
    if kind == "int8":
        a, b = (torch.randint(-127, 127, (n, n), dtype=torch.int8, device="cuda") for _ in range(2))
        columns = b.t()  # as its library wants the second one
        return lambda: torch._int_mm(a, columns)
    a, b = (torch.randn(n, n, device="cuda") for _ in range(2))
    if kind == "fp8":
        x, y = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
        one = torch.ones((), device="cuda")
        return lambda: torch._scaled_mm(x, y, one, one, out_dtype=torch.bfloat16)
    x, y = (v.to({"bf16": torch.bfloat16, "fp16": torch.float16}[kind]) for v in (a, b))
    return lambda: x @ y
