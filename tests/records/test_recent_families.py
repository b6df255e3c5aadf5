"""Families of 2026: how their configs say what differs from layer to layer, and what is refused by name."""

import json
from pathlib import Path

import pytest

import tokenroof as tr

CONFIGS = Path(__file__).parent / "fixtures" / "model_configs"


def config(name, **changes):
    return {**json.loads((CONFIGS / f"{name}.json").read_text()), **changes}


def read(name, **changes):
    return tr.Model.from_config(config(name, **changes))


def test_deepseek_v4_by_its_ratios():
    """Of Flash's 44 entries the last is of the module behind: 2 windows, 21 light, 20 heavy."""
    m = read("DeepSeek-V4-Flash")
    assert (m.window_layers, m.selected_layers, m.compressed_layers) == (2, 21, 20)
    assert (m.select_ratio, m.compress_ratio, m.index_layers) == (4, 128, 21)
    kinds = {
        0: "sliding_attention",
        4: "compressed_sparse_attention",
        128: "heavily_compressed_attention",
    }
    named = config("DeepSeek-V4-Flash")
    named["layer_types"] = [kinds[x] for x in named.pop("compress_ratios")]
    assert tr.Model.from_config(named).parameters == m.parameters
    with pytest.raises(ValueError, match=r"compress_ratios has \[64, 128\]"):
        read("DeepSeek-V4-Flash", compress_ratios=[0, 64, 128] + [4] * 40)
    with pytest.raises(
        ValueError, match="compress_ratios is .*; allowed: one number >= 0 per layer, 43"
    ):
        read("DeepSeek-V4-Flash", compress_ratios=[4, 128])
    with pytest.raises(ValueError, match="num_key_value_heads is 8"):
        read("DeepSeek-V4-Flash", num_key_value_heads=8)


def test_kimi_k3_is_its_checkpoint():
    """497,220 tensors of 1,503,647,073,024 elements, of which experts are packed two by two, with a scale of
    32; 69 vectors of decays are padded from 96 to 128."""
    m = read("Kimi-K3")
    packed = 92 * 896 * (3 * 3072 * 1792 + 2 * 3072 * 112 + 3584 * 96)
    tower = 447_358_976
    elements = m.language_parameters - m.routed_parameters + packed
    assert elements == 1_503_647_073_024 - tower - 69 * 32
    assert sum(m.weight_bytes().values()) == pytest.approx(1_560_860_324_864, rel=2e-5)
    text = config("Kimi-K3")["text_config"]
    ungated = tr.Model.from_config({**text, "mla_use_output_gate": False})
    assert m.language_parameters - ungated.parameters == 24 * 7168 * 12288
    bad = {**text["linear_attn_config"], "full_attn_layers": [4]}
    with pytest.raises(ValueError, match="full_attn_layers and kda_layers name"):
        tr.Model.from_config({**text, "linear_attn_config": bad})


def test_indexers_of_glm_5_2_by_layer_or_by_frequency():
    """196.8 million parameters of 21 indexers (78 would be 731)."""
    m = read("GLM-5.2")
    assert (m.index_layers, m.parameter_groups()["index"]) == (21, 196_809_984)
    by_step = config("GLM-5.2")
    del by_step["indexer_types"]
    assert tr.Model.from_config(by_step).index_layers == 21
    with pytest.raises(ValueError, match="no 'full'"):
        read("GLM-5.2", indexer_types=["shared"] * 78)


def test_minimax_m3_has_dense_and_choosing_layers():
    m = read("MiniMax-M3")
    assert (m.full_layers, m.sparse_layers, m.index_topk, m.index_heads) == (60, 57, 2048, 4)
    plain = config("MiniMax-M3")
    plain["sparse_attention_config"]["use_sparse_attention"] = False
    assert m.parameters - tr.Model.from_config(plain).parameters == 57 * (6144 * 5 * 128 + 256)
    with pytest.raises(ValueError, match="moe_layer_freq is"):
        read("MiniMax-M3", moe_layer_freq=[0, 2])


def test_gemma_4_shares_caches_and_widens_mlps():
    m = read("Gemma-4-E2B")
    assert (m.full_layers, m.shared_full_layers, m.shared_window_layers) == (7, 4, 16)
    assert (m.dense_layers, m.ffn, m.wide_layers, m.wide_ffn) == (15, 6144, 20, 12288)
    assert (m.head_dim, m.window_head_dim, m.layer_embedding) == (512, 256, 256)
    big = read("Gemma-4-26B-A4B")
    assert (big.kv_heads, big.window_kv_heads, big.tied_values, big.moe_layers) == (2, 8, True, 30)


def test_gemma_3n_stores_weights_that_no_token_uses():
    m = read("Gemma-3n-E4B")
    assert m.parameters - m.active_parameters == 15 * 2 * 2048 * 512
    listed = config("Gemma-3n-E4B")
    listed["text_config"]["intermediate_size"] = [16384] * 35
    assert tr.Model.from_config(listed).parameters == m.parameters
    listed["text_config"]["intermediate_size"] = [16384, 8192]
    with pytest.raises(ValueError, match="intermediate_size is"):
        tr.Model.from_config(listed)


def test_step_3_may_have_more_heads_where_it_slides():
    m = read("Step-3.7-Flash")
    other = {"attention_type": "sliding_attention", "num_attention_heads": 96, "num_attention_groups": 8,
             "head_dim": 128, "true_head_dim": 128}  # fmt: skip
    more = read("Step-3.7-Flash", attention_other_setting=other, use_head_wise_attn_gate=True)
    assert more.parameters - m.parameters == 33 * 2 * 4096 * 32 * 128 + 4096 * (33 * 96 + 12 * 64)
    routed = read("Step-3.7-Flash", moe_layers_enum="3, 4,5")
    assert (routed.moe_layers, routed.dense_layers) == (3, 42)
    with pytest.raises(ValueError, match="moe_layers_enum is"):
        read("Step-3.7-Flash", moe_layers_enum="3-5")


def test_longcat_has_two_halves_a_layer_and_experts_without_work():
    m = read("LongCat-Flash")
    assert (m.layers, m.dense_layers, m.moe_layers, m.zero_experts) == (56, 56, 28, 256)
    expert = 3 * 6144 * 2048
    assert m.parameters - m.active_parameters == 28 * (512 - 8) * expert
    with pytest.raises(ValueError, match="oe_vocab_size_ratio is 78"):
        read("LongCat-Flash", oe_vocab_size_ratio=78)


def test_mimo_v2_has_other_heads_in_windows():
    m = read("MiMo-V2-Flash")
    assert (m.full_layers, m.window_layers, m.kv_heads, m.window_kv_heads) == (9, 39, 4, 8)
    assert float(m.kv_bytes(1000)) == (9 * 1000 * 4 + 39 * 128 * 8) * 320 * 2
    with pytest.raises(ValueError, match="hybrid_layer_pattern is missing"):
        read("MiMo-V2-Flash", hybrid_layer_pattern=None)


def test_latent_experts_are_read():
    """Nemotron-3-Super: 120.67e9, 12.8e9 of them active (its model card); without the latent 458.6e9."""
    m = read("Nemotron-3-Super")
    assert (m.parameters, m.active_parameters) == (120_668_707_840, 12_770_237_440)
    assert read("Nemotron-3-Super", moe_latent_size=None).parameters == pytest.approx(
        458.6e9, rel=1e-3
    )
