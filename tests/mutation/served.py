"""A process that has loaded the tests of a copy, and runs some of them in children: once for what each reaches, once a change.

A change is made in memory: of Python by the code of its functions, of C++ by the number that the build reads. What
the tests do is what they do without it, but for the start, and for what is computed while modules are loaded.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import probes
import pytest

if TYPE_CHECKING:
    from places import Mutant

Reach = dict[str, tuple[float, list[str]]]  # test -> its seconds, names of changes that it comes to
LONGEST_S = 4.0  # of CPU, of one test whose reach is looked at
DRAWN = 10.0  # how many times longer a drawn test takes with all of its examples


class Python:
    """Changes of Python, by the code of live functions."""

    def __init__(self, copy: Path, numbered: list[tuple[int, Mutant]]) -> None:
        self.copy, self.numbered, self.hits = copy, dict(numbered), set[int]()

    def load(self) -> None:
        """Load what is to be changed: much is loaded where it is first asked for."""
        for mutant in self.numbered.values():
            parts = Path(mutant.path).with_suffix("").parts[1:]
            importlib.import_module(".".join(p for p in parts if p != "__init__"))

    def watch(self) -> None:
        """Have each change's place say when it is reached."""
        probes.watch(self.copy, self.numbered, self.hits)

    def reached(self) -> list[int]:
        """Numbers of places that were reached since the last call."""
        found = sorted(self.hits)
        self.hits.clear()
        return found

    def change(self, number: int) -> None:
        """Make a change in the functions that are there."""
        if number:
            probes.change(self.copy, self.numbered[number])


class Compiled:
    """Changes of headers, all in one module (switches.py)."""

    def __init__(self, copy: Path, numbered: list[tuple[int, Mutant]]) -> None:
        self.copy, self.numbered = copy, dict(numbered)
        self.most = max(self.numbered, default=0)

    def load(self) -> None:
        """Nothing: the module is one."""

    def _module(self) -> ctypes.CDLL:
        import tokenroof._core as core

        assert str(self.copy) in str(core.__file__)
        return ctypes.CDLL(core.__file__)

    def watch(self) -> None:
        """Have each change's place say when it is reached."""
        ctypes.c_int.in_dll(self._module(), "tr_change").value = -1
        self._seen = (ctypes.c_ubyte * (self.most + 1)).in_dll(self._module(), "tr_hits")

    def reached(self) -> list[int]:
        """Numbers of places that were reached since the last call."""
        found = [n for n in range(1, self.most + 1) if self._seen[n]]
        ctypes.memset(self._seen, 0, self.most + 1)
        return found

    def change(self, number: int) -> None:
        """Have this change count in place of what it changes."""
        ctypes.c_int.in_dll(self._module(), "tr_change").value = number


class _Instead:
    """A plugin: with the tests that were collected, something else than to run them all once."""

    def __init__(self, action: Callable[[list[pytest.Item]], None]) -> None:
        self.action = action

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.action(session.items)
        return True


def _with_tests(
    copy: Path, tests: list[str], profile: str, action: Callable[[list[pytest.Item]], None]
) -> int:
    """A child of this process that collects these tests and does something with them."""
    child = os.fork()
    if child:
        return child
    out = os.open(copy.parent / f"{copy.name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    os.chdir(copy)
    os.environ |= {"PYTHONPATH": str(copy / "python"), "HYPOTHESIS_PROFILE": profile}
    sys.path[:0] = [str(copy / "python"), str(copy / "tests")]
    options = ["-q", "-n", "0", "-p", "no:cacheprovider", "--assert=plain", "--no-header", "--tb=line", "-W",
               "ignore::pytest.PytestAssertRewriteWarning"]  # fmt: skip
    code = pytest.main([*options, *tests], plugins=[_Instead(action)])
    sys.stdout.flush()
    os._exit(int(code))


def _ended(child: int, copy: Path) -> None:
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1, 5):
        raise RuntimeError(f"tests are not collected; see {copy.parent / copy.name}.log")


def reach(changes: Python | Compiled, files: list[str], to: Path) -> Reach:
    """What tests of these files take and reach, kept in a file: those that are new or other than then run again."""
    names = sorted(mutant.name for mutant in changes.numbered.values())
    old = json.loads(to.read_text()) if to.exists() else {"names": [], "texts": {}, "tests": {}}
    if not set(names) <= set(old["names"]):
        old = {"names": names, "texts": {}, "tests": {}}
    texts = {file: zlib.crc32((changes.copy / file).read_bytes()) for file in files}
    open_ = [file for file in files if old["texts"].get(file) != texts[file]]
    found = {t: e for t, e in old["tests"].items() if t.split("::")[0] in set(files) - set(open_)}

    def look(items: list[pytest.Item]) -> None:
        changes.load()
        changes.watch()
        subprocess.Popen = _no_process  # type: ignore[assignment, misc]
        signal.signal(signal.SIGVTALRM, _outlasted)
        for item, following in itertools.zip_longest(items, items[1:]):
            failed, began = item.session.testsfailed, time.process_time()
            signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
            drawn = getattr(getattr(item, "function", None), "is_hypothesis_test", False)
            took, here = time.process_time() - began, changes.reached()
            if item.session.testsfailed == failed and here:
                seconds = round(took * (DRAWN if drawn else 1.0), 4)
                found[item.nodeid] = (seconds, [changes.numbered[n].name for n in here])
        to.write_text(json.dumps({"names": old["names"], "texts": texts, "tests": found}))

    if open_:
        _ended(_with_tests(changes.copy, open_, "few", look), changes.copy)
    known = {t: (e[0], e[1]) for t, e in json.loads(to.read_text())["tests"].items()}
    if names and not known:
        raise RuntimeError(f"no test comes to any of {len(names)} changes: nothing is judged")
    return known


def _no_process(*_: object, **__: object) -> None:
    raise OSError("no process of its own, in which nothing is seen")


def _outlasted(*_: object) -> None:
    raise TimeoutError("a test that takes too long for a look at what it reaches")


def judge(
    changes: Python | Compiled, order: dict[int, list[str]], reach: Reach, to: Path
) -> Iterator[tuple[int, str, str]]:
    """Verdicts of the changes by these tests each, in their order: the number, what became of it, by which test.

    One that takes ten times as long as its tests do, and half a minute, is stuck.
    """

    def all_of_them(items: list[pytest.Item]) -> None:
        by_name = {item.nodeid: item for item in items}
        sound = dict[str, bool]()
        changes.load()
        gc.collect()
        gc.freeze()
        for number, tests in order.items():
            some = [by_name[t] for t in tests if t in by_name]
            seconds = 30.0 + 10.0 * sum(reach[t][0] for t in tests if t in by_name)
            verdict, by = _fair(changes, number, some, seconds, sound)
            with to.open("a") as out:
                print(json.dumps([number, verdict, by]), file=out)

    to.write_text("")
    files = sorted({test.split("::")[0] for tests in order.values() for test in tests})
    child = _with_tests(changes.copy, files, "first", all_of_them)
    told, done = 0, (0, 0)
    while done[0] == 0:
        done = os.waitpid(child, os.WNOHANG)
        lines = to.read_text().split("\n")[:-1]
        yield from ((n, verdict, by) for n, verdict, by in map(json.loads, lines[told:]))
        told = len(lines)
        time.sleep(0.1)
    if told < len(order):
        raise RuntimeError(
            f"the tests ended early; see {changes.copy.parent / changes.copy.name}.log"
        )


def _fair(
    changes: Python | Compiled,
    number: int,
    items: list[pytest.Item],
    seconds: float,
    sound: dict[str, bool],
) -> tuple[str, str]:
    """A verdict, of tests that pass without a change, those before them run too; and the test that failed."""
    while True:
        items = [item for item in items if sound.get(item.nodeid, True)]
        verdict, at = _outcome(changes, number, items, seconds)
        if at is None:
            return verdict, ""
        plain, also = _outcome(changes, 0, items[: at + 1], 10 * seconds)
        if plain == "survived":
            return verdict, items[at].nodeid
        failing = items[at if also is None else also]
        sound[failing.nodeid] = False
        print(f"fails without a change: {failing.nodeid}", flush=True)


def _outcome(
    changes: Python | Compiled, number: int, items: list[pytest.Item], seconds: float
) -> tuple[str, int | None]:
    """Whether a child that makes the change fails one of these tests, and which; one that crashes or stays fails too."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
        try:
            changes.change(number)
            code = _run(items, writer)
        except BaseException as error:
            print(repr(error), flush=True)
            code = 3
        sys.stdout.flush()
        os._exit(code)
    os.close(writer)
    end = time.monotonic() + 20 * seconds  # of a busy machine's clock, for what waits for ever
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < end:
        time.sleep(0.01)
    if done[0] == 0:
        os.killpg(child, signal.SIGKILL)
        done = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as said:
        at = said.read().count(b".") - 1
    code = os.waitstatus_to_exitcode(done[1])
    if code == 3:
        raise RuntimeError(f"change {number} cannot be made")
    if code == 0:
        return "survived", None
    late = code in (-signal.SIGXCPU, -signal.SIGKILL)
    return ("time-out" if late else "killed"), max(at, 0)


def _run(items: list[pytest.Item], writer: int) -> int:
    """Run tests until one fails, a dot for each that begins."""
    for item, following in itertools.zip_longest(items, items[1:]):
        os.write(writer, b".")
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0
