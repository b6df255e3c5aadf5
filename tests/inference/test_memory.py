"""Steps, sweeps, loads over time and layouts ask one rule what fits a device's memory."""

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core, kernels
from tokenroof.inference.door import deployment
from tokenroof.inference.memory import cache_room, engine_memory

SLOTS = _core.SERVING_FIELDS.index("slots")
CASES = [
    ("H100-SXM", "Qwen2.5-72B", {"tp": 2}),
    ("H100-SXM", "Llama-3.1-8B", {}),
    ("H200-SXM", "DeepSeek-R1", {"tp": 8, "weights": "fp8_block", "kv_cache": "fp8"}),
    ("B200-SXM", "Qwen3-235B-A22B", {"dp": 4, "moe_ep": 4, "weights": "nvfp4"}),
    ("H100-SXM", "Llama-3.1-70B", {"pp": 2}),
    ("MI300X", "Llama-3.1-70B", {}),
    ("TPU v5p", "Llama-3.1-70B", {"tp": 2}),
    ("RTX 4090", "Llama-3.1-8B", {}),
    ("H200-SXM", "gpt-oss-120b", {}),
    ("H200-SXM", "Llama-4-Maverick", {"dp": 8, "moe_ep": 8, "weights": "fp8", "kv_cache": "fp8"}),
]


@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "ideal"])
@pytest.mark.parametrize(("device", "model", "layout"), CASES)
def test_steps_and_serving_agree(device, model, layout, engine, fidelity):
    plan = tr.Plan(**layout, engine=engine)
    on = deployment(device, model, plan, fidelity)
    for tokens in (2048.0, 65536.0):
        slots = float(kernels.serving(*on.records, 1.0, tokens - 1.0, 1.0)[..., SLOTS])
        most = plan.dp * np.floor(slots / plan.dp)
        batch = np.array([plan.dp, max(most, plan.dp), most + plan.dp])
        step = tr.decode(device, model, plan, batch=batch, context=tokens, fidelity=fidelity)
        want = [slots >= plan.dp, slots >= plan.dp, False]
        assert step.fits.tolist() == want
        once, at = np.unique(batch, return_inverse=True)  # an axis has each coordinate once
        table = tr.sweep([device], [model], [plan], batch=once, context=tokens, fidelity=fidelity)
        assert table.fits.values.ravel()[at].tolist() == want
        assert np.array_equal(np.isfinite(table.time_s.values.ravel())[at], want)
        any_length = tr.model(model).replace(context_max=0)
        curve = tr.serving.curve(device, any_length, plan, tokens - 1.0, 1.0, [1.0], fidelity)
        assert bool(curve.fits[0]) == want[0] == bool(np.isfinite(curve.ttft_s[0]))
        spec = tr.speculative.decode(
            device, model, plan, draft="ngram", length=0, batch=batch, context=tokens, fidelity=fidelity
        )  # fmt: skip
        assert spec.fits.tolist() == want


def test_a_rank_serves_whole_requests():
    """Eight ranks that hold half a request each hold none."""
    plan = tr.Plan(dp=8, moe_ep=8, weights="fp8_block", kv_cache="fp8")
    on = deployment("H200-SXM", "DeepSeek-R1", plan)
    room = float(cache_room(on.records))
    one = float(kernels.memory_required(*on.records[2:], 8.0, 1e5) - kernels.memory_required(
        *on.records[2:], 0.0, 0.0))  # fmt: skip
    tokens, model = np.floor(1e5 * room / one), tr.model("DeepSeek-R1").replace(context_max=0)
    for context, fits in ((tokens - 1.0, True), (2.0 * tokens, False)):
        table = tr.serving.curve("H200-SXM", model, plan, context - 1.0, 1.0, [1.0])
        step = tr.decode("H200-SXM", "DeepSeek-R1", plan, batch=1.0, context=context)
        assert bool(table.fits[0]) is bool(step.fits) is fits


def test_two_h100_hold_72b_in_16_bits_and_say_so_everywhere():
    plan = tr.Plan(tp=2)
    assert tr.decode("H100-SXM", "Qwen2.5-72B", plan, batch=1, context=1024).fits
    assert tr.serving.curve("H100-SXM", "Qwen2.5-72B", plan, concurrency=[1]).fits.all()
    front = tr.serving.frontier("H100-SXM", "Qwen2.5-72B", [plan])
    assert front.sizes["point"] > 0
    assert engine_memory("vllm")["memory_share"] == pytest.approx(0.9 * 1.068, rel=1e-3)


def test_a_layout_of_two_sites_says_what_the_engine_leaves():
    plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
    device, model = "B200-SXM", "Qwen3-235B-A22B"
    with pytest.raises(ValueError, match=r"GB that vllm gives weights and caches of its 180 GB"):
        tr.decouple.attention_experts(model, (device, plan), "LPX", batch=1e6, context=1e5)


def test_sglang_leaves_its_steps_their_buffers():
    """Of 80 GB a share of 0.83 [server_args.py]: 65.5 GB of weights leave 5 GB, where 0.9 of what they and 4 GB
    leave would be 14: sixteen requests of 1,536 tokens of Qwen3-32B do not run at once on one H100."""
    plan = tr.Plan(engine="sglang")
    on = deployment("H100-SXM", "Qwen3-32B", plan)
    weights = float(kernels.memory_required(*on.records[2:], 0.0, 0.0))
    static = 0.99 * 80e9 * 1.068 - (512 + 512 + 1.5 * 8192 + 2 * 512) * 2**20
    assert float(cache_room(on.records)) == pytest.approx(static - weights)
    assert 4e9 < static - weights < 6e9
    table = tr.serving.curve("H100-SXM", "Qwen3-32B", plan, 1024, 512, [16.0])
    assert table.batch[0] < 14.0 and table.queue_s[0] > 0.0
    # 180 GB: chunks of twice as many tokens; a bound by the datasheet holds no more than the engine does
    large = deployment("B200-SXM", "Qwen3-32B", plan, "datasheet")
    static = 0.99 * 180e9 * 1.068 - (512 + 512 + 1.5 * 16384 + 2 * 512) * 2**20
    assert float(cache_room(large.records)) == pytest.approx(static - weights)
    # what a caller says counts
    own = tr.Calibration(constants={"engine": {"memory_share": 0.9, "memory_reserved": 0.0}})
    said = deployment("H100-SXM", "Qwen3-32B", plan, own)
    assert float(cache_room(said.records)) == pytest.approx(0.9 * 80e9 - weights)


@pytest.mark.parametrize(
    ("model", "tp", "heads", "weights"),
    [("Llama-3.1-8B", 16, 0.5, "bf16"), ("Llama-3.1-8B", 32, 0.75, "bf16"),
     ("Llama-3.1-8B", 8, 0.0, "bf16"), ("Llama-3.1-70B", 16, 0.5, "fp8")],
)  # fmt: skip
def test_copies_of_a_kv_head_take_memory(model, tp, heads, weights):
    """Beyond as many devices as KV heads each has a whole head's matrices, not its share of one."""
    m, width = tr.model(model), {"bf16": 2.0, "fp8": 1.0}[weights]
    plan = tr.Plan(tp=tp, weights=weights)
    one = tr.Plan(weights=weights)
    shared, own = (
        float(kernels.memory_required(m.pack(), p.pack(), 0.0, 0.0)) for p in (one, plan)
    )
    more = m.layers * heads * (m.head_dim + m.v_head_dim) * m.hidden * width
    assert own - shared / tp == pytest.approx(more, rel=1e-9, abs=1.0)
    staged = float(
        kernels.memory_required(m.pack(), tr.Plan(tp=tp, pp=2, weights=weights).pack(), 0, 0)
    )
    whole = float(kernels.memory_required(m.pack(), tr.Plan(pp=2, weights=weights).pack(), 0, 0))
    assert staged - whole / tp == pytest.approx(more / 2.0, rel=1e-9, abs=1.0)


def test_memory_and_traffic_count_the_same_copies():
    """Weights that a step reads grow from 8 to 16 devices by what the devices hold more."""
    m = tr.model("Llama-3.1-8B")
    held = [
        t * float(kernels.memory_required(m.pack(), tr.Plan(tp=t).pack(), 0, 0)) for t in (8, 16)
    ]
    read = [tr.decode("H200-SXM", m, tr.Plan(tp=t), batch=1, context=1).bytes for t in (8, 16)]
    copies = m.layers * m.kv_heads * 2 * m.head_dim * m.hidden * 2.0
    assert held[1] - held[0] == pytest.approx(copies, rel=1e-6)
    assert read[1] - read[0] == pytest.approx(copies, rel=0.05)


@pytest.mark.parametrize(
    ("name", "tp"), [("DeepSeek-R1", 8), ("DeepSeek-R1", 16), ("DeepSeek-V4-Pro", 4)]
)
def test_matrices_down_to_low_ranks_are_whole_on_each_device(name, tp):
    m = tr.model(name)
    own, one = (
        float(
            kernels.memory_required(
                m.pack(), tr.Plan(tp=t, moe_tp=t, weights="bf16").pack(), 0.0, 0.0
            )
        )
        for t in (tp, 1)
    )
    down = m.q_lora_rank + (m.kv_lora_rank + m.rope_head_dim if m.kv_lora_rank else m.head_dim)
    more = m.layers * down * m.hidden * 2.0 * (1.0 - 1.0 / tp)
    assert own - one / tp == pytest.approx(more, rel=1e-6)
