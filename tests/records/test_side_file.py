"""What stands beside a config.json, damaged: refused with its name, whoever reads it."""

import json

import pytest

import tokenroof as tr
from tokenroof.records.model import Model

CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100,
    "max_position_embeddings": 128, "torch_dtype": "bfloat16",
}  # fmt: skip
DAMAGED = {
    "cut": b'{"quantization": {"quant_algo": "FP8"',
    "nested": b'{"a":' * 100_000,
    "encoded": b'{"a": "\xff\xfe\xfa"}',
    "digits": b'{"a": ' + b"9" * 10_000 + b"}",
    "empty": b"",
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("read", [tr.model, Model.from_config])
def test_a_damaged_file_beside_is_named(read, damage, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert read(tmp_path).layers == 2
    (tmp_path / "hf_quant_config.json").write_bytes(DAMAGED[damage])
    with pytest.raises(
        ValueError, match=r"hf_quant_config\.json is .*; allowed: JSON of a checkpoint"
    ):
        read(tmp_path)


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_config_is_named(damage, tmp_path):
    (tmp_path / "config.json").write_bytes(DAMAGED[damage])
    with pytest.raises(ValueError, match=r"config\.json: "):
        tr.model(tmp_path)
