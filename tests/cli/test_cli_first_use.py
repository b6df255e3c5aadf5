"""What a first user meets: files of its own, models that do not fit, terminals without UTF-8, hints."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from _command import command as run
from tokenroof.cli.arguments import flags_of, written, written_page, written_table
from tokenroof.cli.commands import COMMANDS
from tokenroof.cli.parser import parse
from tokenroof.records.plan import Plan
from tokenroof.support import lazy

CARD = """
name = "Karte µ"
memory_bandwidth = 4e12
memory_bytes = 96e9
tdp_w = 600
peak = { bf16 = 9e14, fp8 = 1.8e15 }
"""
CONFIG = {
    "model_type": "llama", "hidden_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 4096, "vocab_size": 32000,
}  # fmt: skip


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokenroof", *arguments], capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "card.toml").write_text(CARD, encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return str(tmp_path / "card.toml"), str(tmp_path / "config.json")


def files(command: str) -> list[argparse.Action]:
    """Options of a command whose value is a file that it writes."""
    parser, _ = parse([command, *NEEDED.get(command, [])])
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions: list[argparse.Action] = commands.choices[command]._actions
    return [a for a in actions if "write" in (a.help or "") and a.nargs != 0 and a.dest != "out"]


NEEDED = {
    name: ["T4", "Llama-3.1-8B"] for name in ("capacity", "curve", "frontier", "simulate", "tune")
} | {"compare": ["T4", "L4", "Llama-3.1-8B"], "list": ["devices"], "roofline": ["T4"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_files_that_cannot_be_written_are_refused_before_anything_is_computed(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in files(command):
        flag = action.option_strings[0]
        assert action.type in (written, written_page, written_table), flag
        for bad, said in (
            (
                tmp_path / "none" / "a",
                "a', in a folder that is not there; allowed: a file in one that is",
            ),
            (tmp_path, "', which is a folder; allowed: a file that may be written"),
            ("", "'', which is no file; allowed: a file that may be written"),
        ):
            with pytest.raises(SystemExit) as done:
                parse([command, *NEEDED.get(command, []), flag, str(bad)])
            assert done.value.code == 2
            shown = capsys.readouterr()
            assert f"argument {flag}: " in shown.err and said in shown.err and not shown.out


def test_commands_that_write_files_are_known() -> None:
    assert {name: [a.option_strings[0] for a in files(name)] for name in COMMANDS if files(name)} == {
        "capacity": ["--csv"], "economics": ["--csv", "--excel", "--manifest"], "frontier": ["--csv", "--plot"],
        "simulate": ["--csv", "--plot"], "tune": ["--csv"],
    }  # fmt: skip


@pytest.mark.parametrize("command", ["curve", "roofline"])
def test_files_go_where_names_do(command: str, own: tuple[str, str]) -> None:
    done = run(command, *own, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["device"] == "Karte µ" and found["model"] == Path(own[1]).parent.name
    assert run(command, "card.toml", own[1]).returncode == 2
    assert run(command, own[0], str(Path(own[1]).parent)).returncode == 0
    both = run(command, "local", own[1], "--json")
    assert both.returncode == 0 and "this machine" in json.loads(both.stdout)["device"]


@pytest.mark.parametrize(
    ("arguments", "needs", "fits"),
    [(("curve", "H200-SXM", "Llama-3.3-70B"), "Llama-3.3-70B needs 142 GB per device",
      "2 devices: --tp 2 --weights bf16"),
     (("roofline", "H100-SXM", "Llama-3.3-70B"), "needs 142 GB per device", "--tp 2 --weights bf16"),
     (("curve", "RTX 4090", "gpt-oss-120b"), "per device",
      "4 devices: --tp 4 --moe-ep 4 --weights bf16 --experts mxfp4"),
     (("curve", "T4", "DeepSeek-R1"), "needs 673 GB per device", "no plan on devices")],
)  # fmt: skip
def test_what_does_not_fit(arguments: tuple[str, ...], needs: str, fits: str) -> None:
    for more in ((), ("--json",)):
        done = run(*arguments, *more)
        assert done.returncode == 1
        assert needs in done.stderr and fits in done.stderr and done.stderr.count("\n") == 1
    if fits.startswith("2"):
        assert run(*arguments, *fits.partition(": ")[2].split()).returncode == 0


def test_types_are_those_of_the_release() -> None:
    for given, plan in (
        (("gpt-oss-120b",), "tp1 bf16/mxfp4 kv bf16"),
        (("gpt-oss-120b", "--weights", "fp8"), "tp1 fp8 kv bf16"),
        (("gpt-oss-120b", "--experts", "fp8"), "tp1 bf16/fp8 kv bf16"),
        (("Llama-3.1-8B",), "tp1 bf16 kv bf16"),
    ):
        found = json.loads(run("curve", "B200-SXM", *given, "--concurrency", "1", "--json").stdout)
        assert found["plan"] == plan


def test_flags_give_the_plan_back() -> None:
    plan = Plan(tp=4, pp=2, moe_ep=2, weights="bf16", experts="mxfp4", kv_cache="fp8")
    said = "--tp 4 --pp 2 --moe-ep 2 --weights bf16 --experts mxfp4 --kv-cache fp8"
    assert flags_of(plan) == said


def test_the_table_is_of_the_whole_replica() -> None:
    arguments = ("curve", "H200-SXM", "Llama-3.1-8B", "--tp", "2", "--concurrency", "8")
    done = run(*arguments).stdout
    assert "of the whole replica of 2 devices" in done and "/device" not in done
    assert "3460 W provisioned" in done


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("curve", "--help"), ("roofline", "--help"), ("report", "--help"),
     ("roofline", "{card}", "{config}"), ("curve", "{card}", "{config}"), ("list", "devices"),
     ("list", "models"), ("list", "miners"), ("list", "tiers"), ("info",), ("list", "miners", "--json"),
     ("roofline", "{card}", "--json"), ("hash", "--seconds", "0.1"), ("roofline", "Kårte µ")],
    ids=" ".join,
)  # fmt: skip
def test_output_is_ascii(arguments: tuple[str, ...], own: tuple[str, str]) -> None:
    given = [a.format(card=own[0], config=own[1]) for a in arguments]
    done = run(*given, encoding="ascii")
    assert done.returncode == (2 if "Kårte µ" in given else 0), done.stderr
    assert (done.stdout + done.stderr).isascii() and "Traceback" not in done.stderr
    assert run(*given).stdout.isascii()


@pytest.mark.parametrize("arguments", [("{card}", "{config}"), ("Kårte µ",)], ids=" ".join)
def test_a_terminal_without_utf_8(arguments: tuple[str, ...], own: tuple[str, str]) -> None:
    given = [a.format(card=own[0], config=own[1]) for a in arguments]
    done = started("roofline", *given, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == (2 if "Kårte µ" in given else 0), done.stderr
    assert (done.stdout + done.stderr).isascii() and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("measure", "--seconds", "-1"), "seconds is -1.0"), (("measure", "--seconds", "nan"), "seconds"),
     (("measure", "--threads", "0"), "threads is 0"), (("measure", "--threads", "-2"), "threads is -2"),
     (("roofline", "H200-SXM", "--batch=-3"), "--batch is given without MODEL"),
     (("roofline", "H200-SXM", "--weights", "fp7"), "--weights is given without MODEL"),
     (("roofline", "H200-SXM", "--tp", "0"), "--tp is given without MODEL")],
)  # fmt: skip
def test_bad_input_is_refused_although_it_is_not_needed(
    arguments: tuple[str, ...], said: str
) -> None:
    run("measure", "--seconds", "0.1")  # kept from now on
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


class Installed:
    """What `importlib.metadata` says of an installation."""

    def __init__(self, noted: dict[str, Any] | None) -> None:
        self.noted = noted

    def read_text(self, name: str) -> str | None:
        return None if self.noted is None else json.dumps(self.noted)

    def locate_file(self, name: str) -> Path:
        return Path(lazy.__file__).parent.parent


@pytest.mark.parametrize(
    ("noted", "hint"),
    [(None, "'tokenroof[report]'"), ({"url": "file:///", "dir_info": {}}, "'/[report]'"),
     ({"url": "file:///", "dir_info": {"editable": True}}, "-e '/[report]'"),
     ({"url": "file:///gone/away", "dir_info": {}}, "'tokenroof[report]'"),
     ({"url": "https://x.example/t.git", "vcs_info": {"vcs": "git"}},
      "'tokenroof[report] @ git+https://x.example/t.git'"),
     ({"url": "https://x.example/t.whl", "archive_info": {}},
      "'tokenroof[report] @ https://x.example/t.whl'")],
)  # fmt: skip
def test_hints_name_where_the_package_came_from(
    noted: dict[str, Any] | None, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(noted))
    assert lazy.install_hint("report") == f"python -m pip install {hint}"
    with pytest.raises(ImportError, match="nothing_of_that_name is needed here: python -m pip"):
        lazy.require("nothing_of_that_name", extra="report")


def test_a_checkout_names_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", none)
    here = Path(lazy.__file__).resolve().parents[3]
    where = here if (here / "pyproject.toml").is_file() else "tokenroof"
    assert lazy.install_hint("all") == f"python -m pip install '{where}[all]'"
