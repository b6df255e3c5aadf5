"""The closed forms on devices: mixtures of experts, prompts of many lengths, graphs that pad; and a fleet's rate."""

import dataclasses
import json

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, kernels
from tokenroof.cli.program import main
from tokenroof.inference.door import deployment
from tokenroof.serving import (
    SLO,
    Lengths,
    Scheduler,
    capacity,
    curve,
    fleet,
    poisson,
    simulate,
    stability,
    users,
)
from tokenroof.serving.prompts import SLOWER, beside, further, padded_decode, prompts_of, slower
from tokenroof.serving.twin import Shape, raw_moments, told_of, twin_of

MIXTURE = ("H200-SXM", "gpt-oss-120b", tr.Plan(weights="mxfp4"))
DENSE = ("H100-SXM", "Llama-3.1-8B", tr.Plan())
GAPS = ("kernel_gap", "collective_gap", "sequence")
HALF = {"input_tokens": Lengths.lognormal(500, 0.5), "output_tokens": Lengths.lognormal(500, 0.5)}


def test_a_prompts_kernels_take_longer_in_company_alone():
    """By the fitted share of what they take without gaps, of each further prompt as of the first."""
    on = deployment(*DENSE, "calibrated")
    d, c, m, p = on.records
    own, bare = c.copy(), c.copy()
    own[SLOWER] = 1.0
    bare[[_core.CALIBRATION_FIELDS.index(f"engine.{n}") for n in GAPS]] = 0.0
    at, some = np.array([700.0]), np.array([0.0, 8.0])
    more = (c[SLOWER] - 1.0) * kernels.prefill_time(d, bare, m, p, at, 0.0)
    assert more > 1e-4 and slower(on, at) == pytest.approx(more, rel=1e-12)
    same = dataclasses.replace(on, records=(d, own, m, p))
    longer, plain = (beside(o, some, 900.0, (at, np.ones(1)))[:, 0] for o in (on, same))
    assert longer - plain == pytest.approx([0.0, more[0]], rel=1e-9)
    each = [further(o, some[1:], 900.0, 700.0, np.ones(1)) for o in (on, same)]
    two = (c[SLOWER] - 1.0) * kernels.prompts_time(d, bare, m, p, 2.0, at, 0.0)
    assert each[0] - each[1] == pytest.approx(two - more, rel=1e-9)


def agree(row, seen, mean):
    """Means within 10, percentiles within 20 %, where the form says so."""
    assert row.means_hold and row.percentiles_hold
    for time in ("ttft", "tpot", "e2e"):
        values = seen[f"{time}_s"]
        assert float(row[mean.format(time)]) == pytest.approx(values["mean"], rel=0.1), time
        for p in ("p50", "p90", "p99"):
            assert float(row[f"{time}_{p}_s"]) == pytest.approx(values[p], rel=0.2), (time, p)


@pytest.mark.parametrize(
    ("place", "many"), [(DENSE, 1), (MIXTURE, 1), (MIXTURE, 8)], ids=["dense-1", "mixture-1", "mixture-8"]
)  # fmt: skip
def test_first_tokens_of_users_whose_prompts_vary(place, many):
    """A prompt's time is convex in its length where attention counts, concave where experts are touched."""
    row = curve(*place, concurrency=[many], **HALF).isel(concurrency=0)
    seen = simulate(*place, users(many, requests=3000, seed=1, **HALF)).summary()
    agree(row, seen, "{}_mean_s")


@pytest.mark.parametrize(
    ("place", "sizes", "share"),
    [
        (MIXTURE, (500, 500), 0.02), (MIXTURE, (500, 500), 0.1),
        (("H200-SXM", "Qwen3-30B-A3B", tr.Plan()), (500, 500), 0.02),
        (("B200-SXM", "gpt-oss-120b", tr.Plan(weights="mxfp4")), (2000, 500), 0.07),
    ],
)  # fmt: skip
def test_seldom_prompts_of_mixtures_pay_for_all_their_experts(place, sizes, share):
    """Prompts beside few touch what nobody else does; steps of few are padded to captured graphs."""
    known = dict(zip(("input_tokens", "output_tokens"), sizes, strict=True))
    load = poisson(share * stability(*place, **known).rate, requests=2000, seed=1, **known)
    row = curve(*place, load=load).isel(rate=0)
    seen = simulate(*place, load).summary()
    for time in ("ttft", "tpot", "e2e"):
        assert float(row[f"{time}_s"]) == pytest.approx(seen[f"{time}_s"]["mean"], rel=0.1), time
    assert row.means_hold and row.ttft_s > tr.prefill(*place, tokens=sizes[0]).time_s


def test_moments_of_prompts_by_hand():
    """Two lengths, one as likely as the other: mean, variance and no skew; alone, it is the prefill."""
    on = deployment(*DENSE, "calibrated")
    both = prompts_of([400.0, 1600.0])
    mean, variance, third = beside(on, np.zeros(1), 500.0, both)[0]
    short, long = (float(tr.prefill(*DENSE, tokens=n).time_s) for n in (400, 1600))
    assert mean == pytest.approx(0.5 * (short + long))
    assert variance == pytest.approx(0.25 * (long - short) ** 2)
    assert third == pytest.approx(0.0, abs=1e-12)
    at, share = Shape(1000.0, 10.0, 0.25).prompts
    assert at @ share == pytest.approx(1000.0)
    assert (at**2 @ share) / 1e6 - 1.0 == pytest.approx(0.25, rel=0.05)


def test_graphs_pad_and_further_prompts_find_experts_touched():
    on = deployment(*MIXTURE, "calibrated")
    graphs = np.array([1.0, 2.0, 4.0, 8.0])
    steps = padded_decode(on, np.array([3.0, 4.0, 8.0, 9.0]), 0.0, graphs)
    plain = [float(tr.decode(*MIXTURE, batch=b, context=0).time_s) for b in (4, 4, 8, 9)]
    assert steps == pytest.approx(plain)
    few = np.array([2.0])
    first = (
        beside(on, few, 500.0, prompts_of([500.0]))[0, 0] - padded_decode(on, few, 500.0, graphs)[0]
    )
    assert 0.0 < float(further(on, few, 500.0, 500.0, few)[0]) < 0.5 * first


@pytest.mark.parametrize("lag", [0.0, 1.0])
@pytest.mark.parametrize("place", [DENSE, MIXTURE], ids=["dense", "mixture"])
def test_what_a_prompt_adds_to_a_step_is_of_the_first_and_of_further_ones(place, lag):
    """Of k that come with a step's answers one of 1 - exp(-k) is the first: it touches what nobody else does."""
    on, shape = deployment(*place, "calibrated"), Shape(500.0, 10.0)
    knobs = Scheduler.preset("vllm-0.33", max_num_seqs=64, loop="async" if lag else "sync")
    twin = twin_of(on, shape, knobs)
    assert len(twin.steps) == 65 and (twin.steps[0], twin.inputs["lag"]) == (0.0, lag)
    told = told_of(on, shape, knobs)
    for n in (1.0, 64.0):  # numbers of users that are evaluated, not interpolated
        some = np.array([n])
        decode = padded_decode(on, some, shape.context, told.graphs)[0]
        mean, variance, third = beside(on, some, shape.context, shape.prompts)[0]
        came = n / (10.0 + lag)
        more = float(further(on, some, shape.context, 500.0, np.array([came]))[0])
        share = (1.0 - np.exp(-came)) / came
        added = more + (mean - decode - more) * share
        assert twin.steps[int(n)] == pytest.approx(decode, rel=1e-12)
        want = raw_moments(added, variance, third)
        assert twin.prompts[int(n)] == pytest.approx(want, rel=1e-9)
    alone = beside(on, np.zeros(1), shape.context, shape.prompts)[0, 0]
    assert twin.prompts[0, 0] == pytest.approx(alone, rel=1e-9)
    assert raw_moments(2.0, 3.0, 5.0).tolist() == [2.0, 7.0, 8.0 + 18.0 + 5.0]


def test_a_fleet_is_not_asked_for_rates_that_nobody_held(capsys):
    """One replica at the closed form's 28 requests a second is overloaded: seconds in place of half a one."""
    sizes = {"input_tokens": 1000, "output_tokens": 200}
    ask = ("H200-SXM", "Llama-3.1-8B", None, SLO(ttft_s=0.5, percentile=99))
    found = fleet(*ask, 60_000, **sizes, availability=0.99)
    assert found.percentiles_hold and found.means_hold and found.rate < found.rate_unheld
    assert found.replicas * found.rate >= 1000.0
    run = simulate(*ask[:3], poisson(found.rate, requests=3000, **sizes))
    assert run.summary()["ttft_s"]["p99"] <= 0.5
    words = [
        "capacity",
        "H200-SXM",
        "Llama-3.1-8B",
        "--slo-ttft",
        "0.5@99",
        "--input-tokens",
        "1000",
        "--output-tokens",
        "200",
    ]
    assert main([*words, "--demand", "60000"]) == 0
    asked = capsys.readouterr().out
    assert f"held up to there; beyond, it names {found.rate_unheld:.3g} requests/s" in asked
    assert main([*words, "--demand", "60000", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["percentiles_hold"] is True and row["rate_unheld"] > row["rate"]
    # the same band with a demand and without
    assert main(words) == 0
    bands = [
        line.split(";")[0] for line in (asked + capsys.readouterr().out).splitlines() if "band: " in line
    ]  # fmt: skip
    assert len(bands) == 2 and bands[0] == bands[1]
    assert row["ttft_error_band"] == pytest.approx(found.ttft_error_band)


def test_a_fleet_says_where_nothing_was_held(capsys):
    """Prompts of most of a step's budget, and means: the numbers are there, and the flag says no."""
    words = [
        "capacity",
        "H200-SXM",
        "Llama-3.1-8B",
        "--input-tokens",
        "7000",
        "--output-tokens",
        "200",
        "--demand",
        "600",
    ]
    assert main([*words, "--slo-ttft", "5@99"]) == 0
    assert (
        "percentiles here are outside what the closed form was held to" in capsys.readouterr().out
    )
    sizes = {"input_tokens": 1000, "output_tokens": 200}
    mean = fleet("H200-SXM", "Llama-3.1-8B", None, SLO(ttft_s=0.5), 600, **sizes)
    assert mean.means_hold is False and np.isnan(mean.rate_unheld)
    low = SLO(ttft_s=0.1, percentile=99)  # within what was held: as `capacity` has it
    tight = fleet("H200-SXM", "Llama-3.1-8B", None, low, 600, **sizes)
    most = capacity("H200-SXM", "Llama-3.1-8B", None, low, **sizes)
    assert tight.rate == pytest.approx(float(most.rate), rel=1e-3) and np.isnan(tight.rate_unheld)
    assert tight.percentiles_hold and tight.ttft_error_band == float(most.ttft_error_band)


RANKS = ("H200-SXM", "DeepSeek-R1", tr.Plan(dp=8, moe_ep=8, weights="fp8_block"))


@pytest.mark.parametrize("output", [1, 2, 32])
def test_first_tokens_come_later_at_higher_rates(output):
    """A first prompt takes nearly all of a step of eight ranks, and more are hidden behind it."""
    sizes = {"input_tokens": 16000, "output_tokens": output}
    most = stability(*RANKS, **sizes).rate
    table = curve(*RANKS, **sizes, rate=most * np.linspace(0.02, 0.9, 23))
    assert (np.diff(table.ttft_s) > 0.0).all()
    assert (table.ttft_p99_s > table.ttft_s).all()


@pytest.mark.parametrize(("output", "share"), [(1, 0.3), (1, 0.5), (2, 0.9), (32, 0.5)])
def test_first_tokens_beside_few_that_decode(output, share):
    """Up to twenty times late where each prompt was taken to add as much as the first."""
    sizes = {"input_tokens": 16000, "output_tokens": output}
    rate = share * stability(*RANKS, **sizes).rate
    row = curve(*RANKS, **sizes, rate=[rate]).isel(rate=0)
    seen = simulate(*RANKS, poisson(rate, requests=2500, seed=1, **sizes)).summary()
    assert float(row.ttft_s) == pytest.approx(seen["ttft_s"]["mean"], rel=0.25)
