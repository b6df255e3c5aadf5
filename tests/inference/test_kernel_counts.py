"""Kernels and collectives of a step, counted by hand."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment


def counted(model, plan, device="H200-SXM"):
    """Kernels, and collectives, of a step."""
    terms = kernels.serving_terms(
        *deployment(device, model, plan, "calibrated").records, 1.0, 64.0, 1.0
    )
    return [float(terms[kernels.SERVING_TERMS.index(n)]) for n in ("kernels", "collectives")]


@pytest.mark.parametrize(
    ("types", "mixer", "mlp", "experts"),
    [
        ("bf16", 0, 0, 0),
        ("fp8", 0, 0, 1),  # the kernel before writes what enters dense products
        ("fp8_block", 3, 2, 1),  # one in front of each product of 3 and of 2
        ("mxfp8", 2, 1, 1),  # the norm narrows for the first
    ],
)
def test_narrowing_of_a_model_with_latents(types, mixer, mlp, experts):
    """DeepSeek-V3: 61 layers of MLA, 3 dense, 58 with a shared expert, whose narrowing is one beside the rest."""
    shared = min(mlp, 1)
    kernels_, _ = counted("DeepSeek-V3", tr.Plan(tp=8, moe_ep=8, weights=types, kv_cache="bf16"))
    norms = 2 * 61 + 1
    attention, routed = 4 + 3 + mixer, 5 + experts
    assert kernels_ == 2 + norms + 61 * attention + 3 * (3 + mlp) + 58 * (routed + 1 + shared)


@pytest.mark.parametrize(("types", "each"), [("bf16", 0), ("fp8_block", 2), ("mxfp8", 1)])
def test_narrowing_in_dense_layers_and_mixers(types, each):
    """A mixer and an MLP have two products each."""
    dense, _ = counted("Llama-3.1-8B", tr.Plan(weights=types, kv_cache="bf16"))
    assert dense == 2 + 65 + 32 * (4 + 3 + 2 * each)
    plan = tr.Plan(tp=4, moe_ep=4, weights=types, kv_cache="bf16")
    model = tr.model("Qwen3-Next-80B-A3B")
    hybrid, _ = counted(model, plan)
    softmax, linear = model.full_layers, model.linear_layers
    routed = 5 + (each > 0) + 1 + min(each, 1)
    assert hybrid == 2 + model.norms + softmax * (4 + each) + linear * (14 + each) + 48 * routed


@pytest.mark.parametrize("tp", [1, 2, 8])
def test_norms_over_all_heads_meet(tp):
    """MiniMax-M2.5: 62 layers; an all-reduce and two kernels more a layer where ranks split the heads."""
    own = tr.model("MiniMax-M2.5")
    plan = tr.Plan(tp=tp, moe_ep=tp, weights="bf16")
    device = tr.device("H200-SXM").replace(memory_bytes=1e12)
    whole, joined = counted(own, plan, device)
    heads, apart = counted(own.replace(joint_norm=False), plan, device)
    assert (whole - heads, joined - apart) == ((124, 62) if tp > 1 else (0, 0))
    assert own.joint_norm and tr.model("Qwen3-235B-A22B").joint_norm is False


def test_what_a_norm_over_all_heads_exchanges():
    """Two sums of squares in 32 bits of each token and layer, twice over each link but for a rank's own share."""
    own = tr.model("MiniMax-M2.5")
    plan = tr.Plan(tp=8, moe_ep=8, weights="fp8_block")
    for fidelity in ("datasheet", "calibrated"):
        with_it, without = (
            tr.decode("H200-SXM", m, plan, batch=64, context=1000, fidelity=fidelity)
            for m in (own, own.replace(joint_norm=False))
        )
        both = with_it.fields, without.fields
        more = np.subtract(*both)[kernels.STEP_FIELDS.index("communication_bytes")]
        assert more == pytest.approx(62 * 64 * 8 * 2 * 7 / 8 * 8, rel=1e-9)
        assert with_it.time_s > without.time_s
