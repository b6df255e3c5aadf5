"""A report that cannot be written, or is interrupted, leaves the last one whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from report.test_report import COMMAND, run


def _processor_of_children() -> float:
    """Processor time of what was run and has ended [s]."""
    used = os.times()
    return used.children_user + used.children_system


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_unwritable_place(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    before = _processor_of_children()
    done = run(tmp_path / place)
    assert done.returncode == 2
    assert done.stderr.startswith("tokenroof: ")
    assert done.stderr.count("\n") == 1  # not even a line of progress: nothing was measured
    assert _processor_of_children() - before < 20
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root may write where others may not"
)
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        done = run(tmp_path / "r")
    finally:
        tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT, which only POSIX delivers to a child")
def test_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "r"
    with subprocess.Popen(
        [*COMMAND[:-1], "30", "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert "measuring" in process.stderr.readline()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_failure_leaves_the_last_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokenroof import report

    (tmp_path / "index.html").write_text("the last one")

    def fail(*_: Any) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(sys.modules["tokenroof.report.build"], "_page", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        report.build(tmp_path, seconds=0.05, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "the last one"


def test_an_interruption_half_way_leaves_the_last_report_whole(tmp_path: Path) -> None:
    """What is written goes to a hidden folder first, and is moved by renaming once it is whole."""
    from tokenroof.report.build import _staging

    (tmp_path / "index.html").write_text("the last one")
    (tmp_path / "report.json").write_text('{"files": ["index.html"]}')

    def interrupted() -> None:
        with _staging(tmp_path) as folder:
            (folder / "index.html").write_text("half of the ne")
            assert (tmp_path / "index.html").read_text() == "the last one"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.html", "report.json"]
    assert (tmp_path / "index.html").read_text() == "the last one"


def test_a_page_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full while the page is written: the last one stays, what was written is gone."""
    import importlib

    import pandas as pd

    inside = importlib.import_module("tokenroof.report.build")
    (tmp_path / "index.html").write_text("the last one")

    def full(self: Path, *_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    table = pd.DataFrame({"x": [1]})

    def written() -> None:
        with inside._staging(tmp_path) as folder:
            inside._write(folder, {"a": table}, "text", {})

    with pytest.raises(OSError, match="No space left"):
        written()
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "the last one"
