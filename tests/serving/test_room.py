"""What does not fit says what it needs, and which plan would fit; what has no power says so."""

from __future__ import annotations

import numpy as np
import pytest

import tokenroof as tr
from tokenroof.serving import curve, frontier, plan_that_fits, released_types

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
