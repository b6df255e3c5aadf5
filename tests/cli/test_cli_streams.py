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
