"""Parameters and cache sizes of the catalogue's models, counted from their shapes."""

import csv
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import _core
from tokenroof.catalogue import architectures as _models

FIXTURES = Path(__file__).parent / "fixtures"
ROWS = list(csv.DictReader((FIXTURES / "model_counts.csv").read_text().splitlines()))
# published, where the config that was read has none or an older one
CONTEXTS = {
    "Llama-2-7B": 4096, "Llama-2-13B": 4096, "Llama-2-70B": 4096, "Mistral-Large-123B": 131072,
    "BLOOM-176B": 2048, "Step-3.7-Flash": 262144,
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_counts(row):
    catalogue = tr.model(row["name"])
    parsed = tr.Model.from_config(FIXTURES / "model_configs" / row["config_file"])
    for m in (catalogue, parsed):
        assert m.parameters == int(row["parameters"])
        assert m.active_parameters == int(row["active_parameters"])
        assert m.kv_bytes_per_token("bf16") == float(row["kv_bytes_per_token_bf16"])
        assert m.attention == row["attention"]
        assert sum(m.parameter_groups().values()) == m.parameters
    assert np.array_equal(catalogue.pack(), parsed.pack())
    assert catalogue.context_max == CONTEXTS.get(row["name"], parsed.context_max) > 0


@pytest.mark.parametrize("asked,most", [
    ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", 262144), ("Qwen3-235B-A22B", 40960),
    ("qwen3 4b thinking 2507", 262144), ("Qwen3-30B-A3B-Instruct-2507", 262144), ("Qwen/Qwen3-4B", 40960),
    ("Llama-2-70b-chat-hf", 4096),
])  # fmt: skip
def test_a_revision_has_its_own_longest_context(asked, most):
    assert tr.model(asked).context_max == most


def test_all_models_are_there():
    assert {m.name for m in _models.models()} == {row["name"] for row in ROWS}
    with pytest.raises(ValueError, match="no published shapes"):
        tr.model("GPT-MoE-1.8T")


@pytest.mark.parametrize(
    "name,bytes_",
    [("Llama-2-7B", 524288), ("Llama-3.1-8B", 131072), ("Llama-3.1-70B", 327680),
     ("Llama-3.1-405B", 516096), ("GPT-3-175B", 4718592), ("Qwen3-235B-A22B", 192512),
     ("Qwen3-8B", 147456), ("DeepSeek-V3", 70272), ("Kimi-K2", 70272)],
)  # fmt: skip
def test_published_cache_sizes(name, bytes_):
    """DeepSeek, Insights into DeepSeek-V3 (arXiv 2505.09343), Table 1, and the like."""
    assert tr.model(name).kv_bytes_per_token("bf16") == bytes_
    assert tr.model(name).kv_bytes_per_token("fp8") == bytes_ / 2


def test_a_llama_by_its_matrices():
    m = tr.model("Llama-3.1-70B")
    groups = m.parameter_groups()
    assert groups["attention"] == 80 * 150_994_944
    assert groups["mlp"] == 80 * 704_643_072
    assert m.parameters == 70_553_706_496
    assert m.parameters - groups["embedding"] - groups["norms"] == 69_501_714_432


def test_a_window_stops_growing():
    m = tr.model("gpt-oss-120b")
    window, full = m.window_layers * 128 * 2048, m.full_layers * 2048
    np.testing.assert_allclose(m.kv_bytes([128, 4096]), [window + full * 128, window + full * 4096])
    assert m.kv_bytes_per_token() == 36864


def test_pack_by_name():
    m = tr.model("DeepSeek-V3.2")
    packed = dict(zip(_core.MODEL_FIELDS, m.pack(), strict=True))
    assert packed["index_topk"] == 2048 and packed["parameters"] == m.parameters


@pytest.mark.parametrize(
    "asked,name",
    [("nvidia/DeepSeek-R1-NVFP4", "DeepSeek-R1"), ("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B"),
     ("amd/Llama-3.3-70B-Instruct-FP8-KV", "Llama-3.3-70B"), ("deepseek-ai/DeepSeek-V3-0324", "DeepSeek-V3"),
     ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "Qwen3-235B-A22B"), ("openai/gpt-oss-120b", "gpt-oss-120b"),
     ("meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8", "Llama-4-Maverick"), ("LLAMA_3 8b", "Llama-3-8B"),
     ("zai-org/GLM-4.5-Air-FP8", "GLM-4.5-Air"), ("DeepSeek-V2-Lite-Chat", "DeepSeek-V2-Lite")],
)  # fmt: skip
def test_names(asked, name):
    assert tr.model(asked).name == name


@pytest.mark.parametrize("name", ["Qwen3-9B", "llama", "", "Llama-3.1-80B", "../etc", "x" * 10_000])
def test_unknown_names(name):
    with pytest.raises(KeyError, match="unknown model"):
        tr.model(name)


def test_near_matches():
    with pytest.raises(KeyError, match="Qwen3-8B"):
        tr.model("Qwen3-9B")


@pytest.mark.parametrize(
    "changes,field",
    [({"hidden": 0}, "hidden"), ({"hidden": -1}, "hidden"), ({"hidden": 1.5}, "hidden"),
     ({"hidden": True}, "hidden"), ({"heads": 3}, "heads"), ({"kv_heads": 3}, "kv_heads"),
     ({"layers": 10**13}, "layers"), ({"full_layers": 99}, "full_layers"), ({"name": 3}, "name"),
     ({"moe_layers": 1}, "experts"), ({"moe_layers": 1, "experts": 4, "topk": 5, "moe_ffn": 2}, "topk"),
     ({"window_layers": 1, "full_layers": 1}, "window"), ({"mlp_matrices": 4}, "mlp_matrices"),
     ({"tied": 1}, "tied")],
)  # fmt: skip
def test_a_bad_shape_is_named(changes, field):
    base = {"name": "x", "hidden": 64, "vocab": 10, "layers": 2, "heads": 4, "ffn": 128}
    with pytest.raises((ValueError, TypeError), match=f"{field} is .*allowed"):
        tr.Model(**{**base, **changes})
