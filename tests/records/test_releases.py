"""Releases by their published fields: counts as published, active ones within 2 %, and a step of each.

Sources: the config.json of each release on the Hub, its fields that bear on shapes; totals are those of its
safetensors index or, where only a round name is published, the count that the architecture's class gives.
"""

import numpy as np
import pytest

import tokenroof as tr

F, M = "full_attention", "mamba"


def _base(kind, hidden, layers, heads, kv, ffn, vocab, **more):
    return {
        "model_type": kind, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv, "intermediate_size": ffn, "vocab_size": vocab, **more,
    }  # fmt: skip


def _chatglm(layers, vocab, **more):
    return {
        "architectures": ["ChatGLMModel"], "model_type": "chatglm", "hidden_size": 4096, "num_layers": layers,
        "num_attention_heads": 32, "ffn_hidden_size": 13696, "padded_vocab_size": vocab,
        "multi_query_attention": True, "multi_query_group_num": 2, "kv_channels": 128, "add_qkv_bias": True,
        "add_bias_linear": False, "rmsnorm": True, "post_layer_norm": True, "seq_length": 8192, **more,
    }  # fmt: skip


def _mamba2(heads, width, state, **more):
    return {"mamba_n_heads": heads, "mamba_d_head": width, "mamba_n_groups": 1, "mamba_d_state": state,
            "mamba_d_conv": 4, "mamba_expand": 2, **more}  # fmt: skip


# name, fields, parameters, of one token, bytes of cache per token in 16 bits
RELEASES = [
    ("OPT-350m", {"model_type": "opt", "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
     "ffn_dim": 4096, "vocab_size": 50272, "max_position_embeddings": 2048, "word_embed_proj_dim": 512,
     "do_layer_norm_before": False}, 331_196_416, None, 98_304),
    ("GPT-NeoX-20B", _base("gpt_neox", 6144, 44, 64, None, 24576, 50432, rotary_pct=0.25),
     20_554_567_680, None, 1_081_344),
    ("Pythia-6.9B", _base("gpt_neox", 4096, 32, 32, None, 16384, 50432), 6_857_302_016, None, 524_288),
    ("Granite-3.3-8B", _base("granite", 4096, 40, 32, 8, 12800, 49159, tie_word_embeddings=True,
     logits_scaling=16.0, residual_multiplier=0.22), 8_170_864_640, None, 163_840),
    ("Granite-4.0-H-Micro", _base("granitemoehybrid", 2048, 40, 32, 8, 8192, 100352, num_local_experts=0,
     num_experts_per_tok=0, shared_intermediate_size=8192, layer_types=[M] * 36 + ["attention"] * 4,
     tie_word_embeddings=True, **_mamba2(64, 64, 128)), 3_191_396_096, None, 8_192),
    ("Granite-4.0-H-Small", _base("granitemoehybrid", 4096, 40, 32, 8, 768, 100352, num_local_experts=72,
     num_experts_per_tok=10, shared_intermediate_size=1536, layer_types=[M] * 36 + ["attention"] * 4,
     tie_word_embeddings=True, **_mamba2(128, 64, 128)), 32_207_337_984, 8.8e9, 16_384),
    ("SmolLM3-3B", _base("smollm3", 2048, 36, 16, 4, 11008, 128256, tie_word_embeddings=True,
     no_rope_layers=[1, 1, 1, 0] * 9, use_sliding_window=False, layer_types=[F] * 36, max_window_layers=28),
     3_075_098_624, None, 73_728),
    ("InternLM2-7B", _base("internlm2", 4096, 32, 32, 8, 14336, 92544, bias=False, attn_implementation="eager"),
     7_737_708_544, None, 131_072),
    ("Phi-3-small", _base("phi3small", 4096, 32, 32, 8, 14336, 100352, ff_intermediate_size=14336,
     ff_dim_multiplier=None, dense_attention_every_n_layers=2, blocksparse_block_size=64, gegelu_limit=20.0),
     7_392_272_384, None, 131_072),
    ("StableLM-2-1.6B", _base("stablelm", 2048, 24, 32, 32, 5632, 100352, use_qkv_bias=True),
     1_644_515_328, None, 196_608),
    ("StableLM-3B", _base("stablelm", 2560, 32, 32, 32, 6912, 50304), 2_795_443_200, None, 327_680),
    ("Baichuan2-7B", _base("baichuan", 4096, 32, 32, None, 11008, 125696, z_loss_weight=0),
     7_505_973_248, None, 524_288),
    ("Baichuan2-13B", _base("baichuan", 5120, 40, 40, None, 13696, 125696), 13_896_668_160, None, 819_200),
    ("ChatGLM3-6B", _chatglm(28, 65024), 6_243_584_000, None, 28_672),
    ("GLM-4-9B", _chatglm(40, 151552, rope_ratio=500), 9_399_951_360, None, 40_960),
    ("MiniCPM-2B", _base("minicpm", 2304, 40, 36, 36, 5760, 122753, scale_emb=12), 2_724_880_896, None, 368_640),
    ("LFM2-1.2B", {"model_type": "lfm2", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
     "num_key_value_heads": 8, "block_ff_dim": 12288, "block_auto_adjust_ff_dim": True, "conv_L_cache": 3,
     "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "conv_bias": False, "vocab_size": 65536,
     "full_attn_idxs": [2, 5, 8, 10, 12, 14]}, 1_170_340_608, None, 12_288),
    ("LFM2-8B-A1B", _base("lfm2_moe", 2048, 24, 32, 8, 7168, 65536, moe_intermediate_size=1792, num_experts=32,
     num_experts_per_tok=4, num_dense_layers=2, use_expert_bias=True, conv_L_cache=3, conv_bias=False,
     layer_types=[F if i in (2, 6, 10, 14, 18, 21) else "conv" for i in range(24)]),
     8_339_930_560, 1.5577e9, 12_288),
    ("ERNIE-4.5-0.3B", _base("ernie4_5", 1024, 18, 16, 2, 3072, 103424, head_dim=128, use_bias=False,
     tie_word_embeddings=True), 360_748_032, None, 18_432),
    ("ERNIE-4.5-21B-A3B", _base("ernie4_5_moe", 2560, 28, 20, 4, 12288, 103424, moe_intermediate_size=1536,
     moe_k=6, moe_layer_interval=1, moe_layer_start_index=1, moe_num_experts=64, moe_num_shared_experts=2,
     tie_word_embeddings=True, head_dim=128), 21_825_437_888, 3.352e9, 57_344),
    ("DeepSeek-MoE-16B", _base("deepseek", 2048, 28, 16, 16, 10944, 102400, moe_intermediate_size=1408,
     n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6, first_k_dense_replace=1),
     16_375_728_128, 2.8e9, 229_376),
    ("OLMoE-1B-7B", _base("olmoe", 2048, 16, 16, 16, 1024, 50304, num_experts=64, num_experts_per_tok=8),
     6_919_161_856, 1.3e9, 131_072),
    ("OLMo-2-7B", _base("olmo2", 4096, 32, 32, 32, 11008, 100352), 7_298_617_344, None, 524_288),
    ("OLMo-2-32B", _base("olmo2", 5120, 64, 40, 8, 27648, 100352), 32_234_279_936, None, 262_144),
    ("OLMo-3-32B", _base("olmo3", 5120, 64, 40, 8, 27648, 100278, sliding_window=4096),
     32_233_522_176, None, 65_536),
    ("StarCoder2-3B", _base("starcoder2", 3072, 30, 24, 2, 12288, 49152, use_bias=True, sliding_window=4096,
     tie_word_embeddings=True, mlp_type="default", norm_type="layer_norm"), 3_030_371_328, None, 30_720),
    ("Seed-OSS-36B", _base("seed_oss", 5120, 64, 80, 8, 27648, 155136, head_dim=128, attention_bias=True,
     attention_out_bias=False), 36_151_104_512, None, 262_144),
    ("MiMo-7B", _base("mimo", 4096, 36, 32, 8, 11008, 151680, num_nextn_predict_layers=1, attention_bias=True,
     use_mrope=False), 7_622_619_136, None, 147_456),
    ("Falcon-H1-0.5B", _base("falcon_h1", 1024, 36, 8, 2, 2048, 32784, head_dim=64, mamba_d_ssm=1536,
     mamba_rms_norm=False, **_mamba2(24, 64, 128)), 521_411_104, None, 18_432),
    ("Jamba-v0.1", _base("jamba", 4096, 32, 32, 8, 14336, 65536, attn_layer_offset=4, attn_layer_period=8,
     expert_layer_offset=1, expert_layer_period=2, mamba_d_conv=4, mamba_d_state=16, mamba_dt_rank=256,
     mamba_expand=2, num_experts=16, num_experts_per_tok=2), 51_570_323_328, 12.11e9, 16_384),
    ("Hunyuan-A13B", _base("hunyuan_v1_moe", 4096, 32, 32, 8, 3072, 128167, head_dim=128, num_experts=64,
     moe_intermediate_size=[3072] * 32, moe_topk=[8] * 32, num_shared_expert=[1] * 32, use_cla=False,
     use_qk_norm=True, tie_word_embeddings=True, cla_share_factor=2), 80_393_183_232, 12.9e9, 131_072),
    ("GLM-4.7-Flash", _base("glm4_moe_lite", 2048, 47, 20, 20, 10240, 154880, moe_intermediate_size=1536,
     n_shared_experts=1, n_routed_experts=64, kv_lora_rank=512, q_lora_rank=768, qk_rope_head_dim=64,
     qk_nope_head_dim=192, v_head_dim=256, num_experts_per_tok=4, first_k_dense_replace=1),
     29_943_393_920, 3.8965e9, 54_144),
    ("Laguna-S-2.1", _base("laguna", 3072, 48, 48, 8, 12288, 100352, head_dim=128, num_experts=256,
     num_experts_per_tok=10, moe_intermediate_size=1024, shared_expert_intermediate_size=1024,
     mlp_only_layers=[0], decoder_sparse_step=1, gating="per-head", sliding_window=512,
     layer_types=([F] + ["sliding_attention"] * 3) * 12, num_attention_heads_per_layer=[48, 72, 72, 72] * 12),
     117_561_977_600, None, 49_152),
    ("EXAONE-4.0-32B", _base("exaone4", 5120, 64, 40, 8, 27392, 102400, head_dim=128, sliding_window=4096,
     sliding_window_pattern="LLLG"), 32_003_216_384, None, 65_536),
    ("Apertus-70B", _base("apertus", 8192, 80, 64, 8, 43008, 131072, head_dim=128, qk_norm=True,
     hidden_act="xielu"), 70_599_864_480, None, 327_680),
    ("Trinity-Mini", _base("afmoe", 2048, 32, 32, 4, 6144, 200192, head_dim=128, moe_intermediate_size=1024,
     num_dense_layers=2, num_experts=128, num_experts_per_tok=8, num_shared_experts=1, sliding_window=2048),
     26_123_974_400, None, 16_384),
]  # fmt: skip
IDS = [row[0] for row in RELEASES]


@pytest.mark.parametrize("row", RELEASES, ids=IDS)
def test_counts(row):
    name, config, parameters, active, cache = row
    m = tr.Model.from_config(config, name=name)
    assert m.parameters == parameters
    assert m.kv_bytes_per_token() == cache
    assert sum(m.explain().parameters.values()) == parameters
    if active:
        assert m.active_parameters == pytest.approx(active, rel=0.02)
    else:
        assert m.active_parameters == parameters or m.experts


@pytest.mark.parametrize("row", RELEASES, ids=IDS)
def test_every_field_is_accounted_for(row):
    _, config, *_ = row
    page = tr.Model.from_config(config).explain()
    assert set(config) == set(page.read) | set(page.harmless)
    # within a composite as well
    nested = tr.Model.from_config({"model_type": "some_vl", "text_config": config})
    assert nested.parameters == tr.Model.from_config(config).parameters
    assert {f"text_config.{name}" for name in config} <= set(nested.explain().read) | set(
        nested.explain().harmless
    )


@pytest.mark.parametrize("device", ["B200-SXM", "H100-SXM"])
@pytest.mark.parametrize("row", RELEASES, ids=IDS)
def test_a_step_of_each(row, device):
    m = tr.Model.from_config(row[1], name=row[0])
    fit = tr.Plan(tp=8 if m.heads % 8 == 0 and m.parameters > 6e10 else 1)
    decode = tr.decode(device, m, fit, batch=4, context=2048)
    prefill = tr.prefill(device, m, fit, batch=1, tokens=2048)
    for step in (decode, prefill):
        assert np.isfinite(step.time_s).all() and (step.time_s > 0).all()
        assert step.error_band is not None


# its 80 blocks, as published: how many, whether they have attention, the multiple of the MLP's width
SUPER_49B = [
    (1, 8, 2.625), (5, 8, 5.25), (2, None, 2.625), (3, 8, 5.25), (1, None, 3.28125), (30, 8, 5.25),
    (1, None, 1.3125), (2, None, 2.625), (1, None, 1.3125), (1, None, 5.25), (1, None, 1.3125), (1, None, 2.625),
    (3, None, 1.3125), (1, 8, 5.25), (1, None, 1.3125), (2, None, 1.0), (1, None, 1.3125), (3, None, 1.0),
    (2, None, 1.3125), (2, None, 0.5), (2, None, 1.0), (2, None, 0.5), (1, None, 1.0), (2, None, 0.5), (9, 8, 5.25),
]  # fmt: skip


def test_blocks_of_llama_nemotron_super():
    """49.9 B parameters, published as 49 B; 49 blocks with attention of 8 key-value heads of 128."""
    blocks = [
        {"attention": {"n_heads_in_group": group, "no_op": group is None, "replace_with_linear": False,
                       "sparsify": None, "window_length": None, "num_sink_tokens": None},
         "ffn": {"ffn_mult": multiple, "no_op": False, "replace_with_linear": False, "sparsify": None}}
        for count, group, multiple in SUPER_49B for _ in range(count)
    ]  # fmt: skip
    m = tr.Model.from_config({
        "architectures": ["DeciLMForCausalLM"], "model_type": "nemotron-nas", "hidden_size": 8192,
        "num_attention_heads": 64, "num_hidden_layers": 80, "vocab_size": 128256, "block_configs": blocks,
        "tie_word_embeddings": False, "max_position_embeddings": 131072,
    })  # fmt: skip
    assert m.parameters == 49_867_145_216
    assert m.kv_bytes_per_token() == 49 * 2 * 8 * 128 * 2
    step = tr.decode("H100-SXM", m, tr.Plan(tp=4), batch=8, context=4096)
    assert np.isfinite(step.time_s) and step.bound in (
        "memory",
        "compute",
        "launch",
        "communication",
    )


def test_blocks_of_different_shape():
    """By hand, on a small one, with a mean that does not divide."""

    def block(group, mult, **ffn):
        return {"attention": {"n_heads_in_group": group, "no_op": group is None},
                "ffn": {"ffn_mult": mult, "no_op": mult is None, **ffn}}  # fmt: skip

    config = {
        "model_type": "nemotron-nas", "hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 4,
        "vocab_size": 1000, "intermediate_size": None, "num_key_value_heads": None,
        "block_configs": [block(4, 1.0), block(None, 2.625), block(8, 5.25), block(2, None)],
    }  # fmt: skip
    m = tr.Model.from_config(config)
    widths = [768, 1792, 3584]  # 2/3 of the multiple, rounded up to 256
    keys = [4, 2, 8]
    attention = sum(1024 * 1024 * 2 + 2 * k * 64 * 1024 for k in keys)
    want = 2 * 1000 * 1024 + attention + 3 * 1024 * sum(widths) + 6 * 1024 + 1024
    assert m.parameters == want
    assert (m.full_layers, m.kv_heads, m.dense_layers, m.ffn) == (3, 4, 3, 2048)
    one = {**config, "block_configs": [block(4, 1.0, replace_with_linear=True)] * 4}
    assert tr.Model.from_config(one).parameter_groups()["linear_blocks"] == 4 * 1024 * 1024
    for odd in (
        [],
        "x",
        [{}],
        [block(3, 1.0)] * 4,
        [block(None, 1.0)] * 4,
        [block(4, -1)] * 4,
        [block(4, 1.0)] * 3,
    ):
        with pytest.raises((ValueError, TypeError), match="allowed"):
            tr.Model.from_config({**config, "block_configs": odd})


def test_mamba_1_and_2_alone():
    """By hand, from the papers' layers."""
    one = tr.Model.from_config({
        "model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280, "state_size": 16,
        "conv_kernel": 4, "expand": 2, "time_step_rank": 48,
    })  # fmt: skip
    inner = 2 * 768
    layer = (
        768 * 2 * inner + 5 * inner + inner * (48 + 32) + 48 * inner + inner + inner * 16 + inner
    )
    assert one.parameters == 50280 * 768 + 24 * (layer + inner * 768 + 768) + 768 == 129_135_360
    assert one.mamba_heads * one.mamba_head_dim == inner
    assert one.kv_bytes_per_token() == 0
    two = tr.Model.from_config({
        "model_type": "mamba2", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50288, "num_heads": 24,
        "head_dim": 64, "n_groups": 1, "state_size": 128, "expand": 2, "tie_word_embeddings": True,
    })  # fmt: skip
    mixed = inner + 256
    layer = 768 * (inner + mixed + 24) + 5 * mixed + 72 + inner + inner * 768
    assert two.parameters == 50288 * 768 + 24 * (layer + 768) + 768


def test_heads_by_layer():
    """Laguna: heads of windows and of others apart where each kind has as many everywhere, else their mean."""
    config = next(row[1] for row in RELEASES if row[0] == "Laguna-S-2.1")
    m = tr.Model.from_config(config)
    assert (m.heads, m.window_heads, m.kv_heads, m.window_kv_heads, m.head_gate) == (
        48,
        72,
        8,
        8,
        True,
    )
    odd = [48, 72, 72, 80] * 12
    mixed = tr.Model.from_config({**config, "num_attention_heads_per_layer": odd})
    # by hand: queries, outputs and gates of 8 heads more in every fourth layer
    assert mixed.parameters - m.parameters == 12 * 8 * (2 * 128 + 1) * 3072
    assert mixed.heads == sum(odd) // 48 // 8 * 8
    wide = tr.Model.from_config({**config, "gating": "per-element"})
    assert wide.parameters - m.parameters == 12 * (48 + 3 * 72) * 127 * 3072
    with pytest.raises(ValueError, match="num_attention_heads_per_layer is .*multiples of 8"):
        tr.Model.from_config({**config, "num_attention_heads_per_layer": [47] * 48})


def test_muse_glimmer_by_hand():
    """29.6 B parameters are published with a tower of 1.9 B."""
    m = tr.Model.from_config({"model_type": "muse_glimmer_text", "hidden_size": 6656})
    attention = 6656 * (2 * 32 + 2 * 2) * 128 + 32 * 128 * 6656
    layer = attention + 3 * 6656 * 19968 + 4 * 6656
    assert m.parameters == 2 * 202048 * 6656 + 52 * layer + 6656
    assert (m.full_layers, m.window_layers, m.window) == (13, 39, 2048)
