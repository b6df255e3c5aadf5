#!/bin/sh
# Builds, checks and measures everything that concerns a GPU, on a machine with one from compute capability 7.5
# on, in less than 6 minutes:
#
#   bench/gpu.sh [OUT_DIR]             results go there, by default to bench/results/gpu
#   bench/gpu.sh --dry-run [OUT_DIR]   the same without a device: builds for one architecture, plays the stages
#   bench/gpu.sh --wheels DIR          carries there the wheels that a machine without network needs
#
# It needs nvcc and a python3 with pip; numpy, scikit-build-core, pybind11, cmake and ninja (and for the tests pytest,
# pytest-xdist, pytest-benchmark, hypothesis) are installed there, or are wheels in the folder that WHEELHOUSE
# names. torch, where it is there, brings cuBLAS and a transformer to compare with; nvidia-ml-py clock and power.
# ARCHITECTURE=90 builds for that one instead of the device at hand; SITE=DIR takes what is built there already.
# Nothing outside OUT_DIR is changed.
set -u
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-python3}
fail() { echo "gpu.sh: $1" >&2; exit "$2"; }

if [ "${1:-}" = --wheels ]; then
  [ -n "${2:-}" ] || fail "--wheels wants a folder" 2
  exec $python -m pip download -q --only-binary=:all: --dest "$2" numpy scikit-build-core pybind11 cmake ninja \
    pytest pytest-xdist pytest-benchmark hypothesis nvidia-ml-py
fi
dry=
[ "${1:-}" = --dry-run ] && { dry=--dry-run; shift; }
mkdir -p "${1:-bench/results/gpu}" || exit 1
out=$(cd "${1:-bench/results/gpu}" && pwd)
began=$(date +%s)
whole=355 # seconds of it all
left() { echo $((whole - $(date +%s) + began)); }

nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
[ -x "$nvcc" ] || [ -n "${SITE:-}" ] || fail "nvcc was not found: the CUDA module cannot be built; nothing was measured" 2
PATH=$(dirname "$nvcc"):$PATH
if [ -n "$dry" ]; then
  echo "a dry run: no device is used, times and rates are none of a device"
  whole=3600
  capability=${ARCHITECTURE:-90}
else
  command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q GPU ||
    fail "no GPU here: nvidia-smi $(command -v nvidia-smi >/dev/null 2>&1 && echo 'lists none' || echo 'was not found'); nothing was measured" 2
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit,clocks_throttle_reasons.active \
    --format=csv,noheader | tee "$out/nvidia-smi.txt"
  capability=${ARCHITECTURE:-$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)}
fi

export PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=4
site=${SITE:-$out/site}
[ -n "${SITE:-}" ] || rm -rf "$site"
export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
if [ -n "${WHEELHOUSE:-}" ]; then
  $python -m pip install -q --no-index --no-deps --upgrade --target "$site" "$WHEELHOUSE"/*.whl ||
    fail "the wheels of $WHEELHOUSE do not install" 1
fi
$python -c "import numpy" 2>/dev/null || fail "python's numpy is missing: give its wheel by WHEELHOUSE; nothing was measured" 2

built=0
if [ -z "${SITE:-}" ]; then
  for module in pybind11 scikit_build_core; do
    $python -c "import $module" 2>/dev/null ||
      fail "python's $module is missing: give its wheel by WHEELHOUSE; nothing was measured" 2
  done
  echo "--- build for compute capability $capability (at most 150 s with a device)"
  limit=150
  [ -n "$dry" ] && limit=3000
  PATH="$site/bin:$PATH" timeout $limit $python -m pip install -q --no-index --no-deps --no-build-isolation --upgrade --target "$site" . \
    -C build-dir="$out/build" -C cmake.define.TOKENROOF_CUDA=ON \
    -C cmake.define.TOKENROOF_CUDA_ARCHITECTURES="$capability" >"$out/build.log" 2>&1 ||
    { tail -30 "$out/build.log"; fail "the build failed, or took longer than $limit s ($out/build.log)" 1; }
  built=$(($(date +%s) - began))
  echo "built in $built s"
fi

# stages in the order of their worth, each with its own limit, saved as it ends: bench/cuda/gpu.py
$python bench/cuda/gpu.py $dry --out "$out" --left "$(left)" --build-seconds "$built" | tee "$out/gpu.log"
status=1
tail -1 "$out/gpu.log" | grep -q 'all passed$' && status=0
echo "$(($(date +%s) - began)) s in all; status $status; $out/gpu.json, $out/gpu.md"
exit $status
