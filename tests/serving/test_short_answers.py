"""Answers so short that prompts take nearly all of the time: no loop is faster than its prompts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof import kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.records.device import unit_peak

FIELD = {name: i for i, name in enumerate(kernels.SERVING_FIELDS)}
TERM = {name: i for i, name in enumerate(kernels.SERVING_TERMS)}
WHERE = [
    ("H100-SXM", "Llama-3.1-8B", None),
    ("L40S", "Qwen3-8B", None),
    ("A100-SXM-80GB", "Llama-3.1-8B", None),
    ("B200", "Llama-3.1-8B", None),
    ("MI300X", "gpt-oss-120b", None),
    ("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, weights="fp8", kv_cache="fp8")),
    ("H200-SXM", "DeepSeek-R1", tr.Plan(dp=8, moe_ep=8, weights="fp8_block")),
    ("H100-SXM", "Llama-3.1-70B", tr.Plan(tp=2, pp=2)),
]
lengths = st.tuples(
    st.sampled_from([64, 128, 1024, 8000]), st.sampled_from([1, 1.5, 2, 4, 32, 200, 1000])
)
users_ = st.sampled_from([1.0, 1.5, 2.0, 16.0, 64.0, 300.0, 5000.0])


@settings(max_examples=60)
@given(
    where=st.sampled_from(WHERE),
    sizes=lengths,
    users=users_,
    fidelity=st.sampled_from(["calibrated", "datasheet"]),
)
def test_prompts_are_computed_before_they_are_answered(where, sizes, users, fidelity):
    """Of its weights' work alone a prompt takes so many operations of what the boards give at most."""
    on = deployment(*where, fidelity)
    served = kernels.serving(*on.records, users, *sizes)
    rate = served[FIELD["output_rate"]] / sizes[1]
    peak = unit_peak(on.device, on.plan.weights) * on.plan.devices
    embedded = on.model.parameter_groups()["embedding"]
    work = 2.0 * (on.model.active_parameters - embedded) * sizes[0]
    assert np.isnan(rate) or 0.0 < rate * work <= peak


@settings(max_examples=60)
@given(where=st.sampled_from(WHERE), sizes=lengths, users=users_)
def test_watts_lie_between_those_at_rest_and_the_limit(where, sizes, users):
    on = deployment(*where, "calibrated")
    watts = kernels.serving(*on.records, users, *sizes)[FIELD["watts"]]
    rest = kernels.serving_terms(*on.records, users, *sizes)[TERM["rest_w"]]
    assert np.isnan(watts) or rest < watts <= on.device.tdp_w * on.plan.devices * (1 + 1e-12)


@pytest.mark.parametrize("sizes", [(128, 1), (128, 2), (1024, 32)])
def test_watts_of_the_open_loop_too(sizes):
    for where in WHERE[:5]:
        on = deployment(*where, "calibrated")
        most = serving.stability(*where, input_tokens=sizes[0], output_tokens=sizes[1]).rate
        table = serving.curve(*where, *sizes, rate=most * np.array([0.01, 0.5, 0.95, 2.0]))
        assert (table.watts > on.power.idle_w).all()
        assert (table.watts <= on.device.tdp_w * (1 + 1e-12)).all()


def test_a_saturated_board_draws_what_prompts_do():
    many = serving.curve("L40S", "Qwen3-8B", None, 128, 1, concurrency=[64, 5000]).watts.values
    alone = kernels.prompts_step(*deployment("L40S", "Qwen3-8B").records, 64.0, 128.0, 0.0)
    drawn = alone[kernels.STEP_FIELDS.index("watts")]
    assert many == pytest.approx([drawn, drawn], rel=0.03)


def test_several_prompts_of_a_step_by_hand():
    """Of 33 users with answers of two tokens 16 prompts come to a step, and one of 32 others waits for half of them.

    Poisson's: in e^-16 of the steps none comes, so that those that carry any have as many more.
    """
    many = 16.0 / (1.0 - np.exp(-16.0))
    on = deployment("H200-SXM", "Llama-3.1-8B", None, "datasheet")
    served = kernels.serving(*on.records, 33.0, 1000.0, 2.0)
    step = kernels.decode_time(*on.records, 33.0, 1001.0)
    carrying = kernels.mixed_prompts_time(*on.records, 33.0, 1001.0, many, 1000.0, 0.0)
    own = kernels.prefill_time(*on.records, 1000.0, 0.0)
    found = {name: served[i] for name, i in FIELD.items()}
    more = 16.0 / many * (carrying - step)
    assert found["tpot"] == pytest.approx(step + more, rel=1e-9)
    assert found["burst_s"] == pytest.approx(more, rel=1e-9)
    assert found["others_s"] == pytest.approx(2.0 * more, rel=1e-9)
    assert found["ttft"] == pytest.approx(own + step + more, rel=1e-9)
    terms = kernels.serving_terms(*on.records, 33.0, 1000.0, 2.0)
    assert terms[TERM["prompts"]] == pytest.approx(many, rel=1e-14)
    beside = kernels.prompts_time(*on.records, terms[TERM["prompts"]], 1000.0, 0.0)
    assert terms[TERM["beside_s"]] == beside
    fewer = kernels.serving_terms(*on.records, 33.0, 1000.0, 32.0)
    assert fewer[TERM["prompts"]] == pytest.approx(1.0 / (1.0 - np.exp(-1.0)), rel=1e-14)
    alone = kernels.serving_terms(*on.records, 1.0, 1000.0, 32.0)
    assert alone[TERM["prompts"]] == 1.0 and alone[TERM["beside_s"]] == alone[TERM["prefill_s"]]


def test_as_many_steps_carry_prompts_as_played():
    """A prompt a step comes in the mean: 63 % of the steps have any, where all of them were said to."""
    where = "RTX 3090", "TinyLlama-1.1B", None
    answers = serving.Lengths.lognormal(200, 0.5)
    load = serving.users(200, 6000, seed=2, input_tokens=128, output_tokens=answers)
    run = serving.simulate(*where, load).requests
    ends = np.sort(run["last_token_ns"])[600:-600]
    played = (ends.size - 1) / (1e-9 * (ends[-1] - ends[0])) * answers.mean
    found = serving.curve(*where, 128, answers.mean, concurrency=[200]).output_throughput.item()
    assert found == pytest.approx(played, rel=0.05)


def test_long_answers_are_as_they_were_fitted():
    """From 1 / burst tokens on, with fewer others than tokens, each step carries one prompt at most."""
    on = deployment("H100-SXM", "Llama-3.1-8B", None, "calibrated")
    burst = on.calibration.constants["engine"]["burst"]
    together = on.calibration.constants["engine"]["together"]
    for output in (100.0, 1000.0):
        found = dict(
            zip(
                kernels.SERVING_FIELDS,
                kernels.serving(*on.records, 64.0, 1000.0, output),
                strict=True,
            )
        )
        prompts = 63.0 / output * (1.0 - 0.5 * together)
        extra = found["interference_s"] / prompts
        stays = 0.5 * together + burst * (1.0 - together)
        assert found["burst_s"] == pytest.approx(stays * 63.0 * extra, rel=1e-12)


def test_nothing_jumps_as_answers_get_shorter():
    """Through where a second prompt comes to a step, and where a prompt of one's own step outweighs what stays."""
    on = deployment("H100-SXM", "Llama-3.1-8B", None, "calibrated")
    engine = on.calibration.constants["engine"]
    stays = 0.5 * engine["together"] + engine["burst"] * (1.0 - engine["together"])
    for output in (64.0, 1.0 / stays, 2.0, 1.0 + 1.0 / 64.0):
        near = output * (1.0 + np.array([-1e-6, 0.0, 1e-6]))
        found = kernels.serving(*on.records, 65.0, 1000.0, near)
        for name in ("ttft", "tpot", "latency", "watts"):
            assert found[:, FIELD[name]] == pytest.approx(found[1, FIELD[name]], rel=1e-3), name


def test_prompts_are_slower_where_others_decode():
    """With one token nobody does."""
    on = deployment("H100-SXM", "Llama-3.1-8B", None, "calibrated")
    engine = on.calibration.constants["engine"] | {"beside": 1.0}
    even = on.calibration.replace(constants=on.calibration.constants | {"engine": engine})
    free = deployment("H100-SXM", "Llama-3.1-8B", None, even)
    one, two = (
        [kernels.serving(*x.records, 64.0, 1024.0, n)[FIELD["latency"]] for x in (on, free)]
        for n in (1.0, 2.0)
    )
    assert one[0] == one[1] and two[0] > 1.02 * two[1]


@pytest.mark.parametrize("output", [1, 2, 4, 16, 64])
@pytest.mark.parametrize(
    ("device", "model", "prompt", "users"),
    [("H100-SXM", "Llama-3.1-8B", 1024, 64), ("L40S", "Qwen3-8B", 1024, 16), ("L40S", "Qwen3-8B", 128, 128),
     ("H200-SXM", "gpt-oss-120b", 8000, 16)],
)  # fmt: skip
def test_the_simulator_is_as_fast(device, model, prompt, users, output):
    table = serving.curve(device, model, None, prompt, output, concurrency=[users])
    load = serving.users(users, 16 * users, input_tokens=prompt, output_tokens=output)
    ends = np.sort(serving.simulate(device, model, None, load).requests["last_token_s"])
    first, last = ends.size // 4, 9 * ends.size // 10
    rate = (last - first) / (ends[last] - ends[first])
    assert float(table.output_throughput[0]) / output == pytest.approx(rate, rel=0.2)


def test_a_run_that_ends_is_no_faster_than_its_prompts():
    """The mean request of a wave is answered at half of its time, the last at its end."""
    where = ("H100-SXM", "Llama-3.1-8B", None, 1024, 1)
    run, on_and_on = (
        float(serving.curve(*where, [64], **more).output_throughput[0])
        for more in ({"requests": 64}, {})
    )
    assert run == pytest.approx(on_and_on, rel=0.05)
    slow = serving.curve(*where[:4], 512, [64], requests=64)
    assert float(slow.output_throughput[0]) == pytest.approx(
        64 * 512 / float(slow.latency_s[0]), rel=1e-12
    )
