"""Replicas whose memory holds one request or a few: a place is held for its own prompt too."""

from statistics import NormalDist

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.inference.engine_kernels import engine_kernels
from tokenroof.serving import curve, simulate, stability, summary, users

DENSE = "H100-SXM", "Qwen3-32B", tr.Plan()


def rates(device, model, plan, tokens, answer, concurrency):
    table = curve(device, model, plan, tokens, answer, concurrency=concurrency)
    return table.output_throughput.values, table.batch.values


@pytest.mark.parametrize("tokens", [33_000, 35_000])
def test_one_place_serves_one_after_another(tokens):
    rate, batch = rates(*DENSE, tokens, 200, [1, 8, 64])
    assert batch[1] == batch[2] == 1.0
    # of one user's the admission is hidden, and what a prompt takes beside its kernels on its own way
    assert rate[0] < rate[1] <= rate[2] < 1.2 * rate[0]


def test_as_played():
    rate, _ = rates(*DENSE, 33_000, 200, [8])
    load = users(8, 40, input_tokens=33_000, output_tokens=200)
    played = summary(simulate(*DENSE, load).requests)["output_throughput"]
    assert rate[0] == pytest.approx(played, rel=0.1)


#: Tokens that the cache of `DENSE` holds.
ROOM = 35_689.367


@pytest.mark.parametrize(
    ("tokens", "answer", "places"),
    [(19_631, 196, 1.0), (13_218, 6_609, 1.836), (9_913, 9_914, 1.929), (8_111, 8_111, 2.421),
     (16_061, 161, 2.0), (4_711, 47, 7.0)],
)  # fmt: skip
def test_one_more_than_fit_whole_runs_while_the_others_leave_it_room(tokens, answer, places):
    """By the normal distribution of tokens that so many hold, each anywhere in its answer; as played."""
    whole = int(ROOM / (tokens + answer))
    over = ROOM - (whole + 1) * (tokens + answer / 2)
    share = NormalDist(0.0, answer * ((whole + 1) / 12) ** 0.5).cdf(over)
    rate, batch = rates(*DENSE, tokens, answer, [16])
    assert batch[0] == pytest.approx(whole + share, abs=1e-5) == pytest.approx(places, abs=1e-3)
    load = users(16, 48, input_tokens=tokens, output_tokens=answer)
    run = np.sort(simulate(*DENSE, load).requests, order="last_token_ns")[9:39]
    seconds = 1e-9 * (run["last_token_ns"][-1] - run["last_token_ns"][0])
    assert rate[0] == pytest.approx(run["output_tokens"][1:].sum() / seconds, rel=0.1)


def test_an_engine_that_sets_whole_answers_aside_begins_no_more_than_fit():
    engine = {"memory_share": 1.0, "memory_weights": 1.0, "memory_reserved": 0.0}
    batch = [
        curve(
            *DENSE, 8_000, 8_000, concurrency=[16],
            fidelity=tr.Calibration(constants={"engine": {**engine, "whole": whole}}),
        ).batch.item()
        for whole in (0.0, 1.0)
    ]  # fmt: skip
    assert batch[1] == np.floor(batch[1]) < batch[0] < batch[1] + 1.0
    both = [engine_kernels(name, tr.device("H100-SXM")) for name in ("trtllm", "vllm", "sglang")]
    assert [of.get("whole", 0.0) for of in both] == [1.0, 0.0, 0.0]


def test_no_stage_passes_more_prompts_than_it_computes():
    """Fewer requests than stages leave stages idle; a longer prompt is never the faster one."""
    plan = tr.Plan(tp=2, pp=2, moe_ep=2, moe_tp=1)
    shorter, longer = (
        rates("Gaudi 3", "DeepSeek-V2", plan, tokens, 200, [1024])[0][0]
        for tokens in (60_000, 80_000)
    )
    prompt = float(tr.prefill("Gaudi 3", "DeepSeek-V2", plan, tokens=80_000).time_s)
    assert longer < shorter
    assert longer / 200 < 1.1 / prompt


def test_what_users_wait_for_is_what_the_rate_leaves():
    """Little's law: those who wait are those in flight less those with a place."""
    table = curve(*DENSE, 20_000, 200, concurrency=[4, 64])
    rate = table.output_throughput.values / 200
    assert np.allclose(rate * table.latency_s.values, [4, 64])
    held = table.batch.values / rate  # seconds of a place, when many wait
    assert held[1] == pytest.approx(held[0], rel=0.1)


def test_nobody_has_the_last_token_before_the_first():
    most = stability(*DENSE, input_tokens=20_000, output_tokens=200).rate
    table = curve(*DENSE, 20_000, 200, rate=np.array([0.3, 0.6, 0.9, 0.97]) * most)
    for share in ("p50", "p90", "p99"):
        assert (table[f"e2e_{share}_s"] >= table[f"ttft_{share}_s"]).all(), share
