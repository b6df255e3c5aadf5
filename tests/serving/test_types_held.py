"""No plan that is made for a device, and no label, names a type that the device has no unit for."""

from itertools import islice

import pytest

import tokenroof as tr
from tokenroof.inference.door import as_device, as_model
from tokenroof.records.device import block_type
from tokenroof.records.plan import ENGINES
from tokenroof.serving.plans import default_plans, native_types, released_types
from tokenroof.serving.room import _candidates
from tokenroof.serving.search.axes import system_plans

MODELS = ("Llama-3.1-8B", "gpt-oss-120b", "DeepSeek-R1")
DEVICES = [str(name) for name in tr.catalogue.devices().name]
BLOCKS = {"nvfp4", "mxfp4", "mxfp4_mxfp4"}


def _types(plan):
    named = (
        plan.weights,
        plan.experts,
        plan.activations,
        plan.attention,
        plan.shared_experts,
        plan.head,
    )
    return {name for name in (*named, plan.kv_cache, *plan.label().split()) if name}


def _lacks(device, found, released):
    """Types of four and eight bits that a device multiplies nothing in, and that the model was not released in."""
    have = {block_type(device)} | (
        {"fp8", "fp8_block"} if device.peak.keys() & {"fp8", "fp4"} else set()
    )
    narrow = {part for name in found for part in name.split("/")} & (
        BLOCKS | {"fp4", "fp8", "fp8_block"}
    )
    return narrow - have - set(released)


@pytest.mark.parametrize("engine", ENGINES)
def test_default_plans_name_types_that_the_device_has(engine):
    tried = 0
    for name in DEVICES:
        device = as_device(name)
        for model in map(as_model, MODELS):
            released = released_types(model) or ()
            plans = default_plans(device, model, 2, engine)
            plans += system_plans(device, model, 2, engine, None, ())
            plans += islice(_candidates(device, model, tr.Plan(engine=engine)), 40)
            for plan in plans:
                assert not _lacks(device, _types(plan), released), (name, model.name, plan.label())
            tried += len(plans)
    assert tried > 1000


def test_four_bits_are_the_maker_s():
    """NVFP4 is NVIDIA's format; others build units for the Open Compute Project's, which their plans name."""
    for name in DEVICES:
        device = as_device(name)
        kind = block_type(device)
        assert (kind is None) == ("fp4" not in device.peak)
        if kind:
            assert kind == ("nvfp4" if device.vendor == "NVIDIA" else "mxfp4"), name
            assert native_types(device) == (kind, "fp8")
    labels = tr.serving.frontier("Instinct MI355X", "Llama-3.1-70B", devices_max=1).plan.values
    assert len(labels) and all("mxfp4" in label and "nvfp4" not in label for label in labels)


def test_a_unit_of_mxfp4_takes_both_factors_in_it():
    """Of a checkpoint that is in MXFP4 throughout; of experts alone activations have 8 bits, and on NVIDIA's units too."""
    amd, nvidia = tr.device("Instinct MI355X"), tr.device("B200-SXM")
    whole = tr.Plan(weights="mxfp4").on(amd)
    assert (whole.weights, whole.experts, whole.activations) == ("mxfp4_mxfp4",) * 3
    assert tr.Plan(experts="mxfp4").on(amd).experts == "mxfp4_mxfp8"
    assert tr.Plan(weights="nvfp4").on(amd).weights == "nvfp4_bf16"
    on = tr.Plan(weights="mxfp4").on(nvidia)
    assert (on.weights, on.experts) == ("mxfp4", "mxfp4_mxfp8")
    narrow, wide = (
        tr.prefill(
            "Instinct MI355X",
            "Llama-3.1-70B",
            tr.Plan(weights=kind),
            tokens=16384,
            fidelity="datasheet",
        )
        for kind in ("mxfp4", "fp8")
    )
    # twice the peak but for attention and the head, in 16 bits
    assert 1.4 < float(wide.time_s / narrow.time_s) < 2.0
