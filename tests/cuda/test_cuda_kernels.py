"""Device code of every kernel, run on the CPU (tests/cuda/shim), against the CPU's own ufuncs."""

import numpy as np
import pytest
from _shim import in_place_of_the_real_one, on_device, shim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tokenroof as tr
from _support import (
    BY_ISA,
    ELEMENTWISE,
    OPERATORS,
    STEPS,
    calibrations,
    devices,
    in_domain,
    loads,
    models,
    plans,
    records,
    same,
)
from tokenroof import _core, cuda, kernels
from tokenroof.records.calibration import Calibration

quick = settings(suppress_health_check=list(HealthCheck))
RECORDS = records(tr.device("H100-SXM"), Calibration.ideal(), tr.model("Qwen3-235B-A22B"),
                  tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8"))  # fmt: skip


@pytest.fixture(autouse=True)
def module(monkeypatch):
    return in_place_of_the_real_one(monkeypatch)


def on_host(result):
    return result.get() if isinstance(result, cuda.Array) else result


def both(name, *inputs, **more):
    """(device, host) results of the same arrays, in memory of the same strides."""
    given = [on_device(x) if isinstance(x, np.ndarray) else x for x in inputs]
    with np.errstate(all="ignore"):
        want = getattr(kernels, name)(*inputs, **more)
    return on_host(getattr(cuda, name)(*given, **more)), want


def strided(rng, shape, dtype, kind):
    """Numbers in memory that is contiguous, turned, spread out or reversed."""
    x = rng.uniform(0.1, 4.0, shape).astype(dtype)
    if kind == "turned":
        return np.asfortranarray(x)
    if kind == "spread":
        big = np.zeros(tuple(2 * n for n in shape), dtype)
        big[tuple(slice(None, None, 2) for _ in shape)] = x
        return big[tuple(slice(None, None, 2) for _ in shape)]
    if kind == "reversed":
        return x[tuple(slice(None, None, -1) for _ in shape)]
    return x


def test_every_entry_of_the_list_is_there(module):
    for name, function in BY_ISA["generic"].items():
        for kind in {t[0] for t in function.types}:
            suffix = {"f": "float32", "d": "float64", "B": "uint8"}[kind]
            assert f"{name}_{suffix}" in module.KERNELS
        assert name in cuda.__all__ and getattr(cuda, name).nin == function.nin
    assert len(module.KERNELS) == 1 + sum(len(f.types) for f in BY_ISA["generic"].values())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_bit_for_bit(name, dtype):
    rng = np.random.default_rng(len(name))
    nin = BY_ISA["generic"][name].nin
    shapes = [(3, 1, 5), (4, 1), (5,), (3, 4, 5), (), (1, 4, 5)]
    kinds = ["contiguous", "turned", "spread", "reversed"]
    arrays = [strided(rng, shapes[i], dtype, kinds[i % 4]) for i in range(nin)]
    got, want = both(name, *in_domain(name, arrays))
    assert got.dtype == want.dtype == dtype and same(got, want)
    most = float(np.finfo(dtype).max)
    odd = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, -1.0, 1 / most, most, 0.5, 2.0, 7.0], dtype)
    grid = np.meshgrid(*[odd] * min(nin, 3), indexing="ij", sparse=True)
    arrays = [grid[i % len(grid)] for i in range(nin)]
    got, want = both(name, *arrays)
    assert same(got, want)
    assert np.array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(want[~np.isnan(want)]))


@quick
@given(data=st.data())
def test_strides_and_broadcasting(data):
    """Any shapes that broadcast, any axes turned or reversed, numbers among the inputs, with and without out."""
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=5, max_side=4, min_side=0)
    )
    dtypes = data.draw(st.lists(st.sampled_from("?bBhHiIqQefd"), min_size=3, max_size=3))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    inputs = []
    for shape, kind in zip(shapes.input_shapes, dtypes, strict=True):
        order = data.draw(st.permutations(range(len(shape))))
        x = rng.uniform(0, 100, tuple(shape[i] for i in order)).astype(kind)
        turns = tuple(slice(None, None, data.draw(st.sampled_from([1, -1]))) for _ in shape)
        inputs.append(
            x.transpose(np.argsort(order))[(*turns, ...)]
        )  # an array also where it has no axes
    if data.draw(st.booleans()):
        i = data.draw(st.integers(0, 2))
        inputs[i] = data.draw(
            st.sampled_from([3, 2.5, True, np.float32(1.5), np.int16(7), np.float64(0.25)])
        )
    got, want = both("time_bound_capped", *inputs)
    assert got.shape == np.shape(want) and got.dtype == np.asarray(want).dtype and same(got, want)
    given = [on_device(x) if isinstance(x, np.ndarray) else x for x in inputs]
    for kind in "efd":  # results are narrowed or widened into it, and repeated along further axes
        out = np.full((*np.shape(want)[::-1], 2), -1.0, kind).T
        host = out.copy()
        shown = on_device(out)
        assert cuda.time_bound_capped(*given, out=shown) is shown
        with np.errstate(all="ignore"):
            kernels.time_bound_capped(*inputs, out=host)
        assert same(out, host)


@quick
@given(devices(), calibrations(), models(), plans(), st.data())
@pytest.mark.parametrize("name", STEPS)
def test_steps_bit_for_bit(name, device, calibration, model, plan, data):
    packed = records(device, calibration, model, plan)
    kinds = loads(name)
    arrays = [np.array(data.draw(st.lists(s, min_size=3, max_size=3))) for s in kinds]
    arrays[0] = arrays[0][:, None]
    got, want = both(name, *packed, *arrays)
    assert same(got, want)


@quick
@given(
    devices(),
    calibrations(),
    models(),
    plans(),
    st.floats(0.1, 1e4),
    st.floats(1, 1e5),
    st.floats(1, 1e4),
)
def test_serving_bit_for_bit(device, calibration, model, plan, concurrency, tokens, answers):
    packed = records(device, calibration, model, plan)
    load = [np.array([concurrency, 0.0, np.nan, 4.0])[:, None], np.array([tokens, 1024.0]), answers]
    for name in ("serving", "serving_terms"):
        got, want = both(name, *packed, *load)
        assert same(got, want)
    terms = kernels.serving_terms(*packed, *load)
    got, want = both("serving_of_terms", packed[1], terms, load[0], answers)
    assert same(got, want)
    got, want = both(
        "memory_required", packed[2], packed[3], load[1][:, None], np.array([1.0, 5e3])
    )
    assert same(got, want)
    pools = np.random.default_rng(2).uniform(0.0, 9.0, (7, len(kernels.SYSTEM_TERMS))) * [
        [1.0],
        [0.0],
        [1e3],
        [1.0],
        [9.0],
        [1e-3],
        [1.0],
    ]
    got, want = both("serving_system", pools, np.array([1.0, 0.0, 200.0, 3.0, 9.0, 1.0, 50.0]))
    assert same(got, want)
    uses = np.random.default_rng(1).uniform(-0.1, 1.0, (6, 7))
    got, want = both("board_power", packed[0], packed[1], *uses)
    assert same(got, want)


def _arguments(name, rng, n):
    nin = BY_ISA["generic"][name].nin - 2
    return [rng.choice([0.0, 1.0, 2.0, 4.0, 8.0, 33.0, 128.0, 4096.0], n) for _ in range(nin)]


@quick
@given(devices(), calibrations(), st.integers(0, 999))
@pytest.mark.parametrize("name", OPERATORS)
def test_operators_bit_for_bit(name, device, calibration, seed):
    rng = np.random.default_rng(seed)
    arguments = _arguments(name, rng, 8)
    got, want = both(name, device.pack(), calibration.pack(), *arguments)
    assert same(got, want)


def test_decode_by_table_and_the_long_way():
    """Whole counts are looked up, all others worked out: the same bits, for every combination of records."""
    all_devices = np.stack([tr.device(n).pack() for n in ("H100-SXM", "H200-SXM", "B200-SXM")])
    all_plans = np.stack([tr.Plan(tp=t, moe_ep=t, weights="fp8").pack() for t in (4, 8)])
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 9000, 6000).astype(float)  # beyond the table's end too
    batch[::7] += 0.5
    batch[::11] = [-1.0, np.nan, np.inf, -0.0, 1e300, 8191.0, 8192.0][3]
    batch[:7] = [-1.0, np.nan, np.inf, -0.0, 1e300, 8191.0, 8192.0]
    context = rng.uniform(-1.0, 1e5, 6000)
    got, want = both("decode_time", all_devices[:, None, None], RECORDS[1], RECORDS[2], all_plans[:, None],
                     batch, context)  # fmt: skip
    assert got.shape == (3, 2, 6000) and same(got, want)
    # records along the fastest axis, so that elements of one combination lie far apart
    got, want = both(
        "decode_time", all_devices, RECORDS[1], RECORDS[2], RECORDS[3], batch[:, None], 4096.0
    )
    assert got.shape == (6000, 3) and same(got, want)
    long = np.resize(batch, 40_000)  # enough for the longest table
    got, want = both("decode_time", *RECORDS, long, 4096.0)
    assert same(got, want)
    got, want = both("decode_time", *RECORDS, 64.0, np.repeat(context, 2))  # one batch is no table
    assert same(got, want)


def test_more_records_than_are_prepared_at_once(module):
    rng = np.random.default_rng(0)
    several = np.tile(RECORDS[0], (10_000, 1))
    several[:, 0] *= rng.uniform(0.5, 2.0, 10_000)
    got, want = both("prefill_time", several, *RECORDS[1:], 512.0, 0.0)
    assert same(got, want)
    assert module.shim.calls()["launch"] >= 4 and module.shim.used(0) < 1 << 20


def test_records_with_gaps_and_other_types():
    spread = np.zeros((2, 2 * len(RECORDS[0])))
    spread[:, ::2] = RECORDS[0]
    turned = np.asfortranarray(np.stack([RECORDS[2]] * 2))
    got, want = both("decode_step", spread[:, ::2], RECORDS[1], turned[:, ::1], RECORDS[3].astype(np.float32),
                     np.array([1, 2], np.int64), 100)  # fmt: skip
    assert same(got, want)
    acceptances = np.random.default_rng(3).uniform(-0.01, 1, (4, 6))
    for k in (0, 1, 6):
        got, want = both("expected_tokens_by_position", acceptances[:, :k])
        assert same(got, want)
        got, want = both("expected_tokens_by_position", acceptances[::-1, :k][:, ::-1])
        assert same(got, want)


def test_double_sha256():
    headers = np.random.default_rng(0).integers(0, 256, (5, 3, 81), dtype=np.uint8)
    for x in (headers[..., :80], headers[..., 1:], headers[::-1, :, :80], headers[..., 79::-1]):
        got, want = both("sha256d", x)
        assert np.array_equal(got, want)
    out = np.zeros((5, 3, 64), np.uint8)
    cuda.sha256d(on_device(headers[..., :80]), out=on_device(out[..., ::2]))
    assert (
        np.array_equal(out[..., ::2], kernels.sha256d(headers[..., :80]))
        and not out[..., 1::2].any()
    )
    with pytest.raises(TypeError):
        cuda.sha256d(on_device(headers[..., :80].astype(float)))


def test_in_place_and_overlapping_outputs():
    x = np.linspace(1.0, 2.0, 12)
    want = kernels.ridge_point(x.copy(), 3.0)
    cuda.ridge_point(on_device(x), 3.0, out=on_device(x))
    assert same(x, want)
    for shift in (slice(1, None), slice(None, -1)):
        other = slice(None, -1) if shift.start else slice(1, None)
        x = np.linspace(1.0, 2.0, 12)
        want = kernels.ridge_point(x[shift].copy(), 3.0)
        cuda.ridge_point(on_device(x[shift]), 3.0, out=on_device(x[other]))
        assert same(x[other], want)
    x = np.linspace(1.0, 2.0, 12)
    want = kernels.ridge_point(x.copy(), 3.0)
    cuda.ridge_point(on_device(x), 3.0, out=on_device(x[::-1]))
    assert same(x[::-1], want)


@pytest.mark.parametrize("wanted", [np.float32, np.float64])
def test_the_type_can_be_chosen(wanted):
    x = np.linspace(1.0, 2.0, 5, dtype=np.float32)
    got, want = both("ridge_point", x, x[::-1], dtype=wanted)
    assert got.dtype == wanted and same(got, want)


# --- how a call is cut into launches ---------------------------------------------------------------


@quick
@given(st.data())
def test_pieces_reach_every_element_once(data):
    shape = data.draw(
        st.lists(st.integers(1, 2), max_size=11) | st.lists(st.integers(1, 5), max_size=5)
    )
    step = data.draw(st.sampled_from([8, 24]))
    order = data.draw(st.permutations(range(len(shape))))
    strides = [0] * len(shape)
    for axis in reversed(order):
        strides[axis], step = step * data.draw(st.sampled_from([1, -1])), step * shape[axis]
    first = [data.draw(st.sampled_from([0, s, -2 * s])) for s in strides]
    records = data.draw(st.integers(0, 1))
    found = []
    for count, inner, axes, sizes, _, offsets in shim().shim.pieces(
        shape, [first, strides], records
    ):
        assert count == len(offsets) and len(sizes) <= 8 and count % inner == 0
        assert np.prod(sizes[axes:], dtype=int) == inner
        if records:  # elements with the same record lie together
            for start in range(0, count, inner):
                assert len({offset for offset, _ in offsets[start : start + inner]}) == 1
        found += offsets
    index = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((0, 1), int)
    want = list(zip(np.array(first, int) @ index, np.array(strides, int) @ index, strict=True))
    assert sorted(found) == sorted((int(a), int(b)) for a, b in want)


def test_pieces_of_large_calls_have_32_bit_indices():
    pieces = shim().shim.pieces
    for shape in ([2**31 + 5], [3, 2**30 + 7], [2**20, 2**13, 3]):
        out = [8 * int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
        cut = pieces(shape, [out, out], 0)
        assert sum(p[0] for p in cut) == np.prod(shape) and max(p[0] for p in cut) <= 2**30
        starts = np.cumsum([0, *(p[0] for p in cut)])[:-1]
        assert [p[4] for p in cut] == [8 * int(s) for s in starts]
    # records stay apart from loads
    cut = pieces([3, 2**30], [[144, 0], [8 * 2**30, 8]], 1)
    assert [(p[0], p[1]) for p in cut] == [(2**30, 2**30)] * 3


@quick
@given(st.integers(0, 2**31 - 1), st.integers(1, 2**30))
def test_division_by_multiplication(n, d):
    divide = shim().shim.divide
    assert divide(n, d) == n // d
    assert divide(n - n % d, d) == n // d


def test_half_precision():
    every = np.arange(2**16, dtype=np.uint16)
    got = np.array([shim().shim.from_half(int(h)) for h in every])
    assert same(got, every.view(np.float16).astype(np.float64))
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-1, 1, 3000) * 2.0 ** rng.integers(-30, 18, 3000),
                        [0.0, -0.0, np.inf, -np.inf, np.nan, 65519.9, 65520.0, 2.0**-25, 3 * 2.0**-25, 5e-324]])  # fmt: skip
    # halves between two neighbours go to the even one
    pairs = every[:0x7BFF].view(np.float16).astype(float)
    x = np.concatenate([x, (pairs + np.roll(pairs, -1))[:-1:7] / 2])
    with np.errstate(over="ignore"):
        want = x.astype(np.float16)
    got = np.array([shim().shim.half(v) for v in x], np.uint16).view(np.float16)
    assert same(got, want) and np.array_equal(
        np.signbit(got), np.signbit(want) & ~np.isnan(want) | np.signbit(x) & np.isnan(x)
    )


def test_fields_are_those_of_the_cpu():
    assert cuda.decode_step(*map(on_device, RECORDS), 1.0, 1.0).shape == (len(_core.STEP_FIELDS),)
