"""``tokenroof frontier`` and ``tokenroof compare``."""

import json

import pytest

import tokenroof as tr
from tokenroof import serving
from tokenroof.cli.program import main

FRONT = ["frontier", "H200-SXM", "Llama-3.1-8B", "--devices-max", "2"]
PAIR = [
    "compare",
    "B200-SXM",
    "H200-SXM:tp=2,weights=fp8,kv-cache=fp8",
    "Llama-3.1-8B",
    "--devices-max",
    "2",
]


def test_frontier_is_the_frontier(capsys):
    assert main([*FRONT, "--load", "8k/1k", "--ttft-max", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    want = serving.frontier(
        "H200-SXM", "Llama-3.1-8B", None, 8192, 1024, devices_max=2, ttft_max=2.0
    )
    assert [p["interactivity"] for p in found["points"]] == pytest.approx(
        want.interactivity.values.tolist()
    )
    assert [p["plan"] for p in found["points"]] == want.plan.values.tolist()
    assert main([*FRONT, "--points", "3"]) == 0
    said = capsys.readouterr().out
    assert "Llama-3.1-8B on H200-SXM, 1024 tokens in" in said and "provisioned power" in said
    assert main([*FRONT, "--ttft-max", "1e-6"]) == 1
    assert "no point keeps to what was asked" in "".join(capsys.readouterr())


def test_frontier_of_systems_with_drafts(tmp_path, capsys):
    file = tmp_path / "points.csv"
    ask = [
        *FRONT,
        "--systems",
        "--devices",
        "2",
        "--types",
        "fp8",
        "--exclude",
        "disaggregated,network",
    ]
    drafts = ["--draft", "eagle", "--drafts", "2", "--acceptance", "0.7,0.5"]
    assert main([*ask, *drafts, "--csv", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    want = serving.frontier(
        "H200-SXM", "Llama-3.1-8B", devices_max=2, systems=True, devices=2, types=["fp8"],
        exclude=["disaggregated", "network"], speculation=serving.Speculation("eagle", 2, (0.7, 0.5)),
    )  # fmt: skip
    assert [p["system"] for p in found["points"]] == want.system.values.tolist()
    assert max(p["drafts"] for p in found["points"]) == 2
    assert len(file.read_text().splitlines()) == 1 + len(found["points"])
    assert main([*ask, *drafts, "--points", "3"]) == 0
    assert "systems that no other beats" in capsys.readouterr().out


def test_frontier_draws_the_chart(tmp_path, capsys):
    file = tmp_path / "chart.html"
    assert main([*FRONT, "--also", "B200-SXM", "--plot", str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert "Hopper (H200-SXM)" in text and "Blackwell (B200-SXM)" in text and "Premium" in text
    assert f"wrote {file}" in "".join(capsys.readouterr())


def test_compare_is_the_comparison(capsys):
    assert main([*PAIR, "--speed", "80", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    plan = tr.Plan(tp=2, weights="fp8", kv_cache="fp8")
    want = serving.compare("B200-SXM", ("H200-SXM", plan), "Llama-3.1-8B", 80, devices_max=2)
    assert found["ratio"] == pytest.approx(want.ratio) and found["why"] == want.why
    assert found["operators"] == pytest.approx(want.operators)
    assert found["one"]["label"] == want.one.label
    assert main(PAIR) == 0
    said = "".join(capsys.readouterr())
    assert (
        "seconds of a step by operator" in said and "by cause" in said and "the product of" in said
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([*FRONT, "--load", "agentic"], "of sessions; allowed: 1k/1k"),
        ([*FRONT, "--load", "9k/1k"], "--load is '9k/1k'; allowed: 1k/1k"),
        ([*FRONT, "--load", "1k/1k", "--input-tokens", "3"], "beside input_tokens"),
        ([*FRONT, "--devices", "2"], "--devices is given; allowed with --systems"),
        ([*FRONT, "--draft", "eagle"], "--draft is given; allowed with --systems"),
        ([*FRONT, "--systems", "--types", "fp9"], "--types: types"),
        (
            [*FRONT, "--systems", "--exclude", "drafts"],
            "--exclude: exclude has 'drafts'; allowed: dis",
        ),
        ([*FRONT, "--systems", "--power-w", "0"], "--power-w: power_w is 0"),
        ([*FRONT, "--points", "0"], "--points is 0; allowed: 1 and more"),
        (["compare", "H200-SXM:tp", "H200-SXM", "Llama-3.1-8B"], "has 'tp'; allowed: tp, pp"),
        (["compare", "H200-SXM:tq=2", "H200-SXM", "Llama-3.1-8B"], "has 'tq=2'; allowed: tp, pp"),
        (
            ["compare", "H200-SXM:tp=x", "H200-SXM", "Llama-3.1-8B"],
            "has 'tp=x'; allowed: a whole number",
        ),
        ([*PAIR, "--speed", "99999"], "speed is 99999 token/s a user; allowed: at most"),
    ],
)
def test_what_is_not_allowed_is_named(arguments, text, capsys):
    assert main(arguments) != 0
    assert text in capsys.readouterr().err
