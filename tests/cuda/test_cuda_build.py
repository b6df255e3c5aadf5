"""The headers as device code, compiled without a GPU; and what the built module needs."""

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import tokenroof as tr
from tokenroof import cuda
from tokenroof.cuda import module as compiled

INCLUDE = Path(tr.get_include(), "tokenroof")
HEADERS = sorted(path.relative_to(INCLUDE).as_posix() for path in INCLUDE.rglob("*.hpp"))
CPP = Path(__file__).parents[2] / "cpp"


def _listed():
    """Calls of the element-wise kernels that a header holds, by the one list of kernels."""
    text = (CPP / "loops" / "kernels.def").read_text()
    kernels = re.findall(r"^ELEMENTWISE\((\w+), (\d+)\)", text, re.MULTILINE)
    found = {}
    for header in HEADERS:
        held = (INCLUDE / header).read_text()
        calls = [
            f"{name}({', '.join(f'r[{i}]' for i in range(int(inputs)))})"
            for name, inputs in kernels
            if re.search(rf"TR_HD T {name}\(", held)
        ]
        if calls:
            found[header] = " + ".join(calls)
    return found


# What device code makes of a header: an expression of numbers r, memory out and prepared records p. Element-wise
# kernels are called as they are listed.
USES = _listed() | {
    "core/config.hpp": "min_nan(r[0], r[1])",
    "core/maths.hpp": "log1p_lanes(r[0]) + expm1_negative(r[1])",
    "core/lanes.hpp": "lane(r[0], 0) + Lanes<double>(r[1]).all()",
    "core/random.hpp": "uniform<double, unsigned long long>(1ULL, 2ULL)",
    "inference/attention_decode.hpp": "attention_decode_cost<double>(prepare_attention_decode(r, r, r[0], r[1], r[2], r[3], r[4], 2), r[5], r[6], false).seconds",
    "inference/attention_prefill.hpp": "attention_prefill_cost<double>(prepare_attention_prefill(r, r, r[0], r[1], r[2], r[3], r[4], 2, 2), r[5], r[6], r[7]).seconds",
    "economics/cash_paths.hpp": "cash_path<double, unsigned long long>(cash_plan(CashModel{r[0], r[1]}), CashYears{3, r, r, r, r, r, r, r}, 1ULL, 2u, 3u, [](int, double, double, double, double) {}).worth",
    "economics/power_split.hpp": "power_split(PowerSplit{2, r, r, r, r}, r[8], out)",
    "economics/trends.hpp": "log_line(r, r + 3, 3).slope",
    "economics/returns.hpp": "dated_worth(r[0], r, r, 3) + rate_of(only_root<true, double>(out, r, 3, r[1], 1.0, out[1])) + [&] { FlowTerms f = flow_terms(r, r, 3, out); flow_roots(f, [&](double t) { out[9] = t; }); return out[9]; }()",
    "inference/collectives.hpp": "fastest(all_reduce_protocols(make_group(r, r[0]), r), r[1]).fixed",
    "inference/compressed_attention.hpp": "compressed_pairs(make_compressed(r[0], r[1], r[2]), r[3], r[4]) + compressor_state_bytes(r[0], r[1], true)",
    "inference/elementwise.hpp": "rotary_bytes(r[0], r[1], r[2]) + sampling_bytes(r[3], false)",
    "inference/experts.hpp": "experts_cost<double>(prepare_experts(r, r, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], 4), r[8]).seconds",
    "inference/gemm.hpp": "gemm_cost<double>(prepare_gemm(r, r, r[0], r[1], 2, 2), r[2]).seconds",
    "inference/heads.hpp": "full_heads(r, r[0]).heads + window_heads(r, r[1]).width + softmax_layers(r)",
    "inference/l2.hpp": "resident(r[0], inverse_resident(r, r[1]), saved_by_l2(r, r[2]))",
    "inference/latent_experts.hpp": "expert_width(r) + computed_topk(r[0], r[1], r[2]) + routed_topk(r)",
    "inference/layer_kernels.hpp": "(compressed_decode_operator(r, r + 20, r, out), compressed_prefill_operator(r, r + 20, r, out), compressor_operator(r, r + 20, r, out), block_sparse_decode_operator(r, r + 20, r, out), block_sparse_prefill_operator(r, r + 20, r, out), hyper_connection_operator(r, r + 20, r, out), attention_residual_operator(r, r + 20, r, out), layer_embedding_operator(r, r + 20, r, out), latent_experts_operator(r, r + 20, r, out), out[0])",
    "inference/memory.hpp": "memory_required(r, r + 60, r[0], r[1])",
    "inference/mla.hpp": "prepare_mla_decode(r, r, r[0], r[1], r[2], 2).key_s",
    "inference/operator_fields.hpp": "(put_line(out, Line{}, r[0], r[1]), out[0])",
    "inference/operator_kernels.hpp": "(gemm_operator(r, r + 20, r, out), experts_operator(r, r + 20, r, out), mla_prefill_operator(r, r + 20, r, out), send_operator(r, r + 20, r, out), out[0])",
    "inference/operators.hpp": "all_reduce(r[0], r[1], r[2], r[3])",
    "inference/power.hpp": "capped_power(r[0], r[1]) + board_watts(r, r + 20, r[0], r[1], Activity{r[2], r[3], r[4], r[5]})",
    "inference/power_cap.hpp": "capped_clock(r[0], r[1], r[2], r[3], r[4], r[5]) + slower_causes(r[6], r[7]).memory",
    "inference/prepare.hpp": "(prepare(p, r, r + 20, r + 300, r + 350), p.fixed)",
    "inference/prepare_attention.hpp": "(prepare_projections(p, r, r + 20, r + 300, r + 350), p.fixed)",
    "inference/prepare_products.hpp": "(add_product(p, r, r + 20, group_mlp, rank_tokens, r[0], r[1], r[2], 2, 2), p.fixed)",
    "inference/recurrent.hpp": "recurrent_decode(r, r + 20, mamba2(r[0], r[1], r[2], r[3], r[4], r[5])).bytes",
    "inference/routing.hpp": "skewed_load<double>(prepare_routing(r[0], r[1], r[2], r[3]), r[4], r[5]).touched",
    "inference/sparse_attention.hpp": "index_roof<double>(make_indexer(r, r + 20, 0, r[0], r[1], r[2]), r[3], r[4], r[5]).memory",
    "serving/system.hpp": "(serving_system(r, r[30], out), out[0] + closed_wait(r[0], r[1], r[2]))",
    "inference/streams.hpp": "stream_line(r, r + 20, r[0], r[1]).bytes + residual_bytes(r[0], r[1]) + layer_embedding_bytes(r[2]) + layer_lookup_bytes(r[0], r[1])",
    "inference/structure.hpp": "step_structure(r, r + 300, r + 350).kernels",
    "inference/transformer.hpp": "(evaluate_step<true, true>(p, r[0], r[1], r[2], r[3], r[4], out), out[0])",
    "mining/pools.hpp": "pool_path<double, unsigned long long>(PoolModel{r[0], r[1], r[2], r[3], r[4]}, 1ULL, 2u, 3u, static_cast<const bool*>(nullptr)).income"
    " + pplns_path<double, unsigned long long>(PoolModel{r[0], r[1], r[2], r[3], r[4]}, 1ULL, 2u, 3u, out, 128, static_cast<const bool*>(nullptr)).income",
    "mining/sha256.hpp": "double(meets_target(reinterpret_cast<const u8*>(r), reinterpret_cast<const u8*>(r + 4)))",
    "records/records.hpp": "dtype_bytes(int(r[0])) + dtype_peak(r, int(r[1]))",
    "serving/closed_loop.hpp": "(closed_loop(r, out), out[0])",
    "serving/prompt_pool.hpp": "(prompt_pool(r, PromptTable{r + 12, r + 16, 4}, out), out[0])",
    "serving/open_loop.hpp": "(open_loop<double>(r, reinterpret_cast<const Added*>(r), r + 20, 8, r + 40, r[0], out), out[0])",
    "serving/serving.hpp": "(serving(p, r, r + 20, r + 300, r + 350, r[0], r[1], r[2], out), out[0])",
}
# lists and templates that the others use
NO_CODE = {
    "core/pairs.hpp",
    "core/quick.hpp",
    "core/special.hpp",
    "inference/cost.hpp",
    "inference/prepared.hpp",
    "records/constants.hpp",
}


def _nvrtc(code):
    core = pytest.importorskip(
        "cuda.core", reason="cuda-core is not installed: no NVRTC", exc_type=ImportError
    )
    # machine code that nobody runs need not be quick
    options = core.ProgramOptions(
        arch="sm_90",
        std="c++17",
        fma=False,
        include_path=tr.get_include(),
        ptxas_options="-O0",
        ofast_compile="max",
    )
    return core.Program(code, "c++", options).compile("cubin")


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_is_device_code(header):
    """Compiled alone and called, by NVRTC for sm_90: no GPU, no driver, no nvcc."""
    use = USES.get(header, "0.0")
    needs_prepared = re.search(r"\bp\b", use)
    cubin = _nvrtc(
        f"#include <tokenroof/{header}>\nnamespace tokenroof {{}}\nusing namespace tokenroof;\n"
        f'extern "C" __global__ void go(const double* r, double* out{", Prepared& p" if needs_prepared else ""}) '
        f"{{ out[0] = {use}; }}\n"
    )
    assert cubin.code[:4] == b"\x7fELF" and b"go" in cubin.code


def test_the_uses_cover_the_headers():
    assert set(USES) | NO_CODE == set(HEADERS)


@pytest.mark.skipif(
    shutil.which("nvcc") is None, reason="no nvcc here: looks whether the build used it"
)
@pytest.mark.skipif("OFF" in tr.build_config()["cuda"], reason=tr.build_config()["cuda"])
def test_where_there_is_a_compiler_the_module_is_built():
    """Nvcc, at the build, is the check of the .cu files; too old a one is named."""
    state = tr.build_config()["cuda"]
    assert state != "built without CUDA: no CUDA compiler was found"
    assert state.startswith("built with CUDA") == (compiled.load()[0] is not None)


def _built():
    if not tr.build_config()["cuda"].startswith("built with CUDA"):
        pytest.skip(f"{tr.build_config()['cuda']}: looks at the CUDA module")
    from tokenroof import _cuda

    return _cuda


def test_the_module_loads_and_explains_itself():
    module = _built()
    assert cuda.available() or cuda.why_not()
    assert len(module.KERNELS) > 100
    if not cuda.available():
        assert cuda.devices() == []
        with pytest.raises(module.CudaError, match=r"\(cudaError\w+\)"):
            module.Memory(0, 8, 1)


@pytest.mark.skipif(
    shutil.which("ldd") is None, reason="no ldd here: looks at what the module links to"
)
def test_the_module_links_no_cuda_library():
    """cudart is in it; the driver is opened when something runs."""
    told = subprocess.run(
        ["ldd", _built().__file__], capture_output=True, text=True, check=True
    ).stdout
    assert "libstdc++" in told and "cuda" not in told.replace(_built().__file__, "")


def _device_code(path):
    """Kind (1: PTX, 2: machine code) and architecture of each piece of device code in a module.

    A container begins with its magic number, version, and sizes of its head and of the rest; a piece with its
    kind, version, and sizes of its head and its code, and has the architecture at byte 28.
    """
    data, found = Path(path).read_bytes(), set()
    magic = bytes.fromhex("50ed55ba")
    at = data.find(magic)
    while at >= 0:
        head, size = struct.unpack_from("<HQ", data, at + 6)
        piece, end = at + head, at + head + size
        while piece < end:
            kind, _, own_head, code = struct.unpack_from("<HHIQ", data, piece)
            found.add((kind, *struct.unpack_from("<I", data, piece + 28)))
            piece += own_head + code
        at = data.find(magic, end)
    return found


def test_the_module_holds_the_device_code_that_it_says():
    module, state = _built(), tr.build_config()["cuda"]
    said = re.search(r"machine code for ([\d, ]+), and PTX|: PTX", state)
    assert said, state
    held = _device_code(module.__file__)
    assert (1, 75) in held
    named = {int(number) for number in said[1].split(", ")} if said[1] else set()
    assert named <= {arch for kind, arch in held if kind == 2}
    asked = os.environ.get("SKBUILD_CMAKE_DEFINE", "").partition("TOKENROOF_CUDA_ARCHITECTURES=")[2]
    if asked in ("all", "check"):  # as wheels are, and as this is tested
        assert named == ({90, 100, 120} if asked == "all" else {90})
        assert {80, 90, 100, 120} <= {arch for kind, arch in held if kind == 2}


def test_importing_does_not_load_the_module():
    code = (
        "import sys, tokenroof; assert 'tokenroof.cuda' not in sys.modules\n"
        "import tokenroof.cuda; assert 'tokenroof._cuda' not in sys.modules\n"
        "assert tokenroof.cuda.ridge_point.nin == 2"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                         timeout=60, env=os.environ)  # fmt: skip
    assert got.returncode == 0, got.stderr
