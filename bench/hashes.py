"""Every header scanner beside a hashlib loop, in turns: cycles per hash, medians, ratios of one run.

`python bench/hashes.py [--rounds 9] [--backends avx2,hybrid]`. Rates are per second of processor time;
cycles are that time at the clock measured around it.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import struct
import time

from tokenroof import _core, mining
from tokenroof.mining.scan import bound_of, local_core

AIM = 1  # no hash meets it; every candidate test still runs
HASHES = 2**21


def hashlib_rate(count: int = 30_000) -> float:
    """Headers per second of processor time by hashlib with a copied midstate [hash/s]."""
    sha256, first, tail = hashlib.sha256, hashlib.sha256(bytes(64)), bytes(12)
    start = time.process_time()
    for nonce in range(count):
        h = first.copy()
        h.update(tail + struct.pack("<I", nonce))
        if int.from_bytes(sha256(h.digest()).digest(), "little") <= AIM:
            raise AssertionError("no header meets a target of 1")
    return count / (time.process_time() - start)


def rate(backend: str, mode: str, threads: int = 1) -> float:
    """Headers per second of processor time (of wall time with more threads) [hash/s]."""
    lanes = mining.backends()[backend]["lanes"]
    hashes = (HASHES if lanes > 1 else HASHES // 8) * threads
    versions = 1 if mode == "nonce" else 96
    done = mining.scan(bytes(80), 0, hashes // versions, AIM, versions, threads, backend)
    assert done.mode == mode or lanes == 1
    return done.hashes / (done.cpu_seconds if threads == 1 else done.seconds)


def calibration_seconds() -> float:
    """Processor time of finding the fastest scanner, which a process pays once [s]."""
    start = time.process_time()
    mining.backends()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backends", default="", help="comma-separated names; all by default")
    chosen = parser.parse_args()
    print(f"calibration: {calibration_seconds():.2f} s of processor time, once a process")
    here = [name for name, row in mining.backends().items() if row["available"]]
    names = [n for n in chosen.backends.split(",") if n] or here
    if unknown := set(names) - set(here):
        parser.error(f"unknown here: {', '.join(unknown)}; allowed: {', '.join(here)}")
    cases = [(name, mode) for name in names for mode in ("nonce", "roll")]
    cycles: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    rates: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    pairs: list[float] = []
    lib: list[float] = []
    fastest = max(here, key=lambda n: mining.backends()[n]["hashrate"])
    for _ in range(chosen.rounds):
        lib.append(hashlib_rate())
        for case in cases:
            before = _core.measured_clock_hz()
            rates[case].append(rate(*case))
            clock = (before + _core.measured_clock_hz()) / 2
            cycles[case].append(clock / rates[case][-1])
        pairs.append(rate(fastest, "nonce", 2) / rate(fastest, "nonce", 1))
    base, clock = statistics.median(lib), _core.measured_clock_hz()
    print(f"hashlib with midstate copies: {base / 1e6:.2f} MH/s, one thread; {clock / 1e9:.2f} GHz")
    print(f"{'':16}  MH/s  x hashlib  cycles/hash: median  least  bound")
    core = local_core()
    for name, mode in cases:
        hashes, spent = statistics.median(rates[name, mode]), cycles[name, mode]
        bound, _ = bound_of(core, name, mode, clock)
        print(f"{name:10} {mode:5} {hashes / 1e6:6.2f} {hashes / base:9.1f}  "
              f"{statistics.median(spent):19.1f} {min(spent):6.1f} {clock / bound:6.1f}")  # fmt: skip
    print(f"two threads of {fastest}: {statistics.median(pairs):.2f} x one "
          f"(best {max(pairs):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
