"""The built module and what importing it costs others."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tokenroof as tr

ISAS = tr.build_config()["isas_usable"]
HEADERS = sorted(Path(tr.get_include(), "tokenroof").glob("*.hpp"))


def _python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip


@pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("nm")),
    reason="no g++ or nm here: compiles the sources to look at their symbols",
)
@pytest.mark.parametrize("source", ["loops/loops.cpp", "loops/steps.cpp", "hash/scan_lanes.cpp",
                                    "probe/probe_loops.cpp"])  # fmt: skip
def test_objects_have_no_weak_symbols(source, tmp_path):
    """A weak one could be replaced by a copy that was built for a newer processor."""
    cpp = Path(__file__).parent.parent / "cpp"
    target = tmp_path / "object.o"
    subprocess.run(
        ["g++", "-std=c++20", "-O1", "-ffp-contract=off", "-fno-trapping-math", "-Wno-psabi",
         "-DTR_ISA=generic", "-DTR_LANES=4", f"-I{cpp}/include", f"-I{cpp}", f"-I{cpp}/loops", "-c",
         str(cpp / source), "-o", str(target)], check=True, timeout=300,
    )  # fmt: skip
    listing = subprocess.run(["nm", target], capture_output=True, text=True, check=True).stdout
    assert "tokenroof" in listing
    assert not re.findall(r"^.* [WVu] .*$", listing, re.MULTILINE)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here: compiles each header alone")
@pytest.mark.parametrize("header", [h.name for h in HEADERS])
def test_each_header_stands_alone(header, tmp_path):
    unit = tmp_path / "unit.cpp"
    unit.write_text(f"#include <tokenroof/{header}>\nint main() {{ return 0; }}\n")
    command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-psabi",
               f"-I{tr.get_include()}", str(unit)]  # fmt: skip
    got = subprocess.run(command, capture_output=True, text=True, check=False)
    assert got.returncode == 0 and not got.stderr, got.stderr


def test_headers_are_shipped():
    assert {"roofline.hpp", "operators.hpp", "transformer.hpp", "sha256.hpp"} <= {
        h.name for h in HEADERS
    }


def test_import_needs_numpy_and_the_standard_library_alone():
    got = _python(
        "import numpy, sys; before = set(sys.modules); import tokenroof; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    assert got.returncode == 0, got.stderr
    extra = set(got.stdout.split()) - set(sys.stdlib_module_names) - {"tokenroof", "numpy"}
    assert not extra


@pytest.mark.parametrize("isa", ISAS)
def test_an_instruction_set_can_be_forced(isa):
    got = _python("import tokenroof._core as c; print(c.ISA)", TOKENROOF_ISA=isa)
    assert got.stdout.strip() == isa, got.stderr


def test_an_unknown_instruction_set_is_refused():
    got = _python("import tokenroof", TOKENROOF_ISA="z80")
    assert got.returncode != 0
    assert "TOKENROOF_ISA is 'z80'" in got.stderr and "generic" in got.stderr


def test_build_config_says_how():
    config = tr.build_config()
    assert config["version"] == tr.__version__
    assert config["isa"] in config["isas_usable"]
    assert "CUDA" in config["cuda"]


DEVICE_CODE = (
    "#include <tokenroof/attacks.hpp>\n#include <tokenroof/economics.hpp>\n"
    "#include <tokenroof/operator_kernels.hpp>\n#include <tokenroof/pools.hpp>\n"
    "#include <tokenroof/roofline.hpp>\n#include <tokenroof/sha256.hpp>\n"
    "#include <tokenroof/transformer.hpp>\n"
    'extern "C" __global__ void go(const double* r, double* out) {\n'
    "  tokenroof::Prepared p; tokenroof::prepare(p, r, r + 20, r + 60, r + 110);\n"
    "  tokenroof::Parts<double> parts;\n"
    "  out[0] = tokenroof::evaluate<double, true, true, false>(p, 1.0, 2.0, 1.0, 3.0, 4.0, parts)\n"
    "    + tokenroof::attainable(r[0], r[1], r[2]) + tokenroof::double_spend_rosenfeld(r[0], r[1]);\n"
    "  const tokenroof::PoolModel m = {r[0], r[1], r[2], r[3], r[4]};\n"
    "  out[1] = tokenroof::pool_path<double, unsigned long long>(m, 1ULL, 2u, 3u, nullptr).income\n"
    "    + tokenroof::pplns_path<double, unsigned long long>(m, 1ULL, 2u, 3u, out, 128, nullptr).income;\n}\n"
)


@pytest.mark.skipif(
    shutil.which("nvcc") is None, reason="no nvcc here: compiles the headers for a GPU"
)
def test_device_code_compiles_under_nvcc(tmp_path):
    """The headers as a CUDA program, host and device, without a GPU."""
    unit = tmp_path / "unit.cu"
    unit.write_text(DEVICE_CODE)
    command = ["nvcc", "-std=c++20", "-arch=sm_90", "--fmad=false", f"-I{tr.get_include()}", "-c",
               str(unit), "-o", str(tmp_path / "unit.o")]  # fmt: skip
    got = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert got.returncode == 0, got.stderr


def test_device_code_compiles_under_nvrtc():
    """The headers as a CUDA program, without a GPU."""
    nvrtc = pytest.importorskip(
        "cuda.bindings.nvrtc",
        reason="cuda-bindings is not installed: no NVRTC",
        exc_type=ImportError,
    )
    error, program = nvrtc.nvrtcCreateProgram(DEVICE_CODE.encode(), b"go.cu", 0, [], [])
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    options = [
        b"--gpu-architecture=sm_90",
        b"--std=c++17",
        b"--fmad=false",
        b"-I" + tr.get_include().encode(),
    ]
    (error,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    _, size = nvrtc.nvrtcGetProgramLogSize(program)
    log = b" " * size
    nvrtc.nvrtcGetProgramLog(program, log)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
