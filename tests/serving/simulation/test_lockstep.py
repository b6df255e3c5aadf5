"""Data-parallel ranks that step together: against a plain twin, by hand, and what is refused."""

import random

import lockstep_twin
import numpy as np
import pytest
import recorded
import scenarios
import twin
from hypothesis import given, reject
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import _core, kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.serving.simulation.step_time import step_table

MS = 1_000_000
MODEL = "Qwen3-30B-A3B"


def ranked(seed):
    trace = scenarios.draw(seed)
    rng = random.Random(seed)
    trace["ranks"], trace["report_ms"] = rng.choice([2, 2, 4]), rng.choice([0, 1, 20, 100])
    return trace


def play(trace, **options):
    version = ".".join(trace["engine"]["vllm"].split(".")[:2])
    scheduler = serving.Scheduler.preset(
        f"vllm-{version}", loop=trace["engine"]["loop"],
        min_stats_update_interval_ms=trace["report_ms"], **trace["config"],
    )  # fmt: skip
    step = serving.StepTime(*(trace["step_time"][name] for name in "abc"))
    plan = tr.Plan(dp=trace["ranks"], weights="fp8")
    if drafts := trace.get("drafting"):
        step = serving.StepTime(
            step.fixed_ns, step.per_token_ns, step.per_context_token_ns,
            per_draft_ns=trace["step_time"]["d"],
        )  # fmt: skip
        spec = serving.Speculation(drafts["method"], None, drafts["acceptance"])
        options |= {"speculation": spec, "seed": drafts["seed"]}
    return serving.simulate(
        "H200-SXM", MODEL, plan, recorded.requests_of(trace), scheduler, step_time=step, **options
    )


@given(seed=st.integers(0, 10**9))
def test_every_decision_is_the_twin_s(seed):
    check(ranked(seed))


@given(seed=st.integers(0, 10**9))
def test_ranks_that_draft_are_the_twin_s(seed):
    trace, rng = ranked(seed), random.Random(seed + 1)
    k, method = rng.randint(1, 4), rng.choice(["eagle", "ngram"])
    chances = sorted((rng.choice([0.0, 1.0, rng.random()]) for _ in range(k)), reverse=True)
    trace["config"]["num_blocks"] += 3 * k
    trace["step_time"]["d"] = rng.choice([0, 1234])
    trace["drafting"] = {
        "acceptance": chances, "lookahead": 0 if method == "ngram" else k, "method": method,
        "states": method == "eagle", "seed": rng.randrange(2**64),
    }  # fmt: skip
    check(trace)


def check(trace):
    try:
        decided = lockstep_twin.play(trace)
    except twin.Circles:
        reject()
    run = play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    rows = recorded.decided(run, cached)
    for k, steps in enumerate(decided["steps"]):
        own = [row for row, step in zip(rows, run.steps, strict=True) if step["replica"] == k]
        assert own == recorded.wanted(steps, cached)
    assert recorded.results(run) == decided["results"]
    assert run.requests["replica"].tolist() == decided["ranks"]
    assert run.totals["dummy_rounds"] == decided["dummies"]
    again = play(trace)
    assert again.requests.tobytes() == run.requests.tobytes()


# --- by hand ----------------------------------------------------------------------------------------------


def run(load, ranks=2, step=None, replicas=1, **knobs):
    knobs = {"num_blocks": 10_000, "enable_prefix_caching": False, "loop": "sync", **knobs}
    plan = tr.Plan(dp=ranks, weights="fp8")
    return serving.simulate(
        "H200-SXM", MODEL, plan, load, serving.Scheduler.preset("vllm-0.33", **knobs),
        step_time=step or serving.StepTime(MS), replicas=replicas,
    )  # fmt: skip


def test_a_token_takes_as_long_as_the_prompt_of_the_other_rank():
    """1 ms and 10 us a token: the second request's prompt of 5 waits in rounds of 100 and of 1 token."""
    load = {"arrival": [0.0, 0.0], "input_tokens": [100, 5], "output_tokens": [2, 2]}
    found = run(load, step=serving.StepTime(MS, 10_000)).requests
    assert found["replica"].tolist() == [0, 1]
    assert found["first_token_ns"].tolist() == [2 * MS, 2 * MS]
    assert found["last_token_ns"].tolist() == [3_010_000, 3_010_000]
    alone = run(load, step=serving.StepTime(MS, 10_000), replicas=2).requests
    assert alone["replica"].tolist() == [0, 2]  # another group's first rank, which waits for nobody
    assert alone["first_token_ns"].tolist() == [2 * MS, 1_050_000]


def test_ranks_go_on_without_work_to_the_32nd_round():
    """Three rounds of work, 29 of nothing: who comes within them waits for the end of one; after them for none."""
    load = {"arrival_ns": [0], "input_tokens": 10, "output_tokens": [3]}
    found = run(load)
    assert found.totals["dummy_rounds"] == 29 and found.totals["steps"] == 3
    load = {
        "arrival_ns": [0, 10 * MS + 1, 100 * MS + 1],
        "input_tokens": 10,
        "output_tokens": [3, 1, 1],
    }
    found = run(load)
    assert found.requests["scheduled_ns"].tolist() == [0, 11 * MS, 100 * MS + 1]
    # the second is in the first wave of 32 rounds, the third begins one of its own
    assert found.totals["dummy_rounds"] == 28 + 31


def test_requests_go_to_the_least_loaded_rank_that_the_coordinator_told_of():
    """Of equals to the first; what was sent counts 4; all of that is forgotten with the next report."""
    load = {"arrival": np.zeros(5), "input_tokens": 10, "output_tokens": 1000}
    assert run(load, ranks=4).requests["replica"].tolist() == [0, 1, 2, 3, 0]
    # at 100 ms: 2 and 1 run; three come: 1 (4 + 1 = 5 then), 0 (2 + 4 = 6 then), 1
    load = {
        "arrival_ns": [0, 0, 0, *[150 * MS] * 3],
        "input_tokens": 10,
        "output_tokens": 1000,
    }
    assert run(load).requests["replica"].tolist() == [0, 1, 0, 1, 0, 1]
    # with reports every second nothing of the end of the first is known: 4 and 4, then 8 and 4
    load = {
        "arrival_ns": [0, 0, 50 * MS, 60 * MS],
        "input_tokens": 10,
        "output_tokens": [1, 99, 9, 9],
    }
    told = run(load, min_stats_update_interval_ms=1000).requests["replica"].tolist()
    assert told == [0, 1, 0, 1]
    assert run(load, min_stats_update_interval_ms=10).requests["replica"].tolist() == [0, 1, 0, 0]


def test_prompts_are_taken_in_every_nth_round_of_all():
    """Rounds 0, 4, 8: who comes in the first starts in the fifth, whichever rank it is on."""
    load = {"arrival_ns": [0, 1, 2], "input_tokens": 10, "output_tokens": [20, 20, 20]}
    found = run(load, prefill_schedule_interval=4).requests
    # the second's rank has nobody who decodes, so that nothing is put off there
    assert found["replica"].tolist() == [0, 1, 0]
    assert found["scheduled_ns"].tolist() == [0, MS, 4 * MS]


def test_a_round_of_equal_ranks_takes_the_kernels_time():
    """Decode on both ranks: a step of both batches; a prompt on one alone: less experts than a prompt on both."""
    plan = tr.Plan(dp=2, weights="fp8")
    on = deployment("H200-SXM", MODEL, plan, "calibrated")
    load = {"arrival": np.zeros(16), "input_tokens": 512, "output_tokens": 101}
    scheduler = serving.Scheduler.preset("vllm-0.33", loop="sync")
    found = serving.simulate("H200-SXM", MODEL, plan, load, scheduler).requests
    assert np.bincount(found["replica"]).tolist() == [8, 8]
    decode = float(kernels.decode_time(*on.records, 16.0, 513.0 + np.arange(100)).sum())
    tokens = found["last_token_s"] - found["first_token_s"]
    assert tokens == pytest.approx(np.full(16, decode), rel=0.005)
    both = float(kernels.prompts_time(*on.records, 16.0, 512.0, 0.0))
    assert found["first_token_s"] == pytest.approx(np.full(16, both), rel=0.03)
    one = {"arrival": np.zeros(1), "input_tokens": 2048, "output_tokens": 1}
    alone = serving.simulate("H200-SXM", MODEL, plan, one, scheduler).requests["first_token_s"][0]
    exchanged = _core.STEP_FIELDS.index("communication_s")
    own = kernels.prefill_step(*on.records, 2048.0, 0.0)
    as_both = float(kernels.prompts_step(*on.records, 2.0, 2048.0, 0.0)[exchanged] - own[exchanged])
    # one of two ranks with a prompt broadcasts it as long as both would theirs
    assert alone == pytest.approx(float(own[0]) + as_both, rel=0.03)
    assert as_both > 0.03 * alone
    table = step_table(on, scheduler.limits(scheduler.resolved(on)), 4096.0)
    assert (table.missing >= 0.0).all() and table.missing.max() > 0.0


def _most_carried(tokens):
    """Of a ring in which each rank broadcasts its own: what the busiest link carries, in tokens."""
    ranks = len(tokens)
    links = np.zeros(ranks)
    for root, own in enumerate(tokens):
        for step in range(ranks - 1):
            links[(root + step) % ranks] += own
    return links.max()


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_with_unlike_tokens_exchange_as_much_as_the_busiest_link_carries(ranks):
    plan = tr.Plan(dp=ranks, moe_ep=ranks)
    on = deployment("RTX-PRO-6000", MODEL, plan, "calibrated")
    scheduler = serving.Scheduler.preset("vllm-0.33")
    table = step_table(on, scheduler.limits(scheduler.resolved(on)), 4096.0)
    i, j = 30, 3
    n, b = table.axes[2][i], table.axes[0][j]
    all_alike = kernels.mixed_prompts_step(*on.records, ranks * b, 1.0, 1.0 * ranks, n, 0.0)
    alone = kernels.mixed_step(*on.records, ranks * b, 1.0, n, 0.0)
    fewer = (all_alike - alone) / ((ranks - 1) * n)
    time, exchanged = (fewer[_core.STEP_FIELDS.index(f)] for f in ("time", "communication_s"))
    assert exchanged > 0.1 * time
    # tokens that the exchange takes as long for as if all ranks had as many
    even = _most_carried([n] * ranks) / n
    short = (even - _most_carried([n] + [0.0] * (ranks - 1)) / n) / even
    want = (time - exchanged) * (ranks - 1) * n + exchanged * short * ranks * n
    assert 1e-9 * table.missing[i, j] * (ranks - 1) * n == pytest.approx(want, rel=1e-9)
    assert short == (0.0 if ranks == 2 else pytest.approx(2.0 / 3.0))


def test_plans_whose_ranks_are_not_played():
    load = {"arrival": [0.0], "input_tokens": 4, "output_tokens": 1}
    with pytest.raises(
        ValueError, match="dp=2, and Llama-3.1-8B has no experts to share.*replicas=2"
    ):
        serving.simulate("H100-SXM", "Llama-3.1-8B", tr.Plan(dp=2), load)
    with pytest.raises(
        ValueError, match="min_stats_update_interval_ms is given; allowed with a plan"
    ):
        serving.simulate(
            "H100-SXM", "Llama-3.1-8B", None, load,
            serving.Scheduler.preset("vllm-0.33", min_stats_update_interval_ms=50),
        )  # fmt: skip
