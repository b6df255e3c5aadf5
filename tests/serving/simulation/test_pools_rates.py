"""Rates matched: what pools serve, against the closed form of the same system.

A sweep over models, loads, links and pools is `bench/rate_matching.py`, which says where they part.
"""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import serving

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
