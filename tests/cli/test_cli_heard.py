"""What is asked for at the prompt is done, or refused by its name: traces, promises, options without effect."""

import csv
import json
from argparse import ArgumentParser

import numpy as np
import pytest

from tokenroof.cli import main
from tokenroof.cli.arguments import PLAN, add_plan
from tokenroof.cli.commands.tune import _candidate
from tokenroof.economics import Scenario
from tokenroof.serving.tuning.proof import Trial

WHERE = ("H200-SXM", "Llama-3.1-8B")
SHORT = ("--output-tokens", "20", "--requests", "20", "--seeds", "1")


def ended(words):
    try:
        return main(list(words))
    except SystemExit as left:
        return left.code


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("load", [("--rate", "40"), ("--concurrency", "3")])
def test_rows_that_it_wrote_are_a_trace(capsys, tmp_path, load):
    first, again = tmp_path / "one.csv", tmp_path / "two.CSV"
    sizes = ("--spread", "1", "--output-tokens", "20", "--requests", "30")
    assert main(["simulate", *WHERE, *load, *sizes, "--csv", str(first)]) == 0
    assert main(["simulate", *WHERE, "--trace", str(first), "--csv", str(again)]) == 0
    one, two = rows_of(first), rows_of(again)
    names = ("arrival_ns", "input_tokens", "output_tokens")
    assert len(one) == 30 and [[r[n] for n in names] for r in one] == [
        [r[n] for n in names] for r in two
    ]
    capsys.readouterr()
    assert main(["simulate", *WHERE, "--trace", str(first), "--layout", "mooncake"]) == 2
    assert "or for a table layout csv" in capsys.readouterr().err


def test_a_table_of_another_layout_is_named(capsys, tmp_path):
    path = tmp_path / "code.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.5,374,44\n")
    assert main(["simulate", *WHERE, "--trace", str(path)]) == 2
    assert "or layout azure, whose header this is" in capsys.readouterr().err
    assert main(["simulate", *WHERE, "--trace", str(path), "--layout", "azure"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("simulate", "--trace", "x.csv", "--input-tokens", "77"), "--input-tokens is given with --trace"),
        (("simulate", "--trace", "x.csv", "--output-tokens", "77"), "--output-tokens is given with --trace"),
        (("simulate", "--trace", "x.csv", "--load", "1k/1k"), "--load is given with --trace"),
        (("simulate", "--trace", "x.csv", "--spread", "0"), "--spread is given with --trace"),
        (("simulate", "--trace", "x.csv", "--seeds", "2"), "--seeds is 2 with --trace"),
        (("simulate", "--trace", "x.csv", "--burstiness", "1"), "--burstiness is given; allowed with --rate"),
        (("simulate", "--rate", "1", "--think", "0"), "--think is given; allowed with --concurrency"),
        (("simulate", "--rate", "1", "--skip-failed"), "--skip-failed is given; allowed with --trace"),
        (("simulate", "--rate", "1", "--layout", "csv"), "--layout is given; allowed with --trace"),
        (("simulate", "--rate", "1", "--output-tokens", "0.5"), "output_tokens is 0.5; allowed"),
        (("frontier", "--also", "FOO"), "--also is given; allowed with --plot"),
        (("frontier", "--lpx"), "--lpx is given; allowed with --plot"),
        (("curve", "--moe-ep", "2", "--tp", "2", "--dp", "2"), "--moe-ep is 2 for Llama-3.1-8B, which has no"),
        (("curve", "--moe-tp", "2", "--tp", "2"), "--moe-tp is 2 for Llama-3.1-8B"),
        (("roofline", "--experts", "fp8"), "--experts is fp8 for Llama-3.1-8B, which has no experts"),
        (("curve", "--shared-experts", "fp8"), "which has no shared experts"),
        (("capacity", "--slo-ttft", "1@199"), "--slo-ttft: '1@199'; allowed: a percentile over 0 and below 100"),
        (("tune", "--slo-tpot", "1@p0"), "--slo-tpot: '1@p0'; allowed"),
        (("capacity", "--slo-ttft", "1", "--percentile", "199"), "--percentile is '199'; allowed: a percentile"),
        (("capacity", "--slo-ttft", "0.0001@99", "--demand", "60"), "requests that come seldom take 0.0"),
        (("capacity", "--slo-ttft", "1", "--seeds", "3"), "--seeds is given without --prove; allowed: with it"),
        (("capacity", "--slo-ttft", "1", "--requests", "500"), "--requests is given without --prove"),
        (("capacity", "--slo-ttft", "1", "--scheduler", "vllm-0.33"), "--scheduler is given without --prove"),
        (("capacity", "--slo-ttft", "1", "--results", "r"), "--results is given without --prove"),
        (("capacity", "--slo-ttft", "1", "--host-tier", "1e9"), "--host-tier is given without --prove"),
        (("capacity", "--slo-ttft", "1", "--demand", "60", "--target", ".99"),
         "--target is given without --availability; allowed: with it"),
        (("tune", "--slo-ttft", "1", "--tp", "1", "--tps", "1,2"), "--tp is given with --tps; allowed: one of them"),
        (("simulate", "--rate", "1", "--router", "round_robin"),
         "--router is given with one replica; allowed: with --replicas or --pools of more, or --autoscale"),
        (("simulate", "--rate", "1", "--signal-age", "0"), "--signal-age is given with one replica"),
        (("simulate", "--rate", "1", "--pools", "1:1", "--router", "least_loaded"), "--router is given with one"),
        (("simulate", "--rate", "1", "--replicas", "2", "--signal-age", "5"),
         "--signal-age is given with --router round_robin"),
        (("simulate", "--rate", "1", "--autoscale", "1:2:5", "--signal-age", "5"),
         "--signal-age is given with --router round_robin, which reads nothing of replicas; allowed: with --router"),
        (("roofline", "--batch", "1,0"), "--batch[1] is 0; allowed: finite numbers > 0"),
        (("curve", "--load", "2k/2k"), "allowed: 1k/1k, 1k/8k, 8k/1k, 32k/8k, or any lengths by --input-tokens"),
    ],
)  # fmt: skip
def test_what_has_no_effect_or_sense_is_refused_by_name(capsys, words, says):
    assert ended([words[0], *WHERE, *words[1:]]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and said.out == ""


def test_a_system_to_compare_has_no_experts_either(capsys):
    assert main(["compare", "H200-SXM:tp=2,dp=2,moe_ep=2", "B200-SXM", "Llama-3.1-8B"]) == 2
    assert "--moe-ep is 2 for Llama-3.1-8B" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [("--tp", "1"), ("--batch", "1,2"), ("--context", "99"), ("--fidelity", "calibrated"), ("--weights", "fp8")],
)  # fmt: skip
def test_roofs_alone_have_no_steps(capsys, words):
    assert main(["roofline", "H200-SXM", *words]) == 2
    said = capsys.readouterr()
    assert f"{words[0]} is given without MODEL; allowed: with one" in said.err and said.out == ""


def test_all_options_of_a_plan_are_known():
    parser = ArgumentParser()
    add_plan(parser)
    assert set(PLAN) == set(vars(parser.parse_args([])))


@pytest.mark.parametrize(
    ("one", "words", "says"),
    [
        ("H200-SXM:tp=8", ("--devices-max", "2"), "--devices-max is given with the plans of both; allowed: where"),
        ("H200-SXM:tp=8", ("--engine", "vllm"), "--engine is given with the plans of both; allowed: where a plan"),
        ("H200-SXM:tp=8,tp=4", (), "'H200-SXM:tp=8,tp=4' has tp twice; allowed: each once"),
        ("H200-SXM:moe-ep=1,moe_ep=1", (), "has moe_ep twice; allowed: each once"),
    ],
)  # fmt: skip
def test_what_a_plan_to_compare_has_is_not_looked_for(capsys, one, words, says):
    assert main(["compare", one, "H200-SXM:tp=8", "Llama-3.1-8B", *words]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.out == ""


def test_what_one_of_two_plans_leaves_open_is_looked_for(capsys):
    words = ("--devices-max", "1", "--engine", "vllm")
    assert main(["compare", "H200-SXM:tp=1", "H200-SXM", "Llama-3.1-8B", *words]) == 0


@pytest.mark.parametrize("more", [
    ("--replicas", "2", "--router", "least_loaded", "--signal-age", "5"), ("--autoscale", "1:2:5", "--router", "least_loaded"),
    ("--pools", "1:2", "--router", "least_loaded"),
])  # fmt: skip
def test_routes_that_are_read_are_taken(capsys, more):
    assert (
        main(["simulate", *WHERE, "--rate", "5", "--output-tokens", "5", "--requests", "10", *more])
        == 0
    )


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_nothing_is_measured_in_no_time(capsys, tmp_path, seconds):
    assert main(["report", f"--seconds={seconds}", "--out", str(tmp_path / "page")]) == 2
    assert (
        f"--seconds: seconds is {float(seconds)}; allowed: a number > 0" in capsys.readouterr().err
    )
    assert not (tmp_path / "page").exists()


def test_nothing_answered_is_no_success(capsys):
    words = ("simulate", *WHERE, "--rate", "1", "--requests", "1", "--input-tokens", "200000")
    assert main([*words]) == 1
    shown = capsys.readouterr().out
    assert "nan" not in shown and "- of prompt tokens" in shown


def test_a_promise_of_a_simulation(capsys):
    words = (
        "simulate",
        *WHERE,
        "--rate",
        "5",
        "--output-tokens",
        "20",
        "--requests",
        "40",
        "--seeds",
        "2",
    )
    words = (*words, "--slo-ttft", "1@99", "--slo-tpot", "0.0001@mean")
    assert main([*words]) == 0
    shown = capsys.readouterr().out
    assert (
        "at most 1 s kept" in shown
        and "at most 0.0001 s not kept" in shown
        and "W of boards" in shown
    )
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    held = found["promised"]["TTFT p99"]
    assert held["kept"] and held["low"] <= held["value"] <= held["high"] <= held["bound"] == 1.0
    assert held["value"] == pytest.approx(found["ttft_s"]["p99"]) and found["goodput_share"] == 0.0


def test_rates_of_a_row_are_its_own(capsys):
    def trial(amount, meets):
        return Trial("tp2", 2, {}, amount, meets, {}, "stable", 1)

    assert _candidate([trial(9.0, False), trial(3.0, True), trial(4.0, False)])[1:] == (3.0, 4.0)
    shown, kept, refused = _candidate([trial(9.0, False)])
    assert shown.amount == refused == 9.0 and np.isnan(kept)
    words = (
        "tune",
        *WHERE,
        "--slo-tpot",
        "0.006@99",
        *SHORT,
        "--tps",
        "1,3,2",
        "--knob",
        "max_num_seqs=64",
    )
    assert main([*words]) == 0
    said = capsys.readouterr()
    assert (
        "tp3 is left out: tp is 3 for Llama-3.1-8B; allowed: a divisor of its 32 heads" in said.err
    )
    assert "kept requests/s" in said.out and "tp2" in said.out and "tp3" not in said.out
    assert main([*words, "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["left_out"]) == ["tp3"]
    assert main(["tune", *WHERE, "--slo-tpot", "1", "--tps", "3,5"]) == 2


def test_degrees_whose_weights_do_not_fit_are_left_out(capsys):
    words = ("tune", "H100-SXM", "Llama-3.3-70B", "--slo-ttft", "1@50", *SHORT)
    assert main([*words, "--tps", "1,4", "--tolerance", "0.5", "--knob", "max_num_seqs=64"]) == 0
    said = capsys.readouterr()
    assert "tp1 is left out" in said.err and "no memory" in said.err and "best: " in said.out


def test_toml_may_begin_with_a_byte_order_mark(tmp_path):
    from tokenroof import device, economics

    mark = b"\xef\xbb\xbf"
    card, plan = tmp_path / "card.toml", tmp_path / "mine.toml"
    card.write_bytes(mark + b'name = "Card"\nmemory_bandwidth = 1e12\npeak = { bf16 = 1e14 }\n')
    assert device(str(card)).memory_bandwidth == 1e12
    plan.write_bytes(mark + b"[site]\npower_mw = 20.0\n")
    assert economics.Scenario.from_toml(plan).site.power_mw == 20.0


@pytest.mark.parametrize("text", ["s=" + "[" * 3000, '{"a":' * 300])
def test_a_key_that_is_nested_without_end_is_quoted_in_part(capsys, text):
    assert ended(["economics", "--set", text]) == 2
    said = capsys.readouterr().err
    assert "characters)" in said and "allowed: KEY=VALUE" in said and len(said) < 600


@pytest.mark.parametrize("key", ["si" + "[" * 19_000, "x" * 19_000])
def test_a_long_key_is_quoted_in_part(key):
    with pytest.raises(KeyError) as refused:
        Scenario().with_values({key: 1})
    said = str(refused.value)
    assert "characters)" in said and "allowed: " in said and len(said) < 3000


@pytest.mark.parametrize("words", [
    ("simulate", *WHERE, "--rate", "1"), ("capacity", *WHERE, "--slo-ttft", "1@99", "--demand", "10"),
    ("tune", *WHERE, "--slo-ttft", "1@99"),
])  # fmt: skip
@pytest.mark.parametrize("name", ["input", "output"])
def test_no_spread_has_a_mean_below_a_token(capsys, words, name):
    assert ended([*words, f"--{name}-tokens", "0.5", "--spread", "1"]) == 2
    assert f"--{name}-tokens is 0.5 with --spread; allowed: a mean of at least 1 token" in (
        capsys.readouterr().err
    )


def test_a_dense_model_s_plan_says_nothing_of_experts(capsys):
    words = ["roofline", *WHERE, "--dp", "2", "--tp", "2", "--json"]
    assert ended(words) == 0
    assert json.loads(capsys.readouterr().out)["plan"] == "tp2 dp2 bf16 kv bf16"
    words[2] = "Qwen3-30B-A3B"
    assert ended(words) == 0
    assert json.loads(capsys.readouterr().out)["plan"] == "tp2 dp2 ep2 bf16 kv bf16"
