"""Prompts apart from answers: by hand, against queueing formulas, what is conserved, what is refused."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving

MS = 1_000_000
MODEL = "Llama-3.1-8B"
TOKEN = 131072.0  # bytes of a token's cache: 32 layers x 2 x 8 heads x 128 in 16 bits
ROOM = {"num_blocks": 10_001, "loop": "sync", "enable_prefix_caching": False}


def system(prefill=1, decode=1, bandwidth=1e9, hop=0.0, **rest):
    return serving.disaggregate(
        ("H100-SXM", None, prefill), ("H100-SXM", None, decode), link_bandwidth=bandwidth, hop_s=hop, **rest
    )  # fmt: skip


def play(load, on=None, steps=None, knobs=None, **options):
    knobs = {"prefill": ROOM, "decode": ROOM} if knobs is None else knobs
    options.setdefault(
        "scheduler", {k: serving.Scheduler.preset("vllm-0.33", **v) for k, v in knobs.items()}
    )
    steps = steps or {"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)}
    return serving.simulate(on or system(), MODEL, None, load, step_time=steps, **options)


def at_once(tokens, outputs):
    return {"arrival": [0.0] * len(tokens), "input_tokens": tokens, "output_tokens": outputs}


# --- by hand ----------------------------------------------------------------------------------------------


def test_prompts_that_no_replica_can_hold_are_counted():
    """10,001 blocks of 16 tokens hold no prompt of 200,000: nothing runs, and no pool was busy."""
    none = play(at_once([200_000] * 3, [3] * 3))
    assert (none.verdict.state, none.verdict.refused, none.verdict.short) == ("stuck", 3, "")
    assert repr(none).endswith("stuck; 3 too long to be served>")
    some = play(at_once([200_000, 100], [3, 3]))
    assert (some.verdict.state, some.verdict.refused) == ("stable", 1)


def test_one_request():
    """A prompt of 5 ms, a hop of 1 ms, 100 tokens of 131072 bytes at 1 GB/s, then 2 ms a token."""
    run = play(at_once([100], [3]), system(hop=1e-3))
    (r,) = run.requests
    there = 6 * MS + round(100 * TOKEN)
    assert [int(r[f"{name}_ns"]) for name in ("scheduled", "prefilled", "reserved", "received")] == [
        0, 5 * MS, 5 * MS, there,
    ]  # fmt: skip
    assert r["joined_ns"] == there
    assert r["first_token_ns"] == there + 2 * MS
    assert r["last_token_ns"] == there + 6 * MS
    assert r["transfer_s"] == pytest.approx((there - 5 * MS) * 1e-9, rel=1e-12)
    assert (r["sent_tokens"], r["sent_bytes"]) == (100, 100 * TOKEN)
    assert run.link["bytes"] == 100 * TOKEN
    assert run.summary()["transfer_s"]["p99"] == pytest.approx(float(r["transfer_s"]))
    assert run.summary()["prefill_s"]["mean"] == pytest.approx(5e-3)
    assert run.summary()["reserve_s"]["mean"] == 0.0


def test_a_link_that_is_free_hands_over_at_once():
    load = serving.poisson(50.0, requests=200, input_tokens=100, output_tokens=4, seed=1)
    run = play(load, system(bandwidth=1e30))
    assert (run.requests["transfer_s"] == 0.0).all()
    alone = serving.poisson(1.0, requests=50, input_tokens=100, output_tokens=4, seed=1)
    r = play(alone, system(bandwidth=1e30)).requests
    idle = np.diff(r["arrival_ns"], prepend=-(10**9)) > 50 * MS
    assert (r["first_token_ns"] - r["arrival_ns"])[idle].tolist() == [7 * MS] * int(idle.sum())


@pytest.mark.parametrize("sharing, ends", [("fair", (3, 4, 4)), ("fifo", (1, 3, 4))])
def test_two_transfers_share_and_a_third_joins(sharing, ends):
    """Of 1, 2 and 1 units: together halves until one is through; in order one after the other.

    Three prompts of one step come from one replica and go to one: fair shares of three end after 3 units of
    time with 2/3 done, and what is left of the second then takes a unit alone.
    """
    unit = 1000 * TOKEN
    run = play(at_once([1000, 2000, 1000], [1, 1, 1]), system(bandwidth=1e9), link_sharing=sharing)
    took = (run.requests["received_ns"] - 5 * MS) / unit
    wanted = (3, 4, 3) if sharing == "fair" else ends
    assert took == pytest.approx(wanted, rel=1e-6)


def test_what_one_end_cannot_use_goes_to_the_others():
    """One replica sends to two, which take half as much each: tp=2 against tp=1."""
    on = serving.System(
        prefill=serving.Pool("H100-SXM", tr.Plan(tp=2), 1), decode=serving.Pool("H100-SXM", tr.Plan(), 2),
        link_bandwidth=1e9, hop_s=0.0,
    )  # fmt: skip
    r = play(at_once([1000, 1000, 1000], [1, 1, 1]), on).requests
    assert r["replica"].tolist() == [0, 1, 0]
    took = (r["received_ns"] - 5 * MS) / (1000 * TOKEN)
    assert took == pytest.approx([2.0, 1.0, 2.0], rel=1e-6)


def test_a_pool_for_both_is_so_many_replicas():
    load = serving.poisson(40.0, requests=300, input_tokens=500, output_tokens=50)
    one = serving.simulate("H100-SXM", MODEL, tr.Plan(), load, replicas=2)
    other = serving.simulate(serving.System(both=("H100-SXM", tr.Plan(), 2)), MODEL, None, load)
    assert one.requests.tobytes() == other.requests.tobytes()
    assert one.energy == other.energy
    assert type(other) is serving.Simulation


def test_prompts_wait_for_blocks_where_answers_are_kept():
    """Answers hold all blocks of the second pool: the cache stays where it is, and who comes waits."""
    small = {**ROOM, "num_blocks": 8}  # 112 tokens
    run = play(at_once([96, 96], [10, 1]), knobs={"prefill": small, "decode": small})
    a, b = run.requests
    assert a["received_ns"] == 5 * MS + round(96 * TOKEN)
    assert b["scheduled_ns"] == a["received_ns"]  # its blocks were those of the first
    assert b["reserved_ns"] == a["last_token_ns"]


@pytest.mark.parametrize("caches, sent", [("prefill", [96, 96]), ("decode", [96, 16])])
def test_each_pool_caches_for_itself(caches, sent):
    """The same prompt twice, where one pool has a prefix cache: answers that have none take all of it again."""
    knobs = {k: {**ROOM, "enable_prefix_caching": k == caches} for k in ("prefill", "decode")}
    prompt = {"prompt": [np.array([[7, 96]])] * 2, "output_id": [10**6, 10**7]}
    load = {"arrival": [0.0, 1.0], "input_tokens": [96, 96], "output_tokens": 2, **prompt}
    run = play(load, knobs=knobs)
    assert run.requests["sent_tokens"].tolist() == sent
    assert run.requests["cached_tokens"].tolist() == [0, 80 if caches == "prefill" else 0]


def test_memory_of_the_host_is_of_those_that_compute_prompts():
    """96 tokens come back after 96 others: of six blocks the last four are loaded, a megabyte a token over a GB/s."""
    room = {"num_blocks": 9, "max_model_len": 200, "loop": "sync"}
    load = {
        "arrival": [0.0, 5.0, 10.0], "input_tokens": [96] * 3, "output_tokens": 2,
        "prompt": [np.array([[10**6 * who, 96]]) for who in (1, 2, 1)],
    }  # fmt: skip
    tier = serving.HostTier(np.inf, 1e9, bytes_per_token=1e6)
    run = play(load, knobs={"prefill": room, "decode": {**ROOM}}, host_tier=tier)
    assert run.requests["loaded_tokens"].tolist() == [0, 0, 64]
    assert run.requests["scheduled_ns"][2] == 10_064 * MS
    # stored are the first's six blocks and the second's: 96 ms each; the answers' pool has none
    assert run.totals["stored_bytes"] == run.pools["prefill"].totals["stored_bytes"] == 192e6
    assert run.pools["decode"].totals["loaded_bytes"] == 0


# --- formulas ---------------------------------------------------------------------------------------------


def through_the_link(load_share, sharing, requests=40_000):
    """Poisson arrivals, prompts and answers that take no time, and a link that does."""
    size = 1000 * TOKEN
    load = serving.poisson(
        load_share * 1e9 / size, requests=requests, input_tokens=1000, output_tokens=1, seed=3
    )
    quick = dict.fromkeys(("prefill", "decode"), serving.StepTime(1))
    r = play(load, system(bandwidth=1e9), quick, link_sharing=sharing).requests
    return r["transfer_s"] / (size / 1e9)


@pytest.mark.parametrize("rho", [0.5, 0.8])
@pytest.mark.parametrize("sharing", ["fair", "fifo"])
def test_a_link_alone_is_a_queue(rho, sharing):
    """Processor sharing: 1 / (1 - rho), whatever the sizes; in order M/D/1: 1 + rho / (2 (1 - rho))."""
    took = through_the_link(rho, sharing)[4000:]
    wanted = 1.0 / (1.0 - rho) if sharing == "fair" else 1.0 + 0.5 * rho / (1.0 - rho)
    batches = took.reshape(30, -1).mean(axis=1)
    error = batches.std(ddof=1) / np.sqrt(30)
    assert abs(took.mean() - wanted) < 4.0 * error
    assert error < 0.05 * wanted


def test_tokens_bytes_and_requests_are_conserved():
    load = serving.poisson(
        60.0, requests=400, input_tokens=serving.Lengths.uniform(10, 900),
        output_tokens=serving.Lengths.uniform(1, 40), seed=2,
    )  # fmt: skip
    knobs = {"prefill": {**ROOM, "num_blocks": 400}, "decode": {**ROOM, "num_blocks": 300}}
    run = play(load, system(2, 3), knobs=knobs, record_steps=True, router="least_loaded")
    r = run.requests
    assert (r["status"] == "done").all()
    assert (r["output_tokens"] == load.output_tokens).all()
    assert (r["sent_tokens"] == load.input_tokens).all()
    assert run.link["bytes"] == pytest.approx(TOKEN * load.input_tokens.sum(), rel=1e-12)
    for pool, blocks in zip(run.pools.values(), (399, 299), strict=True):
        assert (pool.steps["free_blocks"] >= 0).all()
        assert (pool.steps["free_blocks"] <= blocks).all()
        assert pool.totals["busy_ns"] <= pool.totals["on_ns"]
    times = np.stack([r[f"{n}_ns"] for n in ("arrival", "scheduled", "prefilled", "reserved", "received",
                                            "joined", "first_token", "last_token")])  # fmt: skip
    assert (np.diff(times, axis=0) >= 0).all()
    # every prompt is computed once there, and of every answer as many tokens as there are, but for victims
    assert run.pools["prefill"].totals["tokens"] >= load.input_tokens.sum()
    # Little: who is between arrival and last token, over time, is rate times stay
    seen = run.series(0.05)
    stay = (r["last_token_ns"] - r["arrival_ns"]).sum() * 1e-9
    assert ((seen["waiting"] + seen["running"]) * 0.05).sum() == pytest.approx(stay, rel=1e-6)


def test_all_blocks_are_free_in_the_end():
    knobs = {"prefill": {**ROOM, "num_blocks": 200}, "decode": {**ROOM, "num_blocks": 150}}
    load = {
        "arrival": [*np.linspace(0.0, 1.0, 80), 50.0],
        "input_tokens": [300] * 81,
        "output_tokens": [30] * 81,
    }
    run = play(load, knobs=knobs, record_steps=True)
    assert run.pools["prefill"].steps["free_blocks"][-1] == 199 - 19
    late = run.pools["decode"].steps[run.pools["decode"].steps["scheduled_ns"] > 50 * 10**9]
    assert late["free_blocks"][0] == 149 - 19


# --- results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("short", ["prefill", "link", "decode"])
def test_the_verdict_names_what_is_short(short):
    load = serving.poisson(50.0, requests=1500, input_tokens=100, output_tokens=20)
    steps = {"prefill": serving.StepTime(MS), "decode": serving.StepTime(MS)}
    knobs = {"prefill": {**ROOM, "max_num_seqs": 1}, "decode": dict(ROOM)}
    bandwidth, rest = 1e12, {}
    if short == "prefill":
        steps["prefill"] = serving.StepTime(30 * MS)
    elif short == "link":
        bandwidth, rest = 35.0 * 100 * TOKEN, {"link_sharing": "fifo"}
    else:
        knobs["decode"]["max_num_seqs"] = 1  # 50 x 20 ms of work in a second
        steps["decode"] = serving.StepTime(2 * MS)
    found = play(load, system(bandwidth=bandwidth), steps, knobs, **rest).verdict
    assert (found.state, found.short) == ("overloaded", short)
    rate = {"prefill": 50 - 1000 / 30, "link": 15.0, "decode": 50 - 1000 / 40}[short]
    assert found.growth_per_s == pytest.approx(rate, rel=0.15)


@pytest.mark.parametrize("ms", [15.0, 31.5])
def test_many_replicas_of_pools_are_no_backlog_of_one(ms):
    """Of 12 replicas of prompts and 40 of answers, some caches always wait for a step: which is no queue."""
    load = serving.poisson(400.0, requests=6000, input_tokens=100, output_tokens=20, seed=1)
    steps = {"prefill": serving.StepTime(round(ms * MS)), "decode": serving.StepTime(20 * MS)}
    knobs = {"prefill": {**ROOM, "max_num_seqs": 1}, "decode": {**ROOM, "max_num_seqs": 64}}
    run = play(load, system(12, 40, 1e12), steps, knobs)
    r, found = run.requests, run.verdict
    wait = 400.0 * 1e-9 * (r["joined_ns"] - r["received_ns"]).mean()
    assert wait > 2.0
    if ms < 30:
        assert (found.state, found.short) == ("stable", "")
    else:  # twelve at 31.5 ms each give 381 a second
        assert found.state in ("backlogged", "overloaded") and found.short == "prefill"


def test_watts_of_each_pool():
    """300 W while a prompt is computed and 50 besides; 200 and 40 of answers."""
    steps = {
        "prefill": serving.StepTime(5 * MS, watts=300.0, idle_watts=50.0),
        "decode": serving.StepTime(2 * MS, watts=200.0, idle_watts=40.0),
    }
    run = play(at_once([100], [3]), system(2, 1, hop=1e-3), steps)
    end = run.requests["last_token_ns"][0] * 1e-9
    first, second = (run.pools[role].energy for role in ("prefill", "decode"))
    assert first.joules == pytest.approx(300.0 * 5e-3 + 50.0 * (2.0 * end - 5e-3))
    assert second.joules == pytest.approx(200.0 * 6e-3 + 40.0 * (end - 6e-3))
    assert run.energy.joules == pytest.approx(first.joules + second.joules)
    assert run.requests["joules"][0] == pytest.approx(1.5 + 1.2)
    said = run.summary()
    assert said["prefill_watts"] + said["decode_watts"] == pytest.approx(said["watts"])
    assert said["prefill_watts"] == pytest.approx(first.joules / end)


def test_the_same_bytes_on_any_number_of_threads_and_progress():
    loads = [
        serving.poisson(30.0, requests=200, input_tokens=200, output_tokens=20, seed=s)
        for s in range(3)
    ]
    told = []
    one = play(loads, system(2, 2), threads=1, progress=lambda *now: told.append(now))
    two = play(loads, system(2, 2), threads=2)
    assert [a.requests.tobytes() for a in one] == [b.requests.tobytes() for b in two]
    assert told[-1] == (600, 600)


def test_ranks_that_step_together_keep_and_take_caches():
    plan = tr.Plan(dp=2, weights="fp8")
    on = serving.System(
        prefill=serving.Pool("H200-SXM", plan, 1),
        decode=serving.Pool("H200-SXM", plan, 2),
        hop_s=0.0,
    )
    load = serving.poisson(100.0, requests=300, input_tokens=200, output_tokens=9, seed=4)
    knobs = {"num_blocks": 120, "loop": "async", "enable_prefix_caching": False}
    run = serving.simulate(
        on, "Qwen3-30B-A3B", None, load, serving.Scheduler.preset("vllm-0.33", **knobs),
        step_time=serving.StepTime(2 * MS), router="least_loaded", record_steps=True,
    )  # fmt: skip
    r = run.requests
    assert (r["status"] == "done").all()
    assert set(r["replica"]) == {0, 1, 2, 3}
    assert set(r["prefill_replica"]) == {0, 1}
    assert (r["sent_tokens"] == 200).all()
    assert (r["transfer_s"] > 0.0).all()
    for pool in run.pools.values():
        assert (pool.steps["free_blocks"] <= 119).all()


# --- replicas that come and go ----------------------------------------------------------------------------


def test_a_second_replica_starts_and_leaves():
    """Ten requests at once, one at a time for 10 ms: at 20 ms a second one is asked for, and serves at 50."""
    rule = serving.Autoscale(1, 2, 0.03, target=2.0, interval_s=0.02, cooldown_s=0.1)
    load = {"arrival": [*[0.0] * 10, *[0.055] * 4, 0.6], "input_tokens": 100, "output_tokens": 1}
    run = serving.simulate(
        None, None, None, load, serving.Scheduler.preset("vllm-0.33", **ROOM, max_num_seqs=1),
        step_time=serving.StepTime(10 * MS, watts=100.0, idle_watts=10.0), autoscale=rule,
    )  # fmt: skip
    told = [(round(s["time_s"], 3), int(s["up"]), int(s["starting"])) for s in run.scaling]
    assert told[:3] == [(0.0, 1, 0), (0.02, 1, 1), (0.05, 2, 0)]
    assert told[-1][1:] == (1, 0)
    assert run.requests["replica"].tolist() == [0] * 10 + [0, 1, 0, 1] + [0]
    stood = run.totals["on_ns"] * 1e-9
    left = told[-1][0]
    assert stood == pytest.approx(0.61 + left - 0.02, abs=2e-3)
    assert run.energy.joules == pytest.approx(100.0 * 0.15 + 10.0 * (stood - 0.15))


# --- what is refused --------------------------------------------------------------------------------------

GLM = {"prefill": "sglang-0.5.23", "decode": "vllm-0.33"}
CASES = [
    (dict(on=system(), plan=tr.Plan()), "plan is .* with a System; allowed: None"),
    (dict(replicas=2), "replicas is 2 with a System; allowed: the counts of its pools"),
    (dict(link_sharing="some"), "link_sharing is 'some'; allowed: fair, fifo"),
    (dict(router={"experts": "round_robin"}), "router has 'experts'; allowed: prefill and decode"),
    (dict(router="best"), "router is 'best'; allowed"),
    (dict(scheduler={"prefill": serving.Scheduler.preset("sglang-0.5.23")}),
     "schedulers are sglang-0.5.23 of prefill and vllm-0.33 of decode; allowed: of one engine"),
    (dict(scheduler={"decode": serving.Scheduler.preset("vllm-0.33", block_size=32)}),
     "block_size is 16 of prefill and 32 of decode; allowed: one size"),
    (dict(scheduler={"decode": serving.Scheduler.preset("vllm-0.33", max_num_queued_reqs=4)}),
     "max_num_queued_reqs is given of decode"),
    (dict(scheduler={"decode": 4}), "scheduler is 4; allowed: a Scheduler"),
    (dict(autoscale={"least": 2, "most": 3, "start_s": 1.0}), "replicas is 1 with an Autoscale from 2 to 3"),
    (dict(autoscale={"up": 3}), "autoscale has 'up'; allowed: least, most"),
    (dict(autoscale=3), "autoscale is 3; allowed: an Autoscale"),
    (dict(speculation={"drafts": 2}), "speculation is .* with a System; allowed: None"),
    (dict(on=serving.disaggregate("H100-SXM", serving.Pool("H100-SXM", sequences=4)),
          scheduler=serving.Scheduler.preset("vllm-0.33")),
     "sequences is 4 of the pool decode, and it has a scheduler; allowed: one of them"),
]  # fmt: skip


@pytest.mark.parametrize("given, said", CASES)
def test_what_is_refused_says_why(given, said):
    given = dict(given)
    on, plan = given.pop("on", system()), given.pop("plan", None)
    with pytest.raises((ValueError, TypeError), match=said):
        serving.simulate(on, MODEL, plan, at_once([10], [1]), **given)


def test_pools_that_cannot_hand_over_are_no_system():
    said = "kv_cache is fp8 of prefill and bf16 of decode; allowed: one type"
    narrow = "H100-SXM", tr.Plan(kv_cache="fp8")
    with pytest.raises(ValueError, match=said):
        serving.disaggregate(narrow, ("H100-SXM", tr.Plan()))
    with pytest.raises(ValueError, match=said):  # types of a pool without a plan are the model's
        serving.simulate(serving.disaggregate(narrow, "H100-SXM"), MODEL, None, at_once([10], [1]))
    with pytest.raises(ValueError, match="link_bandwidth is 0; allowed: numbers > 0"):
        system(bandwidth=0.0)


@pytest.mark.parametrize("field, value", [("least", 0), ("most", 0), ("signal", "load"), ("target", 0.0),
                                          ("start_s", -1.0), ("interval_s", 0.0), ("interval_s", 1e-9),
                                          ("cooldown_s", np.nan), ("tolerance", -0.1)])  # fmt: skip
def test_a_rule_out_of_range_says_so(field, value):
    given = {"least": 1, "most": 2, "start_s": 1.0, field: value}
    with pytest.raises(ValueError, match=f"{field} is .*; allowed"):
        serving.Autoscale(**given)


def test_one_device_refuses_what_is_of_pools():
    with pytest.raises(
        ValueError, match="link_sharing is 'fifo' of a device and a plan; allowed with a System"
    ):
        serving.simulate("H100-SXM", MODEL, None, at_once([10], [1]), link_sharing="fifo")
    with pytest.raises(ValueError, match="router is .* of a device and a plan"):
        serving.simulate(
            "H100-SXM", MODEL, None, at_once([10], [1]), router={"decode": "round_robin"}
        )
