"""Layouts over two sites, dataflow chips and drafts, put together by hand from steps and a link; degrees above 1."""

import math

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference import dataflow, decouple, speculative
from tokenroof.inference.decouple.layout import Layout
from tokenroof.inference.door import deployment
from tokenroof.inference.estimates import Banded

MODEL = "Qwen3-235B-A22B"
PLAN = tr.Plan(tp=4, dp=2, moe_ep=4, moe_tp=2, weights="fp8", kv_cache="fp8")
LINK, HOP = 2e11, 3e-6
CHIP = {
    "efficiency": 0.5,
    "layer_s": 4e-6,
    "sram_share": 0.75,
    "limit_w": 300.0,
    "idle_share": 0.25,
}
ON = {"link_bandwidth": LINK, "hop_s": HOP, "fidelity": "datasheet"}


def _one(banded):
    """The number of a quantity without a range."""
    np.testing.assert_allclose(banded.low, banded.high, rtol=1e-12)
    return banded.mid


def _step(device, model, plan, batch, context):
    """Fields of a decode step by the datasheet."""
    on = deployment(device, model, plan, "datasheet")
    return dict(
        zip(kernels.STEP_FIELDS, kernels.decode_step(*on.records, batch, context), strict=True)
    )


def _idle_w(device, model, plan):
    on = deployment(device, model, plan, "datasheet")
    return on.power.idle_w * plan.devices


@pytest.mark.parametrize("batch,microbatches", [(64.0, 2), (64.0, 3), (1.0, 2), (0.5, 2), (2.0, 4)])
@pytest.mark.parametrize("expert_weights", [None, "bf16"])
def test_attention_and_experts_of_two_sites(batch, microbatches, expert_weights):
    found = decouple.attention_experts(
        MODEL, ("B200-SXM", PLAN), "LPX", batch=batch, context=5000.0, microbatches=microbatches, chips=3000,
        expert_weights=expert_weights, **ON, **CHIP)  # fmt: skip
    model, chip = tr.model(MODEL), tr.device("LPX")
    part = max(batch / microbatches, min(batch, 1.0))
    turns = min(microbatches, max(batch, 1.0))
    near = _step("B200-SXM", MODEL, PLAN, part, 5000.0)
    attention = near["time"] - near["mlp_s"] - near["experts_s"]
    kind = expert_weights or "fp8"
    alone = _step(chip, MODEL, tr.Plan(weights=kind, kv_cache="fp8" if kind == "fp8" else "bf16", engine="ideal"),
                  part, 5000.0)  # fmt: skip
    work = alone["mlp_s"] + alone["experts_s"]
    stages = min(model.layers, 3000)
    # half of a layer's latency: its other half stays with attention; no hop between chips
    experts = work / 0.5 * stages / 3000 + model.layers * 0.5 * 4e-6
    bytes_each_way = {"fp8": 1.0 + 2.0, "bf16": 2.0 + 2.0}[kind]
    link = model.layers * (2.0 * HOP + part * model.hidden * bytes_each_way / (LINK * PLAN.devices))
    tpot = max(turns * attention, attention + experts + link)
    assert _one(found.parts["attention_s"]) == pytest.approx(attention, rel=1e-9)
    assert _one(found.parts["experts_s"]) == pytest.approx(experts, rel=1e-9)
    assert _one(found.parts["link_s"]) == pytest.approx(link, rel=1e-9)
    assert _one(found.parts["microbatch"]) == part and _one(found.parts["chips"]) == 3000
    assert _one(found.tpot_s) == pytest.approx(tpot, rel=1e-9)
    assert _one(found.tokens_per_s) == pytest.approx(batch / tpot, rel=1e-9)
    busy = min(turns * attention / tpot, 1.0)
    idle = _idle_w("B200-SXM", MODEL, PLAN)
    occupied = min(turns * work / 0.5 / 3000 / tpot, 1.0)
    watts = idle + busy * (near["watts"] - idle) + 3000 * 300.0 * (0.25 + 0.75 * occupied)
    assert _one(found.watts) == pytest.approx(watts, rel=1e-9)
    assert _one(found.interactivity) == pytest.approx(1.0 / tpot, rel=1e-9)
    assert _one(found.tokens_per_joule) == pytest.approx(batch / tpot / watts, rel=1e-9)


def test_a_layout_has_the_range_of_its_parts():
    low, mid, high = 1.0, 2.0, 4.0
    t = Banded(np.array(low), np.array(mid), np.array(high))
    one = Layout(
        "x", tpot_s=t, tokens_per_s=Banded(np.array(10.0), np.array(20.0), np.array(30.0)), watts=t
    )
    assert (one.interactivity.low, one.interactivity.mid, one.interactivity.high) == (
        0.25,
        0.5,
        1.0,
    )
    joule = one.tokens_per_joule
    assert (joule.low, joule.mid, joule.high) == (2.5, 10.0, 30.0)


@pytest.mark.parametrize("replicas", [(1, 1), (2, 3)])
def test_prompts_on_one_pool_answers_on_another(replicas):
    prompts, answers = replicas
    wide = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    found = decouple.prefill_decode(
        "Llama-3.1-70B", ("H200-SXM", PLAN_DENSE, prompts), ("H200-SXM", wide, answers), input_tokens=3000.0,
        output_tokens=401.0, concurrency=30.0, **ON)  # fmt: skip
    batch, tpot = float(_one(found.parts["batch"])), float(_one(found.tpot_s))
    step = tr.decode(
        "H200-SXM",
        "Llama-3.1-70B",
        wide,
        batch=batch / answers,
        context=3200.5,
        fidelity="datasheet",
    )
    assert tpot == pytest.approx(float(step.time_s), rel=1e-9)
    rate = batch / (400.0 * tpot)
    assert _one(found.tokens_per_s) == pytest.approx(401.0 * rate, rel=1e-9)
    on = deployment("H200-SXM", "Llama-3.1-70B", PLAN_DENSE, "datasheet")
    filled = dict(
        zip(kernels.STEP_FIELDS, kernels.prompts_step(*on.records, 1.0, 3000.0, 0.0), strict=True)
    )
    assert _one(found.parts["prefill_s"]) == pytest.approx(filled["time"], rel=1e-12)
    cache = float(tr.model("Llama-3.1-70B").kv_bytes(3000.0, "fp8"))
    transfer = HOP + cache / (LINK * min(PLAN_DENSE.devices, 8))
    assert _one(found.parts["transfer_s"]) == pytest.approx(transfer, rel=1e-12)
    # Little's law: those that decode, are prefilled and cross the link are all who are under way, or prompts bind
    under_way = batch + rate * (filled["time"] + transfer)
    most = prompts / filled["time"]
    assert math.isclose(under_way, 30.0, rel_tol=1e-9) or math.isclose(rate, most, rel_tol=1e-9)
    assert _one(found.parts["ttft_s"]) == pytest.approx(30.0 / rate - 400.0 * tpot, rel=1e-9)
    assert _one(found.parts["devices"]) == PLAN_DENSE.devices * prompts + 8 * answers
    idle = _idle_w("H200-SXM", "Llama-3.1-70B", PLAN_DENSE)
    busy = min(rate / most, 1.0)
    watts = prompts * (idle + busy * (filled["watts"] - idle)) + answers * float(step.watts)
    assert _one(found.watts) == pytest.approx(watts, rel=1e-9)


PLAN_DENSE = tr.Plan(tp=2, dp=2, weights="fp8", kv_cache="fp8")


@pytest.mark.parametrize("length", [0.0, 3.0])
def test_drafts_on_chips_verified_elsewhere(length):
    found = decouple.drafts("Llama-3.1-70B", ("B200-SXM", PLAN_DENSE), "Llama-3.2-1B", "LPX", length=length,
                            acceptance=0.7, batch=6.0, context=900.0, chips=200, **ON, **CHIP)  # fmt: skip
    chip = dataflow.decode("LPX", "Llama-3.2-1B", batch=6.0, context=900.0, chips=200,
                           **CHIP)  # fmt: skip
    wide = speculative.verify("B200-SXM", "Llama-3.1-70B", PLAN_DENSE, batch=6.0, context=900.0, tokens=length + 1.0,
                              fidelity="datasheet")  # fmt: skip
    tokens = sum(0.7**i for i in range(int(length) + 1))
    link = 2.0 * HOP + 8.0 * 6.0 * (length + 1.0) / LINK if length else 0.0
    draft, verify = length * float(chip.time_s.mid), float(wide["time"])
    assert found.parts["draft_s"].mid == pytest.approx(draft, rel=1e-9)
    assert _one(found.parts["link_s"]) == pytest.approx(link, rel=1e-9)
    assert _one(found.parts["expected_tokens"]) == pytest.approx(tokens, rel=1e-12)
    seconds = draft + verify + link
    assert found.parts["round_s"].mid == pytest.approx(seconds, rel=1e-9)
    assert found.tpot_s.mid == pytest.approx(seconds / tokens, rel=1e-9)
    assert found.tokens_per_s.mid == pytest.approx(6.0 * tokens / seconds, rel=1e-9)
    idle = _idle_w("B200-SXM", "Llama-3.1-70B", PLAN_DENSE)
    joules = float(wide["watts"]) * verify + idle * (draft + link)
    joules += float(chip.watts.mid) * draft + 200 * 300.0 * 0.25 * (verify + link)
    assert found.watts.mid == pytest.approx(joules / seconds, rel=1e-9)


@pytest.mark.parametrize(
    "device,chips,stages", [("LPX", 500, None), ("LPX", 500, 10), ("Cerebras WSE-3 (CS-3)", 2, 7)]
)
def test_a_pipeline_of_chips(device, chips, stages):
    given = {**CHIP, "hop_s": HOP}
    found = dataflow.decode(
        device, "Llama-3.1-8B", batch=20.0, context=2000.0, chips=chips, stages=stages, **given
    )
    chip, model = tr.device(device), tr.model("Llama-3.1-8B")
    kind = "fp8" if "fp8" in chip.peak else "bf16"
    plan = tr.Plan(weights=kind, kv_cache=kind, engine="ideal")
    deep = stages or model.layers
    deep = deep if chip.kind == "wafer" else min(deep, chips)
    part = max(20.0 / deep, 1.0)
    work = (
        float(tr.decode(chip, model, plan, batch=part, context=2000.0, fidelity="datasheet").time_s)
        / 0.5
    )
    trip = work * deep / chips + model.layers * 4e-6 + (deep - 1) * HOP
    assert _one(found.time_s) == pytest.approx(trip, rel=1e-9) and _one(found.stages) == deep
    assert _one(found.tokens_per_s) == pytest.approx(20.0 / trip, rel=1e-9)
    busy = min(work * deep / chips / trip * min(20.0 / deep, 1.0), 1.0)
    assert _one(found.watts) == pytest.approx(chips * 300.0 * (0.25 + 0.75 * busy), rel=1e-9)
    assert found.error_band == pytest.approx(0.0, abs=1e-12)


def test_a_prompt_streams_through_chips():
    given = {**CHIP, "hop_s": HOP}
    found = dataflow.prefill("LPX", "Llama-3.1-8B", tokens=3000.0, past=500.0, chips=500, **given)
    chip, model = tr.device("LPX"), tr.model("Llama-3.1-8B")
    plan = tr.Plan(weights="fp8", kv_cache="fp8", engine="ideal")
    work = (
        float(tr.prefill(chip, model, plan, tokens=3000.0, past=500.0, fidelity="datasheet").time_s)
        / 0.5
    )
    seconds = work / 500 + model.layers * 4e-6 + (model.layers - 1) * HOP
    assert _one(found.time_s) == pytest.approx(seconds, rel=1e-9)
    assert _one(found.tokens_per_s) == pytest.approx(3000.0 / seconds, rel=1e-9)
    busy = work / 500 / seconds
    assert _one(found.watts) == pytest.approx(500 * 300.0 * (0.25 + 0.75 * busy), rel=1e-9)
    nothing = dataflow.prefill("LPX", "Llama-3.1-8B", tokens=0.0, chips=500, **given)
    assert _one(nothing.tokens_per_s) == 0.0 and _one(nothing.stages) == model.layers


def test_a_range_of_one_parameter_is_the_range_of_the_time():
    given = {**CHIP, "hop_s": (1e-6, 3e-6, 9e-6)}
    found = dataflow.decode("LPX", "Llama-3.1-8B", chips=500, **given)
    each = [float(_one(dataflow.decode("LPX", "Llama-3.1-8B", chips=500, **{**given, "hop_s": h}).time_s))
            for h in (1e-6, 3e-6, 9e-6)]  # fmt: skip
    assert (found.time_s.low, found.time_s.mid, found.time_s.high) == pytest.approx(
        tuple(each), rel=1e-12
    )
    assert found.error_band == pytest.approx(
        max(each[2] / each[1], each[1] / each[0]) - 1.0, rel=1e-12
    )
    i = found.interactivity
    assert (i.low, i.mid, i.high) == pytest.approx(
        (1 / each[2], 1 / each[1], 1 / each[0]), rel=1e-12
    )


def test_edges_of_what_may_be_unknown():
    """Shares of 1 and of nothing idle, no latency, no limit: taken; beyond them: named."""
    edges = {
        "efficiency": 1.0,
        "layer_s": 0.0,
        "sram_share": 1.0,
        "limit_w": 0.0,
        "idle_share": 0.0,
        "hop_s": 0.0,
    }
    free = dataflow.decode("LPX", "Llama-3.2-1B", chips=200, **edges)
    assert _one(free.watts) == 0.0
    assert (
        _one(
            dataflow.decode("LPX", "Llama-3.2-1B", chips=200, **{**edges, "idle_share": 1.0}).watts
        )
        == 0.0
    )
    for name, value in (("efficiency", 1.01), ("efficiency", 0.0), ("layer_s", -1e-9), ("sram_share", 1.01),
                        ("limit_w", -1.0), ("idle_share", 1.01), ("idle_share", -0.01), ("hop_s", -1e-9)):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{name} is"):
            dataflow.decode("LPX", "Llama-3.2-1B", chips=200, **{**edges, name: value})
    with pytest.raises(ValueError, match="^chips is 1; allowed: at least"):
        dataflow.decode("LPX", "Llama-3.1-8B", chips=1)
    held = int(_one(dataflow.decode("LPX", "Llama-3.1-8B", **{**CHIP, "hop_s": HOP}).chips))
    assert (
        _one(dataflow.decode("LPX", "Llama-3.1-8B", chips=held, **{**CHIP, "hop_s": HOP}).chips)
        == held
    )
    with pytest.raises(ValueError, match=f"allowed: at least {held}"):
        dataflow.decode("LPX", "Llama-3.1-8B", chips=held - 1, **{**CHIP, "hop_s": HOP})
    wafer, layers = "Cerebras WSE-3 (CS-3)", tr.model("Llama-3.1-8B").layers
    assert dataflow.decode(wafer, "Llama-3.1-8B", stages=layers).stages.mid == layers
    with pytest.raises(
        ValueError, match=f"stages is {layers + 1}; allowed: at most the {layers} layers"
    ):
        dataflow.decode(wafer, "Llama-3.1-8B", stages=layers + 1)
    assert dataflow.decode("LPX", "Llama-3.1-8B", chips=500, stages=500).stages.mid == 500
    with pytest.raises(ValueError, match="stages is 501; allowed: at most the 500 chips"):
        dataflow.decode("LPX", "Llama-3.1-8B", chips=500, stages=501)
    for link, hop, name in ((0.0, 0.0, "link_bandwidth"), (1e9, -1e-9, "hop_s")):
        with pytest.raises(ValueError, match=f"^{name} is"):
            decouple.drafts("GPT-2", "H200-SXM", "GPT-2", "LPX", link_bandwidth=link, hop_s=hop)
    for site, says in (
        (("H200-SXM", None, 2), "n = 2"),
        (("H200-SXM", None, 1, 1), "allowed: device"),
    ):
        with pytest.raises(ValueError, match=says):
            decouple.drafts("GPT-2", site, "GPT-2", "LPX")
