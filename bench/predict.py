"""Predict, then measure: products, decode steps and a hashrate on this machine from its probes.

``python bench/predict.py``. One thread throughout; times are this thread's processor time, which other
programs on the machine disturb least; the least of the repeats counts, as it does in the probes.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import statistics

import numpy as np

import tokenroof as tr
from numpy_decoder import Decoder
from tokenroof import mining
from tokenroof._numpy_probes import used

ROWS = (1, 2, 5, 8, 16, 20, 32, 64, 100, 256, 512)
SHAPES = ((2048, 2048), (3072, 1024), (1024, 2816), (768, 3072), (5632, 2048), (8192, 1024))
LOADS = ((1, 256), (1, 2048), (2, 1024), (4, 512), (4, 2048), (8, 256), (8, 1024), (16, 512), (32, 256), (64, 64))


def products(device, repeats):
    """Rows of (name, predicted, measured): weights come from memory, as those of a model do."""
    rng = np.random.default_rng(3)
    for n, k in SHAPES:
        one = rng.standard_normal((n, k), dtype=np.float32)
        pool = itertools.cycle([one.copy() for _ in range(1 + (128 << 20) // one.nbytes)])
        for m in ROWS:
            x, out = rng.standard_normal((k, m), dtype=np.float32), np.empty((n, m), np.float32)
            times = []
            for _ in range(repeats):
                w = next(pool)
                times.append(used(lambda w=w, x=x, out=out: np.matmul(w, x, out=out)))
            predicted = tr.operators.gemm(device, m, n, k, dtype="fp32").time_s.item()
            yield f"product {m} x {n} x {k}", predicted, min(times)


def decodes(device, repeats):
    decoder = Decoder()
    model = tr.Model.from_config(decoder.config())
    plan = tr.Plan(weights="fp32", activations="fp32", kv_cache="fp32")
    for batch, context in LOADS:
        tokens = decoder.start(batch, context)
        decoder.step(tokens)
        times = [used(lambda t=tokens: decoder.step(t)) for _ in range(repeats)]
        step = tr.decode(device, model, plan, batch=batch, context=context)
        yield f"decode step, batch {batch}, context {context}", step.time_s.item(), min(times)


def hashes(device, repeats):
    """Seconds per hash of other loads than the probe's: rolled versions by the roofline, another header."""
    backend = mining.scan(bytes(80), count=1 << 12, target=1, threads=1).backend

    def seconds(versions):
        best = np.inf
        for i in range(repeats):
            run = mining.scan(os.urandom(80), start=i, count=(1 << 21) // versions, versions=versions, target=1,
                              threads=1, backend=backend)  # fmt: skip
            best = min(best, run.cpu_seconds / run.hashes)
        return best

    rate = mining.hashrate(device)
    yield f"hash, nonces ({backend})", 1 / rate, seconds(1)
    roll, nonce = (mining.hash_roofline(device, mode, backend).hashrate for mode in ("roll", "nonce"))
    yield f"hash, versions rolled ({backend})", nonce / (roll * rate), seconds(96)
    bound = mining.hash_roofline(device, "nonce", backend).hashrate
    print(f"  the integer roofline alone: {bound / 1e6:.1f} MH/s, probed {rate / 1e6:.1f} MH/s "
          f"({100 * rate / bound:.0f} % of it)")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each group of probes")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    device = tr.measure.local(seconds=arguments.seconds, threads=1, remeasure=True)
    found = {}
    for name, part in (("GEMM", products), ("decode", decodes), ("hash", hashes)):
        rows = list(part(device, arguments.repeats))
        found[name] = rows
        errors = [predicted / measured - 1 for _, predicted, measured in rows]
        if not arguments.json:
            for (what, predicted, measured), error in zip(rows, errors, strict=True):
                scale, unit = (1e6, "us") if measured > 1e-6 else (1e9, "ns")
                print(f"  {what:36} predicted {predicted * scale:10.1f} {unit}, measured "
                      f"{measured * scale:10.1f} {unit}, {100 * error:+6.1f} %")  # fmt: skip
            size = [abs(e) for e in errors]
            print(f"{name}: mean error {100 * statistics.mean(size):.1f} %, median "
                  f"{100 * statistics.median(size):.1f} %, worst {100 * max(size):.1f} %")  # fmt: skip
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
