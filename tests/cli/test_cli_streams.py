"""The command while it starts, and where what it writes to is closed, full or gone."""

import os
import signal
import subprocess
import sys

import pytest

from tokenroof.cli import main
from tokenroof.support import interrupted

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


def test_what_is_closed_is_told_nothing():
    run = [sys.executable, "-m", "tokenroof", "list", "devices"]
    ended = subprocess.run(run, stderr=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(1))
    assert (ended.returncode, ended.stderr) == (0, b"")
    ended = subprocess.run(
        [*run, "--foo"], stdout=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(2)
    )
    assert (ended.returncode, ended.stdout) == (2, b"")


SIMULATE = ("simulate", "H100-SXM", "Llama-3.1-8B", "--rate", "10", "--requests", "5")
SHORT = (*SIMULATE, "--output-tokens", "5")
EMPTY = ("economics", "--set", "income.kind=nothing")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize(
    ("words", "name"),
    [(SHORT, "csv"), (SHORT, "plot"), (EMPTY, "csv"), (EMPTY, "manifest")],
)
def test_a_full_disk_is_said_of_its_file(capsys, words, name):
    assert main([*words, f"--{name}", "/dev/full"]) == 2
    assert "No space left on device: /dev/full" in capsys.readouterr().err


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
