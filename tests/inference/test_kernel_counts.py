"""Kernels and collectives of a step, counted by hand."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment


def counted(model, plan, device="H200-SXM", names=("kernels", "collectives")):
    """Kernels, and collectives, of a step."""
    terms = kernels.serving_terms(
        *deployment(device, model, plan, "calibrated").records, 1.0, 64.0, 1.0
    )
    return [float(terms[kernels.SERVING_TERMS.index(n)]) for n in names]


def fused(model, plan, device="H200-SXM"):
    """Kernels that wait with the engine that fuses less those with one that does not, which launches as many."""
    (whole, some), (all_, waiting) = (
        counted(model, plan.replace(engine=engine), device, ("kernels", "waiting"))
        for engine in ("trtllm", "vllm")
    )
    assert whole == all_
    return waiting - some


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
    attention, routed = 4 + 4 + mixer, 5 + experts  # with the norms of both low ranks
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
    attention = 5 + each  # with norms of each head
    assert hybrid == 2 + model.norms + softmax * attention + linear * (14 + each) + 48 * routed


@pytest.mark.parametrize("tp", [1, 2, 8])
def test_norms_over_all_heads_meet(tp):
    """MiniMax-M2.5: 62 layers; an all-reduce, and two kernels for one, where ranks split the heads."""
    own = tr.model("MiniMax-M2.5")
    plan = tr.Plan(tp=tp, moe_ep=tp, weights="bf16")
    device = tr.device("H200-SXM").replace(memory_bytes=1e12)
    whole, joined = counted(own, plan, device)
    heads, apart = counted(own.replace(joint_norm=False), plan, device)
    assert (whole - heads, joined - apart) == ((62, 62) if tp > 1 else (0, 0))
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


@pytest.mark.parametrize(
    ("model", "norms"),
    [
        ("Llama-3.1-70B", 160),  # two of each layer
        ("Llama-3.1-8B", 0),  # 4096 wide
        ("Qwen3-32B", 0),  # norms of each head
        ("Qwen3-235B-A22B", 188),
        ("gpt-oss-120b", 72),
        ("Qwen3-Next-80B-A3B", 0),  # recurrent layers
        ("MiniMax-M2.5", 0),  # norms over all heads
        ("Gemma-3-27B", 0),  # four norms a layer
    ],
)
def test_norms_in_the_kernel_of_an_all_reduce(model, norms):
    """TensorRT-LLM's, behind each all-reduce of the residual; of one rank, and of ranks with tokens of their own, none."""
    own = tr.model(model)
    assert fused(own, tr.Plan(tp=4, moe_ep=4 if own.experts else 1, weights="bf16")) == norms
    assert fused(own, tr.Plan(weights="bf16")) == 0
    if own.experts:
        assert fused(own, tr.Plan(tp=2, dp=2, moe_ep=4, weights="bf16")) == 0


def test_norms_in_the_kernel_of_an_all_reduce_of_dense_first_layers():
    """DeepSeek-V3: 61 layers of which three are dense, all of them with two norms."""
    plan = tr.Plan(tp=8, moe_ep=8, weights="nvfp4")
    assert fused("DeepSeek-V3", plan, "B200-SXM") == 122


@pytest.mark.parametrize(
    ("engine", "device", "types", "more"),
    [
        ("trtllm", "H200-SXM", "fp8_block", 2 * 61),
        ("trtllm", "B200-SXM", "fp8_block", 0),
        ("vllm", "H200-SXM", "fp8_block", 0),
        ("sglang", "H200-SXM", "fp8_block", 0),
        ("trtllm", "H200-SXM", "bf16", 0),
    ],
)
def test_folded_products_that_are_narrowed(engine, device, types, more):
    """TensorRT-LLM narrows in front of both, in blocks of FP8 before Blackwell; all others multiply in 16 bits."""
    plan = tr.Plan(tp=8, moe_ep=8, weights=types, kv_cache="bf16", engine=engine)
    others = plan.replace(engine="vllm")
    found, usual = (counted("DeepSeek-V3", p, device)[0] for p in (plan, others))
    assert found - usual == more


@pytest.mark.parametrize(("tp", "more"), [(1, 1), (2, 2)])
def test_norms_of_queries_and_keys(tp, more):
    """One kernel of a rank that has all heads, or of each head alone; two where their squares meet first."""
    own = tr.model("Qwen3-32B")
    plan = tr.Plan(tp=tp, weights="bf16")
    each, joint, none = (
        counted(m, plan)[0] for m in (own, own.replace(joint_norm=True), own.replace(qk_norm=0))
    )
    assert (each - none, joint - none) == (64, more * 64)
