"""Speculation, dataflow devices, layouts over two sites, and every kind of device in the catalogue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, every_isa
from tokenroof import catalogue, kernels, reference
from tokenroof.catalogue.fits import fits
from tokenroof.inference import dataflow, decouple, estimates, speculative
from tokenroof.inference.other_kinds import of_kind

PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")


def test_leviathans_numbers():
    for a, g, c, tokens, faster, work in (
        (0.8, 5, 0.05, 3.68928, 2.951424, 1.69409749328), (0.7, 3, 0.05, 2.533, 2.20260869565, 1.63837347019),
        (0.9, 7, 0.1, 5.6953279, 3.35019288235, 1.52756788595), (0.0, 3, 0.1, 1, 0.769230769231, 4.3),
    ):  # fmt: skip
        assert kernels.expected_tokens(a, float(g)) == pytest.approx(tokens, rel=1e-12)
        assert kernels.speculative_speedup(a, float(g), c) == pytest.approx(faster, rel=1e-11)
        assert kernels.speculative_operations(a, float(g), c) == pytest.approx(work, rel=1e-11)
    best = kernels.best_draft_length([0.8, 0.6, 0.9, 0.5], [0.05, 0.05, 0.02, 0.1], 64.0)
    assert best.tolist() == [8.0, 4.0, 19.0, 2.0]
    assert kernels.expected_tokens(1.0, 4.0) == 5.0


@given(a=st.floats(0.0, 1.0), c=st.floats(0.0, 2.0), most=st.integers(0, 64))
@every_isa
def test_no_length_beats_the_best(isa, a, c, most):
    best = BY_ISA[isa]["best_draft_length"](a, c, float(most))
    assert best == reference.best_draft_length(a, c, float(most))
    speed = kernels.speculative_speedup(a, np.arange(most + 1.0), c)
    assert speed[int(best)] >= speed.max() * (1 - 1e-12)


@given(a=st.lists(st.floats(0.0, 1.0), max_size=8))
@every_isa
def test_positions(isa, a):
    assert BY_ISA[isa]["expected_tokens_by_position"](a) == reference.expected_tokens_by_position(a)


def test_verification():
    one = speculative.verify(
        "H200-SXM", "Qwen3-235B-A22B", PLAN.replace(moe_ep=8, moe_tp=1), batch=8.0
    )
    plain = tr.decode("H200-SXM", "Qwen3-235B-A22B", PLAN.replace(moe_ep=8, moe_tp=1), batch=8.0)
    assert one["time"] == pytest.approx(plain.time_s, rel=1e-12)
    mixed = tr.Plan(weights="bf16", experts="mxfp4")  # types of their own on this device
    one = speculative.verify("B200-SXM", "gpt-oss-120b", mixed, batch=8.0)
    plain = tr.decode("B200-SXM", "gpt-oss-120b", mixed, batch=8.0)
    assert one["time"] == pytest.approx(plain.time_s, rel=1e-12)
    found = speculative.decode(
        "H200-SXM", "Llama-3.1-70B", PLAN, draft="Llama-3.1-8B", length=np.arange(9)
    )
    assert found.speedup[0] == pytest.approx(1.0) and found.speedup.max() > 1.2
    mtp = speculative.decode(
        "B200-SXM", "DeepSeek-R1", PLAN.replace(moe_ep=8, moe_tp=1), acceptance=0.9
    )
    assert 1.5 < mtp.speedup < 4.0 and mtp.draft_s < 0.3 * mtp.round_s
    free = speculative.decode("H200-SXM", "Llama-3.1-70B", PLAN, draft="ngram", acceptance=0.0)
    assert free.speedup <= 1.0


@pytest.mark.parametrize("model", ["GLM-4.5", "Qwen3-235B-A22B", "Llama-3.1-70B", "DeepSeek-V3"])
@pytest.mark.parametrize("engine", ["vllm", "trtllm", "sglang"])
def test_verification_reads_the_cache_once_however_wide_it_is(model, engine):
    plan = tr.Plan(tp=4, weights="fp8_block", kv_cache="fp8", engine=engine)
    tokens = np.arange(1.0, 9.0)
    time = speculative.verify("H200-SXM", model, plan, batch=64, context=8192, tokens=tokens)[
        "time"
    ]
    assert np.all(time[1:] >= 0.99 * time[:-1]) and np.all(time[1:] < 1.4 * time[:-1])
    assert time[-1] < 3.0 * time[0]


def test_published_speeds_lie_within_the_range():
    for device, model, weights, speed in (
        ("GroqChip v1", "Llama-2-70B", None, 300), ("GroqChip v1", "Llama-2-7B", None, 750),
        ("Cerebras WSE-3 (CS-3)", "Llama-3.1-8B", "bf16", 1800), ("Cerebras WSE-3 (CS-3)", "Llama-3.1-70B", "bf16", 450),
    ):  # fmt: skip
        user = dataflow.decode(device, model, weights=weights, context=2048).interactivity
        assert user.low < speed < user.high
    fixed = dataflow.decode(
        "LPX", "Llama-3.1-8B", efficiency=1.0, layer_s=0.0, hop_s=0.0, sram_share=1.0
    )
    assert fixed.time_s.width == pytest.approx(1.0)


def test_layouts():
    pools = decouple.prefill_decode(
        "Llama-3.1-70B", ("H200-SXM", PLAN, 1), ("H200-SXM", PLAN, 2), concurrency=[1, 64]
    )
    assert np.isfinite(pools.tpot_s.mid).all() and (pools.parts["batch"].mid <= [1, 64]).all()
    apart = decouple.attention_experts("Qwen3-235B-A22B", ("B200-SXM", PLAN), "LPX", batch=[1, 64])
    assert apart.tpot_s.low[0] < apart.tpot_s.high[0] and apart.ranges["link_s"].high == 1e-5
    slow = decouple.attention_experts("Qwen3-235B-A22B", ("B200-SXM", PLAN), "LPX", hop_s=1e-3)
    layers = tr.model("Qwen3-235B-A22B").layers
    assert slow.tpot_s.mid > 2e-3 * layers
    drafted = decouple.drafts(
        "Llama-3.1-70B", ("B200-SXM", PLAN), "Llama-3.2-1B", "LPX", length=[0, 4]
    )
    assert drafted.tpot_s.mid[1] < drafted.tpot_s.mid[0]


@pytest.mark.parametrize("device", catalogue.all_devices(), ids=lambda d: d.name)
def test_no_device_is_not_supported(device):
    step = tr.decode(device, "Llama-3.2-1B", batch=4, context=2048)
    assert np.isfinite(step.time_s) and step.time_s > 0 and step.watts > 0
    assert np.isfinite(tr.operators.gemm(device, 16, 4096, 4096).watts)


@pytest.mark.parametrize(("name", "kernel_s"), [("TPU v5e", 1.5e-6), ("Gaudi 3", 3e-6)])
def test_kernels_of_other_kinds_wait_for_an_engine_or_for_their_launch(name, kernel_s):
    """An engine that was measured has gaps of its own, of kernels and at each step's end; else they are launched."""
    device = tr.device(name)
    known, bare, ideal = (of_kind(device, engine) for engine in ("vllm", "mine", "ideal"))
    gap = max(fitted("vllm")["kernel_gap"], kernel_s)
    assert (known.launch_s, known.sequence_s) == (0.0, 0.0)
    assert known.constants["engine"]["kernel_gap"] == gap
    assert (bare.launch_s, bare.sequence_s, bare.constants) == (kernel_s, 0.0, {})
    assert (ideal.launch_s, ideal.sequence_s) == (0.0, 0.0)


def fitted(engine):
    return next(row["constants"] for row in fits("engine") if row["engine"] == engine)


@pytest.mark.parametrize(
    "call,error,named",
    [(lambda: speculative.decode("H200-SXM", "GPT-2", acceptance=1.5), ValueError, "acceptance is 1.5"),
     (lambda: dataflow.decode("LPX", "GPT-2", efficiency=0.0), ValueError, "efficiency is"),
     (lambda: dataflow.decode("LPX", "GPT-2", chips=0), ValueError, "chips is 0"),
     (lambda: estimates.Range(2.0, 1.0, 3.0), ValueError, "low <= mid <= high"),
     (lambda: decouple.drafts("GPT-2", "H200-SXM", "GPT-2", "B200-SXM"), ValueError, "drafter is B200"),
     (lambda: decouple.attention_experts("GPT-2", "H200-SXM", "LPX", speed=1.0), TypeError, "unknown parameter 'speed'")],
)  # fmt: skip
def test_bad_input_is_named(call, error, named):
    with pytest.raises(error, match=named):
        call()


@pytest.mark.parametrize("device", ["Groq 3 LPU (LPX rack)", "Cerebras WSE-3 (CS-3)"])
def test_no_engine_keeps_a_part_of_a_dataflow_chip_s_memory(device):
    """As many requests by the datasheet as by estimates: one memory has one size."""
    plan = tr.serving.plan_that_fits(device, "GPT-J-6B", None, 1024, 100)
    held = [
        tr.serving.curve(device, "GPT-J-6B", plan, 1024, 100, concurrency=[64], fidelity=fidelity)
        for fidelity in ("calibrated", "datasheet")
    ]
    assert held[0].fits.all() and held[0].batch.equals(held[1].batch)
    kept = [
        tr.serving.curve(
            "H100-SXM", "GPT-J-6B", tr.Plan(), 1024, 100, concurrency=[2**16], fidelity=f
        )
        for f in ("calibrated", "datasheet")
    ]
    assert float(kept[0].batch[0]) == float(kept[1].batch[0]) < 2**16
