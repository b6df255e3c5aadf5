"""The built module and what importing it costs others."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tokenroof as tr

ISAS = tr.build_config()["isas_usable"]
INCLUDE = Path(tr.get_include(), "tokenroof")
HEADERS = sorted(path.relative_to(INCLUDE).as_posix() for path in INCLUDE.rglob("*.hpp"))


def _python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip


CPP = Path(__file__).parents[2] / "cpp"
SCANNERS = {
    "scalar": [], "avx2": ["-march=x86-64-v3"], "sha_ni": ["-msse4.1", "-msha"],
    "avx512": ["-march=x86-64-v4"], "hybrid": ["-march=x86-64-v4", "-msha"],
}  # fmt: skip


def _made(folder):
    """The scanners' sources, as the build writes them."""
    generator = CPP / "hash" / "generator" / "generate.py"
    subprocess.run(
        [sys.executable, str(generator), str(folder)], check=True, timeout=120,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def _built():
    """Objects by source that `pip install` left in the tree, one per instruction set; none where a source is newer."""
    sources = [path for path in CPP.rglob("*") if path.is_file()]
    newest = max(path.stat().st_mtime for path in sources)
    found = {}
    for path in sorted(CPP.parent.glob("build/*/cpp/CMakeFiles/*.dir/*/*.cpp.o")):
        if path.stat().st_mtime > newest:
            found.setdefault(f"{path.parent.name}/{path.name.removesuffix('.o')}", []).append(path)
    return found


BUILT = _built()


def _objects(source, isa, flags, folder):
    """What the installed module was linked from, where that is in the tree; else of a build of its own."""
    if source in BUILT:
        return BUILT[source]
    if source.startswith("hash/scan"):
        _made(folder)
    target = folder / "object.o"
    subprocess.run(
        ["g++", "-std=c++20", "-O1", "-ffp-contract=off", "-fno-trapping-math", "-Wno-psabi", *flags,
         f"-DTR_ISA={isa}", f"-DTR_LANES={4 if isa == 'generic' else 1}",
         f"-I{folder}", f"-I{CPP}/include", f"-I{CPP}", f"-I{CPP}/loops", "-c",
         str(CPP / source), "-o", str(target)], check=True, timeout=300,
    )  # fmt: skip
    return [target]


def _symbols(path):
    return subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("nm")),
    reason="no g++ or nm here: compiles the sources to look at their symbols",
)
@pytest.mark.parametrize(
    "source,flags",
    [*[(f"loops/{name}.cpp", []) for name in ("loops", "steps", "fields", "operators", "records", "flows")],
     *[(f"montecarlo/{name}_loops.cpp", []) for name in ("pool", "cash")],
     ("hash/digest_lanes.cpp", []), ("probe/probe_loops.cpp", []), ("queueing/open_loop_lanes.cpp", []),
     pytest.param("probe/probe_dot.cpp", ["-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16"],
                  marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="instructions of x86-64"))],
)  # fmt: skip
def test_objects_have_no_weak_symbols(source, flags, tmp_path):
    """A weak one could be replaced by a copy that was built for a newer processor."""
    for path in _objects(source, "generic", flags, tmp_path):
        listing = _symbols(path)
        assert "tokenroof" in listing
        assert not re.findall(r"^.* [WVu] (?!DW\.ref\.).*$", listing, re.MULTILINE), path


@pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("nm") and platform.machine() == "x86_64"),
    reason="no g++ or nm for x86-64 here: compiles the scanners to look at their symbols",
)
@pytest.mark.parametrize("name", SCANNERS)
def test_scanners_have_no_weak_symbols(name, tmp_path):
    flags = ["-Wall", "-Wextra", "-Werror", *SCANNERS[name]]
    for path in _objects(f"hash/scan_{name}.cpp", name, flags, tmp_path):
        listing = _symbols(path)
        assert "scan_table" in listing
        assert not re.findall(r"^.* [WVu] (?!DW\.ref\.).*$", listing, re.MULTILINE), path


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("flags", [["-O0"], ["-O2"], ["-O2", "-mavx"]], ids=" ".join)
def test_headers_under_a_users_warnings(compiler, flags, tmp_path):
    """Without registers as wide as the vectors that some functions hand on, too, nothing is said; all in one unit."""
    if not shutil.which(compiler) or (platform.machine() != "x86_64" and "-mavx" in flags):
        pytest.skip(f"no {compiler} here, or no {' '.join(flags)}: compiles the headers")
    unit = tmp_path / "unit.cpp"
    unit.write_text(
        "".join(f"#include <tokenroof/{name}>\n" for name in HEADERS)
        + "void product(const double* d, const double* c, const double* a, double* out) {\n"
        + "    tokenroof::gemm_operator(d, c, a, out);\n}\n"
        + "int main() { return tokenroof::attainable(2.0, 1.0, 4.0) == 2.0 ? 0 : 1; }\n"
    )
    command = [compiler, "-std=c++20", *flags, "-Wall", "-Wextra", "-Wpedantic", "-Werror",
               f"-I{INCLUDE.parent}", str(unit), "-o", str(tmp_path / "unit")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    subprocess.run([tmp_path / "unit"], check=True, timeout=60)


def test_the_generator_writes_the_same_twice(tmp_path):
    _made(tmp_path / "a")
    _made(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert {"avx2.inc", "hybrid.inc", "counts.inc"} <= set(names)
    for name in names:
        text = (tmp_path / "a" / name).read_text()
        assert text == (tmp_path / "b" / name).read_text()
        assert str(tmp_path) not in text


_ARM_GCC, _ARM_RUN = (
    "aarch64-linux-gnu-g++",
    shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static"),
)


@pytest.mark.skipif(
    not (shutil.which(_ARM_GCC) and _ARM_RUN),
    reason=f"no {_ARM_GCC} or qemu-aarch64 here: compiles the ARM scanner and runs it emulated",
)
def test_the_arm_scanner_under_qemu(tmp_path):
    """Every lane of both modes against hashlib, by a program for aarch64 that prints its hits."""
    _made(tmp_path)
    unit = tmp_path / "main.cpp"
    unit.write_text(ARM_PROGRAM)
    objects = []
    for name, flags in (("armv8", ["-march=armv8-a+crypto"]), ("scalar", [])):
        objects.append(str(tmp_path / f"{name}.o"))
        subprocess.run(
            [_ARM_GCC, "-std=c++20", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-psabi", *flags,
             f"-DTR_ISA={name}", "-DTR_LANES=1", f"-I{tmp_path}", f"-I{CPP}", f"-I{CPP}/include",
             "-c", str(CPP / "hash" / f"scan_{name}.cpp"), "-o", objects[-1]],
            check=True, timeout=300,
        )  # fmt: skip
    program = tmp_path / "main"
    subprocess.run(
        [_ARM_GCC, "-std=c++20", "-O1", "-static", f"-I{CPP}", str(unit), *objects, "-o", str(program)],
        check=True, timeout=300,
    )  # fmt: skip
    listing = subprocess.run(
        ["aarch64-linux-gnu-nm", objects[0]], capture_output=True, text=True, check=True
    ).stdout
    assert not re.findall(r"^.* [WVu] (?!DW\.ref\.).*$", listing, re.MULTILINE)
    header, start, count, versions = bytes(range(80)), 2**32 - 37, 37, 8
    base = int.from_bytes(header[:4], "little")

    def value(nonce, step):
        bits = ((base >> 13) + step) & 0xFFFF
        version = base & ~0x1FFFE000 | bits << 13
        raw = version.to_bytes(4, "little") + header[4:76] + nonce.to_bytes(4, "little")
        return int.from_bytes(hashlib.sha256(hashlib.sha256(raw).digest()).digest(), "little")

    values = {(s, n): value(n, s) for s in range(versions) for n in range(start, start + count)}
    for target in [2**256 - 1, 2**252, *sorted(values.values())[:8:3]]:
        got = subprocess.run(
            [_ARM_RUN, "-cpu", "max", str(program), target.to_bytes(32, "little").hex()],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout.split("\n")  # fmt: skip
        found = {}
        for line in filter(None, got):
            backend, mode, step, nonce = line.split()
            found.setdefault((backend, mode), []).append((int(step), int(nonce)))
        want = sorted(key for key, v in values.items() if v <= target)
        for backend in ("armv8", "scalar"):
            for mode in ("nonce", "roll"):
                assert sorted(found.get((backend, mode), [])) == want, (backend, mode, target)


ARM_PROGRAM = """
#include "hash/hash_table.hpp"
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
namespace tokenroof {
namespace armv8 { extern const ScanTable scan_table; }
namespace scalar { extern const ScanTable scan_table; }
}
using namespace tokenroof;
int main(int, char** arguments) {
    unsigned char header[80], target[32];
    for (int i = 0; i < 80; ++i) header[i] = static_cast<unsigned char>(i);
    for (int i = 0; i < 32; ++i) {
        const char digits[3] = {arguments[1][2 * i], arguments[1][2 * i + 1], 0};
        target[i] = static_cast<unsigned char>(std::strtoul(digits, nullptr, 16));
    }
    const ScanTable* tables[] = {&armv8::scan_table, &scalar::scan_table};
    const char* names[] = {"armv8", "scalar"};
    std::vector<ScanHit> hits(37 * 8);
    for (int b = 0; b < 2; ++b)
        for (int mode = 0; mode < 2; ++mode)
            for (unsigned step = 0; step < 8; step += mode ? 8 : 1) {
                const ScanJob job{header, target, 0xffffffffu - 36, 37, step, mode ? 8 : 1};
                const long long n = (mode ? tables[b]->roll : tables[b]->nonce)(&job, hits.data());
                for (long long i = 0; i < n; ++i)
                    std::printf("%s %s %u %u\\n", names[b], mode ? "roll" : "nonce", hits[i].step, hits[i].nonce);
            }
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here: compiles each header alone")
@pytest.mark.parametrize("header", HEADERS)
def test_each_header_stands_alone(header, tmp_path):
    unit = tmp_path / "unit.cpp"
    unit.write_text(f"#include <tokenroof/{header}>\nint main() {{ return 0; }}\n")
    command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wno-psabi",
               f"-I{tr.get_include()}", str(unit)]  # fmt: skip
    got = subprocess.run(command, capture_output=True, text=True, check=False)
    assert got.returncode == 0 and not got.stderr, got.stderr


# A header folder, and those below it: what its headers may include.
BELOW = {
    "core": set(),
    "records": {"core"},
    "inference": {"core", "records"},
    "mining": {"core"},
    "serving": {"core", "records", "inference"},
    "economics": {"core", "records", "inference", "serving", "mining"},
}


def _included(header):
    text = (INCLUDE / header).read_text()
    return re.findall(r'^#include\s+"tokenroof/([^"]+)', text, re.MULTILINE)


def test_headers_are_shipped():
    """One folder per subject, as in the package, and none beside them."""
    assert {header.split("/")[0] for header in HEADERS} == set(BELOW)
    wanted = {"inference/roofline.hpp", "inference/transformer.hpp", "mining/sha256.hpp"}
    assert wanted <= set(HEADERS)


@pytest.mark.parametrize("header", HEADERS)
def test_headers_include_what_is_below_them(header):
    folder, included = header.split("/")[0], _included(header)
    # by their whole paths, and nothing else: no standard header
    assert (INCLUDE / header).read_text().count("#include") == len(included)
    for name in included:
        assert name in HEADERS
        assert name.split("/")[0] in BELOW[folder] | {folder}, name


def test_headers_include_each_other_in_no_ring():
    left = {header: set(_included(header)) for header in HEADERS}
    while left:
        free = {header for header, needs in left.items() if not needs & left.keys()}
        assert free, f"a ring among {sorted(left)}"
        left = {header: needs for header, needs in left.items() if header not in free}


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
