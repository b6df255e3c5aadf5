#!/bin/sh
# Builds, tests and measures everything that concerns a GPU, on a machine with an H100, an H200 or any other from
# compute capability 8.0 on, in less than 8 minutes:
#
#   bench/gpu.sh [OUT_DIR]        (results go there, by default to bench/results/gpu)
#
# It needs nvcc and a python3 with numpy and pip; no network where scikit-build-core, pybind11, cmake, ninja
# (and for the tests pytest, pytest-xdist, pytest-benchmark, hypothesis) are installed, or are wheels in the
# folder that WHEELHOUSE names. torch, where it is there, brings cuBLAS to compare with; nvidia-ml-py the
# clock and the power. Nothing outside OUT_DIR is changed.
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p "${1:-bench/results/gpu}" || exit 1
out=$(cd "${1:-bench/results/gpu}" && pwd)
python=${PYTHON:-python3}
began=$(date +%s)
fail() { echo "gpu.sh: $1" >&2; exit "$2"; }
left() { echo $((470 - $(date +%s) + began)); } # seconds of the eight minutes

command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU ||
  fail "no GPU here: nvidia-smi $(command -v nvidia-smi >/dev/null 2>&1 && echo 'lists none' || echo 'was not found'); nothing was measured" 2
command -v nvcc >/dev/null 2>&1 || fail "nvcc was not found: the CUDA module cannot be built; nothing was measured" 2
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader
nvcc --version | grep release

export PYTHONPATH="$out/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=4
rm -rf "$out/site"
if [ -n "${WHEELHOUSE:-}" ]; then
  $python -m pip install -q --no-index --no-deps --target "$out/site" "$WHEELHOUSE"/*.whl ||
    fail "the wheels of $WHEELHOUSE do not install" 1
fi
for module in numpy pybind11 scikit_build_core; do
  $python -c "import $module" 2>/dev/null ||
    fail "python's $module is missing: give its wheel by WHEELHOUSE; nothing was measured" 2
done

echo "--- build"
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
timeout 300 $python -m pip install -q --no-index --no-deps --no-build-isolation --upgrade --target "$out/site" . \
  -C build-dir="$out/build" -C cmake.define.TOKENROOF_CUDA=ON \
  -C cmake.define.TOKENROOF_CUDA_ARCHITECTURES="$capability" >"$out/build.log" 2>&1 ||
  { tail -30 "$out/build.log"; fail "the build failed ($out/build.log)" 1; }
echo "built in $(($(date +%s) - began)) s"

status=0
echo "--- measure"
timeout "$(left)" $python bench/cuda/gpu.py --seconds 100 --json "$out/gpu.json" 2>&1 | tee "$out/gpu.log"
grep -q '^all checks passed$' "$out/gpu.log" || status=1

echo "--- tests"
if $python -c 'import pytest, xdist, hypothesis, pytest_benchmark' 2>/dev/null; then
  timeout "$(left)" $python -m pytest -q -p no:cacheprovider -n 8 tests/cuda/test_cuda_build.py tests/cuda/test_cuda_kernels.py \
    tests/cuda/test_cuda_arrays.py tests/cuda/test_cuda_scan.py tests/cuda/test_cuda_pools.py tests/cuda/test_cuda_probe.py \
    >"$out/tests.log" 2>&1 || status=1
  tail -3 "$out/tests.log"
else
  echo "pytest, pytest-xdist, pytest-benchmark or hypothesis is missing: no tests were run"
  status=1
fi
echo "$(($(date +%s) - began)) s in all; status $status"
exit $status
