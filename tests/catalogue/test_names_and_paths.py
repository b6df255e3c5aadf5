"""Names that were typed in part, and files and folders that are given without their path."""

import json

import pytest

import tokenroof as tr
from tokenroof.support.names import near_matches, unknown


def test_a_name_that_was_not_typed_to_its_end_comes_first():
    known = ["Qwen2.5-7B", "Qwen3-32B", "Qwen3-235B-A22B", "Qwen3.5-4B"]
    assert near_matches("Qwen3-235B", known)[0] == "Qwen3-235B-A22B"
    with pytest.raises(KeyError, match="did you mean 'Qwen3-235B-A22B"):
        tr.model("Qwen3-235B")
    assert near_matches("rubin", ["Rubin CPX", "Vera Rubin NVL72"]) == [
        "Rubin CPX",
        "Vera Rubin NVL72",
    ]


def test_a_short_part_of_a_long_name_is_near():
    assert near_matches("nvl72", ["Vera Rubin Ultra NVL72 with many words behind it"])


def test_where_nothing_is_near_few_names_are_listed_and_of_many_how_to_see_them():
    assert str(unknown("deal", "zzz", ["b", "a"])) == "unknown deal 'zzz'; allowed: a, b"
    for kind, find in (("device", tr.device), ("model", tr.model), ("miner", tr.miner)):
        with pytest.raises(
            KeyError, match=f"tokenroof list {kind}s, or a .toml or .json file of its fields"
        ):
            find("zzzzzzzzz")


def test_a_folder_or_a_file_without_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    shape = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 128, "vocab_size": 256}  # fmt: skip
    (tmp_path / "mine" / "config.json").write_text(json.dumps(shape))
    with pytest.raises(KeyError, match=r"unknown model 'mine'.*; the folder here is './mine'"):
        tr.model("mine")
    assert tr.model("./mine").hidden == 64
    (tmp_path / "H200.csv").write_text("")
    with pytest.raises(KeyError, match="a .toml or .json file of its fields"):
        tr.device("H200.csv")
