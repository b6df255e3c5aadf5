"""The door: what a caller names is looked up once a call, and nothing below looks it up again."""

from collections import Counter

import pytest

import tokenroof as tr
from tokenroof.inference import calibration, combinations, dataflow, decouple, door, speculative

ops = tr.operators
PLAN = tr.Plan(tp=8, weights="fp8", kv_cache="fp8")
LAYER = (7168, 2048, 256, 8)
SHAPES = {
    "compressed_decode": (8, 4096, 64), "compressed_prefill": (1, 4096, 0, 64), "compressor": (64,),
    "block_sparse_decode": (8, 4096, 64, 4), "block_sparse_prefill": (1, 4096, 0, 64, 4),
    "hyper_connection": (64, 4096), "attention_residual": (64, 4096), "layer_embedding": (64, 2048),
    "latent_experts": (64, 4096, 1024, 2688, 512, 22),
    "gemm": (8, 8, 8), "head": (8, 8, 8), "grouped_gemm": (8, 8, 8, 8, 2), "experts": (8, *LAYER),
    "attention_decode": (1, 8, 8, 8, 64), "attention_prefill": (1, 8, 0, 8, 8, 64),
    "mla_decode": (1, 8, 8), "mla_prefill": (1, 8, 0, 8), "sparse_decode": (1, 8, 8),
    "sparse_prefill": (1, 8, 0, 8), "gated_delta_decode": (1,), "gated_delta_prefill": (1, 8),
    "mamba2_decode": (1, 8), "mamba2_prefill": (1, 8, 8), "norm": (8, 8), "rotary": (8, 8, 8, 64),
    "activation": (8, 8), "quantise": (8, 8), "sampling": (8, 8), "all_reduce": (8, 8),
    "all_gather": (8, 8), "reduce_scatter": (8, 8), "all_to_all": (8, 8), "send": (2, 8),
    "kv_transfer": ("GPT-2", 8),
}  # fmt: skip


def _constants_of(*given):
    return f"constants of {next(x for x in given if isinstance(x, tr.Device)).name}"


@pytest.fixture
def looked_up(monkeypatch):
    """Names of devices and models, each as often as it was looked up; calibrations likewise."""
    counts = Counter()

    def counted(module, name, key):
        function = getattr(module, name)

        def counting(*given, **named):
            counts[key(*given)] += 1
            return function(*given, **named)

        monkeypatch.setattr(module, name, counting)

    counted(door, "complete", lambda device: device.name)
    counted(door, "model_of", lambda name: name)
    for module, name in (
        (calibration, "resolve"),
        (calibration, "_of_operator"),
        (combinations, "resolve"),
        (door, "resolve_step"),
    ):
        counted(module, name, _constants_of)
    return counts


@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_operators_look_up_once(name, fidelity, looked_up):
    getattr(ops, name)("H200-SXM", *SHAPES[name], fidelity=fidelity)
    models = {"GPT-2": 1} if name == "kv_transfer" else {}
    assert looked_up == {"H200-SXM": 1, "constants of H200-SXM": 1, **models}


def test_every_operator_is_looked_at():
    assert set(SHAPES) == set(ops.__all__) - {"Operator", "Options", "layer_matrices"}


def test_steps_and_dataflow_look_up_once(looked_up):
    tr.decode("H200-SXM", "GPT-2")
    assert looked_up == {"H200-SXM": 1, "GPT-2": 1, "constants of H200-SXM": 1}
    looked_up.clear()
    for function in (dataflow.decode, dataflow.prefill):
        function("WSE3", "GPT-2")
        assert looked_up == {tr.device("WSE3").name: 1, "GPT-2": 1}
        looked_up.clear()
    tr.sweep(["H200-SXM", "B200-SXM"], ["GPT-2"])
    wanted = ["H200-SXM", "B200-SXM", "GPT-2", "constants of H200-SXM", "constants of B200-SXM"]
    assert looked_up == dict.fromkeys(wanted, 1)


def test_layouts_look_up_once(looked_up):
    chip = tr.device("LPX").name
    for call, wanted in (
        (lambda: decouple.prefill_decode("Llama-3.1-70B", ("H200-SXM", PLAN), ("B200-SXM", PLAN)),
         {"H200-SXM", "B200-SXM", "Llama-3.1-70B", "constants of H200-SXM", "constants of B200-SXM"}),
        (lambda: decouple.prefill_decode("Llama-3.1-70B", ("H200-SXM", PLAN), "LPX"),
         {"H200-SXM", chip, "Llama-3.1-70B", "constants of H200-SXM"}),
        (lambda: decouple.attention_experts("Qwen3-235B-A22B", ("B200-SXM", PLAN), "LPX"),
         {"B200-SXM", chip, "Qwen3-235B-A22B", "constants of B200-SXM"}),
        (lambda: decouple.drafts("Llama-3.1-70B", ("B200-SXM", PLAN), "Llama-3.2-1B", "LPX"),
         {"B200-SXM", chip, "Llama-3.1-70B", "Llama-3.2-1B", "constants of B200-SXM"}),
    ):  # fmt: skip
        call()
        assert looked_up == dict.fromkeys(wanted, 1)
        looked_up.clear()


def test_speculation_looks_up_target_and_draft_once(looked_up):
    speculative.decode("H200-SXM", "Llama-3.1-70B", PLAN, draft="Llama-3.1-8B")
    # constants for the types of each of the two plans
    wanted = {"H200-SXM": 1, "Llama-3.1-70B": 1, "Llama-3.1-8B": 1, "constants of H200-SXM": 2}
    assert looked_up == wanted


def test_options_of_operators_come_by_name_or_behind_the_shapes():
    by_name = ops.gemm(
        "H200-SXM", 8, 64, 64, "fp8", engine="trtllm", fidelity="datasheet", warm=True
    )
    by_position = ops.gemm("H200-SXM", 8, 64, 64, "fp8", "trtllm", "datasheet", None, True)
    assert by_position.time_s == by_name.time_s and by_position.calibration == by_name.calibration
    for call, said in (
        (lambda: ops.gemm("H200-SXM", 1, 8, 8, enigne="vllm"), r"gemm\(\) .*'enigne'; allowed: engine, fidelity"),
        (lambda: ops.gemm("H200-SXM", 1, 8, 8, "bf16", "vllm", engine="vllm"), "multiple values for argument 'engine'"),
        (lambda: ops.all_reduce("H200-SXM", 8, 8, "nccl", "datasheet", 1), "takes at most 5 arguments, and 6 were given"),
        (lambda: ops.sparse_prefill("H200-SXM", 1, 8, 0, 8, type="fp8"), "allowed: dtype, kv_dtype, engine, fidelity"),
        (lambda: dataflow.decode("WSE3", "GPT-2", speed=1), r"decode\(\) .*'speed'; allowed: efficiency, layer_s"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=said):
            call()
