"""Bytes of released checkpoints against what their publishers print."""

import json
from pathlib import Path

import pytest

import tokenroof as tr

CONFIGS = Path(__file__).parent / "fixtures" / "model_configs"


def config(name: str, **changes: object) -> dict:
    return {**json.loads((CONFIGS / f"{name}.json").read_text()), **changes}


# Published sizes: of the tensors (metadata.total_size of model.safetensors.index.json) or of the files.
def _left(pattern: str, layers: int, *parts: str) -> list[str]:
    return [pattern.format(i, part) for i in range(layers) for part in parts]


RELEASES = {
    # deepseek-ai/DeepSeek-R1 and DeepSeek-V3, weight files of afb92e1 together
    "DeepSeek-R1": ("DeepSeek-R1", {}, 688_586_727_753),
    # openai/gpt-oss-120b and -20b, metadata.total_size
    "gpt-oss-120b": ("gpt-oss-120b", {}, 65_248_815_744),
    "gpt-oss-20b": ("gpt-oss-20b", {}, 13_761_264_768),
    # nvidia/DeepSeek-R1-0528-NVFP4-v2, 350 files together: attention's output alone is narrow, the MTP layer wide
    "DeepSeek-R1-NVFP4-v2": (
        "DeepSeek-R1",
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "exclude_modules": [
            "lm_head", "model.layers.61*",
            *_left("model.layers.{}.self_attn.{}", 61, "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj"),
        ]},
        413_340_567_567,
    ),
    # a Llama-3-70B in AWQ, metadata.total_size
    "Llama-3-70B-AWQ": (
        "Llama-3-70B",
        {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"},
        39_767_785_472,
    ),
    # sizes that model cards give in GB: TheBloke/Llama-2-70B-AWQ, Llama-2-13B-chat-GPTQ by groups of 128 and 32,
    # Llama-2-70B-Chat-GPTQ whose rows have one scale each (35332232264 bytes)
    "Llama-2-70B-AWQ": ("Llama-2-70B", {"quant_method": "awq", "bits": 4, "group_size": 128}, 36.61e9),
    "Llama-2-13B-GPTQ": ("Llama-2-13B", {"quant_method": "gptq", "bits": 4, "group_size": 128}, 7.26e9),
    "Llama-2-13B-GPTQ-32": ("Llama-2-13B", {"quant_method": "gptq", "bits": 4, "group_size": 32}, 8.00e9),
    "Llama-2-70B-GPTQ": ("Llama-2-70B", {"quant_method": "gptq", "bits": 4, "group_size": -1}, 35_332_232_264),
    # TheBloke/Mixtral-8x7B-Instruct-v0.1-AWQ, three files of 9.97, 9.98 and 4.70 GB
    "Mixtral-8x7B-AWQ": (
        "Mixtral-8x7B",
        {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["gate"]},
        24.65e9,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELEASES)
def test_published_sizes(name):
    base, quantised, size = RELEASES[name]
    read = config(base, **({"quantization_config": quantised} if quantised else {}))
    total = sum(tr.Model.from_config(read).weight_bytes().values())
    assert total == pytest.approx(size, rel=0.001)


def test_numbers_of_a_checkpoint():
    """MiniMaxAI/MiniMax-M2.5: 228,703,644,928 numbers on the hub, the scales of its blocks among them."""
    m = tr.Model.from_config(CONFIGS / "MiniMax-M2.5.json")
    assert m.parameters + m.weight_bytes()["scales"] / 4 == 228_703_644_928


def test_a_hybrid_with_a_tower_and_mtp():
    """Qwen/Qwen3.8-27B, 55,563,006,776 bytes in bf16, and its FP8 twin, 30,866,866,928 (vLLM's recipe).

    A dense hybrid of 64 layers, every fourth with full attention, a tower, a layer for the next token.
    """
    text = {
        "model_type": "qwen3_5_text", "hidden_size": 5120, "num_hidden_layers": 64, "num_attention_heads": 24,
        "num_key_value_heads": 4, "head_dim": 256, "intermediate_size": 17408, "vocab_size": 248320,
        "full_attention_interval": 4, "linear_num_key_heads": 16, "linear_key_head_dim": 128,
        "linear_num_value_heads": 48, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        "mtp_num_hidden_layers": 1, "tie_word_embeddings": False,
    }  # fmt: skip
    vision = {"model_type": "qwen3_5", "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16,
              "out_hidden_size": 5120, "deepstack_visual_indexes": []}  # fmt: skip
    whole = {"model_type": "qwen3_5", "text_config": text, "vision_config": vision}
    wide = tr.Model.from_config(whole)
    assert sum(wide.weight_bytes().values()) == pytest.approx(55_563_006_776, rel=1e-5)
    narrow = tr.Model.from_config({**whole, "quantization_config": {
        "quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head", "model.visual"]}})  # fmt: skip
    assert sum(narrow.weight_bytes().values()) == pytest.approx(30_866_866_928, rel=0.001)


def test_a_checkpoint_in_three_types():
    """deepseek-ai/DeepSeek-V4-Flash, 160 GB of safetensors: FP4 experts, FP8 blocks, 16-bit ends and router."""
    m = tr.model("DeepSeek-V4-Flash")
    assert sum(m.weight_bytes().values()) == pytest.approx(160e9, rel=0.01)
    plan = tr.Plan.from_config(m, tp=4)
    assert plan.label() == "tp4 fp8_block/mxfp4 kv bf16"
    assert plan.on(tr.device("B200-SXM")).experts == "mxfp4_mxfp8"


def test_every_number_of_a_checkpoint():
    """MiniMaxAI/MiniMax-M3-MXFP8: 440,279,845,760 numbers in 31 files, scales and tower among them, no MTP layer."""
    gates = [f"language_model.model.layers.{i}.block_sparse_moe.gate" for i in range(3, 60)]
    left = [
        "lm_head",
        "model.embed_tokens",
        "vision_tower",
        "multi_modal_projector",
        "patch_merge_mlp",
        *gates,
    ]
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 1280, "num_attention_heads": 16, "num_hidden_layers": 32,
        "intermediate_size": 5120, "patch_size": 14, "image_size": 2016, "position_embedding_type": "rope",
        "img_token_compression_config": {"spatial_merge_size": 2, "temporal_patch_size": 2},
    }  # fmt: skip
    m = tr.Model.from_config({
        "model_type": "minimax_m3_vl", "text_config": config("MiniMax-M3"), "vision_config": vision,
        "projector_hidden_size": 6144, "quantization_config": {
            "quant_method": "mxfp8", "weight_block_size": [1, 32], "ignored_layers": left},
    })  # fmt: skip
    found = m.weight_bytes()
    assert m.parameters + found["scales"] == 440_279_845_760
    # 413.27 GiB; routers and the patch embedding are in 32 bits there
    assert sum(found.values()) == pytest.approx(413.27 * 2**30, rel=0.001)
    assert tr.Plan.from_config(m, tp=4).label() == "tp4 mxfp8 kv bf16"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda p: p.stem)
def test_every_parameter_has_its_bytes(path):
    """In 16 bits the modules of every file weigh two bytes a parameter, beside layers for further tokens."""
    m = tr.Model.from_config(path).replace(quantisation=None, native_dtype="bf16")
    found = m.weight_bytes()
    assert min(found.values()) >= 0.0
    assert sum(found.values()) - found.get("mtp", 0.0) == 2 * m.parameters


def test_a_caller_who_changes_what_was_found_changes_nothing():
    """The types of a model are found once; each caller has a copy."""
    from tokenroof.records.weights import plan_types

    for name in ("DeepSeek-R1", "gpt-oss-120b"):
        model = tr.model(name)
        first, want = plan_types(model), plan_types(model.replace(notes="found by itself"))
        assert first == want and model.quantisation
        first["weights"] = "changed"
        first.setdefault("wide", {})["mlp"] = 2.0
        assert plan_types(model) == want
