"""One GPU, checked and measured by stages: `python bench/cuda/gpu.py [--out DIR] [--device 0] [--left 330]`.

Stages run in the order of what they are worth, each in a process of its own with a limit of its own; results
are saved as each ends (`gpu.json`, `gpu.md`). `bench/gpu.sh` builds for the device at hand before it.
`--dry-run` plays every stage without a device: device code runs on the processor (`tests/cuda/shim`), sizes
are small, and what only a device can do says so.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from stage_results import Report, lines_of, save

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Stage:
    """A function of a file here, what it shows, and the seconds that it may take."""

    name: str
    where: str
    limit: float
    what: str


STAGES = (
    Stage("import", "checks:devices", 20, "the module loads and names its device"),
    Stage("kernels", "checks:kernels_", 40, "every kernel against the processor, bit for bit"),
    Stage("hits", "checks:hits", 25, "planted hits of the scanner, both modes, none lost"),
    Stage("limits", "limits:launches", 30, "odd counts, offsets, full grids, several threads at once"),
    Stage("streams", "limits:streams", 20, "order of streams, pinned memory, copies beside work"),
    Stage("errors", "limits:errors", 25, "bad arrays, full memory, Ctrl-C: the context stays usable"),
    Stage("throughput", "rates:throughput", 45, "decode_time and serving over device arrays"),
    Stage("hashes", "rates:hashes", 40, "scanner rates with clock and watts, beside the integer model"),
    Stage("probes", "rates:probes", 60, "ceilings beside the datasheet"),
    Stage("cublas", "rates:cublas", 30, "cuBLAS beside the probes"),
    Stage("tests", "products:tests", 80, "the test files for CUDA"),
    Stage("products", "products:products", 40, "matrix products predicted from the probes, and measured"),
    Stage("transformer", "products:transformer", 40, "decode steps predicted from the probes, and measured"),
    Stage("held", "held:held", 80, "loads held for seconds: watts, clock, time, as calibrated"),
)  # fmt: skip


def play() -> None:
    """Put the module that runs on the processor in place of the compiled one."""
    sys.path[:0] = [str(ROOT / "tests" / "cuda"), str(ROOT / "tests")]
    shim = import_module("_shim").shim()
    from tokenroof.cuda import module as compiled

    compiled.load = lambda: (shim, "")  # type: ignore[assignment]


def run_stage(stage: Stage, chosen: argparse.Namespace) -> int:
    """In the process of the stage: 0, or 3 where something is wrong; Python itself ends with 1."""
    report = Report(
        chosen.out / "stages" / f"{stage.name}.jsonl", played=chosen.dry_run, device=chosen.device
    )
    if chosen.dry_run:
        play()
    file, _, name = stage.where.partition(":")
    getattr(import_module(file), name)(report, chosen.out)
    return 3 if report.wrong else 0


def follow(stage: Stage, chosen: argparse.Namespace, limit: float) -> dict[str, Any]:
    """Start the process of a stage, wait for it no longer than its limit, and read what it wrote."""
    command = [sys.executable, str(HERE / "gpu.py"), "--stage", stage.name, "--out", str(chosen.out),
               "--device", str(chosen.device), *(["--dry-run"] if chosen.dry_run else [])]  # fmt: skip
    print(f"--- {stage.name}: {stage.what} (at most {limit:.0f} s)", flush=True)
    log = chosen.out / "stages" / f"{stage.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    with log.open("w") as file:
        child = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            state = {0: "passed", 3: "FAILED"}.get(child.wait(limit), "CRASHED")
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as cut:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            state = "TIMED OUT"
            if isinstance(cut, KeyboardInterrupt):
                raise
    print(log.read_text(), end="", flush=True)
    lines = lines_of(chosen.out / "stages" / f"{stage.name}.jsonl")
    if state == "passed" and lines and all(line["kind"] == "skipped" for line in lines):
        state = "skipped"
    return {"name": stage.name, "what": stage.what, "state": state, "limit": limit,
            "seconds": time.perf_counter() - began, "lines": lines}  # fmt: skip


def device_name(chosen: argparse.Namespace) -> str:
    if chosen.dry_run:
        return "no device: a dry run"
    from tokenroof import cuda

    if reason := cuda.why_not():
        raise SystemExit(
            f"no CUDA here: {reason}; nothing was measured (--dry-run plays the stages)"
        )
    return cuda.devices()[chosen.device].name


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results" / "gpu")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--left", type=float, default=330.0, help="seconds for all stages")
    parser.add_argument("--only", nargs="+", choices=[s.name for s in STAGES], metavar="STAGE")
    parser.add_argument("--build-seconds", type=float, default=0.0, help="what the build took")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--stage", choices=[s.name for s in STAGES], help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> int:
    chosen = arguments()
    stages = {stage.name: stage for stage in STAGES}
    if chosen.stage:
        return run_stage(stages[chosen.stage], chosen)
    ends = time.perf_counter() + chosen.left
    about = {"device": device_name(chosen), "played": chosen.dry_run, "host": platform.platform(),
             "began": datetime.datetime.now().isoformat(timespec="seconds"),
             "build_seconds": chosen.build_seconds}  # fmt: skip
    done: list[dict[str, Any]] = []
    for name in chosen.only or stages:
        limit = min(stages[name].limit * (6 if chosen.dry_run else 1), ends - time.perf_counter())
        if limit < 2.0:
            done.append({"name": name, "what": stages[name].what, "state": "no time left", "limit": 0.0,
                         "seconds": 0.0, "lines": []})  # fmt: skip
        else:
            done.append(follow(stages[name], chosen, limit))
        save(chosen.out, about, done)
    bad = [s["name"] for s in done if s["state"] not in ("passed", "skipped")]
    print(f"{chosen.out / 'gpu.md'}; " + (f"not passed: {', '.join(bad)}" if bad else "all passed"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
