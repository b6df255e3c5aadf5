"""What a stranger checks before relying on a library: it calls nobody, and its dependencies may be used."""

import importlib.metadata
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

USES = """
import sys
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event.startswith("socket.") else None)
import tokenroof as tr
tr.decode("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4), batch=8, context=1024)
tr.serving.curve("B200-SXM", "gpt-oss-120b", tr.Plan(tp=2), concurrency=[4])
tr.mining.scan(bytes(80), count=1000, target=2**240)
tr.catalogue.sources()
tr.economics.Market.latest()
tr.economics.factory(next(iter(tr.economics.presets())))
from tokenroof.cli import main
for words in (["list", "devices"], ["hash", "--seconds", "0.05"], ["curve", "H200-SXM", "Llama-3.1-8B"]):
    try:
        main(words)
    except SystemExit as left:
        assert not left.code, (words, left.code)
assert not opened, opened
"""


def test_nothing_opens_a_socket():
    got = subprocess.run(
        [sys.executable, "-c", USES], capture_output=True, text=True, timeout=300, check=False
    )
    assert got.returncode == 0, got.stderr[-2000:]


def test_tests_reach_no_network():
    """The hook of `_network` is in force: an address for documentation (RFC 5737) is refused before it is called."""
    with socket.socket() as one, pytest.raises(PermissionError, match="nothing here reaches"):
        one.connect(("192.0.2.1", 80))
    with pytest.raises(PermissionError, match="nothing here reaches"):
        socket.getaddrinfo("example.invalid", 443)
    assert socket.getaddrinfo("127.0.0.1", 80)


PERMISSIVE = r"Apache|BSD|MIT|Unlicense|PSF|Python Software Foundation|ISC"
# of tools that a user does not get: weak copyleft by file, and what a maker of devices hands out
ALSO_FOR_TESTS = {"hypothesis": "MPL-2.0", "nvidia-cuda-nvrtc": "NVIDIA"}


def _licence(name):
    about = importlib.metadata.metadata(name)
    # the first line: a text that follows speaks of what a wheel carries too
    said = [about.get("License-Expression"), (about.get("License") or "").split("\n")[0]]
    said += [c for c in about.get_all("Classifier", []) if c.startswith("License")]
    return " ".join(filter(None, said))


def _required():
    extras = PROJECT["project"]["optional-dependencies"]
    yield from (("core", requirement) for requirement in PROJECT["project"]["dependencies"])
    # what writes the pages and checks the source reaches no user
    given = [extra for extra in extras if extra not in ("docs", "dev", "coverage")]
    yield from ((extra, requirement) for extra in given for requirement in extras[extra])


@pytest.mark.parametrize("extra,requirement", list(_required()))
def test_licences_of_what_is_required(extra, requirement):
    name = re.match(r"[\w.-]+", requirement)[0]
    if name == "tokenroof":
        assert PROJECT["project"]["license"] == "Apache-2.0"
        return
    licence = _licence(name)  # the extra `test` brings all of them
    allowed = ALSO_FOR_TESTS.get(name, PERMISSIVE) if extra == "test" else PERMISSIVE
    assert re.search(allowed, licence), licence
    assert not re.search(r"(?<!L)GPL|AGPL", licence), licence


def test_wheels_are_set_for_every_python_that_is_promised():
    listed = PROJECT["project"]["classifiers"]
    versions = re.findall(r"Python :: 3\.(\d+)", "\n".join(listed))
    built = PROJECT["tool"]["cibuildwheel"]["build"]
    assert {f"cp3{version}-*" for version in versions} <= set(built)
    assert min(map(int, versions)) == int(PROJECT["project"]["requires-python"].rpartition(".")[2])
    assert any(name.endswith("t-*") for name in built)  # free-threaded
