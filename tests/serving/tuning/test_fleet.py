"""Devices for a demand: replicas by the rate that one may be asked for, spare ones by the binomial distribution."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import kernels, serving
from tokenroof.serving import SLO, Lengths, Scheduler, fleet, spares, tune
from tokenroof.serving.tuning.spares import spares_of_pools

WHERE = "H200-SXM", "Llama-3.1-8B", None
SOON = SLO(ttft_s=0.3, percentile=99)
SIZES = {"input_tokens": 1000, "output_tokens": 200}


def test_the_tail_by_hand():
    """Two of two, of three and of four, each up nine tenths of the time."""
    by_hand = [0.81, 0.729 + 3 * 0.081, 0.6561 + 4 * 0.0729 + 6 * 0.0081]
    found = kernels.fleet_availability(0.9, 2.0, np.arange(3.0))
    np.testing.assert_allclose(found, by_hand, rtol=1e-14)
    assert kernels.fleet_availability(0.99, 100.0, 0.0) == pytest.approx(0.99**100, rel=1e-13)
    assert kernels.fleet_availability(1.0, 7.0, 0.0) == 1.0
    assert kernels.fleet_availability(0.0, 1.0, 5.0) == 0.0
    assert kernels.fleet_availability(1e-300, 1.0, 4.0) == 5e-300
    with np.errstate(invalid="ignore"):
        assert np.isnan(kernels.fleet_availability(0.9, 1.5, 1.0))


@given(
    up=st.fractions(0, 1, max_denominator=1000), needed=st.integers(1, 60), spare=st.integers(0, 30)
)
def test_the_tail_is_exact(up, needed, spare):
    n = needed + spare
    exact = sum(
        math.comb(n, j) * (1 - Fraction(float(up))) ** j * Fraction(float(up)) ** (n - j)
        for j in range(spare + 1)
    )
    assert kernels.fleet_availability(float(up), float(needed), float(spare)) == pytest.approx(
        float(exact), rel=1e-12, abs=1e-300
    )


@pytest.mark.parametrize(
    ("up", "needed"), [(0.99, 10_000), (0.5, 3000), (0.3, 1500), (0.999, 10**6)]
)
def test_large_fleets_neither_vanish_nor_overflow(up, needed):
    """By the normal distribution where it holds."""
    mean = needed / up
    spare = min(int(mean - needed), 4096)
    n = needed + spare
    z = (n * up - needed + 0.5) / math.sqrt(n * up * (1.0 - up))
    assert kernels.fleet_availability(up, float(needed), float(spare)) == pytest.approx(
        0.5 * math.erfc(-z / math.sqrt(2.0)), abs=0.01
    )


@given(up=st.floats(0.5, 0.9999), needed=st.integers(1, 200), target=st.floats(0.5, 0.99999))
def test_spares_are_enough_and_none_too_many(up, needed, target):
    k = spares(needed, up, target)
    share = kernels.fleet_availability(up, float(needed), np.array([max(k - 1.0, 0.0), float(k)]))
    assert share[1] >= target * (1.0 - 1e-13) and (k == 0 or share[0] < target)


def test_spares_by_hand():
    assert [spares(2, 0.9, target) for target in (0.81, 0.82, 0.972, 0.99, 0.9963, 0.9964)] == [
        0,
        1,
        1,
        2,
        2,
        3,
    ]
    assert spares(5, 1.0, 1.0) == 0


def test_a_fleet_by_hand():
    """A demand of ten and a half replicas needs eleven; each is down when one of its two devices is."""
    plan = tr.Plan(tp=2)
    rate = fleet("H200-SXM", "Llama-3.1-8B", plan, SOON, 600, **SIZES).rate
    found = fleet(
        "H200-SXM",
        "Llama-3.1-8B",
        plan,
        SOON,
        60 * 10.5 * rate,
        **SIZES,
        availability=0.99,
        target=0.9999,
    )
    assert found.rate == pytest.approx(rate, rel=1e-3) and found.replicas == 11
    assert found.availability == pytest.approx(0.9801) and found.utilisation == pytest.approx(
        10.5 / 11, rel=1e-3
    )
    assert found.spare == spares(11, 0.9801, 0.9999) and found.devices == 2 * (11 + found.spare)
    assert found.reached >= 0.9999 > kernels.fleet_availability(0.9801, 11.0, found.spare - 1.0)
    plain = fleet("H200-SXM", "Llama-3.1-8B", plan, SOON, 60 * 10.5 * rate, **SIZES, spare=3)
    assert (plain.replicas, plain.spare, plain.devices, plain.reached) == (11, 3, 28, 1.0)
    whole = fleet("H200-SXM", "Llama-3.1-8B", plan, SOON, 60 * 3 * found.rate, **SIZES)
    assert whole.replicas == 3 and whole.spare == 0 and whole.utilisation == pytest.approx(1.0)


def test_longer_tails_need_more_devices():
    ask = {"output_tokens": 200, "spare": 0}
    fixed, mixed = (
        fleet(*WHERE, SLO(e2e_s=4.0, percentile=99), 60_000, input_tokens=1000, **ask)
        if cv == 0
        else fleet(
            *WHERE, SLO(e2e_s=4.0, percentile=99), 60_000,
            **{**ask, "output_tokens": Lengths.lognormal(200, cv)}, input_tokens=1000,
        )
        for cv in (0, 0.5)
    )  # fmt: skip
    assert mixed.replicas > fixed.replicas
    small = fleet(
        *WHERE, SOON, 60_000, **SIZES, scheduler=Scheduler.preset("vllm-0.33", max_num_seqs=8)
    )
    assert small.replicas > fleet(*WHERE, SOON, 60_000, **SIZES).replicas


def test_proved_by_simulation():
    found = fleet(*WHERE, SOON, 6000, **SIZES, prove=True, requests=300, seeds=2)
    same = tune(*WHERE, SOON, **SIZES, knobs={}, requests=300, seeds=2)
    assert found.rate == same.rate and found.proof.meets
    assert found.replicas == math.ceil(100 / same.rate)
    gaps = fleet(
        *WHERE, SLO(itl_s=0.05, percentile=95), 600, **SIZES, prove=True, requests=100, seeds=1
    )
    assert gaps.proof.times["itl_p95_s"] <= 0.05


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"requests_per_minute": 0}, ValueError, "requests_per_minute is 0; allowed"),
        ({"requests_per_minute": "many"}, TypeError, "requests_per_minute is 'many'; allowed"),
        ({"availability": 0.0}, ValueError, "availability is 0.0; allowed: .* above 0"),
        ({"availability": 1.5}, ValueError, "availability is 1.5; allowed"),
        ({"target": 1.5}, ValueError, "target is 1.5; allowed"),
        ({"availability": 0.0001}, ValueError, "target is 0.999; allowed with availability 0.0001"),
        ({"spare": -1}, ValueError, "spare is -1; allowed"), ({"spare": 1.5}, TypeError, "spare is 1.5; allowed"),
        ({"spare": 1, "target": 0.9}, ValueError, "fleet has spare and target; allowed: one"),
        ({"prove": "yes"}, TypeError, "prove is 'yes'; allowed: True or False"),
        ({"seeds": 3}, ValueError, "seeds is given without prove=True; allowed"),
        ({"scheduler": 3}, TypeError, "scheduler is 3; allowed: a Scheduler"),
        ({"slo": SLO(ttft_s=1e-7, percentile=99)}, ValueError, r"slo has ttft_p99_s 1e-07 s, where requests that come seldom take 0.02217"),
        ({"slo": SLO(ttft_s=1.0, percentile=95)}, ValueError, "percentile is 95; allowed: 50, 90, 99"),
        ({"slo": SLO(itl_s=1.0)}, ValueError, "itl_s is 1; allowed: None, or prove"),
        ({"nodes": 3}, TypeError, "unexpected option 'nodes'; allowed"),
        ({"output_tokens": 0}, ValueError, "output_tokens is 0; allowed"),
    ],
)  # fmt: skip
def test_what_is_refused(options, kind, says):
    ask = {"slo": SOON, "requests_per_minute": 100.0, **options}
    with pytest.raises(kind, match=says):
        fleet(*WHERE, ask.pop("slo"), ask.pop("requests_per_minute"), **ask)
    for needed in (0, -1, 10**10):
        with pytest.raises(ValueError, match="needed is"):
            spares(needed, 0.9, 0.9)


def test_no_spares_are_enough_all_of_the_time():
    """A target of 1 was met by rounding; where nothing fails it is met without a spare."""
    assert spares(3, 1.0, 1.0) == 0 and spares_of_pools([3, 2], [1.0, 1.0], [1, 1], 1.0) == (0, 0)
    for found in (
        lambda: spares(3, 0.99, 1.0),
        lambda: spares_of_pools([3, 2], [0.99, 1.0], [1, 1], 1.0),
        lambda: spares_of_pools([3, 2], [1.0, 0.99], [1, 1], 1),
    ):
        with pytest.raises(
            ValueError, match=r"^target is 1.* with availability 0.99; allowed: above 0, below 1"
        ):
            found()
    assert spares(3, 0.99, 1.0 - 1e-9) > spares(3, 0.99, 0.999)


@pytest.mark.parametrize("where", [{}, {"counts": "free"}, {"counts": "fixed"}])
def test_a_demand_that_nothing_can_take_is_refused_by_name(where):
    on = serving.disaggregate("H200-SXM", "H200-SXM") if where else "H200-SXM"
    with pytest.raises(ValueError, match=r"requests_per_minute is 1e\+308; allowed: at most"):
        serving.fleet(on, "Llama-3.1-8B", None, serving.SLO(ttft_s=0.5), 1e308, **where)
