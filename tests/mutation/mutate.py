"""Changes one formula at a time and looks whether the tests notice. Run by hand.

    python -m pip install '.[test,coverage]'
    python tests/mutation/mutate.py --kind python --count 200 --seed 1
    python tests/mutation/mutate.py --kind cpp --count 200 --seed 1

Changes are drawn by the seed from all that `places.py` finds. First the tests run once in a copy of the sources
(`build/mutation`), with few examples of each drawn test: which come to the place of which change is kept, and only what
is new or other since runs again. Then each change is made, and tests that come to it run, the quickest first, until one
fails that passes without the change, after the same others: the change is killed. One that takes longer than its time
is killed too. Changes of functions are made in a process that has loaded all tests (served.py); those of constants and
defaults, and those that survive there, in one that loads the changed file anew. Answers are kept
(`build/mutation/<kind>.jsonl`): a second call goes on where the first ended, `--survivors` tries the survivors alone
again. `--since COMMIT` draws of lines alone that are new or other than in a commit, `--folders` asks tests of some
folders alone. `equivalent.txt` names changes that no test can notice, and why; those are not counted.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import chosen
import headers
import probes
import served
from copies import ROOT, scratch
from places import Mutant, of_cpp, of_python

FORMULAS = ("inference", "mining", "serving", "economics", "records", "catalogue", "calibrate")


def drawn(kind: str, only: list[str], seed: int) -> list[Mutant]:
    """All mutants in the order in which this seed draws them: another file's edits leave it as it is."""
    if kind == "cpp":
        found = [m for p in sorted((ROOT / "cpp/include").rglob("*.hpp")) for m in of_cpp(ROOT, p)]
    else:
        package = ROOT / "python/tokenroof"
        found = [
            m
            for f in FORMULAS
            for p in sorted((package / f).rglob("*.py"))
            for m in of_python(ROOT, p)
        ]
    found = [m for m in found if any(part in m.path for part in only)]
    return sorted(found, key=lambda m: hashlib.sha256(f"{seed}|{m.name}".encode()).digest())


def new_lines(commit: str) -> dict[str, set[int]]:
    """File -> numbers of its lines that are new or other than in a commit."""
    command = ["git", "-C", str(ROOT), "diff", "-U0", "--no-renames", commit, "--", "python", "cpp"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    out: dict[str, set[int]] = {}
    path = ""
    for line in said.splitlines():
        if line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/")
        elif hunk := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, many = int(hunk[1]), int(hunk[2] or 1)
            out.setdefault(path, set()).update(range(first, first + many))
    return out


def equivalents() -> dict[str, str]:
    """Name and reason of each change that no test can notice."""
    out = {}
    for line in (Path(__file__).parent / "equivalent.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            out[name] = reason.strip()
    return out


def preload() -> None:
    """What tests import of others, once for all children."""
    import hypothesis.extra.numpy
    import numpy
    import pandas
    import pytest
    import scipy.optimize
    import xarray

    assert all((hypothesis, numpy, pandas, pytest, scipy, xarray))


def outcome(tests: list[str], limit: float, copy: Path) -> str:
    """The tests of a copy in a child of this process, which has loaded what they import: killed, survived, time-out."""
    log = copy.parent / f"{copy.name}.log"
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 5))
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        os.chdir(copy)
        os.environ |= {"PYTHONPATH": str(copy / "python"), "HYPOTHESIS_PROFILE": "first"}
        sys.path[:0] = [str(copy / "python"), str(copy / "tests")]
        import pytest

        code = pytest.main(
            [
                "-x",
                "-q",
                "-n",
                "0",
                "-p",
                "no:cacheprovider",
                "--assert=plain",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                "--no-header",
                "--tb=line",
                *tests,
            ]
        )
        sys.stdout.flush()
        os._exit(int(code))
    end = time.monotonic() + 20 * limit  # of a busy machine's clock, for what waits for ever
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGXCPU, -signal.SIGKILL):
                return "time-out"
            if gone := set(
                re.findall(r"^ERROR: not found: \S*?(tests/\S+)", log.read_text(), re.MULTILINE)
            ):
                rest = [t for t in tests if t.split(" ")[0] not in gone]
                return outcome(rest, limit, copy) if 0 < len(rest) < len(tests) else "survived"
            if "found no collectors" in log.read_text():  # what it tests cannot be imported
                return "killed"
            if code not in (0, 1, 2):  # neither passed nor failed
                raise RuntimeError(f"{tests[:3]} do not run; see {log}")
            return "survived" if code == 0 else "killed"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "time-out"


def changed(copy: Path, mutant: Mutant, action: Callable[[], str]) -> str:
    """What `action` says while the change is made."""
    path = copy / mutant.path
    text, times = path.read_text(), path.stat()
    path.write_text(text[: mutant.start] + mutant.new + text[mutant.end :])
    try:
        return action()
    finally:
        path.write_text(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def through(rounds: list[tuple[list[str], float]], copy: Path) -> str:
    """The verdict of lists of tests, one after another."""
    for tests, limit in rounds:
        verdict = outcome(tests, limit, copy)
        if verdict != "survived":
            return verdict
    return "survived"


def blamed(copy: Path) -> str:
    """The test that failed last."""
    found = re.search(
        r"^(?:FAILED|ERROR) (tests/.+?)(?: - |$)",
        (copy.parent / f"{copy.name}.log").read_text(),
        re.MULTILINE,
    )
    return found[1] if found else ""


def fair(
    rounds: list[tuple[list[str], float]],
    copy: Path,
    sound: dict[str, bool],
    look: Callable[..., str],
) -> str:
    """What `look` says of lists of tests, by those that pass without a change."""
    for _ in range(8):
        rounds = [([t for t in tests if sound.get(t, True)], limit) for tests, limit in rounds]
        verdict = look(rounds)
        if verdict != "killed" or not (test := blamed(copy)):
            return verdict
        if test not in sound:
            sound[test] = outcome([test], 600.0, copy) == "survived"
        if sound[test]:
            return verdict
        # one of a file that runs whole
        rounds = [([*tests, f"--deselect={test}"], limit) for tests, limit in rounds]
    return "survived"


def slowly(
    copy: Path, mutant: Mutant, tests: list[str], seconds: float, sound: dict[str, bool]
) -> str:
    """The verdict of a process that loads the changed file anew."""

    def look(rounds: list[tuple[list[str], float]]) -> str:
        return changed(copy, mutant, functools.partial(through, rounds, copy))

    return fair([(tests, 10 * seconds)], copy, sound, look) if tests else "survived"


def ordered(
    reach: served.Reach, numbered: list[tuple[int, Mutant]], seconds: float
) -> dict[int, list[str]]:
    """Tests of each change, in order."""
    of_file: dict[str, set[str]] = {}
    for _, mutant in numbered:
        of_file.setdefault(mutant.path, set()).add(mutant.name)
    return {n: chosen.of_change(reach, m, of_file[m.path], seconds) for n, m in numbered}


def of_the_python(
    work: Path, some: list[Mutant], seconds: float
) -> Iterator[tuple[Mutant, str, str]]:
    """Each change of a Python file, its verdict, and by which test."""
    copy, sound, numbered = (
        scratch(work / "sources", built=False),
        dict[str, bool](),
        list(enumerate(some, 1)),
    )
    changes = served.Python(copy, numbered)
    reach = served.reach(changes, chosen.of_all(copy), work / "python.reach.json")
    order, rest = ordered(reach, numbered, seconds), []
    quick = [n for n, m in numbered if probes.in_functions(copy, m)]
    for n, verdict, by in served.judge(
        changes, {n: order[n] for n in quick}, reach, work / "python.now.jsonl"
    ):
        if verdict == "survived":
            rest.append(n)
        else:
            yield changes.numbered[n], verdict, by
    for n, mutant in numbered:
        if n in rest or n not in quick:
            tests = [*order[n][:5], chosen.DEFAULTS, *order[n][5:]]
            verdict = slowly(copy, mutant, tests, seconds, sound)
            yield mutant, verdict, "" if verdict == "survived" else blamed(copy)


def of_the_headers(
    work: Path, some: list[Mutant], seconds: float
) -> Iterator[tuple[Mutant, str, str]]:
    """Each change of a header, its verdict, and by which test: all in one build, but for those that stand alone."""
    numbered = list(enumerate(some, 1))
    copy, plain = scratch(work / "switched", but="cpp/include"), work / "plain"
    alone = headers.switched(ROOT, copy, numbered)
    changes, sound = served.Compiled(copy, numbered), dict[str, bool]()
    reach = served.reach(changes, chosen.of_headers(copy), work / "cpp.reach.json")
    order = ordered(reach, numbered, seconds)
    quick = {n: order[n] for n, _ in numbered if n not in alone}
    for n, verdict, by in served.judge(changes, quick, reach, work / "cpp.now.jsonl"):
        yield changes.numbered[n], verdict, by
    if alone and (said := headers.build(scratch(plain))):
        raise SystemExit(said[-3000:])
    for number, mutant in numbered:
        if number in alone:
            tests = order[number] or chosen.of_subject(plain, chosen.subject(mutant.path))
            rounds = [(tests, 10 * seconds)]

            def look(rounds: list[tuple[list[str], float]], mutant: Mutant = mutant) -> str:
                built = functools.partial(headers.rebuilt, plain, mutant.path)
                return changed(
                    plain, mutant, lambda: through(rounds, plain) if built() else "invalid"
                )

            verdict = fair(rounds, plain, sound, look)
            yield mutant, verdict, blamed(plain) if verdict == "killed" else ""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("cpp", "python"), default="python")
    parser.add_argument("--count", type=int, default=200, help="changes that are judged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", nargs="*", default=[""], help="parts of paths: files that have one"
    )
    parser.add_argument("--since", help="a commit: of lines that are new or other since")
    parser.add_argument(
        "--folders", nargs="*", default=chosen.FOLDERS, help="of tests that are asked about Python"
    )
    parser.add_argument("--survivors", action="store_true", help="try again what survived")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="of tests for each change, about"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutation")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    chosen.FOLDERS = tuple(options.folders)
    preload()
    record = options.work / f"{options.kind}.jsonl"
    lines = record.read_text().splitlines() if record.exists() else []
    known = {entry["name"]: entry["verdict"] for entry in map(json.loads, lines)}
    excepted = equivalents()
    order = [m for m in drawn(options.kind, options.only, options.seed) if m.name not in excepted]
    if options.since:
        lines_of = new_lines(options.since)
        order = [m for m in order if m.line in lines_of.get(m.path, ())]
    order = [m for m in order if known.get(m.name) != "invalid"][: options.count]
    open_ = [
        m
        for m in order
        if m.name not in known or (options.survivors and known[m.name] == "survived")
    ]
    judge = of_the_headers if options.kind == "cpp" else of_the_python
    began = time.monotonic()
    for mutant, verdict, by in judge(options.work, open_, options.seconds) if open_ else ():
        known[mutant.name] = verdict
        took, began = time.monotonic() - began, time.monotonic()
        with record.open("a") as out:
            print(json.dumps({"name": mutant.name, "verdict": verdict, "path": mutant.path, "line": mutant.line,
                              "by": by, "before": mutant.before, "after": mutant.after}), file=out)  # fmt: skip
        print(f"{verdict:9s}{took:6.1f} s  {mutant.name} {mutant.path}:{mutant.line}", flush=True)
    return summary(options.kind, [(m, known[m.name]) for m in order])


def summary(kind: str, found: list[tuple[Mutant, str]]) -> int:
    """Counts, and the survivors one by one."""
    found = [(mutant, verdict) for mutant, verdict in found if verdict != "invalid"]
    survivors = [mutant for mutant, verdict in found if verdict == "survived"]
    for m in survivors:
        print(f"survived {m.name} {m.path}:{m.line}\n  - {m.before}\n  + {m.after}")
    killed, late = len(found) - len(survivors), sum(verdict == "time-out" for _, verdict in found)
    share = 100 * killed / max(len(found), 1)
    print(f"{kind}: {killed} of {len(found)} killed ({share:.1f} %), {late} of them by their time")
    return 0 if share >= 95 else 1


if __name__ == "__main__":
    sys.exit(main())
