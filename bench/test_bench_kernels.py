"""Every kernel, by size: a row per instruction set, NumPy where it has an expression, the reference."""

import hashlib

import numpy as np
import pytest

from cases import loads, pool_paths, records
from inference import numpy_step
from mining import numpy_pools
from tokenroof import _core, kernels, mining, reference

BY_ISA = kernels.by_isa()
SIZES = (1, 1000, 1_000_000)
ELEMENTWISE = sorted(k for k, f in BY_ISA["generic"].items() if f.signature is None)
OPERATORS = sorted(k for k in BY_ISA["generic"] if k.endswith("_operator"))
STEPS = sorted(k for k in BY_ISA["generic"] if k.endswith(("_time", "_step")))
ACCEPTING = {
    "best_draft_length",
    "expected_tokens",
    "speculative_operations",
    "speculative_speedup",
}
NUMPY = {
    "attainable": lambda p, b, i: np.minimum(p, b * i),
    "ridge_point": lambda p, b: p / b,
    "time_bound": lambda w, q, p, b: np.maximum(w / p, q / b),
    "time_bound_link": lambda w, q, s, p, b, k: np.maximum(np.maximum(w / p, q / b), s / k),
    "energy": lambda w, q, f, m, c, t: w * f + q * m + c * t,
    "experts_touched": lambda t, e, k: -e * np.expm1(t * np.log1p(-k / e)),
    "expected_tokens": lambda a, k: -np.expm1((k + 1.0) * np.log(a)) / (1.0 - a),
    "capped_power": lambda p, c: (
        np.minimum(p, c) * (1.0 - 0.05612568731830647 * (np.minimum(p, c) / np.maximum(p, c)) ** 12)
    ),
    "send": lambda s, a, b: a + s / b,
    "block_probability": lambda h, d, t: -np.expm1(-t * h / (d * 2.0**32)),
    "miner_margin": lambda h, w, v, p, f, u: v * h / 1e15 * (1 - f) - w * u * 0.024 * p,
}


def _arrays(name, n):
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(2, 9, n) for _ in range(BY_ISA["generic"][name].nin)]
    if name == "experts_touched":
        arrays[1] += 200.0
    if name.startswith("double_spend"):
        arrays = [arrays[0] / 20.0, np.floor(arrays[1])]
    if name.startswith("selfish_mining"):
        arrays = [a / 20.0 for a in arrays]
    if name in ACCEPTING:
        arrays[0] = rng.uniform(0.3, 0.95, n)
    return arrays


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("isa", BY_ISA)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(benchmark, name, isa, n):
    benchmark.group = f"{name} n={n}"
    benchmark.name = isa
    arrays = _arrays(name, n)
    benchmark(BY_ISA[isa][name], *arrays, out=np.empty(n))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", sorted(NUMPY))
def test_numpy(benchmark, name, n):
    benchmark.group = f"{name} n={n}"
    benchmark.name = "numpy"
    benchmark(NUMPY[name], *_arrays(name, n))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_reference(benchmark, name):
    benchmark.group = f"{name} n=1000"
    benchmark.name = "reference"
    rows = list(zip(*(a.tolist() for a in _arrays(name, 1000)), strict=True))
    twin = getattr(reference, name)
    benchmark(lambda: [twin(*row) for row in rows])


def _step_loads(name, n):
    batch, context = loads(n)
    tokens, past, prompts = np.full(n, 512.0), np.full(n, 64.0), np.full(n, 2.0)
    kind = name.removesuffix("_time").removesuffix("_step")
    return {
        "decode": (batch, context), "prefill": (tokens, past), "prompts": (prompts, tokens, past),
        "mixed": (batch, context, tokens, past),
        "mixed_prompts": (batch, context, prompts, tokens, past),
    }[kind]  # fmt: skip


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("isa", BY_ISA)
@pytest.mark.parametrize("name", STEPS)
def test_steps(benchmark, name, isa, n):
    if name.endswith("_step"):
        n = min(n, 100_000)
    benchmark.group = f"{name} n={n}"
    benchmark.name = isa
    benchmark(BY_ISA[isa][name], *records(), *_step_loads(name, n))


@pytest.mark.parametrize("isa", BY_ISA)
def test_decode_time_of_fractional_batches(benchmark, isa):
    benchmark.group = "decode_time of fractional batches n=1000000"
    benchmark.name = isa
    benchmark(BY_ISA[isa]["decode_time"], *records(), *loads(1_000_000, whole=False))


@pytest.mark.parametrize("n", SIZES)
def test_decode_time_in_numpy(benchmark, n):
    benchmark.group = f"decode_time n={n}"
    benchmark.name = "numpy"
    prepared = numpy_step.coefficients(records())
    batch, context = loads(n)
    np.testing.assert_allclose(
        numpy_step.decode_time(prepared, batch, context),
        kernels.decode_time(*records(), batch, context), rtol=1e-12,
    )  # fmt: skip
    benchmark(numpy_step.decode_time, prepared, batch, context)


def test_decode_time_by_the_reference(benchmark):
    benchmark.group = "decode_time n=1"
    benchmark.name = "reference"
    fields = (_core.DEVICE_FIELDS, _core.CALIBRATION_FIELDS, _core.MODEL_FIELDS, _core.PLAN_FIELDS)
    named = [reference.unpack(f, v) for f, v in zip(fields, records(), strict=True)]
    benchmark(reference.decode_time, *named, 64.0, 4096.0)


@pytest.mark.parametrize("isa", BY_ISA)
@pytest.mark.parametrize("name", OPERATORS)
def test_operators(benchmark, name, isa):
    kernel = BY_ISA[isa][name]
    benchmark.group = f"{name} n=1000"
    benchmark.name = isa
    arguments = [np.full(1000, 2.0) for _ in range(kernel.nin - 2)]
    benchmark(kernel, *records()[:2], *arguments)


@pytest.mark.parametrize("n", [1, 1000, 100_000])
@pytest.mark.parametrize("isa", BY_ISA)
def test_sha256d(benchmark, isa, n):
    benchmark.group = f"sha256d n={n}"
    benchmark.name = isa
    headers = np.random.default_rng(0).integers(0, 256, (n, 80), dtype=np.uint8)
    benchmark(BY_ISA[isa]["sha256d"], headers)


@pytest.mark.parametrize("n", [1, 1000, 100_000])
def test_hashlib(benchmark, n):
    benchmark.group = f"sha256d n={n}"
    benchmark.name = "hashlib"
    headers = [bytes(80)] * n
    sha256 = hashlib.sha256
    benchmark(lambda: [sha256(sha256(h).digest()).digest() for h in headers])


@pytest.mark.parametrize("backend", _core.HASH_BACKENDS)
def test_scan(benchmark, backend):
    benchmark.group = "scan of 2**20 nonces, one thread"
    benchmark.name = backend
    benchmark(mining.scan, bytes(80), count=2**20, target=1, threads=1, backend=backend)


@pytest.mark.parametrize("isa", BY_ISA)
@pytest.mark.parametrize("scheme", ["solo", "pplns"])
def test_pool_paths(benchmark, scheme, isa):
    benchmark.group = f"10,000 paths of 30 blocks, {scheme}, one thread"
    benchmark.name = isa
    benchmark(pool_paths, getattr(numpy_pools, scheme.upper()), 10_000, isa)


@pytest.mark.parametrize("scheme", ["solo", "pplns"])
def test_pool_paths_in_numpy(benchmark, scheme):
    benchmark.group = f"10,000 paths of 30 blocks, {scheme}, one thread"
    benchmark.name = "numpy"
    rng = np.random.default_rng(0)
    model = getattr(numpy_pools, scheme.upper())
    benchmark(getattr(numpy_pools, scheme), rng, model, 10_000)


def _uses(rows, uses):
    """Value, slope, low and high of uses whose next MW earns less, or as much, and each row's power."""
    rng = np.random.default_rng(0)
    value, low = rng.uniform(1.0, 1e6, (rows, uses)), rng.uniform(0.0, 5.0, (rows, uses))
    slope = np.where(rng.random((rows, uses)) < 0.5, 0.0, rng.uniform(1.0, 1e3, (rows, uses)))
    return value, slope, low, low + rng.uniform(0.0, 100.0, (rows, uses)), low.sum(1) + 200.0


@pytest.mark.parametrize("rows", [1, 1000, 100_000])
def test_power_split(benchmark, rows):
    """Splits of a site's power over five tiers."""
    benchmark.group = f"power_split n={rows}"
    benchmark.name = "kernel"
    *given, power = (part.ravel() for part in _uses(rows, 5))
    x, worth = np.empty(5 * rows), np.empty(rows)
    benchmark(_core.split_power, 5, *given, power, x, worth)


def test_power_split_reference(benchmark):
    benchmark.group = "power_split n=1000"
    benchmark.name = "reference"
    *given, power = (part.tolist() for part in _uses(1000, 5))
    rows = list(zip(*given, power, strict=True))
    benchmark(lambda: [reference.power_split(*row) for row in rows])


def test_power_split_numpy(benchmark):
    """Bisection of the price over all rows at once: 60 halvings."""
    benchmark.group = "power_split n=1000"
    benchmark.name = "numpy"
    value, slope, low, high, power = _uses(1000, 5)
    slope = np.maximum(slope, 1e-9)

    def split():
        least, most = np.zeros(len(power)), value.max(1)
        for _ in range(60):
            price = 0.5 * (least + most)
            x = np.clip((value - price[:, None]) / slope, low, high)
            over = x.sum(1) > power
            least, most = np.where(over, price, least), np.where(over, most, price)
        return x

    benchmark(split)
