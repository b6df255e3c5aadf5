"""Kernels as others' objects meet them: NumPy's protocol, pandas, polars, xarray, Dask, pickle."""

import concurrent.futures
import inspect
import multiprocessing
import pickle

import numpy as np
import pytest

import tokenroof as tr
from _support import BY_ISA, ELEMENTWISE, in_domain, records
from tokenroof import kernels
from tokenroof.records.calibration import Calibration

RECORDS = records(tr.device("H100-SXM"), Calibration.ideal(), tr.model("Llama-3.1-8B"), tr.Plan())
HEADERS = np.random.default_rng(0).integers(0, 256, (3, 4, 80), dtype=np.uint8)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_broadcast_out_where_dtype(name):
    kernel = getattr(kernels, name)
    assert isinstance(kernel, np.ufunc)
    rng = np.random.default_rng(1)
    arrays = [
        rng.uniform(8, 9, (4, 1)) if i % 2 else rng.uniform(2, 3, 5) for i in range(kernel.nin)
    ]
    arrays = in_domain(name, arrays)
    if "acceptance" in inspect.signature(kernel).parameters:
        arrays[0] = arrays[0] - 2.0
    want = kernel(*arrays)
    assert want.shape == np.broadcast_shapes(*(a.shape for a in arrays))
    out = np.full(want.shape, -1.0)
    assert kernel(*arrays, out=out) is out
    assert np.array_equal(out, want)
    mask = rng.random(want.shape) < 0.5
    partial = kernel(*arrays, out=np.full(want.shape, -1.0), where=mask)
    assert np.array_equal(partial, np.where(mask, want, -1.0))
    assert kernel(*arrays, dtype=np.float32).dtype == np.float32
    assert kernel(*(a.astype(np.float32) for a in arrays)).dtype == np.float32
    assert kernel(*(a.astype(int) for a in arrays)).dtype == np.float64
    with pytest.raises(TypeError):
        kernel(*(a.astype(complex) for a in arrays))
    with pytest.raises(TypeError):
        kernel(*arrays, no_such_argument=1)


def test_gufuncs_broadcast_records():
    devices = np.stack([tr.device(n).pack() for n in ("H100-SXM", "H200-SXM", "A100-SXM-80GB")])
    plans = np.stack([tr.Plan(tp=t).pack() for t in (1, 2)])
    got = kernels.decode_time(
        devices[:, None, None],
        RECORDS[1],
        RECORDS[2],
        plans[None, :, None],
        [1.0, 8.0, 64.0, 256.0],
        512.0,
    )
    assert got.shape == (3, 2, 4)
    one = kernels.decode_time(devices[1], RECORDS[1], RECORDS[2], plans[1], 64.0, 512.0)
    assert got[1, 1, 2] == one
    steps = kernels.decode_step(devices[:, None], *RECORDS[1:], [1.0, 2.0], 9.0)
    assert steps.shape == (3, 2, len(kernels.STEP_FIELDS))
    moved = kernels.decode_step(devices.T, *RECORDS[1:], 1.0, 9.0, axes=[0, 0, 0, 0, (), (), 0])
    assert np.array_equal(moved.T, kernels.decode_step(devices, *RECORDS[1:], 1.0, 9.0))
    with pytest.raises(ValueError, match="core dimension"):
        kernels.decode_time(devices[0, :-1], *RECORDS[1:], 1.0, 1.0)


def test_sha256d_shapes_and_types():
    got = kernels.sha256d(HEADERS)
    assert got.shape == (3, 4, 32) and got.dtype == np.uint8
    turned = np.ascontiguousarray(HEADERS.transpose(2, 0, 1))
    assert np.array_equal(kernels.sha256d(turned, axes=[0, -1]), got)
    with pytest.raises(ValueError, match="core dimension"):
        kernels.sha256d(HEADERS[..., :79])
    with pytest.raises(TypeError):
        kernels.sha256d(HEADERS.astype(float))


def _apply(name, *arrays):
    return getattr(kernels, name)(*arrays)


def test_pickle_and_processes():
    for name in BY_ISA["generic"]:
        kernel = getattr(kernels, name)
        assert pickle.loads(pickle.dumps(kernel)) is kernel
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(_apply, "ridge_point", 6.0, 3.0).result(timeout=60) == 2.0


def test_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"peak": [1e15, 2e15], "bw": [1e12, np.nan]}, index=["a", "b"])
    got = kernels.ridge_point(frame["peak"], frame["bw"])
    assert isinstance(got, pd.Series) and list(got.index) == ["a", "b"]
    assert got["a"] == 1000.0 and np.isnan(got["b"])
    shuffled = kernels.ridge_point(frame["peak"], frame["bw"].iloc[::-1])
    assert shuffled["a"] == 1000.0
    nullable = kernels.ridge_point(pd.array([1.0, None], dtype="Float64"), 2.0)
    assert nullable[0] == 0.5 and nullable[1] is pd.NA
    whole = kernels.attainable(1e15, 1e12, frame)
    assert isinstance(whole, pd.DataFrame)


def test_polars():
    pl = pytest.importorskip("polars")
    got = kernels.ridge_point(pl.Series([1.0, None, 9.0]), 2.0)
    assert got.to_list() == [0.5, None, 4.5]


def test_xarray():
    xr = pytest.importorskip("xarray")
    peak = xr.DataArray([1.0, 2.0], dims="device", attrs={"units": "FLOP/s"})
    bandwidth = xr.DataArray([1.0, 4.0, 8.0], dims="memory")
    got = kernels.ridge_point(peak, bandwidth)
    assert got.sizes == {"device": 2, "memory": 3} and float(got[1, 1]) == 0.5
    batch = xr.DataArray([1.0, 8.0], dims="batch")
    times = xr.apply_ufunc(lambda b: kernels.decode_time(*RECORDS, b, 100.0), batch)
    assert times.dims == ("batch",)


def test_dask():
    da = pytest.importorskip("dask.array")
    batch = da.arange(1.0, 101.0, chunks=30)
    lazy = kernels.ridge_point(batch, 2.0)
    assert isinstance(lazy, da.Array)
    assert np.array_equal(lazy.compute(), np.arange(1.0, 101.0) / 2.0)
    times = da.apply_gufunc(
        lambda b: kernels.decode_time(*RECORDS, b, 100.0), "()->()", batch, output_dtypes=float
    )
    assert np.array_equal(
        times.compute(), kernels.decode_time(*RECORDS, np.arange(1.0, 101.0), 100.0)
    )
    digests = da.apply_gufunc(
        kernels.sha256d, "(i)->(o)", da.from_array(HEADERS[0], chunks=(2, 80)),
        output_dtypes=np.uint8, output_sizes={"o": 32},
    )  # fmt: skip
    assert np.array_equal(digests.compute(), kernels.sha256d(HEADERS[0]))


def test_masked_arrays():
    got = kernels.ridge_point(np.ma.masked_array([4.0, 6.0], mask=[False, True]), 2.0)
    assert got[0] == 2.0 and got.mask.tolist() == [False, True]
