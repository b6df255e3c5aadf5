"""Fields that few releases have: how their numbers are stored, towers without a public sum, patterns of layers; by hand."""

import pytest

import tokenroof as tr
from tokenroof.records.huggingface.quantised import quantisation
from tokenroof.records.quantisation import Stored

LLAMA = {"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "tie_word_embeddings": False}  # fmt: skip


def _compressed(weights, acts=None, **more):
    group = {"targets": ["Linear"], "weights": weights}
    if acts is not None:
        group["input_activations"] = acts if acts else None
    return quantisation(
        {"quant_method": "compressed-tensors", "config_groups": {"g": group}, **more}
    )


FLOAT8, INT8 = {"num_bits": 8, "type": "float"}, {"num_bits": 8, "type": "int"}
FLOAT4, INT4 = {"num_bits": 4, "type": "float"}, {"num_bits": 4, "type": "int"}
ACTS = {"num_bits": 8}


@pytest.mark.parametrize(
    "weights,acts,stored",
    [
        # type, bits, rows and columns that share a scale, bytes of a scale, bits of a zero point
        ({**FLOAT8, "strategy": "tensor"}, ACTS, Stored("fp8", 8, 0, 0, 2.0)),
        ({**FLOAT8, "strategy": "channel"}, ACTS, Stored("fp8", 8, 1, 0, 2.0)),
        ({**FLOAT8, "strategy": "channel"}, {}, Stored("fp8_bf16", 8, 1, 0, 2.0)),
        ({**FLOAT8, "strategy": "channel"}, None, Stored("fp8", 8, 1, 0, 2.0)),
        ({**FLOAT8, "strategy": "group", "group_size": 64}, ACTS, Stored("fp8", 8, 1, 64, 2.0)),
        ({**FLOAT8, "group_size": 32}, ACTS, Stored("mxfp8", 8, 1, 32, 1.0)),
        ({**FLOAT8, "strategy": "block"}, ACTS, Stored("fp8_block", 8, 128, 128, 2.0)),
        ({**FLOAT8, "strategy": "block", "block_structure": [64, 256]}, ACTS, Stored("fp8_block", 8, 64, 256, 2.0)),
        ({**FLOAT4, "group_size": 16}, {"num_bits": 4}, Stored("nvfp4", 4, 1, 16, 1.0)),
        ({**FLOAT4, "group_size": 16, "strategy": "tensor_group"}, {}, Stored("nvfp4_bf16", 4, 1, 16, 1.0)),
        ({**FLOAT4, "group_size": 16}, {"num_bits": 16}, Stored("nvfp4_bf16", 4, 1, 16, 1.0)),
        ({**FLOAT4, "group_size": 16}, {"num_bits": 15}, Stored("nvfp4", 4, 1, 16, 1.0)),
        ({**FLOAT4, "group_size": 32}, {"num_bits": 4}, Stored("mxfp4", 4, 1, 32, 1.0)),
        ({**INT8, "strategy": "channel"}, ACTS, Stored("int8", 8, 1, 0, 2.0)),
        ({**INT8, "strategy": "channel", "symmetric": False}, ACTS, Stored("int8", 8, 1, 0, 2.0, 8)),
        ({**INT8, "strategy": "channel"}, None, Stored("int8_bf16", 8, 1, 0, 2.0)),
        ({**INT4, "group_size": 32}, None, Stored("int4_32", 4, 1, 32, 2.0)),
        ({**INT4, "group_size": 33}, None, Stored("int4_64", 4, 1, 33, 2.0)),
        ({**INT4, "group_size": 64}, None, Stored("int4_64", 4, 1, 64, 2.0)),
        ({**INT4, "group_size": 65, "symmetric": False}, None, Stored("int4", 4, 1, 65, 2.0, 4)),
        ({**INT4, "strategy": "channel"}, None, Stored("int4", 4, 1, 0, 2.0)),
    ],
)  # fmt: skip
def test_numbers_of_a_group(weights, acts, stored):
    found = _compressed(weights, acts)
    assert not found.refusal and found.rules == (((), stored),)


@pytest.mark.parametrize(
    "weights,acts,says",
    [
        ({**INT8, "num_bits": 2}, None, "num_bits is 2; allowed: 4, 8"),
        ({**INT8, "type": "uint"}, None, "type is 'uint'; allowed: int, float"),
        ({**INT8, "strategy": "row"}, None, "strategy is 'row'; allowed"),
        ({**INT8, "strategy": "group"}, None, "group_size is 0; allowed: a positive integer for group"),
        ({**INT8, "strategy": "channel", "group_size": 1}, None, "group_size is 1 beside strategy 'channel'"),
        ({**INT8, "strategy": "block"}, None, "block_structure is"),
        ({**FLOAT8, "strategy": "block", "block_structure": [0, 128]}, ACTS, "block_structure is"),
        ({**FLOAT8, "strategy": "block", "block_structure": [128]}, ACTS, "block_structure is"),
        ({**FLOAT4, "group_size": 64}, None, "group_size is 64; allowed: 16 or 32"),
        (INT4, ACTS, "num_bits is 4 beside input_activations of 8 bits"),
    ],
)  # fmt: skip
def test_numbers_that_no_kernel_has(weights, acts, says):
    assert says in _compressed(weights, acts).refusal


@pytest.mark.parametrize("scheme,kind", [({}, "fp8"), ({"num_bits": 8, "type": "float"}, "fp8"), ({"type": "int"}, "int8"),
                                         ({"num_bits": 4}, "nvfp4"), (None, "")])  # fmt: skip
def test_caches_of_a_scheme(scheme, kind):
    more = {} if scheme is None else {"kv_cache_scheme": scheme}
    assert _compressed({**FLOAT8, "strategy": "channel"}, ACTS, **more).kv_cache == kind
    wrong = _compressed(
        {**FLOAT8, "strategy": "channel"}, ACTS, kv_cache_scheme={"num_bits": 4, "type": "int"}
    )
    assert "kv_cache_scheme is int of 4 bits" in wrong.refusal


def test_groups_of_activations_alone_are_none_and_names_go_before_classes():
    numbers = {"g": {"targets": ["Linear"], "weights": {**INT4, "group_size": 128}},
               "k": {"targets": ["Linear", "re:.*experts.*"], "weights": {**FLOAT8, "strategy": "channel"}},
               "n": {"targets": ["re:.*v_proj"], "weights": {**INT4, "group_size": 64}}, "a": {"targets": ["x"]}}  # fmt: skip
    found = quantisation({"quant_method": "compressed-tensors", "config_groups": numbers})
    assert [rule[0] for rule in found.rules] == [("re:.*v_proj",), (), ()]
    assert found.rules[0][1].type == "int4_64"


def test_layers_of_gptq_by_pattern():
    """Some stay in 16 bits, some have other groups or bits; packed zeros and the order of groups always."""
    found = quantisation({"quant_method": "gptq", "bits": 4, "group_size": 128, "lm_head": True,
                          "modules_to_not_convert": ["gate"],
                          "dynamic": {"-:.*mtp.*": {}, "+:.*down.*": {"bits": 8}, ".*up.*": {"group_size": 32}}})  # fmt: skip
    assert found.head and found.rules == (
        (("gate",), None), (("re:.*mtp.*",), None), (("re:.*down.*",), Stored("int8_bf16", 8, 1, 128, 2.0, 8, 4.0)),
        (("re:.*up.*",), Stored("int4_32", 4, 1, 32, 2.0, 4, 4.0)), ((), Stored("int4", 4, 1, 128, 2.0, 4, 4.0)),
    )  # fmt: skip
    for wrong, says in (
        ([1], "dynamic is"),
        ({"-:(": {}}, "dynamic has"),
        ({"x": {"bits": 3}}, "bits is 3"),
    ):
        assert says in quantisation({"quant_method": "gptq", "bits": 4, "dynamic": wrong}).refusal
    assert quantisation({"quant_method": "gptq", "bits": 4}).head is False


@pytest.mark.parametrize(
    "config,stored",
    [({"quant_method": "fp8"}, Stored("fp8", 8, 0, 0, 4.0)), ({"quant_method": "fp8", "fmt": "e5m2"}, Stored("fp8", 8, 0, 0, 4.0)),
     ({"quant_method": "fp8", "weight_block_size": [64, 32]}, Stored("fp8_block", 8, 64, 32, 4.0)),
     ({"quant_method": "fp8", "weight_block_size": [128, 128], "scale_fmt": "ue8m0"}, Stored("fp8_block", 8, 128, 128, 1.0)),
     ({"quant_method": "mxfp8", "weight_block_size": [1, 32]}, Stored("mxfp8", 8, 1, 32, 1.0)),
     ({"quant_method": "fbgemm_fp8"}, Stored("fp8", 8, 1, 0, 4.0)), ({"quant_method": "mxfp4"}, Stored("mxfp4", 4, 1, 32, 1.0)),
     ({"quant_method": "awq", "bits": 4}, Stored("int4", 4, 1, 0, 2.0, 4)),
     ({"quant_method": "awq", "w_bit": 8, "q_group_size": 64, "zero_point": False}, Stored("int8_bf16", 8, 1, 64, 2.0)),
     ({"quant_algo": "W4A16_AWQ", "group_size": 64}, Stored("int4_64", 4, 1, 64, 2.0)),
     ({"quant_algo": "W8A16"}, Stored("int8_bf16", 8, 1, 0, 2.0)), ({"quant_algo": "FP8_PB_WO"}, Stored("fp8_block", 8, 128, 128, 4.0)),
     ({"quant_algo": "MXFP8"}, Stored("mxfp8", 8, 1, 32, 1.0)), ({"quant_algo": "NVFP4", "group_size": 16}, Stored("nvfp4", 4, 1, 16, 1.0)),
     ({"quant_algo": "W8A8_SQ_PER_CHANNEL"}, Stored("int8", 8, 1, 0, 4.0)),
     ({"quant_algo": "FP8_PER_CHANNEL_PER_TOKEN"}, Stored("fp8", 8, 1, 0, 4.0))],
)  # fmt: skip
def test_numbers_of_a_method(config, stored):
    found = quantisation(config)
    assert not found.refusal and found.rules == (((), stored),)


@pytest.mark.parametrize(
    "config,says",
    [({"quant_method": "fp8", "fmt": "e3m4"}, "fmt is 'e3m4'"), ({"quant_method": "fp8", "bits": 4}, "bits is 4"),
     ({"quant_method": "fp8", "activation_scheme": "none"}, "activation_scheme is 'none'"),
     ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size is"),
     ({"quant_method": "fp8", "weight_block_size": [0, 1]}, "weight_block_size is"),
     ({"quant_method": "awq", "bits": 4, "group_size": 0}, "group_size is 0"),
     ({"quant_algo": "NVFP4", "group_size": 32}, "group_size is 32; allowed: 16"), ({"quant_algo": "INT2"}, "quant_algo is 'INT2'"),
     ({"quant_algo": "FP8", "kv_cache_quant_algo": "FP3"}, "kv_cache_quant_algo is 'FP3'")],
)  # fmt: skip
def test_methods_that_are_refused(config, says):
    assert says in quantisation(config).refusal


# --- towers -------------------------------------------------------------------------------------------


def _block(h, f, matrices=2, norms=4, bias=True, mlp_bias=True):
    """Parameters of a layer of an encoder: four square matrices, an MLP, norms."""
    return (
        4 * h * h
        + (4 * h if bias else 0)
        + matrices * h * f
        + ((matrices - 1) * f + h if mlp_bias else 0)
        + norms * h
    )


def _towers(vision, kind="llava", **outer):
    return tr.Model.from_config(
        {"model_type": kind, "text_config": LLAMA, "vision_config": vision, **outer}
    ).towers[0]


def test_clip_of_llava():
    """LLaVA 1.5 7B: 303,507,456 in front of 6,738,939,904, and two matrices between; 7,063,427,072 on the Hub."""
    vision = {"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
              "num_attention_heads": 16, "image_size": 336, "patch_size": 14}  # fmt: skip
    text = {"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
            "num_key_value_heads": 32, "intermediate_size": 11008, "vocab_size": 32064, "tie_word_embeddings": False}  # fmt: skip
    m = tr.Model.from_config({"model_type": "llava", "text_config": text, "vision_config": vision})
    tower = m.towers[0]
    assert (
        tower.parameters == 303_507_456
        and tower.projector_parameters == 4096 * 1024 + 4096 + 4096 * 4096 + 4096
    )
    assert m.parameters == 7_063_427_072 and tower.projector == ((4096, 1024), (4096, 4096))
    plain = tr.Model.from_config({"model_type": "llava", "text_config": text, "vision_config": vision,
                                  "multimodal_projector_bias": False})  # fmt: skip
    assert plain.towers[0].projector_parameters == 4096 * 1024 + 4096 * 4096
    small = _towers({"model_type": "clip_vision_model", "num_attention_heads": 12})
    assert (
        small.parameters
        == 3 * 32**2 * 768 + 768 + (49 + 1) * 768 + 12 * _block(768, 3072) + 4 * 768
    )


def test_tower_of_glm():
    got = _towers({"model_type": "glm4v_moe_vision", "num_heads": 12}, kind="glm4v_moe")
    h, f = 1536, 256
    block = _block(h, f, 3, norms=2, bias=False, mlp_bias=False)
    assert got.parameters == 3 * 14**2 * 2 * h + h + (336 // 14) ** 2 * h + 24 * block + 2 * h
    assert (
        got.projector == ((256, 4 * h), (256, 256), (2 * 13696, 256), (256, 13696))
        and got.merge == 2
    )
    assert got.projector_parameters == 256 * 4 * h + 256 + 256 * 256 + 2 * 256 + 3 * 256 * 13696
    assert got.patch_inputs == 3 * 14**2 * 2 and got.mlp_matrices == 3
    own = _towers({"model_type": "glm4v_vision", "hidden_size": 96, "depth": 3, "num_heads": 6, "intermediate_size": 128,
                   "patch_size": 7, "image_size": 28, "spatial_merge_size": 4, "out_hidden_size": 64, "attention_bias": True,
                   "temporal_patch_size": 1, "in_channels": 1}, kind="glm4v")  # fmt: skip
    block = _block(96, 64, 3, norms=2, bias=True, mlp_bias=False)
    assert own.parameters == 49 * 96 + 96 + 16 * 96 + 3 * block + 2 * 96
    assert own.projector_parameters == 64 * 96 * 16 + 64 + 64 * 64 + 2 * 64 + 3 * 64 * 128


def test_ears_of_qwen2():
    audio = {"model_type": "qwen2_audio_encoder", "encoder_attention_heads": 20}
    m = tr.Model.from_config(
        {"model_type": "qwen2_audio", "text_config": LLAMA, "audio_config": audio}
    )
    h, got = 1280, m.towers[0]
    convolutions = h * 3 * 128 + h + h * 3 * h + h
    assert got.parameters == convolutions + 32 * (_block(h, 5120) - h) + 2 * h
    assert (
        got.patch_inputs == 3 * 128
        and got.projector == ((256, h),)
        and got.projector_parameters == 256 * h + 256
    )
    own = {"model_type": "qwen2_audio_encoder", "d_model": 64, "num_mel_bins": 80, "encoder_layers": 3,
           "encoder_attention_heads": 4, "encoder_ffn_dim": 96, "output_dim": 32}  # fmt: skip
    got = tr.Model.from_config(
        {"model_type": "qwen2_audio", "text_config": LLAMA, "audio_config": own}
    ).towers[0]
    assert got.parameters == 64 * 240 + 64 + 64 * 192 + 64 + 3 * (_block(64, 96) - 64) + 128
    assert got.projector_parameters == 32 * 64 + 32


def test_sides_of_towers():
    own = {"model_type": "clip_vision_model", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2,
           "intermediate_size": 128}  # fmt: skip
    assert _towers({**own, "patch_size": [16, 16]}).patch == 16
    with pytest.raises(ValueError, match="patch_size is"):
        _towers({**own, "patch_size": [16, 14]})
    with pytest.raises(ValueError, match="patch_size is"):
        _towers({**own, "patch_size": [0, 0]})


# --- patterns of layers -------------------------------------------------------------------------------


def test_experts_by_a_list_of_layers():
    config = {"model_type": "glm4_moe", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
              "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "moe_intermediate_size": 64,
              "n_routed_experts": 8, "num_experts_per_tok": 2, "head_dim": 64}  # fmt: skip
    found = tr.Model.from_config({**config, "moe_layer_freq": [0, 1, 0, 1, 1]})
    assert (found.dense_layers, found.moe_layers, found.experts, found.topk) == (2, 2, 8, 2)
    first = tr.Model.from_config({**config, "first_k_dense_replace": 1})
    assert (first.dense_layers, first.moe_layers) == (1, 3)
    for bad in ([0, 1, 1], [0, 1, 2, 1]):
        with pytest.raises(ValueError, match="moe_layer_freq has"):
            tr.Model.from_config({**config, "moe_layer_freq": bad})
    assert tr.Model.from_config({**config, "num_experts_per_tok": 8}).topk == 8
    with pytest.raises(ValueError, match="num_experts_per_tok is 9; allowed: at most the 8"):
        tr.Model.from_config({**config, "num_experts_per_tok": 9})


def test_shared_experts_of_ling():
    config = {"model_type": "bailing_moe_v2", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
              "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "moe_intermediate_size": 64,
              "num_experts": 8, "num_experts_per_tok": 2, "num_shared_experts": 3, "head_dim": 64}  # fmt: skip
    found = tr.Model.from_config(config)
    assert (found.shared_ffn, found.moe_ffn, found.qk_norm, found.router_bias) == (
        3 * 64,
        64,
        2 * 64,
        True,
    )
    own = tr.Model.from_config({**config, "moe_shared_expert_intermediate_size": 96})
    first = tr.Model.from_config({**config, "model_type": "bailing_moe"})
    assert own.shared_ffn == 3 * 96 and first.qk_norm == 0 and not first.router_bias


@pytest.mark.parametrize("kind,heads", [({}, 4), ({"attn_type": "multiquery_attention"}, 1),
                                        ({"attn_type": "grouped_query_attention", "kv_n_heads": 2}, 2)])  # fmt: skip
def test_heads_of_mpt(kind, heads):
    found = tr.Model.from_config({"model_type": "mpt", "d_model": 256, "n_layers": 2, "n_heads": 4, "vocab_size": 1000,
                                  "attn_config": kind, "expansion_ratio": 3})  # fmt: skip
    assert found.kv_heads == heads and found.ffn == 3 * 256 and found.mlp_matrices == 2


@pytest.mark.parametrize("experts,moe", [(4, 2), (1, 0)])
def test_layers_of_jamba(experts, moe):
    found = tr.Model.from_config({
        "model_type": "jamba", "hidden_size": 256, "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 512, "vocab_size": 1000, "attn_layer_period": 4, "attn_layer_offset": 1, "expert_layer_period": 4,
        "expert_layer_offset": 3, "num_experts": experts, "num_experts_per_tok": 1, "mamba_d_state": 16, "mamba_d_conv": 4,
    })  # fmt: skip
    assert (found.full_layers, found.mamba_layers, found.moe_layers, found.dense_layers) == (
        2,
        6,
        moe,
        8 - moe,
    )


def test_shared_experts_of_mistral():
    found = tr.Model.from_config({
        "model_type": "mistral4", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": 512, "vocab_size": 1000, "qk_nope_head_dim": 64,
        "qk_rope_head_dim": 32, "kv_lora_rank": 128, "v_head_dim": 64, "first_k_dense_replace": 1, "n_routed_experts": 8,
        "num_experts_per_tok": 2, "n_shared_experts": 3, "moe_intermediate_size": 64,
    })  # fmt: skip
    assert (found.shared_ffn, found.moe_ffn, found.moe_layers, found.dense_layers) == (
        192,
        64,
        3,
        1,
    )


@pytest.mark.parametrize("end,moe", [(-1, 3), (3, 3), (2, 2), (1, 1), (0, 0)])
def test_the_last_layer_of_ernies_experts(end, moe):
    """-1 is the model's last; layer 0 is dense."""
    found = tr.Model.from_config({
        "model_type": "ernie4_5_moe", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000, "head_dim": 64, "moe_intermediate_size": 64,
        "moe_num_experts": 8, "moe_k": 2, "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
        "moe_layer_end_index": end, "moe_layer_interval": 1,
    }, ignore=["moe_num_experts", "moe_k"] if not moe else [])  # fmt: skip
    assert (found.moe_layers, found.dense_layers) == (moe, 4 - moe)
    assert found.shared_ffn == (128 if moe else 0)


@pytest.mark.parametrize(
    "norm,weights", [({}, 128), ({"use_qk_norm": True}, 128), ({"use_qk_norm": False}, 0)]
)
def test_norms_of_hunyuans_heads(norm, weights):
    found = tr.Model.from_config({**LLAMA, "model_type": "hunyuan_v1_dense", **norm})
    assert found.qk_norm == weights
