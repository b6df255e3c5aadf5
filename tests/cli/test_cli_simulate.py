"""``tokenroof simulate``: loads and traces, tables, JSON, files, and what is refused in a line."""

import csv
import json
from pathlib import Path

import pytest

from tokenroof.cli import main

WHERE = ("simulate", "H200-SXM", "Llama-3.1-8B", "--input-tokens", "300", "--output-tokens", "20")


def words(arguments):
    """The command with its lengths, which a trace has of its own."""
    return [*(WHERE[:3] if "--trace" in arguments else WHERE), *arguments]


def document(capsys, *arguments):
    assert main([*words(arguments), "--json"]) == 0
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
    assert main(words(["--trace", str(path)])) == 2
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
    assert main(words(arguments)) == 2
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


def test_drafts_and_the_hosts_memory(capsys, tmp_path):
    load = ("--rate", "5", "--requests", "60")
    drafted = document(
        capsys, *load, "--draft", "ngram", "--drafts", "2", "--acceptance", "0.9,0.5"
    )
    assert drafted["tpot_s"]["mean"] < 0.8 * document(capsys, *load)["tpot_s"]["mean"]
    assert 0.5 < drafted["kept_tokens"] / drafted["drafted_tokens"] < 0.9
    pools = document(capsys, *load, "--pools", "1:1", "--draft", "eagle")
    assert "1 draft by eagle" in pools["device"] and pools["transfer_s"]["mean"] > 0.0
    trace, rows = tmp_path / "trace.jsonl", tmp_path / "rows.csv"
    line = '{"timestamp": %d, "input_length": 2048, "output_length": 5, "hash_ids": [%d, %d, %d, %d]}\n'
    trace.write_text(
        "".join(line % (1000 * i, i % 5, 10 + i % 5, 20 + i % 5, 30 + i % 5) for i in range(16))
    )
    tier = (
        "--host-tier",
        "1e10",
        "--host-bandwidth",
        "5e10",
        "--host-replicas",
        "2",
        "--replicas",
        "2",
    )
    small = ("--knob", "num_blocks=300", "--router", "least_loaded", "--csv", str(rows))
    found = document(capsys, "--trace", str(trace), *tier, *small)
    assert 0.3 < found["loaded_share"] < 1.0 and found["loaded_bytes"] > 0
    with rows.open(newline="") as file:
        loaded = sum(int(row["loaded_tokens"]) for row in csv.DictReader(file))
    assert loaded == pytest.approx(found["loaded_share"] * 16 * 2048)
    assert main(words(["--trace", str(trace), *tier, *small, "--draft", "ngram"])) == 0
    assert main([*WHERE, *load, "--draft", "ngram"]) == 0
    assert "tokens drafted, " in capsys.readouterr().out


def test_rows_of_several_runs_have_their_seeds(capsys, tmp_path):
    """All that the table is over; the course of time is of one, which is said."""
    both, one, page = tmp_path / "both.csv", tmp_path / "one.csv", tmp_path / "page.html"
    load = ("--rate", "40", "--requests", "12", "--spread", "1")
    files = ("--csv", str(both), "--plot", str(page))
    assert main(words([*load, "--seed", "4", "--seeds", "2", *files])) == 0
    assert (
        f"{page} shows the run of seed 4\n" in capsys.readouterr().out and page.stat().st_size > 0
    )
    with both.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][0] == "seed" and [row[0] for row in rows[1:]] == ["4"] * 12 + ["5"] * 12
    for seed in ("4", "5"):
        assert main(words([*load, "--seed", seed, "--csv", str(one)])) == 0
        with one.open(newline="") as file:
            alone = list(csv.reader(file))
        assert alone.pop(0) == rows[0][1:]
        at = rows[0].index("joules")  # a sum, in another order
        for row, its in zip([row for row in rows if row[0] == seed], alone, strict=True):
            assert float(row.pop(at)) == pytest.approx(float(its.pop(at - 1)), rel=1e-12)
            assert row[1:] == its
    assert main(words([*load, "--plot", str(page)])) == 0
    assert "shows the run" not in capsys.readouterr().out


def test_what_counts_of_who_was_not_answered_is_said(capsys, tmp_path):
    """Of 100 requests two are too long: the table's percentiles are of answers, the promise of all."""
    rows = "".join(f"{i / 10},{200_000 if i in (20, 70) else 100},5\n" for i in range(100))
    path = tmp_path / "t.csv"
    path.write_text("arrival,input_tokens,output_tokens\n" + rows)
    load = ("--trace", str(path), "--layout", "csv", "--slo-ttft", "1@50")
    assert main(words(load)) == 0
    said = "at most 1 s kept, with 2 requests without an answer as waiting for ever\n"
    assert said in capsys.readouterr().out
    assert document(capsys, *load)["promised"]["TTFT p50"]["unanswered"] == 2
    # who has not come is no one without an answer
    cut = document(capsys, *load, "--horizon", "1.95")["promised"]["TTFT p50"]
    assert cut["unanswered"] <= 1 and cut["kept"]
    assert main(words(["--rate", "5", "--requests", "20", "--slo-ttft", "1@50"])) == 0
    assert "without an answer" not in capsys.readouterr().out


def test_two_engines_in_one_run_are_said(capsys):
    load = ("--rate", "5", "--requests", "20", "--output-tokens", "5")
    said = (
        "two engines: requests are scheduled as vllm-0.33 does, steps take what they do with sglang"
    )
    both = (*load, "--engine", "sglang", "--scheduler", "vllm-0.33")
    assert main(words(both)) == 0
    assert said in capsys.readouterr().out
    assert document(capsys, *both)["mixed_engines"].startswith(said)
    assert "mixed_engines" not in document(capsys, *load, "--engine", "sglang")


def test_sglang_s_memory_of_the_host(capsys):
    """By its knobs, or by bytes: what was moved is said."""
    load = ("--rate", "5", "--requests", "60", "--scheduler", "sglang-0.5.23")
    knobs = document(capsys, *load, "--knob", "enable_hierarchical_cache=True")
    sized = document(capsys, *load, "--host-tier", "1e12")
    assert knobs["stored_bytes"] == sized["stored_bytes"] > 0
    assert "stored_bytes" not in document(capsys, *load)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--draft", "egle"), "--draft is 'egle'; allowed: mtp, eagle, ngram, or a model; did you mean 'eagle'?"),
        (("--draft", "Lama-3.2-1B"), "did you mean 'Llama-3.2-1B'"),
        (("--draft", "mtp"), "--draft: method is 'mtp', but Llama-3.1-8B has no module"),
        (("--draft", "eagle", "--drafts", "9"), "--drafts: drafts is 9; allowed: an integer from 0 to 8"),
        (("--draft", "eagle", "--acceptance", "0.5,0.9"), "--acceptance: acceptance[1] is 0.9 after 0.5"),
        (("--draft", "eagle", "--scheduler", "vllm-9"), "--scheduler: preset is 'vllm-9'"),
        (("--drafts", "2"), "--drafts is given; allowed with --draft"),
        (("--acceptance", "0.5"), "--acceptance is given; allowed with --draft"),
        (("--host-tier", "-1"), "--host-tier: capacity_bytes is -1"),
        (("--host-tier", "1e9", "--host-bandwidth", "0"), "--host-bandwidth: bytes_per_s is 0"),
        (("--host-tier", "1e9", "--host-replicas", "0"), "--host-replicas: replicas is 0"),
        (("--host-bandwidth", "5e10"), "--host-bandwidth is given; allowed with --host-tier"),
        (("--host-tier", "1e9", "--scheduler", "trtllm-1.4"), "--host-tier: host_tier is"),
        (("--scheduler", "sglang-0.5.23", "--knob", "hicache_size=4"), "hicache_size is 4 without"),
        (("--pools", "0:1"), "--pools is '0:1'; allowed: P:D, in whole numbers from 1"),
        (("--pools", "1:1", "--link-bandwidth", "0"), "--link-bandwidth: link_bandwidth is 0"),
        (("--scale-interval", "5"), "--scale-interval is given; allowed with --autoscale"),
        (("--autoscale", "1:2:5", "--scale-interval", "0"), "--scale-interval: interval_s is 0"),
        (("--autoscale", "3:2:5"), "--autoscale: most is 2"),
        (("--replicas", "2", "--router", "least_loaded", "--signal-age", "-1"), "--signal-age: signal_age_s is -1"),
        (("--horizon", "0"), "--horizon: horizon_s is 0"), (("--replicas", "0"), "--replicas: replicas is 0"),
        (("--knob", "max_num_seq=4"), "max_num_seq is not played by vllm-0.33; did you mean 'max_num_seqs'?"),
        (("--drafst", "2"), "unrecognized arguments: --drafst 2; did you mean --draft, --drafts? (see tokenroof simulate --help)"),
    ],
)  # fmt: skip
def test_what_serves_is_refused_by_its_option(capsys, arguments, says):
    try:
        status = main([*WHERE, "--rate", "5", "--requests", "5", *arguments])
    except SystemExit as left:
        status = left.code
    said = capsys.readouterr()
    assert status == 2 and says in said.err and said.err.count("\n") == 1 and said.out == ""


def test_joules_watts_and_throughput_are_over_the_same_time(capsys, tmp_path):
    """The first request is refused, and an idle second passes before the one that is served."""
    path = tmp_path / "load.csv"
    path.write_text("arrival,input_tokens,output_tokens\n0,200000,10\n1,100,10\n")
    assert main(["simulate", "H100-SXM", "Llama-3.1-8B", "--trace", str(path), "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert found["answered"] == 1 and found["duration_s"] > 1.0
    joules = found["joules_per_request"] * found["request_throughput"]
    assert joules == pytest.approx(found["watts"], rel=1e-6)


def test_a_trace_with_fewer_requests_than_were_asked_for_says_so(capsys, tmp_path):
    path = tmp_path / "load.csv"
    path.write_text("arrival,input_tokens,output_tokens\n0,50,10\n1,100,10\n")
    for many, said in (("5", True), ("2", False), ("1", False)):
        assert main([*WHERE[:3], "--trace", str(path), "--requests", many]) == 0
        shown = capsys.readouterr().out
        assert ("the trace has 2 requests, fewer than --requests 5" in shown) == said


def test_how_many_replicas_there_were_is_said(capsys):
    load = ("--rate", "400", "--requests", "3000")
    assert main([*WHERE, *load, "--replicas", "3"]) == 0
    assert "\n3 replicas\n" in capsys.readouterr().out
    assert main([*WHERE, "--rate", "5", "--requests", "50"]) == 0
    assert "replica" not in capsys.readouterr().out
    assert document(capsys, "--rate", "5", "--requests", "50", "--replicas", "3")["replicas"] == 3
    scaled = (
        "--autoscale",
        "1:4:1",
        "--scale-interval",
        "1",
        "--rate",
        "300",
        "--requests",
        "3000",
    )
    found = document(capsys, *scaled)
    rows, end = found["scaling"], found["duration_s"]
    assert rows[0]["up"] == found["replicas_least"] == 1
    assert found["replicas_most"] == max(row["up"] for row in rows) > 1
    begun = rows[0]["time_s"]
    ends = [row["time_s"] for row in rows[1:]] + [begun + end]
    held = sum(row["up"] * (to - row["time_s"]) for row, to in zip(rows, ends, strict=True))
    assert found["replicas_mean"] == pytest.approx(held / end, rel=1e-3)
    main([*WHERE, *scaled])
    shown = capsys.readouterr().out
    assert (
        f"replicas: {found['replicas_mean']:.3g} in the mean, 1 to {found['replicas_most']}: 1 from"
        in shown
    )


def test_where_no_file_can_be_made_is_said_before_the_run(capsys):
    """Of /proc the rights say that it may be written."""
    for option, name in (("--csv", "/proc/x.csv"), ("--plot", "/proc/x.html")):
        with pytest.raises(SystemExit):
            main([*WHERE, "--rate", "5", "--requests", "50", option, name])
        assert (
            "in a folder that takes no files; allowed: a file in one that does"
            in capsys.readouterr().err
        )
