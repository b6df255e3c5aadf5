"""`fidelity="datasheet"` is an upper bound on speed: no published rate exceeds it."""

import math

import pytest

import tokenroof as tr
from tokenroof.catalogue import all_devices

LLAMA_CPP = "ggml-org/llama.cpp pull request 15616, 2025-08-27"
RECIPES = "vllm-project/recipes pull request 918, 2026-09-02"
PLAYBOOKS = "NVIDIA/dgx-spark-playbooks issue 79, 2026-04-25"

# device, model, types of weights, decode or prompt of so many tokens, measured token/s, source
PUBLISHED = [
    ("Apple M2 Ultra", "Qwen3-30B-A3B", {"weights": "int8"}, 2048, 2272.56, LLAMA_CPP),
    ("Apple M2 Ultra", "Qwen3-30B-A3B", {"weights": "int8"}, 512, 2045.19, LLAMA_CPP),
    ("Apple M2 Ultra", "Qwen3-30B-A3B", {"weights": "int8"}, 0, 76.31, LLAMA_CPP),
    ("Apple M2 Ultra", "Qwen2.5-7B", {"weights": "int8"}, 2048, 1470.14, LLAMA_CPP),
    ("Apple M2 Ultra", "Qwen2.5-7B", {"weights": "int8"}, 512, 1419.54, LLAMA_CPP),
    ("GB10 (DGX Spark)", "Qwen3.5-35B-A3B", {"weights": "nvfp4"}, 8192, 6265.0, RECIPES),
    ("GB10 (DGX Spark)", "gpt-oss-120b", {"experts": "mxfp4"}, 0, 34.0, PLAYBOOKS),
]


@pytest.mark.parametrize(("device", "model", "types", "tokens", "rate", "source"), PUBLISHED)
def test_no_published_rate_exceeds_the_bound(device, model, types, tokens, rate, source):
    plan = tr.Plan(**types, engine="ideal")
    if tokens:
        step = tr.prefill(device, model, plan, tokens=tokens, fidelity="datasheet")
    else:
        step = tr.decode(device, model, plan, batch=1, context=128, fidelity="datasheet")
    assert float(step.tokens_per_s) > rate, source


@pytest.mark.parametrize("item", all_devices(), ids=lambda d: d.name)
def test_no_slower_unit_stands_in_for_one_whose_rate_nobody_prints(item):
    """Narrower types are never slower than wider ones of the same device, but where its maker says so."""
    own = {t: item.peak_of(t) for t in ("fp32", "bf16", "fp16", "fp8", "int8", "fp4")}
    if item.kind != "cpu" and "bf16" not in item.peak and "fp16" not in item.peak:
        assert own["bf16"] == item.peak.get("tf32", math.nan) or math.isnan(own["bf16"])
    for narrow in ("fp8", "int8"):
        if narrow not in item.peak and math.isfinite(own["fp16"]):
            assert own[narrow] == max(item.peak.get(t, 0.0) for t in ("bf16", "fp16")) or (
                item.kind == "cpu" or "tf32" in item.peak
            )


def test_a_device_without_the_peak_is_refused_with_the_fields_name():
    card = tr.Device(name="mine", memory_bandwidth=1e12, peak={"fp32": 3e13}, memory_bytes=1e11)
    for fidelity in ("datasheet", "calibrated"):
        with pytest.raises(ValueError, match="on mine, whose peak_bf16 is unknown"):
            tr.decode(card, "Llama-3.1-8B", fidelity=fidelity)
        with pytest.raises(ValueError, match="whose peak_fp8 is unknown"):
            tr.operators.gemm(card, 8, 4096, 4096, dtype="fp8", fidelity=fidelity)
        with pytest.raises(ValueError, match="whose peak_bf16 is unknown"):
            tr.serving.curve(card, "Llama-3.1-8B", fidelity=fidelity)
    assert tr.operators.norm(card, 8, 4096).time_s > 0
    assert tr.serving.default_plans(card, tr.model("Llama-3.1-8B")) == []
