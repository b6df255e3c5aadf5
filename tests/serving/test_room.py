"""What does not fit says what it needs, and which plan would fit; what has no power says so."""

from __future__ import annotations

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import (
    SLO,
    capacity,
    curve,
    disaggregate,
    frontier,
    plan_that_fits,
    released_types,
)
from tokenroof.serving.loads import ONE_TOKEN
from tokenroof.serving.system.parts import Pool

CARD = tr.Device(name="a card", memory_bandwidth=1e12, peak={"bf16": 1e14}, memory_bytes=32e9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("device", "model", "plan", "expected"),
    [("H200-SXM", "Llama-3.3-70B", tr.Plan(), tr.Plan(tp=2)),
     ("L40S", "Llama-3.3-70B", tr.Plan(weights="fp8", kv_cache="fp8"),
      tr.Plan(tp=2, weights="fp8", kv_cache="fp8")),
     ("RTX 4090", "gpt-oss-120b", tr.Plan(), tr.Plan(tp=4, moe_ep=4, experts="mxfp4")),
     ("Apple M4 Max", "Llama-3.1-405B", tr.Plan(), None)],
)  # fmt: skip
def test_a_plan_that_would_fit(device, model, plan, expected):
    table = curve(device, model, plan, concurrency=[1, 64])
    assert not table.fits.any() and np.isnan(table.tpot_s).all()
    said = table.attrs["reason"]
    assert f"{model} needs" in said and "per device" in said and "of weights" in said
    found = plan_that_fits(device, model, plan)
    assert found == expected
    if found is not None:
        held = curve(device, model, found, concurrency=[1])
        assert held.fits.all() and held.attrs["reason"] == ""
        fewer = found.replace(tp=max(found.tp // 2, 1), moe_ep=max(found.moe_ep // 2, 1), moe_tp=1)
        assert found.devices == 1 or not curve(device, model, fewer, concurrency=[1]).fits.any()


def test_an_empty_frontier_says_why():
    empty = frontier("T4", "DeepSeek-R1")
    assert empty.sizes["point"] == 0 and "DeepSeek-R1 needs" in empty.attrs["reason"]
    assert frontier("H200-SXM", "Llama-3.1-8B", devices_max=1).attrs["reason"] == ""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("power", tr.serving.POWERS)
def test_a_frontier_needs_watts(power):
    with pytest.raises(ValueError, match="tdp_w|dashboard"):
        frontier(CARD, "SmolLM2-135M", power=power)
    known = CARD.replace(tdp_w=300.0, provisioned_power_w=600.0)
    assert frontier(known, "SmolLM2-135M", power=power).sizes["point"] > 0
    alone = CARD.replace(provisioned_power_w=600.0)
    if power in ("provisioned", "dashboard"):
        assert frontier(alone, "SmolLM2-135M", power=power).sizes["point"] > 0
    else:
        with pytest.raises(ValueError, match="tdp_w of a card is None"):
            frontier(alone, "SmolLM2-135M", power=power)


def test_a_dashboard_without_the_device_is_named():
    with pytest.raises(ValueError, match="dashboard has no constant"):
        frontier("A10", "SmolLM2-135M", power="dashboard")


@pytest.mark.parametrize(
    ("model", "types"),
    [("DeepSeek-R1", ("fp8_block", "fp8_block")), ("DeepSeek-V3.1", ("fp8_block", "fp8_block")),
     ("Kimi-K2.5", ("bf16", "int4")), ("gpt-oss-120b", ("bf16", "mxfp4")), ("Grok-1", ("int8", "int8")),
     ("Llama-3.1-8B", None), ("GPT-2", None)],
)  # fmt: skip
def test_types_of_a_release(model, types):
    assert released_types(tr.model(model)) == types


LLAMA = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 128, "vocab_size": 100}  # fmt: skip


@pytest.mark.parametrize(
    ("stored", "types"),
    [({"quant_method": "fp8", "weight_block_size": [128, 128]}, ("fp8_block", "fp8_block")),
     ({"quant_method": "fp8"}, ("fp8", "fp8")), ({"quant_method": "mxfp4"}, ("bf16", "mxfp4")),
     ({"quant_method": "gptq", "bits": 4}, ("int4", "int4")),
     ({"quant_method": "awq", "bits": 3}, None), ({"quant_method": "bitsandbytes"}, None),
     ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, ("nvfp4", "nvfp4")),
     ({"quant_method": "modelopt", "quant_algo": ["FP8"]}, None),
     ({"quant_method": "compressed-tensors", "ignore": ["re:.*self_attn.*"],
       "config_groups": {"g": {"weights": {"num_bits": 4, "type": "int"}}}}, ("bf16", "int4")),
     ({"quant_method": "compressed-tensors",
       "config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}}}, ("fp8", "fp8")),
     ({"quant_method": "compressed-tensors", "config_groups": [1]}, None), ({"quant_method": 3}, None)],
)  # fmt: skip
def test_types_of_a_config(stored, types):
    model = tr.Model.from_config({**LLAMA, "quantization_config": stored})
    assert released_types(model) == types


def test_memory_that_nobody_states_is_said_to_be_unknown():
    """As simulations refuse it: "unknown" is no yes."""
    card = CARD.replace(memory_bytes=None, tdp_w=300.0)
    table = curve(card, "SmolLM2-135M", concurrency=[1, 8])
    assert table.fits.dtype == bool
    assert table.attrs["reason"] == "memory_bytes of a card is None: whether it fits is not known"
    points = frontier(card, "SmolLM2-135M", devices_max=1)
    assert points.sizes["point"] > 0 and points.attrs["reason"] == table.attrs["reason"]
    with pytest.raises(
        ValueError, match=r"memory_bytes of a card is None.*allowed: a device with its memory"
    ):
        plan_that_fits(card, "SmolLM2-135M")
    known = curve(card.replace(memory_bytes=8e9), "SmolLM2-135M", concurrency=[1])
    assert known.attrs["reason"] == "" and bool(known.fits.all())


def test_whole_systems_say_whose_memory_nobody_states():
    card = CARD.replace(memory_bytes=None, tdp_w=300.0)
    other = CARD.replace(name="another", memory_bytes=8e9, tdp_w=300.0)
    said = "memory_bytes of a card is None: whether it fits is not known"
    pools = disaggregate((other, None, 1), (card, None, 1), model="SmolLM2-135M")
    assert curve(pools, concurrency=[1, 8]).attrs["reason"] == said
    with pytest.raises(ValueError, match="a card, whose memory is unknown"):
        curve(pools, rate=[0.1])
    no_watts = pools.replace(prefill=Pool(other.replace(tdp_w=None)), decode=Pool(other))
    assert curve(no_watts, rate=[0.1]).attrs["reason"].startswith("tdp_w of another is None")
    assert curve(pools, concurrency=[1], output_tokens=1).attrs["reason"] == ONE_TOKEN
    assert capacity(pools, None, None, SLO(tpot_s=1.0)).attrs["reason"] == said
    found = frontier(card, "SmolLM2-135M", devices_max=2, systems=True)
    assert found.sizes["point"] > 0 and found.attrs["reason"] == said
    two = frontier(other, "SmolLM2-135M", devices_max=2, systems=True, pool_devices=[card])
    assert two.sizes["point"] > 0 and two.attrs["reason"] == said
    whole = disaggregate((other, None, 1), (other, None, 1), model="SmolLM2-135M")
    assert curve(whole, concurrency=[1, 8]).attrs["reason"] == ""
    assert frontier(other, "SmolLM2-135M", devices_max=2, systems=True).attrs["reason"] == ""


def test_what_misses_an_objective_is_said_beside_what_is_unknown():
    card = CARD.replace(memory_bytes=None, tdp_w=300.0)
    none = capacity(card, "SmolLM2-135M", None, SLO(tpot_s=1e-9))
    assert "tpot_s is 1e-09, nearest" in none.attrs["reason"]
    assert none.attrs["reason"].endswith(
        "memory_bytes of a card is None: whether it fits is not known"
    )


@pytest.mark.parametrize("load", [{"concurrency": [1, 8]}, {"rate": [0.1]}])
def test_watts_that_nobody_states_make_no_tokens_per_mw(load):
    card = CARD.replace(memory_bytes=8e9, tdp_w=None)
    for power in ("provisioned", "board", "chassis", "facility"):
        table = curve(card, "SmolLM2-135M", power=power, **load)
        assert np.isnan(table.output_tokens_per_s_per_mw.values).all()
        assert (
            table.attrs["reason"]
            == f"tdp_w of a card is None: tokens per MW of {power} power are not known"
        )
        assert (table.tpot_s.values > 0.0).all()
    assert tr.power.provisioned_power(card)[1] == "unknown: tdp_w is None"
    stated = curve(card.replace(system_power_w=600.0), "SmolLM2-135M", **load)
    assert stated.attrs["reason"] == "" and (stated.output_tokens_per_s_per_mw.values > 0.0).all()
    assert stated.attrs["provisioned_w_per_device"] == pytest.approx(1.3 * 600.0)
