"""Replicas that compute prompts alone: the kernel against its twin, laws of queues, runs of the simulator."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import _core, kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.reference.serving.prompt_pool import prompt_pool
from tokenroof.serving import Lengths, Scheduler
from tokenroof.serving.prompt_pool import prompt_twin
from tokenroof.serving.twin import Shape, shape_of

INPUTS, FIELDS = _core.PROMPT_POOL_INPUTS, _core.PROMPT_POOL_FIELDS
MODEL = "Llama-3.1-8B"


def varied(name, mean, cv2):
    """Raw moments of a lognormal."""
    powers = {k: mean**k * (1.0 + cv2) ** (k * (k - 1) / 2) for k in (2, 3, 4)}
    return {name: mean, **{f"{name}_{k}": x for k, x in powers.items()}}


def pool(fixed, w, many, rate, cv2=0.0, arrival_cv2=1.0, lag=0.0):
    """A replica whose steps are fixed + w n, prompts of which vary so much."""
    many = float(many)
    inputs = {
        "rate": rate, "many": many, "arrival_cv2": arrival_cv2, "lag": lag, **varied("alone", fixed + w, cv2),
        **varied("each", w + fixed / many, cv2),
    }  # fmt: skip
    sizes = np.geomspace(1.0, max(many, 2.0), 6)
    return inputs, sizes, fixed + w * sizes


def run(inputs, sizes, seconds):
    out = np.empty((1, len(FIELDS)))
    packed = np.array([[inputs[name] for name in INPUTS]])
    _core.prompt_pool(packed, sizes[None].copy(), seconds[None].copy(), out)
    return dict(zip(FIELDS, out[0], strict=True))


@st.composite
def pools(draw):
    inputs, sizes, seconds = pool(
        draw(st.floats(0.0, 0.1)), draw(st.floats(1e-4, 0.5)), draw(st.floats(0.05, 200.0)), 1.0,
        draw(st.floats(0.0, 3.0)), draw(st.sampled_from([1.0, 0.5, 0.25]) | st.floats(0.05, 4.0)),
        draw(st.sampled_from([0.0, 1.0])),
    )  # fmt: skip
    inputs["rate"] = draw(st.floats(1e-3, 1.05)) / inputs["each"]
    bent = draw(st.floats(0.0, 0.5)) * np.sin(np.linspace(0.0, np.pi, sizes.size))
    return inputs, sizes, seconds * (1.0 + bent)


@given(one=pools())
def test_the_kernel_is_its_twin(one):
    found, want = run(*one), prompt_pool(one[0], one[1].tolist(), one[2].tolist())
    for name in FIELDS:
        assert found[name] == pytest.approx(want[name], rel=2e-4, abs=1e-12, nan_ok=True), name


@st.composite
def even_pools(draw):
    """Nothing varies, or by a rounding: even arrivals of one length, whose steps come to be all alike."""
    few = st.sampled_from([0.0, 1e-16, 1e-13, 1e-11])
    inputs, sizes, seconds = pool(
        draw(st.floats(0.0, 0.1)), draw(st.floats(1e-4, 0.1)), draw(st.floats(2.0, 200.0)), 1.0, draw(few), draw(few),
        draw(st.sampled_from([0.0, 1.0])),
    )  # fmt: skip
    inputs["rate"] = draw(st.floats(0.1, 0.99)) / inputs["each"]
    return inputs, sizes, seconds


@given(one=even_pools())
def test_the_kernel_is_its_twin_where_nothing_varies(one):
    found, want = run(*one), prompt_pool(one[0], one[1].tolist(), one[2].tolist())
    for name in FIELDS:
        assert found[name] == pytest.approx(want[name], rel=1e-6, abs=1e-9), name


@pytest.mark.parametrize("many", [4.0, 16.0, 200.0])
def test_even_prompts_of_one_length_fill_no_step(many):
    """a / (1 - l w) of a step is below a full one at any load below one, and all are so long."""
    fixed, w = 0.1, 0.001
    for load in (0.9, 0.99):
        rate = load / (w + fixed / many)
        inputs, sizes, seconds = pool(fixed, w, many, rate, 0.0, 0.0)
        for nudge in (0.0, 2e-16, -2e-16):  # of the roundings of raw moments
            nudged = inputs | {
                f"{x}_{k}": inputs[f"{x}_{k}"] * (1.0 + nudge)
                for x in ("each", "alone")
                for k in (2, 3)
            }
            found = run(nudged, sizes, seconds)
            want = prompt_pool(nudged, sizes.tolist(), seconds.tolist())
            assert found["full"] == pytest.approx(want["full"], rel=1e-4, abs=1e-12)
            assert 0.0 <= found["full"] < 1e-7
            assert found["ttft"] == pytest.approx(want["ttft"], rel=1e-9)


@given(one=pools())
def test_percentiles_rise_and_nothing_is_borne_beyond_saturation(one):
    inputs = one[0]
    found = run(*one)
    assert found["load"] == pytest.approx(inputs["rate"] * inputs["each"])
    if found["load"] >= 1.0:
        assert all(np.isnan(found[name]) for name in FIELDS if name != "load")
        return
    p50, p90, p99 = (found[f"ttft_{p}"] for p in ("p50", "p90", "p99"))
    assert p50 <= p90 * (1 + 1e-9) <= p99 * (1 + 1e-8)
    assert 0.0 <= found["busy"] <= 1.0 and 0.0 <= found["full"] <= 1.0


@pytest.mark.parametrize(("rate", "load"), [(0.0, 0.0), (-1.0, -0.5), (2.0, 1.0)])
def test_nobody_and_a_load_of_one_have_a_load_alone(rate, load):
    inputs, sizes, seconds = pool(0.0, 0.5, 4.0, rate)
    for found in (
        run(inputs, sizes, seconds),
        prompt_pool(inputs, sizes.tolist(), seconds.tolist()),
    ):
        assert found["load"] == load
        assert all(np.isnan(found[name]) for name in FIELDS if name != "load")


@pytest.mark.parametrize("cv2", [0.0, 0.8])
@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_a_step_of_nothing_but_prompts_is_a_queue_of_one_server(load, cv2):
    """M/G/1 (Pollaczek and Khinchine); those of the own step that come later wait with it, if it has room."""
    w, rate = 0.02, load / 0.02
    queue = rate * w * w * (1.0 + cv2) / (2.0 * (1.0 - load))
    alone = run(*pool(0.0, w, 1e-3, rate, cv2))  # a prompt is a thousand steps
    assert alone["busy"] == pytest.approx(load, rel=1e-5)
    assert alone["queue"] == pytest.approx(queue, rel=1e-4)
    assert alone["ttft"] == pytest.approx(w + queue, rel=1e-2)
    # with room for all, the rest of a step brings as many as have come in it before
    wide = run(*pool(0.0, w, 1e6, rate, cv2))
    later = load / (1.0 + load) * queue
    assert wide["ttft"] == pytest.approx(w + queue + later, rel=1e-3)


def test_seldom_prompts_have_steps_for_themselves():
    inputs, sizes, seconds = pool(0.003, 0.02, 8.0, 1e-6, 0.3)
    found = run(inputs, sizes, seconds)
    assert found["ttft"] == pytest.approx(0.023, rel=1e-5)
    assert found["busy"] == pytest.approx(0.023e-6, rel=1e-3)


def test_steps_that_cost_the_same_with_any_number():
    """All that comes in one goes with the next: half of a step, and a step."""
    found = run(*pool(0.1, 1e-9, 1000.0, 500.0))
    assert found["busy"] == pytest.approx(1.0, rel=1e-6)
    assert found["ttft"] == pytest.approx(0.15, rel=1e-3)
    assert found["ttft_p99"] == pytest.approx(0.2, rel=0.1)


def one_after_another(came, fixed, w, many):
    """Times of prompts whose steps take what is there when they begin."""
    ends, clock, i = np.empty(came.size), 0.0, 0
    while i < came.size:
        clock = max(clock, came[i])
        n = min(int(np.searchsorted(came, clock, "right")) - i, int(min(many, 1e6)))
        clock += fixed + w * n
        ends[i : i + n] = clock
        i += n
    return (ends - came)[came.size // 40 :]


@pytest.mark.parametrize("cv2", [0.25, 1.0])
def test_steps_as_they_follow_one_another(cv2):
    """Played step by step, with room for all, and with room for four: means within 6 %, tails within 15 %."""
    draw = np.random.default_rng(5)
    fixed, w = 0.004, 0.01
    for many, load in ((1e9, 0.6), (4.0, 0.75)):
        rate = load / (w + fixed / many)
        inputs, sizes, seconds = pool(fixed, w, many, rate, 0.0, cv2)
        came = np.cumsum(draw.gamma(1.0 / cv2, cv2 / rate, 40_000))
        took = one_after_another(came, fixed, w, many)
        found = run(inputs, sizes, seconds)
        assert found["ttft"] == pytest.approx(took.mean(), rel=0.06)
        assert found["ttft_p90"] == pytest.approx(np.percentile(took, 90), rel=0.15)
        assert found["ttft_p99"] == pytest.approx(np.percentile(took, 99), rel=0.15)


@pytest.mark.parametrize("cv2", [0.33, 0.5])
def test_steps_of_which_most_is_fixed_are_full_by_what_comes_to_them(cv2):
    """Room for sixteen at nine tenths: a step that is full makes the next no longer than it is."""
    fixed, w, many = 0.0097, 0.001, 16
    rate = 0.9 / (w + fixed / many)
    came = np.cumsum(np.random.default_rng(5).gamma(1.0 / cv2, cv2 / rate, 60_000))
    took = one_after_another(came, fixed, w, many)
    found = run(*pool(fixed, w, many, rate, 0.0, cv2))
    assert found["ttft"] == pytest.approx(took.mean(), rel=0.1)
    assert found["ttft_p99"] == pytest.approx(np.percentile(took, 99), rel=0.15)


def ahead_of_time(came, fixed, w, many):
    """Times of prompts where a step is planned while one runs, if anything waits when that begins."""
    ends, clock, first = np.empty(came.size), 0.0, 0

    def taken():
        return min(int(np.searchsorted(came, clock, "right")) - first, many)

    now = 0
    while first + now < came.size:
        if not now:
            clock = max(clock, came[first])
            now = taken()
        first += now
        planned = taken()
        clock += fixed + w * now
        ends[first - now : first] = clock
        now = planned
    return (ends - came)[came.size // 10 : first]


@pytest.mark.parametrize(
    ("fixed", "many", "load", "longer"), [(0.02, 30, 0.9, 1.35), (0.02, 30, 0.55, 1.0)]
)
def test_a_loop_that_has_planned_ahead_goes_on_so(fixed, many, load, longer):
    """Each prompt waits for a step more once a full one has left something: seldom at 0.55."""
    w = 0.001
    rate = load / (w + fixed / many)
    came = np.cumsum(np.random.default_rng(7).exponential(1.0 / rate, 60_000))
    took = ahead_of_time(came, fixed, w, many)
    sync, found = (run(*pool(fixed, w, many, rate, lag=lag)) for lag in (0.0, 1.0))
    assert found["ttft"] == pytest.approx(took.mean(), rel=0.06)
    for p in (50, 90, 99):
        assert found[f"ttft_p{p}"] == pytest.approx(np.percentile(took, p), rel=0.12)
    assert found["ttft"] > longer * sync["ttft"] * 0.999
    assert found["ttft"] - sync["ttft"] == pytest.approx(found["queue"] - sync["queue"])
    assert longer > 1.0 or found["ttft"] == pytest.approx(sync["ttft"], rel=0.02)


def test_work_that_has_nothing_fixed_is_waited_for_in_any_order():
    sync, ahead = (run(*pool(0.0, 0.02, 4.0, 40.0, 0.3, lag=lag)) for lag in (0.0, 1.0))
    assert sync == pytest.approx(ahead, rel=1e-12)


def test_prompts_that_are_not_cut_leave_room():
    """Three of 2,700 tokens go into 8,192, and of mixed ones as many as a next-fit of them does."""
    plan = tr.Plan(engine="trtllm")
    on = deployment("H100-SXM", MODEL, plan)
    whole, cut = (
        Scheduler.preset("trtllm-1.4", enable_chunked_prefill=cut) for cut in (False, True)
    )
    found, pieces = (prompt_twin(on, Shape(2700, 1.0), one) for one in (whole, cut))
    three = float(kernels.prompts_time(*on.records, 3.0, 2700.0, 0.0))
    assert found.saturation == pytest.approx(3.0 / three, rel=1e-9)
    assert pieces.moments["many"] == pytest.approx(8192 / 2700)
    draw = np.random.default_rng(1)
    lengths = np.maximum(draw.lognormal(np.log(700.0), 0.6, 40_000), 1.0)
    steps, room = 1, 8192.0
    for tokens in lengths:
        steps, room = (steps, room - tokens) if tokens <= room else (steps + 1, 8192.0 - tokens)
    share = np.full(400, 1 / 400)
    shape = Shape(
        lengths.mean(), 1.0, lengths.var() / lengths.mean() ** 2,
        lengths=(np.sort(lengths).reshape(400, 100).mean(axis=1), share),
    )  # fmt: skip
    assert prompt_twin(on, shape, whole).moments["many"] == pytest.approx(
        lengths.size / steps, rel=0.05
    )


SCENES = [
    ("vllm-0.33", {}, "H100-SXM", MODEL, {}, Lengths.fixed(1000), 1),
    ("vllm-0.33", {"max_num_batched_tokens": 2048}, "H200-SXM", "Llama-3.3-70B",
     {"tp": 4, "weights": "fp8", "kv_cache": "fp8"}, Lengths.lognormal(3000, 0.3), 2),
    ("vllm-0.33", {"loop": "sync"}, "B200-SXM", "gpt-oss-120b", {"weights": "mxfp4"}, Lengths.lognormal(250, 0.5), 1),
    ("sglang-0.5.23", {}, "L40S", MODEL, {}, Lengths.fixed(1200), 1),
    ("sglang-0.5.23", {"chunked_prefill_size": 2048}, "H200-SXM", "Qwen3-235B-A22B",
     {"tp": 8, "moe_ep": 8, "weights": "fp8", "kv_cache": "fp8"}, Lengths.fixed(4000), 1),
    ("trtllm-1.4", {}, "H100-SXM", MODEL, {}, Lengths.fixed(2700), 3),
    ("trtllm-1.4", {"enable_chunked_prefill": True}, "H200-SXM", "gpt-oss-120b", {"weights": "mxfp4"},
     Lengths.lognormal(1500, 0.3), 1),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "knobs", "device", "model", "how", "lengths", "count"), SCENES)
def test_the_closed_form_beside_runs(preset, knobs, device, model, how, lengths, count):
    """Saturation within 4 %, at three quarters of it means within 10 %, percentiles within 20, p50 25 %."""
    plan = tr.Plan(engine=preset.partition("-")[0], **how)
    scheduler = Scheduler.preset(preset, **knobs)
    system = serving.disaggregate(
        (device, plan, count), (device, plan, 8), model=model, link_bandwidth=1e13, hop_s=0.0
    )
    sizes = {"input_tokens": lengths, "output_tokens": 2, "seed": 2}
    on = system.deployments(model)["prefill"]
    twin = prompt_twin(on, Shape(lengths.mean, 1.0, lengths.variance / lengths.mean**2), scheduler)
    flood = serving.poisson(4.0 * count * twin.saturation, requests=2500 * count, **sizes)
    r = np.sort(
        serving.simulate(system, None, None, flood, scheduler).requests, order="prefilled_ns"
    )
    times, at = np.unique(r["prefilled_ns"], return_index=True)
    low, high = times.size // 8, times.size * 3 // 4
    tokens = r["input_tokens"][at[low] : at[high]].sum()
    rate = tokens / lengths.mean / ((times[high] - times[low]) * 1e-9)
    assert count * twin.saturation == pytest.approx(rate, rel=0.04)
    load = serving.poisson(0.75 * rate, requests=8000, **sizes)
    r = serving.simulate(system, None, None, load, scheduler).requests
    took = (r["prefilled_ns"] - r["arrival_ns"])[400:] * 1e-9
    known = shape_of(load)
    shape = Shape(known.input_tokens, 1.0, known.input_cv2, lengths=known.lengths)
    found = prompt_twin(on, shape, scheduler).at(np.array([known.rate / count]), count)
    assert found["ttft"][0] == pytest.approx(took.mean(), rel=0.1)
    for p, off in ((50, 0.25), (90, 0.2), (99, 0.2)):
        assert found[f"ttft_p{p}"][0] == pytest.approx(np.percentile(took, p), rel=off)
    # Little: who waits and who is in a step
    inside = found["running"] + found["waiting"]
    assert inside[0] == pytest.approx(known.rate / count * found["ttft"][0], rel=1e-9)
