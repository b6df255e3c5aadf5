"""Words that are almost right, promises of a plan that does not fit, warnings: one line that helps."""

import pytest

from tokenroof.cli.program import main


def said(capsys, *words, status=2):
    try:
        found = main(words)
    except SystemExit as left:
        found = left.code
    assert found == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("tokenroof: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["tun"], "'tun'; allowed: report, list,"), (["tun"], "did you mean 'tune'?"),
     (["frontire"], "did you mean 'frontier'?"), (["list", "devicess"], "did you mean 'devices'?"),
     (["list", "miner"], "did you mean 'miners'"), (["--versoin"], "--versoin; did you mean --version?"),
     (["curve", "H100-SXM", "GPT-2", "--outptu-tokens", "9"], "--outptu-tokens 9; did you mean --output-tokens"),
     (["curve", "H100-SXM", "GPT-2", "--tpp=3"], "--tpp=3; did you mean --pp, --tp?")],
)  # fmt: skip
def test_what_a_word_looks_like(capsys, words, hint):
    assert hint in said(capsys, *words)


def test_a_word_like_none_has_the_list_alone(capsys):
    line = said(capsys, "list", "zzzzzz")
    assert "allowed: devices, models, miners, tiers" in line and "did you mean" not in line


@pytest.mark.parametrize(
    ("words", "status"),
    [(["capacity", "--slo-ttft", "0.5"], 2), (["capacity", "--slo-ttft", "0.5@mean"], 1),
     (["capacity", "--slo-ttft", "0.5", "--prove"], 2), (["capacity", "--slo-ttft", "0.5", "--demand", "60"], 2),
     (["tune", "--slo-ttft", "0.5"], 2), (["simulate", "--rate", "1", "--requests", "10"], 2)],
)  # fmt: skip
def test_what_does_not_fit_names_the_flags_of_a_plan_that_does(capsys, words, status):
    line = said(capsys, words[0], "H100-SXM", "Llama-3.1-70B", *words[1:], status=status)
    assert line.endswith("it would fit on 2 devices: --tp 2 --weights bf16")
    assert "plan_that_fits" not in line


@pytest.mark.filterwarnings("default")
def test_a_warning_is_a_line(capsys):
    line = said(capsys, "economics", "--set", "site.power_mw=20", status=0)
    assert line.startswith("tokenroof: warning: income.kind is left at 'nothing'")


def test_one_output_token_has_its_reason(capsys):
    assert (
        main(["curve", "H200-SXM", "Llama-3.1-8B", "--output-tokens", "1", "--concurrency", "1"])
        == 0
    )
    assert "an answer of one token has no time per token after the first" in capsys.readouterr().out


@pytest.mark.parametrize(("header", "many"), [("00", "1 byte;"), ("00ff", "2 bytes;")])
def test_how_long_a_header_is(capsys, header, many):
    assert f"--header has {many} allowed: 80 bytes" in said(capsys, "hash", "--header", header)
