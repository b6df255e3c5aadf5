#!/usr/bin/env bash
# Builds the C++ with address and undefined-behaviour sanitizers and runs the tests that reach it; then looks for what is
# never freed, and, in a build of its own, for races of threads. Takes the folder to work in (default: a temporary one).
# PYTHON: one that has what the tests need; by default a fresh environment's. TESTED: a file to wait for once all is built,
# where that PYTHON gets what the tests need meanwhile.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    PYTHON="$work/venv/bin/python"
    "$PYTHON" -m pip install --quiet "$here[test]" -C cmake.define.TOKENROOF_CUDA=OFF
fi
build() { # folder, sanitizers, more
    "$PYTHON" -m pip install --quiet --no-deps --target "$work/$1" "$here" -C build-dir="$work/$1-build" \
        -C cmake.define.TOKENROOF_SANITIZE="$2" -C cmake.define.TOKENROOF_CUDA=OFF "${@:3}"
    "$PYTHON" -m compileall -q "$work/$1" # not under a sanitizer, at every start
}
preloaded() { # libraries of sanitizers, in the order in which they are loaded
    for one in "$@"; do printf '%s:' "$(gcc -print-file-name="lib$one.so")"; done
}
cd "$here"
# One source is the loops of every instruction set, for other numbers of lanes: generic ones and the widest that run here.
left_out=x86_64_v3
grep -qw avx512vl /proc/cpuinfo || left_out=x86_64_v4
build site address,undefined -C cmake.define.TOKENROOF_LEFT_OUT="$left_out"
# the generic loops alone: no other set of instructions has threads of its own
build threads thread -C cmake.define.TOKENROOF_NATIVE_ISAS=OFF
until [ -z "${TESTED:-}" ] || [ -e "$TESTED" ]; do sleep 1; done

export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
# one process looks for leaks while tests take the rest
PYTHONPATH="$work/site" LD_PRELOAD=$(preloaded asan ubsan) PYTHONMALLOC=malloc \
    ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0 LSAN_OPTIONS=suppressions="$here/tests/leaks.txt" \
    "$PYTHON" tests/leaks.py >"$work/leaks.log" 2>&1 &
leaks=$!
echo "+ addresses, undefined behaviour"
PYTHONPATH="$work/site" LD_PRELOAD=$(preloaded asan ubsan) ASAN_OPTIONS=detect_leaks=0 HYPOTHESIS_PROFILE=sanitized \
    "$PYTHON" -m pytest -n 2 --dist load -q \
    tests/kernels/test_kernels_nan.py tests/kernels/test_kernels_reference.py tests/inference/test_step_reference.py \
    tests/mining/test_sha256.py tests/mining/test_mining.py tests/mining/test_attacks.py tests/mining/test_pools.py
echo "+ leaks"
wait $leaks || { cat "$work/leaks.log"; exit 1; }
tail -n 20 "$work/leaks.log"
echo "+ races of threads"
PYTHONPATH="$work/threads" LD_PRELOAD=$(preloaded tsan) \
    TSAN_OPTIONS=halt_on_error=1:suppressions="$here/tests/races.txt" OPENBLAS_NUM_THREADS=1 \
    "$PYTHON" -m pytest -n 0 -q -s tests/kernels/test_many_threads.py
