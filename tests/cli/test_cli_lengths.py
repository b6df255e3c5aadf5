"""Numbers as people write them, loads by name, and whole traces at a prompt."""

import json

import pytest

from tokenroof.cli.lengths import tokens, whole
from tokenroof.cli.program import main

WHERE = ["H100-SXM", "Llama-3.1-8B"]


def document(capsys, *words):
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *words):
    try:
        status = main(words)
    except SystemExit as left:
        status = left.code
    assert status == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [(tokens, "8k", 8192), (tokens, "0.5K", 512), (tokens, "8192", 8192), (tokens, "1e3", 1000),
     (tokens, "12.5", 12.5), (whole, "1e6", 10**6), (whole, "2000", 2000), (whole, "9" * 30, int("9" * 30))],
)  # fmt: skip
def test_numbers(read, text, value):
    assert read(text) == value and type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["simulate", *WHERE, "--requests", "8k"], "--requests: '8k'; allowed: a whole number, such as 2000 or 1e6"),
     (["simulate", *WHERE, "--requests", "1.5"], "--requests: '1.5'; allowed: a whole number"),
     (["simulate", *WHERE, "--requests", "inf"], "--requests: 'inf'; allowed: a whole number"),
     (["curve", *WHERE, "--input-tokens", "long"], "--input-tokens: 'long'; allowed: tokens, such as 8192 or 8k"),
     (["capacity", *WHERE, "--demand", "many"], "--demand: 'many'; allowed: a number, such as 2 or 1e6"),
     (["capacity", *WHERE, "--slo-ttft", "2", "--load", "8k/1k", "--output-tokens", "9"], "beside output_tokens"),
     (["compare", "H100-SXM", *WHERE, "--load", "agentic"], "of sessions; allowed: 1k/1k"),
     (["tune", *WHERE, "--slo-ttft", "2", "--load", "8/1"], "--load is '8/1'; allowed: 1k/1k, 1k/8k")],
)  # fmt: skip
def test_what_is_refused(capsys, words, said):
    assert said in refused(capsys, *words)


@pytest.mark.parametrize("command", [["curve", *WHERE, "--concurrency", "4"],
                                     ["capacity", *WHERE, "--slo-ttft", "2@90"],
                                     ["simulate", *WHERE, "--rate", "1", "--requests", "20"],
                                     ["compare", "H100-SXM", *WHERE, "--devices-max", "1"]])  # fmt: skip
def test_a_load_by_name_is_its_lengths(capsys, command):
    named, k, digits = (
        document(capsys, *command, *load)
        for load in (["--load", "8k/1k"], ["--input-tokens", "8k", "--output-tokens", "1k"],
                     ["--input-tokens", "8192", "--output-tokens", "1024"])
    )  # fmt: skip
    assert named == k == digits != document(capsys, *command)


def test_a_trace_is_played_whole_unless_told(capsys, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("ms;in;out\n" + "".join(f"{i};20;{i % 3}\n" for i in range(1800)))
    words = ["simulate", *WHERE, "--trace", str(path), "--layout", "csv", "--unit-s", "1e-3", "--skip-failed",
             "--columns", "arrival=ms,input_tokens=in,output_tokens=out"]  # fmt: skip
    assert document(capsys, *words)["requests"] == 1200
    assert document(capsys, *words, "--requests", "1e2")["requests"] == 100
    assert "'ms'; allowed: FIELD=NAME" in refused(capsys, *words[:-1], "ms")


def test_what_capacity_says_of_what_it_does_not_count(capsys):
    fleet = ["capacity", *WHERE, "--slo-ttft", "2@90", "--demand", "600"]
    assert (
        main(fleet) == 0
        and "devices that never fail: --availability 0.99" in capsys.readouterr().out
    )
    assert (
        main([*fleet, "--availability", "0.99"]) == 0 and "enough are up" in capsys.readouterr().out
    )
    assert main(["capacity", *WHERE, "--slo-tpot", "0.04@90", "--load", "8k/1k"]) == 0
    assert "outside what the closed form was held to: --prove" in capsys.readouterr().out
