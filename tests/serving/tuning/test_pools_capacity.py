"""Capacity of systems of pools: by the closed form, and proved by simulation."""

import itertools
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.serving import SLO, capacity
from tokenroof.serving.open_pools import pools_at
from tokenroof.serving.prompt_pool import prompt_twin
from tokenroof.serving.tuning.asked import asked_of
from tokenroof.serving.tuning.proved import with_proof
from tokenroof.serving.tuning.subject import OfPools
from tokenroof.serving.twin import Shape

MODEL = "Llama-3.1-8B"
SOON = SLO(ttft_s=0.2, percentile=99)
SIZES = 1000, 100
QUICK = {"requests": 200, "seeds": 2}


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
                    float(replica[name]), rel=3e-3, nan_ok=True
                ), name
            most = "rate" if slo.percentile else "concurrency"
            assert float(system[most]) == pytest.approx(float(replica[most]), rel=1e-3)


def test_replicas_of_one_pool_take_so_many_times_the_rate():
    one, three = (capacity(whole(n), None, None, SOON, *SIZES) for n in (1, 3))
    assert float(three.rate) == pytest.approx(3.0 * float(one.rate), rel=1e-3)
    assert float(three.running) == pytest.approx(3.0 * float(one.running), rel=1e-2)
    assert float(three.per_device) == pytest.approx(float(one.per_device), rel=1e-3)


def test_times_of_pools_add_up_by_hand():
    """Of a rate l prompts wait as those of a replica at l / 2, answers at l / 3; three pairs share the link.

    Blocks are set aside half a step after the prompt's end; the cache crosses in more than half of a step, and
    waits for half of one; another is decided already, and then comes the one that computes the first token.
    """
    system = apart(2, 3, link_bandwidth=2e9, hop_s=0.004)
    on = OfPools(system, None, Shape(*SIZES), "calibrated", {})
    rates = np.array([4.0, 9.0])
    first = prompt_twin(on.on["prefill"], Shape(1000, 1.0), on.engines["prefill"]).at(rates / 2, 2)
    found, last = on.twin.at(rates), on.twin.last.at(rates / 3.0)
    cache = 131072.0 * 1000 / 2e9
    load = rates * cache / 2.0  # two devices send, three take: two at once
    wait = 0.5 * cache * load ** (np.sqrt(6.0) - 1.0) / (1.0 - load)
    step = (last["ttft"] - last["tpot"]) / 1.5  # half of one, and the one that is decided
    assert (0.004 + cache > 0.5 * step).all()
    own = 0.5 * step + 0.004 + cache + wait + 0.5 * step + step + last["tpot"]
    after = last["e2e"] - last["ttft"]
    np.testing.assert_allclose(found["ttft"], first["ttft"] + own, rtol=1e-9)
    np.testing.assert_allclose(found["e2e"], first["ttft"] + own + after, rtol=1e-9)
    np.testing.assert_array_equal(found["tpot_p99"], last["tpot_p99"])
    for p, many in (("_p50", np.log(2.0)), ("_p90", np.log(10.0)), ("_p99", np.log(100.0))):
        for name, rest in (("ttft", 0.0), ("e2e", after)):
            more = (
                first["ttft" + p] - first["ttft"],
                last[name + p] - last[name],
                (many - 1.0) * wait,
            )
            # a median is below the mean by the part that is furthest from its own
            furthest = np.min if p == "_p50" else np.max
            want = first["ttft"] + own + rest + furthest(more, axis=0)
            np.testing.assert_allclose(found[name + p], want, rtol=1e-9)
    # a link that is nearly full
    assert not found["means_hold"].any() and not found["percentiles_hold"].any()
    assert on.twin.saturation == pytest.approx(
        min(2.0 * on.twin.first.saturation, 3.0 * on.twin.last.saturation, 2.0 / cache), rel=1e-12
    )
    assert on.twin.saturation == pytest.approx(2.0 / cache, rel=1e-12)


def test_the_host_is_in_every_step_of_answers():
    knobs = [serving.Scheduler.preset("vllm-0.33", host_ns=ns) for ns in (0, 1_000_000)]
    twins = [OfPools(apart(1, 1), one, Shape(*SIZES), "calibrated", {}).twin for one in knobs]
    assert twins[1].last.steps - twins[0].last.steps == pytest.approx(1e-3, rel=1e-6)


def test_pools_have_as_many_replicas_as_they_are_counted():
    twin = OfPools(apart(1, 1), None, Shape(*SIZES), "calibrated", {}).twin.counted((2, 3))
    assert (twin.first_count, twin.last_count) == (2, 3)
    alone = replace(twin, first=None).counted((5,))
    assert (alone.first_count, alone.last_count) == (0, 5)


@pytest.mark.parametrize(("engine", "steps"), [("vllm", 3.5), ("sglang", 1.0), ("trtllm", 1.5)])
def test_who_waits_for_turns_of_the_loop(engine, steps):
    """A cache that crosses at once: vLLM's and TensorRT-LLM's wait for a turn that sets blocks aside, and for the end
    of the step that begins there, SGLang's for half of one before and after the prompt; vLLM computes a token."""
    system = apart(1, 1, plan=tr.Plan(engine=engine), link_bandwidth=1e15, hop_s=0.0)
    on = OfPools(system, None, Shape(*SIZES), "calibrated", {})
    rate = np.array([20.0])  # all of the time some run
    first, last, found = on.twin.first.at(rate), on.twin.last.at(rate), on.twin.at(rate)
    took = (found["ttft"] - first["ttft"]) / last["tpot"]
    assert took[0] == pytest.approx(steps, rel=0.03)


def test_long_prompts_make_the_tail_of_short_answers():
    """Where waits for prompts spread more than answers do, E2E's percentile is theirs beside the mean answer."""
    on = OfPools(
        apart(1, 3, link_bandwidth=1e12, hop_s=0.0), None, Shape(4000, 4), "calibrated", {}
    )
    twin, rate = on.twin, np.array([6.0])
    first, last, found = twin.first.at(rate), twin.last.at(rate / 3.0), twin.at(rate)
    want = found["e2e"] + first["ttft_p90"] - first["ttft"]
    np.testing.assert_allclose(found["e2e_p90"], want, rtol=1e-9)
    assert want > found["e2e"] + last["e2e_p90"] - last["e2e"]


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_the_closed_form_beside_runs(engine):
    """At six tenths of saturation: steps within 5 %, whole answers within 5 %, first tokens within 10, p99 20 %."""
    system = apart(1, 1, plan=tr.Plan(engine=engine))
    on = OfPools(system, None, Shape(1000, 200), "calibrated", {})
    rate = 0.6 * on.twin.saturation
    load = serving.poisson(rate, requests=2000, input_tokens=1000, output_tokens=200, seed=3)
    run = serving.simulate(system, None, None, load).summary()
    found = {name: float(x[0]) for name, x in on.twin.at(np.array([rate])).items()}
    assert found["tpot"] == pytest.approx(run["tpot_s"]["mean"], rel=0.05)
    assert found["e2e"] == pytest.approx(run["e2e_s"]["mean"], rel=0.05)
    assert found["ttft"] == pytest.approx(run["ttft_s"]["mean"], rel=0.1)
    assert found["ttft_p99"] == pytest.approx(run["ttft_s"]["p99"], rel=0.2)


def test_a_curve_over_rates():
    """Of one replica that replica's; of pools times of the closed form, which nothing bears beyond saturation."""
    rates = [1.0, 8.0, 14.0]
    one, same = (
        serving.curve(*where, None, *SIZES, rate=rates)
        for where in ((whole(1), None), ("H100-SXM", MODEL))
    )
    for name in (
        "ttft_s",
        "ttft_p99_s",
        "tpot_p90_s",
        "e2e_p50_s",
        "running",
        "load",
        "per_device",
    ):
        np.testing.assert_allclose(one[name], same[name], rtol=1e-12)
    on = OfPools(apart(1, 2), None, Shape(*SIZES), "calibrated", {})
    table = serving.curve(
        apart(1, 2),
        rate=[5.0, 20.0, 1.2 * on.twin.saturation],
        input_tokens=1000,
        output_tokens=100,
    )
    found = on.twin.at(table.rate.values)
    np.testing.assert_array_equal(table.ttft_p90_s, found["ttft_p90"])
    assert np.isfinite(table.e2e_p99_s[:2]).all() and np.isnan(table.e2e_p99_s[2])
    assert table.stable.values.tolist() == [True, True, False]
    assert float(table.growth_per_s[2]) == pytest.approx(0.2 * on.twin.saturation)
    assert table.means_hold.values.tolist() == [True, True, False]
    assert (np.diff(table.watts) > 0.0)[0]
    load = serving.gamma(12.0, 2.0, requests=4000, input_tokens=1000, output_tokens=100, seed=1)
    drawn = serving.curve(apart(1, 2), load=load)
    assert float(drawn.rate[0]) == pytest.approx(12.0, rel=0.1)
    few = serving.Scheduler.preset("vllm-0.33", max_num_seqs=2)
    short = serving.curve(apart(1, 2), None, None, *SIZES, rate=[5.0], scheduler={"decode": few})
    assert float(short["load"][0]) > 2.0 * float(table["load"][0])


def test_a_rate_that_the_closed_form_does_not_bear_has_a_reason():
    """What was proved beyond it has no times of the closed form beside it."""
    on = OfPools(apart(1, 2), None, Shape(*SIZES), "calibrated", {})
    trial = SimpleNamespace(times={}, seeds=3, state="stable", brief="")
    for share, said in (
        (0.9, ""),
        (1.05, "the closed form bears .* requests/s at most, fewer than"),
    ):
        table = pools_at(on.system, on.on, on.twin, share * on.twin.saturation, "calibrated")
        found = with_proof(table, trial)
        assert np.isnan(found.e2e_s) == bool(said)
        assert re.match(said, found.attrs["reason"])
        assert bool(found.attrs["reason"]) == bool(said)


def test_a_link_bounds_the_rate():
    """A cache of 131,072 bytes a token and 1,000 tokens over 1 GB/s: 7.63 requests a second and no more."""
    slow = apart(1, 2, link_bandwidth=1e9)
    most = 1e9 / (131072.0 * 1000)
    for how in ({}, {"prove": True, **QUICK}):
        found = capacity(slow, None, None, SLO(e2e_s=20.0, percentile=50), 1000, 20, **how)
        assert 0.95 * most < float(found.rate) <= 1.03 * most


def test_a_backlog_proves_nothing():
    """A loose bound is met by runs that are too short to break it, where the queue never empties."""
    slo = SLO(ttft_s=60.0, percentile=99)
    found = capacity(apart(1, 1), None, None, slo, *SIZES, prove=True, **QUICK)
    assert found.attrs["verdict"] == "stable" and float(found.rate) > 0.0
    load = serving.poisson(
        1.3 * float(found.rate), requests=2000, input_tokens=1000, output_tokens=100
    )
    assert serving.simulate(apart(1, 1), MODEL, None, load).verdict.state != "stable"


def test_runs_are_as_long_as_a_promise_and_a_system_need():
    """By default 2,000 requests of each replica count; and all that come in four bounds, or are in flight."""
    asked = asked_of("tune", {})
    for amount, inside, replicas, bound, counted in (
        (10.0, 50.0, 1, 1.0, 2000), (10.0, 50.0, 2, 1.0, 4000), (10.0, 50.0, 7, 1.0, 14_000),
        (10.0, 50.0, 64, 1.0, 40_000), (10.0, 50.0, 1, 60.0, 2400), (10.0, 700.0, 1, 60.0, 2800),
        (200.0, 50.0, 64, 60.0, 48_000),
    ):  # fmt: skip
        first, last, many = asked.window(amount, inside, replicas, bound)
        assert (first, last - first, many - last) == (2 * inside + counted // 10, counted, inside)
    first, last, _ = asked_of("tune", {"requests": 300}).window(10.0, 50.0, 7, 60.0)
    assert last - first == 300  # as it was asked for
    first, last, _ = asked_of("capacity", {}, True).window(300.0, 300.0, 7, 60.0)
    assert last - first == 2100  # seven rounds of all users


def test_a_run_that_is_too_short_for_its_promise_is_said_to_be():
    slow, brief = SLO(ttft_s=30.0, percentile=99), {"requests": 300, "seeds": 1, "tolerance": 0.3}
    found = capacity(apart(1, 1), None, None, slow, *SIZES, prove=True, **brief)
    least = int(np.ceil(4.0 * float(found.rate) * 30.0))
    seconds = f"{300 / float(found.rate):.3g} s"
    assert f"runs count 300 requests, {seconds} of them" in found.attrs["caveat"]
    assert f"{least} and more do" in found.attrs["caveat"]
    soon = capacity(apart(1, 1), None, None, SOON, *SIZES, prove=True, **brief)
    assert "caveat" not in soon.attrs


def test_a_rate_that_the_closed_form_accepts_is_refused_by_runs():
    system, slo = apart(3, 1), SLO(ttft_s=0.05, percentile=99)
    told = capacity(system, None, None, slo, 500, 500)
    proved = capacity(system, None, None, slo, 500, 500, prove=True, **QUICK)
    assert float(told.ttft_p99_s) <= 0.05
    assert 0.9 * float(told.rate) < float(proved.rate) < float(told.rate)
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


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_answers_that_nobody_shares_a_step_with_wait_for_none(engine):
    """Seldom requests: of vLLM the step that computes a prompt's last token again, which is no shorter for being alone."""
    system = apart(1, 8, plan=tr.Plan(engine=engine), link_bandwidth=1e13, hop_s=0.0)
    load = serving.poisson(0.5, requests=300, input_tokens=400, output_tokens=20, seed=3)
    seen = serving.simulate(system, None, None, load).summary()["ttft_s"]
    twin = OfPools(system, None, Shape(400, 20), "calibrated", {}).twin
    found = {name: float(x[0]) for name, x in twin.at(np.array([0.5])).items()}
    assert found["ttft"] == pytest.approx(seen["mean"], rel=0.03)
    assert found["ttft_p50"] == pytest.approx(seen["p50"], rel=0.03)
    assert found["ttft_p50"] < found["ttft"]
