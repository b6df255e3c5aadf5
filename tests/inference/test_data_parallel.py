"""Mixtures whose attention is data parallel: what ranks gather, what they hold, whom they wait for."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, kernels
from tokenroof.reference.inference.structure import sends_to_experts
from tokenroof.reference.serving.serving import longest_context

IDEAL = {"engine": "ideal", "kv_cache": "fp8"}


def _sent(device, model, dp, weights, batch):
    """Bytes over a device's links in a decode step."""
    plan = tr.Plan(dp=dp, moe_ep=dp, weights=weights, **IDEAL)
    step = tr.decode(device, model, plan, batch=batch, context=1024.0, fidelity="datasheet")
    return float(step.fields[kernels.STEP_FIELDS.index("communication_bytes")]) / dp


@pytest.mark.parametrize(("weights", "out"), [("fp8_block", 2.0), ("fp8", 1.0), ("bf16", 2.0)])
def test_inside_a_host_every_rank_gathers_all_tokens_and_sums_are_scattered(weights, out):
    """DeepSeek-V3: 58 layers of experts, 7,168 wide; FP8 blocks are narrowed after the gather."""
    sent = _sent("H200-SXM", "DeepSeek-V3", 8, weights, 1024.0)
    assert sent == pytest.approx(58 * 1024 * 7168 * (out + 2.0) * 7 / 8, rel=1e-12)


def test_beyond_a_host_tokens_go_to_the_ranks_of_their_experts():
    """GB200 NVL72, 32 ranks: each rank sends 32 of 1,024 tokens to 8 of the others, and gets them back."""
    sent = _sent("GB200-NVL72", "DeepSeek-V3", 32, "fp8_block", 1024.0)
    assert sent == pytest.approx(58 * 32 * 8 * 7168 * 3.0 * 31 / 32, rel=1e-12)
    few = _sent("GB200-NVL72", "DeepSeek-V3", 8, "fp8_block", 1024.0)
    assert few == pytest.approx(58 * 1024 * 7168 * 4.0 * 7 / 8, rel=1e-12)  # 8 experts, 8 ranks


@pytest.mark.parametrize(
    ("device", "dp", "tp", "ep", "topk", "want"),
    [("H200-SXM", 8, 1, 8, 1, False), ("H200-SXM", 16, 1, 16, 8, True), ("GB200-NVL72", 8, 1, 8, 8, False),
     ("GB200-NVL72", 8, 1, 8, 4, True), ("GB200-NVL72", 1, 8, 8, 4, False), ("H200-SXM", 8, 2, 16, 8, True)],
)  # fmt: skip
def test_who_sends(device, dp, tp, ep, topk, want):
    plan = {"dp": float(dp), "tp": float(tp), "moe_ep": float(ep)}
    domain = {"link_domain_size": float(tr.device(device).link_domain_size)}
    assert sends_to_experts(domain, {"topk": float(topk)}, plan) is want


def test_products_of_other_ranks_prompts_take_memory():
    """For 8,192 tokens of each further rank: rows of all pairs, of the hidden width and of three halves."""
    m = tr.model("Qwen3-235B-A22B").pack()
    held = [
        float(
            kernels.memory_required(
                m, tr.Plan(dp=dp, moe_ep=4, tp=4 // dp, weights="fp8").pack(), 0.0, 0.0
            )
        )
        for dp in (4, 2)
    ]
    weights = [tr.Plan(dp=1, tp=tp, moe_ep=tp, weights="fp8").pack() for tp in (1, 2)]
    bare = [float(kernels.memory_required(m, w, 0.0, 0.0)) for w in weights]
    rows = 8192 * 8 * 2 * (4096 + 3 * 1536)
    routed = float(m[_core.MODEL_FIELDS.index("routed_parameters")])
    # attention's weights as with tp of 1 and 2, experts over four ranks
    want = [bare[0] - routed + routed / 4 + 3 * rows, bare[1] - routed / 2 + routed / 4 + rows]
    assert held == pytest.approx(want, rel=1e-9)
    dense = tr.model("Llama-3.1-8B").pack()
    one, four = (
        float(kernels.memory_required(dense, tr.Plan(dp=n).pack(), 0.0, 0.0)) for n in (1, 4)
    )
    assert one == four


def test_ranks_wait_for_the_longest_contexts():
    # 64 sequences anywhere in answers of 1,200: a rank's mean is off by 1200 / sqrt(12 * 64)
    off = 1200.0 / np.sqrt(12.0 * 64.0)
    assert longest_context(100.0, 1200.0, 64.0, 8.0) == pytest.approx(
        700.0 + 0.6 * 3.0 / 1.27 * off
    )
    assert longest_context(100.0, 1200.0, 64.0, 1.0) == 700.0
    assert longest_context(100.0, 1200.0, 0.01, 8.0) == 1300.0
    rng = np.random.default_rng(2)
    drawn = 100.0 + 1200.0 * rng.random((4000, 8, 64)).mean(2)
    assert longest_context(100.0, 1200.0, 64.0, 8.0) == pytest.approx(
        drawn.max(1).mean(), rel=0.005
    )
    # with a mixture in serving, and not where ranks have no layer in common
    device, record = tr.device("H200-SXM").pack(), tr.Calibration().pack()
    for model, longer in (("DeepSeek-V3", True), ("Llama-3.1-8B", False)):
        plan = tr.Plan(dp=8, moe_ep=8 if longer else None, weights="fp8", kv_cache="fp8").pack()
        records = device, record, tr.model(model).pack(), plan
        terms = kernels.serving_terms(*records, 512.0, 100.0, 1200.0)
        context = longest_context(100.0, 1200.0, 64.0, 8.0) if longer else 700.0
        step = float(kernels.decode_time(*records, 512.0, context))
        got = float(terms[kernels.SERVING_TERMS.index("decode_s")])
        assert got == pytest.approx(step, rel=1e-12)
