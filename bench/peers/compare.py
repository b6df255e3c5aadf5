"""Peers beside tokenroof on the same work, in a run: ``python bench/peers/compare.py --folder build/peers``.

Installs each peer from the package index into an environment of its own below the folder (kept for the next
run), then lets peer and tokenroof take turns over the same work, round by round, each at its best settings.
Seconds are of processors, of a call and its children, the least of the rounds. Where ``--measured`` names a
folder with ``end_to_end.csv`` (as `bench/accuracy.py` reads it), times per output token are scored too.
Writes ``docs/results/peers.json`` after every part, of which the page of performance is made: parts that are
there stay where a run is interrupted or asked for others (``--only``). A peer that cannot be installed or
fails is written down with its own last words, and the rest goes on; ``--limit`` seconds a peer and round.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from results import RESULTS, processor, save, unpacked  # noqa: E402

#: What is installed for each environment, and whether what it asks for comes with it.
PEERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "aiconfigurator": (("aiconfigurator",), True),
    "aisimulate": (("aisimulate",), True),
    "genz-llm": (("genz-llm",), True),
    "llm-analysis": (("llm-analysis",), True),
    "ai-dynamo": (("ai-dynamo", "ai-dynamo-runtime", "typing-extensions"), False),
    "vidur": (("vidur",), True),
    "pyxirr, numpy-financial": (("pyxirr", "numpy-financial"), True),
    "cryptography": (("cryptography",), True),
}
#: Parts: the work, and who does it: ours, then environments with the file that asks the peer.
PARTS: dict[str, dict[str, str]] = {
    "steps": {"tokenroof": "ours_steps.py", "genz-llm": "peer_genz.py",
              "llm-analysis": "peer_llm_analysis.py", "aiconfigurator": "peer_aiconfigurator.py"},
    "search": {"tokenroof": "ours_search.py", "aiconfigurator": "peer_search.py",
               "aisimulate": "peer_search.py"},
    "simulator": {"tokenroof": "ours_simulator.py", "ai-dynamo": "peer_dynamo.py", "vidur": "peer_vidur.py"},
    "money": {"tokenroof": "ours_money.py", "pyxirr, numpy-financial": "peer_money.py"},
    "hashing": {"tokenroof": "ours_hashing.py", "hashlib": "peer_hashlib.py",
                "cryptography": "peer_cryptography.py", "openssl": "peer_openssl.py"},
}  # fmt: skip
ERROR = re.compile(
    r"([\w.]+(Error|Exception|error)|error|ERROR): "
)  # how a line of a failure begins
HERE_TOO = ("tokenroof", "hashlib", "openssl")  # asked by this interpreter
LOAD = {"batches": [1, 4, 16, 64, 128], "contexts": [500, 2000, 8000]}
SIMULATED = {"requests": 20_000, "input": 500, "output": 200, "users": 128, "rate": 30.0}
#: Models of scored points: ours, the peers' names, devices, engines, types.
SCORED = (
    ("meta-llama/Llama-3.1-8B-Instruct", "h100_sxm", "trtllm", "bf16"),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "trtllm", "fp8"),
    ("meta-llama/Llama-3.1-70B", "h200_sxm", "vllm", "fp8"),
)


def environment(folder: Path, peer: str, limit: float) -> tuple[Path | None, str]:
    """The peer's interpreter; None with why where it cannot be installed."""
    home = folder / peer.partition(",")[0]
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python, ""
    packages, whole = PEERS[peer]
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", home],
            check=True,
            capture_output=True,
            timeout=limit,
        )
        asked = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        asked += [] if whole else ["--no-deps"]
        subprocess.run(
            [*asked, *packages], check=True, capture_output=True, timeout=limit, text=True
        )
    except subprocess.CalledProcessError as error:
        return None, words(str(error.stderr))
    except subprocess.TimeoutExpired:
        return None, f"was not installed within {limit:g} s"
    (home / "installed").touch()
    return python, ""


def words(said: str) -> str:
    """Last words of a program that failed: its errors, without paths of this machine."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "WARNING" not in line]
    told = list(dict.fromkeys(line for line in lines if ERROR.match(line))) or lines[-1:]
    return " / ".join(line.replace(str(ROOT), ".")[:130] for line in told[-2:])


def versions(python: Path | str, packages: tuple[str, ...]) -> dict[str, str]:
    code = ("import importlib.metadata as m, json, sys; "
            "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))")  # fmt: skip
    said = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True)
    return dict(json.loads(said.stdout)) if said.returncode == 0 else {}


def ask(python: Path | str, file: str, work: dict[str, Any], limit: float) -> dict[str, Any]:
    """A round of one program: what it printed last; its failure with its own words."""
    quiet = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1",
             "TOKENIZERS_PARALLELISM": "false"}  # fmt: skip
    if python != sys.executable:
        quiet.pop("PYTHONPATH", None)
    try:
        with tempfile.TemporaryDirectory() as elsewhere:  # some write files where they stand
            done = subprocess.run(
                [python, HERE / file], input=json.dumps(work), capture_output=True, text=True,
                timeout=limit, env=quiet, cwd=elsewhere,
            )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"did not end within {limit:g} s"}
    except OSError as error:
        return {"failed": f"did not start: {error.strerror}"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"failed": words(done.stderr) or f"ended with {done.returncode}"}
    try:
        return dict(json.loads(lines[-1]))
    except (ValueError, TypeError):
        return {"failed": f"printed {lines[-1][:100]!r}"}


def merged(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The better of two rounds: least seconds, most of a rate; other values are of the last."""
    if old is None or "failed" in new:
        return new if old is None else old
    if "failed" in old:
        return new
    best = dict(new)
    for name, value in new.items():
        if isinstance(value, int | float) and isinstance(old.get(name), int | float):
            if name.endswith("_s") or name == "seconds":
                best[name] = min(value, old[name])
            elif name.endswith("_rate"):
                best[name] = max(value, old[name])
    return best


def points(folder: Path | None, most: int) -> list[dict[str, Any]]:
    """Measured points that every peer can be asked for: evenly over the table, so many of each kind."""
    path = folder and (folder if folder.is_file() else folder / "end_to_end.csv")
    if not path or not path.exists():
        return []
    with path.open() as file:
        rows = [
            r
            for r in csv.DictReader(file)
            if r.get("label") in ("ok", "repaired") and r.get("mode") == "agg"
        ]
    found = []
    for model, system, engine, weights in SCORED:
        own = [r for r in rows if (r["model_path"], r["system"], r["backend"], r["weights"])
               == (model, system, engine, weights) and r["dp"] in ("", "1", "1.0")]  # fmt: skip
        for row in own[:: max(1, -(-len(own) // most))]:
            found.append({
                "model": model, "system": system, "engine": engine, "weights": weights,
                "kv_cache": row["kv_cache"], "tp": int(float(row["tp"])),
                "users": int(float(row["concurrency"])),
                "input": float(row["mean_input_tokens"]), "output": float(row["mean_output_tokens"]),
                "tpot_s": float(row["silicon_tpot_ms"]) / 1e3,
            })  # fmt: skip
    return found


def errors(asked: list[dict[str, Any]], answers: list[float | None]) -> dict[str, Any]:
    """Mean and median absolute error, and the median ratio, of those with an answer."""
    ratios = sorted(a / p["tpot_s"] - 1.0 for p, a in zip(asked, answers, strict=True) if a)
    if not ratios:
        return {"points": len(asked), "answered": 0}
    off = sorted(map(abs, ratios))
    return {"points": len(asked), "answered": len(off), "error_mean": sum(off) / len(off),
            "error_median": off[len(off) // 2], "bias": ratios[len(ratios) // 2]}  # fmt: skip


def agreed(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Lists of answers as how far they are from ours at most, relative to 1 or to the value."""
    ours = {k: v for k, v in rows.get("tokenroof", {}).items() if isinstance(v, list)}
    found: dict[str, dict[str, Any]] = {}
    for peer, row in rows.items():
        found[peer] = {k: v for k, v in row.items() if not isinstance(v, list)}
        for name, theirs in row.items():
            mine = ours.get(name.removeprefix("npf_"))
            if isinstance(theirs, list) and mine and peer != "tokenroof":
                pairs = zip(mine, theirs, strict=True)
                found[peer][f"{name}_apart"] = max(abs(a - b) / max(1.0, abs(b)) for a, b in pairs)
    return found


def part(name: str, asked: argparse.Namespace, pythons: dict[str, Any]) -> dict[str, Any]:
    """All who do a part, by turns."""
    work: dict[str, Any] = {"steps": LOAD, "simulator": SIMULATED}.get(name, {})
    scored = points(asked.measured, asked.points) if name == "steps" else []
    best: dict[str, dict[str, Any] | None] = {}
    for turn in range(asked.rounds):
        for peer, file in PARTS[name].items():
            python, why = pythons[peer]
            if python is None:
                best[peer] = {"failed": f"cannot be installed: {why}"}
            elif turn == 0 or "failed" not in (best.get(peer) or {}):
                given = work | {"points": scored if turn == 0 else []}
                answer = ask(python, file, given, asked.limit)
                predicted = answer.pop("predicted", None)
                if predicted:
                    answer |= errors(scored, predicted)
                kept = {k: v for k, v in (best.get(peer) or {}).items() if k not in answer}
                best[peer] = merged(best.get(peer), answer) | kept
            print(f"{name}, round {turn + 1}: {peer}: {json.dumps(best[peer])[:150]}", flush=True)
    return agreed({peer: row or {} for peer, row in best.items()})


def main() -> int:
    """Install, run every part, keep each as it ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where environments go")
    parser.add_argument("--measured", type=Path, help="a folder of measured tables")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="these parts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--points", type=int, default=14, help="measured points of each kind")
    parser.add_argument(
        "--limit", type=float, default=900.0, help="seconds of the clock, a peer and round"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.json")
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    asked.folder.mkdir(parents=True, exist_ok=True)
    found = unpacked(json.loads(asked.out.read_text())) if asked.out.exists() else {}
    wanted = asked.only or list(PARTS)
    pythons: dict[str, Any] = dict.fromkeys(HERE_TOO, (sys.executable, ""))
    told = found.setdefault("versions", {})
    for peer in dict.fromkeys(p for name in wanted for p in PARTS[name]):
        if peer in PEERS:
            pythons[peer] = environment(asked.folder, peer, asked.limit)
            if pythons[peer][0] is not None:
                told |= versions(pythons[peer][0], PEERS[peer][0])
            print(f"{peer}: {pythons[peer][1] or 'installed'}", flush=True)
    told |= versions(sys.executable, ("tokenroof", "numpy")) | {"python": sys.version.split()[0]}
    found |= {
        "command": "python bench/peers/compare.py --folder build/peers --measured FOLDER",
        "processor": processor(),
    }
    for name in wanted:
        before = os.getloadavg()[0]
        try:
            rows = part(name, asked, pythons)
        except KeyboardInterrupt:
            print(f"interrupted in {name}: what was done before is in {asked.out}", file=sys.stderr)
            return 130
        found[name] = {"date": datetime.date.today().isoformat(), "rounds": asked.rounds,
                       "load": [before, os.getloadavg()[0]], "found": rows}  # fmt: skip
        save(asked.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
