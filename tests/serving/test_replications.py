"""Draws of a load played one by one: the numbers of `simulate`, the same bits however they are cut."""

import dask
import numpy as np
import pytest
import xarray as xr

import tokenroof as tr
from _effects import without_effect
from tokenroof.scale import Quantiles
from tokenroof.serving import SLO, Scheduler, StepTime, poisson, replicate, simulate
from tokenroof.serving.replications import ReplicateOptions

KNOBS = Scheduler.preset("vllm-0.33", num_blocks=300, loop="sync")
FEW = Scheduler.preset("vllm-0.33", num_blocks=300, loop="sync", max_num_seqs=1)
LINE = {"step_time": StepTime(2_000_000, per_token_ns=20_000)}


def load(seed):
    return poisson(30.0, requests=60, input_tokens=100, output_tokens=8, seed=seed)


def runs(n=7, **given):
    return replicate(
        None, None, None, load, n, **{"scheduler": KNOBS, "simulation": LINE, "seed": 3} | given
    )


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def test_a_replication_is_a_simulation():
    slo = SLO(ttft_s=0.05)
    found = runs(slo=slo, percentiles=(50, 99.9))
    assert found.replication.values.tolist() == list(range(3, 10))
    for seed in (3, 8):
        run = simulate(None, None, None, load(seed), KNOBS, **LINE)
        one, at = run.summary(slo, (50, 99.9)), found.sel(replication=seed)
        assert (
            at.ttft_s_p50.item() == one["ttft_s"]["p50"]
            and at["ttft_s_p99.9"].item() == one["ttft_s"]["p99.9"]
        )
        assert at.goodput.item() == one["goodput"] and at.answered.item() == 60.0
        states = found.state.attrs["flag_meanings"].split()
        assert states[at.state.item()] == run.verdict.state
    assert np.unique(found.e2e_s_mean).size == 7


def test_chunks_are_the_whole_bit_for_bit(tmp_path):
    whole = runs()
    told = []
    for n in (1, 3):
        xr.testing.assert_identical(runs(chunks=n, progress=lambda *x: told.append(x)), whole)
    assert told[-1] == (7, 7)
    for _ in range(2):
        kept = runs(chunks=3, store=tmp_path / "runs.parquet")
        xr.testing.assert_identical(kept.compute(), whole)
    with pytest.raises(ValueError, match="holds other points"):
        runs(chunks=3, store=tmp_path / "runs.parquet", seed=4)
    faster = {"step_time": StepTime(1_000_000, per_token_ns=20_000)}
    with pytest.raises(ValueError, match="holds other points"):
        runs(chunks=3, store=tmp_path / "runs.parquet", simulation=faster)
    half = runs(reduce=Quantiles("ttft_s_p99", "replication", 0.5), chunks=2)
    assert abs(half.ttft_s_p99.item() / whole.ttft_s_p99.median().item() - 1.0) < 2.0**-12


def test_a_model_on_a_device_is_resolved_once():
    given = ("H200-SXM", "Llama-3.1-8B", None)
    for fidelity in ("calibrated", "datasheet"):
        found = replicate(*given, load, 2, simulation={"fidelity": fidelity})
        run = simulate(*given, load(1), fidelity=fidelity)
        assert found.sel(replication=1).e2e_s_mean.item() == run.summary()["e2e_s"]["mean"]
        assert found.sel(replication=1).watts.item() == run.summary()["watts"]


def test_every_argument_has_an_effect():
    def seen(**given):
        found = replicate(**given)
        return {name: found[name].values for name in (*found.data_vars, *found.coords)}

    def short(seed):
        return poisson(30.0, requests=60, input_tokens=100, output_tokens=4, seed=seed)

    base = {"device": None, "model": None, "plan": None, "load": load, "replications": 2, "scheduler": KNOBS,
            "simulation": LINE, "result": seen}  # fmt: skip
    on = {"device": "H200-SXM", "model": "Llama-3.1-8B", "scheduler": None, "simulation": None}
    changes = {
        "device": [on | {"device": "B200-SXM"}], "model": [on | {"model": "SmolLM2-135M"}],
        "plan": [on | {"plan": tr.Plan(tp=2)}], "load": [{"load": short}], "replications": [{"replications": 3}],
        "scheduler": [{"scheduler": FEW}],
        "seed": [{"seed": 1}], "slo": [{"slo": SLO(ttft_s=0.1)}], "percentiles": [{"percentiles": [10]}],
        "simulation": [{"simulation": {"step_time": StepTime(10)}}], "chunks": [{"chunks": -1}],
        "client": [{"client": 1.5}], "store": [{"store": "a.csv"}], "progress": [{"progress": 3}],
        "reduce": [{"reduce": Quantiles("e2e_s_p50", "replication")}],
    }  # fmt: skip
    assert without_effect(replicate, base, changes, options=ReplicateOptions) == []


@pytest.mark.parametrize("given, error, said", [
    ({"load": 3}, TypeError, "load is 3; allowed: a function of a seed"),
    ({"replications": 0}, ValueError, "replications is 0; allowed"),
    ({"seed": -1}, ValueError, "seed is -1; allowed"),
    ({"chunks": -2}, ValueError, "chunks is -2; allowed"),
    ({"chunk": 3}, TypeError, "unexpected option 'chunk'"),
    ({"simulation": {"replica": 3}}, TypeError, "unexpected option 'replica'"),
    ({"percentiles": [101]}, ValueError, "percentiles are .*; allowed"),
    ({"store": "runs.csv"}, ValueError, "store is 'runs.csv'; allowed"),
])  # fmt: skip
def test_bad_input_is_named(given, error, said):
    base = {"load": load, "replications": 2, "scheduler": KNOBS, "simulation": LINE} | given
    with pytest.raises(error, match=said):
        tr.serving.replicate(None, None, None, **base)
