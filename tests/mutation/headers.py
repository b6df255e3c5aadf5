"""A quick build of the compiled core: generic loops without optimisation, of which a header rebuilds what it is in."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import switches

if TYPE_CHECKING:
    from places import Mutant

LAUNCHER = '#!/bin/sh\nexec ${CCACHE:-} "$@" -w %s\n'


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


def build(copy: Path, flags: str = "-O0", others: str = "") -> str:
    """Configure and build the copy's `_core`, in place of the one that was copied; what went wrong, or nothing."""
    import pybind11

    folder = copy / "build"
    folder.mkdir(exist_ok=True)
    launcher = folder / "launch"
    launcher.write_text(LAUNCHER % flags)
    launcher.chmod(0o755)
    coverage = "--coverage" if "--coverage" in flags else ""
    for command in (
        ("cmake", "-S", copy, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DTOKENROOF_NATIVE_ISAS=OFF",
         "-DTOKENROOF_CUDA=OFF", "-DSKBUILD_PROJECT_VERSION_FULL=0", f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}",
         f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}",
         f"-DCMAKE_MODULE_LINKER_FLAGS={coverage}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"),
        ("ninja", "-C", folder, "-k", "0"),
    ):  # fmt: skip
        done = _run(*command)
        if done.returncode:
            return done.stdout + done.stderr
    if others:
        (folder / "other.cpp").write_text(others)
        _run("g++", "-fPIC", "-c", "-o", folder / "cpp" / "other.o", folder / "other.cpp")
    return "" if link(copy, coverage) else "the module does not link"


def switched(root: Path, copy: Path, numbered: list[tuple[int, Mutant]]) -> set[int]:
    """Build all changes into one module; the numbers that are to be built alone."""
    alone: set[int] = set()
    for _ in range(5):
        alone = switches.write(root, copy, numbered, alone)
        said = build(copy, "-O1", switches.DEFINED)
        if not said:
            return alone
        wrong = set(re.findall(r"(cpp/include/[\w/]+\.hpp):(\d+):\d+: error", said))
        wrong |= set(re.findall(r"(cpp/include/[\w/]+\.hpp):(\d+):\d+:   required", said))
        more = {n for n, m in numbered if (m.path, str(m.line)) in wrong} - alone
        if not more:
            raise SystemExit(said[-4000:])
        alone |= more
    raise SystemExit("the changed headers do not compile")


def link(copy: Path, flags: str = "", other: dict[Path, Path] | None = None) -> bool:
    """The module of all objects, those of the loops first: of templates in several, theirs count."""
    objects = sorted(
        (copy / "build" / "cpp").rglob("*.o"), key=lambda p: ("loops_" not in str(p), str(p))
    )
    package = copy / "python" / "tokenroof"
    name = next(iter((copy / "build" / "cpp").glob("_core*.so"))).name
    for old in package.glob("_core*.so"):
        old.unlink()
    objects = [(other or {}).get(path, path) for path in objects]
    return (
        _run(
            "g++", "-shared", "-pthread", *flags.split(), "-o", package / name, *objects
        ).returncode
        == 0
    )


@functools.cache
def _users(folder: Path) -> dict[str, list[str]]:
    """Header -> objects that it is in."""
    out: dict[str, list[str]] = {}
    for block in _run("ninja", "-C", folder, "-t", "deps").stdout.split("\n\n"):
        name, *files = block.strip().splitlines() or [""]
        for file in files:
            if "include/tokenroof/" in file:
                out.setdefault(file.partition("include/tokenroof/")[2], []).append(
                    name.split(":")[0]
                )
    return out


@functools.cache
def _commands(folder: Path) -> dict[str, tuple[str, str]]:
    """Object -> its command, and the folder in which it runs."""
    entries = json.loads((folder / "compile_commands.json").read_text())
    return {
        entry["command"].split(" -o ")[1].split()[0]: (entry["command"], entry["directory"])
        for entry in entries
    }


def rebuilt(copy: Path, header: str) -> bool:
    """Whether the changed header compiles; objects that it is in are built aside, Python's only if no other has it."""
    folder = copy / "build"
    users = _users(folder)[header.partition("include/tokenroof/")[2]]
    lean = [u for u in users if "core_python" not in u]
    other = {}
    for number, user in enumerate(users if "sha256" in header or not lean else lean):
        command, where = _commands(folder)[user]
        aside = folder / f"aside{number}.o"
        done = subprocess.run(
            command.replace(user, str(aside)),
            shell=True,
            cwd=where,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            return False
        other[folder / user] = aside
    return link(copy, other=other)
