"""Lines that the tests run, of Python and of the C++ formulas. Run by hand: python tests/mutation/covered.py

Python: all tests under coverage. C++: those tests that hold headers to their twins, on a build that counts (gcov). Both in copies under `build/mutation`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import chosen
import headers
from copies import ROOT, scratch


def of_python(work: Path) -> None:
    """Run all tests, and print lines by folder."""
    data, log = work / "coverage", work / "map.log"
    with log.open("w") as out:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--dist", "load", "--cov=tokenroof", "--cov-report="],
            cwd=ROOT, stdout=out, env={**os.environ, "COVERAGE_FILE": str(data)}, check=False,
        )  # fmt: skip
    python_lines([data])


def python_lines(files: list[Path]) -> None:
    """Print lines run and lines in all, by folder, and files with most that are not run."""
    import coverage

    whole = coverage.Coverage(data_file=None)
    for file in files:
        data = coverage.CoverageData(str(file))
        data.read()
        whole.get_data().update(data)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    missed = []
    for path in sorted(whole.get_data().measured_files()):
        if not Path(path).exists():
            continue
        _, lines, _, missing, _ = whole.analysis2(path)
        part = path.partition("tokenroof/tokenroof/")[2] or path.partition("python/tokenroof/")[2]
        folder = part.split("/")[0] if "/" in part else "."
        counts[folder][0] += len(lines) - len(missing)
        counts[folder][1] += len(lines)
        missed.append((len(missing), part, missing))
    report(counts, missed)


def report(counts: dict[str, list[int]], missed: list[tuple[int, str, list[int]]]) -> None:
    """The table of folders, the sum, and the lines that no test runs."""
    for folder, (run, of) in sorted(counts.items()):
        print(f"{folder:12s} {run:6d} of {of:6d}  {100 * run / max(of, 1):5.1f} %")
    run, of = (sum(c[i] for c in counts.values()) for i in (0, 1))
    print(f"{'all':12s} {run:6d} of {of:6d}  {100 * run / max(of, 1):5.1f} %")
    for number, part, lines in sorted(missed, reverse=True)[:25]:
        if number:
            print(f"  {number:4d} in {part}: {' '.join(map(str, lines[:30]))}")


def of_cpp(work: Path) -> None:
    """Run the headers' tests on a build that counts, and print lines by folder."""
    copy = scratch(work / "counted")
    if said := headers.build(copy, "-O0 --coverage"):
        raise SystemExit(said[-3000:])
    for old in (copy / "build").rglob("*.gcda"):
        old.unlink()
    tests = sorted({t for some in chosen.HEADERS.values() for t in some if (copy / t).exists()})
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *tests],
                   cwd=copy, env={**os.environ, "PYTHONPATH": str(copy / "python")}, check=False)  # fmt: skip
    lines: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for file in (copy / "build").rglob("*.gcda"):
        done = subprocess.run(["gcov", "--json-format", "--stdout", str(file)], capture_output=True, text=True,
                              cwd=copy / "build", check=False)  # fmt: skip
        for text in done.stdout.splitlines():
            for entry in json.loads(text)["files"]:
                part = re.search(r"cpp/include/tokenroof/(.+)", entry["file"])
                for line in entry["lines"] if part else ():
                    lines[part[1]][line["line_number"]] += line["count"]
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    missed = []
    for part, found in lines.items():
        missing = sorted(n for n, times in found.items() if not times)
        counts[part.split("/")[0]][0] += len(found) - len(missing)
        counts[part.split("/")[0]][1] += len(found)
        missed.append((len(missing), part, missing))
    report(counts, missed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", choices=("python", "cpp"), default=["python", "cpp"])
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutation")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds:
        print(f"--- {kind}")
        of_python(options.work) if kind == "python" else of_cpp(options.work)
