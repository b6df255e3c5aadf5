"""Capacity and fleets of systems of pools: by the closed form, proved by simulation, spare ones by enumeration."""

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
from tokenroof.serving.twin import Shape, twin_of

MODEL = "Llama-3.1-8B"
SOON = SLO(ttft_s=0.2, percentile=99)
SIZES = 1000, 100
QUICK = {"requests": 200, "seeds": 2}
LENGTHS = {"input_tokens": 1000, "output_tokens": 100}


def apart(prompts, answers, **more):
    plan = more.pop("plan", None)
    return serving.disaggregate(
        ("H100-SXM", plan, prompts), ("H100-SXM", plan, answers), model=MODEL, **more
    )


def whole(count):
    return serving.System(both=serving.Pool("H100-SXM", None, count), model=MODEL)


# --- the highest rate ---------------------------------------------------------------------------------


def test_one_pool_of_one_replica_is_that_replica():
    """By the closed form, and as it was played: the same rate, times and watts, in open loop and in closed."""
    for slo in (SOON, SLO(tpot_s=0.012)):
        for how in ({}, {"prove": True, **QUICK}):
            system = capacity(whole(1), None, None, slo, *SIZES, **how)
            replica = capacity("H100-SXM", MODEL, None, slo, *SIZES, **how)
            for name in set(system.data_vars) & set(replica.data_vars) - {
                "means_hold",
                "percentiles_hold",
            }:
                assert float(system[name]) == pytest.approx(
                    float(replica[name]), rel=1e-3, nan_ok=True
                ), name
            most = "rate" if slo.percentile else "concurrency"
            assert float(system[most]) == pytest.approx(float(replica[most]), rel=1e-3)


def test_replicas_of_one_pool_take_so_many_times_the_rate():
    one, three = (capacity(whole(n), None, None, SOON, *SIZES) for n in (1, 3))
    assert float(three.rate) == pytest.approx(3.0 * float(one.rate), rel=1e-3)
    assert float(three.running) == pytest.approx(3.0 * float(one.running), rel=1e-2)
    assert float(three.per_device) == pytest.approx(float(one.per_device), rel=1e-3)


def test_times_of_pools_add_up_by_hand():
    """Of a rate l prompts wait as those of a replica at l / 2, answers at l / 3; the link is an M/D/1 station."""
    system = apart(2, 3, link_bandwidth=2e9, hop_s=0.004)
    on = OfPools(system, None, Shape(*SIZES), "calibrated", {})
    rates = np.array([4.0, 9.0])
    first = twin_of(on.on["prefill"], Shape(1000, 1.0), on.engines["prefill"]).at(rates / 2.0)
    found, last = on.twin.at(rates), on.twin.last.at(rates / 3.0)
    cache = 131072.0 * 1000 / 2e9
    load = rates * cache / 2.0  # two devices send, three take
    link = 0.004 + cache + 0.5 * (cache / 2.0) * load / (1.0 - load)
    mean = first["ttft"] + link + last["ttft"] + 0.5 * last["tpot"]
    np.testing.assert_allclose(found["ttft"], mean, rtol=1e-9)
    np.testing.assert_allclose(
        found["e2e"], first["ttft"] + link + last["e2e"] + 0.5 * last["tpot"], rtol=1e-9
    )
    np.testing.assert_array_equal(found["tpot_p99"], last["tpot_p99"])
    tail = np.maximum(
        first["ttft_p99"] + last["ttft"] + 0.5 * last["tpot"],
        first["ttft"] + last["ttft_p99"] + 0.5 * last["tpot"],
    )
    np.testing.assert_allclose(found["ttft_p99"], link + tail, rtol=1e-9)
    assert not found["means_hold"].any() and not found["percentiles_hold"].any()
    assert on.twin.saturation == pytest.approx(
        min(2.0 * on.twin.first.saturation, 3.0 * on.twin.last.saturation, 2.0 / cache), rel=1e-12
    )
    assert on.twin.saturation == pytest.approx(2.0 / cache, rel=1e-12)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_the_closed_form_beside_runs(engine):
    """At six tenths of saturation: steps within 5 %, whole answers within 10 %, first tokens 30 % late at most."""
    system = apart(1, 1, plan=tr.Plan(engine=engine))
    on = OfPools(system, None, Shape(1000, 200), "calibrated", {})
    rate = 0.6 * on.twin.saturation
    load = serving.poisson(rate, requests=2000, input_tokens=1000, output_tokens=200, seed=3)
    run = serving.simulate(system, None, None, load).summary()
    found = {name: float(x[0]) for name, x in on.twin.at(np.array([rate])).items()}
    assert found["tpot"] == pytest.approx(run["tpot_s"]["mean"], rel=0.05)
    assert found["e2e"] == pytest.approx(run["e2e_s"]["mean"], rel=0.1)
    assert 0.85 < found["ttft"] / run["ttft_s"]["mean"] < 1.3
    assert 0.75 < found["ttft_p99"] / run["ttft_s"]["p99"] < 1.4


def test_a_link_bounds_the_rate():
    """A cache of 131,072 bytes a token and 1,000 tokens over 1 GB/s: 7.63 requests a second and no more."""
    slow = apart(1, 2, link_bandwidth=1e9)
    most = 1e9 / (131072.0 * 1000)
    for how in ({}, {"prove": True, **QUICK}):
        found = capacity(slow, None, None, SLO(e2e_s=20.0, percentile=50), 1000, 20, **how)
        assert 0.95 * most < float(found.rate) <= 1.03 * most


def test_a_rate_that_the_closed_form_accepts_is_refused_by_runs():
    system, slo = apart(3, 1), SLO(ttft_s=0.05, percentile=99)
    told = capacity(system, None, None, slo, 500, 500)
    proved = capacity(system, None, None, slo, 500, 500, prove=True, **QUICK)
    assert float(told.ttft_p99_s) <= 0.05 and float(proved.rate) < 0.95 * float(told.rate)
    assert float(proved.simulated_ttft_p99_s_high) <= 0.05
    assert proved.attrs["proved"] == "by simulation, 2 seeds"
    runs = [
        serving.simulate(
            system, None, None,
            serving.poisson(float(told.rate), requests=1000, input_tokens=500, output_tokens=500, seed=k),
        ).requests[300:-300]
        for k in (7, 8)
    ]  # fmt: skip
    assert max(np.percentile(r["first_token_s"] - r["arrival_s"], 99) for r in runs) > 0.05


def test_users_of_a_closed_loop_are_played():
    system, slo = apart(1, 2), SLO(ttft_s=0.2, tpot_s=0.01)
    told = capacity(system, None, None, slo, *SIZES)
    found = capacity(system, None, None, slo, *SIZES, prove=True, **QUICK)
    assert float(told.concurrency) >= 1.0 and float(found.concurrency) >= 1.0
    assert float(found.simulated_ttft_s_high) <= 0.2 and float(found.simulated_tpot_s_high) <= 0.01
    gaps = SLO(itl_s=0.02, percentile=95)
    found = capacity(system, None, None, gaps, *SIZES, prove=True, requests=60, seeds=1)
    assert 0.0 < float(found.simulated_itl_p95_s) <= 0.02


def test_drafts_shorten_steps_in_either_closed_form():
    """Of one pool and of two: beside what is played, and above the rate without them."""
    drafts, ask = serving.Speculation("eagle", 2), SLO(tpot_s=0.007, percentile=99)
    plain = capacity(apart(1, 1), None, None, ask, *SIZES)
    for system in (replace(whole(1), speculation=drafts), apart(1, 1, speculation=drafts)):
        told = capacity(system, None, None, ask, *SIZES)
        found = capacity(system, None, None, ask, *SIZES, prove=True, **QUICK)
        assert float(told.rate) == pytest.approx(float(found.rate), rel=0.3)
        assert float(plain.rate) < float(told.rate)


def test_each_pool_has_a_scheduler_of_its_own():
    few = {"decode": serving.Scheduler.preset("vllm-0.33", max_num_seqs=4)}
    ask = SLO(e2e_s=3.0, percentile=90)
    for how in ({}, {"prove": True, **QUICK, "scheduler": few}):
        plain = capacity(
            apart(1, 1), None, None, ask, *SIZES, **{**how, **({"scheduler": None} if how else {})}
        )
        if not how:
            continue
        small = capacity(apart(1, 1), None, None, ask, *SIZES, **how)
        assert float(small.rate) < 0.5 * float(plain.rate)


def test_runs_are_kept_and_stopped(tmp_path):
    """Ctrl-C between two loads leaves what was played; the next search plays the others."""
    file, system = tmp_path / "runs.jsonl", apart(1, 2)
    ask = {"prove": True, **QUICK, "results": file}
    loads = itertools.count(1)

    def stop(done, of):
        if next(loads) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        capacity(system, None, None, SOON, *SIZES, **ask, progress=stop)
    assert len(file.read_text().splitlines()) == 4
    first = capacity(system, None, None, SOON, *SIZES, **ask)
    lines = file.read_text()
    again = capacity(system, None, None, SOON, *SIZES, **ask)
    assert file.read_text() == lines and float(again.rate) == float(first.rate)
    capacity(apart(1, 3), None, None, SOON, *SIZES, **ask)  # another count is another run
    assert len(file.read_text()) > len(lines)


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


# --- what is refused ----------------------------------------------------------------------------------


def played(system=None, slo=SOON, **options):
    return capacity(system or apart(1, 1), None, options.pop("plan", None), slo, *SIZES, prove=True,
                    **QUICK, **options)  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "kind", "says"),
    [
        ({"plan": tr.Plan()}, ValueError, "plan is .* allowed: None, as its pools have plans"),
        ({"speculation": {"method": "ngram"}}, ValueError, "speculation is .* with a System; allowed: None"),
        ({"scheduler": 3}, TypeError, "scheduler is 3; allowed: a Scheduler"),
        ({"scheduler": {"both": serving.Scheduler.preset("vllm-0.33")}}, ValueError, "scheduler has 'both'; allowed: prefill and decode"),
        ({"scheduler": {"decode": serving.Scheduler.preset("trtllm-1.4")}}, ValueError, "schedulers are vllm-0.33 of prefill and trtllm-1.4"),
        ({"slo": SLO(ttft_s=0.2, tpot_s=0.01, percentile=99, sure=True)}, ValueError, "sure is True"),
        ({"tolerance": 0.0}, ValueError, "tolerance is 0"), ({"nodes": 1}, TypeError, "unexpected option 'nodes'"),
    ],
)  # fmt: skip
def test_what_is_refused(ask, kind, says):
    with pytest.raises(kind, match=says):
        played(**ask)


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
