"""The exam's command on tables with known errors: what it prints is what was put in."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tokenroof as tr
from _measured import DEVICE, measured
from tokenroof.calibrate import SPECS
from tokenroof.calibrate import power as _power
from tokenroof.inference import power

SCRIPT = Path(__file__).parents[2] / "bench" / "accuracy.py"


def _run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, "--measured", *map(str, arguments)], capture_output=True, text=True
    )


def _write(folder, engine, name, table):
    at = folder / "operators" / DEVICE / f"{engine}-1.0"
    at.mkdir(parents=True, exist_ok=True)
    table.to_csv(at / f"{name}.csv", index=False)


def _with_power(table, scale):
    """Products, with the board's power as the catalogue's constants have it, times a scale."""
    device = tr.device("H200-SXM")
    frame = table.rename(columns={"dtype": "gemm_dtype"})
    frame = frame.assign(latency=frame.pop("time_s") * 1e3, power=500.0)
    read = _power.read_power(frame, device, "gemm")
    watts = _power.predict(device, power.constants(device).constants, "gemm", read)
    frame.loc[frame.latency >= 0.1, "power"] = watts * scale
    return frame


def _blocks():
    """Products in blocks of FP8 that take no longer than the host does."""
    table = measured("gemm", noise=0.0).assign(dtype="fp8_block")
    return table.drop_duplicates(["m", "n", "k"]).head(20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Products that take 5 % longer than predicted, and two collectives, prompts, and serving points."""
    out = tmp_path_factory.mktemp("measured")
    _write(out, "trtllm", "gemm_perf", measured("gemm", factor=1.05, noise=0.0))
    both = [measured(name, noise=0.0, engine="nccl") for name in ("all_gather", "all_to_all")]
    _write(out, "nccl", "nccl_perf", pd.concat(both))
    prompts = measured("attention_prefill", noise=0.0, engine="vllm")
    _write(
        out,
        "vllm",
        "context_attention_perf",
        pd.concat([prompts, prompts.head(7).assign(tokens=1)]),
    )
    _write(out, "vllm", "gemm_perf", _blocks())
    at = out / "operators" / "H200-SXM" / "vllm-1.0"
    at.mkdir(parents=True)
    _with_power(measured("gemm", noise=0.0), 0.8).to_csv(at / "gemm_perf.csv", index=False)
    rows = []
    for model, tp in (("Llama-3.1-8B", 1), ("Llama-3.1-70B", 4)):
        plan = tr.Plan(tp=tp, weights="fp8", kv_cache="fp8", engine="vllm")
        made = tr.serving.curve("H200-SXM", model, plan, 1024, 512, [4, 32])
        rows += [{"model": model, "device": "H200-SXM", "engine": "vllm", "concurrency": c, "tp": tp,
                  "input_tokens": 1024, "output_tokens": 512, "weights": "fp8", "kv_cache": "fp8",
                  "ttft_s": 2.0 * float(made.ttft_s[i]), "tpot_s": 1.25 * float(made.tpot_s[i])}
                 for i, c in enumerate((4, 32))]  # fmt: skip
    pd.DataFrame(rows).to_csv(out / "end_to_end.csv", index=False)
    return out


@pytest.fixture(scope="module")
def found(folder):
    run = _run(folder, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout), run.stderr


def _total(found, operator, by="all", name="all"):
    (row,) = [
        r for r in found["totals"] if (r["operator"], r["by"], r["name"]) == (operator, by, name)
    ]
    return row


def test_known_errors_are_printed(found):
    by_engine = _total(found[0], "gemm", "engine", "trtllm")
    for name, want in (("mape", 1 - 1 / 1.05), ("median", 1 - 1 / 1.05), ("bias", 1 / 1.05 - 1)):
        assert by_engine[name] == pytest.approx(want, rel=1e-9)
    parts = [
        r for r in found[0]["operators"] if r["operator"] == "gemm" and r["engine"] == "trtllm 1.0"
    ]
    assert {r["type"] for r in parts} == {"bf16", "fp8"}
    inside = [r["shapes"] for r in parts if np.log(1.05) <= r["band"]]
    assert by_engine["covered"] == sum(inside) / by_engine["shapes"]
    assert _total(found[0], "attention_prefill")["mape"] < 1e-12


def test_totals_are_of_all_parts(found):
    for operator in {r["operator"] for r in found[0]["operators"]}:
        parts = [r for r in found[0]["operators"] if r["operator"] == operator]
        total = _total(found[0], operator)
        assert total["shapes"] == sum(r["shapes"] for r in parts) and total["answered"] == 1.0
        assert total["mape"] == pytest.approx(
            sum(r["shapes"] * r["mape"] for r in parts) / total["shapes"]
        )
        for by in ("device", "engine", "type"):
            rows = [r for r in found[0]["totals"] if (r["operator"], r["by"]) == (operator, by)]
            assert sum(r["shapes"] for r in rows) == total["shapes"]


def test_rows_that_an_operator_is_not_about_are_not_judged(found):
    parts, told = found[0]["operators"], found[1]
    collectives = {(r["operator"], r["type"]) for r in parts if r["engine"] == "nccl 1.0"}
    assert collectives == {("all_gather", "all_gather"), ("all_to_all", "all_to_all")}
    assert "7 no rows of attention_prefill" in told  # prompts of one token, run as decodes
    assert f"{len(_blocks())} fp8_block on the host's time" in told
    assert not any(r["type"] == "fp8_block" for r in parts)
    assert all(r["answered"] == 1.0 for r in parts)


def test_power_where_tables_carry_it(found):
    total = _total(found[0], "power")
    assert total["mape"] == pytest.approx(0.25, rel=1e-3) and total["bias"] == pytest.approx(
        0.25, rel=1e-3
    )
    assert [
        r["name"] for r in found[0]["totals"] if (r["operator"], r["by"]) == ("power", "type")
    ] == ["gemm"]


def test_end_to_end_in_the_same_run(found):
    serving = found[0]["serving"]
    assert serving["counts"]["points"] == 4
    rows = {(r["by"], r["name"]): r for r in serving["rows"]}
    assert {by for by, _ in rows} == {"all", "engine", "device", "model"}
    for key in (("all", "all"), ("engine", "vllm"), ("model", "Llama-3.1-70B")):
        assert rows[key]["answered"] == 1.0
        assert rows[key]["tpot_mape"] == pytest.approx(0.2) and rows[key][
            "ttft_bias"
        ] == pytest.approx(-0.5)


def test_it_prints_all_as_text(folder):
    run = _run(folder)
    assert run.returncode == 0, run.stderr
    for word in (
        "gemm",
        "power",
        "TPOT mean",
        "TTFT covered",
        "by engine",
        "by model",
        "Llama-3.1-70B",
        "points: 4",
    ):
        assert word in run.stdout
    assert "no constants" not in run.stdout
    alone = _run(folder / "end_to_end.csv", "--exclude", "model=Llama-3.1-8B")
    assert alone.returncode == 0 and "points: 2" in alone.stdout and "gemm" not in alone.stdout
    only = _run(folder, "--operator", "gemm")
    assert only.returncode == 0 and "TPOT" not in only.stdout and "power" not in only.stdout


def test_what_does_not_do_ends_in_one_line(folder, tmp_path):
    run = _run(tmp_path)
    assert run.returncode == 2 and run.stderr.startswith("error: ") and run.stderr.count("\n") == 1
    _write(tmp_path, "trtllm", "gemm_perf", measured("gemm", factor=1e3))
    run = _run(tmp_path)
    assert (
        run.returncode == 2
        and "gemm_perf.csv: times of gemm" in run.stderr
        and "unit" in run.stderr
    )
    points = pd.read_csv(folder / "end_to_end.csv")
    points.drop(columns="tp").to_csv(tmp_path / "points.csv", index=False)
    run = _run(tmp_path / "points.csv")
    assert run.returncode == 2 and "no column 'tp'" in run.stderr
    assert set(SPECS) <= set(
        _run(tmp_path, "--help").stdout.replace(",", " ").replace("{", " ").split()
    )
