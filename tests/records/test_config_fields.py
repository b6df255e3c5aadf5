"""No field of a config is skipped, none is invented: read, defaulted, harmless, or refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.records.huggingface.families import FAMILIES, like
from tokenroof.records.huggingface.harmless import HARMLESS, reason

FIXTURES = Path(__file__).parent / "fixtures"
LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
}  # fmt: skip
QWEN3_8B = {
    "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151665,
    "tie_word_embeddings": False,
}  # fmt: skip
COUNTS = [json.loads(line) for line in (FIXTURES / "class_counts.jsonl").read_text().splitlines()]


def _name(row):
    given = {k: v for k, v in row["config"].items() if k not in ("model_type", "hidden_size")}
    return f"{row['config']['model_type']}-{next(iter(given), 'default')}"


@pytest.mark.parametrize("row", COUNTS, ids=_name)
def test_what_a_config_leaves_out_is_the_default_of_its_class(row):
    """Counts of huggingface/transformers 5.24.0: its classes of these configs, built without storage.

    Correction biases of routers are counted where the class keeps them as a buffer, as checkpoints store them.
    """
    assert tr.Model.from_config(row["config"]).parameters == row["parameters"]


@pytest.mark.parametrize(
    "config,field,value",
    [
        (LLAMA, "moe_latent_size", 1024), (LLAMA, "routed_expert_hidden_size", 3584),
        (LLAMA, "indexer_types", ["full"] * 32), (LLAMA, "word_embed_proj_dim", 512),
        (LLAMA, "block_configs", [{}]), (LLAMA, "num_kv_shared_layers", 3), (LLAMA, "a_new_field", 1),
        (LLAMA, "a_new_field", "on"), (LLAMA, "a_new_field", {"width": 3}), (QWEN3_8B, "mlp_matrices", 2),
        (QWEN3_8B, "compress_ratios", [4] * 36), (QWEN3_8B, "use_cla", True),
    ],
)  # fmt: skip
def test_a_field_that_nobody_knows_is_refused_by_name(config, field, value):
    with pytest.raises(ValueError, match=f"{field} is .*no rule for .*allowed"):
        tr.Model.from_config({**config, field: value})
    with pytest.raises(ValueError, match=f"text_config.{field} is .*allowed"):
        tr.Model.from_config({"model_type": "some_vl", "text_config": {**config, field: value}})
    m = tr.Model.from_config({**config, field: value}, ignore=[field])
    assert m == tr.Model.from_config(config)
    assert m.explain().harmless[field] == "as the caller says"


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
def test_a_field_that_is_switched_off_changes_nothing(value):
    m = tr.Model.from_config({**LLAMA, "a_new_field": value})
    assert m == tr.Model.from_config(LLAMA)
    assert m.explain().harmless == {"a_new_field": "switched off"}


@pytest.mark.parametrize("ignore", ["head_dim", [3], 4])
def test_what_is_to_be_ignored_is_a_list_of_names(ignore):
    with pytest.raises(TypeError):
        tr.Model.from_config(LLAMA, ignore=ignore)


@pytest.mark.parametrize(
    "family", ["llama", "qwen2", "qwen3", "glm4_moe", "granite", "olmo2", "seed_oss"]
)
def test_kinds_of_layers_that_nobody_knows_are_refused(family):
    config = {**LLAMA, "model_type": family, "layer_types": ["full_attention"] * 31 + ["lightning"],
              "num_experts_per_tok": 2, "n_routed_experts": 4, "moe_intermediate_size": 64}  # fmt: skip
    with pytest.raises(
        ValueError, match=r"layer_types has \['lightning'\]; allowed: .*full_attention"
    ):
        tr.Model.from_config(config)


def test_no_harmless_name_is_a_shape():
    """No rule may depend on a field that would be passed over where another family meets it."""
    for name in ("hidden_size", "num_hidden_layers", "head_dim", "num_key_value_heads", "vocab_size",
                 "intermediate_size", "moe_intermediate_size", "num_experts", "num_experts_per_tok",
                 "n_shared_experts", "sliding_window", "layer_types", "tie_word_embeddings", "attention_bias",
                 "mlp_bias", "use_qk_norm", "kv_lora_rank", "q_lora_rank", "index_topk", "moe_latent_size",
                 "word_embed_proj_dim", "block_ffn_dim_multiplier", "mamba_expand", "num_kv_shared_layers",
                 "hidden_size_per_layer_input", "compress_ratios", "hc_mult", "o_lora_rank", "n_groups",
                 "first_k_dense_replace", "moe_layer_freq", "global_head_dim"):  # fmt: skip
        assert reason(name, 7) == "", name
    names = [name for listed in HARMLESS.values() for name in listed]
    assert len(names) == len(set(names))


# a head over the vocabulary, over labels, or none; published totals: Qwen3-Embedding-8B 7.567 B;
# Skywork-Reward-Llama-3.1-8B 7.505 B
@pytest.mark.parametrize(
    "config,name,parameters",
    [
        (QWEN3_8B, "Qwen3Model", 7_567_295_488),
        (QWEN3_8B, "Qwen3ForCausalLM", 7_567_295_488 + 151665 * 4096),
        ({**LLAMA, "id2label": {"0": "LABEL_0"}}, "LlamaForSequenceClassification", 7_504_928_768),
        (LLAMA, "LlamaForSequenceClassification", 7_504_928_768 + 4096),
        ({**LLAMA, "num_labels": 5}, "LlamaForSequenceClassification", 7_504_928_768 + 4 * 4096),
        (LLAMA, "LlamaForTokenClassification", 7_504_928_768 + 4096 + 2),
        (LLAMA, "LlamaForRewardModel", 7_504_928_768 + 1 + 4096 * 4096 + 4096),
        ({**LLAMA, "tie_word_embeddings": True}, "LlamaModel", 7_504_924_672),
        ({**LLAMA, "tie_word_embeddings": True}, "LlamaForCausalLM", 7_504_924_672),
        (LLAMA, "InternVLChatModel", 8_030_261_248), (LLAMA, "X", 8_030_261_248),
    ],
)  # fmt: skip
def test_what_follows_the_last_layer_goes_by_the_class(config, name, parameters):
    m = tr.Model.from_config({**config, "architectures": [name]})
    assert m.parameters == parameters
    assert m.head_parameters == parameters - m.embedding_parameters - sum(
        count for group, count in m.parameter_groups().items() if group not in ("embedding", "head")
    )
    step = tr.prefill("H100-SXM", m, batch=1, tokens=512, fidelity="datasheet")
    assert np.all(np.isfinite(step.time_s)) and np.all(step.time_s > 0)


def test_a_head_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="architectures is .*allowed: ForCausalLM"):
        tr.Model.from_config({**LLAMA, "architectures": ["LlamaForQuestionAnswering"]})
    with pytest.raises(TypeError, match="architectures is 'x'; allowed"):
        tr.Model.from_config({**LLAMA, "architectures": "x"})


def test_defaults_of_the_classes():
    """The three that files most often leave out, and null where a class makes something else of it."""
    qwen = {k: v for k, v in QWEN3_8B.items() if k != "head_dim"} | {"hidden_size": 2048}
    m = tr.Model.from_config(qwen)
    assert (m.head_dim, m.explain().defaulted["head_dim"]) == (128, 128)
    assert tr.Model.from_config({**qwen, "head_dim": None}).head_dim == 2048 // 32
    for family in ("gemma", "gemma2"):
        bare = {**LLAMA, "model_type": family, "hidden_size": 3072, "num_attention_heads": 16}
        assert tr.Model.from_config(bare).head_dim == 256
    mistral = {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"} | {
        "model_type": "mistral"
    }
    assert tr.Model.from_config(mistral).kv_heads == 8
    assert tr.Model.from_config({**mistral, "num_key_value_heads": None}).kv_heads == 32
    assert tr.Model.from_config({**mistral, "model_type": "llama"}).kv_heads == 32
    with pytest.raises(ValueError, match="hidden_size is missing; allowed"):
        tr.Model.from_config({"model_type": "llama", "num_hidden_layers": 3})


def test_layers_are_counted_by_their_list_where_the_number_is_left_out():
    kinds = ["mamba", "mlp", "attention", "mlp"] * 3
    config = {
        "model_type": "nemotron_h", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 64, "intermediate_size": 512, "vocab_size": 1000, "mamba_num_heads": 8,
        "mamba_head_dim": 64, "n_groups": 2, "ssm_state_size": 16, "conv_kernel": 4, "layers_block_type": kinds,
    }  # fmt: skip
    m = tr.Model.from_config(config)
    assert (m.layers, m.full_layers, m.mamba_layers, m.dense_layers) == (12, 3, 3, 6)
    letters = {**config, "hybrid_override_pattern": "M-*-" * 3}
    del letters["layers_block_type"]
    assert tr.Model.from_config(letters) == m
    with pytest.raises(ValueError, match=r"12 letters; allowed: one per block, 11"):
        tr.Model.from_config({**config, "num_hidden_layers": 11})
    with pytest.raises(ValueError, match="layers_block_type is .*hybrid_override_pattern says"):
        tr.Model.from_config({**letters, "layers_block_type": kinds[::-1]})
    sliding = {
        **QWEN3_8B,
        "model_type": "gemma2",
        "layer_types": ["sliding_attention", "full_attention"] * 9,
    }
    del sliding["num_hidden_layers"]
    assert tr.Model.from_config(sliding).layers == 18


def test_latent_attention_asks_for_no_head_dim():
    config = {
        "model_type": "deepseek_v3", "hidden_size": 640, "num_hidden_layers": 2, "num_attention_heads": 12,
        "intermediate_size": 64, "vocab_size": 100, "q_lora_rank": None, "kv_lora_rank": 32,
        "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 32, "first_k_dense_replace": 1,
        "n_shared_experts": 1, "head_dim": 999,
    }  # fmt: skip
    m = tr.Model.from_config(config)
    assert (m.head_dim, m.kv_bytes_per_token()) == (24, 2 * (32 + 8) * 2)
    attention = 640 * 12 * 24 + 640 * 40 + 32 + 32 * 12 * 32 + 12 * 16 * 640
    assert m.parameter_groups()["attention"] == 2 * attention
    # by hand: biases of both projections down and of the output
    biased = tr.Model.from_config({**config, "attention_bias": True, "q_lora_rank": 48})
    plain = tr.Model.from_config({**config, "q_lora_rank": 48})
    assert biased.parameters - plain.parameters == 2 * (48 + 32 + 8 + 640)
    with pytest.raises(ValueError, match="qk_rope_head_dim is 0; allowed"):
        tr.Model.from_config({**config, "qk_rope_head_dim": 0})


# DeepSeek-OCR's published language_config: plain attention under the name of a family with latent attention
def test_plain_attention_under_the_name_of_deepseek():
    language = {
        "model_type": "deepseek_v2", "hidden_size": 1280, "num_hidden_layers": 12, "num_attention_heads": 10,
        "num_key_value_heads": 10, "intermediate_size": 6848, "moe_intermediate_size": 896,
        "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1,
        "vocab_size": 129280, "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0,
        "kv_lora_rank": None, "q_lora_rank": None, "use_mla": False, "lm_head": True, "rm_head": False,
    }  # fmt: skip
    m = tr.Model.from_config({"model_type": "deepseek_vl_v2", "language_config": language})
    assert (m.attention, m.head_dim, m.kv_lora_rank) == ("mha", 128, 0)
    h = 1280
    layer = 4 * h * h + 2 * h
    sparse = layer + 64 * h + 3 * h * 896 * (64 + 2)
    assert m.parameters == 2 * 129280 * h + 12 * layer + 3 * h * 6848 + 11 * (sparse - layer) + h
    del language["use_mla"]
    assert tr.Model.from_config(language).parameters == m.parameters


def test_a_llama_4_without_experts():
    config = {
        "model_type": "llama4_text", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 128, "intermediate_size": 256, "intermediate_size_mlp": 1024,
        "vocab_size": 1000, "interleave_moe_layer_step": 0,
    }  # fmt: skip
    m = tr.Model.from_config(config)
    assert (m.moe_layers, m.dense_layers, m.ffn, m.experts) == (0, 4, 1024, 0)
    attention = 512 * (4 + 2 + 2) * 128 + 4 * 128 * 512
    assert m.parameters == 2 * 1000 * 512 + 4 * (attention + 3 * 512 * 1024 + 2 * 512) + 512
    assert m.active_parameters == m.parameters


def test_the_cache_of_a_model_whose_layers_all_slide():
    """By hand: what a token adds while the window fills, and what a context holds."""
    config = {
        **LLAMA,
        "model_type": "mistral",
        "sliding_window": 4096,
        "max_position_embeddings": 32768,
    }
    m = tr.Model.from_config(config)
    each = 32 * 8 * 128 * 2 * 2
    assert m.kv_bytes_per_token() == each
    assert list(m.kv_bytes([0, 1000, 4096, 9000])) == [0, 1000 * each, 4096 * each, 4096 * each]


def test_the_longest_context():
    def longest(**more):
        return tr.Model.from_config({**LLAMA, **more}).context_max

    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    assert longest(max_position_embeddings=32768) == 32768
    assert longest(max_position_embeddings=32768, rope_scaling=yarn) == 131072
    assert longest(max_position_embeddings=131072, rope_parameters=yarn) == 131072
    assert (
        longest(max_position_embeddings=32768, rope_scaling={"type": "yarn", "factor": 4.0})
        == 131072  # as the library: of what is stated, where the original is not
    )
    assert (
        longest(max_position_embeddings=8192, rope_scaling={"type": "llama3", "factor": 8.0})
        == 8192
    )
    assert longest() == 2048  # of the class
    beside = {"max_position_embeddings": 65536, "original_max_position_embeddings": 16384}
    assert (
        longest(**beside, rope_scaling={**yarn, "factor": 8.0}) == 131072
    )  # beside the object goes first
    assert longest(max_position_embeddings=4096, rope_scaling={**yarn, "factor": None}) == 4096
    kinds = {"full_attention": yarn, "sliding_attention": {"rope_type": "default"}}
    assert longest(max_position_embeddings=32768, rope_parameters=kinds) == 131072
    for off in (None, {}, False):
        assert longest(max_position_embeddings=4096, rope_scaling=off) == 4096
    assert (
        longest(max_position_embeddings=4096, rope_scaling={"type": "my_own", "alpha": 2}) == 4096
    )


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    "scaling,words",
    [
        *(({**YARN, "factor": odd}, "rope_scaling.factor is .*allowed: a number 1 to 10000")
          for odd in (True, "4", float("nan"), float("inf"), -4, 0.5, 1e9)),
        ({"rope_type": "yarn"}, "rope_scaling.factor is missing"),
        ({**YARN, "original_max_position_embeddings": "4096"}, "original_max_position_embeddings is '4096'"),
        ({**YARN, "original_max_position_embeddings": -1}, "original_max_position_embeddings is -1"),
        ({**YARN, "rope_type": "YARN"}, "rope_scaling.rope_type is 'YARN'; .*did you mean 'yarn'"),
        ({"type": " Yarn", "factor": 4.0}, "rope_scaling.type is ' Yarn'; .*did you mean 'yarn'"),
        ({**YARN, "rope_type": 3}, "rope_scaling.rope_type is 3"),
        ({"full_attention": {**YARN, "factor": -1}}, "rope_scaling.full_attention.factor is -1"),
        ("yarn", "rope_scaling is 'yarn'; allowed: an object"), ([1], r"rope_scaling is \[1\]; allowed"),
    ],
)  # fmt: skip
def test_a_scaling_of_positions_that_is_none_is_refused_by_name(scaling, words):
    with pytest.raises((TypeError, ValueError), match=words):
        tr.Model.from_config({**LLAMA, "rope_scaling": scaling})


def test_the_page():
    config = {**LLAMA, "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-5, "attention_bias": False,
              "layer_types": ["full_attention"] * 32, "bos_token_id": 1}  # fmt: skip
    m = tr.Model.from_config(config, name="mine")
    page = m.explain()
    assert page.read["hidden_size"] == 4096 and page.defaulted["tie_word_embeddings"] is False
    assert set(page.harmless) == {"rms_norm_eps", "bos_token_id"}
    assert set(config) == set(page.read) | set(page.harmless)  # every field is on it
    assert sum(page.parameters.values()) == m.parameters == 8_030_261_248
    text = str(page)
    assert text.startswith("mine: read as llama") and "32: 32 x full_attention" in text
    assert "words of the vocabulary" in text and "8,030,261,248" in text
    assert repr(page) == text
    made = tr.Model(name="tiny", hidden=64, vocab=100, layers=2, heads=4, ffn=256)
    assert "all" in str(made.explain()) and not made.explain().read
    listed = tr.model("Qwen3-8B")
    assert listed.explain().read["num_hidden_layers"] == 36
    assert listed.replace(name="x").explain().read["num_hidden_layers"] == 36
    assert not listed.replace(vocab=1000).explain().read


def test_a_family_like_another_is_one_entry_of_the_table():
    """Two as a user would add them: one that is Llama, and one with other names, no biases of its own and two norms more."""
    old = dict(FAMILIES)
    try:
        FAMILIES["plain_new"] = like("llama")
        FAMILIES["renamed_new"] = like(
            "qwen2", renamed={"width": "hidden_size", "blocks": "num_hidden_layers"},
            defaults={"num_key_value_heads": 4}, norms_per_layer=4,
        )  # fmt: skip
        plain = tr.Model.from_config({**LLAMA, "model_type": "plain_new"})
        assert plain.parameters == tr.Model.from_config(LLAMA).parameters
        config = {
            k: v
            for k, v in LLAMA.items()
            if k not in ("hidden_size", "num_hidden_layers", "num_key_value_heads")
        }
        other = tr.Model.from_config(
            {**config, "model_type": "renamed_new", "width": 4096, "blocks": 32}
        )
        like_it = {**LLAMA, "model_type": "qwen2", "num_key_value_heads": 4}
        assert other.parameters == tr.Model.from_config(like_it).parameters + 2 * 32 * 4096
        assert other.explain().read["width"] == 4096
    finally:
        FAMILIES.clear()
        FAMILIES.update(old)


def test_an_unknown_family_says_what_is_nearest_and_what_would_decide():
    with pytest.raises(ValueError, match=r"'quen3'.*did you mean 'qwen3'"):
        tr.Model.from_config({**QWEN3_8B, "model_type": "quen3"})
    config = {
        **LLAMA,
        "model_type": "zzz",
        "num_local_experts": 8,
        "num_experts_per_tok": 2,
        "odd_rank": 64,
    }
    with pytest.raises(
        ValueError, match=r"nearest by its fields: .*mixtral.*what would decide: odd_rank"
    ):
        tr.Model.from_config(config)
    with pytest.raises(ValueError, match="norms of queries and keys"):
        tr.Model.from_config({**LLAMA, "model_type": "zzz", "tie_word_embeddings": False})
    with pytest.raises(ValueError, match="no family's rules read its fields: hidden_size"):
        tr.Model.from_config({"model_type": "zzz", "hidden_size": "wide"})


@given(st.dictionaries(st.text(max_size=12), st.integers(1, 9) | st.just("on"), max_size=3))
def test_no_odd_field_changes_a_count_silently(odd):
    fields = {k: v for k, v in odd.items() if k not in LLAMA}
    try:
        m = tr.Model.from_config({**LLAMA, **fields})
    except (ValueError, TypeError) as error:
        assert any(name in str(error) for name in fields) or "architectures" in str(error)
    else:
        assert m.parameters == 8_030_261_248
        assert set(fields) <= set(m.explain().harmless) | set(m.explain().read)


@pytest.mark.parametrize(
    ("width", "even"), [(22016, True), (22017, False), (22018, True), (22019, False)]
)
def test_the_first_qwen_states_gate_and_up_together(width, even):
    config = {"model_type": "qwen", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
              "intermediate_size": width, "vocab_size": 151936}  # fmt: skip
    if even:
        assert tr.Model.from_config(config).ffn == width // 2
    else:
        with pytest.raises(
            ValueError, match=f"intermediate_size is {width}; allowed: an even number"
        ):
            tr.Model.from_config(config)
