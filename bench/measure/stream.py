"""Memory bandwidth and FLOP/s of the probes against what they should be: ``python bench/measure/stream.py``.

STREAM's triad is built from its public definition (McCalpin 1995: a = b + s c over arrays at least four
times the last cache, doubles, 24 bytes an element, the best of its passes), written anew here, and run in
turns with the probes; in small pages as the system gives them, and in large ones, as the probes ask for.
FLOP/s are held against instructions that a core starts in a cycle times its measured clock.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenroof import _core
from tokenroof.measure.probes import undisturbed
from tokenroof.measure.system import cache_sizes
from tokenroof.mining.hash_roofline import local_core
from tokenroof.support.processors import usable_processors

STREAM = r"""
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include <thread>
#include <barrier>
#include <vector>
#include <algorithm>
#include <time.h>
#include <sys/mman.h>
static double cpu() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
static double wall_clock() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
int main(int argc, char** argv) {
    const int threads = std::atoi(argv[1]), passes = std::atoi(argv[3]);
    const bool large = std::atoi(argv[4]) != 0;
    const long n = std::atol(argv[2]) / threads;
    std::vector<std::vector<double>> seconds(passes, std::vector<double>(threads));
    std::vector<double> wall(passes);
    std::barrier together(threads);
    bool right = true;
    auto run = [&](int t) {
        // a static array's pages are touched by the thread that uses them, as OpenMP's schedule does
        const long page = large ? 2 << 20 : 4096, bytes = (n * 8 + page - 1) / page * page;
        double* x[3];
        for (auto& p : x) {
            p = (double*)std::aligned_alloc(page, bytes);
            if (large) madvise(p, bytes, MADV_HUGEPAGE);
        }
        double *a = x[0], *b = x[1], *c = x[2];
        for (long i = 0; i < n; ++i) a[i] = 1.0, b[i] = 2.0, c[i] = 0.5;
        for (int p = 0; p < passes; ++p) {
            together.arrive_and_wait();
            const double begin = wall_clock();
            const double before = cpu();
            const double s = 3.0 + p;
            for (long i = 0; i < n; ++i) a[i] = b[i] + s * c[i];
            seconds[p][t] = cpu() - before;
            together.arrive_and_wait();
            if (t == 0) wall[p] = wall_clock() - begin;
            if (a[n / 2] != 2.0 + s * 0.5) right = false;
        }
    };
    std::vector<std::thread> pool;
    for (int t = 0; t < threads; ++t) pool.emplace_back(run, t);
    for (auto& one : pool) one.join();
    if (!right) return 1;
    for (int p = 1; p < passes; ++p) {
        double own = 0;
        for (double s : seconds[p]) own += 24.0 * n / s;
        std::printf("%.6g %.6g\n", 24.0 * n * threads / wall[p], own);
    }
}
"""


def build(folder):
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        sys.exit("no C++ compiler here: STREAM is built from source")
    source, program = Path(folder, "stream.cpp"), Path(folder, "stream")
    source.write_text(STREAM)
    flags = ["-std=c++20", "-O3", "-march=native", "-pthread"]
    subprocess.run([compiler, *flags, str(source), "-o", str(program)], check=True)
    return str(program)


def bandwidth(threads, rounds):
    size = max(128 << 20, 8 * int(max(cache_sizes().values(), default=0)))
    isa = _core.build_config()["isas_usable"][0]
    found = {"STREAM triad": [], "STREAM, large pages": [], "triad": [], "triad_nt": [], "read": []}
    with tempfile.TemporaryDirectory() as folder:
        program = build(folder)
        for _ in range(rounds):
            for large, name in enumerate(("STREAM triad", "STREAM, large pages")):
                text = subprocess.run([program, str(threads), str(size // 24), "12", str(large)], check=True,
                                      text=True, capture_output=True).stdout  # fmt: skip
                rates = [[float(x) for x in line.split()] for line in text.splitlines()]
                found[name].append(rates)
            got = _core.probe_memory(isa, size, 0.004, threads, 16, ["triad", "triad_nt", "read"])
            for kind, (wall, cpu, right) in got.items():
                assert right, kind
                found[kind].append(list(zip(wall, cpu, strict=True)))
    for name, turns in found.items():
        # one thread: its processor time; several: the clock, where no other program held a processor
        wall, cpu = zip(*(row for turn in turns for row in turn), strict=True)
        found[name] = list(cpu) if threads == 1 else undisturbed(wall, cpu)
    base = max(found["STREAM triad"], found["STREAM, large pages"], key=max)
    print(f"memory, {threads} thread(s), {size >> 20} MiB, {rounds} turns:")
    for name, values in found.items():
        best, middle = max(values), statistics.median(values)
        print(
            f"  {name:19} best {best / 1e9:6.1f} GB/s, median {middle / 1e9:6.1f} of {len(values):3}; "
            f"over STREAM's better best {100 * best / max(base):5.1f} %, median "
            f"{100 * middle / statistics.median(base):5.1f} %"
        )


def flops(threads, rounds):
    core = local_core() or {}
    rates = core.get("multiply_add")  # slots of multiply-adds started in a cycle
    print(f"FLOP/s, {threads} thread(s), {core.get('name', 'a core that the catalogue lacks')}:")
    for isa, kinds in _core.probe_kinds().items():
        for kind in ("fp64", "fp32", "bf16", "int8"):
            if kind not in kinds:
                continue
            operations, bits, instructions = kinds[kind]
            shares, best = [], 0.0
            for _ in range(rounds):
                clock = _core.measured_clock_hz()
                _, cpu, right = _core.probe_compute(isa, kind, 0.005, threads, 5)
                assert right
                rate = max(cpu) / operations * instructions / threads / clock
                shares.append(rate)
                best = max(best, max(cpu))
            middle = statistics.median(shares)
            line = (
                f"  {isa:12} {kind:5} {best / 1e9:8.1f} GFLOP/s, {middle:5.2f} instructions a cycle"
            )
            if rates:
                # mul and add of SSE2 take pipes of their own, fused ones share theirs
                pipes = 2 if isa == "generic" else 1
                most = pipes * rates * core["slot_bits"] / max(bits, core["slot_bits"])
                line += f" of {most:g}: median {100 * middle / most:5.1f} %"
            print(line)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    flops(1, arguments.rounds)
    for threads in sorted({1, usable_processors()}):
        bandwidth(threads, arguments.rounds)


if __name__ == "__main__":
    main()
