"""Every command that prints a prediction prints its band and what it was calibrated on, in one line and as JSON."""

import json
import re

import pytest

from tokenroof import serving
from tokenroof.cli import main
from tokenroof.cli.commands import COMMANDS

_WHERE = ("H200-SXM", "Llama-3.1-8B")
_SOON = ("--slo-ttft", "0.5@99", "--output-tokens", "50")
_QUICK = ("--requests", "20", "--seeds", "1")
PREDICTS = {
    "roofline": ((*_WHERE,),),
    "curve": ((*_WHERE, "--concurrency", "1,8"),),
    "frontier": (
        (*_WHERE, "--devices-max", "1"),
        (*_WHERE, "--systems", "--devices", "1", "--exclude", "disaggregated"),
    ),
    "compare": (("H200-SXM", "MI355X", "Llama-3.1-8B", "--devices-max", "1"),),
    "simulate": (
        (*_WHERE, "--rate", "10", "--requests", "20"),
        (*_WHERE, "--rate", "10", "--requests", "20", "--pools", "1:1"),
    ),
    "capacity": (
        (*_WHERE, *_SOON),
        (*_WHERE, *_SOON, "--demand", "600"),
        (*_WHERE, *_SOON, *_QUICK, "--prove"),
        (*_WHERE, "--slo-e2e", "9@mean", "--pools", "1:1"),
    ),
    "tune": ((*_WHERE, *_SOON, *_QUICK, "--knob", "max_num_seqs=64"),),
}
#: What is measured, listed, checked against itself, written to a page, or made of figures that are given.
PREDICTS_NOTHING = {"report", "list", "economics", "hash", "measure", "check", "info"}
CASES = [(name, words) for name, several in PREDICTS.items() for words in several]


def said(capsys, name, words):
    assert main([name, *words]) == 0
    return capsys.readouterr().out


def test_no_command_is_left_out():
    assert set(PREDICTS) | PREDICTS_NOTHING == set(COMMANDS)
    assert not set(PREDICTS) & PREDICTS_NOTHING


@pytest.mark.parametrize(("name", "words"), CASES, ids=[f"{n}-{len(w)}" for n, w in CASES])
def test_a_band_and_what_it_was_calibrated_on(capsys, name, words):
    lines = [x for x in said(capsys, name, words).splitlines() if x.startswith("band: ")]
    assert len(lines) == 1, lines
    assert re.match(r"band: .*\+-\d+( to \d+)? %.*; calibrated on \S.* serving points", lines[0]), (
        lines
    )
    document = said(capsys, name, (*words, "--json"))
    assert (
        json.loads(document) and '"calibrated_on": "' in document and '"error_band": ' in document
    )


@pytest.mark.parametrize("name", ["roofline", "curve", "simulate"])
def test_what_is_unknown_is_said(capsys, name):
    shown = said(capsys, name, (*PREDICTS[name][0], "--fidelity", "datasheet"))
    assert re.search(r"^band: .*unknown.*; calibrated on nothing: datasheet values", shown, re.M)


def test_a_ratio_has_its_range_and_equals_are_equal(capsys):
    words = ("H200-SXM", "MI355X", "Llama-3.1-8B", "--devices-max", "1")
    for order in (words, (words[1], words[0], *words[2:])):
        shown = said(capsys, "compare", order)
        found = json.loads(said(capsys, "compare", (*order, "--json")))
        low, high = found["ratio_range"]
        assert low < found["ratio"] < high
        assert f"{low:.2f}x .. {high:.2f}x" in shown
        more = found["ratio"] >= 1.0
        ends = (low, high) if more else (1.0 / high, 1.0 / low)
        assert (
            f"times {'more' if more else 'less'} per MW ({ends[0]:.2f} to {ends[1]:.2f} by the bands)"
            in shown
        )
    shown = said(capsys, "compare", ("H200-SXM", "H200-SXM", *words[2:]))
    assert "are equal; their steps take the same" in shown and "differs most" not in shown


def test_a_cause_that_is_the_operator_is_said_once():
    found = serving.compare("H200-SXM", "MI355X", "Llama-3.1-8B", 20.0, devices_max=1)
    same = dict.fromkeys(found.one.operators, 1e-3)
    first = found.one.__class__(
        *(getattr(found.one, n) for n in list(found.one.__dataclass_fields__)[:10]),
        operators={**same, "prompts": 5e-3}, causes={**found.other.causes, "prompts": 5e-3},
        prompt_operators={},
    )  # fmt: skip
    other = first.__class__(**{
        **{n: getattr(first, n) for n in first.__dataclass_fields__}, "operators": same,
        "causes": {**first.causes, "prompts": 1e-3}, "per_device": first.per_device / 2,
    })  # fmt: skip
    why = serving.SystemComparison(first, other, found.model, 20.0).why
    assert why.endswith("a step differs most by prompts (+4.00 ms)")


def test_systems_say_which_drafts_they_assume(capsys):
    drafts = ("--draft", "eagle", "--drafts", "2", "--acceptance", "0.7,0.4")
    shown = said(capsys, "frontier", (*PREDICTS["frontier"][1], *drafts))
    assert "drafts by eagle are kept with chances 0.7, 0.4 (as given)" in shown
    assert "drafts by" not in said(capsys, "frontier", PREDICTS["frontier"][1]).splitlines()[-1]


def test_users_are_whole(capsys):
    shown = said(capsys, "frontier", PREDICTS["frontier"][1])
    rows = [line.split() for line in shown.splitlines()[2:-1]]
    assert rows and all(re.fullmatch(r"[\d,]+", row[row.index("1", 4) + 1]) for row in rows)


def test_a_load_beyond_what_was_fitted_is_said(capsys):
    """Of the line under the table; nothing where all of it is inside."""
    what = "beyond what the constants were fitted on: "
    one = ("--output-tokens", "1")
    shown = said(capsys, "curve", (*_WHERE, *one, "--concurrency", "64"))
    assert f"{what}output_tokens 1 below " in shown
    shown = said(capsys, "capacity", (*_WHERE, *one, "--slo-ttft", "0.5@mean"))
    assert re.search(rf"^{what}.*output_tokens 1 below ", shown, re.M)
    shown = said(capsys, "capacity", (*_WHERE, *one, "--slo-ttft", "0.5@99"))
    assert re.search(rf"^{what}.*output_tokens 1 below ", shown, re.M)
    inside = ("H100-SXM", "Llama-3.1-70B", "--tp", "4", "--concurrency", "16")
    assert what not in said(capsys, "curve", inside)
