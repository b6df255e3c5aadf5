"""Which tests concern a change: those that ran its line when the map was made, else those of its subject."""

from __future__ import annotations

import ast
import functools
import json
import re
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from places import Mutant

# Subject of a header -> tests that hold its formulas to their twins, first those that take least.
HEADERS = {
    "core": ("tests/kernels/test_kernels_reference.py", "tests/inference/test_step_reference.py",
             "tests/mining/test_pools.py", "tests/serving/test_open_loop.py", "tests/economics/test_risk.py"),
    "records": ("tests/inference/test_header_points.py", "tests/inference/test_step_reference.py",
                "tests/inference/test_memory.py"),
    "inference": ("tests/inference/test_header_points.py", "tests/kernels/test_kernels_reference.py",
                  "tests/inference/test_step_reference.py", "tests/inference/test_gemm.py",
                  "tests/inference/test_attention.py", "tests/inference/test_experts.py",
                  "tests/inference/test_routing.py", "tests/inference/test_layer_operators.py",
                  "tests/inference/test_collectives.py", "tests/inference/test_memory.py",
                  "tests/inference/test_recent_layers.py", "tests/inference/test_power.py",
                  "tests/inference/test_data_parallel.py", "tests/kernels/test_kernels_nan.py"),
    "serving": ("tests/kernels/test_kernels_reference.py", "tests/serving/test_closed_twin.py",
                "tests/serving/test_serving_reference.py",
                "tests/serving/system/test_system_kernel.py", "tests/serving/test_open_loop.py",
                "tests/serving/tuning/test_fleet.py", "tests/serving/test_session_curve.py"),
    "mining": ("tests/mining/test_sha256.py", "tests/kernels/test_kernels_reference.py", "tests/mining/test_attacks.py",
               "tests/mining/test_pools.py", "tests/mining/test_bitcoin.py"),
    "economics": ("tests/kernels/test_kernels_reference.py", "tests/economics/test_flow_rows.py",
                  "tests/economics/test_returns.py", "tests/economics/test_power_split.py", "tests/economics/test_risk.py"),
}  # fmt: skip


DEFAULTS = "tests/house/test_defaults.py::test_no_default_changes_unseen"


def keep_map(data_files: list[Path], logs: list[Path], work: Path) -> int:
    """The map of files that `coverage` and pytest's log of durations have written."""
    from coverage import CoverageData

    lines: dict[str, dict[str, list[str]]] = {}
    texts: dict[str, int] = {}
    for file in data_files:
        data = CoverageData(str(file))
        data.read()
        for path in data.measured_files():
            key = path[path.index("python/tokenroof") :]
            now = zlib.crc32(Path(path).read_bytes()) if Path(path).exists() else 0
            texts[key] = now if texts.get(key, now) == now else 0  # of two versions none counts
            here = lines.setdefault(key, {})
            for line, contexts in data.contexts_by_lineno(path).items():
                tests = {c.rsplit("|", 1)[0] for c in contexts if "|" in c}
                here[str(line)] = sorted({*here.get(str(line), ()), *tests})
    seconds: dict[str, float] = {}
    for log in logs:
        for took, test in re.findall(
            r"^([\d.]+)s (?:call|setup) +(.+)$", log.read_text(), re.MULTILINE
        ):
            seconds[test.strip()] = seconds.get(test.strip(), 0.0) + float(took)
    names = sorted({t for here in lines.values() for tests in here.values() for t in tests})
    if not names:
        raise SystemExit(
            "no line says which test ran it: pytest-cov names tests of its workers alone, not with -n 0"
        )
    number = {test: i for i, test in enumerate(names)}
    packed = {
        f: {n: [number[t] for t in tests] for n, tests in here.items()} for f, here in lines.items()
    }
    (work / "map.json").write_text(
        json.dumps({"tests": names, "lines": packed, "seconds": seconds, "texts": texts})
    )
    print(f"{len(lines)} files, {len(seconds)} tests of more than an instant")
    return 0


@functools.cache
def _map(work: Path) -> tuple[dict[str, dict[str, list[str]]], dict[str, float], dict[str, int]]:
    path = work / "map.json"
    if not path.exists():
        raise SystemExit("no map of tests yet: python tests/mutation/covered.py python")
    found = json.loads(path.read_text())
    names = found["tests"]
    lines = {
        f: {n: [names[i] for i in tests] for n, tests in here.items()}
        for f, here in found["lines"].items()
    }
    return lines, found["seconds"], found["texts"]


def subject(path: str) -> str:
    """The subject of a header or a Python file."""
    return path.split("tokenroof/")[-1].split("/")[0]


def of_subject(copy: Path, name: str) -> list[str]:
    """Tests of a subject's headers, as far as this copy has them."""
    return [t for t in HEADERS[name] if (copy / t).exists()]


def _inside(copy: Path, path: str) -> set[int]:
    """Lines of the bodies of functions: others run when the file is imported, by whoever comes first."""
    nodes = ast.walk(ast.parse((copy / path).read_text()))
    found = (n for n in nodes if isinstance(n, ast.FunctionDef))
    return {line for n in found for line in range(n.body[0].lineno, (n.end_lineno or 0) + 1)}


def of_line(
    work: Path, copy: Path, mutant: Mutant, seconds: float
) -> list[tuple[list[str], float]]:
    """Two lists of tests that ran the line, quickest first, with the seconds after which each counts as stuck."""
    lines, took, texts = _map(work)
    here, own = lines.get(mutant.path, {}), f"tests/{subject(mutant.path)}/"
    inside = _inside(copy, mutant.path)
    same = texts.get(mutant.path) == zlib.crc32((copy / mutant.path).read_bytes())
    tests = set(here.get(str(mutant.line), ())) if same and mutant.line in inside else set()
    users = Counter(t for line, ts in here.items() if int(line) in inside for t in ts)
    tests = tests or set(users)
    first, second, spent = [*_newer(work, copy, own)], [], 0.0
    if mutant.line not in inside:  # a default or a constant
        first.insert(0, DEFAULTS)

    def cost(test: str) -> tuple[float, int, str]:
        """Seconds; those of another subject later, those that run more of the file first."""
        return took.get(test, 0.01) * (1 if test.startswith(own) else 3), -users[test], test

    for test in sorted(tests, key=cost):
        if not _exists(copy, test):
            continue
        spent += took.get(test, 0.01) + 0.02
        if spent <= seconds / 4 and len(first) < 400:
            first.append(test)
        elif spent <= seconds and len(second) < 400:
            second.append(test)
    found = [(some, 10 * seconds) for some in (first, second) if some]
    return found or [([own], 10 * seconds)]


@functools.cache
def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _exists(copy: Path, test: str) -> bool:
    """Whether a test that the map has is still there."""
    file, _, name = test.partition("::")
    return f"def {name.split('[')[0].split('::')[-1]}(" in _text(copy / file)


@functools.cache
def _newer(work: Path, copy: Path, own: str) -> list[str]:
    """Files of a subject's tests that the map has not seen: they run whole, and first."""
    seen = {t.split("::")[0] for f in _map(work)[0].values() for tests in f.values() for t in tests}
    return sorted(
        str(p.relative_to(copy))
        for p in (copy / own).rglob("test_*.py")
        if str(p.relative_to(copy)) not in seen
    )
