"""The command while it starts, and where what it writes to is closed, full or gone."""

import errno
import io
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokenroof.cli import main
from tokenroof.cli.commands import COMMANDS
from tokenroof.support import interrupted
from tokenroof.support.whole import whole_file

# what is written there fails as on a full disk, which nothing else does without a file system of its own
with_a_full_disk = pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="macOS and Windows have no /dev/full"
)

# Ctrl-C comes when NumPy is asked for, which the package's own imports do
START = """
import signal, sys
sys.argv = {argv!r}
sys.orig_argv = ["python", *{original!r}]
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from tokenroof.cli import main
from tokenroof.cli.commands import COMMANDS
"""


def started(argv, original=()):
    code = START.format(argv=argv, original=list(original))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("argv", "original"),
    [(["/usr/bin/tokenroof", "list"], ()), (["-m"], ("-X", "dev", "-m", "tokenroof", "list"))],
)
def test_ctrl_c_while_it_starts(argv, original):
    ended = started(argv, original)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "tokenroof: interrupted\n")


@pytest.mark.parametrize(("argv", "original"), [(["my.py"], ()), (["-m"], ("-m", "mine"))])
def test_a_program_that_imports_it_hears_of_ctrl_c_itself(argv, original):
    assert "KeyboardInterrupt" in started(argv, original).stderr


def test_ctrl_c_is_heard_again_once_it_runs(monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sys, "argv", ["tokenroof"])
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who has it ignored keeps that
        interrupted.while_starting()
        assert main(["--version"]) == 0 and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupted.while_starting()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert main(["--version"]) == 0
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_a_module_is_loaded(capsys, monkeypatch):
    """pybind11 makes an ImportError of it, whose cause it is."""

    def loads(*_):
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("tokenroof.cli.program.parse", loads)
    assert main(["list"]) == 130 and capsys.readouterr().err == "tokenroof: interrupted\n"


def test_what_is_closed_loses_nothing_in_silence():
    run = [sys.executable, "-m", "tokenroof", "list", "devices"]
    for words in ([], ["--json"], ["--help"]):
        ended = subprocess.run(
            [*run, *words], stderr=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(1)
        )
        assert ended.returncode == 2
        assert ended.stderr == b"tokenroof: Bad file descriptor: standard output\n"
    ended = subprocess.run(
        [*run, "--foo"], stdout=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(2)
    )
    assert (ended.returncode, ended.stdout) == (2, b"")


SIMULATE = ("simulate", "H100-SXM", "Llama-3.1-8B", "--rate", "10", "--requests", "5")
SHORT = (*SIMULATE, "--output-tokens", "5")
EMPTY = ("economics", "--set", "income.kind=nothing")


@with_a_full_disk
@pytest.mark.parametrize(
    ("words", "name"),
    [(SHORT, "csv"), (SHORT, "plot"), (EMPTY, "csv"), (EMPTY, "manifest")],
)
def test_a_full_disk_is_said_of_its_file(capsys, words, name):
    assert main([*words, f"--{name}", "/dev/full"]) == 2
    assert "No space left on device: /dev/full" in capsys.readouterr().err


# one short call of each command, and what prints without one
COMMANDS_SHORT = {
    "report": "report --help", "list": "list devices", "roofline": "roofline H200-SXM",
    "curve": "curve H200-SXM Llama-3.1-8B --concurrency 1", "info": "info --json", "check": "check --help",
    "frontier": "frontier H200-SXM Llama-3.1-8B --devices-max 1 --json",
    "compare": "compare H200-SXM H100-SXM Llama-3.1-8B --devices-max 1", "simulate": " ".join(SHORT),
    "capacity": "capacity H200-SXM Llama-3.1-8B --slo-ttft 1 --json",
    "tune": "tune H200-SXM Llama-3.1-8B --slo-ttft 1e-9 --requests 9 --seeds 1 --output-tokens 2",
    "economics": "economics --schema", "hash": "hash --seconds 0.01", "measure": "measure --help",
}  # fmt: skip


@with_a_full_disk
@pytest.mark.parametrize("words", ["", "--version", "--help", *COMMANDS_SHORT.values()])
def test_standard_output_on_a_full_disk(capsys, monkeypatch, words):
    """One line and a status, whether the last words are held back until the end or not."""
    for at_once in (False, True):
        with open("/dev/full", "wb", 0) as raw:
            text = io.TextIOWrapper(io.BufferedWriter(raw), write_through=at_once)
            monkeypatch.setattr(sys, "stdout", text)
            assert main(words.split()) == 2
            text.close()  # as the process does at its end: what failed once is not said again
        assert capsys.readouterr().err.endswith(
            "tokenroof: No space left on device: standard output\n"
        )


def test_each_command_was_tried():
    assert COMMANDS_SHORT.keys() == COMMANDS.keys()


@with_a_full_disk
@pytest.mark.parametrize(
    ("words", "to", "status"),
    [("--help", "stdout", 2), ("list devices --json", "stdout", 2), ("list nothing", "stderr", 2),
     ("list devices", "both", 2)],
)  # fmt: skip
def test_nothing_is_left_to_fail_when_the_process_ends(words, to, status):
    run = [sys.executable, "-m", "tokenroof", *words.split()]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        streams |= {name: full for name in streams if to in (name, "both")}
        ended = subprocess.run(run, **streams, text=True, check=False, env=kept)
    said = "tokenroof: No space left on device: standard output\n" if to == "stdout" else None
    assert (ended.returncode, ended.stderr) == (status, said if to == "stdout" else ended.stderr)
    assert to != "stderr" or ended.stdout == ""


@contextmanager
def files_of_at_most(size):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("words", "name"),
    [((*SIMULATE, "--output-tokens", "5"), "a.csv"), (SHORT, "a.html"), (EMPTY, "a.csv"), (EMPTY, "a.json")],
)  # fmt: skip
def test_a_file_that_was_cut_short_is_not_there(capsys, tmp_path, words, name):
    """What stood there before stays, and of a new file there is nothing."""
    flag = {"csv": "csv", "html": "plot", "json": "manifest"}[name.split(".")[1]]
    path = tmp_path / name
    for before in (b"as it was", None):
        path.unlink() if before is None else path.write_bytes(before)
        with files_of_at_most(100):
            assert main([*words, f"--{flag}", str(path)]) == 2
        assert capsys.readouterr().err.endswith(f"tokenroof: File too large: {path}\n")
        found = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
        assert found == ({} if before is None else {name: before})


def test_a_book_that_was_cut_short_is_not_there(capsys, monkeypatch, tmp_path):
    def part(path, data):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", part)
    path = tmp_path / "a.xlsx"
    assert main([*EMPTY, "--excel", str(path)]) == 2
    assert capsys.readouterr().err.endswith(f"tokenroof: No space left on device: {path}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_replaces_another_has_its_rights_and_its_links(tmp_path):
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with whole_file(link) as beside:
        beside.write_text("new")
        assert real.read_text() == "old"
    assert (real.read_text(), link.is_symlink(), real.stat().st_mode & 0o777) == (
        "new",
        True,
        0o640,
    )
    with whole_file(tmp_path / "fresh") as beside:
        beside.write_text("new")
    (tmp_path / "plain").write_text("new")
    assert (tmp_path / "fresh").stat().st_mode == (tmp_path / "plain").stat().st_mode


@with_a_full_disk
def test_runs_are_kept_in_a_file_alone(capsys):
    """Not in a device, which may be read without an end."""
    words = ["tune", *SIMULATE[1:3], "--slo-ttft", "1@99", "--results", "/dev/full"]
    assert "results is '/dev/full'; allowed: a file" in refused(capsys, words)


def refused(capsys, words):
    try:
        ended = main([*words])
    except SystemExit as left:
        ended = left.code
    said = capsys.readouterr()
    assert ended == 2 and said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    ("words", "flag", "allowed"),
    [((*SIMULATE, "--csv", "x.xlsx"), "--csv", ".csv, .txt, no suffix"),
     ((*SIMULATE, "--plot", "x.txt"), "--plot", ".html, .htm, no suffix"),
     (("capacity", *SIMULATE[1:3], "--slo-ttft", "1@99", "--csv", "x.xlsx"), "--csv", ".csv, .txt"),
     (("frontier", *SIMULATE[1:3], "--csv", "x.foo"), "--csv", ".csv, .txt"),
     (("frontier", *SIMULATE[1:3], "--plot", "x.csv"), "--plot", ".html, .htm"),
     (("tune", *SIMULATE[1:3], "--slo-ttft", "1@99", "--csv", "x.json"), "--csv", ".csv, .txt"),
     (("economics", "--csv", "x.foo"), "--csv", ".csv, .txt")],
)  # fmt: skip
def test_files_are_called_as_what_they_are(capsys, words, flag, allowed):
    said = refused(capsys, words)
    assert flag in said and f"whose suffix is '{words[-1][1:]}'; allowed: {allowed}" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [((*SIMULATE, "--knob", "max_num_seqs=4", "--knob", "max_num_seqs=8"), "--knob has 'max_num_seqs' twice"),
     (("tune", *SIMULATE[1:3], "--slo-ttft", "1", "--knob", "max_num_seqs=4", "--knob", "max_num_seqs=8"),
      "--knob has 'max_num_seqs' twice"),
     (("economics", "--set", "site.power_mw=2", "--set", "site.power_mw=3"), "--set has 'site.power_mw' twice"),
     (("economics", "--convert", "S21", "--set", "site.power_mw=2", "--set", "site.power_mw=3"), "twice"),
     ((*SIMULATE, "--priorities", "0:0.2,5:0.9"), "whose shares are 1.1 together"),
     ((*SIMULATE, "--priorities", "0:0.2,5:0.78"), "whose shares are 0.98 together"),
     ((*SIMULATE, "--priorities", "0:0.2,0:0.8"), "allowed: each priority once"),
     ((*SIMULATE, "--priorities", "0:0.2,5:0.8"), "which the scheduler does not read; allowed: with --knob policy"),
     ((*SIMULATE, "--priorities", "0:0.2,5:0.8", "--knob", "policy=fcfs"), "which the scheduler does not read"),
     ((*SIMULATE, "--priorities", "0:0.2,5:0.8", "--scheduler", "sglang-0.5.23"), "enable_priority_scheduling=true")],
)  # fmt: skip
def test_what_would_be_dropped_in_silence_is_refused(capsys, words, says):
    assert says in refused(capsys, words)


def test_priorities_that_are_read_are_taken(capsys):
    words = (*SIMULATE, "--output-tokens", "5", "--priorities", "0:0.33,1:0.33,5:0.33")
    assert main([*words, "--knob", "policy=priority"]) == 0
    knobs = ("--scheduler", "sglang-0.5.23", "--knob", "enable_priority_scheduling=true")
    assert main([*words, *knobs]) == 0
    capsys.readouterr()
