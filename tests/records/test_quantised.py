"""Quantised releases: the types that a config names, weight bytes by module, plans that say both."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

import tokenroof as tr
from tokenroof import kernels
from tokenroof.records.quantisation import Stored, matches

CONFIGS = Path(__file__).parent / "fixtures" / "model_configs"
LLAMA = {"model_type": "llama", "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000,
         "tie_word_embeddings": False}  # fmt: skip
# of a layer: 256 (256 + 128 + 128 + 256) and 3 x 256 x 512
ATTENTION, MLP, ENDS, NORMS = 4 * 196_608, 4 * 393_216, 2 * 256_000, 9 * 256


def config(name: str, **changes: object) -> dict:
    return {**json.loads((CONFIGS / f"{name}.json").read_text()), **changes}


def tiny(**quantised: object) -> dict:
    return {**LLAMA, "quantization_config": quantised}


def group(**numbers: object) -> dict:
    return {"targets": ["Linear"], "weights": numbers}


INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}


@pytest.mark.parametrize(
    ("quantised", "each", "scales", "zeros"),
    [
        ({"quant_method": "fp8"}, 1.0, 28 * 4, 0),  # one scale per matrix
        ({"quant_method": "fbgemm_fp8"}, 1.0, 4 * 4 * (256 + 128 + 128 + 256 + 512 + 512 + 256), 0),
        # 128 x 128 tiles: 2x2, 1x2, 1x2, 2x2 of attention; 4x2, 4x2, 2x4 of the MLP
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 1.0, 4 * 4 * (12 + 24), 0),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, 0.5, (ATTENTION + MLP) / 128 * 2,
         (ATTENTION + MLP) / 128 / 2),
        # and the order of groups: four bytes for each of 256 (q, k, v, o, gate, up) and 512 (down) inputs
        ({"quant_method": "gptq", "bits": 8, "group_size": 64}, 1.0,
         (ATTENTION + MLP) / 64 * 2 + 4 * 4 * (6 * 256 + 512), (ATTENTION + MLP) / 64),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 0.5, (ATTENTION + MLP) / 16, 0),
        ({"quant_method": "compressed-tensors", "ignore": ["lm_head"], "config_groups": {"g": group(**INT4)}},
         0.5, (ATTENTION + MLP) / 128 * 2, 0),
    ],
)  # fmt: skip
def test_bytes_by_hand(quantised, each, scales, zeros):
    found = tr.Model.from_config(tiny(**quantised)).weight_bytes()
    assert found["attention"] == ATTENTION * each
    assert found["mlp"] == MLP * each
    assert found["embedding"] + found["head"] == 2 * ENDS
    assert found["norms"] == 2 * NORMS
    assert found["scales"] == scales
    assert found["zero_points"] == zeros
    assert sum(found.values()) == (ATTENTION + MLP) * each + 2 * (ENDS + NORMS) + scales + zeros


def test_sixteen_bits_are_two_bytes_a_parameter():
    m = tr.Model.from_config(LLAMA)
    assert sum(m.weight_bytes().values()) == 2 * m.parameters


@pytest.mark.parametrize(
    ("said", "each"),
    [
        ("float32", 4),
        ("torch.float32", 4),
        ("float", 4),
        ("float64", 8),
        ("bfloat16", 2),
        ("float16", 2),
        ("auto", 2),
    ],
)
def test_a_checkpoint_without_a_method_is_as_wide_as_it_says(said, each):
    """OLMo-2-7B is 29.2 GB on the hub, not 14.6: Llama in 32 bits weighs four bytes a parameter."""
    m = tr.Model.from_config({**LLAMA, "torch_dtype": said})
    assert sum(m.weight_bytes().values()) == each * m.parameters
    assert (
        tr.Plan.from_config(m, tp=1).label() == "tp1 bf16 kv bf16"
    )  # engines run what is wider in 16 bits


def test_records_that_say_their_type_in_words_weigh_what_they_say():
    def of(name):
        m = tr.model(name)
        return m, m.weight_bytes()

    for name in ("GPT-2", "OLMo-2-7B", "GPT-J-6B"):
        m, found = of(name)
        assert sum(found.values()) == 4 * m.parameters
    # one byte a matrix; tables, router, head and norms stay in 16 bits; xai-org/grok-1: 318 GB
    m, found = of("Grok-1")
    assert found["experts"] + found["attention"] == pytest.approx(m.parameters, rel=0.01)
    assert found["scales"] == 0
    assert sum(found.values()) == pytest.approx(318e9, rel=0.01)
    m, found = of("MiMo-V2-Flash")  # blocks of 128 x 128, a scale of 32 bits each
    narrow = found["experts"] + found["attention"] + found["mlp"]
    assert found["scales"] == pytest.approx(4 * narrow / 128**2, rel=0.01)
    assert m.parameters < sum(found.values()) < 1.02 * m.parameters


def _left(pattern: str, layers: int, *parts: str) -> list[str]:
    return [pattern.format(i, part) for i in range(layers) for part in parts]


@pytest.mark.parametrize(
    ("name", "label"),
    [("DeepSeek-R1", "tp8 fp8_block kv bf16"), ("gpt-oss-120b", "tp8 bf16/mxfp4 kv bf16"),
     ("Kimi-K2.5", "tp8 bf16/int4_32 kv bf16"), ("MiniMax-M2.5", "tp8 fp8_block kv bf16"),
     ("Llama-3.1-8B", "tp8 bf16 kv bf16")],
)  # fmt: skip
def test_plans_of_releases(name, label):
    plan = tr.Plan.from_config(CONFIGS / f"{name}.json", tp=8)
    assert plan.label() == label
    assert plan == tr.Plan.from_config(config(name), tp=8)
    assert plan == tr.Plan.from_config(tr.model(name), tp=8)


def test_what_is_named_beside_the_file_counts():
    plan = tr.Plan.from_config(CONFIGS / "DeepSeek-R1.json", tp=4, weights="bf16", kv_cache="fp8")
    assert (plan.weights, plan.kv_cache, plan.attention) == ("bf16", "fp8", None)
    assert plan.experts == "fp8_block"


def test_modules_left_out():
    """fbgemm_fp8 of Llama-3.1-405B: attention and two layers' MLPs stay in 16 bits."""
    left = [*_left("model.layers.{}.self_attn.{}_proj", 126, "q", "k", "v", "o"),
            *(f"model.layers.{i}.mlp.{x}_proj" for i in (0, 125) for x in ("gate", "up", "down"))]  # fmt: skip
    quantised = {"quant_method": "fbgemm_fp8", "modules_to_not_convert": left}
    m = tr.Model.from_config(config("Llama-3.1-405B", quantization_config=quantised))
    plan = tr.Plan.from_config(m)
    assert plan.weights == "fp8"
    assert plan.attention == "bf16"
    assert dict(plan.wide) == {"mlp": pytest.approx(2 / 126)}
    mlp = 3 * 16384 * 53248
    assert m.weight_bytes()["mlp"] == 124 * mlp + 2 * 2 * mlp
    held = float(kernels.memory_required(m.pack(), plan.pack(), 0.0, 0.0))
    # the kernels count no scales of rows
    found = m.weight_bytes()
    assert held == pytest.approx(sum(found.values()) - found["scales"], rel=1e-5)


@pytest.mark.parametrize("name", ["DeepSeek-R1", "gpt-oss-120b", "Kimi-K2.5", "MiniMax-M2.5"])
def test_memory_is_the_checkpoint_without_mtp(name):
    m = tr.model(name)
    stored = m.weight_bytes()
    held = float(kernels.memory_required(m.pack(), tr.Plan.from_config(m).pack(), 0.0, 0.0))
    assert held == pytest.approx(sum(stored.values()) - stored.get("mtp", 0.0), rel=0.001)


def test_a_step_reads_what_the_modules_weigh():
    """Decode of one token on one device: bytes change by what the modules' types differ in, no more."""
    m = tr.Model(name="m", hidden=1024, vocab=1000, layers=8, heads=8, ffn=4096)
    attention, mlp, head = 8 * 4 * 1024**2, 8 * 3 * 1024 * 4096, 1000 * 1024

    def bytes_of(**types: object) -> float:
        plan = tr.Plan(engine="ideal", **types)
        return float(tr.decode("H100-SXM", m, plan, context=1, fidelity="datasheet").bytes)

    base = bytes_of(weights="fp8")
    for types, extra in (
        ({"attention": "bf16"}, attention),
        ({"wide": {"attention": 0.5}}, attention / 2),
        ({"wide": {"mlp": 0.25}}, mlp / 4),
        ({"head": "fp8"}, -head),
    ):
        assert bytes_of(weights="fp8", **types) - base == pytest.approx(extra, rel=0.01), types


def test_weight_only_where_there_is_no_unit():
    """NVFP4 on Hopper is unpacked on the way to the 16-bit unit: its bytes are fewer, its FLOPs are not."""
    m, plan = tr.model("Llama-3.1-8B"), tr.Plan(weights="nvfp4")
    on = plan.on(tr.device("H100-SXM"))
    assert (on.weights, on.activations) == ("nvfp4_bf16", "nvfp4_bf16")
    assert plan.on(tr.device("B200-SXM")) == plan
    assert tr.Plan(weights="fp8_block").on(tr.device("A100-SXM-80GB")).weights == "fp8_bf16"
    wide = tr.prefill("H100-SXM", m, tr.Plan(), tokens=8192, fidelity="datasheet")
    narrow = tr.prefill("H100-SXM", m, plan, tokens=8192, fidelity="datasheet")
    assert float(narrow.time_s) == pytest.approx(
        float(wide.time_s), rel=0.05
    )  # bound by 16-bit maths
    one = tr.decode("H100-SXM", m, plan, fidelity="datasheet").bytes
    assert float(one) < 0.5 * float(tr.decode("H100-SXM", m, fidelity="datasheet").bytes)


@pytest.mark.parametrize(
    ("quantised", "message"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "quant_method is 'bitsandbytes'; allowed: .*awq"),
        ({"quant_method": "aqlm"}, "quant_method is 'aqlm'; allowed"),
        ({"quant_method": 3}, "quant_method is 3; allowed"),
        ({}, "quant_method is missing; allowed"),
        ({"quant_method": "awq", "bits": 4, "group_size": 96}, "group_size is 96 .*allowed: a divisor of the 256"),
        ({"quant_method": "awq", "bits": 3}, "bits is 3; allowed: 4, 8"),
        ({"quant_method": "gptq"}, "bits is missing"),
        ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "group_size is 0; allowed"),
        ({"quant_method": "fp8", "bits": 4}, "bits is 4; allowed: 8 with quant_method fp8"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size"),
        ({"quant_method": "fp8", "activation_scheme": "none"}, "activation_scheme is 'none'; allowed"),
        ({"quant_method": "fp8", "modules_to_not_convert": "lm_head"}, "modules_to_not_convert is 'lm_head'"),
        ({"quant_method": "modelopt", "quant_algo": "NF4"}, "quant_algo is 'NF4'; allowed: NVFP4"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 32}, "group_size is 32; allowed: 16"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP3"}, "kv_cache_quant_algo"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": group(num_bits=4, type="int",
          strategy="channel", group_size=128)}}, "group_size is 128 beside strategy 'channel'"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": group(num_bits=4, type="float",
          group_size=64)}}, "group_size is 64; allowed: 16 or 32"),
        ({"quant_method": "compressed-tensors", "ignore": ["re:("], "config_groups": {"g": group(**INT4)}},
         "ignore has 're:\\('; allowed: a regular expression"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {
          "targets": ["Linear"], "weights": INT4, "input_activations": {"num_bits": 8}}}}, "num_bits is 4 beside"),
    ],
)  # fmt: skip
def test_bad_schemes_are_named(quantised, message):
    m = tr.Model.from_config(tiny(**quantised))  # shapes are read all the same
    assert m.hidden == 256
    for ask in (lambda: tr.Plan.from_config(m), m.weight_bytes):
        with pytest.raises(ValueError, match=message):
            ask()


def test_a_quantization_config_that_is_none():
    with pytest.raises(TypeError, match="quantization_config is 7; allowed: an object"):
        tr.Model.from_config({**LLAMA, "quantization_config": 7})


@pytest.mark.parametrize(
    ("wide", "message"),
    [({"experts": 0.5}, "wide has 'experts'; allowed"), ({"mlp": 1.5}, "wide\\['mlp'\\] is 1.5"),
     ({"mlp": "half"}, "wide\\['mlp'\\] is 'half'"), ({"mlp": float("nan")}, "wide\\['mlp'\\] is nan"),
     (3, "wide is 3; allowed")],
)  # fmt: skip
def test_bad_shares_are_named(wide, message):
    with pytest.raises((ValueError, TypeError), match=message):
        tr.Plan(wide=wide)


def test_a_side_file_beside_the_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    side = {"producer": {"name": "modelopt"}, "quantization": {
        "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head", "*self_attn*"]}}  # fmt: skip
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(side))
    plan = tr.Plan.from_config(tmp_path)
    assert (plan.weights, plan.attention, plan.kv_cache) == ("nvfp4", "bf16", "fp8")
    assert tr.model(str(tmp_path / "config.json")).quantisation.method == "modelopt"


def test_experts_whose_type_stands_beside():
    """As DeepSeek-V4 says it: experts in FP4 with a scale per 32, the rest in FP8 blocks."""
    beside = config("DeepSeek-V3", expert_dtype="fp4")
    m = tr.Model.from_config(beside)
    plan = tr.Plan.from_config(m)
    assert (plan.weights, plan.experts, plan.shared_experts) == ("fp8_block", "mxfp4", None)
    routed = m.routed_parameters
    assert m.weight_bytes()["experts"] == routed / 2


def test_layers_that_name_their_experts_one_by_one():
    """Layer 1 names its expert 1 and layer 0 its expert 0: they are not the same."""
    layers = {
        "model.layers.3.mlp.experts.0": {"quant_algo": "FP8"},
        "model.layers.4.mlp.experts.4": {"quant_algo": "FP8"},
    }
    mixed = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": layers,
    }
    found = tr.Model.from_config(config("DeepSeek-V3", quantization_config=mixed))
    one = 256 * 3 * 7168 * 2048
    assert found.weight_bytes()["experts"] == one * (57 * 2 + 1)


def test_layers_in_different_types():
    """Mixed precision by layer: each module's layers are counted in their own type."""
    layers = {f"model.layers.{i}.mlp.{x}_proj": {"quant_algo": "FP8"} for i in range(3)
              for x in ("gate", "up", "down")}  # fmt: skip
    m = tr.Model.from_config(
        tiny(quant_method="modelopt", quant_algo="MIXED_PRECISION", quantized_layers=layers)
    )
    assert m.weight_bytes()["mlp"] == MLP / 4 * (3 + 2)
    plan = tr.Plan.from_config(m)
    assert (plan.weights, plan.attention, dict(plan.wide)) == ("fp8", "bf16", {"mlp": 0.25})


def test_groups_with_targets_of_their_own():
    eight = {"num_bits": 8, "type": "float", "strategy": "channel"}
    groups = {
        "a": {"targets": ["re:.*self_attn.*"], "weights": eight},
        "b": {"targets": ["Linear"], "weights": INT4},
    }
    m = tr.Model.from_config(
        tiny(quant_method="compressed-tensors", ignore=["lm_head"], config_groups=groups)
    )
    plan = tr.Plan.from_config(m)
    assert (plan.weights, plan.attention) == ("int4", "fp8")
    # without lm_head in `ignore` it is a Linear like others
    del m
    open_ = copy.deepcopy(groups)
    whole = tr.Model.from_config(tiny(quant_method="compressed-tensors", config_groups=open_))
    assert tr.Plan.from_config(whole).head == "int4"


@pytest.mark.parametrize(
    ("pattern", "name", "found"),
    [("gate", "model.layers.0.mlp.gate", True), ("gate", "model.layers.0.mlp.gate_proj", False),
     ("model.layers.1", "model.layers.1.mlp.up_proj", True), ("model.layers.1", "model.layers.11.mlp", False),
     ("*self_attn*", "model.layers.0.self_attn.q_proj", True), ("layers.*.ffn", "layers.3.ffn.w1", True),
     ("re:.*mlp\\.gate$", "model.layers.0.mlp.gate", True), ("re:mlp", "model.mlp", False)],
)  # fmt: skip
def test_patterns(pattern, name, found):
    assert matches(pattern, name) is found


def test_parts_of_a_matrix():
    assert Stored("fp8_block", 8, 128, 128, 4.0).parts(576, 7168) == (576 * 7168, 5 * 56 * 4, 0)
    assert Stored("bf16").parts(3, 5) == (30, 0, 0)


def test_bytes_by_types_add_up():
    for name in ("mxfp8", "int4_32", "int4_64", "fp8_bf16", "int8_bf16", "nvfp4_bf16"):
        m = tr.Model(name="m", hidden=256, vocab=1000, layers=4, heads=4, ffn=512)
        held = kernels.memory_required(m.pack(), tr.Plan(weights=name).pack(), 0.0, 0.0)
        rest = m.parameters - m.embedding_parameters - m.head_parameters
        ends = 2 * (m.embedding_parameters + m.head_parameters)
        np.testing.assert_allclose(held, rest * tr.dtypes.BYTES[name] + ends, rtol=1e-12)


CHANNELS = {"num_bits": 8, "type": "int", "strategy": "channel"}
ROWS = 4 * (256 + 128 + 128 + 256 + 512 + 512 + 256)


@pytest.mark.parametrize(
    "acts", [None, {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}]
)
@pytest.mark.parametrize("kind", ["int", "float"])
def test_a_scale_has_the_type_of_the_weights_that_were_quantised(acts, kind):
    """compressed-tensors, lifecycle/initialize.py: ``scale_dtype = module.weight.dtype``, whatever is multiplied."""
    groups = {"g": {**group(**{**CHANNELS, "type": kind}), "input_activations": acts}}
    stored = {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}
    assert tr.Model.from_config(tiny(**stored)).weight_bytes()["scales"] == 2 * ROWS
    # ModelOpt writes them in 32 bits
    other = {"quant_method": "modelopt", "config_groups": groups, "ignore": ["lm_head"]}
    both = kind == "int" and acts is None
    assert tr.Model.from_config(tiny(**other)).weight_bytes()["scales"] == (2 if both else 4) * ROWS


@pytest.mark.parametrize(
    "dtype,kind",
    [("float8_e4m3fn", "fp8"), ("torch.float8_e5m2", "fp8"), ("fp8", "fp8"), ("int8", "int8"), ("uint8", "int8"),
     ("bfloat16", "bf16"), ("float32", "bf16"), ("auto", "bf16")],
)  # fmt: skip
def test_a_type_of_eight_bits_without_a_method_is_one_in_bytes_and_in_plans(dtype, kind):
    config = {**LLAMA, "torch_dtype": dtype}
    model = tr.Model.from_config(config)
    assert tr.Plan.from_config(config).weights == tr.Plan.from_config(model).weights == kind
    assert tr.serving.released_types(model) == (None if kind == "bf16" else (kind, kind))
    each = {"fp8": 1, "int8": 1}.get(kind, 4 if dtype == "float32" else 2)
    assert model.weight_bytes()["mlp"] == each * MLP
