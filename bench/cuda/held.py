"""Stage of `gpu.py`: loads that torch holds for seconds; watts, clock and time beside calibrated operators.

Tables that operators are fitted on time kernels in short turns, one after another; a board that has computed
for seconds is warm and held to its limit. Watts are joules counted over the last second, whatever the meter's
window.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from products import _graph, _torch, _where
from rates import sheet_of
from stage_results import Report

import tokenroof as tr
from tokenroof import cuda
from tokenroof.cuda.probes import Sensors

WARM, HELD = 0.8, 1.2  # seconds before the reading, and of it
PRODUCTS = {"bf16": (1, 16, 64, 256, 1024, 8192), "fp8": (16, 64, 256, 1024, 8192)}
SIDE = 8192
PROMPTS = ((1, 2048), (4, 8192))  # sequences, tokens of each
DECODES = ((16, 2048), (64, 4096), (128, 8192))  # sequences, context
HEADS = (32, 8, 128)


@dataclass(frozen=True)
class Load:
    """What torch runs, how many of the operator one call is, and what is said of it."""

    name: str
    call: Callable[[], Any]
    count: int
    said: Any


@dataclass(frozen=True)
class Reading:
    seconds: float
    watts: float | None
    clock_hz: float | None


def _operators(name: str) -> dict[str, Any]:
    """The calibrated operators of every load, by its name."""
    made: dict[str, Any] = {}
    for kind, rows in PRODUCTS.items():
        for m in rows:
            made[f"{kind}, {m} x {SIDE} x {SIDE}"] = tr.operators.gemm(
                name, m, SIDE, SIDE, dtype=kind
            )
    for batch, tokens in PROMPTS:
        made[f"prompts, {batch} of {tokens}"] = tr.operators.attention_prefill(
            name, batch, tokens, 0, *HEADS
        )
    for batch, context in DECODES:
        made[f"decode, {batch} of {context}"] = tr.operators.attention_decode(
            name, batch, context, *HEADS
        )
    return made


def _loads(torch: Any, report: Report, said: dict[str, Any]) -> Iterator[Load]:
    """Each load in turn; its arrays go when the next is asked for."""
    where, played = _where(report), report.played
    side = 64 if played else SIDE
    for kind, rows in PRODUCTS.items():
        turns = 1 if played else 4 if kind == "bf16" else 8  # weights come from memory
        weights = [torch.randn(side, side, device=where) / side**0.5 for _ in range(turns)]
        if kind == "fp8" and played:
            continue
        eight = kind == "fp8"
        weights = [w.to(torch.float8_e4m3fn if eight else torch.bfloat16) for w in weights]
        one = torch.ones((), device=where)
        for m in rows[:1] if played else rows:
            x = torch.randn(m, side, device=where).to(weights[0].dtype)

            def product(
                x: Any = x, weights: Any = weights, one: Any = one if eight else None
            ) -> None:
                for w in weights:
                    if one is not None:
                        torch._scaled_mm(x, w.t(), one, one, out_dtype=torch.bfloat16)
                    else:
                        x @ w.t()

            name = f"{kind}, {m} x {SIDE} x {SIDE}"
            yield Load(name, product, turns, said[name])
    yield from _attention(torch, report, said)


def _attention(torch: Any, report: Report, said: dict[str, Any]) -> Iterator[Load]:
    heads, kv, width = HEADS
    attend = torch.nn.functional.scaled_dot_product_attention
    backend, kernel = torch.nn.attention.SDPBackend, torch.nn.attention.sdpa_kernel

    def made(*shape: int) -> Any:
        return torch.randn(shape, device=_where(report)).to(torch.bfloat16)

    for batch, tokens in PROMPTS[:1] if report.played else PROMPTS:
        long = 16 if report.played else tokens
        q, k, v = made(batch, heads, long, width), *(made(batch, kv, long, width) for _ in range(2))

        def prompts(q: Any = q, k: Any = k, v: Any = v) -> None:
            with kernel([backend.CUDNN_ATTENTION, backend.FLASH_ATTENTION], set_priority=True):
                attend(q, k, v, is_causal=True, enable_gqa=True)

        name = f"prompts, {batch} of {tokens}"
        yield Load(name, prompts, 1, said[name])
    for batch, context in DECODES[:1] if report.played else DECODES:
        long = 16 if report.played else context
        # queries of one group are rows of one attention, so that no cache is repeated
        q = made(batch, kv, heads // kv, width)
        k, v = (made(batch, kv, long, width) for _ in range(2))

        def decode(q: Any = q, k: Any = k, v: Any = v) -> None:
            with kernel(backend.FLASH_ATTENTION):
                attend(q, k, v)

        name = f"decode, {batch} of {context}"
        yield Load(name, decode, 1, said[name])


class Meter:
    """Joules of the board since it was last set up, where NVML counts them."""

    def __init__(self, bus: str) -> None:
        self._read: Callable[[], float] | None = None
        try:
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus.encode())
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        except (
            Exception
        ) as error:  # no such package, no driver, no counter: the sensors' mean stands in
            self.note = f"watts are the mean of what the sensor says: {error}"
            return
        self.note = "watts are joules counted over seconds"
        self._read = lambda: 1e-3 * pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)

    def joules(self) -> float | None:
        return self._read() if self._read else None


def _hold(torch: Any, load: Load, report: Report, meter: Meter, bus: str) -> Reading:
    """Run a load until the board is warm, then read it."""
    if report.played:
        began = time.perf_counter()
        load.call()
        return Reading((time.perf_counter() - began) / load.count, None, None)
    call = _graph(torch, load.call)
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(4):
        call()
    torch.cuda.synchronize()
    turn = max(1, int(4 * 0.02 / (time.perf_counter() - began)))  # some 20 ms at a time

    def run(seconds: float) -> tuple[float, int]:
        began, calls = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            for _ in range(turn):
                call()
            torch.cuda.synchronize()
            calls += turn
        return time.perf_counter() - began, calls

    run(WARM)
    with Sensors(bus) as sensors:
        first = meter.joules()
        seconds, calls = run(HELD)
        last = meter.joules()
    watts = (last - first) / seconds if first is not None and last is not None else None
    if watts is None and sensors.watts:
        watts = statistics.mean(sensors.watts)
    clock = statistics.mean(sensors.clocks) if sensors.clocks else None
    return Reading(seconds / calls / load.count, watts, clock)


def _idle(report: Report, meter: Meter, name: str) -> None:
    """Watts of a board that has a context and nothing to do."""
    time.sleep(1.0)
    began, first = time.perf_counter(), meter.joules()
    time.sleep(1.5)
    last = meter.joules()
    if first is not None and last is not None:
        between = tr.power.board_power(name).item()
        said = f"said {tr.power.idle_power(name):.0f} W idle, {between:.0f} W between kernels"
        report.say("nothing to do", (last - first) / (time.perf_counter() - began), "W", said)


def held(report: Report, out: Path) -> None:
    """Seconds and watts of each load, beside what the calibrated operators say."""
    found = cuda.devices()[report.device]
    sheet = sheet_of(found.name)
    if sheet is None and not report.played:
        report.skip("held", f"the catalogue has no {found.name}")
        return
    name = sheet.name if sheet else "H200-SXM"
    said = _operators(name)
    for what, operator in said.items():
        report.say(f"said of {what}", operator.time_s.item(), "s", f"{operator.watts.item():.0f} W")
    torch = _torch(report)
    if torch is None:
        return
    meter = Meter(found.pci_bus)
    report.note("watts", meter.note)
    errors: dict[str, list[tuple[float, float | None]]] = {}
    if not report.played:
        _idle(report, meter, name)
    for load in _loads(torch, report, said):
        try:
            got = _hold(torch, load, report, meter, found.pci_bus)
        except RuntimeError as error:  # torch has no such kernel here
            report.skip(f"held: {load.name}", str(error).splitlines()[0])
            continue
        late = load.said.time_s.item() / got.seconds - 1.0
        told = f"said {late:+.1%}"
        draws = None
        if got.watts is not None:
            draws = load.said.watts.item() / got.watts - 1.0
            told += f"; {got.watts:.0f} W, said {draws:+.1%}"
        if got.clock_hz:
            told += f"; {got.clock_hz / 1e9:.2f} GHz"
        report.say(f"held: {load.name}", got.seconds, "s", told)
        errors.setdefault(load.name.split(",")[0], []).append((late, draws))
    for kind, pairs in errors.items():
        late = [seconds for seconds, _ in pairs]
        draws = [watts for _, watts in pairs if watts is not None]
        report.say(f"seconds of {kind}: mean error", statistics.mean(map(abs, late)), "1",
                   f"bias {statistics.mean(late):+.1%}")  # fmt: skip
        if draws:
            report.say(f"watts of {kind}: mean error", statistics.mean(map(abs, draws)), "1",
                       f"bias {statistics.mean(draws):+.1%}")  # fmt: skip
