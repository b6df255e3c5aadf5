"""Clients that give up in pools of prompts and of answers: by hand, wherever they are, and nothing is kept of them."""

import numpy as np
import pool_scenarios
import pytest
import test_pools_elsewhere as elsewhere
import test_pools_twin as twins
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import serving

MS, TOKEN = 1_000_000, 131072
MEMORY = {
    "vllm-0.33": {"block_size": 10, "num_blocks": 101, "loop": "sync"},
    "trtllm-1.4": {
        "tokens_per_block": 10, "max_tokens": 1000, "enable_block_reuse": False, "max_seq_len": 10_000,
        "disable_overlap_scheduler": True,
    },
    "sglang-0.5.23": {
        "max_total_tokens": 1000, "context_length": 10_000, "disable_overlap_schedule": True,
    },
}  # fmt: skip
ENGINES = pytest.mark.parametrize("engine", MEMORY)
FEW = settings(max_examples=max(10, settings.default.max_examples // 5))


def play(engine, tokens, outputs, arrival_ns, **options):
    """A prompt's step of 5 ms, an answer's of 2 ms, 1 GB/s between them: 100 tokens cross in 13.1 ms."""
    plan = tr.Plan(engine=engine.partition("-")[0])
    on = serving.disaggregate(
        ("H100-SXM", plan, 1), ("H100-SXM", plan, 1), link_bandwidth=1e9, hop_s=0.0
    )
    load = {"arrival_ns": arrival_ns, "input_tokens": tokens, "output_tokens": outputs}
    kept = {"num_reserved_decode_tokens": 20} if "sglang" in engine else {}
    knobs = {"prefill": {}, "decode": kept}
    return serving.simulate(
        on, "Llama-3.1-8B", None, load,
        {role: serving.Scheduler.preset(engine, **MEMORY[engine], **own) for role, own in knobs.items()},
        step_time={"prefill": serving.StepTime(5 * MS), "decode": serving.StepTime(2 * MS)}, **options,
    )  # fmt: skip


@ENGINES
def test_while_the_prompt_is_computed(engine):
    """After 3 of its 5 ms: nothing crosses, no answer begins; the record says when."""
    run = play(engine, [100], [3], [0], timeout_s=3e-3)
    (r,) = run.requests
    assert (str(r["status"]), r["last_token_ns"], r["output_tokens"]) == ("timed_out", 3 * MS, 0)
    assert r["first_token_ns"] == r["joined_ns"] == r["received_ns"] == -1
    assert r["sent_tokens"] == 0 and run.link["bytes"] == 0.0
    assert run.pools["decode"].totals["steps"] == 0
    assert run.pools["prefill"].requests["status"].tolist() == ["timed_out"]


@ENGINES
def test_while_the_cache_crosses(engine):
    """It left at 5 ms and is there at 18.1. At vLLM and TensorRT-LLM it arrives all the same, and its blocks are free
    then, of the latter after a step more; at SGLang when the loop looks at it next. The second needs all memory."""
    load = [100, 950], [3, 2], [0, 10 * MS]
    there = 5 * MS + 100 * TOKEN
    stays = play(engine, *load, queue_timeout_s=8e-3).requests  # it was scheduled in time
    assert stays["status"][0] == "done" and stays["received_ns"][0] == there
    run = play(engine, *load, timeout_s=8e-3).requests
    r = run[0]
    assert (str(r["status"]), r["last_token_ns"], r["output_tokens"]) == ("timed_out", 8 * MS, 0)
    assert (r["sent_tokens"], r["first_token_ns"]) == (100, -1)
    assert r["joined_ns"] == (there if "trtllm" in engine else -1)
    assert r["received_ns"] == (-1 if "sglang" in engine else there)
    # a second that comes when the first has just given up, or has all been taken out
    soon = play(engine, [100, 950], [3, 2], [0, 9 * MS], timeout_s=12e-3).requests
    assert soon["reserved_ns"].tolist() == ([0, 12 * MS] if "sglang" in engine else [5 * MS, -1])
    late = play(engine, [100, 950], [3, 2], [0, there], timeout_s=12e-3).requests
    assert late["scheduled_ns"][1] == there


@ENGINES
def test_while_it_is_answered(engine):
    """The cache is there at 18.1 ms, steps of 2 ms follow; it keeps the tokens that it had."""
    run = play(engine, [100], [50], [0], timeout_s=31.5e-3)
    (r,) = run.requests
    steps = {"vllm-0.33": 6, "trtllm-1.4": 7, "sglang-0.5.23": 7}[engine]  # the first came along
    assert (str(r["status"]), r["output_tokens"]) == ("timed_out", steps)
    assert r["last_token_ns"] == 31.5 * MS and r["first_token_ns"] >= 5 * MS + 100 * TOKEN
    done = play(engine, [100], [50], [0], timeout_s=1.0)
    assert done.requests["status"].tolist() == ["done"]


@ENGINES
def test_while_it_waits_for_either_pool(engine):
    """The second of 950 tokens does not fit beside the first, in the pool of prompts or in that of answers."""
    run = play(engine, [950, 950, 10], [40, 40, 2], [0, MS, 2 * MS], queue_timeout_s=20e-3)
    assert run.requests["status"].tolist()[:2] == ["done", "timed_out"]
    assert run.requests["last_token_ns"][1] == 21 * MS and run.requests["scheduled_ns"][1] == -1
    slow = play(engine, [950, 950, 10], [40, 40, 2], [0, 130 * MS, 200 * MS], timeout_s=170e-3)
    r = slow.requests
    assert r["status"].tolist() == ["timed_out", "timed_out", "done"]
    assert r["last_token_ns"].tolist()[:2] == [170 * MS, 300 * MS]


@pytest.mark.parametrize("engine", list(MEMORY))
@FEW
@given(
    arrivals=st.lists(st.integers(0, 300), min_size=1, max_size=8),
    tokens=st.lists(st.integers(1, 950), min_size=8, max_size=8),
    outputs=st.lists(st.integers(1, 40), min_size=8, max_size=8),
    patience=st.integers(1, 400), queue=st.integers(1, 400),
)  # fmt: skip
def test_nothing_is_kept_of_who_gave_up(engine, arrivals, tokens, outputs, patience, queue):
    """Who comes when all are gone finds all memory of both pools, as if nobody had been there."""
    many = len(arrivals)
    at = [*sorted(MS * t for t in arrivals), 2000 * MS]
    run = play(
        engine, [*tokens[:many], 930], [*outputs[:many], 40], at,
        timeout_s=patience * 1e-3, queue_timeout_s=queue * 1e-3,
    )  # fmt: skip
    alone = play(
        engine, [930], [40], [2000 * MS], timeout_s=patience * 1e-3, queue_timeout_s=queue * 1e-3
    )
    for name in (
        "status",
        "scheduled_ns",
        "reserved_ns",
        "received_ns",
        "first_token_ns",
        "last_token_ns",
    ):
        assert run.requests[name][-1] == alone.requests[name][0], name
    left = run.requests["status"][:-1] == "timed_out"
    late = run.requests["last_token_ns"] - run.requests["arrival_ns"]
    assert set(late[:-1][left]) <= {patience * MS, queue * MS}
    assert (late[:-1][~left] <= patience * MS).all()


@FEW
@given(seed=st.integers(0, 10**9))
def test_requests_are_conserved(seed):
    """Each is done or not, none of those that gave up is counted as served, and steps carry what their entries do."""
    for draw in (pool_scenarios.draw_sglang, pool_scenarios.draw_trtllm):
        scene = draw(seed, hurried=True)
        run = twins.play(scene, record_steps=True)
        r = run.requests
        assert set(np.unique(r["status"])) <= {"done", "rejected", "stuck", "timed_out"}
        done, gone = r["status"] == "done", r["status"] == "timed_out"
        assert run.summary()["answered"] == done.sum()
        assert run.summary()["timed_out"] == gone.sum()
        assert (
            r["output_tokens"][gone] <= r["declared"][gone] if "declared" in r.dtype.names else True
        )
        assert (elsewhere.began(r)[done] >= r["reserved_ns"][done]).all()
        for pool in run.pools.values():
            entries = np.bincount(pool.entries["step"], pool.entries["tokens"], len(pool.steps))
            assert (entries == pool.steps["tokens"]).all()
            assert (pool.steps["free_blocks"] >= 0).all()
