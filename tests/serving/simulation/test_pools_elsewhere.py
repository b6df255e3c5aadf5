"""Pools of prompts and of answers at other engines than vLLM: against their plain twins, by hand, what is refused."""

import pool_scenarios
import pytest
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
FEW = settings(max_examples=max(8, settings.default.max_examples // 6))


def same(scene, content=True):
    found = twins.decided(scene)
    run = twins.play(scene, content, record_steps=True)
    twins.check(scene, found, run)
    assert twins.play(scene, content).requests.tobytes() == run.requests.tobytes()


@FEW
@given(seed=SEEDS, scaled=st.booleans(), drafts=st.booleans())
def test_every_decision_of_trtllm_is_the_twin_s(seed, scaled, drafts):
    same(pool_scenarios.draw_trtllm(seed, scaled, drafts=drafts))


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
        ({"timeout_s": 1.0}, "timeout_s is 1.0 with trtllm-1.4 in pools of prefill and decode"),
        (
            {"prefill": {"tokens_per_block": 20}},
            "tokens_per_block is 20 of prefill and 10 of decode",
        ),
    ],
)
def test_what_is_refused_of_trtllm(options, said):
    with pytest.raises(ValueError, match=said):
        play("trtllm-1.4", [10], [2], TRTLLM, **options)


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
