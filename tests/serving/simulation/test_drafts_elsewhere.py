"""Speculation with SGLang and TensorRT-LLM: every decision against their plain twins, and what is refused."""

import random

import numpy as np
import pytest
import recorded
import sglang_scenarios
import sglang_twin
import test_trtllm
import trtllm_twin
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from twin import Circles

import tokenroof as tr
from tokenroof import serving

SEEDS = st.integers(0, 10**9)
MS = 1_000_000
METHODS = ("mtp", "eagle", "ngram", "Llama-3.2-1B")
#: Five hundred of each were the same.
FEW = settings(max_examples=max(10, settings.default.max_examples // 4))


def drafts(rng):
    """Who drafts, how many tokens, and how many of them are kept."""
    k = rng.randint(1, 5)
    return {
        "acceptance": sorted(
            (rng.choice([0.0, 1.0, rng.random()]) for _ in range(k)), reverse=True
        ),
        "method": rng.choice(METHODS), "seed": rng.randrange(2**64),
    }  # fmt: skip


def options_of(trace):
    """What `simulate` takes of a scenario's drafts."""
    own = trace["drafting"]
    return {
        "speculation": {"method": own["method"], "acceptance": own["acceptance"]}, "seed": own["seed"],
        "step_time": serving.StepTime(*(trace["step_time"][n] for n in "abc"), per_draft_ns=trace["step_time"]["d"]),
        "record_steps": True,
    }  # fmt: skip


# --- TensorRT-LLM -----------------------------------------------------------------------------------------


def trtllm(seed):
    trace, rng = test_trtllm.draw(seed), random.Random(seed + 2)
    own = trace["drafting"] = drafts(rng)
    of_states = own["method"] in ("mtp", "eagle")
    own["lookahead"] = len(own["acceptance"]) - 1 if of_states else 0
    trace["step_time"]["d"] = rng.choice([0, 1234])
    config = trace["config"]
    config["disable_overlap_scheduler"] = config["disable_overlap_scheduler"] if of_states else True
    config["max_tokens"] += rng.choice([0, 15]) + 15
    return trace


@FEW
@given(seed=SEEDS)
def test_every_decision_of_trtllm_is_the_twin_s(seed):
    trace = trtllm(seed)
    engine = trtllm_twin.Engine(trace)
    try:
        want = engine.run()
    except Circles:
        reject()
    scheduler = serving.Scheduler.preset("trtllm-1.4", **trace["config"])
    run = serving.simulate(
        None, None, None, recorded.requests_of(trace), scheduler, **options_of(trace)
    )
    cached = trace["config"]["enable_block_reuse"]
    assert recorded.decided(run, cached) == recorded.wanted(want["steps"], cached)
    assert recorded.results(run) == want["results"]
    assert [[int(x) for x in row] for row in run.given] == engine.given_out


# --- SGLang -----------------------------------------------------------------------------------------------


def sglang(seed):
    rng = random.Random(seed + 2)
    trace = sglang_scenarios.draw(seed, undeclared=rng.random() < 0.3, enable_mixed_chunk=False)
    own = trace["drafting"] = drafts(rng)
    own["states"] = own["method"] in ("mtp", "eagle")
    trace["step_time"]["d"] = rng.choice([0, 1234])
    trace["config"]["max_total_tokens"] += rng.choice([0, 40])
    return trace


@FEW
@given(seed=SEEDS)
def test_every_decision_of_sglang_is_the_twin_s(seed):
    trace = sglang(seed)
    engine = sglang_twin.Engine(trace)
    want = engine.run()
    run = sglang_scenarios.play(trace, **options_of(trace))
    assert recorded.decided(run) == want["steps"]
    assert recorded.results(run) == want["results"]
    assert [[int(x) for x in row] for row in run.given] == engine.given_out
    assert (run.totals["ending"] == "blocked") is want["stuck"]


# --- by hand ----------------------------------------------------------------------------------------------

ENGINES = {
    "sglang-0.5.23": {"max_total_tokens": 100_000, "context_length": 10_000},
    "trtllm-1.4": {"max_tokens": 100_000, "max_seq_len": 10_000},
}


def play(engine, acceptance, load=None, method="mtp", **knobs):
    load = load or {"arrival": np.zeros(6), "input_tokens": 50, "output_tokens": 121}
    spec = acceptance and {"method": method, "acceptance": acceptance}
    return serving.simulate(
        None, None, None, load, serving.Scheduler.preset(engine, **{**ENGINES[engine], **knobs}),
        step_time=serving.StepTime(MS, 1000, 0, per_draft_ns=500), speculation=spec, record_steps=True,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_never_kept_costs_time_alone(engine):
    """Six sequences, each a token and four drafts a step, and as many steps; SGLang's overlapped loop knows no end."""
    off = {
        "sglang-0.5.23": {"disable_overlap_schedule": True},
        "trtllm-1.4": {"disable_overlap_scheduler": True},
    }[engine]
    plain, none = play(engine, None, **off), play(engine, [0.0] * 4, **off)
    assert none.totals["steps"] == plain.totals["steps"] == 121
    assert none.totals["drafted"] == 6 * 4 * 120 and none.totals["kept"] == 0
    more = none.requests["last_token_ns"] - plain.requests["last_token_ns"]
    assert (more == 120 * 6 * 4 * (1000 + 500)).all()
    over = play(engine, [0.0] * 4)
    assert over.totals["steps"] == 121 + (engine == "sglang-0.5.23")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_what_is_always_kept_gives_all_at_once(engine, k):
    run = play(engine, [1.0] * k)
    first = run.requests["first_token_ns"].max()
    steps = -(-120 // (k + 1))
    assert len(np.unique(run.given["end_ns"][run.given["end_ns"] > first])) == steps
    assert run.totals["kept"] == run.totals["drafted"] >= 6 * k * steps
    assert run.given["tokens"][run.given["end_ns"] > first].sum() == 6 * 120


def test_sglang_has_memory_for_two_steps_ahead():
    """A request alone of 50 tokens: 50, then 2 (1 + 3) more of what is known at each step."""
    load = {"arrival": [0.0], "input_tokens": 50, "output_tokens": 9}
    run = play(
        "sglang-0.5.23", [1.0] * 3, load, disable_radix_cache=True, disable_overlap_schedule=True
    )
    # 50; then 50 known and 54 known: each 4 tokens further
    assert (100_000 - run.steps["free_blocks"]).tolist() == [50, 58, 62]


def test_trtllm_gives_back_what_was_not_kept():
    """A head over states: 50 tokens and 2 beside; each step 4 more, of which 3 are taken back."""
    load = {"arrival": [0.0], "input_tokens": 50, "output_tokens": 4}
    run = play("trtllm-1.4", [0.0] * 3, load, tokens_per_block=1, disable_overlap_scheduler=True)
    assert (100_000 - run.steps["free_blocks"]).tolist() == [52, 56, 57, 58]


def test_a_head_finds_a_token_less_in_sglangs_tree():
    load = {
        "arrival": [0.0, 1.0],
        "input_tokens": 50,
        "output_tokens": 2,
        "prompt": [np.array([[7, 50]])] * 2,
    }
    for method, found in (("ngram", 49), ("eagle", 48)):
        run = play("sglang-0.5.23", [0.0], load, method)
        assert run.requests["cached_tokens"].tolist() == [0, found]


@pytest.mark.parametrize(
    ("engine", "method", "users", "acceptance", "apart"),
    [
        ("sglang", "eagle", 1, [0.9, 0.2], 0.005), ("sglang", "ngram", 8, [0.7] * 5, 0.02),
        ("trtllm", "eagle", 31, [0.8, 0.6, 0.5], 0.012), ("trtllm", "Llama-3.2-1B", 8, [0.9], 0.02),
    ],
)  # fmt: skip
def test_a_users_pace_is_that_of_the_closed_form(engine, method, users, acceptance, apart):
    """As far as prompts do not stall answers, which SGLang's do: six in a hundred with 31 users, as without."""
    spec, plan = serving.Speculation(method, None, acceptance), tr.Plan(engine=engine)
    alone = engine == "trtllm" and method != "eagle"
    scheduler = (
        serving.Scheduler.preset("trtllm-1.4", disable_overlap_scheduler=True) if alone else None
    )
    outputs = serving.Lengths.lognormal(400, 0.4)
    load = serving.users(users, 8 * users + 100, input_tokens=1000, output_tokens=outputs)
    run = serving.simulate(
        "H200-SXM", "Llama-3.1-8B", plan, load, scheduler, speculation=spec, seed=3
    )
    system = serving.System(
        both=serving.Pool("H200-SXM", plan), speculation=spec, model="Llama-3.1-8B"
    )
    table = serving.curve(system, input_tokens=1000, output_tokens=400, concurrency=[users])
    seen = serving.summary(run.requests[2 * users : -2 * users])["tpot_s"]["mean"]
    assert seen == pytest.approx(float(table.tpot_s[0]), rel=apart)
    assert run.energy.joules > 0.0


def test_drafts_take_memory_and_places():
    load = {"arrival": [0.0], "input_tokens": 5, "output_tokens": 9}
    where = ("H100-SXM", "Llama-3.1-8B", None, load)
    runs = [
        serving.simulate(*where, serving.Scheduler.preset("sglang-0.5.23"), speculation=spec).config
        for spec in (None, {"method": "eagle"}, {"method": "Llama-3.2-1B"})
    ]
    # of 74.5 GiB: 12.625 and 2 MiB a graph, of 256 or 48; then the 2 and 6 GiB that SGLang leaves to drafts
    reserved = [12.625 + 0.5, 12.625 + 0.09375 + 2.0, 12.625 + 0.09375 + 6.0]
    memory = 80e9 / 2**30
    assert [c["mem_fraction_static"] for c in runs] == [
        round(1.0 - r / memory, 3) for r in reserved
    ]
    assert [c["max_running_requests"] for c in runs[1:]] == [48, 48]
    blocks = [
        serving.simulate(*where, serving.Scheduler.preset("trtllm-1.4"), speculation=spec).config["num_blocks"]
        for spec in (None, {"method": "eagle"})
    ]  # fmt: skip
    assert 0.9 * blocks[0] < blocks[1] < blocks[0]


@pytest.mark.parametrize(
    ("engine", "knobs", "method", "says"),
    [
        ("sglang-0.5.23", {"enable_mixed_chunk": True}, "mtp", "enable_mixed_chunk is True with speculation"),
        ("trtllm-1.4", {}, "ngram", "disable_overlap_scheduler is False.*allowed: True, or drafts by mtp"),
        ("trtllm-1.4", {"max_num_tokens": 2}, "mtp", "max_num_tokens is 2 with.*allowed: at least 3"),
    ],
)  # fmt: skip
def test_what_is_refused(engine, knobs, method, says):
    with pytest.raises(ValueError, match=says):
        play(engine, [0.5, 0.5], method=method, **knobs)
