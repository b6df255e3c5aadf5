"""Reading config.json files: real ones, odd ones, broken ones."""

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tokenroof as tr
from tokenroof.records.huggingface.families import FAMILIES

CONFIGS = sorted((Path(__file__).parent / "fixtures" / "model_configs").glob("*.json"))
LLAMA = json.loads(next(p for p in CONFIGS if p.stem == "Llama-3.1-8B").read_text())
QWEN3_NEXT = next(p for p in CONFIGS if p.stem == "Qwen3-Next-80B-A3B")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_file_is_read(path):
    config = json.loads(path.read_text())
    m = tr.Model.from_config(config)
    named = m if m.name == config.get("_name_or_path") else m.replace(name=path.stem)
    assert named == tr.Model.from_config(path) == tr.Model.from_config(str(path))
    # what real files carry beside the shapes does not matter
    more = {**config, "transformers_version": "4.57.0", "use_cache": True, "bos_token_id": [1, 2],
            "rope_scaling": {"type": "linear", "factor": 4.0}, "initializer_range": 0.02}  # fmt: skip
    assert tr.Model.from_config(more) == m
    nested = {"architectures": ["X"], "model_type": "some_vl", "vision_config": {},
              "text_config": config.get("text_config", config)}  # fmt: skip
    if "tie_word_embeddings" in config and "text_config" in config:
        nested["tie_word_embeddings"] = config["tie_word_embeddings"]
    assert tr.Model.from_config(nested).parameters == m.language_parameters


def test_families_without_a_fixture():
    """Shapes of public files of these families, with their published sizes."""
    phi2 = {"model_type": "phi", "hidden_size": 2560, "num_hidden_layers": 32, "num_attention_heads": 32,
            "intermediate_size": 10240, "vocab_size": 51200, "tie_word_embeddings": False}  # fmt: skip
    assert tr.Model.from_config(phi2).parameters == 2_779_683_840
    mistral1 = {"model_type": "mistral", "hidden_size": 4096, "num_hidden_layers": 32,
                "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
                "vocab_size": 32000, "sliding_window": 4096}  # fmt: skip
    m = tr.Model.from_config(mistral1)
    assert (m.parameters, m.window_layers, m.window) == (7_241_732_096, 32, 4096)
    falcon7 = {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32,
               "num_attention_heads": 71, "vocab_size": 65024, "multi_query": True, "parallel_attn": True,
               "bias": False, "new_decoder_architecture": False}  # fmt: skip
    assert tr.Model.from_config(falcon7).parameters == 6_921_720_704
    gemma = {"model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 16, "head_dim": 256, "intermediate_size": 24576,
             "vocab_size": 256000}  # fmt: skip
    assert tr.Model.from_config(gemma).parameters == 8_537_680_896


def test_files_that_leave_out_defaults_or_name_things_their_own_way():
    """As published: Gemma 3 leaves out what the architecture defaults to; others rename."""
    gemma = {
        "architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
        "text_config": {"hidden_size": 3840, "intermediate_size": 15360, "model_type": "gemma3_text",
                        "num_attention_heads": 16, "num_hidden_layers": 48, "num_key_value_heads": 8,
                        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
        "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
    }  # fmt: skip
    want = tr.model("Gemma-3-12B")
    got = tr.Model.from_config(gemma, ignore=["vision_config"])
    assert (got.parameters, got.kv_bytes_per_token()) == (
        want.parameters,
        want.kv_bytes_per_token(),
    )
    four = {"model_type": "gemma3", "text_config": {
        "model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240,
        "num_hidden_layers": 34, "sliding_window": 1024}}  # fmt: skip
    assert tr.Model.from_config(four).parameters == tr.model("Gemma-3-4B").parameters

    nano = json.loads(next(p for p in CONFIGS if p.stem == "Nemotron-3-Nano").read_text())
    names = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp"}
    pattern = nano.pop("hybrid_override_pattern")
    listed = {**nano, "layers_block_type": [names[c] for c in pattern]}
    assert tr.Model.from_config(listed).parameters == tr.model("Nemotron-3-Nano").parameters
    eight = {"attention_head_dim": 128, "conv_kernel": 4, "hidden_size": 4096, "intermediate_size": 21504,
             "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
             "mamba_head_dim": 64, "mamba_num_heads": 128, "model_type": "nemotron_h", "n_groups": 8,
             "num_attention_heads": 32, "num_hidden_layers": 52, "num_key_value_heads": 8,
             "ssm_state_size": 128, "tie_word_embeddings": False, "vocab_size": 131072}  # fmt: skip
    assert tr.Model.from_config(eight).parameters == pytest.approx(8.1e9, rel=0.01)  # Nemotron-H-8B

    falcon = {"model_type": "RefinedWeb", "hidden_size": 8192, "n_head": 128, "n_head_kv": 8, "n_layer": 60,
              "vocab_size": 65024, "bias": False, "parallel_attn": True, "alibi": False}  # fmt: skip
    assert tr.Model.from_config(falcon).parameters == tr.model("Falcon-40B").parameters
    wide = {**LLAMA, "model_type": "mistral", "sliding_window": LLAMA["max_position_embeddings"]}
    assert tr.Model.from_config(wide).window_layers == 0


@pytest.mark.parametrize(
    "field,value",
    [("hidden_size", "4096"), ("hidden_size", -1), ("hidden_size", 0), ("hidden_size", 4096.5),
     ("hidden_size", True), ("hidden_size", [4096]), ("hidden_size", 10**400), ("hidden_size", float("nan")),
     ("num_attention_heads", 7), ("num_hidden_layers", {}), ("tie_word_embeddings", "yes"),
     ("vocab_size", None), ("model_type", 3), ("intermediate_size", "big")],
)  # fmt: skip
def test_a_bad_field_is_named(field, value):
    config = {**LLAMA, field: value}
    config.pop("head_dim", None)
    with pytest.raises((ValueError, TypeError), match=f"{field} is .*allowed"):
        tr.Model.from_config(config)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_more_layers_than_any_model_has_are_refused_at_once(path):
    whole = json.loads(path.read_text())
    inner = whole.get("text_config", whole)
    name = next(n for n in ("num_hidden_layers", "n_layer", "n_layers", "num_layers") if n in inner)
    inner[name] = 10**12
    with pytest.raises(ValueError, match=f"{name} is 1000000000000; allowed"):
        tr.Model.from_config(whole)


# Its published config.json: 48B parameters, 3B active (arXiv:2510.26692).
KIMI_LINEAR = {
    "model_type": "kimi_linear", "vocab_size": 163840, "hidden_size": 2304, "num_hidden_layers": 27,
    "num_attention_heads": 32, "num_key_value_heads": 32, "head_dim": 72, "intermediate_size": 9216,
    "kv_lora_rank": 512, "q_lora_rank": None, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "mla_use_nope": True, "num_experts": 256, "num_experts_per_token": 8, "num_shared_experts": 1,
    "moe_intermediate_size": 1024, "first_k_dense_replace": 1, "moe_layer_freq": 1, "tie_word_embeddings": False,
    "linear_attn_config": {
        "full_attn_layers": [4, 8, 12, 16, 20, 24, 27], "head_dim": 128, "num_heads": 32, "short_conv_kernel_size": 4,
        "kda_layers": [i for i in range(1, 27) if i % 4],
    },
}  # fmt: skip


def test_kimi_linear():
    """Delta attention with decays by channel and gates of low rank, and latent attention every fourth layer."""
    m = tr.Model.from_config(KIMI_LINEAR)
    assert (m.full_layers, m.linear_layers, m.attention) == (7, 20, "hybrid-linear")
    h, wide = 2304, 32 * 128
    delta = 4 * h * wide + h * 32 + 2 * (h * 128 + 128 * wide) + 3 * wide * 4 + wide + 32 + 128
    assert m.parameter_groups()["linear_attention"] == 20 * delta
    assert 48e9 < m.parameters < 50e9 and 2.8e9 < m.active_parameters < 3.6e9
    # a quarter of the layers has a cache: 75 % less; and a state of 2 MiB in each of the others
    assert m.kv_bytes_per_token() == 7 * (512 + 64) * 2
    assert m.kv_bytes(0) == 20 * (4 * 32 * 128 * 128 + 2 * 4 * 3 * wide)
    step = tr.decode("H200-SXM", m, batch=[1, 64], context=1e6, fidelity="datasheet")
    read = m.active_parameters - m.embedding_parameters
    attention = 7 * 2 * 32 * (2 * 512 + 64) * 1e6 + 20 * 7 * 32 * 128 * 128
    assert step.flops[0] == pytest.approx(2 * read + attention, rel=1e-2)
    with pytest.raises(ValueError, match="full_attn_layers and kda_layers name 7 and 0 layers"):
        tr.Model.from_config({**KIMI_LINEAR, "linear_attn_config": {
            **KIMI_LINEAR["linear_attn_config"], "kda_layers": []}})  # fmt: skip


def test_an_unknown_architecture_is_named():
    with pytest.raises(ValueError, match="model_type is 'lama'.*did you mean 'llama'"):
        tr.Model.from_config({**LLAMA, "model_type": "lama"})
    with pytest.raises(ValueError, match="model_type is missing"):
        tr.Model.from_config({})


def test_a_missing_field_is_named():
    for path in CONFIGS:
        whole = json.loads(path.read_text())
        inner = whole.get("text_config", whole)
        for field in inner:
            broken = copy.deepcopy(whole)
            del broken.get("text_config", broken)[field]
            try:
                tr.Model.from_config(broken)
            except (ValueError, TypeError) as error:
                assert "allowed" in str(error)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"3", b'"x"', b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000,
     b'{"model_type": NaN}', b"1" * 10_000, json.dumps(LLAMA).encode()[:200]],
)  # fmt: skip
def test_broken_files(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises((ValueError, TypeError), match="allowed"):
        tr.Model.from_config(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        tr.Model.from_config(tmp_path / "none.json")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert tr.Model.from_config(tmp_path).hidden == 4096  # a folder that holds one
    big = tmp_path / "big.json"
    big.write_bytes(b" " * (17 * 2**20))
    with pytest.raises(ValueError, match="16 MiB"):
        tr.Model.from_config(big)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers(-(2**70), 2**70),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(data=st.data())
def test_fuzzed_fields(data):
    path = data.draw(st.sampled_from(CONFIGS))
    config = json.loads(path.read_text())
    target = config.get("text_config", config)
    for field in data.draw(st.lists(st.sampled_from(sorted(target)), min_size=1, max_size=4)):
        target[field] = data.draw(json_values)
    try:
        m = tr.Model.from_config(config)
    except (ValueError, TypeError) as error:
        assert str(error)
    else:
        assert m.parameters > 0
        m.pack()


@given(model_type=st.sampled_from(sorted(FAMILIES)), rest=st.dictionaries(st.text(), json_values))
def test_fuzzed_families(model_type, rest):
    with pytest.raises((ValueError, TypeError), match="allowed"):
        tr.Model.from_config({**rest, "model_type": model_type})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200), cut=st.integers(0, 2000))
def test_fuzzed_bytes(tmp_path, raw, cut):
    path = tmp_path / "config.json"
    for content in (raw, QWEN3_NEXT.read_bytes()[:cut]):
        path.write_bytes(content)
        try:
            tr.Model.from_config(path)
        except (ValueError, TypeError) as error:
            assert "allowed" in str(error)
