"""Least shapes that a model may have: a window of one token, layers of one column."""

import pytest

import tokenroof as tr


def test_a_window_of_one_token_is_one():
    model = tr.model("gpt-oss-20b")
    assert model.replace(window=1).window == 1
    with pytest.raises(
        ValueError, match="window is 0; allowed: a positive integer, as there are window_layers"
    ):
        model.replace(window=0)


@pytest.mark.parametrize("widths", [[1, 1], [16384, 16384]])
def test_widths_that_are_alike(widths):
    config = {"model_type": "gemma3n_text", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 100, "intermediate_size": widths}  # fmt: skip
    try:
        assert tr.Model.from_config(config).ffn == widths[0]
    except ValueError as error:
        assert "intermediate_size" not in str(error), error
    for wrong in ([0, 0], [1, 2]):
        with pytest.raises(
            ValueError,
            match="intermediate_size is .*; allowed: a whole number >= 1, or as many alike",
        ):
            tr.Model.from_config(config | {"intermediate_size": wrong})
