"""The command line, as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from _command import command as run

COMMANDS = (
    "report", "list", "roofline", "curve", "frontier", "compare", "simulate", "capacity", "tune", "economics",
    "hash", "measure", "check", "info",
)  # fmt: skip
GENESIS = (
    "01000000" + "00" * 32 + "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a"
    "29ab5f49ffff001d1dac2b7c"
)


def started(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tokenroof.cli", *arguments],
        capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip


def document(*arguments: str) -> Any:
    done = run(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_constant=lambda text: pytest.fail(f"{text} in JSON"))


def test_help_is_short_and_quick() -> None:
    times = []
    for _ in range(3):
        before = os.times()
        done = started("--help")
        after = os.times()
        times.append(
            after.children_user
            - before.children_user
            + after.children_system
            - before.children_system
        )
        assert done.returncode == 0
        for command in COMMANDS:
            assert command in done.stdout
    # of processor time; 300 ms is the aim on a quiet machine, this only guards against a heavy import
    assert min(times) < 1.5


def test_each_command_has_a_line_and_a_file() -> None:
    from tokenroof.cli import commands

    files = Path(commands.__file__).parent.glob("*.py")
    assert {path.stem for path in files} - {"__init__"} == set(commands.COMMANDS) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"example: tokenroof {command}" in done.stdout
    assert "--json" in done.stdout


def test_no_command_prints_help() -> None:
    done = run()
    assert done.returncode == 0
    assert "tokenroof report" in done.stdout


def test_version() -> None:
    import tokenroof

    assert run("--version").stdout.strip() == tokenroof.__version__


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("devices", "H200-SXM"),
        ("models", "DeepSeek-V3"),
        ("miners", "Antminer S21"),
        ("tiers", "Premium"),
    ],
)
def test_list(what: str, name: str) -> None:
    done = run("list", what)
    assert done.returncode == 0
    assert name in done.stdout
    assert name in [row["name"] for row in document("list", what)]


def test_list_match() -> None:
    rows = document("list", "devices", "--match", "hopper")
    assert rows
    assert len(rows) < len(document("list", "devices"))


def test_roofline() -> None:
    found = document("roofline", "h200_sxm")
    bf16 = next(r for r in found["roofs"] if r["dtype"] == "bf16")
    assert bf16["ridge_point"] == pytest.approx(bf16["peak"] / found["memory_bandwidth"])
    assert "H200-SXM" in run("roofline", "h200_sxm").stdout


def test_roofline_of_a_model() -> None:
    found = document("roofline", "H200-SXM", "Llama-3.1-8B", "--batch", "1,64", "--context", "2048")
    steps = [point["step"] for point in found["points"]]
    assert steps == ["decode", "decode", "prefill"]
    assert found["points"][0]["bound"] == "memory"
    assert "bound by" in run("roofline", "H200-SXM", "Llama-3.1-8B").stdout


def test_curve() -> None:
    arguments = ("curve", "H200-SXM", "Llama-3.1-8B", "--tp", "2", "--weights", "fp8",
                 "--concurrency", "1,8")  # fmt: skip
    found = document(*arguments)
    assert [point["concurrency"] for point in found["points"]] == [1, 8]
    assert found["units"]["ttft_s"] == "s"
    assert "tok/s/user" in run(*arguments).stdout


def test_curve_that_does_not_fit_says_what_would() -> None:
    done = run("curve", "T4", "Llama-3.1-8B", "--concurrency", "64", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["points"][0]["fits"] is False
    assert found["points"][0]["output_throughput"] is None
    assert "needs 16.3 GB per device" in found["reason"]
    assert "it would fit on 2 devices: --tp 2 --weights bf16" in done.stderr


@pytest.mark.parametrize("mode", ["nonce", "roll"])
@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_hash_scans_for_as_long_as_it_is_told(seconds: float, mode: str) -> None:
    found = document("hash", "--seconds", str(seconds), "--threads", "1", "--mode", mode)
    assert found["seconds"] >= seconds
    assert found["cpu_seconds"] <= seconds + 0.3  # a busy machine delays, and does not work


def test_hash() -> None:
    found = document("hash", "--seconds", "0.2", "--threads", "1")
    assert found["hash_per_s"] > 1e4
    assert found["hashes"] > 0
    assert "hash/s" in run("hash", "--seconds", "0.1", "--header", GENESIS).stdout


def test_check() -> None:
    found = document("check", "--samples", "4")
    assert found["ok"]
    assert {"attainable", "sha256d", "decode_time"} <= {row["kernel"] for row in found["kernels"]}


@pytest.mark.parametrize("seed", range(5))
def test_check_holds_for_any_inputs_on_every_instruction_set(seed: int) -> None:
    from tokenroof import kernels

    found = document("check", "--seed", str(seed))
    assert found["ok"] and found["samples"] == 64
    rows = found["kernels"]
    assert {(row["kernel"], row["isa"]) for row in rows} == {
        (name, isa)
        for isa, table in kernels.by_isa().items()
        for name in [*table, "power_split", "irr_each", "cash_path"]
    }
    # a tolerance that allows anything is none: all of them are counted, and far below a percent
    assert all(row["allowed"] is not None and row["allowed"] < 2.0**40 for row in rows)


@pytest.mark.parametrize("name", ["attainable", "decode_time", "double_spend_rosenfeld"])
def test_check_sees_a_formula_that_is_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenroof import reference
    from tokenroof.cli.check import run as compare

    right = getattr(reference, name)
    monkeypatch.setattr(reference, name, lambda *inputs: right(*inputs) * (1.0 + 1e-11))
    failed = {row["kernel"] for row in compare(seed=1) if not row["ok"]}
    assert failed == {name}


@pytest.mark.parametrize("name", ["power_split", "irr_each", "cash_path"])
def test_check_sees_a_kernel_of_money_that_is_off(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenroof import reference
    from tokenroof.cli.check import run as compare

    right = getattr(reference, name)

    def wrong(*inputs: object) -> object:
        if name == "irr_each":
            return right(*inputs) + 1e-12
        first, *rest = right(*inputs)
        off = [x * (1.0 + 1e-9) for x in first] if name == "power_split" else first * (1.0 + 1e-7)
        return (off, *rest)

    monkeypatch.setattr(reference, name, wrong)
    failed = {row["kernel"] for row in compare(samples=8, seed=1) if not row["ok"]}
    assert failed == {name}


def test_info() -> None:
    found = document("info")
    assert found["isa"] in found["isas_usable"]
    assert found["cores"] >= 1
    assert "compiler" in run("info").stdout


BAD = {
    "unknown command": ("frobnicate",),
    "unknown option": ("info", "--frobnicate"),
    "unknown list": ("list", "cats"),
    "unknown device": ("roofline", "H20O"),
    "unknown model": ("curve", "H200-SXM", "Lama-3.1-8B"),
    "missing model": ("curve", "H200-SXM"),
    "degree of zero": ("curve", "H200-SXM", "Llama-3.1-8B", "--tp", "0"),
    "degree that does not divide": ("curve", "H200-SXM", "Llama-3.1-8B", "--tp", "7"),
    "degree of words": ("curve", "H200-SXM", "Llama-3.1-8B", "--tp", "two"),
    "unknown type": ("curve", "H200-SXM", "Llama-3.1-8B", "--weights", "fp7"),
    "unknown engine": ("curve", "H200-SXM", "Llama-3.1-8B", "--engine", "steam"),
    "unknown fidelity": ("curve", "H200-SXM", "Llama-3.1-8B", "--fidelity", "wishful"),
    "negative tokens": ("curve", "H200-SXM", "Llama-3.1-8B", "--input-tokens", "-5"),
    "concurrency of words": ("curve", "H200-SXM", "Llama-3.1-8B", "--concurrency", "1,many"),
    "negative concurrency": ("curve", "H200-SXM", "Llama-3.1-8B", "--concurrency=-1"),
    "nan concurrency": ("curve", "H200-SXM", "Llama-3.1-8B", "--concurrency", "nan"),
    "negative batch": ("roofline", "H200-SXM", "Llama-3.1-8B", "--batch=-3"),
    "seconds of zero": ("hash", "--seconds", "0"),
    "seconds of nan": ("hash", "--seconds", "nan"),
    "threads of zero": ("hash", "--threads", "0"),
    "unknown scanner": ("hash", "--backend", "abacus"),
    "header of no hex": ("hash", "--header", "xyz"),
    "short header": ("hash", "--header", "00ff"),
    "no samples": ("check", "--samples", "0"),
    "negative seed": ("check", "--seed", "-1"),
    "seconds of the report": ("report", "--seconds", "0"),
}


@pytest.mark.parametrize("case", BAD, ids=lambda name: name.replace(" ", "-"))
def test_bad_input_is_one_line_and_exit_2(case: str, tmp_path: Path) -> None:
    done = run(*BAD[case], cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("tokenroof: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_near_matches_are_named() -> None:
    assert "H20" in run("roofline", "H20O").stderr.replace("H20O", "")


def test_bad_input_with_json_leaves_stdout_empty() -> None:
    done = run("roofline", "H20O", "--json")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX delivers to a child")
def test_ctrl_c_is_quiet_and_130() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tokenroof.cli", "hash", "--seconds", "60"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)  # of the minute that it was asked for
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe, which raises SIGPIPE on POSIX alone")
def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m tokenroof.cli list devices --json | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert len(done.stdout) == 10


def test_economics_of_a_scenario(tmp_path: Path) -> None:
    file = tmp_path / "hall.toml"
    file.write_text('[income]\nkind = "lease"\nlease_per_mw_year = 1.9e6\n')
    got = document(
        "economics",
        "--scenario",
        str(file),
        "--set",
        "site.power_mw=20",
        "--set",
        "finance.years=10",
    )
    assert got["scenario"] == "hall" and got["assumptions"]["site.power_mw"] == 20.0
    assert len(got["years"]) == 11 and got["levelized_unit"] == "MW year"
    assert got["years"][1]["revenue"] == pytest.approx(1.9e6 * 20 / 1.18)
    done = run("economics", "--scenario", "keynote-empty", "--csv", str(tmp_path / "flow.csv"))
    assert done.returncode == 0, done.stderr
    assert "533 $/MWh" in done.stdout and done.stdout.isascii()
    assert (tmp_path / "flow.csv").read_text().startswith("site.power_mw,1000.0,MW")
    done = run("economics", "--manifest", str(tmp_path / "run.json"), "--set", "site.power_mw=20")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run.json").read_text())["changed"] == {"site.power_mw": 20.0}
    keys = document("economics", "--keys")
    assert {"site.power_mw", "finance.coupon"} <= {key["name"] for key in keys}
    assert document("economics", "--schema")["title"] == "tokenroof scenario"
    assert "site.power_mw" in run("economics", "--keys").stdout
    for words in (
        "--keys --scenario keynote-empty", "--schema --set site.power_mw=20", "--keys --schema",
        "--schema --csv flow.csv", "--keys --market prices.csv", "--schema --to H200-SXM",
    ):  # fmt: skip
        asked, other = words.split()[:2]
        done = run("economics", *words.split())
        assert done.returncode == 2 and f"{other} is given beside {asked}; allowed" in done.stderr


def test_economics_of_a_hall() -> None:
    asked = ("economics", "--convert", "Antminer S21", "--to", "H200-SXM", "--set", "site.power_mw=10",
             "--set", "site.price_per_mwh=45", "--set", "income.rented_share=0.5")  # fmt: skip
    got = document(*asked)
    assert [c["kind"] for c in got["choices"]] == ["off", "keep", "lease", "convert"]
    assert got["assumptions"]["convert to H200-SXM"].startswith("50% sold")
    done = run(*asked)
    assert done.returncode == 0 and done.stdout.isascii()
    assert "A hall of 10 MW at 45 $/MWh" in done.stdout and got["answer"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--convert", "Antminer S12"), "did you mean"),
        (
            ("--convert", "Antminer S21", "--csv", "x.csv"),
            "--csv is 'x.csv'; allowed: without --convert",
        ),
        (("--to", "H200-SXM"), "allowed: with --convert"),
        (("--set", "site.power=2"), "did you mean site.power_mw"),
        (("--set", "site.power_mw"), "allowed: KEY=VALUE"),
        (("--set", "site.power_mw=-2"), "site.power_mw is -2; allowed"),
        (("--set", "income.kind=gold"), "income.kind is 'gold'; allowed"),
        (("--scenario", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_economics_of_bad_input(arguments: tuple[str, ...], said: str) -> None:
    done = run("economics", *arguments)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_curve_takes_the_types_of_the_release(tmp_path: Path) -> None:
    """Of a name of the catalogue, and of a config of one's own with what it leaves out."""
    found = document("curve", "H200-SXM", "DeepSeek-R1", "--tp", "8", "--concurrency", "1")
    assert found["plan"] == "tp8 fp8_block kv bf16"
    assert found["points"][0]["fits"]
    config = {
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
        "tie_word_embeddings": False, "quantization_config": {
            "quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8",
            "exclude_modules": ["lm_head", "*self_attn*"]},
    }  # fmt: skip
    own = tmp_path / "config.json"
    own.write_text(json.dumps(config))
    found = document("curve", "B200-SXM", str(own), "--concurrency", "1")
    assert found["plan"] == "tp1 nvfp4 attention bf16 kv fp8"
    found = document(
        "curve",
        "B200-SXM",
        str(own),
        "--concurrency",
        "1",
        "--kv-cache",
        "bf16",
        "--attention",
        "fp8",
    )
    assert found["plan"] == "tp1 nvfp4 attention fp8 kv bf16"
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    own.write_text(json.dumps(config))
    done = run("curve", "B200-SXM", str(own))
    assert done.returncode != 0
    assert "quant_method is 'bitsandbytes'; allowed: fp8" in done.stderr
    assert (
        run("curve", "B200-SXM", str(own), "--weights", "int4", "--concurrency", "1").returncode
        == 0
    )
