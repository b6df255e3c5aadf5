"""A narrow type that is slower than a wider one is named, and steps do not take it silently."""

import pytest

import tokenroof as tr
from tokenroof.calibrate.slower import mark_slower
from tokenroof.catalogue.fits import fits
from tokenroof.inference.constants import FAR_BAND, find

HOPPER = ("H100-SXM", "H200-SXM")
OPERATORS = (
    "gemm",
    "experts",
    "attention_decode",
    "attention_prefill",
    "mla_decode",
    "mla_prefill",
)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_catalogue_names_what_the_rule_finds(operator):
    rows = [dict(row) for row in fits(operator)]
    mark_slower(operator, rows)
    assert rows == list(fits(operator))


def test_a_contaminated_table_is_found_in_any_operator():
    for operator, narrow, wide in (("gemm", "fp8", "bf16"), ("experts", "fp8_block", "bf16")):
        rows = [
            dict(r) for r in fits(operator) if r["device"] == "H200-SXM" and r["engine"] == "trtllm"
        ]
        rows = [r for r in rows if r["dtype"] in (narrow, wide)]
        assert mark_slower(operator, rows) == []
        for row in rows:
            if row["dtype"] == narrow:
                slow = {
                    n: row["constants"][n] / 4.0
                    for n in ("compute", "memory", "stream")
                    if n in row["constants"]
                }
                row["constants"] = {**row["constants"], **slow}
        said = mark_slower(operator, rows)
        assert len(said) == 1 and f"as long as {wide}" in said[0]
        marked = next(r for r in rows if r["dtype"] == narrow)
        assert marked["slower_than"] == wide and marked["slower_by"] > 2.0
        assert marked["slower_by"] == round(marked["slower_by"], 2)


def test_sixteen_bit_maths_of_four_bit_weights_is_not_held_against_fp8():
    rows = [dict(r) for r in fits("experts") if r["device"] == "B200-SXM"]
    assert mark_slower("experts", rows) == []


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("device", HOPPER)
def test_fp8_experts_on_hopper(device, engine):
    """Engines reach about 11 ms on the H200; the fallback kernel's table gave 24."""
    step = {
        weights: tr.decode(
            device,
            "Llama-4-Scout",
            tr.Plan(tp=8, weights=weights, engine=engine),
            batch=32,
            context=96,
        )
        for weights in ("bf16", "fp8")
    }
    assert step["fp8"].time_s < step["bf16"].time_s
    low, high = 1.0 / (1.0 + step["fp8"].error_band), 1.0 + step["fp8"].error_band
    if device == "H200-SXM" and engine == "vllm":
        assert step["fp8"].time_s * low < 11e-3 < step["fp8"].time_s * high
    if engine != "trtllm":
        assert step["fp8"].error_band > FAR_BAND
        assert "slower than a wider type's" in step["fp8"].calibrated_on
        plan = tr.Plan(tp=8, weights="fp8", kv_cache="fp8", engine=engine)
        front = tr.serving.frontier(device, "Llama-4-Scout", [plan])
        assert "slower than a wider type's" in front.calibrated_on
    # the operator itself is as its table has it
    assert find("experts", tr.device(device), "vllm", "fp8").near == "device"


def test_bands_are_wider_where_no_whole_step_of_the_kind_was_measured():
    def band(device, model, **plan):
        step = tr.decode(device, model, tr.Plan(tp=8, **plan))
        return step.error_band, "no step was measured" in step.calibrated_on

    known, said = band("H200-SXM", "Llama-3.1-70B", weights="fp8")
    assert not said
    assert band("H200-SXM", "DeepSeek-V3", weights="fp8_block") == (known, False)
    for model, weights in (
        ("Llama-3.1-70B", "bf16"),
        ("Qwen3-235B-A22B", "bf16"),
        ("Qwen3-235B-A22B", "fp8"),
    ):
        wider, said = band("H200-SXM", model, weights=weights)
        assert said and wider > known


def test_steps_pass_over_products_that_another_engine_beats():
    beaten = {(r["device"], r["engine"], r["dtype"]) for r in fits("gemm") if "beaten_by" in r}
    blackwell = ("B200-SXM", "B300-SXM", "GB200-NVL72")
    assert beaten == {(device, "trtllm", "nvfp4") for device in blackwell}
    b200 = tr.device("B200-SXM")
    found = find("gemm", b200, "trtllm", "nvfp4", ("beaten_by",))
    assert found.instead == "beaten_by"
    assert found.constants == find("gemm", b200, "vllm", "nvfp4").constants
    own = find("gemm", b200, "trtllm", "nvfp4")  # the operator itself is as its table has it
    assert own.near == "device" and not own.instead and own.constants != found.constants
    plan = tr.Plan(weights="nvfp4", engine="trtllm")
    # where whole steps of the kind were measured, these are what it was calibrated on
    step = tr.decode("B300-SXM", "Llama-3.1-70B", plan, batch=4, context=1024)
    assert "slower than another engine's of this type" in step.calibrated_on


def test_another_engine_beats_by_work_and_not_by_launches():
    names = ("trtllm", "vllm")
    rows = [dict(r) for r in fits("gemm") if r["device"] == "H200-SXM" and r["dtype"] == "bf16"]
    assert sorted(r["engine"] for r in rows) == sorted(names)
    slow = next(r for r in rows if r["engine"] == "trtllm")
    kept = slow["constants"]
    slow["constants"] = {**kept, "t0": 10.0 * kept["t0"]}
    assert mark_slower("gemm", rows) == [] and not any("beaten_by" in r for r in rows)
    slow["constants"] = {**kept, "memory": kept["memory"] / 2.0, "stream": kept["stream"] / 2.0}
    said = mark_slower("gemm", rows)
    assert len(said) == 1 and "as long as with vllm" in said[0]
    assert slow["beaten_by"] == "vllm" and 1.3 < slow["beaten_times"] < 2.1
