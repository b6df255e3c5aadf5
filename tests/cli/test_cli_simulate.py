"""``tokenroof simulate``: loads and traces, tables, JSON, files, and what is refused in a line."""

import csv
import json
from pathlib import Path

import pytest

from tokenroof.cli import main

WHERE = ("simulate", "H200-SXM", "Llama-3.1-8B", "--input-tokens", "300", "--output-tokens", "20")


def document(capsys, *arguments):
    assert main([*WHERE, "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_load_as_a_document(capsys):
    found = document(capsys, "--rate", "5", "--requests", "200", "--slo-ttft", "10", "--seeds", "2")
    assert found["verdict"] == "stable" and found["seeds"] == 2 and found["requests"] == 200
    assert found["ttft_s"]["p50"] < found["ttft_s"]["p99"] <= found["ttft_s"]["p99_high"]
    assert found["goodput_share"] == 1.0 and found["scheduler"].startswith("vllm")


def test_the_same_seed_gives_the_same_document(capsys):
    load = ("--rate", "5", "--requests", "100", "--spread", "1")
    assert document(capsys, *load) == document(capsys, *load)
    assert document(capsys, *load) != document(capsys, *load, "--seed", "1")


def test_classes_clients_that_give_up_and_knobs(capsys):
    more = ("--rate", "200", "--requests", "400", "--priorities", "0:0.5,5:0.5", "--timeout", "1")
    knobs = (
        "--knob",
        "max_num_seqs=4",
        "--knob",
        "policy=priority",
        "--knob",
        "max_num_queued_reqs=20",
    )
    found = document(capsys, *more, *knobs)
    assert (
        found["shed"] > 0 and found["verdict"] == "overloaded" and found["joules_per_request"] > 0
    )
    assert "shed or time out" in found["verdict_text"]
    assert found["requests"] == found["answered"] + found["shed"] + found["timed_out"]
    impatient = document(capsys, *more[:4], *knobs[:2], "--queue-timeout", "0.1")
    assert impatient["timed_out"] > 0 and impatient["queue_s"]["p99"] <= 0.1


def test_users_as_a_table_and_files(capsys, tmp_path):
    rows, page = tmp_path / "rows.csv", tmp_path / "page.html"
    files = ("--csv", str(rows), "--plot", str(page))
    assert main([*WHERE, "--concurrency", "4", "--requests", "40", *files]) == 0
    shown = capsys.readouterr().out
    assert "TTFT" in shown and "verdict: " in shown and "40 requests" in shown and shown.isascii()
    with rows.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert len(read) == 40 and {row["status"] for row in read} == {"done"}
    assert "are answered" in page.read_text()


def test_a_trace(capsys, tmp_path):
    path = tmp_path / "trace.jsonl"
    row = '{"timestamp": %d, "input_length": 1024, "output_length": 5, "hash_ids": [1, %d]}\n'
    path.write_text("".join(row % (100 * i, i % 3) for i in range(20)))
    found = document(capsys, "--trace", str(path), "--requests", "10")
    assert found["requests"] == 10 and found["cached_share"] > 0.5
    path.write_text(row[:40])
    assert main([*WHERE, "--trace", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("tokenroof: trace.jsonl, line 1: cut, or no JSON")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no load given; allowed: one of --rate, --concurrency, --trace"),
        (("--rate", "1", "--concurrency", "2"), "--rate and --concurrency given"),
        (("--rate", "-1"), "rate is -1"), (("--rate", "1", "--seeds", "0"), "--seeds is 0"),
        (("--rate", "1", "--burstiness", "0"), "burstiness is 0"),
        (("--rate", "1", "--scheduler", "vllm-9"), "preset is 'vllm-9'"),
        (("--rate", "1", "--requests", "0"), "requests is 0"),
        (("--trace", "/nowhere/at/all"), "No such file or directory: /nowhere/at/all"),
        (("--rate", "1", "--slo-ttft", "0"), "ttft_s is 0"),
        (("--rate", "1", "--knob", "max_num_seqs"), "--knob is 'max_num_seqs'; allowed: NAME=VALUE"),
        (("--rate", "1", "--knob", "policy=lpm"), "policy is 'lpm'"),
        (("--rate", "1", "--priorities", "high"), "--priorities is 'high'; allowed: as 0:0.2,5:0.8"),
        (("--rate", "1", "--timeout", "0"), "timeout_s is 0"),
    ],
)  # fmt: skip
def test_what_is_refused_in_a_line(capsys, arguments, says):
    assert main([*WHERE, *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and said.out == ""


def test_the_example_runs(capsys):
    from tokenroof.cli.commands import COMMANDS

    assert main(COMMANDS["simulate"][1].split()[1:]) == 0
    assert "seeds" in capsys.readouterr().out
    assert not list(Path().glob("*.html"))


def test_pools_and_replicas_that_come_and_go(capsys):
    found = document(
        capsys, "--rate", "5", "--requests", "60", "--pools", "2:1", "--link-sharing", "fifo"
    )
    assert found["transfer_s"]["mean"] > 0.0 and found["link_load"] < 0.1
    assert found["device"].startswith("prefill 2x H200-SXM")
    assert found["prefill_watts"] + found["decode_watts"] == pytest.approx(found["watts"])
    scaled = document(capsys, "--rate", "5", "--requests", "60", "--autoscale", "1:2:30")
    assert scaled["requests"] == 60
    for wrong, said in (
        (["--pools", "2"], "--pools is '2'; allowed: P:D, in numbers"),
        (["--pools", "1:1", "--replicas", "2"], "--replicas is 2 with --pools; allowed: one of them"),
        (["--link-bandwidth", "1e9"], "--link-bandwidth is given; allowed with --pools"),
        (["--autoscale", "1:x:2"], "--autoscale is '1:x:2'; allowed: LEAST:MOST:SECONDS"),
    ):  # fmt: skip
        assert main([*WHERE, "--rate", "5", *wrong]) == 2
        assert said in capsys.readouterr().err
