"""Records and loads that benchmarks share."""

from __future__ import annotations

from functools import cache

import numpy as np

import tokenroof as tr
from tokenroof import _core
from tokenroof.inference.door import deployment
from tokenroof.records.calibration import Calibration


def records():
    """Qwen3-235B-A22B (a mixture with grouped-query attention) on one device of plan tp 1, ideal."""
    device = tr.device("H200-SXM")
    plan = tr.Plan(weights="fp8", kv_cache="fp8")
    return [
        device.pack(),
        Calibration.ideal().pack(),
        tr.model("Qwen3-235B-A22B").pack(),
        plan.pack(),
    ]


@cache
def calibrated_records(engine="trtllm"):
    """Llama-3.1-70B (dense, grouped queries) in eight bits on one device, by the measured forms.

    TensorRT-LLM's products take the fastest of all tiles and splits, vLLM's the tile of their rows.
    """
    plan = tr.Plan(weights="fp8", kv_cache="fp8", engine=engine)
    return list(deployment("H200-SXM", "Llama-3.1-70B", plan, "calibrated").records)


def loads(n, whole=True):
    rng = np.random.default_rng(0)
    batch = rng.integers(1, 1024, n).astype(float)
    return batch if whole else batch + 0.5, rng.uniform(128, 32768, n)


def pool_paths(model, paths, isa=_core.ISA, seed=0):
    """Income and time of ruin of each path, on one thread."""
    packed = np.array([float(model.get(name, 0.0)) for name in _core.POOL_FIELDS])
    income, ruin = np.empty(paths), np.empty(paths)
    _core.simulate_pool(isa, packed, seed, 0, income, ruin, 1)
    return income, ruin
