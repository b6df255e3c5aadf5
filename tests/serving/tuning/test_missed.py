"""Promises that nothing keeps: which bound, how near, with what."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import SLO, Trial, capacity, fleet, poisson, simulate, tune
from tokenroof.serving.tuning.closed_form import furthest, nearest
from tokenroof.serving.tuning.missed import missed
from tokenroof.serving.tuning.objectives import objectives_of

WHERE = "H200-SXM", "Llama-3.1-8B", None
QUICK = {"output_tokens": 20, "requests": 60, "seeds": 2}
BOTH = objectives_of([SLO(ttft_s=0.1, percentile=99), SLO(tpot_s=0.02)])


def trial(amount, ttft, tpot, state="stable", **knobs):
    """Seeds apart by a tenth: the longer one counts."""
    times = {"ttft_p99_s": ttft, "tpot_s": tpot}
    ends = {f"{name}_high": 1.1 * value for name, value in times.items()}
    return Trial("tp1", 1, knobs, amount, False, times | ends, state, 2)


@pytest.mark.parametrize(
    ("trials", "says"),
    [([trial(2.0, 0.3, 0.01, seqs=8), trial(1.0, 0.2, 0.05, seqs=16)],
      "ttft_p99_s is 0.1, nearest 0.22 s at 1 requests/s with tp1, seqs=16"),
     ([trial(2.0, 0.3, 0.04, seqs=8), trial(1.0, 0.2, 0.05, seqs=16)],
      "ttft_p99_s is 0.1, nearest 0.22 s at 1 requests/s with tp1, seqs=16; "
      "tpot_s is 0.02, nearest 0.044 s at 2 requests/s with tp1, seqs=8"),
     ([trial(2.0, 0.3, 0.01, seqs=8), trial(1.0, 0.05, 0.05, seqs=16)],  # 3.3 and 2.75 times a bound
      "tpot_s is 0.02, kept with other knobs or loads alone; where all are nearest 0.055 s at 1 requests/s with tp1, seqs=16"),
     ([trial(2.0, 0.05, 0.01, "overloaded")],
      "every bound is kept at 2 requests/s with tp1, where the queue is overloaded"),
     ([trial(2.0, np.inf, 0.01)], "ttft_p99_s is 0.1, nearest requests that were never answered at 2 requests/s with tp1")],
)  # fmt: skip
def test_the_sentence(trials, says):
    assert missed(trials, BOTH) == f"no load meets the objective; {says}"


class Seldom:
    """Requests that come seldom take a quarter of a second, and a hundredth a token."""

    saturation = 1.0

    def at(self, rates):
        return {"ttft": np.full(rates.size, 0.25), "tpot": np.full(rates.size, 0.01)}


def test_a_bound_that_is_met_to_the_last_digit_is_met():
    said = [
        nearest(Seldom(), objectives_of([SLO(ttft_s=ttft), SLO(tpot_s=0.01)]))
        for ttft in (0.25, 0.2)
    ]
    assert said[0] == "ttft_s 0.25 s, tpot_s 0.01 s"
    assert said[1] == "ttft_s 0.2 s, where requests that come seldom take 0.25 s"
    assert furthest(Seldom(), objectives_of([SLO(ttft_s=0.1), SLO(tpot_s=0.01)])) == 2.5


def test_of_plans_that_all_miss_the_nearest_is_played():
    plans = [tr.Plan(tp=n) for n in (1, 4, 2)]
    slo = SLO(ttft_s=1e-4, percentile=99)
    best = tune(*WHERE[:2], plans, slo, **QUICK, knobs={})
    assert best.rate == 0.0 and best.plan.tp == 4 and best.proof is None and len(best.trials) == 1
    [one] = best.trials
    near = f"ttft_p99_s is 0.0001, nearest {one.times['ttft_p99_s_high']:.4g} s at {best.refused:.3g} requests/s"
    assert best.reason == f"no load meets the objective; {near} with tp4 bf16 kv bf16"
    runs = simulate(*WHERE[:2], plans[1], [poisson(one.amount, requests=100, seed=s, input_tokens=1024, output_tokens=20)
                                           for s in (0, 1)])  # fmt: skip
    alone = [np.median(run.requests["first_token_s"] - run.requests["arrival_s"]) for run in runs]
    assert one.times["ttft_p99_s_high"] == pytest.approx(max(alone), rel=0.2)
    assert tune(*WHERE, SLO(ttft_s=1.0, percentile=99), **QUICK, knobs={}).reason == ""


@pytest.mark.parametrize(("slo", "of"), [(SLO(ttft_s=1e-4, percentile=99), "requests/s"), (SLO(ttft_s=1e-4), "users")])  # fmt: skip
def test_proofs_say_it_too(slo, of):
    most = capacity(*WHERE, slo, 1024, 20, prove=True, requests=60, seeds=2)
    said = most.attrs["reason"]
    assert (
        f"no load meets the objective; ttft_{'p99_' if slo.percentile else ''}s is 0.0001, nearest 0.02"
        in said
    )
    assert f" {of} with tp1 bf16 kv bf16" in said and np.isnan(most.ttft_s)
    assert capacity(*WHERE, slo, 1024, 20).attrs["reason"] != said  # of the closed form
    if slo.percentile:
        with pytest.raises(
            ValueError, match="slo: no load meets the objective; ttft_p99_s is 0.0001, nearest 0.02"
        ):
            fleet(*WHERE, slo, 600, prove=True, **QUICK)
