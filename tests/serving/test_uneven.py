"""Steps of several prompts beside the line that the open loop takes them for, and what the flags make of it."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving import Lengths, poisson, simulate, stability, summary
from tokenroof.serving.prompts import padded_decode, slower
from tokenroof.serving.twin import MEANS_HOLD, PERCENTILES_HOLD, Twin, shape_of, twin_of
from tokenroof.serving.uneven import uneven

NO_GRAPHS = np.empty(0)
A100 = ("A100-SXM-80GB", "Llama-3.1-8B", tr.Plan())
H100 = ("H100-SXM", "Llama-3.1-8B", tr.Plan())
H200 = ("H200-SXM", "Llama-3.3-70B", tr.Plan(tp=4, weights="fp8"))


def by_hand(on, context, tokens, state, line, graphs):
    """Departures of mean and deviation at one state, summed term by term."""
    n, come, load = state
    apart = math.sqrt(1.5 * n / (1.0 - load))
    sums = {"real": [0.0] * 3, "flat": [0.0] * 3}
    seen = {"real": 0.0, "flat": 0.0}
    total = 0.0
    for some in (n - apart, n, n + apart):
        some = min(max(float(np.rint(some)), 1.0), len(line[0]) - 1.0)
        at = [float(np.interp(some, np.arange(len(x)), x)) for x in line]
        for k in range(9):
            share = come**k / math.factorial(k) / 3.0
            many = max(k, 1)
            real = float(kernels.mixed_prompts_time(*on.records, some, context, many, tokens, 0.0))
            real += float(slower(on, tokens, prompts=many))
            if k == 0:
                real = float(padded_decode(on, np.array([some]), context, graphs)[0])
            flat = at[0] + (at[1] if k else 0.0) + k * at[2]
            for name, x in (("real", real), ("flat", flat)):
                for power in range(3):
                    sums[name][power] += share * x**power
                seen[name] += share * k * x
            total += share
    mean = {name: s[1] / total for name, s in sums.items()}
    deviation = {name: math.sqrt(s[2] / total - mean[name] ** 2) for name, s in sums.items()}
    departs = [mean["real"] / mean["flat"] - 1.0, seen["real"] / seen["flat"] - 1.0]
    return max(map(abs, departs)), abs(deviation["real"] / deviation["flat"] - 1.0)


@pytest.mark.parametrize("graphs", [NO_GRAPHS, np.array([8.0, 64.0])])
@pytest.mark.parametrize("state", [(12.0, 0.7, 0.5), (30.0, 2.0, 0.8)])
def test_departures_are_sums_over_prompts_and_sequences(state, graphs):
    on = deployment(*A100)
    places = np.arange(65.0)
    line = (0.009 + 2e-5 * places, 1e-3 - 1e-6 * places, 4e-3 + 1e-5 * places)
    at = tuple(np.array([x, x]) for x in state)
    found = uneven(on, 120.0, 115.0, at, line, graphs)
    for got, want in zip(found, by_hand(on, 120.0, 115.0, state, line, graphs), strict=True):
        assert got == pytest.approx([want, want], rel=1e-9)
        assert want > 0.01


def asked(place, inputs, outputs, load):
    """The twin's answers at a share of saturation, and the requests."""
    rate = load * stability(*place, input_tokens=inputs.mean, output_tokens=outputs.mean).rate
    requests = poisson(rate, requests=8000, seed=1, input_tokens=inputs, output_tokens=outputs)
    shape = shape_of(requests)
    found = twin_of(deployment(*place), shape).at(np.array([shape.rate]))
    return {name: float(x[0]) for name, x in found.items()}, requests


@pytest.mark.parametrize(
    ("place", "inputs", "outputs", "load", "why"),
    [
        (A100, (115, 0), (12, 1), 0.6, "uneven_spread"),
        (A100, (53, 1), (8, 0), 0.7, "uneven"),
        (H200, (30, 1), (146, 0.3), 0.8, "uneven"),
        (H200, (51, 0), (496, 0.3), 0.89, "uneven"),
        (H100, (2000, 0.3), (8, 1), 0.3, "short_answers"),
        (H100, (76, 0), (20, 0), 0.02, "even_odds"),
    ],
)
def test_flags_are_down_where_steps_are_no_line(place, inputs, outputs, load, why):
    lengths = [Lengths.lognormal(m, cv) if cv else Lengths.fixed(m) for m, cv in (inputs, outputs)]
    found, _ = asked(place, *lengths, load)
    assert not found["percentiles_hold"]
    assert found[why] > PERCENTILES_HOLD[why]
    if why in MEANS_HOLD:
        assert not found["means_hold"]


def test_flags_stay_up_where_steps_are_a_line():
    for load, prompts, answers in ((0.6, 400, 200), (0.5, 100, 100)):
        lengths = Lengths.lognormal(prompts, 0.5), Lengths.lognormal(answers, 0.5)
        found, _ = asked(H100, *lengths, load)
        assert found["means_hold"]
        assert found["percentiles_hold"]


def test_hidden_prompts_are_what_the_simulator_plays():
    """Without the flag the 99th percentile of the first token would be a quarter too short and said to hold."""
    found, requests = asked(A100, Lengths.fixed(115), Lengths.lognormal(12, 1.0), 0.6)
    seen = summary(simulate(*A100, requests).requests[400:-400])["ttft_s"]
    assert found["ttft_p99"] < 0.8 * seen["p99"]


def test_short_answers_count_more_where_they_vary_and_half_idle_is_even_odds():
    steps = np.array([0.0, 0.01, 0.0101])
    prompts = np.tile([0.001, 1e-6, 1e-9], (3, 1))
    inputs = {"input": 50.0, "input_cv2": 0.0, "output": 40.0, "output_cv2": 0.5, "budget": 8192.0,
              "arrival_cv2": 1.0, "lag": 0.0, "ranks": 1.0}  # fmt: skip
    twin = Twin(
        steps,
        prompts,
        inputs,
        2.0,
        2.0,
        bent=(np.array([0.0, 2.0]), np.array([0.0, 0.02]), np.array([0.0, 0.4])),
    )
    found = twin.at(np.array([0.5]))
    assert found["short_answers"] == pytest.approx((1.0 + 0.8 * 0.5) / 40.0)
    running = -math.log(1.0 - float(found["even_odds"][0]) / 2.0)  # idle more than half of the time
    assert found["uneven"] == pytest.approx(0.01 * running / (1.0 - found["load"]), rel=1e-9)
    assert found["uneven_spread"] == pytest.approx(0.2 * running, rel=1e-9)
    assert 0.1 < running < math.log(2.0)
    long_ = Twin(steps, prompts * [30.0, 900.0, 27000.0], inputs, 2.0, 2.0)
    assert long_.at(np.array([0.5]))["even_odds"] == 0.0
