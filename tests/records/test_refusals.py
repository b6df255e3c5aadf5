"""Plans that engines refuse while a model loads are refused with the engine's reason."""

import pytest

import tokenroof as tr
from tokenroof.records.refusals import refusal

QWEN = tr.model("Qwen3-235B-A22B")
ENGINES = ("vllm", "sglang", "trtllm")


@pytest.mark.parametrize("engine", ENGINES)
def test_experts_of_192_columns_are_no_whole_blocks(engine):
    plan = tr.Plan(tp=8, weights="fp8_block", moe_tp=8, engine=engine)
    reason = {"vllm": "= 192 is not divisible by weight quantization block_n = 128"}.get(
        engine, r"\(moe_ffn 1536 / moe_tp 8\) % weight_block_size 128"
    )
    for ask in (
        lambda: tr.decode("H200-SXM", QWEN, plan),
        lambda: tr.prefill("H200-SXM", QWEN, plan),
        lambda: tr.sweep(["H200-SXM"], [QWEN], [plan], invalid="raise"),
        lambda: tr.serving.curve("H200-SXM", QWEN, plan),
        lambda: tr.serving.frontier("H200-SXM", QWEN, [plan]),
        lambda: tr.speculative.decode("H200-SXM", QWEN, plan),
        lambda: tr.decouple.attention_experts(QWEN, ("H200-SXM", plan), "LPX"),
    ):
        with pytest.raises(ValueError, match=f"moe_tp is 8 .*{engine} refuses: .*{reason}"):
            ask()
    assert "refuses" in tr.sweep(["H200-SXM"], [QWEN], [plan]).reason.values.flat[0]
    assert tr.decode("H200-SXM", QWEN, plan.replace(moe_tp=1, moe_ep=8)).time_s > 0
    assert tr.decode("H200-SXM", QWEN, plan.replace(engine="ideal")).time_s > 0


@pytest.mark.parametrize(
    ("model", "plan", "reason"),
    [("Qwen3-235B-A22B", {"tp": 4}, None), ("MiniMax-M2.5", {"tp": 8}, "192"), ("GLM-4.6", {"tp": 8}, "192"),
     ("DeepSeek-R1", {"tp": 16}, None), ("DeepSeek-R1", {"tp": 32}, "64 is not divisible"),
     ("Qwen2.5-72B", {"tp": 2}, "14784 is not divisible"), ("Qwen2.5-72B", {"tp": 2, "weights": "fp8"}, None),
     ("Qwen2.5-72B", {"tp": 2, "weights": "int4"}, "14784 is not divisible by group_size"),
     ("Llama-3.1-70B", {"tp": 8, "weights": "int4"}, None), ("Llama-3.2-1B", {"tp": 8}, "k_proj"),
     ("Qwen3-30B-A3B", {"tp": 2}, None), ("Qwen3-30B-A3B", {"tp": 4}, "192"),
     ("Qwen3-30B-A3B", {"dp": 4, "moe_ep": 4}, None), ("Qwen3-Next-80B-A3B", {"tp": 8}, "64"),
     ("gpt-oss-120b", {"tp": 8, "weights": "bf16", "experts": "mxfp4"}, None),
     ("GLM-4.5-Air", {"tp": 8, "weights": "nvfp4", "moe_ep": 8}, "1368 is not multiple of 16")],
)  # fmt: skip
def test_what_engines_refuse(model, plan, reason):
    found = refusal(tr.Plan(**{"weights": "fp8_block", **plan}), tr.model(model))
    assert (found is None) if reason is None else (reason in found[1])


def test_a_feed_forward_layer_is_divided_whole():
    model = tr.model("Llama-3.1-8B")
    odd = model.replace(name="odd", ffn=14337)
    with pytest.raises(
        ValueError, match="tp is 2 for odd, which vllm refuses: ffn 14337 is not divisible"
    ):
        tr.decode("H200-SXM", odd, tr.Plan(tp=2))


@pytest.mark.parametrize("device", ["H200-SXM", "B200-SXM", "A100-SXM4-80GB"])
@pytest.mark.parametrize("engine", ENGINES)
def test_default_plans_leave_them_out(device, engine):
    for name in (
        "Qwen3-235B-A22B",
        "MiniMax-M2.5",
        "Qwen2.5-72B",
        "GLM-4.6",
        "DeepSeek-V3",
        "gpt-oss-20b",
    ):
        model = tr.model(name)
        plans = tr.serving.default_plans(tr.device(device), model, 8, engine)
        assert plans
        assert all(refusal(plan, model) is None for plan in plans)
