"""Devices for a demand that systems of pools serve: whole ones or counts that are looked for, spare ones of each pool."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import kernels, serving
from tokenroof.serving import SLO, capacity, fleet
from tokenroof.serving.tuning.counts import fewest, settled
from tokenroof.serving.tuning.spares import spares_of_pools
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.twin import Shape

MODEL = "Llama-3.1-8B"
SOON = SLO(ttft_s=0.2, percentile=99)
SIZES = 1000, 100
QUICK = {"requests": 200, "seeds": 2}
LENGTHS = {"input_tokens": 1000, "output_tokens": 100}


def apart(prompts, answers):
    return serving.disaggregate(
        ("H100-SXM", None, prompts), ("H100-SXM", None, answers), model=MODEL
    )


def whole(count):
    return serving.System(both=serving.Pool("H100-SXM", None, count), model=MODEL)


# --- devices for a demand -----------------------------------------------------------------------------


def test_whole_systems_for_a_demand():
    rate = float(capacity(apart(1, 2), None, None, SOON, *SIZES).rate)
    found = fleet(apart(1, 2), None, None, SOON, 60 * 2.5 * rate, **LENGTHS, availability=0.99)
    assert found.replicas == 3 and found.rate == pytest.approx(rate, rel=2e-3)
    assert found.utilisation == pytest.approx(2.5 / 3.0, rel=2e-3)
    first, last = found.pools["prefill"], found.pools["decode"]
    assert (first.replicas, last.replicas) == (3, 6)
    assert found.availability == pytest.approx(0.99**3)
    reached = kernels.fleet_availability(
        0.99, 3.0, float(first.spare)
    ) * kernels.fleet_availability(0.99, 6.0, float(last.spare))
    assert found.reached == pytest.approx(float(reached)) and found.reached >= 0.999
    assert found.devices == first.devices + last.devices == 9 + found.spare
    more = fleet(apart(1, 2), None, None, SOON, 60 * 2.5 * rate, **LENGTHS, spare=2)
    assert (more.spare, more.devices, more.reached) == (4, 13, 1.0)
    idle = tr.serving.System.deployments(apart(1, 2))["prefill"].power.idle_w
    none = fleet(apart(1, 2), None, None, SOON, 60 * 2.5 * rate, **LENGTHS, spare=0)
    assert more.watts - none.watts == pytest.approx(4 * idle)
    one = fleet(apart(1, 2), None, None, SOON, 60 * 2.5 * rate / 3.0, **LENGTHS, spare=0)
    assert one.replicas == 1 and none.watts == pytest.approx(3.0 * one.watts)


def test_replicas_of_larger_plans_fail_more_often():
    system = serving.disaggregate(
        ("H100-SXM", tr.Plan(tp=2), 1), ("H100-SXM", tr.Plan(tp=4), 1), model=MODEL
    )
    found = fleet(system, None, None, SOON, 60, **LENGTHS, availability=0.99)
    assert found.pools["prefill"].availability == pytest.approx(0.99**2)
    assert found.pools["decode"].availability == pytest.approx(0.99**4)
    assert found.devices == 2 * (1 + found.pools["prefill"].spare) + 4 * (
        1 + found.pools["decode"].spare
    )


def test_counts_are_looked_for_in_closed_form():
    """No other counts with as few devices keep it at that rate."""
    slo = [SOON, SLO(tpot_s=0.009, percentile=90)]
    demand = 60.0
    found = fleet(apart(1, 1), None, None, slo, 60 * demand, **LENGTHS, counts="free")
    counts = [found.pools[role].replicas for role in ("prefill", "decode")]
    assert found.replicas == 1 and found.rate >= demand
    assert [pool.count for pool in found.system.pools.values()] == counts
    twin = OfPools(apart(1, 1), None, Shape(*SIZES), "calibrated", {}).twin

    def keeps(n):
        at = twin.counted(n).at(np.array([demand]))
        kept = at["ttft_p99"] <= 0.2 and at["tpot_p90"] <= 0.009
        return bool(kept) and demand < twin.counted(n).saturation

    assert keeps(counts)
    for n in itertools.product(range(1, 12), repeat=2):
        assert sum(n) >= sum(counts) or not keeps(n)
    fixed = fleet(apart(*counts), None, None, slo, 60 * demand, **LENGTHS)
    assert (fixed.replicas, fixed.devices) == (1, sum(counts))


def test_counts_are_looked_for_by_runs():
    """With one replica less of either pool a run fails; the rate beyond is what such a system takes."""
    slo, demand = [SOON, SLO(tpot_s=0.009, percentile=90)], 60.0
    ask = {**LENGTHS, "prove": True, **QUICK}
    found = fleet(apart(1, 1), None, None, slo, 60 * demand, **ask, counts="free")
    counts = [found.pools[role].replicas for role in ("prefill", "decode")]
    assert found.proof.meets and found.rate >= demand and found.proof.amount == found.rate
    for k in (0, 1):
        less = [n - (j == k) for j, n in enumerate(counts)]
        if min(less):
            fewer = fleet(apart(*less), None, None, slo, 60 * demand, **ask)
            assert fewer.replicas > 1 and fewer.rate < demand


def test_a_link_that_is_short_widens_the_pool_of_fewer_devices():
    """A cache of 131 MB over 1 GB/s a device: 12 a second need two on both sides, where one would do otherwise."""
    slow, fast = (
        fleet(
            serving.disaggregate("H100-SXM", "H100-SXM", link_bandwidth=width, model=MODEL), None, None,
            SLO(e2e_s=5.0, percentile=90), 60 * 12.0, **LENGTHS, prove=True, **QUICK, counts="free",
        )
        for width in (1e9, 1e11)
    )  # fmt: skip
    assert [pool.replicas for pool in fast.pools.values()] == [1, 1]
    assert [pool.replicas for pool in slow.pools.values()] == [2, 2]


def test_a_demand_of_many_is_dealt_out():
    found = fleet(apart(1, 1), None, None, SOON, 60 * 3000.0, **LENGTHS, counts="free")
    each = [pool.count for pool in found.system.pools.values()]
    assert found.replicas > 1 and max(each) <= 64
    assert found.replicas * found.rate >= 3000.0
    assert [found.pools[r].replicas for r in ("prefill", "decode")] == [
        found.replicas * n for n in each
    ]
    both = fleet(whole(1), None, None, SOON, 600, **LENGTHS, counts="free")
    assert list(both.pools) == ["both"] and both.rate >= 10.0


@given(
    needed=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    up=st.tuples(st.floats(0.8, 0.999), st.floats(0.8, 0.999)),
    devices=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    target=st.floats(0.5, 0.9999),
)
def test_spares_of_two_pools_have_the_fewest_devices(needed, up, devices, target):
    found = spares_of_pools(needed, up, devices, target)
    tails = [
        kernels.fleet_availability(a, float(n), np.arange(30.0))
        for a, n in zip(up, needed, strict=True)
    ]
    together = tails[0][:, None] * tails[1]
    cost = devices[0] * np.arange(30.0)[:, None] + devices[1] * np.arange(30.0)
    enough = together >= target * (1.0 - 1e-12)
    assert enough[found] and np.dot(found, devices) == cost[enough].min()


def test_spares_by_hand():
    """Both pools up nine tenths of the time: 0.81 with none, 0.891 with one, 0.9801 with one each."""
    asked = (0.8, 0.85, 0.98, 0.981)
    found = [spares_of_pools([1, 1], [0.9, 0.9], [1, 4], target) for target in asked]
    assert found == [(0, 0), (1, 0), (1, 1), (2, 1)]
    # two of the first and one of the second, 13 devices, have 0.989; one and two, 14, have 0.98901
    assert spares_of_pools([1, 1], [0.9, 0.9], [4, 5], 0.985) == (2, 1)
    assert spares_of_pools([3, 2], [1.0, 1.0], [1, 1], 1.0) == (0, 0)
    assert spares_of_pools([2], [0.9], [3], 0.95) == (1,)
    with pytest.raises(ValueError, match="target is 0.999; allowed with availability 0.0001"):
        spares_of_pools([1, 1], [1e-4, 0.9], [1, 1], 0.999)


@given(
    a=st.floats(0.2, 9.0), b=st.floats(0.2, 9.0), c=st.floats(0.0, 4.0),
    devices=st.tuples(st.integers(1, 5), st.integers(1, 5)), start=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)  # fmt: skip
def test_counts_are_the_fewest_of_all(a, b, c, devices, start):
    """One pool has to do a, the other b, both together c: against all counts that there are."""

    def ratio(n):
        return max(a / n[0], b / n[1], c * c / (n[0] * n[1]))

    best = min(
        np.dot(n, devices) for n in itertools.product(range(1, 41), repeat=2) if ratio(n) <= 1.0
    )
    found = fewest(lambda n: ratio(n) <= 1.0, (1, 1), devices, 40)
    assert ratio(found) <= 1.0 and np.dot(found, devices) == best
    near = settled(ratio, lambda n: None, start, devices, 40)
    assert ratio(near) <= 1.0
    for k in (0, 1):
        less = tuple(n - (j == k) for j, n in enumerate(near))
        assert min(less) == 0 or ratio(less) > 1.0


def test_counts_that_nothing_meets():
    assert fewest(lambda n: False, (1, 1), (1, 1), 8) is None
    assert fewest(lambda n: n[0] >= 5, (2,), (3,), 64) == (5,)
    assert settled(lambda n: 2.0, lambda n: 0, (1, 1), (1, 1), 8) is None
    told = settled(lambda n: 6.0 / n[1], lambda n: 1, (3, 1), (1, 1), 64)
    assert told == (1, 6)
    # what meets to the last replica is left, though another that does has fewer of the dear ones
    kept = settled(lambda n: 12.0 / (n[0] * n[1]), lambda n: None, (3, 4), (1, 2), 64)
    assert kept == (3, 4)


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"counts": "some"}, ValueError, "counts is 'some'; allowed: fixed, free"),
        ({"availability": 1.5}, ValueError, "availability is 1.5; allowed"),
        ({"spare": 1, "target": 0.9}, ValueError, "fleet has spare and target"),
        ({"seeds": 3}, ValueError, "seeds is given without prove=True"),
        ({"slo": SLO(ttft_s=1e-7, percentile=99)}, ValueError, "slo has ttft_p99_s 1e-07 s, where requests that come seldom take 0.0"),
        ({"slo": SLO(ttft_s=1e-7, percentile=99), "counts": "free"}, ValueError, "slo has ttft_p99_s 1e-07 s, where"),
        ({"slo": SLO(itl_s=1.0)}, ValueError, "itl_s is 1; allowed: None, or prove=True"),
        ({"slo": SLO(ttft_s=1.0, percentile=95)}, ValueError, "percentile is 95; allowed"),
    ],
)  # fmt: skip
def test_what_a_fleet_refuses(options, kind, says):
    slo = options.get("slo", SOON)
    rest = {name: value for name, value in options.items() if name != "slo"}
    with pytest.raises(kind, match=says):
        fleet(apart(1, 1), None, None, slo, 600.0, **LENGTHS, **rest)


def test_counts_are_of_systems():
    with pytest.raises(ValueError, match="counts is 'free' of one replica; allowed: with a System"):
        fleet("H100-SXM", MODEL, None, SOON, 600.0, **LENGTHS, counts="free")
    with pytest.raises(TypeError, match="model is None, of a System without one"):
        fleet(replace(apart(1, 1), model=None), None, None, SOON, 600.0, **LENGTHS)
