"""Rates matched: what pools serve, against the closed form of the same system.

A sweep over models, loads, links and pools is `bench/rate_matching.py`, which says where they part.
"""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels, serving
from tokenroof.inference.door import deployment

PLAN = tr.Plan(weights="fp8", kv_cache="fp8")
USERS = np.unique(np.round(np.geomspace(1, 5000, 60))).astype(int)
MODEL = "Llama-3.1-8B"
PLAIN = serving.Scheduler.preset("vllm-0.33", cudagraphs=False)  # padding is not in the closed form


@pytest.mark.parametrize(
    "prompts, answers, inputs, outputs",
    [(1, 1, 3000, 100), (2, 1, 4000, 120), (1, 2, 5000, 250), (2, 2, 2500, 300)],
)
@pytest.mark.parametrize("share", [0.85])
def test_below_85_percent_rates_and_times_are_the_closed_form_s(
    prompts, answers, inputs, outputs, share
):
    """A system keeps up with the rate that its closed form gives, with its time per token, within 10 %."""
    system = serving.disaggregate(("H100-SXM", PLAN, prompts), ("H100-SXM", PLAN, answers))
    table = serving.curve(
        system, MODEL, None, input_tokens=inputs, output_tokens=outputs, concurrency=USERS
    )
    rates = table.output_throughput.values / outputs
    allowed = np.flatnonzero(rates <= share * np.nanmax(rates))
    at = int(allowed[-1])
    load = serving.poisson(
        rates[at], requests=700, seed=1,
        input_tokens=serving.Lengths.uniform(inputs * 3 // 4, inputs * 5 // 4),
        output_tokens=serving.Lengths.uniform(outputs * 3 // 4, outputs * 5 // 4),
    )  # fmt: skip
    run = serving.simulate(system, MODEL, None, load, PLAIN, router="least_loaded")
    assert run.verdict.state != "overloaded"
    late = run.requests[200:]
    ends = np.sort(late["last_token_ns"])
    came = np.sort(late["arrival_ns"])
    assert (ends[-1] - ends[0]) == pytest.approx(came[-1] - came[0], rel=0.1)
    took = (late["last_token_ns"] - late["first_token_ns"]).sum() * 1e-9
    tpot = took / (late["output_tokens"] - 1).sum()
    assert tpot == pytest.approx(float(table.tpot_s[at]), rel=0.1)


@pytest.mark.parametrize("engine, rounds", [("vllm", 1.0), ("sglang", 0.0), ("trtllm", 0.0)])
def test_the_first_token_of_one_user_comes_with_the_cache_or_a_round_later(engine, rounds):
    """vLLM's decode replica computes a prompt's last token again; elsewhere it was sampled with the prompt."""
    plan = tr.Plan(weights="fp8", kv_cache="fp8", engine=engine)
    system = serving.disaggregate(("H100-SXM", plan, 1), ("H100-SXM", plan, 1), link_bandwidth=5e10)
    table = serving.curve(system, MODEL, None, 800, 64, concurrency=[1], fidelity="datasheet")
    load = {"arrival": [0.0], "input_tokens": [800], "output_tokens": [64]}
    row = serving.simulate(system, MODEL, None, load, fidelity="datasheet").requests[0]
    tpot, ttft = float(table.tpot_s[0]), float(table.ttft_s[0])
    assert row["first_token_s"] == pytest.approx(ttft, rel=0.01)
    assert (row["last_token_s"] - row["first_token_s"]) / 63 == pytest.approx(tpot, rel=0.01)
    prompt = float(
        kernels.prefill_time(*deployment("H100-SXM", MODEL, plan, "datasheet").records, 800.0, 0.0)
    )
    sent = float(table.transfer_s[0])
    assert ttft == pytest.approx(prompt + sent + rounds * tpot, rel=0.01)
