"""A config that says two things, or a word that no class knows, is refused by its field."""

import pytest

import tokenroof as tr

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["MixtralForCausalLM", "Qwen3MoeForCausalLM", "MambaForCausalLM", "DeepseekV3ForCausalLM"],
)
def test_a_class_of_another_shape_is_refused(name):
    config = {**LLAMA, "architectures": [name]}
    with pytest.raises(
        ValueError, match=rf"architectures is \['{name}'\] with model_type 'llama', .* model_type '"
    ):
        tr.Model.from_config(config)
    plain = tr.Model.from_config(LLAMA).parameters
    assert tr.Model.from_config(config, ignore=["architectures"]).parameters == plain
    nested = {"model_type": "some_vl", "architectures": [name], "text_config": LLAMA}
    with pytest.raises(ValueError, match="architectures is"):
        tr.Model.from_config(nested)


@pytest.mark.parametrize(
    "name", ["LlamaForCausalLM", "MistralForCausalLM", "BaichuanForCausalLM", "NobodysForCausalLM"]
)
def test_a_class_of_the_same_shape_is_taken(name):
    named = tr.Model.from_config({**LLAMA, "architectures": [name]})
    assert named.parameters == tr.Model.from_config(LLAMA).parameters


def test_a_class_of_the_part_around_is_no_contradiction():
    config = {
        "model_type": "mixtral",
        "architectures": ["MixtralForCausalLM"],
        "text_config": LLAMA,
    }
    assert tr.Model.from_config(config).experts == 0


@pytest.mark.parametrize("field", ["hidden_act", "hidden_activation", "activation_function"])
def test_an_activation_that_no_class_has_is_refused(field):
    with pytest.raises(
        ValueError, match=f"{field} is 'sillu'; allowed: gelu, .*did you mean 'silu'"
    ):
        tr.Model.from_config({**LLAMA, field: "sillu"})
    plain = tr.Model.from_config(LLAMA)
    assert (
        tr.Model.from_config({**LLAMA, field: "sillu"}, ignore=[field]).parameters
        == plain.parameters
    )
    for known in ("silu", "gelu_pytorch_tanh", "xielu", "relu2", None):
        assert tr.Model.from_config({**LLAMA, field: known}).parameters == plain.parameters
