"""Serving kernels against the reference, by hand, and by the laws that they must obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import (
    BY_ISA,
    calibrations,
    devices,
    each_isa,
    every_isa,
    models,
    named,
    plans,
    records,
    ulps,
    within,
)  # fmt: skip
from tokenroof import _core, kernels, reference
from tokenroof.records.calibration import NO_ENGINE, Calibration
from tokenroof.reference.core.roundings import counting, error_of
from tokenroof.reference.inference.structure import (
    mixer_parameters,
    mixer_types,
    replicated_parameters,
)

# an engine's constants, over what fits have given and beyond
engines = st.fixed_dictionaries(
    {name: st.floats(0.0, 1e-4) for name in ("kernel_gap", "collective_gap", "sequence", "prefill_kernel",
                                      "prompt_kernel")}
    | {"prompt": st.floats(1.0, 2.0), "beside": st.floats(1.0, 1.5), "request": st.floats(0.0, 0.5), "request_alone": st.floats(0.0, 0.5),
       "request_users": st.sampled_from([1.0, 4.0, 64.0]), "burst": st.floats(0.0, 0.5),
       "memory_share": st.floats(0.5, 1.0), "memory_weights": st.floats(0.5, 1.0),
       "memory_reserved": st.floats(0.0, 1e10), "elementwise": st.just(1.0),
       "together": st.sampled_from([0.0, 0.1, 1.0]), "max_batch": st.sampled_from([0.0, 3.0, 64.0]),
       "wait_steps": st.sampled_from([0.0, 20.0]), "locked": st.sampled_from([0.0, 0.5, 1.0]),
       "room": st.floats(0.0, 1e3)}
)  # fmt: skip


@st.composite
def setups(draw):
    device, model, plan = draw(devices()), draw(models()), draw(plans())
    calibration = draw(calibrations()).replace(constants={"engine": draw(engines)})
    if draw(st.booleans()):
        device = device.replace(memory_bytes=draw(st.sampled_from([None, 1e15])))
    return device, calibration, model, plan


loads = st.tuples(st.floats(0.5, 1e5), st.floats(1, 1e5), st.floats(1, 1e5))


@given(setup=setups(), load=loads)
@every_isa
def test_kernels_are_their_reference(isa, setup, load):
    vectors, table = records(*setup), BY_ISA[isa]
    for name, fields in (("serving_terms", _core.SERVING_TERMS), ("serving", _core.SERVING_FIELDS)):
        with np.errstate(all="ignore"):
            got = table[name](*vectors, *load)
        with counting():
            answer = getattr(reference, name)(*named(vectors), *load)
        want = [answer[f] for f in fields]
        assert within(got, want).all(), dict(zip(fields, zip(got, want, strict=True), strict=True))
        # of one user, and without experts, there is no function that is not exact
        assert setup[2].experts or load[0] > 1.0 or not any(map(error_of, want))


@given(c=calibrations(), e=engines, terms=st.tuples(*[st.floats(0.001, 1e3)] * len(_core.SERVING_TERMS)),
       load=st.tuples(st.floats(1, 1e4), st.floats(1, 1e4)))  # fmt: skip
@every_isa
def test_terms_and_constants_alone(isa, c, e, terms, load):
    record = c.replace(constants={"engine": e}).pack()
    with np.errstate(all="ignore"):
        got = BY_ISA[isa]["serving_of_terms"](record, terms, *load)
    answer = reference.serving_of_terms(record, terms, *load)
    assert (ulps(got, np.array([answer[f] for f in _core.SERVING_FIELDS])) == 0).all()


def _serve(concurrency, engine=None, memory=None, **plan):
    device = tr.device("H200-SXM")
    if memory is not None:
        device = device.replace(memory_bytes=memory)
    calibration = Calibration.ideal().replace(constants={"engine": engine or {}})
    vectors = records(device, calibration, tr.model("Llama-3.1-8B"), tr.Plan(**plan))
    out = kernels.serving(*vectors, concurrency, 1000.0, 100.0)
    return dict(zip(kernels.SERVING_FIELDS, np.moveaxis(out, -1, 0), strict=True)), vectors


def test_a_worked_example():
    """Llama-3.1-8B in bf16 with 24.06 GB: ten requests of 1,100 tokens fit, 131,072 bytes a token."""
    model = tr.model("Llama-3.1-8B")
    memory = 2.0 * model.parameters + 10 * 1100 * 131072
    got, vectors = _serve([1.0, 10.0, 40.0], memory=memory)
    np.testing.assert_allclose(got["slots"], 10.0, rtol=1e-6)
    np.testing.assert_allclose(got["batch"], [1.0, 10.0, 10.0], rtol=1e-6)
    step = kernels.decode_time(*vectors, 10.0, 1050.0)
    # nine in a hundred steps, Poisson's, of which some have two
    many = 0.09 / -np.expm1(-0.09)
    carrying = kernels.mixed_prompts_time(*vectors, 10.0, 1050.0, many, 1000.0, 0.0)
    extra = (carrying - step) / many
    tpot = step + 9 / 100 * extra
    np.testing.assert_allclose(got["tpot"][1:], tpot, rtol=1e-6)
    own = kernels.prefill_time(*vectors, 1000.0, 0.0)
    # a hundredth of the others' prompts comes with one's own step; a place is held for its own prompt too
    came = own + step + 9 / 100 * extra
    np.testing.assert_allclose(got["ttft"], [own + kernels.decode_time(*vectors, 1.0, 1050.0),
                                             came, came + 3 * (100 * tpot + extra)], rtol=1e-6)  # fmt: skip
    held = 100 * step + 10 * extra  # ten places pass ten prompts in a hundred steps
    np.testing.assert_allclose(got["queue_s"][2], 3 * held, rtol=1e-6)
    np.testing.assert_allclose(got["latency"], got["ttft"] + 99 * got["tpot"])
    np.testing.assert_allclose(got["output_rate"], [1.0, 10.0, 40.0] * (100 / got["latency"]))


def test_an_engine_by_hand():
    """Gaps per kernel and collective, a host that cannot keep up with a prompt, a request's overhead."""
    bare, _ = _serve(8.0, tp=2)
    engine = {
        "kernel_gap": 5e-6,
        "collective_gap": 3e-6,
        "sequence": 4e-6,
        "request": 0.02,
        "burst": 0.1,
    }
    kernels_, collectives = 2 + 65 + 32 * (4 + 3), 32 + 32 + 1
    got, _ = _serve(8.0, engine, tp=2)
    many = 0.07 / -np.expm1(-0.07)
    more = 5e-6 * kernels_ + 3e-6 * collectives + 4e-6 * 8
    np.testing.assert_allclose(got["step_s"], bare["step_s"] + more)
    extra = got["interference_s"] * 100 / 7
    np.testing.assert_allclose(extra, bare["interference_s"] * 100 / 7 + 4e-6)  # a prompt's
    np.testing.assert_allclose(
        got["ttft"], 0.02 + got["prefill_s"] + got["step_s"] + 0.1 * 7 * extra
    )
    slow, _ = _serve(
        8.0, {"prefill_kernel": 1e-2, "prompt_kernel": 3e-2}, tp=2
    )  # ten milliseconds a kernel: nothing else counts
    np.testing.assert_allclose(slow["prefill_s"], 3e-2 * kernels_, rtol=1e-6)
    np.testing.assert_allclose(
        slow["interference_s"], 0.07 / many * (1e-2 * kernels_ - slow["step_s"]), rtol=1e-6
    )


def test_a_prompt_takes_longer_beside_those_that_decode():
    """A quarter more of what it takes alone waits with each prompt, and its own way is as before."""
    bare, vectors = _serve(8.0)
    slow, _ = _serve(8.0, {"beside": 1.25})
    many = 0.07 / -np.expm1(-0.07)
    more = 0.07 / many * 0.25 * kernels.prompts_time(*vectors, many, 1000.0, 0.0)
    np.testing.assert_allclose(slow["interference_s"] - bare["interference_s"], more, rtol=1e-9)
    assert slow["prefill_s"] == bare["prefill_s"] and slow["step_s"] == bare["step_s"]


def test_how_a_benchmark_runs_by_hand():
    """One wave: the k-th of 8 prompts waits for k - 1 others, 3.5 on average, and sees 8 - k pass after it."""
    steady, _ = _serve(8.0, {"burst": 0.1})
    extra = steady["interference_s"] * 100 / 7
    wave, _ = _serve(8.0, {"burst": 0.1, "together": 1.0})
    np.testing.assert_allclose(wave["burst_s"], 3.5 * extra)
    # all of the others' prompts, whoever waits for them
    for found in (steady, wave):
        np.testing.assert_allclose(found["others_s"], 7.0 * extra, rtol=1e-12)
    np.testing.assert_allclose(wave["interference_s"], 3.5 / 100 * extra)
    ten, _ = _serve(8.0, {"burst": 0.1, "together": 0.1})
    np.testing.assert_allclose(ten["burst_s"], (0.1 * 3.5 + 0.9 * 0.1 * 7) * extra)
    np.testing.assert_allclose(ten["tpot"], ten["step_s"] + (0.9 * 7 + 0.1 * 3.5) / 100 * extra)
    # four come in one's own step and go with it: of the 4 of another step half are past, 2 pass after it
    apart, _ = _serve(8.0, {"burst": 0.1, "together": 1.0, "locked": 1.0, "room": 3.0})
    np.testing.assert_allclose(apart["interference_s"], 2.0 / 100 * extra)
    np.testing.assert_allclose(apart["burst_s"], wave["burst_s"])
    half, _ = _serve(8.0, {"locked": 0.5, "room": 3.0})
    np.testing.assert_allclose(half["interference_s"], (7 - 1.5) / 100 * extra)
    all_, _ = _serve(8.0, {"locked": 1.0, "room": 9.0})
    assert all_["interference_s"] == 0.0
    # a batch of 7 for 8 users: each waits a seventh of an answer and of its prompt for a slot
    less, _ = _serve(8.0, {"max_batch": 7.0})
    own = less["interference_s"] * 100 / 6
    np.testing.assert_allclose(
        [less["batch"], less["queue_s"]], [7.0, (100 * less["tpot"] + own) / 7]
    )
    same, _ = _serve(8.0, {"max_batch": 64.0})
    assert same["tpot"] == _serve(8.0)[0]["tpot"]
    # twenty steps for company: 1.4 more prompts come meanwhile and wait for ten
    held, _ = _serve(8.0, {"wait_steps": 20.0})
    waited = held["ttft"] - _serve(8.0)[0]["ttft"]
    np.testing.assert_allclose(waited, (20 + 1.4 * 10) / 2.4 * held["step_s"])


@given(setup=setups(), load=loads)
@every_isa
def test_laws(isa, setup, load):
    table, vectors = BY_ISA[isa], records(*setup)
    with np.errstate(all="ignore"):
        got = table["serving"](*vectors, *load)
    f = dict(zip(kernels.SERVING_FIELDS, got, strict=True))
    if np.isnan(f["ttft"]):
        return  # does not fit, or the device has no such unit
    ranks = setup[3].dp
    assert f["batch"] <= load[0]
    assert f["batch"] <= (np.floor(f["slots"] / ranks) + 1.0) * ranks
    assert f["tpot"] >= f["step_s"] > 0 and f["ttft"] >= f["prefill_s"] > 0
    np.testing.assert_allclose(f["output_rate"] * f["latency"], load[0] * load[2])
    more = dict(
        zip(kernels.SERVING_FIELDS, table["serving"](*vectors, 2 * load[0], *load[1:]), strict=True)
    )
    e = setup[1].constants["engine"]
    # each prompt's host hides behind the step of all that decode: of several prompts a step more users wait for less of it
    hides = max(e["prefill_kernel"], e["prompt_kernel"]) > 0.0 and more["batch"] > load[2]
    assert hides or more["tpot"] >= f["tpot"] * (1 - 1e-9)
    # prompts that are held for company wait the less the more there are
    assert hides or e["wait_steps"] > 0.0 or more["ttft"] >= f["ttft"] * (1 - 1e-9)
    # an engine only costs, of the same run
    run = {name: e[name] for name in ("together", "locked", "room")}
    free = setup[1].replace(constants={"engine": NO_ENGINE | run})
    ideal = dict(zip(kernels.SERVING_FIELDS, table["serving"](
        setup[0].pack(), free.pack(), *vectors[2:], f["batch"], *load[1:]), strict=True))  # fmt: skip
    assert ideal["tpot"] <= f["tpot"] * (1 + 1e-9) and ideal["ttft"] <= f["ttft"] * (1 + 1e-9)


@each_isa
def test_bad_loads_and_memory(isa):
    kernel = BY_ISA[isa]["serving"]
    vectors = records(
        tr.device("H200-SXM"), Calibration.ideal(), tr.model("Llama-3.1-8B"), tr.Plan()
    )
    for i in range(3):
        load = [8.0, 100.0, 100.0]
        load[i] = np.nan
        with np.errstate(all="raise"):
            assert np.isnan(kernel(*vectors, *load)[:4]).all()
        load[i] = -1.0
        with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
            kernel(*vectors, *load)
        load[i] = 0.0
        assert np.isnan(kernel(*vectors, *load)[:4]).all()
    small = [tr.device("L4").pack(), *vectors[1:]]
    assert np.isnan(kernel(*small, 1.0, 1e6, 1e6)[0])  # one such request is more than the memory
    heavy = [small[0], vectors[1], tr.model("Llama-3.1-70B").pack(), vectors[3]]
    assert np.isnan(kernel(*heavy, 1.0, 10.0, 10.0)[0])
    unknown = [tr.device("L4").replace(memory_bytes=None).pack(), *heavy[1:]]
    assert kernel(*unknown, 1.0, 10.0, 10.0)[0] > 0


def test_types_of_mixers():
    """A mixture in four bits keeps its mixers in bf16; a dense model, and one in eight bits, do not."""
    for name, weights, wide in (("DeepSeek-R1", "nvfp4", True), ("Kimi-K2.5", "int4", True),
                                ("Llama-3.1-70B", "nvfp4", False), ("DeepSeek-R1", "fp8_block", False)):  # fmt: skip
        model, plan = tr.model(name), tr.Plan(tp=8, weights=weights)
        m = dict(zip(_core.MODEL_FIELDS, model.pack(), strict=True))
        p = dict(zip(_core.PLAN_FIELDS, plan.pack(), strict=True))
        assert mixer_types(m, p)[0] == ("bf16" if wide else weights)
        layers = m["full_layers"] + m["window_layers"]
        mixers = mixer_parameters(m)
        assert 0.005 * model.parameters < mixers < 0.35 * model.parameters
        whole = reference.weight_bytes(m, p)
        even = reference.weight_bytes({**m, "moe_layers": 0.0}, p)  # the rule does not apply then
        held = mixers / 8 + replicated_parameters(m, 8.0)
        added = held * (2.0 - _core.DTYPE_BYTES[weights]) if wide else 0.0
        assert whole - even == pytest.approx(added) and layers > 0


def test_mixer_parameters_of_real_models():
    """Against the counts of the model records themselves."""
    for name in ("Llama-3.1-70B", "DeepSeek-V3", "Qwen3-235B-A22B"):
        model = tr.model(name)
        m = dict(zip(_core.MODEL_FIELDS, model.pack(), strict=True))
        groups = model.parameter_groups()
        assert mixer_parameters(m) == pytest.approx(groups["attention"], rel=1e-3)


def test_layers_that_keep_no_keys_need_no_cache():
    """All of them read those of others: any number of sequences fits beside the weights, none where they do not."""
    shared = tr.model("Llama-3.1-8B").replace(shared_full_layers=32)
    for memory, slots in ((20e9, np.inf), (10e9, 0.0)):
        device = tr.device("H200-SXM").replace(memory_bytes=memory)
        vectors = records(device, Calibration.ideal(), shared, tr.Plan())
        with np.errstate(divide="raise"):
            got = kernels.serving(*vectors, 4.0, 1000.0, 100.0)
        assert got[kernels.SERVING_FIELDS.index("slots")] == slots
