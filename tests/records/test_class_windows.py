"""Windows and widths of configs that leave them out, by the public classes of huggingface/transformers 5.24.0."""

import pytest

import tokenroof as tr

WIDTH = {"hidden_size": 4096, "num_attention_heads": 32}
ON = {"use_sliding_window": True}
LATE = {**ON, "num_hidden_layers": 20, "max_window_layers": 14}

# model_type, fields, (full layers, layers with windows, window), and where the class says so, under
# src/transformers/models
WINDOWS = [
    # sliding_window: int | None = 4096; null is none
    ("mistral", {}, (0, 32, 4096), "mistral/configuration_mistral.py"),
    ("mistral", {"sliding_window": None}, (32, 0, 0), "mistral/configuration_mistral.py"),
    ("mistral", {"max_position_embeddings": 4096}, (32, 0, 0), "mistral/modeling_mistral.py, the mask"),
    ("ministral", {}, (0, 32, 4096), "ministral/configuration_ministral.py"),
    ("ministral3", {}, (34, 0, 0), "ministral3/configuration_ministral3.py, None"),
    ("mixtral", {}, (32, 0, 0), "mixtral/configuration_mixtral.py, None"),
    ("starcoder2", {}, (30, 0, 0), "starcoder2/configuration_starcoder2.py, None"),
    # sliding_window = 4096 if use_sliding_window else None, from max_window_layers on
    ("qwen2", LATE, (14, 6, 4096), "qwen2/configuration_qwen2.py, __post_init__"),
    ("qwen2", {**LATE, "sliding_window": None}, (20, 0, 0), "qwen2/configuration_qwen2.py"),
    ("qwen2", {**LATE, "use_sliding_window": False}, (20, 0, 0), "qwen2/configuration_qwen2.py"),
    ("qwen2", ON, (28, 4, 4096), "qwen2/configuration_qwen2.py, max_window_layers = 28"),
    ("qwen2_vl", {**LATE, "max_window_layers": 13}, (13, 7, 4096), "qwen2_vl/configuration_qwen2_vl.py"),
    ("qwen2_5_vl", LATE, (14, 6, 4096), "qwen2_5_vl/configuration_qwen2_5_vl.py"),
    ("qwen2_5_omni", LATE, (14, 6, 32768), "qwen2_5_omni/configuration_qwen2_5_omni.py, the thinker's text"),
    ("qwen3", LATE, (14, 6, 4096), "qwen3/configuration_qwen3.py"),
    # (i + 1) % 2 and i < max_window_layers
    ("qwen2_moe", LATE, (13, 7, 4096), "qwen2_moe/configuration_qwen2_moe.py, layer_types"),
    ("qwen2_moe", {**LATE, "max_window_layers": 5}, (17, 3, 4096), "qwen2_moe/configuration_qwen2_moe.py"),
    ("qwen2_moe", ON, (12, 12, 4096), "qwen2_moe/configuration_qwen2_moe.py, 24 layers"),
    ("qwen3_moe", {**ON, "num_hidden_layers": 20}, (0, 20, 4096), "qwen3_moe/modeling_qwen3_moe.py, one mask"),
    ("qwen3_moe", {}, (24, 0, 0), "qwen3_moe/configuration_qwen3_moe.py, use_sliding_window = False"),
    ("smollm3", LATE, (20, 0, 0), "smollm3/configuration_smollm3.py, None"),
    # attention_chunk_size: int | None = 8192; null is full attention
    ("llama4", {}, (12, 36, 8192), "llama4/configuration_llama4.py, layer_types"),
    ("llama4", {"attention_chunk_size": None}, (48, 0, 0), "llama4/configuration_llama4.py, layer_types"),
]  # fmt: skip


@pytest.mark.parametrize("kind,fields,want,source", WINDOWS)
def test_a_window_that_is_left_out_is_the_class_s(kind, fields, want, source):
    m = tr.Model.from_config({"model_type": kind, **WIDTH, **fields})
    assert (m.full_layers, m.window_layers, m.window if m.window_layers else 0) == want, source


def test_a_window_over_all_positions_limits_nothing_whatever_its_layers_are_called():
    """As files of Ministral 8B state it: layers that slide over as many tokens as there are positions."""
    config = {
        "model_type": "mistral", **WIDTH, "num_hidden_layers": 2, "sliding_window": 32768,
        "max_position_embeddings": 32768, "layer_types": ["sliding_attention", "full_attention"],
    }  # fmt: skip
    assert tr.Model.from_config(config).window_layers == 0
    with pytest.raises(ValueError, match="layer_types has .*linear_attention.*allowed"):
        tr.Model.from_config({**config, "layer_types": ["linear_attention"] * 2})


def test_architectures_that_are_like_another_have_the_defaults_of_their_own_class():
    """exaone/configuration_exaone.py; phi4_multimodal/configuration_phi4_multimodal.py."""
    exaone = tr.Model.from_config({"model_type": "exaone", "hidden_size": 4096})
    assert (exaone.ffn, exaone.kv_heads, exaone.vocab, exaone.context_max) == (
        14336,
        8,
        102400,
        4096,
    )
    phi = tr.Model.from_config({"model_type": "phi4_multimodal", "hidden_size": 3072})
    assert (phi.ffn, phi.kv_heads, phi.vocab, phi.context_max) == (8192, 8, 200064, 131072)


def test_a_shared_expert_s_width_is_its_own_where_a_file_states_that_of_the_others():
    """minimax_m3_vl/configuration_minimax_m3_vl.py: shared_intermediate_size: int = 3072."""
    config = {"model_type": "minimax_m3_vl", "hidden_size": 6144, "intermediate_size": 1536}
    assert tr.Model.from_config(config).shared_ffn == 3072
    stated = {**config, "shared_intermediate_size": None}
    assert tr.Model.from_config(stated).shared_ffn == 1536
