"""Stages of `gpu.py` that come last: the tests, and predictions from the probes beside what torch takes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rates import measured_device, sheet_of
from stage_results import Report

import tokenroof as tr
from tokenroof import cuda

ROOT = Path(__file__).resolve().parents[2]
FILES = ("build", "kernels", "arrays", "scan", "pools", "probe", "failures")
SHAPES = ((4096, 4096), (8192, 8192), (28672, 8192), (8192, 28672))
ROWS = (1, 16, 64, 256, 1024, 4096, 8192)
LOADS = ((1, 1024), (8, 1024), (32, 2048), (64, 4096))


def tests(report: Report, out: Path) -> None:
    """The test files for CUDA; of a dry run they are only gathered."""
    for module in ("pytest", "xdist", "hypothesis", "pytest_benchmark"):
        if subprocess.run(
            [sys.executable, "-c", f"import {module}"], capture_output=True
        ).returncode:
            report.skip("tests", f"{module} is missing")
            return
    files = [str(ROOT / "tests" / "cuda" / f"test_cuda_{name}.py") for name in FILES]
    how = ["--collect-only", "-n", "0"] if report.played else ["-n", "8"]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *how, *files],
                          cwd=ROOT, capture_output=True, text=True)  # fmt: skip
    (out / "tests.log").write_text(done.stdout + done.stderr)
    last = (done.stdout.strip().splitlines() or ["nothing was printed"])[-1]
    report.check("gathered" if report.played else "tests", done.returncode == 0, last)


def _device(report: Report, out: Path) -> tr.Device:
    """What the probes measured; the catalogue's H100 where there are none of tensor cores."""
    found = measured_device(out)
    if found is not None and "bf16" in found.peak:
        return found
    report.note("predicted from", "the catalogue's H100-SXM: no probe of tensor cores here")
    return tr.device("H100-SXM")


def _torch(report: Report) -> Any:
    """torch and where it runs; None, said by name, where it is missing."""
    try:
        import torch
    except ImportError:
        report.skip("measured side", "torch is missing: predictions alone")
        return None
    if not report.played and not torch.cuda.is_available():
        report.skip("measured side", "torch sees no device")
        return None
    return torch


def _seconds(torch: Any, call: Callable[[], Any], played: bool, repeats: int = 20) -> float:
    """Median seconds of a call: on a device by events, on a processor by its clock."""
    import time

    for _ in range(1 if played else 3):
        call()
    times = []
    for _ in range(2 if played else repeats):
        if played:
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
            continue
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(1e-3 * start.elapsed_time(end))
    return statistics.median(times)


def _told(report: Report, errors: list[float], least: float) -> None:
    if errors:
        mean = statistics.mean(map(abs, errors))
        report.say(
            "mean error", mean, "1", f"{len(errors)} cases, bias {statistics.mean(errors):+.1%}"
        )
        report.bar("1 - mean error", 1.0 - mean, least)


def products(report: Report, out: Path) -> None:
    """bf16 products of other shapes than the probes', whose weights come from memory."""
    device, torch, errors = _device(report, out), _torch(report), []
    sheet = sheet_of(cuda.devices()[report.device].name)
    fitted: dict[str, list[float]] = {"vllm": [], "trtllm": []}
    for n, k in SHAPES[:1] if report.played else SHAPES:
        weights = None
        if torch is not None:
            count = 1 if report.played else max(2, int(400e6 / (2 * n * k)))
            weights = [
                torch.randn(n, k, device=_where(report)).to(torch.bfloat16) for _ in range(count)
            ]
        for m in ROWS[:2] if report.played else ROWS:
            predicted = tr.operators.gemm(
                device, m, n, k, dtype="bf16", engine="ideal"
            ).time_s.item()
            report.say(f"predicted {m} x {n} x {k}", predicted, "s")
            if weights is None:
                continue
            x = torch.randn(m, k, device=_where(report)).to(torch.bfloat16)

            def call(x: Any = x, weights: Any = weights) -> None:
                for one in weights:
                    x @ one.t()

            # replayed from a graph: the host's launches are not what is timed
            all_ = _seconds(torch, call if report.played else _graph(torch, call), report.played)
            measured = all_ / len(weights)
            errors.append(predicted / measured - 1.0)
            report.say(f"measured {m} x {n} x {k}", measured, "s", f"predicted {errors[-1]:+.1%}")
            for engine in fitted if sheet else ():
                said = tr.operators.gemm(sheet.name, m, n, k, dtype="bf16", engine=engine)
                fitted[engine].append(said.time_s.item() / measured - 1.0)
    _told(report, errors, 0.85)
    for engine, late in fitted.items():
        if late:
            report.say(f"as calibrated, {engine}: mean error", statistics.mean(map(abs, late)), "1",
                       f"{len(late)} cases, bias {statistics.mean(late):+.1%}")  # fmt: skip


def _where(report: Report) -> str:
    return "cpu" if report.played else f"cuda:{report.device}"


class Decoder:
    """Llama's layer with random weights in bf16: norms, rotary embedding, grouped queries, SwiGLU."""

    def __init__(
        self,
        torch: Any,
        where: str,
        *,
        hidden: int,
        layers: int,
        heads: int,
        kv: int,
        ffn: int,
        vocab: int,
    ) -> None:
        self.torch, self.where, self.heads, self.kv = torch, where, heads, kv
        self.sizes = (hidden, layers, ffn, vocab)
        self.width = hidden // heads

        def weights(n: int, m: int) -> Any:
            return (torch.randn(n, m, device=where) / m**0.5).to(torch.bfloat16)

        self.layers = [
            {"qkv": weights(hidden + 2 * kv * self.width, hidden), "o": weights(hidden, hidden),
             "up": weights(2 * ffn, hidden), "down": weights(hidden, ffn)} for _ in range(layers)
        ]  # fmt: skip
        self.head, self.embedding = weights(vocab, hidden), weights(vocab, hidden)

    def model(self) -> tr.Model:
        hidden, layers, ffn, vocab = self.sizes
        return tr.Model.from_config({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
            "num_hidden_layers": layers, "num_attention_heads": self.heads, "num_key_value_heads": self.kv,
            "head_dim": self.width, "intermediate_size": ffn, "vocab_size": vocab,
            "max_position_embeddings": 1 << 16, "hidden_act": "silu", "tie_word_embeddings": False,
            "torch_dtype": "bfloat16", "rms_norm_eps": 1e-5,
        })  # fmt: skip

    def start(self, batch: int, context: int) -> None:
        t, shape = self.torch, (2, batch, self.kv, context, self.width)
        self.caches = [t.randn(shape, device=self.where).to(t.bfloat16) for _ in self.layers]
        self.tokens = t.randint(0, self.sizes[3], (batch,), device=self.where)
        angle = context * 1e4 ** (-t.arange(self.width // 2, device=self.where) * 2 / self.width)
        self.cos, self.sin = angle.cos().to(t.bfloat16), angle.sin().to(t.bfloat16)

    def _rotate(self, x: Any) -> Any:
        a, b = x.chunk(2, dim=-1)
        return self.torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], dim=-1)

    def _norm(self, x: Any) -> Any:
        y = x.float()
        return (y * (y.square().mean(-1, keepdim=True) + 1e-5).rsqrt()).to(x.dtype)

    def step(self) -> Any:
        """The next tokens; the new one's place in the caches is the last."""
        functional = self.torch.nn.functional
        x = self.embedding[self.tokens]
        batch, hidden = x.shape
        for weights, cache in zip(self.layers, self.caches, strict=True):
            qkv = (self._norm(x) @ weights["qkv"].t()).view(
                batch, self.heads + 2 * self.kv, self.width
            )
            q, k, v = qkv.split([self.heads, self.kv, self.kv], dim=1)
            cache[0, :, :, -1], cache[1, :, :, -1] = self._rotate(k), v
            # queries of one group are rows of one attention, so that no cache is repeated
            q = self._rotate(q).view(batch, self.kv, self.heads // self.kv, self.width)
            seen = functional.scaled_dot_product_attention(q, cache[0], cache[1])
            x = x + seen.reshape(batch, hidden) @ weights["o"].t()
            gate, up = (self._norm(x) @ weights["up"].t()).chunk(2, dim=-1)
            x = x + (functional.silu(gate) * up) @ weights["down"].t()
        return (self._norm(x) @ self.head.t()).argmax(-1)


def transformer(report: Report, out: Path) -> None:
    """Decode steps, captured as a graph on a device so that launches are not what is timed."""
    device, torch, errors = _device(report, out), _torch(report), []
    small = {"hidden": 256, "layers": 2, "heads": 4, "kv": 2, "ffn": 512, "vocab": 512}
    large = {"hidden": 4096, "layers": 16, "heads": 32, "kv": 8, "ffn": 14336, "vocab": 128256}
    sizes = small if report.played else large
    decoder = None if torch is None else Decoder(torch, _where(report), **sizes)
    model = _shapes(sizes) if decoder is None else decoder.model()
    gap = 0.0 if decoder is None else _small_kernels(torch, decoder, report)
    for batch, context in LOADS[:2] if report.played else LOADS:
        step = tr.decode(device, model, tr.Plan(engine="ideal"), batch=batch, context=context)
        alone = step.time_s.item()
        predicted = alone + gap
        what = f"batch {batch}, context {context}"
        told = f"{alone:.4g} s by the probes, bound by {step.bound.item()}"
        report.say(f"predicted, {what}", predicted, "s", f"{told}; {gap:.3g} s of small kernels")
        if decoder is None:
            continue
        decoder.start(batch, 16 if report.played else context)
        call = decoder.step if report.played else _graph(torch, decoder.step)
        measured = _seconds(torch, call, report.played)
        errors.append(predicted / measured - 1.0)
        report.say(f"measured, {what}", measured, "s", f"predicted {errors[-1]:+.1%}")
    _told(report, errors, 0.8)


def _small_kernels(torch: Any, decoder: Decoder, report: Report) -> float:
    """Seconds of a step's kernels that multiply nothing: torch fuses none, each costs what a chain's does."""
    decoder.start(1, 64)
    with torch.profiler.profile(
        activities=[getattr(torch.profiler.ProfilerActivity, "CPU" if report.played else "CUDA")]
    ) as seen:
        decoder.step()
    if report.played:
        return 0.0
    names = [e.name for e in seen.events() if e.device_type == torch.profiler.DeviceType.CUDA]
    heavy = ("gemm", "gemv", "nvjet", "cutlass", "flash", "fmha", "attention", "splitk")
    small = [n for n in names if not any(part in n.lower() for part in heavy)]
    x = torch.ones(4096, device=_where(report), dtype=torch.bfloat16)

    def chain() -> None:
        for _ in range(400):
            x.add_(1.0)

    each = _seconds(torch, _graph(torch, chain), False) / 400
    report.say("small kernels of a step", len(small), "1", f"of {len(names)} in all")
    report.say("a small kernel of a chain", each, "s")
    return len(small) * each


def _shapes(sizes: dict[str, int]) -> tr.Model:
    return tr.Model(
        name="small", hidden=sizes["hidden"], vocab=sizes["vocab"], layers=sizes["layers"],
        heads=sizes["heads"], kv_heads=sizes["kv"], ffn=sizes["ffn"],
    )  # fmt: skip


def _graph(torch: Any, step: Callable[[], Any]) -> Callable[[], Any]:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay  # type: ignore[no-any-return]
