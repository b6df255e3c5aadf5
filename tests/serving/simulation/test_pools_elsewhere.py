"""Pools of prompts and of answers at other engines than vLLM: against their plain twins, by hand, what is refused."""

import numpy as np
import pool_scenarios
import pytest
import sglang_fleet_twin
import test_pools_twin as twins
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import serving

SEEDS = st.integers(0, 10**9)
MS = 1_000_000
MODEL = "Llama-3.1-8B"
TOKEN = 131072  # bytes of a token's cache
#: Hundreds of each were the same.
FEW = settings(max_examples=max(5, settings.default.max_examples // 8))


def began(r):
    """When transfers that are there began [ns]."""
    return r["received_ns"] - np.rint(r["transfer_s"] * 1e9)


def same(scene, content=True, twin_of=twins.pools_twin):
    found = twins.decided(scene, twin_of)
    run = twins.play(scene, content, record_steps=True)
    twins.check(scene, found, run)
    assert twins.play(scene, content).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans(), drafts=st.booleans(), hurried=st.booleans())
def test_every_decision_of_trtllm_is_the_twin_s(seed, scaled, drafts, hurried):
    same(pool_scenarios.draw_trtllm(seed, scaled, drafts=drafts, hurried=hurried))


@FEW
@given(seed=SEEDS, scaled=st.booleans(), drafts=st.booleans(), hurried=st.booleans())
def test_every_decision_of_sglang_is_the_twin_s(seed, scaled, drafts, hurried):
    scene = pool_scenarios.draw_sglang(seed, scaled, drafts=drafts, hurried=hurried)
    same(scene, twin_of=sglang_fleet_twin)


@FEW
@given(seed=SEEDS)
def test_requests_tokens_and_bytes_are_conserved(seed):
    for draw in (pool_scenarios.draw_sglang, pool_scenarios.draw_trtllm):
        scene = draw(seed)
        run = twins.play(scene, record_steps=True)
        r = run.requests
        done = r["status"] == "done"
        assert set(np.unique(r["status"])) <= {"done", "rejected", "stuck"}
        way = (
            "arrival",
            "scheduled",
            "prefilled",
            "received",
            "joined",
            "first_token",
            "last_token",
        )
        times = np.stack([r[f"{name}_ns"][done] for name in way])
        assert (np.diff(times, axis=0) >= 0).all() and (times >= 0).all()
        assert (r["reserved_ns"] <= began(r))[done].all()
        assert (r["sent_tokens"] <= r["input_tokens"]).all()
        if draw is pool_scenarios.draw_sglang:
            assert (r["sent_tokens"] == r["input_tokens"])[done].all()
            assert r["sent_bytes"][done] == pytest.approx(
                TOKEN * r["input_tokens"][done], rel=1e-12
            )
        for pool in run.pools.values():
            entries = np.bincount(pool.entries["step"], pool.entries["tokens"], len(pool.steps))
            assert (entries == pool.steps["tokens"]).all()
            assert (pool.steps["free_blocks"] >= 0).all()
            assert (np.diff(pool.steps["scheduled_ns"]) >= 0).all()


# --- by hand ----------------------------------------------------------------------------------------------


def play(engine, tokens, outputs, knobs=None, prefill=None, hop=0.0, arrival_ns=None, **options):
    """A prompt's step of 5 ms, an answer's of 2 ms, 1 GB/s between them."""
    plan = tr.Plan(engine=engine.partition("-")[0])
    on = serving.disaggregate(
        ("H100-SXM", plan, 1), ("H100-SXM", plan, 1), link_bandwidth=1e9, hop_s=hop
    )
    load = {
        "arrival_ns": arrival_ns or [0] * len(tokens),
        "input_tokens": tokens,
        "output_tokens": outputs,
    }
    own = {"prefill": {**(knobs or {}), **(prefill or {})}, "decode": knobs or {}}
    return serving.simulate(
        on, MODEL, None, load, {k: serving.Scheduler.preset(engine, **v) for k, v in own.items()},
        step_time={"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)}, **options,
    )  # fmt: skip


TRTLLM = {
    "tokens_per_block": 10,
    "max_tokens": 1000,
    "enable_block_reuse": False,
    "max_seq_len": 10_000,
}


def test_trtllm_s_first_token_comes_with_the_cache():
    """A prompt of 5 ms, a hop of 1 ms, 100 tokens over 1 GB/s: the first token then, the others 2 ms each."""
    run = play("trtllm-1.4", [100], [3], TRTLLM, hop=1e-3)
    (r,) = run.requests
    there = 6 * MS + 100 * TOKEN
    assert [int(r[f"{n}_ns"]) for n in ("scheduled", "prefilled", "reserved", "received", "joined")] == [
        0, 5 * MS, 5 * MS, there, there,
    ]  # fmt: skip
    assert (r["first_token_ns"], r["last_token_ns"]) == (there, there + 4 * MS)
    assert (r["sent_tokens"], r["sent_bytes"], r["output_tokens"]) == (100, 100 * TOKEN, 3)
    assert run.pools["decode"].totals["tokens"] == 2
    one = play("trtllm-1.4", [100], [1], TRTLLM).requests  # it is the last: no step at all
    assert one["last_token_ns"] == one["first_token_ns"] == 5 * MS + 100 * TOKEN


def test_trtllm_takes_answers_whose_whole_way_fits():
    """10 blocks: 30 + 30 tokens are 6 of them. The second waits for the first to end, and its cache with it."""
    small = {**TRTLLM, "max_tokens": 100}
    run = play("trtllm-1.4", [30, 30], [30, 30], small, TRTLLM)
    a, b = run.requests
    # while the cache is on its way, what comes after it is promised to nobody: 3 blocks of 10 are taken
    assert a["reserved_ns"] == b["reserved_ns"] == 5 * MS
    later = play("trtllm-1.4", [30, 30], [30, 30], small, TRTLLM, arrival_ns=[0, 20 * MS])
    a, b = later.requests
    assert a["received_ns"] < b["prefilled_ns"] < b["reserved_ns"] == a["last_token_ns"]
    # MAX_UTILIZATION asks for the next step's blocks alone
    most = {**small, "capacity_scheduler_policy": "MAX_UTILIZATION"}
    run = play("trtllm-1.4", [30, 30], [30, 30], most, TRTLLM, arrival_ns=[0, 20 * MS])
    a, b = run.requests
    assert 0 <= b["reserved_ns"] - b["prefilled_ns"] <= 4 * MS  # the loop turns
    assert run.requests["preemptions"].tolist() == [0, 1]


def test_trtllm_s_prompts_keep_their_blocks_until_they_were_read():
    """4 blocks hold one prompt of 30 with its token; the second begins when the first is through."""
    a, b = play("trtllm-1.4", [30, 30], [3, 3], TRTLLM, {"max_tokens": 40}).requests
    assert a["received_ns"] == 5 * MS + 30 * TOKEN == b["scheduled_ns"]


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"prefill": {"tokens_per_block": 20}},
            "tokens_per_block is 20 of prefill and 10 of decode",
        ),
    ],
)
def test_what_is_refused_of_trtllm(options, said):
    with pytest.raises(ValueError, match=said):
        play("trtllm-1.4", [10], [2], TRTLLM, **options)


# --- SGLang -----------------------------------------------------------------------------------------------

SGLANG = {"max_total_tokens": 10_000, "context_length": 10_000, "disable_overlap_schedule": True}


def sglang(tokens, outputs, decode=None, **options):
    """Of a server of answers the knobs are `decode`'s, beside those of both."""
    plan = tr.Plan(engine="sglang")
    on = serving.disaggregate(
        ("H100-SXM", plan, 1), ("H100-SXM", plan, 1), link_bandwidth=1e9, hop_s=0.0
    )
    own = {
        "prefill": {**SGLANG, **options.pop("prefill", {})},
        "decode": {**SGLANG, **(decode or {})},
    }
    load = {"arrival_ns": options.pop("arrival_ns", [0] * len(tokens)), "input_tokens": tokens}
    return serving.simulate(
        on, MODEL, None, {**load, "output_tokens": outputs},
        {k: serving.Scheduler.preset("sglang-0.5.23", **v) for k, v in own.items()},
        step_time={"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)}, **options,
    )  # fmt: skip


def test_sglang_s_memory_comes_first_and_the_first_token_with_the_cache():
    run = sglang([100], [3])
    (r,) = run.requests
    there = 5 * MS + 100 * TOKEN
    way = (
        "reserved",
        "scheduled",
        "prefilled",
        "received",
        "joined",
        "first_token",
        "last_token",
    )
    assert [int(r[f"{name}_ns"]) for name in way] == [
        0, 0, 5 * MS, there, there, there, there + 4 * MS,
    ]  # fmt: skip
    assert began(r) == 5 * MS
    assert r["transfer_s"] == pytest.approx(100 * TOKEN * 1e-9) and r["sent_tokens"] == 100
    assert run.summary()["reserve_s"]["mean"] == 0.0
    one = sglang([100], [1]).requests
    assert one["last_token_ns"] == one["first_token_ns"] == there


def test_sglang_sends_what_is_computed_piece_by_piece():
    """300 tokens in pieces of 100: the first two cross in 13 ms each, behind one another; the third follows."""
    r = sglang([300], [1], prefill={"chunked_prefill_size": 100}).requests[0]
    assert (began(r), r["prefilled_ns"]) == (5 * MS, 15 * MS)
    # after 5 ms the first; what was computed by its end, at 18.1 ms, goes together
    assert r["received_ns"] == 5 * MS + 300 * TOKEN
    slow = sglang([300], [1], prefill={"chunked_prefill_size": -1}).requests[0]
    assert (began(slow), slow["received_ns"]) == (5 * MS, 5 * MS + 300 * TOKEN)
    # what is in the cache goes when the step begins
    prompt = [np.array([[0, 50], [1000 * k, 50]]) for k in (1, 2)]
    load = {"arrival_ns": [0, 10**9], "input_tokens": 100, "output_tokens": 1, "prompt": prompt}
    plan = tr.Plan(engine="sglang")
    on = serving.disaggregate(
        ("H100-SXM", plan, 1), ("H100-SXM", plan, 1), link_bandwidth=1e9, hop_s=0.0
    )
    found = serving.simulate(
        on, MODEL, None, load, serving.Scheduler.preset("sglang-0.5.23", **SGLANG),
        step_time={"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)},
    ).requests  # fmt: skip
    assert found["cached_tokens"].tolist() == [0, 50]
    assert began(found)[1] == 10**9
    assert found["received_ns"][1] == 10**9 + 100 * TOKEN  # 50 take 6.5 ms, longer than the step


def test_sglang_keeps_tokens_free_for_who_was_let_in():
    """1000 tokens, 100 for each: 300 + 100, then 300 + 100 of what is left less 100; the third waits for an end."""
    knobs = {"max_total_tokens": 1000, "num_reserved_decode_tokens": 100}
    run = sglang([300, 300, 300], [10, 20, 5], knobs)
    a, b, c = run.requests
    assert a["reserved_ns"] == b["reserved_ns"] == 0
    assert c["reserved_ns"] == a["last_token_ns"] <= c["scheduled_ns"]
    all_in = sglang(
        [300, 300, 300], [10, 20, 5], {**knobs, "num_reserved_decode_tokens": 1}
    ).requests
    assert (all_in["reserved_ns"] == 0).all()
    assert sglang([901], [2], knobs).requests["status"].tolist() == ["rejected"]


def test_sglang_s_answers_take_places_of_their_own():
    """One runs; two more hold memory while it does, and no further one where there are no places for them."""
    few = {"max_running_requests": 1}
    held = [
        int((run["reserved_ns"] == 0).sum())
        for more in (None, 0, 1)
        for run in [
            sglang(
                [50] * 4, [50] * 4,
                {**few, **({} if more is None else {"disaggregation_decode_extra_slots": more})},
            ).requests
        ]
    ]  # fmt: skip
    # by default twice as many as run; of those that wait for their caches at most two for each that runs
    assert held == [2, 1, 2]


@pytest.mark.parametrize(
    "options, said",
    [
        (
            {"prefill": {"max_queued_requests": 3}},
            "max_queued_requests is 3 of prefill, where it does nothing",
        ),
        (
            {"prefill": {"num_reserved_decode_tokens": 3}},
            "num_reserved_decode_tokens is 3 of prefill, where",
        ),
        (
            {"decode": {"disable_radix_cache": False}},
            "disable_radix_cache is False of decode, whose tree",
        ),
        (
            {"decode": {"enable_priority_scheduling": True}},
            "enable_priority_scheduling is True of decode",
        ),
        ({"decode": {"page_size": 4}}, "page_size is 1 of prefill and 4 of decode"),
    ],
)
def test_what_is_refused_of_sglang(options, said):
    with pytest.raises(ValueError, match=said):
        sglang([10], [2], **options)


def test_knobs_of_pools_are_refused_elsewhere():
    plan, load = (
        tr.Plan(engine="sglang"),
        {"arrival": [0.0], "input_tokens": 10, "output_tokens": 2},
    )
    knob = serving.Scheduler.preset("sglang-0.5.23", num_reserved_decode_tokens=7)
    with pytest.raises(
        ValueError, match="num_reserved_decode_tokens is 7 of both, where it does nothing"
    ):
        serving.simulate("H100-SXM", MODEL, plan, load, knob)


def test_pools_of_two_engines_are_refused():
    on = serving.disaggregate(("H100-SXM", None, 1), ("H100-SXM", None, 1))
    two = {
        "prefill": serving.Scheduler.preset("trtllm-1.4"),
        "decode": serving.Scheduler.preset("vllm-0.33"),
    }
    load = {"arrival": [0.0], "input_tokens": 10, "output_tokens": 2}
    with pytest.raises(
        ValueError,
        match="schedulers are trtllm-1.4 of prefill and vllm-0.33 of decode; allowed: of one",
    ):
        serving.simulate(on, MODEL, None, load, two)
