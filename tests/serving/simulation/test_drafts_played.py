"""Speculation in the simulator: every decision against the plain twin, and what must come out by hand."""

import random

import numpy as np
import pytest
import recorded
import scenarios
import twin
from hypothesis import given, reject
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import serving

MS = 1_000_000
SEEDS = st.integers(0, 10**9)


def drafted(seed):
    """A scenario with drafts."""
    rng = random.Random(seed)
    trace = scenarios.draw(seed)
    k = rng.randint(1, 5)
    chances = sorted((rng.choice([0.0, 1.0, rng.random()]) for _ in range(k)), reverse=True)
    method = rng.choice(["mtp", "eagle", "ngram", "Llama-3.2-1B"])
    config = trace["config"]
    if method == "Llama-3.2-1B" and "max_num_scheduled_tokens" not in config:
        config["max_num_scheduled_tokens"] = max(
            config["max_num_batched_tokens"] - config["max_num_seqs"], 1
        )
    config["num_blocks"] += rng.choice([0, 3 * k])
    trace["drafting"] = {
        "acceptance": chances, "lookahead": 0 if method == "ngram" else k, "method": method,
        "states": method in ("mtp", "eagle"), "seed": rng.randrange(2**64),
    }  # fmt: skip
    trace["step_time"]["d"] = rng.choice([0, 1234])
    return trace


@given(seed=SEEDS)
def test_every_decision_is_the_twin_s(seed):
    trace = drafted(seed)
    engine = twin.Engine(trace)
    try:
        decided = engine.run()
    except twin.Circles:
        reject()
    run = recorded.play(trace, record_steps=True)
    cached = trace["config"]["enable_prefix_caching"]
    assert recorded.decided(run, cached) == recorded.wanted(decided["steps"], cached)
    assert recorded.results(run) == decided["results"]
    assert [[int(x) for x in row] for row in run.given] == engine.given_out
    assert recorded.play(trace).requests.tobytes() == run.requests.tobytes()


# --- by hand ---------------------------------------------------------------------------------------------


def play(acceptance=None, load=None, loop="sync", step=None, **options):
    load = load or {"arrival": np.zeros(6), "input_tokens": 50, "output_tokens": 121}
    spec = acceptance if acceptance is None else {"method": "mtp", "acceptance": acceptance}
    step = step or serving.StepTime(MS, 1000, 0, per_draft_ns=500)
    scheduler = serving.Scheduler.preset("vllm-0.33", num_blocks=4000, loop=loop)
    return serving.simulate(
        None, None, None, load, scheduler, step_time=step, speculation=spec, **options
    )


@pytest.mark.parametrize("loop", ["sync", "async"])
def test_what_is_never_kept_costs_time_alone(loop):
    plain, none = play(loop=loop), play([0.0] * 4, loop=loop)
    assert none.totals["steps"] == plain.totals["steps"]
    assert none.totals["drafted"] == 6 * 4 * 120 and none.totals["kept"] == 0
    more = none.requests["last_token_ns"] - plain.requests["last_token_ns"]
    assert (more == 120 * 6 * 4 * (1000 + 500)).all()
    assert (none.requests["first_token_ns"] == plain.requests["first_token_ns"]).all()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_what_is_always_kept_gives_all_at_once(k):
    """A prompt's step, then k + 1 tokens a step."""
    run = play([1.0] * k, record_steps=True)
    assert run.totals["steps"] == 1 + -(-120 // (k + 1))
    assert run.totals["kept"] == run.totals["drafted"]
    assert set(run.given["tokens"][6:-6].tolist()) == {k + 1}
    assert run.given["tokens"].sum() == 6 * 121


@pytest.mark.parametrize("acceptance", [[0.8] * 3, [0.9, 0.6, 0.3, 0.1], [0.5]])
def test_tokens_of_a_step_are_those_of_the_closed_form(acceptance):
    """The mean of 40,000 steps, within four of its standard errors."""
    load = {"arrival": np.zeros(100), "input_tokens": 50, "output_tokens": 1000}
    run = play(acceptance, load=load, seed=7)
    spec = serving.Speculation("mtp", None, acceptance)
    steps = run.totals["drafted"] / spec.length
    survived = np.cumprod(acceptance)
    n = np.arange(1, spec.length + 1)
    variance = ((2 * n - 1) * survived).sum() - survived.sum() ** 2
    assert run.totals["kept"] / steps + 1 == pytest.approx(
        spec.tokens, abs=4 * np.sqrt(variance / steps)
    )


def test_the_seed_is_all_that_is_drawn_from():
    load = serving.poisson(50.0, requests=200, input_tokens=100, output_tokens=60)
    runs = [play([0.7, 0.5], load=load, seed=seed) for seed in (1, 1, 2)]
    assert runs[0].requests.tobytes() == runs[1].requests.tobytes()
    assert runs[0].requests.tobytes() != runs[2].requests.tobytes()
    many = [play([0.7, 0.5], load=[load] * 3, seed=1, threads=n) for n in (1, 3)]
    for run in (*many[0], *many[1]):
        assert run.requests.tobytes() == runs[0].requests.tobytes()


def test_tokens_that_come_at_once_have_one_gap():
    run = play([1.0] * 3, load={"arrival": [0.0], "input_tokens": 5, "output_tokens": 9},
               step=serving.StepTime(MS), record_steps=True)  # fmt: skip
    assert serving.token_gaps(run).tolist() == [0.001, 0.001]


@pytest.mark.parametrize(
    "device, model, method, users, acceptance",
    [
        ("H200-SXM", "Llama-3.1-8B", "eagle", 31, [0.8, 0.6, 0.5]),
        ("H200-SXM", "Llama-3.1-8B", "ngram", 8, [0.7] * 5),
        ("H100-SXM", "Qwen3-8B", "Qwen3-0.6B", 32, [0.9]),
        ("H100-SXM", "Qwen3-8B", "eagle", 1, [0.9, 0.2]),
    ],
)
def test_a_users_pace_is_that_of_the_closed_form(device, model, method, users, acceptance):
    """TPOT of users in closed loop; 36 such combinations were within 1 %."""
    spec = serving.Speculation(method, None, acceptance)
    outputs = serving.Lengths.lognormal(400, 0.4)
    load = serving.users(users, 8 * users + 100, input_tokens=1000, output_tokens=outputs)
    run = serving.simulate(device, model, None, load, speculation=spec, seed=3)
    system = serving.System(both=serving.Pool(device), speculation=spec, model=model)
    table = serving.curve(system, input_tokens=1000, output_tokens=400, concurrency=[users])
    settled = run.requests[2 * users : -2 * users]
    seen = serving.summary(settled)["tpot_s"]["mean"]
    assert seen == pytest.approx(float(table.tpot_s[0]), rel=0.03)


def test_ranks_gain_what_the_closed_form_says():
    """Its TPOT is a few per cent below that of ranks with and without drafts, whose loads differ."""
    plan, users = tr.Plan(dp=2, weights="fp8"), 32
    spec = serving.Speculation("eagle", None, [0.8, 0.6])
    load = serving.users(
        users, 6 * users + 100, input_tokens=500, output_tokens=serving.Lengths.lognormal(300, 0.4)
    )
    seen, said, blocks = [], [], []
    for drafts in (None, spec):
        run = serving.simulate("H200-SXM", "Qwen3-30B-A3B", plan, load, speculation=drafts, seed=3)
        system = serving.System(
            both=serving.Pool("H200-SXM", plan), speculation=drafts, model="Qwen3-30B-A3B"
        )
        table = serving.curve(system, input_tokens=500, output_tokens=300, concurrency=[users])
        seen.append(serving.summary(run.requests[2 * users : -2 * users])["tpot_s"]["mean"])
        said.append(float(table.tpot_s[0]))
        blocks.append(run.config["num_blocks"])
    assert seen[1] / seen[0] == pytest.approx(said[1] / said[0], rel=0.05)
    assert 0.97 * blocks[0] < blocks[1] < blocks[0]  # a head's cache is one of 48 layers'


def test_a_pipeline_does_not_draft():
    """Nor does the engine: its issues 44697 and 57755."""
    load = {"arrival": [0.0], "input_tokens": 5, "output_tokens": 9}
    with pytest.raises(ValueError, match="speculation is 3 drafts by ngram.*allowed.*None"):
        serving.simulate(
            "H100-SXM", "Llama-3.1-8B", tr.Plan(pp=2), load, serving.Scheduler.preset("vllm-0.33", loop="sync"),
            speculation={"method": "ngram", "acceptance": [0.5] * 3},
        )  # fmt: skip


def test_a_model_that_drafts_needs_tokens_beside_those_of_a_step():
    load = {"arrival": [0.0], "input_tokens": 5, "output_tokens": 9}
    knobs = {"num_blocks": 99, "max_num_batched_tokens": 8, "max_num_seqs": 8}
    with pytest.raises(ValueError, match="max_num_batched_tokens is 8 with max_num_seqs 8"):
        serving.simulate(
            None, None, None, load, serving.Scheduler.preset("vllm-0.33", **knobs),
            step_time=serving.StepTime(MS), speculation={"method": "Llama-3.2-1B"},
        )  # fmt: skip


def test_drafts_take_memory_that_contexts_had():
    load = {"arrival": [0.0], "input_tokens": 5, "output_tokens": 9}
    blocks = [
        serving.simulate("H100-SXM", "Llama-3.1-8B", None, load, speculation=spec).config["num_blocks"]
        for spec in (None, {"method": "ngram"}, {"method": "eagle"}, {"method": "Llama-3.2-1B"})
    ]  # fmt: skip
    assert blocks[0] == blocks[1] > blocks[2] > blocks[3]
    one = tr.model("Llama-3.1-8B")
    # a head's cache is one of 32 layers', beside its weights
    assert blocks[0] * 32 / 33 > blocks[2] > 0.9 * blocks[0] * 32 / 33, one.layers
