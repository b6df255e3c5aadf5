"""The loops of an ARM processor, emulated, against this one's: bit for bit."""

import platform
import re
import shutil
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from _support import BY_ISA, ELEMENTWISE, OPERATORS, STEPS, in_domain, records, same
from tokenroof.inference.door import deployment

CPP = Path(__file__).parents[2] / "cpp"
GCC = "aarch64-linux-gnu-g++"
RUN = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
SOURCES = ("loops", "steps", "fields", "operators", "records")

pytestmark = pytest.mark.skipif(
    not (shutil.which(GCC) and RUN) or platform.machine() == "aarch64",
    reason=f"no {GCC} or qemu-aarch64 here, or no other processor: compiles the loops for ARM and runs them emulated",
)


@pytest.fixture(scope="module")
def player(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arm")
    flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-fno-trapping-math", "-fno-math-errno", "-Wno-psabi",
             "-DTR_ISA=generic", "-DTR_LANES=4", f"-I{CPP}/include", f"-I{CPP}", f"-I{CPP}/loops"]  # fmt: skip

    def compiled(source: Path) -> str:
        target = folder / f"{source.stem}.o"
        subprocess.run([GCC, *flags, "-c", source, "-o", target], check=True, timeout=600)
        return str(target)

    sources = [CPP / "loops" / f"{name}.cpp" for name in SOURCES]
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, [*sources, Path(__file__).parent / "arm" / "player.cpp"]))
    program = folder / "player"
    subprocess.run([GCC, "-static", *objects, "-o", program], check=True, timeout=300)
    return program


def _written(kernel, arrays):
    """One call as tests/kernels/arm/player.cpp reads it."""
    signature = kernel.signature or ",".join(["()"] * kernel.nin) + "->()"
    cores = [part.strip("()") for part in re.findall(r"\([^)]*\)", signature)]
    lengths = list(dict.fromkeys(core for core in cores if core))
    size, width = arrays[-1].size, arrays[-1].itemsize
    out = struct.pack("<64s4q", kernel.__name__.encode(), len(cores), len(lengths), width, size)
    out += struct.pack(f"<{len(lengths)}q", *map(int, lengths))
    for core, array in zip(cores, [*arrays, None], strict=True):
        out += struct.pack("<q", int(core) if core else -1)
        if array is not None:
            shape = (size, int(core)) if core else (size,)
            out += np.ascontiguousarray(np.broadcast_to(array, shape)).tobytes()
    return out, size * (int(cores[-1]) if cores[-1] else 1)


def _plans():
    """Records of a dense model and of a mixture, on devices measured and ideal."""
    for device, model, plan in (
        ("H200-SXM", "Qwen3-235B-A22B", tr.Plan(tp=8, moe_ep=8)),
        ("B200", "Llama-3.3-70B", tr.Plan(tp=2)),
    ):
        made = deployment(device, model, plan)
        yield records(made.device, made.calibration, made.model, made.plan)


def _calls():
    random = np.random.default_rng(5)
    for name in ELEMENTWISE:
        kernel = BY_ISA["generic"][name]
        for dtype in (np.float64, np.float32):
            arrays = [np.exp(random.uniform(-3, 3, 300)).astype(dtype) for _ in range(kernel.nin)]
            yield kernel, in_domain(name, arrays)
    for held in _plans():
        device, calibration, *_ = held
        for name in STEPS:
            kernel = BY_ISA["generic"][name]
            load = [np.floor(np.exp(random.uniform(0, 6, 40))) for _ in range(kernel.nin - 4)]
            yield kernel, [*held, *load]
        for name in OPERATORS:
            kernel = BY_ISA["generic"][name]
            load = [np.floor(np.exp(random.uniform(0, 6, 40))) for _ in range(kernel.nin - 2)]
            yield kernel, [device, calibration, *load]


def test_every_loop_gives_the_same_bits(player, tmp_path):
    calls = list(_calls())
    written = [_written(kernel, arrays) for kernel, arrays in calls]
    (tmp_path / "calls").write_bytes(b"".join(call for call, _ in written))
    got = subprocess.run(
        [RUN, player, tmp_path / "calls"], capture_output=True, check=True, timeout=600
    ).stdout
    start, finite, total = 0, 0, 0
    for (kernel, arrays), (_, elements) in zip(calls, written, strict=True):
        with np.errstate(all="ignore"):
            want = kernel(*arrays)
        there = np.frombuffer(got, want.dtype, elements, start).reshape(want.shape)
        start += there.nbytes
        assert same(there, want), kernel.__name__
        finite, total = finite + int(np.isfinite(want).sum()), total + want.size
    assert start == len(got)
    assert finite > 0.8 * total > 40_000
