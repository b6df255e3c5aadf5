"""Predict, then measure: products, decode steps and a hashrate on this machine from its probes.

``python bench/measure/predict.py``. One thread throughout; times are this thread's processor time, which
other programs on the machine disturb least. Probes and cases take turns, and the best repeat of each counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import statistics

import numpy as np
from numpy_decoder import Decoder

import tokenroof as tr
from tokenroof import mining
from tokenroof.measure.numpy_probes import used

ROWS = (1, 2, 6, 8, 16, 20, 32, 64, 100, 256, 512)
SHAPES = ((2048, 2048), (3072, 1024), (1024, 2816), (768, 3072), (5632, 2048), (8192, 1024))
LOADS = (
    *((1, 256), (1, 2048), (2, 1024), (4, 512), (4, 2048)),
    *((8, 256), (8, 1024), (16, 512), (32, 256), (64, 64)),
)


def products():
    """(name, call, prediction) of each; weights come from memory, as those of a model do."""
    rng = np.random.default_rng(3)
    for n, k in SHAPES:
        one = rng.standard_normal((n, k), dtype=np.float32)
        pool = itertools.cycle([one.copy() for _ in range(1 + (128 << 20) // one.nbytes)])
        for m in ROWS:
            x, out = rng.standard_normal((k, m), dtype=np.float32), np.empty((n, m), np.float32)

            def call(pool=pool, x=x, out=out):
                return min(
                    used(lambda w=w: np.matmul(w, x, out=out)) for w in itertools.islice(pool, 3)
                )

            def predict(device, m=m, n=n, k=k):
                return tr.operators.gemm(device, m, n, k, dtype="fp32").time_s.item()

            yield f"product {m} x {n} x {k}", call, predict


def decodes():
    decoder = Decoder()
    model = tr.Model.from_config(decoder.config())
    plan = tr.Plan(weights="fp32", activations="fp32", kv_cache="fp32")
    for batch, context in LOADS:

        def call(batch=batch, context=context):
            tokens = decoder.start(batch, context)
            decoder.step(tokens)
            return min(used(lambda: decoder.step(tokens)) for _ in range(2))

        def predict(device, batch=batch, context=context):
            return tr.decode(device, model, plan, batch=batch, context=context).time_s.item()

        yield f"decode step, batch {batch}, context {context}", call, predict


def hashes():
    """Seconds per hash of random headers, where the probe has one: by nonces, and by versions."""
    backend = mining.scan(bytes(80), count=1 << 12, target=1, threads=1).backend

    def call(versions):
        run = mining.scan(os.urandom(80), count=(1 << 21) // versions, versions=versions, target=1, threads=1,
                          backend=backend)  # fmt: skip
        return run.cpu_seconds / run.hashes

    yield f"hash, nonces ({backend})", lambda: call(1), lambda device: 1 / mining.hashrate(device)
    yield (
        f"hash, versions rolled ({backend})",
        lambda: call(96),
        lambda device: 1 / mining.hashrate(device, "roll"),
    )


def best_of(machines):
    """One machine with the best repeat of each probe."""
    readings = {}
    for name, first in machines[0].readings.items():
        all_best = [m.readings[name].best for m in machines]
        best = min(all_best) if first.unit == "s" else max(all_best)
        readings[name] = dataclasses.replace(first, best=best)
    return dataclasses.replace(machines[0], readings=readings)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, help="of probes and cases in turn")
    parser.add_argument(
        "--seconds", type=float, default=0.7, help="of each group of probes, a round"
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cases = {"GEMM": list(products()), "decode": list(decodes()), "hash": list(hashes())}
    times = {name: [] for part in cases.values() for name, _, _ in part}
    machines = []
    for _ in range(arguments.rounds):
        groups = ("flops", "memory", "numpy", "hash")
        machines.append(tr.measure.machine(arguments.seconds, threads=1, groups=groups))
        for part in cases.values():
            for name, call, _ in part:
                times[name].append(call())
    device = best_of(machines).device()
    found = {}
    for group, part in cases.items():
        rows = [(name, predict(device), min(times[name])) for name, _, predict in part]
        found[group] = rows
        errors = [predicted / measured - 1 for _, predicted, measured in rows]
        if arguments.json:
            continue
        for (what, predicted, measured), error in zip(rows, errors, strict=True):
            scale, unit = (1e6, "us") if measured > 1e-6 else (1e9, "ns")
            print(f"  {what:36} predicted {predicted * scale:10.1f} {unit}, measured "
                  f"{measured * scale:10.1f} {unit}, {100 * error:+6.1f} %")  # fmt: skip
        size = [abs(e) for e in errors]
        print(f"{group}: mean error {100 * statistics.mean(size):.1f} %, median "
              f"{100 * statistics.median(size):.1f} %, worst {100 * max(size):.1f} %, "
              f"{sum(e <= 0.15 for e in size)} of {len(size)} within 15 %")  # fmt: skip
    if not arguments.json and device.family:
        bound = mining.hash_roofline(device).hashrate
        rate = mining.hashrate(device)
        print(f"hash: the integer roofline alone says {bound / 1e6:.1f} MH/s, the probe reached "
              f"{rate / 1e6:.1f} ({100 * rate / bound:.0f} % of it)")  # fmt: skip
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
