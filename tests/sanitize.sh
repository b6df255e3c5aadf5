#!/usr/bin/env bash
# Builds the C++ with address and undefined-behaviour sanitizers and runs the tests that reach it. Takes the folder to
# work in (default: a temporary one). PYTHON: one that has what the tests need; by default a fresh environment's.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$work/venv"
    PYTHON="$work/venv/bin/python"
    "$PYTHON" -m pip install --quiet "$here[test]" -C cmake.define.TOKENROOF_CUDA=OFF
fi
"$PYTHON" -m pip install --quiet --no-deps --target "$work/site" "$here" \
    -C cmake.define.TOKENROOF_SANITIZE=address,undefined -C cmake.define.TOKENROOF_CUDA=OFF -C build-dir="$work/build"
export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}"
export LD_PRELOAD="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
cd "$here"
"$PYTHON" -m pytest -n 2 --dist load -q \
    tests/kernels/test_kernels_nan.py tests/kernels/test_kernels_reference.py tests/inference/test_step_reference.py \
    tests/mining/test_sha256.py tests/mining/test_mining.py tests/mining/test_attacks.py tests/mining/test_pools.py
