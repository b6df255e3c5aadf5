"""Capacity that is proved by simulation, and of lengths that are distributions."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import SLO, Lengths, System, capacity, curve, simulate, tune, users

WHERE = "H200-SXM", "Llama-3.1-8B", None
SIZES = {"input_tokens": Lengths.lognormal(1000, 1.0), "output_tokens": Lengths.lognormal(100, 0.5)}
QUICK = {**SIZES, "requests": 400, "seeds": 2}


@pytest.mark.parametrize("percentile", [50, 95, 99])
def test_a_capacity_that_is_proved(percentile):
    slo = SLO(ttft_s=0.2, tpot_s=0.02, percentile=percentile)
    most = capacity(*WHERE, slo, 1000, 100, prove=True, requests=400, seeds=2)
    names = f"ttft_p{percentile}_s", f"tpot_p{percentile}_s"
    assert most.attrs["proved"] == "by simulation, 2 seeds" and most.rate > 5.0
    for name, bound in zip(names, (0.2, 0.02), strict=True):
        assert most[f"simulated_{name}"] <= most[f"simulated_{name}_high"] <= bound
    same = tune(*WHERE, slo, input_tokens=1000, output_tokens=100, requests=400, seeds=2, knobs={})
    assert float(most.rate) == same.rate


def test_users_that_are_proved():
    slo = SLO(tpot_s=0.012)
    most = capacity(*WHERE, slo, 1000, 100, prove=True, requests=300, seeds=1)
    n = int(most.concurrency)
    for many, meets in ((n, True), (n + 2, False)):
        load = users(many, 20 * many, input_tokens=1000, output_tokens=100)
        run = simulate(*WHERE, load).requests[5 * many : -many]
        tpot = (run["last_token_s"] - run["first_token_s"]) / 99
        assert bool(tpot.mean() <= 0.012) is meets
    assert float(capacity(*WHERE, slo, 1000, 100).concurrency) == pytest.approx(n, rel=0.3)
    none = capacity(*WHERE, SLO(ttft_s=1e-6), prove=True, requests=50, seeds=1)
    assert none.concurrency == 0 and np.isnan(none.ttft_s)


def test_a_capacity_of_distributions():
    """By the closed form as `curve` has them at that rate, and played as `tune` plays them."""
    slo, sizes = SLO(ttft_s=0.5, percentile=99), tuple(SIZES.values())
    most = capacity(*WHERE, slo, *sizes)
    at = curve(*WHERE, *sizes, rate=[float(most.rate), 1.01 * float(most.rate)])
    assert at.ttft_p99_s[0] == most.ttft_p99_s <= 0.5 < at.ttft_p99_s[1]
    means = [round(one.mean) for one in sizes]
    assert float(most.rate) < 0.98 * float(capacity(*WHERE, slo, *means).rate)
    proved = capacity(*WHERE, slo, *sizes, prove=True, requests=400, seeds=2)
    assert float(proved.rate) == tune(*WHERE, slo, knobs={}, **QUICK).rate
    assert proved.ttft_p99_s == curve(*WHERE, *sizes, rate=[float(proved.rate)]).ttft_p99_s[0]
    users_of = [
        int(
            capacity(
                *WHERE, SLO(tpot_s=0.012), *both, prove=True, requests=300, seeds=1
            ).concurrency
        )
        for both in (sizes, means)
    ]
    assert 0 < users_of[0] < 0.9 * users_of[1]  # one long prompt among short answers


def test_a_capacity_of_a_system_takes_distributions():
    system, slo = System(both=("H200-SXM", None), model=WHERE[1]), SLO(ttft_s=0.5, percentile=99)
    for how in ({}, {"prove": True, "requests": 200, "seeds": 1}):
        assert float(capacity(system, None, None, slo, **SIZES, **how).rate) == pytest.approx(
            float(capacity(*WHERE, slo, **SIZES, **how).rate), rel=1e-3
        )


@pytest.mark.parametrize(
    ("call", "says"),
    [(lambda: capacity(*WHERE, SLO(ttft_s=1.0), **SIZES), "allowed: the mean as a number, or a percentile or prove=True"),
     (lambda: tr.serving.frontier(*WHERE[:2], **SIZES), "mean as a number, or curve, capacity, fleet or tune, which"),
     (lambda: tr.serving.compare(WHERE[0], "H100-SXM", WHERE[1], **SIZES), "or curve, capacity, fleet or tune")],
)  # fmt: skip
def test_where_means_alone_count_it_is_said_who_takes_distributions(call, says):
    with pytest.raises(
        TypeError, match=f"input_tokens is a distribution of mean 999.662; .*{says}"
    ):
        call()


@pytest.mark.parametrize(
    ("slo", "options", "kind", "says"),
    [
        (SLO(ttft_s=1.0), {"seeds": 2}, ValueError, "seeds is given without prove=True; allowed"),
        (SLO(ttft_s=1.0), {"prove": 1}, TypeError, "prove is 1; allowed: True or False"),
        (SLO(ttft_s=1.0), {"prove": True, "knobs": {}}, TypeError, "unexpected option 'knobs'"),
        (SLO(ttft_s=1.0, sure=True), {"prove": True}, ValueError, "sure is True with a percentile or prove"),
        (SLO(itl_s=1.0, percentile=99), {}, ValueError, "itl_s is 1.0; allowed: None, or prove=True"),
        (SLO(ttft_s=1.0, percentile=95), {}, ValueError, "percentile is 95; allowed: 50, 90, 99"),
        (SLO(ttft_s=1.0), {"prove": True, "input_tokens": 10.5}, ValueError, "input_tokens is 10.5; allowed with"),
        (SLO(ttft_s=1.0), {"prove": True, "scheduler": 3}, TypeError, "scheduler is 3; allowed: a Scheduler"),
    ],
)  # fmt: skip
def test_what_capacity_refuses(slo, options, kind, says):
    with pytest.raises(kind, match=says):
        capacity(*WHERE, slo, **options)
