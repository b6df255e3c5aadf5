"""Replicas whose memory holds one request or a few: a place is held for its own prompt too."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import curve, simulate, stability, summary, users

DENSE = "H100-SXM", "Qwen3-32B", tr.Plan()


def rates(device, model, plan, tokens, answer, concurrency):
    table = curve(device, model, plan, tokens, answer, concurrency=concurrency)
    return table.output_throughput.values, table.batch.values


@pytest.mark.parametrize("tokens", [33_000, 35_000])
def test_one_place_serves_one_after_another(tokens):
    rate, batch = rates(*DENSE, tokens, 200, [1, 8, 64])
    assert 1.0 < batch[1] == batch[2] < 1.1
    # of one user's the admission alone is hidden
    assert rate[0] < rate[1] <= rate[2] < 1.1 * rate[0]


def test_as_played():
    rate, _ = rates(*DENSE, 33_000, 200, [8])
    load = users(8, 40, input_tokens=33_000, output_tokens=200)
    played = summary(simulate(*DENSE, load).requests)["output_throughput"]
    assert rate[0] == pytest.approx(played, rel=0.1)


def test_no_stage_passes_more_prompts_than_it_computes():
    """Fewer requests than stages leave stages idle; a longer prompt is never the faster one."""
    plan = tr.Plan(tp=2, pp=2, moe_ep=2, moe_tp=1)
    shorter, longer = (
        rates("Gaudi 3", "DeepSeek-V2", plan, tokens, 200, [1024])[0][0]
        for tokens in (60_000, 90_000)
    )
    prompt = float(tr.prefill("Gaudi 3", "DeepSeek-V2", plan, tokens=90_000).time_s)
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
