"""What the closed form of replicas that compute prompts alone is given: steps and moments by hand."""

from math import erf, sqrt

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment
from tokenroof.serving import Scheduler
from tokenroof.serving.prompt_pool import prompt_twin
from tokenroof.serving.prompts import lognormal
from tokenroof.serving.twin import Shape, told_of

ON = deployment("H100-SXM", "Llama-3.1-8B", tr.Plan())
WIDE = tr.Plan(tp=8, moe_ep=8, weights="fp8", kv_cache="fp8")
SMALL = Scheduler.preset("vllm-0.33", max_num_batched_tokens=2048, host_ns=200_000)
WHOLE = Scheduler.preset("trtllm-1.4", enable_chunked_prefill=False)


def step(prompts, tokens, past, host):
    return float(kernels.prompts_time(*ON.records, prompts, tokens, past)) + host


def test_a_prompt_of_whole_pieces_has_no_step_more():
    """Of 2, 1 and 3 steps of 2,048 tokens: the last by itself, those before it about their middle."""
    for many in (1, 2, 3):
        shape = Shape(2048.0 * many, 1.0)
        host = told_of(ON, shape, SMALL).host_s
        assert host > 0.0
        found = prompt_twin(ON, shape, SMALL)
        before = many - 1
        last = step(1.0, 2048.0, 2048.0 * before, host)
        pieces = step(1.0, 2048.0, 1024.0 * max(before - 1, 0), host)
        assert found.moments["alone"] == pytest.approx(last + before * pieces, rel=1e-12)
        assert found.moments["many"] == pytest.approx(1.0 / many)
        middle = step(1.0, 2048.0, 0.5 * 2048.0 * before, host)
        assert found.moments["each"] == pytest.approx(middle * many, rel=1e-12)


def test_a_prompt_that_is_cut_ends_with_what_is_left():
    shape = Shape(2048.0 + 100.0, 1.0)
    host = told_of(ON, shape, SMALL).host_s
    found = prompt_twin(ON, shape, SMALL).moments["alone"]
    want = step(1.0, 100.0, 2048.0, host) + step(1.0, 2048.0, 0.0, host)
    assert found == pytest.approx(want, rel=1e-12)


def test_steps_begin_with_one_prompt_and_end_with_full_ones():
    """The first is that of a prompt by itself, the last its part of full steps times as many."""
    lengths, share = np.array([100.0, 300.0, 1500.0]), np.array([0.5, 0.3, 0.2])
    mean = float(lengths @ share)
    long_ = float(lengths**2 @ share) / mean
    shape = Shape(mean, 1.0, float(lengths**2 @ share) / mean**2 - 1.0, lengths=(lengths, share))
    found = prompt_twin(
        ON, shape, Scheduler.preset("vllm-0.33", max_num_batched_tokens=8192, host_ns=200_000)
    )
    host = told_of(ON, shape, SMALL).host_s
    sizes, many = found.sizes, 8192.0 / mean
    assert found.moments["many"] == pytest.approx(many) and sizes[-1] == pytest.approx(many)
    assert sizes[0] == 1.0 and found.seconds[0] == found.moments["alone"]
    assert found.seconds[-1] == pytest.approx(found.moments["each"] * many, rel=1e-12)
    each = [step(8192.0 / n, n, 0.0, host) * n / 8192.0 for n in lengths]
    own = [step(1.0, n, 0.0, host) for n in lengths]
    for k in (1, 2, 3, 4):
        name = "" if k == 1 else f"_{k}"
        assert found.moments[f"each{name}"] == pytest.approx(np.power(each, k) @ share, rel=1e-12)
        assert found.moments[f"alone{name}"] == pytest.approx(np.power(own, k) @ share, rel=1e-12)
    # between them, what full ones are off is taken off in proportion
    plain = []
    for n in sizes:
        # lengths of n of them vary as their mean does; what each has beyond it attends to more
        cv2 = (long_ / mean - 1.0) / n
        points, weights = lognormal(mean, cv2)
        past = 0.5 * (long_ / mean - 1.0 - cv2) * points
        plain.append(
            sum(w * step(n, at, p, host) for at, p, w in zip(points, past, weights, strict=True))
        )
    off = found.moments["each"] * many / plain[-1] - 1.0
    part = (sizes - 1.0) / (many - 1.0)
    assert abs(off) > 1e-4
    assert found.seconds[1:] == pytest.approx((plain * (1.0 + off * part))[1:], rel=1e-12)


@pytest.mark.parametrize(
    ("device", "model", "plan", "shorter"),
    [("H200-SXM", "Qwen3-235B-A22B", WIDE, True), ("L40S", "Llama-3.1-8B", tr.Plan(), False)],
)
def test_a_step_of_varied_prompts_is_the_mean_of_their_steps(device, model, plan, shorter):
    """Of experts that are touched; of a dense model's weights, behind which few hide, longer: by drawn prompts."""
    on = deployment(device, model, plan)
    points, weights = lognormal(100.0, 1.0)
    shape = Shape(100.0, 1.0, 1.0, lengths=(points, weights))
    found = prompt_twin(on, shape, SMALL)
    random = np.random.default_rng(3)
    drawn = random.choice(points, (4000, 2), p=weights)
    seconds = kernels.prompts_time(*on.records, 2.0, drawn.mean(axis=1), 0.0).mean() + 2e-4
    plain = float(kernels.prompts_time(*on.records, 2.0, 100.0, 0.0)) + 2e-4
    two = float(np.interp(2.0, found.sizes, found.seconds))
    assert two == pytest.approx(seconds, rel=0.012)
    assert abs(two / plain - 1.0) > 0.02 and (two < plain) == shorter


@pytest.mark.parametrize("tokens", [1024.0, 5000.0])
def test_steps_that_take_no_three_prompts_have_a_line(tokens):
    """Two in one are twice their part of full ones, where a prompt is several steps too."""
    found = prompt_twin(ON, Shape(tokens, 1.0), SMALL)
    first, last = found.moments["alone"], 2.0 * found.moments["each"]
    line = first + (last - first) * (found.sizes - 1.0)
    assert found.sizes[-1] == 2.0 and found.seconds == pytest.approx(line, rel=1e-12)


def test_a_prompt_of_one_token_and_one_place():
    """Tokens of a step are one, the least that there is."""
    one = Scheduler.preset("vllm-0.33", max_num_seqs=1, host_ns=200_000)
    shape = Shape(1.0, 1.0)
    found = prompt_twin(ON, shape, one).moments
    want = step(1.0, 1.0, 0.0, told_of(ON, shape, one).host_s)
    assert found["many"] == 1.0
    assert (found["alone"], found["each"]) == pytest.approx((want, want), rel=1e-12)


def test_ranks_and_stages_take_prompts_side_by_side():
    """Each of two stages of two ranks has a step of its own: four times as many, each a quarter of one."""
    shape = Shape(512.0, 1.0)
    on = deployment("H100-SXM", "Llama-3.1-8B", tr.Plan(dp=2, pp=2))
    host = told_of(on, shape, SMALL).host_s
    found = prompt_twin(on, shape, SMALL)
    full = float(kernels.prompts_time(*on.records, 8.0, 512.0, 0.0)) + host
    assert found.moments["many"] == 16.0
    assert found.moments["each"] == pytest.approx(full / 16.0, rel=1e-12)
    assert found.saturation == pytest.approx(16.0 / full, rel=1e-12)


def test_those_inside_are_their_rate_times_their_time():
    found = prompt_twin(ON, Shape(512.0, 1.0), SMALL)
    rates = np.array([0.3, 0.8]) * found.saturation
    seen = found.at(rates)
    assert seen["waiting"] == pytest.approx(rates * seen["queue"], rel=1e-12)
    assert seen["running"] == pytest.approx(rates * (seen["ttft"] - seen["queue"]), rel=1e-12)


@pytest.mark.parametrize(
    "lengths", [(300.0, 700.0, 2000.0), (1500.0, 2000.0, 2500.0), (300.0, 400.0, 8000.0)]
)
def test_how_many_whole_prompts_go_into_a_step(lengths):
    """The first is as long as that of which a token is; each further one is there if all are no more than the room."""
    lengths, share = np.array(lengths), np.array([0.5, 0.3, 0.2])
    one, two, three = (float(lengths**k @ share) for k in (1, 2, 3))
    shape = Shape(one, 1.0, two / one**2 - 1.0, lengths=(lengths, share))
    room = told_of(ON, shape, WHOLE).budget
    mean, variance, many = two / one, three / one - (two / one) ** 2, 1.0
    for _ in range(60):
        mean, variance = mean + one, variance + two - one**2
        many += 0.5 * (1.0 + erf((room - mean) / sqrt(2.0 * variance)))
    found = prompt_twin(ON, shape, WHOLE).moments
    assert found["many"] == pytest.approx(min(many, room / one), rel=1e-5)
    host = told_of(
        ON, shape, WHOLE
    ).host_s  # none is cut, if it is longer than what is full in the mean
    alone = sum(s * step(1.0, n, 0.0, host) for n, s in zip(lengths, share, strict=True))
    assert found["alone"] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize(("tokens", "many"), [(2048.0, 4.0), (2048.1, 3.0), (1024.0, 8.0)])
def test_whole_prompts_of_one_length_fill_a_step_to_its_end(tokens, many):
    assert prompt_twin(ON, Shape(tokens, 1.0), WHOLE).moments["many"] == pytest.approx(many)
