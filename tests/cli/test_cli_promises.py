"""``tokenroof capacity`` and ``tokenroof tune``: tables, JSON, CSV, and what is refused in a line."""

import csv
import json

import pytest

from tokenroof import serving
from tokenroof.cli import main
from tokenroof.cli.commands import COMMANDS

WHERE = ("H200-SXM", "Llama-3.1-8B", "--output-tokens", "100")
QUICK = ("--seeds", "1", "--requests", "100")
SOON = ("--slo-ttft", "0.3@99")


def document(capsys, *words):
    assert main([words[0], *WHERE, "--json", *words[1:]]) == 0
    return json.loads(capsys.readouterr().out)


def test_capacity_by_the_closed_form_and_proved(capsys, tmp_path):
    found = document(capsys, "capacity", *SOON)
    slo = serving.SLO(ttft_s=0.3, percentile=99)
    same = serving.capacity("H200-SXM", "Llama-3.1-8B", None, slo, output_tokens=100)
    assert found["rate"] == pytest.approx(float(same.rate)) and found["proved"] == ""
    assert document(capsys, "capacity", *SOON, "--spread", "2")["rate"] < 0.99 * found["rate"]
    path = tmp_path / "row.csv"
    found = document(capsys, "capacity", *SOON, "--prove", *QUICK, "--csv", str(path))
    assert found["simulated_ttft_p99_s_high"] <= 0.3 and found["proved"] == "by simulation, 1 seed"
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["rate"]) == found["rate"] and row["promise"] == "TTFT p99 <= 0.3 s"
    assert main(["capacity", *WHERE, *SOON, "--prove", *QUICK]) == 0
    shown = capsys.readouterr().out
    assert "; the closed form at that rate, what was played is below" in shown
    assert main(["capacity", *WHERE, "--slo-tpot", "0.02@mean"]) == 0
    shown = capsys.readouterr().out
    assert (
        "what was played" not in shown
        and "requests in flight at most" in shown
        and "TPOT mean <= 0.02 s" in shown
        and shown.isascii()
    )


def test_what_a_first_token_is_of_is_said(capsys):
    """The mean in closed loop has what engines were measured to take beside steps, that in open loop has not."""
    for words, name, says in (
        (
            ("--slo-ttft", "0.5@mean"),
            "concurrency",
            "steps, and what engines were measured to take",
        ),
        (
            ("--slo-ttft", "0.5@99"),
            "rate",
            "steps alone, without what engines were measured to take",
        ),
    ):
        found = document(capsys, "capacity", *words)
        assert found["ttft_is"].startswith(says) and name in found
        assert main(["capacity", *WHERE, *words]) == 0
        line = f"TTFT is of {found['ttft_is']}\n"
        assert line in capsys.readouterr().out
    where = ("H200-SXM", "Llama-3.1-8B", None)
    users = serving.curve(*where, 1024, 100, concurrency=4)
    (mean,) = users.ttft_s.values.ravel()
    assert mean > 1.2 * users.ttft_mean_s.values.ravel()[0]
    words = ("--slo-tpot", "0.02@mean", "--prove", *QUICK)
    assert main(["capacity", *WHERE, *words]) == 0
    assert (
        "beside them (users in closed loop); of what was played, of steps\n"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("promise", [("--slo-tpot", "0.02@mean"), ("--slo-tpot", "0.02@90")])
def test_what_lies_beyond_is_said_in_json_as_in_words(promise, capsys):
    where = ("capacity", "H200-SXM", "Llama-3.3-70B", "--tp", "2", "--weights", "fp8", *promise)
    far = (*where, "--input-tokens", "200", "--output-tokens", "150")
    assert main([*far, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "input_tokens 200 below" in found["beyond_is"]
    assert main([*far]) == 0
    said = f"beyond what the constants were fitted on: {found['beyond_is']}\n"
    assert said in capsys.readouterr().out
    near = (*where, "--input-tokens", "2000", "--output-tokens", "1000")
    assert main([*near, "--json"]) == 0
    assert "tokens" not in json.loads(capsys.readouterr().out)["beyond_is"]


def test_devices_for_a_demand(capsys):
    ask = (*SOON, "--slo-tpot", "0.03@50", "--demand", "6000", "--spread", "0.5")
    found = document(capsys, "capacity", *ask, "--availability", "0.98")
    assert found["replicas"] * found["rate"] >= 100.0 and found["reached"] >= 0.999
    assert found["devices"] == found["replicas"] + found["spare"] and found["spare"] >= 1
    assert document(capsys, "capacity", *ask, "--spare", "2")["spare"] == 2
    assert main(["capacity", *WHERE, *ask]) == 0
    assert "devices for 6,000 requests/min" in capsys.readouterr().out


def test_tune_as_a_table_and_files(capsys, tmp_path):
    path, runs = tmp_path / "trials.csv", tmp_path / "runs.jsonl"
    ask = (*SOON, *QUICK, "--knob", "max_num_seqs=16,256", "--knob", "enable_chunked_prefill=true")
    found = document(capsys, "tune", *ask, "--results", str(runs), "--csv", str(path))
    assert found["knobs"] == {"max_num_seqs": 256, "enable_chunked_prefill": True}
    assert 0 < found["rate"] < found["refused"] and found["played"] == len(found["trials"])
    with path.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(found["trials"])
    again = document(capsys, "tune", *ask, "--results", str(runs))
    assert again["played"] == 0 and again["rate"] == found["rate"]
    assert main(["tune", *WHERE, *ask, "--tps", "1,2"]) == 0
    shown = capsys.readouterr().out
    assert "best: " in shown and "ttft_p99_s: " in shown and "tp2" in shown and shown.isascii()


def test_nothing_keeps_it(capsys):
    never = ("--slo-ttft", "0.000001@50", *QUICK)
    assert main(["tune", *WHERE, *never, "--knob", "max_num_seqs=16"]) == 1
    assert (
        "nothing: no load meets the objective; ttft_p50_s is 1e-06, nearest 0.0"
        in (shown := capsys.readouterr().out)
        and "with tp1 bf16 kv bf16, max_num_seqs=16\n" in shown
    )
    for how in ((), ("--prove", *QUICK)):
        assert main(["capacity", *WHERE, *never[:2], *how]) == 1
        assert "nothing: no load meets the objective; ttft_p50_s is" in capsys.readouterr().out


def test_drafts_pools_and_the_hosts_memory(capsys):
    slo = ("--slo-tpot", "0.02@mean")
    drafts = ("--draft", "eagle", "--drafts", "2")
    plain = document(capsys, "capacity", *slo)
    found = document(capsys, "capacity", *slo, *drafts)
    system = serving.System(both="H200-SXM", speculation=serving.Speculation("eagle", 2))
    same = serving.capacity(
        system, "Llama-3.1-8B", None, serving.SLO(tpot_s=0.02), output_tokens=100
    )
    assert found["concurrency"] == float(same.concurrency) > plain["concurrency"]
    assert found["device"].endswith("2 drafts by eagle")
    apart = document(capsys, "capacity", "--slo-e2e", "2@mean", *drafts, "--pools", "1:2")
    assert apart["device"].startswith("prefill 1x") and apart["concurrency"] > 1
    fast = ("--slo-tpot", "0.007@99", *QUICK)
    proved = document(capsys, "capacity", *fast, "--prove", *drafts)
    best = document(
        capsys, "tune", *fast, *drafts, "--knob", "max_num_seqs=256", "--tolerance", "0.1"
    )
    assert best["rate"] == pytest.approx(proved["rate"], rel=0.2)
    tier = ("--host-tier", "1e10", "--host-bandwidth", "1e9")
    slow = document(capsys, "capacity", *fast, "--prove", *tier)
    assert 0.0 < slow["rate"] < best["rate"]  # copies hold what is preempted or loaded; no drafts


def test_pools_are_played_and_counted(capsys, tmp_path):
    """As the library's, and of a demand what each pool needs."""
    apart = serving.disaggregate(("H200-SXM", None, 1), ("H200-SXM", None, 2), model="Llama-3.1-8B")
    how = {"output_tokens": 100, "requests": 100, "seeds": 1}
    found = document(capsys, "capacity", *SOON, "--pools", "1:2", "--prove", *QUICK)
    same = serving.capacity(
        apart, None, None, serving.SLO(ttft_s=0.3, percentile=99), prove=True, **how
    )
    assert found["rate"] == float(same.rate) and found["proved"] == "by simulation, 1 seed"
    assert found["simulated_ttft_p99_s"] == float(same.simulated_ttft_p99_s)
    told = document(capsys, "capacity", *SOON, "--pools", "1:2")
    assert told["rate"] > 0.0 and told["percentiles_hold"] is False
    path = tmp_path / "row.csv"
    ask = ("--demand", "9000", "--availability", "0.99", "--csv", str(path))
    fixed = document(capsys, "capacity", *SOON, "--pools", "1:2", *ask)
    assert fixed["decode_replicas"] == 2 * fixed["prefill_replicas"] == 2 * fixed["replicas"]
    assert fixed["devices"] == fixed["prefill_devices"] + fixed["decode_devices"]
    free = document(capsys, "capacity", *SOON, "--pools", "auto", *QUICK, *ask, "--prove")
    assert free["devices"] < fixed["devices"] and free["times"]["ttft_p99_s_high"] <= 0.3
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert int(row["prefill_replicas"]) == free["prefill_replicas"]
    assert main(["capacity", *WHERE, *SOON, "--pools", "auto", *ask]) == 0
    shown = capsys.readouterr().out
    assert " 1 system, " in shown and "\nprefill: " in shown and "a system takes " in shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("capacity",), "no promise given; allowed: at least one of --slo-ttft"),
        (("tune",), "no promise given"),
        (("capacity", "--slo-ttft", "soon"), "'soon'; allowed: seconds, or seconds@percentile"),
        (("capacity", "--slo-ttft", "1@x"), "'1@x'; allowed: seconds"),
        (("capacity", "--slo-ttft", "0"), "ttft_s is 0.0"), (("capacity", *SOON, "--percentile", "x"), "--percentile is given where each bound has its own"),
        (("capacity", "--slo-ttft", "1", "--percentile", "most"), "--percentile is 'most'"),
        (("capacity", *SOON, "--slo-e2e", "9@50"), "allowed: bounds at one percentile, or --demand"),
        (("capacity", "--slo-ttft", "1@mean", "--spread", "1"),
         "--spread is 1 with means of the closed form; allowed: a percentile, or --prove"),
        (("capacity", *SOON, "--spare", "1"), "--spare given without --demand"),
        (("capacity", *SOON, "--scheduler", "vllm-0.33"), "given without --prove"),
        (("capacity", "--slo-itl", "1"), "itl_s is 1.0; allowed: None, or prove=True"),
        (("capacity", *SOON, "--demand", "-5"), "requests_per_minute is -5.0"),
        (("capacity", *SOON, "--host-tier", "1e9"), "--host-tier is given without --prove"),
        (("capacity", *SOON, "--pools", "auto"), "--pools is 'auto' without --demand; allowed: P:D, or with it"),
        (("capacity", *SOON, "--pools", "1:x", "--demand", "9"), "--pools is '1:x'; allowed: auto or P:D"),
        (("capacity", *SOON, "--pools", "0:1", "--prove"), "--pools is '0:1'; allowed: P:D, in whole numbers from 1"),
        (("capacity", *SOON, "--draft", "eagle", "--demand", "9"), "--draft is given with --demand"),
        (("tune", *SOON, "--draft", "egle"), "--draft is 'egle'; allowed: mtp, eagle, ngram"),
        (("tune", *SOON, "--host-replicas", "2"), "--host-replicas is given; allowed with --host-tier"),
        (("tune", *SOON, "--knob", "max_num_seqs"), "'max_num_seqs'; allowed: a knob and values"),
        (("tune", *SOON, "--knob", "max_num_seqz=1"), "max_num_seqz is not played"),
        (("tune", *SOON, "--tps", "one"), "'one'; allowed: whole numbers"),
        (("tune", *SOON, "--seeds", "0"), "seeds is 0"), (("tune", *SOON, "--requests", "0"), "requests is 0"),
        (("tune", *SOON, "--scheduler", "vllm-9"), "preset is 'vllm-9'"),
        (("tune", *SOON, "--results", "/nowhere/at/all"), "No such file or directory: /nowhere/at/all"),
    ],
)  # fmt: skip
def test_what_is_refused_in_a_line(capsys, words, says):
    try:
        status = main([words[0], *WHERE, *words[1:]])
    except SystemExit as left:
        status = left.code
    said = capsys.readouterr()
    assert status == 2 and says in said.err and said.err.count("\n") == 1 and said.out == ""


@pytest.mark.parametrize("name", ["capacity", "tune"])
def test_the_example_runs(capsys, name):
    assert main([*COMMANDS[name][1].split()[1:], *(QUICK if name == "tune" else ())]) == 0
    assert "Llama-3.1-8B on H200-SXM" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("capacity", "--prove"), ("capacity", "--prove", "--demand", "600"), ("tune",)],
    ids=["capacity", "fleet", "tune"],
)
def test_two_engines_in_one_promise_are_said(capsys, words):
    given = (*words, *SOON, *QUICK, "--engine", "sglang")
    both = (*given, "--scheduler", "vllm-0.33")
    said = (
        "two engines: requests are scheduled as vllm-0.33 does, steps take what they do with sglang"
    )
    assert document(capsys, *both)["mixed_engines"].startswith(said)
    assert main([both[0], *WHERE, *both[1:]]) == 0
    assert said in capsys.readouterr().out
    assert "mixed_engines" not in document(capsys, *given)


@pytest.mark.parametrize("more", [(), ("--prove", *QUICK), ("--percentile", "mean")])
def test_json_is_one_document_where_nothing_keeps_the_promise(capsys, more):
    assert main(["capacity", *WHERE, "--slo-ttft", "1e-9", "--json", *more]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["reason"]


def test_a_percentile_that_no_bound_reads_is_refused(capsys):
    words = ("capacity", *WHERE, "--slo-ttft", "1@50", "--percentile", "90")
    assert main(words) == 2
    assert "--percentile is given where each bound has its own" in capsys.readouterr().err
    assert main([*words, "--slo-tpot", "1"]) == 2  # bounds at one percentile alone
    assert "TTFT p50 <= 1 s, TPOT p90 <= 1 s" in capsys.readouterr().err


def test_a_tolerance_is_a_part_of_the_rate(capsys):
    assert main(["tune", *WHERE, *SOON, *QUICK, "--tolerance", "2"]) == 2
    assert "tolerance is 2.0; allowed: above 0, at most 1" in capsys.readouterr().err
    for prove in (serving.capacity, serving.tune):
        more = {"prove": True} if prove is serving.capacity else {}
        with pytest.raises(ValueError, match="tolerance is 1.01; allowed: above 0, at most 1"):
            prove(
                "H200-SXM", "Llama-3.1-8B", None, serving.SLO(ttft_s=0.3, percentile=99),
                tolerance=1.01, requests=100, seeds=1, **more,
            )  # fmt: skip
