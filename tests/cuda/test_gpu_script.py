"""bench/gpu.sh and its stages, as far as they go without a device: what runs first on one must not be new."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench" / "cuda"


@pytest.fixture
def bench(monkeypatch):
    """The script's files, importable as they are when it runs."""
    monkeypatch.syspath_prepend(str(BENCH))
    import gpu
    import stage_results

    return gpu, stage_results


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(BENCH / "gpu.py"), *arguments], capture_output=True, text=True, timeout=500, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def test_stages_are_all_there_and_their_limits_keep_the_whole_short(bench):
    gpu, _ = bench
    names = [stage.name for stage in gpu.STAGES]
    order = [
        "import",
        "kernels",
        "hits",
        "throughput",
        "hashes",
        "probes",
        "tests",
        "products",
        "transformer",
    ]
    assert [name for name in names if name in order] == order
    for stage in gpu.STAGES:
        file, _, name = stage.where.partition(":")
        assert f"def {name}(report: Report, out: Path)" in (BENCH / f"{file}.py").read_text(), stage
        assert 0 < stage.limit <= 80
    assert "whole=355" in (ROOT / "bench" / "gpu.sh").read_text()


def test_files_are_whole_after_every_line(bench, tmp_path):
    _, results = bench
    report = results.Report(tmp_path / "stages" / "one.jsonl", played=False)
    report.say("rate", 1.5e9, "1/s", "beside | that")
    report.check("bits", True)
    report.bar("share", 0.95, 0.9)
    assert not report.wrong
    report.check("hits", False, "3 lost")
    report.bar("other", 0.5, 0.9)
    report.skip("streams", "torch is missing")
    with report.path.open("a") as file:  # a process that was killed in the middle of a line
        file.write('{"kind": "number", "na')
    lines = results.lines_of(report.path)
    assert report.wrong == ["hits"] and len(lines) == 6
    assert results.value_of(tmp_path, "one", "rate") == 1.5e9
    assert results.value_of(tmp_path, "one", "none") is None
    stage = {"name": "one", "state": "FAILED", "seconds": 1.0, "limit": 5.0, "lines": lines}
    results.save(tmp_path, {"device": "card", "played": False}, [stage])
    assert json.loads((tmp_path / "gpu.json").read_text())["stages"][0]["lines"] == lines
    text = (tmp_path / "gpu.md").read_text()
    for row in ("# card", "| one | FAILED | 1.0 | 5 |", "| one | rate | 1.5e+09 | 1/s | beside / that |",
                "| one | hits | **wrong** |  | 3 lost |", "| one | share | 95.0% | bar 90%: met |  |",
                "| one | other | 50.0% | bar 90%: **missed** |  |", "| one | streams | skipped |  | torch is missing |"):  # fmt: skip
        assert row in text
    assert "dry run" not in text
    played = results.Report(tmp_path / "two.jsonl", played=True)
    played.bar("share", 0.01, 0.9)
    assert results.lines_of(played.path)[0]["met"] is None


def test_a_stage_that_hangs_or_crashes_takes_no_other_with_it(bench, tmp_path, capfd):
    gpu, _ = bench
    chosen = gpu.arguments(["--dry-run", "--out", str(tmp_path)])
    slow = gpu.Stage("import", "checks:devices", 1.0, "")
    assert gpu.follow(slow, chosen, 0.05)["state"] == "TIMED OUT"
    chosen.device = 77  # no such device: the stage's process ends by an exception
    assert gpu.follow(slow, chosen, 300.0)["state"] == "CRASHED"
    capfd.readouterr()


@pytest.mark.parametrize(
    "arguments,said",
    [(["--stage", "nothing"], "invalid choice: 'nothing'"), (["--only", "nothing"], "invalid choice: 'nothing'"),
     (["--left", "soon"], "invalid float value: 'soon'")],
)  # fmt: skip
def test_arguments_are_refused_by_name(arguments, said):
    done = run(*arguments)
    assert done.returncode == 2 and said in done.stderr


def test_without_a_device_it_says_so():
    done = run(CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 1
    assert "no CUDA here" in done.stderr and "--dry-run plays the stages" in done.stderr


def test_a_dry_run_plays_every_stage(tmp_path):
    """All but the scans of thousands: their code is the same, and tests of its own hold it."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ here: compiles the device code for the CPU")
    stages = ["import", "limits", "streams", "errors", "cublas", "products", "transformer", "held"]
    done = run("--dry-run", "--out", str(tmp_path), "--only", *stages)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [s["name"] for s in found["stages"]] == stages and found["played"]
    states = {s["name"]: s["state"] for s in found["stages"]}
    assert {states[s] for s in ("import", "limits", "streams", "errors", "products")} == {"passed"}
    text = (tmp_path / "gpu.md").read_text()
    assert "A dry run" in text and "not judged" not in text.split("| import")[0]
    assert "said of bf16, 256 x 8192 x 8192" in text and "said of decode, 64 of 4096" in text
    assert "predicted 1 x 4096 x 4096" in text and "| errors | full memory | right |" in text


def test_no_time_left_is_said(tmp_path):
    done = run("--dry-run", "--out", str(tmp_path), "--only", "import", "--left", "1")
    assert done.returncode == 1 and "not passed: import" in done.stdout
    assert json.loads((tmp_path / "gpu.json").read_text())["stages"][0]["state"] == "no time left"


def test_the_shell_script_reads_and_refuses():
    script = str(ROOT / "bench" / "gpu.sh")
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    done = subprocess.run(["sh", script, "--wheels"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--wheels wants a folder" in done.stderr
