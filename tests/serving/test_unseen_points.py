"""Points by hand of what long runs hide: ranks without a prompt, clocks of runs, grids of loads, lowest rates."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import tokenroof as tr
from tokenroof import _core, kernels
from tokenroof.inference.door import deployment
from tokenroof.serving import Pool, System, comparing, open_capacity
from tokenroof.serving.plans import released_types
from tokenroof.serving.recorded.fit import _Fit
from tokenroof.serving.recorded.run import Recorded
from tokenroof.serving.simulation.step_time import _missing


def test_what_a_token_takes_off_that_other_ranks_do_not_have():
    """A step with a prompt on each of four ranks over one with a prompt on one, by rank and token: of what its
    exchanges take off, 8 of 9 parts, for one of four ranks has tokens."""
    on = deployment("H200-SXM", "Qwen3-235B-A22B", tr.Plan(tp=2, dp=4, moe_ep=8), "calibrated")
    batch, tokens = np.array([1.0, 8.0]), np.array([0.0, 64.0, 2048.0])
    found = _missing(on, 4, batch, tokens)
    assert found.shape == (3, 2) and (found > 0.0).any()
    for i, n in enumerate((1.0, 64.0, 2048.0)):
        for j, b in enumerate(batch):
            each = kernels.mixed_prompts_step(*on.records, 4 * b, 1.0, 4.0, n, 0.0)
            alone = kernels.mixed_step(*on.records, 4 * b, 1.0, n, 0.0)
            exchanged = (each - alone)[_core.STEP_FIELDS.index("communication_s")]
            less = (each - alone)[_core.STEP_FIELDS.index("time")] - exchanged / 9
            assert exchanged > 0.0
            assert found[i, j] == pytest.approx(1e9 * max(less, 0.0) / (3 * n), rel=1e-9)


def test_the_clock_of_a_recorded_run_begins_with_its_first_request():
    run = Recorded({
        "arrival": np.array([12.0, 10.0]), "first_token": np.array([12.5, 10.25]),
        "last_token": np.array([14.0, 11.0]), "input_tokens": np.array([7.0, 9.0]), "output_tokens": np.array([3.0, 1.0]),
    })  # fmt: skip
    assert run.records["arrival_ns"].tolist() == [0, 2_000_000_000]
    assert run.records["first_token_ns"].tolist() == [250_000_000, 2_500_000_000]
    assert run.records["last_token_ns"].tolist() == [1_000_000_000, 4_000_000_000]
    assert run.first_s.tolist() == [0.25, 0.5] and run.many.tolist() == [False, True]


def test_errors_beyond_twenty_times_count_as_twenty_times_at_first():
    """Means of the groups: an error of e^10 counts as one of e^3."""
    fit = object.__new__(_Fit)
    fit.groups, fit.group, fit.best, fit.step_s = 1, np.zeros(2, int), None, 1.0
    fit.at, fit.slopes, seen = np.ones(2), [], []
    fit.errors = lambda run: (np.array([10.0, 0.0]), np.array([-10.0, 1.0]))
    fit._slopes = lambda bounds: (seen.append(bounds), np.zeros((2, 2)))[1]
    fit._solve, fit._go = lambda *_: np.zeros(2), lambda step: None
    fit.search(None)
    assert seen[0].tolist() == [3.0, 3.0]
    assert fit.off.tolist() == [1.5, -1.0]


def test_a_system_is_looked_at_up_to_16384_requests_an_instance(monkeypatch):
    seen = []

    def curve(system, model, plan, inputs, outputs, users, **how):
        seen.append(users)
        return SimpleNamespace(attrs={"reason": "none"})

    monkeypatch.setattr(comparing, "curve", curve)
    system = System(both=Pool("H200-SXM", tr.Plan(tp=2), 3))
    with pytest.raises(ValueError, match="none"):
        comparing._of_system("a", system, tr.model("Llama-3.1-8B"), 10.0, {})
    assert (seen[0].min(), seen[0].max()) == (1.0, 3 * 16384.0)


def test_an_objective_out_of_reach_is_said_at_the_lowest_rate_that_was_looked_at(monkeypatch):
    """256 rates between 0 and saturation, and twice more between 0 and the lowest of them."""
    looked, asked = [], []

    def values(twin, rates):
        looked.append(rates)
        return {"ttft_p99_s": np.full(rates.shape, 9.0)}

    def table(rate):
        asked.append(rate)
        return xr.Dataset(attrs={"reason": "too slow"} if rate else {})

    monkeypatch.setattr(open_capacity, "values_at", values)
    slo = SimpleNamespace(bounds={"ttft_s": 1.0}, percentile=99.0)
    found = open_capacity.open_capacity(SimpleNamespace(saturation=21.0), slo, table)
    assert found.attrs["reason"] == "too slow"
    assert len(looked) == 3 and asked == pytest.approx([0.0, looked[2][0]], rel=1e-12)
    assert asked[1] == pytest.approx(21.0 / 257**3)


def test_types_of_a_checkpoint_by_what_is_said_of_it():
    model = tr.model("Llama-3.1-8B").replace(quantisation=None)
    for said, found in {
        "mxfp4 experts, fp8 attention, bf16 rest": ("bf16", "mxfp4"),
        "mxfp4 experts, bf16 rest": ("bf16", "mxfp4"),
        "bf16": None,
    }.items():
        assert released_types(model.replace(native_dtype=said)) == found
