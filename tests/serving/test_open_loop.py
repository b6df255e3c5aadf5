"""The open loop in closed form: its twin, laws of queues, limits by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support import within
from tokenroof import _core, kernels
from tokenroof.reference.core.roundings import counting
from tokenroof.reference.serving.open_loop import Chain, Raw, carrying, open_loop

INPUTS, FIELDS = _core.OPEN_LOOP_INPUTS, _core.OPEN_LOOP_FIELDS
ISAS = list(kernels.by_isa())
PLAIN = dict(zip(INPUTS, (500.0, 0.5, 200.0, 0.5, 2048.0, 1.0, 0.0, 1.0), strict=True))
W = 0.01  # seconds that a prompt adds


def varied(w, cv2):
    """Raw moments of a lognormal."""
    return np.array([w, w * w * (1.0 + cv2), w**3 * (1.0 + cv2) ** 3])


def alike(prompts):
    """Of prompts each of which adds the same, the first of a step too."""
    prompts = np.asarray(prompts, float)
    return np.hstack([prompts, np.zeros((len(prompts), 1)), prompts])


def run(steps, inputs, rates, isa=None, threads=1, prompts=None):
    """Quantities of one plan over rates; prompts that add the same beside all, and vary as their lengths."""
    if prompts is None:
        prompts = np.tile(varied(W, inputs["input_cv2"]), (len(steps), 1))
    elif np.ndim(prompts) == 0:
        prompts = np.tile(varied(prompts, inputs["input_cv2"]), (len(steps), 1))
    if prompts.shape[1] == 3:
        prompts = alike(prompts)
    rates = np.atleast_1d(np.asarray(rates, float))
    out = np.empty((1, rates.size * len(FIELDS)))
    given_ = np.array([[inputs[name] for name in INPUTS]])
    _core.open_loop(
        isa or _core.ISA, np.array([steps], float), prompts.reshape(1, -1), given_, rates[None], out, threads
    )  # fmt: skip
    return dict(zip(FIELDS, out.reshape(rates.size, -1).T, strict=True))


@st.composite
def plans(draw):
    places = draw(st.integers(1, 40) | st.sampled_from([64, 300]))
    fixed, each = draw(st.floats(1e-4, 1.0)), draw(st.floats(0.0, 1.0))
    steps = fixed * (1.0 + each * np.arange(places + 1.0))
    if draw(st.booleans()):  # a graph's padding, a jump
        steps += np.where(np.arange(places + 1) % 8 == 1, draw(st.floats(0.0, 1.0)), 0.0)
    inputs = dict(zip(INPUTS, (
        draw(st.floats(1.0, 1e5)), draw(st.floats(0.0, 9.0)),
        draw(st.floats(1.0, 1e4)), draw(st.just(1.0) | st.floats(0.0, 9.0)), draw(st.floats(16.0, 1e5)),
        draw(st.just(1.0) | st.floats(0.0, 9.0)), draw(st.sampled_from([0.0, 1.0])),
        draw(st.sampled_from([1.0, 2.0, 8.0])),
    ), strict=True))  # fmt: skip
    # beside many a prompt of a mixture adds less
    w = draw(st.floats(0.0, 1.0)) / (1.0 + draw(st.floats(0.0, 0.2)) * np.arange(places + 1.0))
    cv2 = draw(st.floats(0.0, 9.0))
    begin, each = draw(st.floats(0.0, 1.0)) * w, draw(st.floats(0.0, 1.0)) * w
    prompts = np.vstack([varied(w, cv2), begin, varied(each, cv2)]).T.copy()
    most = places / (inputs["output"] * steps[-1] + places * w[-1])
    return steps, prompts, inputs, most


@pytest.mark.parametrize("isa", ISAS)
@given(plan=plans(), shares=st.lists(st.floats(1e-9, 1.2), min_size=1, max_size=9))
def test_the_kernel_is_its_twin(isa, plan, shares):
    steps, prompts, inputs, most = plan
    rates = [float(share * most) for share in shares]
    got = run(steps, inputs, rates, isa, prompts=prompts)
    for i, rate in enumerate(rates):
        with counting():
            want = open_loop(steps.tolist(), prompts.tolist(), inputs, rate)
        here = np.array([got[name][i] for name in FIELDS])
        assert within(here, [want[name] for name in FIELDS]).all(), want


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("places", [801, 1500])
def test_weights_beyond_1e200_are_scaled_together(isa, places):
    """A thousand places of equal steps: the weight of n is (rate / most * places)^n / n!, up to e^places."""
    steps = np.full(places + 1, 0.01) * (1.0 + 1e-4 * np.arange(places + 1))
    most = places / (PLAIN["output"] * steps[-1] + places * 1e-5)
    rates = [0.0, *(share * most for share in (0.5, 0.7, 0.99))]
    got = run(steps, PLAIN, rates, isa, prompts=1e-5)
    prompts = [varied(1e-5, 0.5).tolist()] * (places + 1)
    for i, rate in enumerate(rates):
        with counting():
            want = open_loop(steps.tolist(), alike(prompts).tolist(), PLAIN, rate)
        assert within([got[name][i] for name in FIELDS], [want[name] for name in FIELDS]).all()


@pytest.mark.parametrize("isa", ISAS)
def test_what_is_no_rate_is_nan(isa):
    got = run([0.01] * 5, PLAIN, [math.nan, -1.0, 0.0, 1e9, 1.0], isa)
    assert np.isnan(got["load"]).tolist() == [True, True, False, False, False]
    assert np.isnan(got["ttft_p99"]).tolist() == [True, True, True, True, False]
    assert got["load"][3] > 1.0


# --- laws ----------------------------------------------------------------------------------------------


def queue(servers, load):
    """Servers of an exponential time: steps that take as long whatever they carry, one token each."""
    inputs = {
        **PLAIN,
        "output": 1.0,
        "output_cv2": 1.0,
        "input_cv2": 0.0,
        "budget": 1e9,
        "ranks": 1.0,
    }
    return run(np.ones(servers + 1), inputs, [load * servers], prompts=0.0)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("servers", [1, 2, 8, 100])
def test_erlang(servers, load):
    """M/M/c: the probability of a wait by Erlang's C, and the mean wait."""
    offered = load * servers
    blocked = 1.0
    for c in range(1, servers + 1):  # Erlang's B, by its recursion
        blocked = offered * blocked / (c + offered * blocked)
    waits = blocked / (1.0 - load * (1.0 - blocked))
    got = queue(servers, load)
    # weights below 1e-20 of all are left out
    assert got["waits"][0] == pytest.approx(waits, rel=1e-9, abs=1e-18)
    assert got["queue"][0] == pytest.approx(waits / (servers * (1.0 - load)), rel=1e-9, abs=1e-18)
    assert got["running"][0] == pytest.approx(offered, rel=1e-9)
    assert got["load"][0] == pytest.approx(load)


def test_a_wait_is_weighted_by_the_spread_of_services():
    """M/D/1 waits half as long as M/M/1, and M/G/1 by (1 + cv2) / 2 [Pollaczek, Khinchine]."""
    for cv2 in (0.0, 0.5, 3.0):
        inputs = {**PLAIN, "output": 1.0, "output_cv2": cv2}
        assert run([1.0, 1.0], inputs, [0.8], prompts=0.0)["queue"][0] == pytest.approx(
            0.8 / 0.2 * (1 + cv2) / 2
        )


@given(plan=plans(), share=st.floats(0.01, 0.95))
def test_littles_law_and_order(plan, share):
    steps, prompts, inputs, most = plan
    found = run(steps, inputs, [share * most], prompts=prompts)
    got = {name: x[0] for name, x in found.items()}
    for name in ("ttft", "tpot", "e2e"):
        assert (
            got[f"{name}_p50"]
            <= got[f"{name}_p90"] * (1 + 1e-12)
            <= got[f"{name}_p99"] * (1 + 1e-9)
        )
        assert got[name] > 0.0
    assert got["running"] <= len(steps) - 1 + 1e-9
    assert got["queue"] >= 0.0
    if inputs["output_cv2"] == 1.0 and inputs["arrival_cv2"] == 1.0:  # Little's law of M/M/c
        assert got["queue"] * share * most == pytest.approx(got["waiting"], rel=1e-9, abs=1e-12)
    after = inputs["output"] - 1.0
    assert (
        got["e2e"] >= (got["ttft"] + after * got["tpot"]) * (1 - 1e-9) or inputs["output_cv2"] > 0.0
    )


def test_without_load_it_is_one_request():
    """No others: a step that carries the prompt alone, then steps of one."""
    steps = np.array([0.006, 0.007, 0.008, 0.009])
    inputs = {**PLAIN, "input_cv2": 0.0, "output_cv2": 0.0}
    got = {name: x[0] for name, x in run(steps, inputs, [1e-9]).items()}
    assert got["ttft"] == pytest.approx(0.006 + 0.01, rel=1e-6)
    assert got["tpot"] == pytest.approx(0.007, rel=1e-6)
    for name in ("ttft", "tpot", "e2e"):
        assert got[f"{name}_p99"] == pytest.approx(got[name], rel=1e-2)


def test_a_prompt_beyond_the_budget_takes_more_steps():
    steps = np.full(5, 0.01)
    inputs = {**PLAIN, "input": 5000.0, "input_cv2": 0.0, "budget": 2048.0}
    assert run(steps, inputs, [1e-9])["ttft"][0] == pytest.approx(0.01 + 3 * 0.01, rel=1e-3)


def test_ranks_have_a_budget_each():
    """Four times the tokens of a step, of which one prompt has a rank's alone: what is ahead is spread."""
    s, w, rate = 0.01, 0.001, 300.0
    found = {}
    for ranks, budget in ((1.0, 1e12), (1.0, 4000.0), (4.0, 4000.0), (4.0, 1000.0)):
        inputs = {**PLAIN, "input": 3000.0, "input_cv2": 0.0, "budget": budget, "ranks": ranks}
        found[ranks, budget] = run([s] * 1601, inputs, [1e-9, rate], prompts=w)
    seldom = {which: float(x["ttft"][0]) for which, x in found.items()}
    assert seldom[4.0, 4000.0] == pytest.approx(seldom[1.0, 4000.0], rel=1e-9)
    assert seldom[4.0, 1000.0] == pytest.approx(seldom[1.0, 1e12] + 2.5 * s, rel=1e-2)
    lives = {which: float((x["e2e"] - x["ttft"])[1]) for which, x in found.items()}
    after = PLAIN["output"] - 1.0
    passing = lives[1.0, 1e12] - s * after
    for ranks in (1.0, 4.0):
        most = after * w * ranks * 4000.0 / 3000.0
        want = s * after + passing * -np.expm1(-most / passing)
        assert lives[ranks, 4000.0] == pytest.approx(want, rel=1e-6)
    late = {which: float(x["ttft"][1]) for which, x in found.items()}
    assert late[1.0, 1e12] < late[4.0, 4000.0] < late[1.0, 4000.0]


def test_quantities_grow_with_the_load():
    steps = 0.006 + 5e-5 * np.arange(257)
    most = 256 / (PLAIN["output"] * steps[-1] + 256 * W)
    got = run(steps, PLAIN, most * np.linspace(0.05, 0.99, 50))
    for name in ("ttft", "tpot", "e2e", "running", "waits", "ttft_p99", "tpot_p99"):
        rises = np.diff(got[name])
        # weights below 1e-20 of all are left out: so many never wait
        assert (rises >= 0 if name == "waits" else rises > 0).all(), name


def test_threads_give_the_same_bytes():
    rates = np.linspace(0.1, 90.0, 20_001)
    steps = 0.006 + 5e-5 * np.arange(257)
    one, two = run(steps, PLAIN, rates), run(steps, PLAIN, rates, threads=2)
    assert all(np.array_equal(one[name], two[name], equal_nan=True) for name in FIELDS)


def test_a_hundred_thousand_points(benchmark):
    """256 places, rates over all loads, step times given: seconds are a benchmark's matter (a million a second)."""
    steps = np.tile(0.006 + 5e-5 * np.arange(257), (20, 1))
    most = 256 / (PLAIN["output"] * steps[0, -1] + 256 * W)
    rates = np.tile(np.linspace(0.01, 0.99, 5000) * most, (20, 1))
    inputs = np.tile([PLAIN[name] for name in INPUTS], (20, 1))
    prompts = np.tile(alike([varied(W, 0.5)]), (20, 257))
    out = np.empty((20, 5000 * len(FIELDS)))
    benchmark(_core.open_loop, _core.ISA, steps, prompts, inputs, rates, out, 1)
    assert np.isfinite(out).any() and all(
        np.array_equal(row, out[0], equal_nan=True) for row in out
    )


@pytest.mark.parametrize("budget", [8192.0, 2048.0])
def test_no_more_prompts_pass_in_an_answer_than_fill_its_steps(budget):
    """The time that they take, exponential, up to full steps: in the mean the part that an exponential has below."""
    s, w, after = 0.01, 1.0, PLAIN["output"] - 1.0
    lives = {}
    for room in (1e12, budget):
        inputs = {**PLAIN, "input": 30_000.0, "budget": room}
        found = run([s] * 401, inputs, [0.75 / w], prompts=w)
        lives[room] = float(found["e2e"][0] - found["ttft"][0])
    passing, most = lives[1e12] - s * after, after * w * budget / 30_000.0
    want = s * after + passing * -np.expm1(-most / passing)
    assert lives[budget] == pytest.approx(want, rel=1e-6)
    assert lives[budget] < 0.999 * lives[1e12]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"isa": "mmx"}, "isa is 'mmx'"), ({"threads": 0}, "threads is 0"),
        ({"steps": np.ones((1, 1))}, "steps have no place"), ({"steps": np.ones((2, 3))}, "steps is no contiguous"),
        ({"inputs": np.ones((1, 2))}, "inputs is no contiguous matrix of 1 x 8"), ({"prompts": np.ones((1, 3))}, "prompts is no contiguous matrix of 1 x 21"),
        ({"rates": np.ones(3)}, "rates"),
        ({"out": np.ones((1, 3))}, "out is no contiguous"), ({"rates": np.ones((1, 2), np.float32)}, "rates is no"),
    ],
)  # fmt: skip
def test_what_is_refused(change, says):
    given_ = {
        "isa": _core.ISA, "steps": np.ones((1, 3)), "prompts": np.ones((1, 21)), "inputs": np.ones((1, len(INPUTS))), "rates": np.ones((1, 2)),
        "out": np.ones((1, 2 * len(FIELDS))), "threads": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=says):
        _core.open_loop(**{**given_, **change})


@pytest.mark.parametrize(
    ("s", "w", "load", "output", "off"),
    [(2e-3, 0.05, 0.5, 100.0, 0.06), (1e-3, 0.02, 0.35, 300.0, 0.01)],
)
def test_a_whole_answer_varies_with_what_passes_in_it(s, w, load, output, off):
    """Steps alike, and prompts that come in as many as an answer has, and in theirs: counted out by its length.

    Without that long answers vary more the median is late, and the 99th percentile early, by 10 and 1.2 %.
    """
    draw, cv2 = np.random.default_rng(3), 0.3
    inputs = {
        **PLAIN,
        "input": 1.0,
        "input_cv2": 0.0,
        "output": output,
        "output_cv2": cv2,
        "budget": 1e9,
        "ranks": 1.0,
    }
    found = {
        name: float(x[0])
        for name, x in run(
            [s] * 2001, inputs, [load / w], prompts=varied(w, 0.0) * np.ones((2001, 1))
        ).items()
    }
    spread = np.log1p(cv2)
    took = s * output * np.exp(draw.normal(-0.5 * spread, spread**0.5, 200_000))
    more = took
    for _ in range(50):
        more = w * draw.poisson(more * load / w)
        took = took + more
    rest = found["e2e"] - took.mean()
    for p in (50, 99):
        assert found[f"e2e_p{p}"] == pytest.approx(rest + np.percentile(took, p), rel=off)


@pytest.mark.parametrize(
    ("begin", "rate"), [(0.0, 1.5), (1.7, 0.3), (1.7, 0.9), (1.7, 1.5), (0.05, 2.0)]
)
def test_steps_whose_first_prompt_takes_most(begin, rate):
    """Steps with and without prompts, one after the other, counted out; a first prompt's part is bounded."""
    s, each = 0.02, 0.3
    draw = np.random.default_rng(2)
    steps, last = np.empty(60_000), s
    for i in range(steps.size):
        come = draw.poisson(rate * last)
        steps[i] = last = s + begin * (come > 0) + each * come
    moments = Raw(each, each**2, each**3)
    chain = Chain(*[0.0] * 5, s, s * s, s, s * s, moments, moments, begin, moments, each, s, s * s)
    mean, share = carrying(chain, rate, rate * each)
    # where the first takes most, steps after two prompts and after one are one state here
    near = 0.16 if begin > 2.0 * each and rate > 0.5 else 0.05
    assert mean == pytest.approx(steps.mean(), rel=near)
    assert share == pytest.approx((steps > 1.5 * s).mean(), rel=near)
