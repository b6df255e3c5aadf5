"""Each command in a process of its own: it runs, and imports nothing that takes longer than its answer does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tokenroof.cli.commands import COMMANDS

#: What a command runs on without a library that takes longer to import than its answer does.
ALONE = {
    "list": ("devices", "--match", "hopper"),
    "roofline": ("H200-SXM", "Llama-3.1-8B"),
    "curve": ("H200-SXM", "Llama-3.1-8B", "--concurrency", "8"),
    "frontier": ("H200-SXM", "Llama-3.1-8B", "--devices-max", "1"),
    "compare": ("B200-SXM", "H200-SXM", "Llama-3.1-8B", "--devices-max", "1"),
    "simulate": ("H200-SXM", "Llama-3.1-8B", "--rate", "10", "--requests", "20"),
    "capacity": ("H200-SXM", "Llama-3.1-8B", "--slo-ttft", "0.5@99", "--demand", "600"),
    "tune": ("H200-SXM", "Llama-3.1-8B", "--slo-ttft", "0.5@99", "--requests", "20", "--seeds", "1"),
    "economics": ("--set", "site.power_mw=20"),
    "hash": ("--seconds", "0.1"),
    "measure": ("--seconds", "0.01"),
    "check": ("--samples", "1"),
    "info": (),
}  # fmt: skip
HEAVY = {"pandas", "xarray", "dask", "pyarrow", "plotly", "scipy", "jinja2", "matplotlib"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tokenroof.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert not imported & {"pandas", "xarray", "plotly", "rich", "scipy", "jinja2"}
    assert not {name for name in imported if name.startswith("tokenroof.cli.commands.")}


@pytest.mark.parametrize("command", ALONE)
def test_a_command_alone_imports_what_it_needs(command: str) -> None:
    code = (
        "import sys; from tokenroof.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "print('imported', *sys.modules, file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, *ALONE[command]], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout, done.stderr
    imported = done.stderr.partition("imported ")[2].split()
    assert "tokenroof.cli" in imported and not HEAVY & set(imported)


def test_each_command_is_tried_alone() -> None:
    assert set(ALONE) == set(COMMANDS) - {"report"}  # which tests/report starts, and which draws
