"""Files of results that pages are made of: kept in ``docs/results``, written by scripts in ``bench``.

A file says when, with which version and on what it was made; ``fits_mark`` and ``probes`` say of which
constants and formulas, so that a test sees when a file is older than what it judges.
"""

from __future__ import annotations

import hashlib
import json
import platform
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tokenroof as tr

HERE = Path(__file__).parent
RESULTS = HERE / "results"
#: Digits that are kept: more than pages show.
DIGITS = 5


def load(name: str) -> dict[str, Any]:
    """The results of a name, tables as lists of rows by column."""
    return dict(unpacked(json.loads((RESULTS / f"{name}.json").read_text())))


def unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"columns", "rows"}:
        return [dict(zip(value["columns"], unpacked(row), strict=True)) for row in value["rows"]]
    return {key: unpacked(one) for key, one in value.items()}


def _packed(value: Any) -> Any:
    """Lists of rows as their columns once, and the rows."""
    if isinstance(value, dict):
        return {key: _packed(one) for key, one in value.items()}
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        return value
    columns = list(dict.fromkeys(name for row in value for name in row))
    return {"columns": columns, "rows": [[_packed(row.get(c)) for c in columns] for row in value]}


def fits_mark() -> str:
    """A mark of the catalogue's fitted constants: of their values, not of the day when they were written."""
    found = hashlib.sha256()
    package = Path(tr.__file__).parent
    for path in sorted((package / "catalogue" / "constants").glob("*.toml")):
        rows = [
            {k: v for k, v in row.items() if k != "date"}
            for row in tomllib.loads(path.read_text())["fit"]
        ]
        found.update(json.dumps([path.name, rows], sort_keys=True).encode())
    found.update((package / "calibrate" / "benchmarks.toml").read_bytes())
    return found.hexdigest()[:16]


#: Device, model, engine, plan, prompt, answer, users: they move with formulas of steps and serving.
PROBES = (
    ("H100-SXM", "Llama-3.1-8B", "trtllm", {"weights": "fp8"}, 1000, 1000, 32),
    ("H200-SXM", "gpt-oss-120b", "vllm", {"weights": "bf16", "experts": "mxfp4", "tp": 2}, 7000, 900, 64),
    ("B200-SXM", "DeepSeek-R1", "sglang", {"weights": "nvfp4", "kv_cache": "fp8", "tp": 8, "moe_ep": 8},
     1000, 8000, 128),
    ("GB200-NVL72", "DeepSeek-R1", "trtllm", {"weights": "nvfp4", "kv_cache": "fp8", "dp": 8, "moe_ep": 8},
     8000, 1000, 512),
    ("B300-SXM", "Kimi-K2.5", "vllm", {"weights": "nvfp4", "kv_cache": "fp8", "tp": 8}, 1000, 1000, 16),
    ("H200-SXM", "Qwen3-235B-A22B", "sglang", {"weights": "fp8_block", "tp": 8, "moe_ep": 8}, 1000, 1000, 64),
    ("Instinct MI300X", "Llama-3.3-70B", "vllm", {"weights": "fp8", "tp": 2}, 2000, 500, 16),
)  # fmt: skip


def probes() -> list[list[float]]:
    """Seconds to the first token and per token of each of ``PROBES``."""
    found = []
    for device, model, engine, plan, given, answer, users in PROBES:
        table = tr.serving.curve(
            device, model, tr.Plan(engine=engine, **plan), given, answer, [users]
        )
        found.append([float(table.ttft_s[0]), float(table.tpot_s[0])])
    return found


def processor() -> str:
    """The processor's own name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{named[0] if named else platform.machine()}, {len(named) or '?'} cores"


def _short(value: Any) -> Any:
    """Numbers as a page needs them; NaN, which JSON has not, as null."""
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_short(one) for one in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value


def save(path: Path, results: dict[str, Any]) -> None:
    """Write results, a line for each row of a table; whole or not at all."""
    probed = results.get("probes")  # as they are: a test compares them closely
    results = _short(results)
    if probed is not None:
        results["probes"] = probed
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(_text(_packed(results)) + "\n")
    part.replace(path)


def _text(value: Any, depth: int = 0) -> str:
    flat = json.dumps(value)
    if depth > 4 or len(flat) < 100 or not isinstance(value, dict | list):
        return flat
    pad = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_text(one, depth + 1)}" for key, one in value.items()]
        return "{" + pad + f",{pad}".join(rows) + pad[:-1] + "}"
    return "[" + pad + f",{pad}".join(_text(one, 9) for one in value) + pad[:-1] + "]"


def write_tables(folder: Path, tables: dict[str, Callable[[], str]]) -> None:
    """Write each table where pages include it from, if it has changed: Sphinx builds what is newer."""
    folder.mkdir(exist_ok=True)
    for name, made in tables.items():
        path, text = folder / f"{name}.md", made()
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
