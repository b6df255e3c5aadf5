"""Decode steps that differ in everything: `python bench/inference/differing.py`.

Each configuration has its own device, constants, model, plan and load, in its own memory, so that nothing is
shared between two of them: configurations per second of processor time on one core.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

import tokenroof as tr
from tokenroof import kernels
from tokenroof.inference.door import deployment

DEVICES = (
    "H100-SXM",
    "H200-SXM",
    "B200-SXM",
    "B300-SXM",
    "GB200",
    "L40S",
    "RTX-PRO-6000-Blackwell",
)
MODELS = (
    "Qwen3-235B-A22B",
    "gpt-oss-120b",
    "DeepSeek-V3",
    "Llama-3.1-70B",
    "Qwen3-32B",
    "Llama-3.1-8B",
)


def packed(fidelity: str, n: int) -> list[np.ndarray]:
    """Records [n, fields] of random devices, constants, models and plans, and random loads [n]."""
    rows = []
    for name in DEVICES:
        for model in MODELS:
            for tp in (1, 2, 4, 8):
                for ep in {1, tp}:
                    for weights in ("bf16", "fp8"):
                        plan = tr.Plan(
                            tp=tp, moe_ep=ep if tr.model(model).experts else 1, weights=weights
                        )
                        try:
                            rows.append(deployment(name, model, plan, fidelity).records)
                        except ValueError:  # no unit or no links for it
                            continue
    rng = np.random.default_rng(0)
    chosen = rng.integers(0, len(rows), n)
    records = [np.array([rows[i][k] for i in chosen]) for k in range(4)]
    return [*records, rng.integers(1, 1024, n).astype(float), rng.uniform(128, 32768, n)]


def main() -> None:
    n = 20_000
    for fidelity in ("datasheet", "calibrated"):
        arguments = packed(fidelity, n)
        for isa, table in kernels.by_isa().items():
            out = np.empty(n)
            spent = []
            for _ in range(15):
                began = time.process_time()
                table["decode_time"](*arguments, out=out)
                spent.append(time.process_time() - began)
            assert np.isfinite(out).all()
            assert (out > 0).all()
            print(f"{fidelity:10} {isa:10} {n / statistics.median(spent) / 1e6:.3f} M/s "
                  f"(best {n / min(spent) / 1e6:.3f})")  # fmt: skip


if __name__ == "__main__":
    main()
