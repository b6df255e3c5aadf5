"""The CUDA module compiled for the CPU: the same device code and host code, over tests/cuda/shim."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tokenroof.cuda import module as compiled

ROOT = Path(__file__).parents[2]
SHIM = ROOT / "tests" / "cuda" / "shim"
# of kernels that compile for longer than they run; header scans are optimized a little, which run the longest
FLAGS = ["-std=c++20", "-fPIC", "-O0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-w",
         "-DTR_ISA=cuda", "-DTR_LANES=1"]  # fmt: skip
# for instance -fsanitize=address,undefined, with the libraries of tests/sanitize.sh in LD_PRELOAD
MORE = os.environ.get("TOKENROOF_SHIM_FLAGS", "").split()
_loaded: list[ModuleType | str] = []  # the module, or why it does not compile
_shown: dict[int, int] = {}  # addresses that pass for a device's, and for how many arrays


def _sources(folder: Path) -> list[Path]:
    """Device code in the groups of cpp/cuda/CMakeLists.txt, which spend most of their time on the same headers."""
    groups: dict[str, list[Path]] = {"steps": [], "scan": [], "kernels": []}
    for path in sorted((ROOT / "cpp" / "cuda").glob("*.cu")):
        steps = re.search(
            r'^#include "(prepared|step_kernels)\.hpp"', path.read_text(), re.MULTILINE
        )
        groups["steps" if steps else "scan" if path.stem == "scan" else "kernels"].append(path)
    for name, paths in groups.items():
        (folder / f"{name}.cu").write_text("".join(f'#include "{path}"\n' for path in paths))
    return [folder / f"{name}.cu" for name in groups]


def _key(flags: list[str]) -> str:
    text = hashlib.sha256(repr((flags, sysconfig.get_config_var("EXT_SUFFIX"))).encode())
    folders = [ROOT / "cpp" / name for name in ("cuda", "include", "loops", "hash", "python")]
    folders.append(SHIM)
    for path in sorted(p for f in folders for p in f.rglob("*") if p.is_file()):
        text.update(path.name.encode() + path.read_bytes())
    return text.hexdigest()[:16]


def _compile(folder: Path, includes: list[str]) -> Path:
    target = folder / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}"
    if target.exists():
        return target

    generator = ROOT / "cpp" / "hash" / "generator" / "gpu.py"
    subprocess.run([sys.executable, "-B", str(generator), str(folder)], check=True, timeout=100)

    def one(source: Path) -> str:
        out = folder / f"{source.stem}{source.suffix}.o"
        # as nvcc: the headers' paths of device code, and the runtime's header before all
        device = ["-D__CUDACC__", "-include", "cuda_runtime.h"] if source.suffix == ".cu" else []
        if source.stem == "scan":
            device.append("-O1")
        command = [
            "g++",
            *FLAGS,
            *MORE,
            *device,
            *includes,
            f"-I{folder}",
            "-x",
            "c++",
            "-c",
            source,
            "-o",
            out,
        ]
        got = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        assert got.returncode == 0, (
            f"{source.name} does not compile for the CPU:\n{got.stderr[:4000]}"
        )
        return str(out)

    host = folder / "host.cpp"  # as one: pybind11 takes seconds a file
    parts = sorted(p for p in (ROOT / "cpp" / "cuda").glob("*.cpp") if p.name != "module.cpp")
    host.write_text("".join(f'#include "{p}"\n' for p in [*parts, SHIM / "shim_module.cpp"]))
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(one, [host, *_sources(folder)]))
    temporary = folder / "linked"
    subprocess.run(
        ["g++", "-shared", *MORE, *objects, "-pthread", "-o", str(temporary)],
        check=True,
        timeout=100,
    )
    temporary.rename(target)
    return target


def shim() -> ModuleType:
    """The module, compiled once per state of the sources; its `shim` part turns devices and failures."""
    if not _loaded:
        try:
            _loaded.append(_load())
        except AssertionError as error:
            _loaded.append(str(error))
    if isinstance(_loaded[0], str):
        pytest.fail(_loaded[0], pytrace=False)
    return _loaded[0]


def in_place_of_the_real_one(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module over the shim, with its two devices, for the time of a test."""
    found = shim()
    found.shim.reset()
    monkeypatch.setattr(compiled, "load", lambda: (found, ""))
    return found


def _load() -> ModuleType:
    if shutil.which("g++") is None:
        pytest.skip("no g++ here: compiles the device code for the CPU")
    pybind11 = pytest.importorskip("pybind11", reason="no pybind11 here: its headers are compiled")
    # not <pybind11>/include alone: the shim's cuda_runtime.h has to be found before a toolkit's
    includes = [f"-I{SHIM}", f"-I{ROOT}/cpp", f"-I{ROOT}/cpp/include", f"-I{ROOT}/cpp/loops",
                f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}"]  # fmt: skip
    folder = (
        Path(tempfile.gettempdir())
        / f"tokenroof-shim-{os.getuid()}-{_key(FLAGS + MORE + includes)}"
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker of a parallel run compiles, the others wait
        path = _compile(folder, includes)
    loader = importlib.machinery.ExtensionFileLoader("_cuda", str(path))
    spec = importlib.util.spec_from_file_location("_cuda", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class HostArray:
    """An array that says of the host's memory that it is a device's, as the shim's device memory is."""

    def __init__(self, array, device=0, version=3, stream=None, read_only=False, mask=None):
        self.array, self.device = array, device
        self.told = {"version": version, "data": (array.ctypes.data, read_only), "strides": array.strides,
                     "shape": array.shape, "typestr": array.dtype.str}  # fmt: skip
        if version >= 3:
            self.told |= {"stream": stream, "mask": mask}
        while isinstance(array.base, np.ndarray):
            array = array.base
        self._base = array.ctypes.data
        _shown[self._base] = _shown.get(self._base, 0) + 1
        shim().shim.register(self._base, array.nbytes, device)

    def __del__(self):  # the host may give the memory to something else
        _shown[self._base] -= 1
        if not _shown[self._base]:
            del _shown[self._base]
            shim().shim.unregister(self._base)

    @property
    def __cuda_array_interface__(self):
        return self.told


def on_device(array, **changes):
    """The same strided memory as a device array."""
    return HostArray(np.asarray(array), **changes)
