"""Labels and masks: kept by kernels as NumPy's ufuncs keep them, by analysis functions by label, or refused."""

import inspect

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.economics import unit_costs
from tokenroof.support.labels import kind_of

ASK = ("H200-SXM", "Llama-3.1-8B")
# functions over arrays: what they take, beside good numbers of each argument
FUNCTIONS = {
    tr.mining.hashprice: {"difficulty": [1e14, 2e14, 3e14], "price": [1e5, 9e4, 8e4], "fees_btc": [0.1, 0.0, 0.2]},
    tr.mining.expected_time_to_block: {"hashrate": [1e14, 2e14, 3e14], "difficulty": [1e14, 2e14, 1e13]},
    tr.mining.block_probability: {"hashrate": [1e18, 2e18, 3e18], "difficulty": [1e14, 1e13, 1e12], "seconds": [600.0, 60.0, 6e3]},
    tr.mining.time_to_block_quantile: {"hashrate": [1e14, 2e14, 3e14], "difficulty": [1e14, 2e14, 1e13], "probability": [0.1, 0.5, 0.9]},
    tr.mining.network_hashrate: {"difficulty": [1e14, 2e14, 3e14], "block_seconds": [600.0, 500.0, 700.0]},
    tr.mining.margin_per_day: {"miner": "Antminer S21", "hashprice": [50.0, 60.0, 70.0], "power_price_per_kwh": [0.05, 0.06, 0.07], "fee": [0.01, 0.02, 0.0]},
    tr.mining.break_even_power_price: {"miner": "Antminer S21", "hashprice": [50.0, 60.0, 70.0], "fee": [0.01, 0.02, 0.0]},
    tr.mining.shutdown_hashprice: {"miner": "Antminer S21", "power_price_per_kwh": [0.05, 0.06, 0.07], "pue": [1.0, 1.1, 1.2]},
    tr.mining.double_spend_probability: {"q": [0.1, 0.2, 0.3], "confirmations": [6, 1, 2]},
    tr.mining.confirmations_needed: {"q": [0.1, 0.2, 0.3], "risk": [1e-3, 1e-2, 1e-1]},
    tr.mining.selfish_mining_revenue: {"alpha": [0.1, 0.2, 0.3], "gamma": [0.0, 0.5, 1.0]},
    tr.mining.selfish_mining_threshold: {"gamma": [0.0, 0.5, 1.0]},
    unit_costs.cost_per_mtok: {"tokens_per_s": [1e3, 2e3, 3e3], "watts": [700.0, 1000.0, 300.0], "price_per_kwh": [0.05, 0.06, 0.07]},
}  # fmt: skip
each = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)


def arrays_of(function):
    given = FUNCTIONS[function]
    arrays = {name: np.array(value) for name, value in given.items() if isinstance(value, list)}
    rest = {name: value for name, value in given.items() if name not in arrays}
    return arrays, rest, np.asarray(function(**arrays, **rest))


@each
def test_masks_are_kept_and_what_is_behind_them_is_never_read(function):
    arrays, rest, want = arrays_of(function)
    for i, name in enumerate(arrays):
        behind = arrays[name].astype(float)
        behind[i % 3] = np.nan
        masked = np.ma.masked_array(behind, mask=np.arange(3) == i % 3)
        got = function(**arrays | {name: masked}, **rest)
        assert isinstance(got, np.ma.MaskedArray)
        assert got.mask.tolist() == [j == i % 3 for j in range(3)]
        assert np.array_equal(got.compressed(), np.delete(want, i % 3))
    none = {n: np.ma.masked_all(3) for n in arrays}
    assert function(**none, **rest).mask.all()
    mask = [[True, False, False], [False, False, True], [False, False, False]]
    two = {n: np.ma.masked_array(a, m) for (n, a), m in zip(arrays.items(), mask, strict=False)}
    joined = np.any([m for _, m in zip(arrays, mask, strict=False)], axis=0)
    assert function(**two, **rest).mask.tolist() == joined.tolist()


@each
def test_series_are_matched_by_label(function):
    pd = pytest.importorskip("pandas")
    arrays, rest, want = arrays_of(function)
    days = ["mon", "tue", "wed"]
    series = {name: pd.Series(value, days) for name, value in arrays.items()}
    last = list(series)[-1]
    series[last] = series[last].iloc[::-1]
    got = function(**series, **rest)
    assert isinstance(got, pd.Series)
    assert np.array_equal(got.loc[days].to_numpy(), want)
    frame = function(**{n: pd.DataFrame({"a": v, "b": v}, days) for n, v in arrays.items()}, **rest)
    assert np.array_equal(frame["b"].to_numpy(), want) and list(frame.index) == days
    if len(series) > 1:
        other = series | {last: series[last].rename({"mon": "sun"})}
        with pytest.raises(ValueError, match=f"{last} has another index than"):
            function(**other, **rest)


@each
def test_xarray_is_matched_by_dimension(function):
    xr = pytest.importorskip("xarray")
    arrays, rest, want = arrays_of(function)
    same = {n: xr.DataArray(v, {"day": ["mon", "tue", "wed"]}, "day") for n, v in arrays.items()}
    got = function(**same, **rest)
    assert isinstance(got, xr.DataArray) and got.dims == ("day",)
    assert np.array_equal(got, want) and got.day.values.tolist() == ["mon", "tue", "wed"]
    apart = {n: xr.DataArray(v, dims=n) for n, v in arrays.items()}
    whole = function(**apart, **rest)
    assert whole.dims == tuple(arrays)
    assert np.array_equal(whole.isel(dict.fromkeys(arrays, 1)), want[1])
    if len(arrays) > 1:
        last = list(arrays)[-1]
        with pytest.raises(ValueError, match="do not align"):
            function(**same | {last: same[last].assign_coords(day=["sun", "tue", "wed"])}, **rest)


@each
def test_dask_and_mixtures_are_refused_by_name(function):
    da, pd, xr = (pytest.importorskip(n) for n in ("dask.array", "pandas", "xarray"))
    arrays, rest, _ = arrays_of(function)
    name = next(iter(arrays))
    lazy = da.from_array(arrays[name])
    for value in (lazy, xr.DataArray(lazy)):
        with pytest.raises(TypeError, match=f"^{name} is a Dask array; allowed"):
            function(**arrays | {name: value}, **rest)
    with pytest.raises(TypeError, match=f"^{name} is a Dataset; allowed"):
        function(**arrays | {name: xr.Dataset()}, **rest)
    if len(arrays) > 1:
        mixed = {n: pd.Series(v) for n, v in arrays.items()} | {name: xr.DataArray(arrays[name])}
        with pytest.raises(TypeError, match="labelled arrays are"):
            function(**mixed, **rest)


def _decode(batch, context):
    return tr.decode(*ASK, batch=batch, context=context)


def _prefill(batch, context):
    return tr.prefill(*ASK, batch=batch, tokens=context, past=10)


def _mixed(batch, context):
    return tr.mixed(*ASK, batch=batch, context=context, tokens=64)


@pytest.mark.parametrize("step", [_decode, _prefill, _mixed])
def test_steps_keep_labels_and_masks(step):
    pd, xr = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    batch, context = np.array([1.0, 8.0, 64.0]), np.array([512.0, 1024.0, 2048.0])
    plain, labels = step(batch, context), ["a", "b", "c"]
    series = step(pd.Series(batch, labels), pd.Series(context, labels).iloc[::-1])
    frame = step(xr.DataArray(batch, {"b": labels}, "b"), xr.DataArray(context, dims="c"))
    masked = step(np.ma.masked_array(batch, [False, True, False]), context)
    for name in ("time_s", "tokens_per_s", "watts", "flops", "bytes", "bound", "fits"):
        want = getattr(plain, name)
        got = getattr(series, name)
        assert isinstance(got, pd.Series) and list(got.index) == labels
        assert np.array_equal(got.to_numpy(), want)
        whole = getattr(frame, name)
        assert whole.dims == ("b", "c") and whole.b.values.tolist() == labels
        assert np.array_equal(np.diagonal(whole), want)
        hidden = getattr(masked, name)
        assert hidden.mask.tolist() == [False, True, False]
        assert np.array_equal(hidden.compressed(), want[[0, 2]])
    for parts in (series.breakdown(), frame.breakdown()):
        total = sum(parts["cause"].values())
        assert type(total) in (pd.Series, xr.DataArray)
    assert "shape" in repr(series)
    with pytest.raises(ValueError, match="shape beside the labels of"):
        _ = step(pd.Series(batch, labels), context[:, None]).time_s


def test_functions_without_a_way_to_keep_a_mask_refuse_it():
    masked = np.ma.masked_array([1.0, -5.0], [False, True])
    for call in (
        lambda: tr.operators.gemm("H100-SXM", masked, 512, 512),
        lambda: tr.serving.curve(*ASK, concurrency=masked),
        lambda: tr.mining.Chain().supply(masked),
    ):
        with pytest.raises((TypeError, ValueError), match="masked|mask|allowed"):
            call()
    whole = np.ma.masked_array([1.0, 2.0])
    assert tr.operators.gemm("H100-SXM", whole, 512, 512).time_s.shape == (2,)


def test_kinds():
    assert [kind_of(x) for x in (1.0, [1], np.ones(2), "a", None)] == [""] * 5


# --- kernels over records ----------------------------------------------------------------------------------

RECORDS = {
    "device": tr.device("H200-SXM").pack(), "calibration": tr.Calibration.ideal().pack(),
    "model": tr.model("Llama-3.1-8B").pack(), "plan": tr.Plan().pack(),
}  # fmt: skip
LOADS = {"batch": 8.0, "context": 100.0, "prompts": 2.0, "tokens": 64.0, "past": 10.0, "concurrency": 4.0,
         "input_tokens": 100.0, "output_tokens": 50.0}  # fmt: skip
OVER_RECORDS = [
    n for n in kernels.__all__
    if n.endswith(("_step", "_time")) or n in ("serving", "serving_terms", "memory_required")
]  # fmt: skip


def inputs_of(name):
    names = [p for p in inspect.signature(getattr(kernels, name)).parameters][:-3]
    return {n: RECORDS[n] if n in RECORDS else LOADS[n] for n in names}


@pytest.mark.parametrize("name", OVER_RECORDS)
def test_step_kernels_by_keyword_over_xarray_and_dask(name):
    da, xr = pytest.importorskip("dask.array"), pytest.importorskip("xarray")
    given = inputs_of(name)
    first = next(n for n in given if n in LOADS)
    values = np.arange(1.0, 11.0)
    want = getattr(kernels, name)(*(given | {first: values}).values())
    assert np.array_equal(kernels.by_keyword(name, **given | {first: values}), want)
    got = kernels.by_keyword(
        name, **given | {first: xr.DataArray(values, {"load": values}, "load")}
    )
    assert got.dims == ("load", "field")[: want.ndim] and np.array_equal(got, want)
    if want.ndim == 2:
        assert got.field.values.tolist() == list(
            kernels.STEP_FIELDS if name.endswith("_step")
            else kernels.SYSTEM_FIELDS if name == "serving_system"
            else kernels.SERVING_TERMS if name == "serving_terms" else kernels.SERVING_FIELDS
        )  # fmt: skip
    chunks = da.from_array(values, chunks=4)
    lazy = kernels.by_keyword(name, **given | {first: chunks})
    assert isinstance(lazy, da.Array) and lazy.shape == want.shape and lazy.dtype == np.float64
    assert lazy.chunks[0] == (4, 4, 2) and np.array_equal(lazy.compute(), want)
    both = kernels.by_keyword(name, **given | {first: xr.DataArray(chunks, dims="load")})
    assert isinstance(both.data, da.Array) and np.array_equal(both, want)


def test_records_stack_along_a_dimension():
    xr = pytest.importorskip("xarray")
    names = ["H100-SXM", "H200-SXM", "B200-SXM"]
    devices = xr.DataArray(
        [tr.device(n).pack() for n in names], {"device": names}, ("device", "device_field")
    )
    given = inputs_of("decode_step") | {"device": devices}
    given["batch"] = xr.DataArray([1.0, 64.0], dims="batch")
    got = kernels.by_keyword("decode_step", **given)
    assert got.dims == ("device", "batch", "field")
    want = tr.kernels.decode_step(devices.values[1], *list(RECORDS.values())[1:], 64.0, 100.0)
    assert np.array_equal(got.sel(device="H200-SXM").isel(batch=1), want)


def test_other_kernels_by_keyword():
    xr = pytest.importorskip("xarray")
    peak = xr.DataArray([1e15, 2e15], dims="device")
    assert kernels.by_keyword("ridge_point", peak_flops=peak, bandwidth=1e12).dims == ("device",)
    headers = xr.DataArray(np.zeros((3, 80), np.uint8), dims=("block", "headers_field"))
    digests = kernels.by_keyword("sha256d", headers=headers)
    assert digests.dims == ("block", "digest") and digests.dtype == np.uint8
    with pytest.raises(TypeError, match="missing or unknown: bandwidth, bandwith"):
        kernels.by_keyword("ridge_point", peak_flops=1.0, bandwith=1.0)
    with pytest.raises(
        KeyError,
        match="kernel is 'ridgepoint'; did you mean 'ridge_point'.*allowed: names in tokenroof.kernels",
    ):
        kernels.by_keyword("ridgepoint")


def _alike(whole, want):
    return np.array_equal(np.asarray(whole, dtype=float), np.asarray(want, dtype=float))


def test_by_keyword_keeps_every_form():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    values, given = np.array([1.0, 8.0, 64.0]), inputs_of("decode_time")
    want = kernels.by_keyword("decode_time", **given | {"batch": values})
    index = list("abc")
    got = kernels.by_keyword("decode_time", **given | {"batch": pd.Series(values, index)})
    assert list(got.index) == index and _alike(got, want)
    got = kernels.by_keyword("decode_time", **given | {"batch": pl.Series("n", values)})
    assert isinstance(got, pl.Series) and got.name == "n" and _alike(got, want)
    masked = np.ma.masked_array([1.0, -7.0, 64.0], [False, True, False])
    got = kernels.by_keyword("decode_time", **given | {"batch": masked})
    assert got.mask.tolist() == [False, True, False] and _alike(got.compressed(), want[[0, 2]])
    # what has names along its last axis
    steps = kernels.by_keyword("decode_step", **given | {"batch": values})
    for series in (pd.Series(values, index), pl.Series(values)):
        got = kernels.by_keyword("decode_step", **given | {"batch": series})
        assert tuple(got.columns) == kernels.STEP_FIELDS and _alike(got, steps)
    got = kernels.by_keyword("decode_step", **given | {"batch": masked})
    assert got.shape == steps.shape and got.mask.any(axis=1).tolist() == [False, True, False]
    got = kernels.by_keyword("ridge_point", peak_flops=pl.Series([1e15]), bandwidth=1e12)
    assert isinstance(got, pl.Series) and got[0] == 1000.0


def test_by_keyword_refuses_what_would_be_lost():
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    xr = pytest.importorskip("xarray")
    given, a = inputs_of("decode_time"), pd.Series([1.0, 2.0], ["x", "y"])
    near = pd.Series([1.0, 2.0], ["y", "z"])
    left, right = (xr.DataArray([1.0, 2.0], {"n": n}, "n") for n in ([1, 2], [2, 3]))

    def step(**named):
        return kernels.by_keyword("decode_time", **named)

    for kernel, first, second in ((partial_of(given), "batch", "context"),
                                  (kernels.by_keyword, "peak_flops", "bandwidth")):  # fmt: skip
        name = "decode_time" if first == "batch" else "ridge_point"
        for one, other in ((a, near), (left, right)):
            with pytest.raises(ValueError, match=r"index than|cannot align"):
                kernel(name, **{first: one, second: other})
        with pytest.raises(TypeError, match=r"labelled arrays are|one kind"):
            kernel(name, **{first: a, second: left})
    frame = pl.DataFrame({"n": [1.0]})
    with pytest.raises(TypeError, match="batch is a DataFrame of polars; allowed: a column"):
        step(**given | {"batch": frame})
    with pytest.raises(TypeError, match="batch is a DataFrame of polars"):
        tr.decode("H200-SXM", "Llama-3.1-8B", batch=frame)
    with pytest.raises(TypeError, match="decode_step has 18 numbers of each element"):
        kernels.by_keyword("decode_step", **given | {"batch": pd.DataFrame({"n": a})})
    with pytest.raises(TypeError, match="out is given beside arrays of pandas"):
        step(**given | {"batch": a}, out=np.empty(2))
    with pytest.raises(TypeError, match="device is of masked"):
        step(**given | {"device": np.ma.masked_array(given["device"]), "batch": a})


def partial_of(given):
    def kernel(name, **named):
        return kernels.by_keyword(name, **given | named)

    return kernel


def test_by_keyword_writes_where_it_is_told():
    given, out = inputs_of("decode_time") | {"batch": [1.0, 8.0]}, np.empty(2)
    assert kernels.by_keyword("decode_time", **given, out=out) is out
    assert _alike(out, kernels.by_keyword("decode_time", **given))
    got = kernels.by_keyword("ridge_point", peak_flops=[1e15, 2e15], bandwidth=1e12, out=out)
    assert got is out and out.tolist() == [1000.0, 2000.0]


def test_a_series_of_polars_stays_one():
    pl = pytest.importorskip("polars")
    step = tr.decode("H200-SXM", "Llama-3.1-8B", batch=pl.Series("n", [1.0, 64.0]))
    assert isinstance(step.time_s, pl.Series) and step.time_s.name == "n"
    assert step.bound.to_list() == ["memory", "memory"] and step.fits.to_list() == [True, True]


def _records():
    return {"device": tr.device(ASK[0]).pack(), "calibration": tr.Calibration.ideal().pack(),
            "model": tr.model(ASK[1]).pack(), "plan": tr.Plan().pack()}  # fmt: skip


def test_by_keyword_over_masked_dask_arrays():
    da, given = pytest.importorskip("dask.array"), _records() | {"context": 4096.0}
    values = np.array([1.0, 8.0, 64.0, 512.0])
    lazy = da.ma.masked_array(da.from_array(values, chunks=2), [False, True, False, False])
    want = kernels.by_keyword("decode_step", **given | {"batch": values})
    got = kernels.by_keyword("decode_step", **given | {"batch": lazy})
    assert isinstance(got._meta, np.ma.MaskedArray) and got.chunks[0] == (2, 2)
    got = got.compute()
    assert got.mask[:, 0].tolist() == [False, True, False, False] and got.mask[1].all()
    assert np.array_equal(got[[0, 2, 3]].data, want[[0, 2, 3]])
    times = kernels.by_keyword("decode_time", **given | {"batch": lazy}).compute()
    assert np.array_equal(times[[0, 2, 3]].data, want[[0, 2, 3], 0]) and times.mask[1]


def test_by_keyword_over_series_of_dask():
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = pd.DataFrame({"n": [1.0, 8.0, 64.0], "seen": [512.0, 1e3, 4e3]}, ["a", "b", "c"])
    lazy, given = dd.from_pandas(table, npartitions=2), _records()
    for name in ("decode_time", "decode_step"):
        want = kernels.by_keyword(name, **given | {"batch": table["n"], "context": table["seen"]})
        got = kernels.by_keyword(name, **given | {"batch": lazy["n"], "context": lazy["seen"]})
        assert got.npartitions == 2
        whole = got.compute()  # dask gives labels in a type of text of its own
        assert list(whole.index) == list(want.index) and whole.set_axis(want.index).equals(want)
    got = kernels.by_keyword("ridge_point", peak_flops=lazy["n"], bandwidth=2.0)
    assert got.compute().tolist() == [0.5, 4.0, 32.0]


def test_dask_beside_other_forms_is_refused_as_what_each_is():
    pd, da, dd = (pytest.importorskip(n) for n in ("pandas", "dask.array", "dask.dataframe"))
    series, lazy = pd.Series([1.0, 2.0]), da.from_array(np.array([1.0, 2.0]))
    table = dd.from_pandas(series, npartitions=1)
    for one, other, said in (
        (lazy, series, r"peak_flops \(a Dask array\), bandwidth \(a Series of pandas\)"),
        (table, series, r"peak_flops \(a Series of Dask\), bandwidth \(a Series of pandas\)"),
        (table, lazy, r"peak_flops \(a Series of Dask\), bandwidth \(a Dask array\)"),
        (np.ma.masked_array([1.0], [0]), lazy, r"peak_flops \(a masked array\), bandwidth \(a Dask array\)"),
    ):  # fmt: skip
        with pytest.raises(
            TypeError, match=f"^arrays beside Dask are {said}; allowed: Dask's arrays alone"
        ):
            kernels.by_keyword("ridge_point", peak_flops=one, bandwidth=other)
    with pytest.raises(TypeError, match="^tokens_per_s is a Series of Dask; allowed: numbers"):
        unit_costs.cost_per_mtok(table, 1.0, 1.0)


def test_what_is_absent_stays_absent_by_keyword_as_through_kernels():
    """NaN of a formula is a number that failed; null and NA are no number at all."""
    pd, pl, given = pytest.importorskip("pandas"), pytest.importorskip("polars"), _records()
    absent = pl.Series("n", [1.0, None, float("nan")])
    for got in (
        kernels.ridge_point(absent, 2.0),
        kernels.by_keyword("ridge_point", peak_flops=absent, bandwidth=2.0),
    ):
        assert (
            got.is_null().to_list() == [False, True, False] and got[0] == 0.5 and np.isnan(got[2])
        )
    steps = kernels.by_keyword("decode_step", **given | {"batch": absent, "context": 4096.0})
    assert (
        steps["time"].is_null().to_list()
        == steps["watts"].is_null().to_list()
        == [False, True, False]
    )
    for kind in ("Float64", "Int64", "double[pyarrow]", "int64[pyarrow]"):
        if "pyarrow" in kind:
            pytest.importorskip("pyarrow")
        for last in (None, 4):
            series = pd.Series([1, 2, last], ["a", "b", "c"], dtype=kind, name="n")
            got = kernels.by_keyword("ridge_point", peak_flops=series, bandwidth=2.0)
            pd.testing.assert_series_equal(got, kernels.ridge_point(series, 2.0))
