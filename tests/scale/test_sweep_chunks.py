"""Sweeps in chunks: the bits of the whole, lazily, in stores, and of what is made of them where they are."""

import importlib.util

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.scale import Best, Frontier, Quantiles
from tokenroof.support.pareto import pareto

ENDINGS = ["parquet"] + ["zarr"] * bool(importlib.util.find_spec("zarr"))
DEVICES = ["H200-SXM", "B200-SXM", "T4", "Apple M4 Max"]
MODELS = ["Llama-3.1-8B", "Qwen3-235B-A22B", "GPT-MoE-1.8T", "SmolLM2-135M"]
PLANS = [tr.Plan(), tr.Plan(tp=3), tr.Plan(tp=8), tr.Plan(tp=8, moe_ep=8, weights="fp8")]


def some(values, most=2):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


numbers = st.lists(st.integers(1, 5000) | st.floats(0.5, 1e5), min_size=1, max_size=3)
grids = st.fixed_dictionaries({
    "devices": some(DEVICES), "models": some(MODELS), "plans": some(PLANS), "batch": numbers,
    "context": numbers, "fields": st.booleans(),
    "fidelity": st.sampled_from(["calibrated", "datasheet"]),
})  # fmt: skip
cuts = st.integers(10, 50) | st.tuples(*[st.none() | st.integers(1, 3)] * 5)


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


@settings(max_examples=6, deadline=None)
@given(grids, cuts)
def test_chunks_are_the_whole_bit_for_bit(grid, chunks):
    lazy = tr.sweep(**grid, chunks=chunks)
    assert all(values.chunks for values in lazy.values())
    xr.testing.assert_identical(lazy.compute(), tr.sweep(**grid))


@pytest.mark.parametrize("ending", ENDINGS)
def test_stores_are_the_whole_bit_for_bit(ending, tmp_path_factory):
    @settings(max_examples=3, deadline=None)
    @given(grids, cuts)
    def check(grid, chunks):
        store = tmp_path_factory.mktemp("store") / f"steps.{ending}"
        found = tr.sweep(**grid, chunks=chunks, store=store)
        whole = tr.sweep(**grid)
        xr.testing.assert_identical(found.compute(), whole)
        opened = tr.scale.open_store(store)
        xr.testing.assert_equal(opened.time_s.compute(), whole.time_s)
        assert ((opened.state == 0) == (whole.reason == "")).all()
        assert tr.scale.status(store)["points"] == whole.time_s.size

    check()


@settings(max_examples=4, deadline=None)
@given(grids.filter(lambda g: not g["fields"]), cuts)
def test_reductions_of_chunks_are_those_of_the_whole(grid, chunks):
    for reduce in ("best_plan", "frontier", "quantiles"):
        whole = tr.sweep(**grid, reduce=reduce)
        xr.testing.assert_identical(tr.sweep(**grid, reduce=reduce, chunks=chunks), whole)


GRID = {
    "devices": ["H200-SXM", "T4"], "models": ["Llama-3.1-8B", "Qwen3-235B-A22B"], "plans": PLANS,
    "batch": np.arange(1, 60), "context": [100.0, 3000.0],
}  # fmt: skip


def test_the_best_plan_is_that_of_a_search():
    whole = tr.sweep(**GRID)
    bound = {"interactivity": 60.0}
    for reduce, worth in (
        ("best_plan", whole.tokens_per_s_per_device),
        (Best("tokens_per_s", ("plan", "batch"), bound), whole.tokens_per_s.where(whole.interactivity >= 60)),
        (Best("time_s", "plan", lowest=True), -whole.time_s),
    ):  # fmt: skip
        found = tr.sweep(**GRID, reduce=reduce, chunks=100)
        over = [n for n in whole.dims if n not in found.dims]
        assert over == list(reduce.over if isinstance(reduce, Best) else ("plan", "batch"))
        best = worth.max(over)
        assert not best.isnull().all() and best.isnull().any()  # nothing of that model fits a T4
        for d, m, x in np.ndindex(2, 2, 2):
            at = found.isel(device=d, model=m, context=x)
            if best.isel(device=d, model=m, context=x).isnull().all():
                assert at.time_s.isnull().all() and not at.fits.any()
                continue
            at = at.isel(batch=5) if "batch" in at.dims else at
            i = PLANS.index(next(p for p in PLANS if p.label() == at.plan.item()))
            place = whole.isel(device=d, model=m, context=x, plan=i).sel(batch=at.batch)
            assert at.time_s.item() == place.time_s.item()
            mine = worth.isel(device=d, model=m, context=x, plan=i).sel(batch=at.batch)
            top = best.isel(device=d, model=m, context=x)
            assert mine.item() == (top.sel(batch=at.batch) if "batch" in top.dims else top).item()


def test_the_frontier_is_that_of_a_search():
    whole = tr.sweep(**GRID)
    found = tr.sweep(**GRID, reduce="frontier", chunks=100)
    rows = 0
    for d, m, x in np.ndindex(2, 2, 2):
        part = whole.isel(device=d, model=m, context=x)
        at = pareto(part.interactivity.values, part.tokens_per_s_per_device.values)
        plan, batch = np.unravel_index(at, part.time_s.shape)
        same = found.time_s.values[rows : rows + at.size]
        assert (same == part.time_s.values.ravel()[at]).all()
        said = found.isel(point=slice(rows, rows + at.size))
        assert said.plan.values.tolist() == [PLANS[p].label() for p in plan]
        assert said.batch.values.tolist() == (batch + 1.0).tolist()
        assert (said.device == part.device).all() and (said.context == part.context).all()
        rows += at.size
    assert rows == found.sizes["point"] > 50
    bound = Frontier(
        "interactivity", "tokens_per_s_per_device", ("plan", "batch"), {"tokens_per_s": 500.0}
    )
    less = tr.sweep(**GRID, reduce=bound, chunks=77)
    assert less.tokens_per_s.min() >= 500.0 and 0 < less.sizes["point"] < rows


def test_quantiles_are_near_those_of_a_search():
    q = (0.0, 0.05, 0.5, 0.99, 1.0)
    wanted = Quantiles(("time_s", "memory_bytes"), ("model", "plan", "batch", "context"), q)
    found = tr.sweep(**GRID, reduce=wanted, chunks=100)
    whole = tr.sweep(**GRID)
    assert (
        found["count"].values.tolist()
        == whole.time_s.notnull().sum(list(wanted.over)).values.tolist()
    )
    for name in wanted.variables:
        for d in range(2):
            values = whole[name].values[d].ravel()
            exact = np.quantile(values[~np.isnan(values)], q, method="inverted_cdf")
            error = found[name].values[d] / exact - 1.0
            assert np.abs(error).max() <= 2.0**-12 and error.any()


def test_quantiles_of_numbers_of_any_sign():
    from tokenroof.scale.reductions.bins import bins_of, middle

    values = np.array(
        [-np.inf, -1e300, -2.0, -1.5, -1e-300, -0.0, 0.0, 5e-324, 1e-9, 1.0, 7e9, np.inf]
    )
    bins = bins_of(values)
    assert (
        (np.diff(bins) >= 0).all()
        and bins[5] == bins[6]
        and (np.diff(bins[[0, 1, 2, 3, 4, 6, 8, 9]]) > 0).all()
    )
    found = middle(bins)
    assert np.isinf(found[[0, -1]]).all() and (np.sign(found[[0, -1]]) == [-1, 1]).all()
    inner = [1, 2, 3, 4, 8, 9, 10]
    assert np.abs(found[inner] / values[inner] - 1.0).max() <= 2.0**-12


def test_tables_of_a_reduction_are_kept(tmp_path):
    where = tmp_path / "best.parquet"
    first = tr.sweep(**GRID, reduce="best_plan", chunks=100, store=where)
    told = []
    again = tr.sweep(
        **GRID, reduce="best_plan", chunks=100, store=where, progress=lambda *n: told.append(n)
    )
    xr.testing.assert_identical(first, again)
    assert told == [(1888, 1888)]  # nothing was computed
    with pytest.raises(ValueError, match="tables of a reduction"):
        tr.scale.open_store(where)
    with pytest.raises(ValueError, match="holds other points"):
        tr.sweep(**GRID, reduce="frontier", chunks=100, store=where)


def test_combinations_that_cannot_be_are_errors_if_wanted(tmp_path):
    with pytest.raises(
        ValueError, match="(?s)on H200-SXM with the plan tp3 .*2 of 32 chunks are kept"
    ):
        tr.sweep(**GRID, invalid="raise", chunks=100, store=tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="with the plan"):
        tr.sweep(**GRID, invalid="raise", chunks=100).compute()


@pytest.mark.parametrize("given, error, said", [
    ({"chunks": 0}, ValueError, "chunks is 0; allowed"),
    ({"chunks": "all"}, TypeError, "chunks is 'all'; allowed"),
    ({"chunks": {"batches": 3}}, ValueError, "chunks has 'batches'; allowed: device, model"),
    ({"chunks": {"batch": 0}}, ValueError, "chunks of batch is 0; allowed"),
    ({"chunks": (1, 2)}, TypeError, r"chunks is \(1, 2\)"),
    ({"store": "steps.csv"}, ValueError, "store is 'steps.csv'; allowed: .*.zarr or .parquet"),
    ({"store": 3}, TypeError, "store is 3; allowed"),
    ({"client": 0, "store": "a.parquet"}, ValueError, "client is 0; allowed"),
    ({"client": -1, "chunks": 8}, ValueError, "client is -1; allowed"),
    ({"client": 3.5}, TypeError, "client is 3.5; allowed"),
    ({"client": "nonsense"}, ValueError, "client is 'nonsense' without a store or reduce.*; allowed: with one"),
    ({"client": 2, "chunks": 8}, ValueError, "client is 2 without a store or reduce.*; allowed: with one"),
    ({"client": [], "reduce": "frontier"}, TypeError, r"client is \[\]; allowed"),
    ({"reduce": "best"}, ValueError, "reduce is 'best'; allowed: 'best_plan'"),
    ({"reduce": Best("watts", "plan")}, ValueError, "reduce asks for 'watts'; allowed"),
    ({"reduce": Best("time_s", "plans")}, ValueError, "reduce goes over 'plans'; allowed"),
    ({"reduce": "frontier", "store": "a.zarr"}, ValueError, "allowed with reduce: .*.parquet"),
    ({"progress": 3, "chunks": 2}, TypeError, "progress is 3; allowed"),
    ({"chunk": 2}, TypeError, "unexpected option 'chunk'"),
    ({"batch": [], "chunks": 2}, ValueError, "batch is empty; allowed"),
])  # fmt: skip
def test_bad_input_is_named(given, error, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        tr.sweep("H200-SXM", "Llama-3.1-8B", **given)
    assert not list(tmp_path.iterdir()) or given == {"client": 0, "store": "a.parquet"}


@pytest.mark.parametrize("make, said", [
    (lambda: Best("time_s", ()), r"over is \(\); allowed"),
    (lambda: Best("time_s", "plan", {"time_s": np.nan}), r"least\['time_s'\]"),
    (lambda: Quantiles("time_s", "plan", q=[1.5]), "q is .*1.5.*; allowed"),
])  # fmt: skip
def test_bad_reductions_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("name, ask", [
    ("dask.array", {"chunks": 2}), ("zarr", {"store": "a.zarr"}), ("pyarrow", {"store": "a.parquet"}),
    ("distributed", {"store": "a.parquet", "client": 1}),
])  # fmt: skip
def test_what_is_missing_is_said_in_a_line(name, ask, tmp_path, monkeypatch):
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ImportError, match=rf"^{name} is needed here: python -m pip install .*\[cluster\]"
    ):
        tr.sweep("H200-SXM", "Llama-3.1-8B", **ask)
