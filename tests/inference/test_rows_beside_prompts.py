"""Where FlashAttention 2 runs all rows of a step in one call, those of a decode batch fill tiles beside a prompt."""

import numpy as np
import pytest

import tokenroof as tr
from _support import named
from tokenroof import kernels, reference
from tokenroof.inference.constants import find
from tokenroof.inference.door import deployment

MODEL = "Llama-3.1-8B"
BATCH, SHORT, LONG = np.array([1.0, 16.0, 64.0]), 256.0, 2048.0


def on(device, model=MODEL, engine="vllm"):
    return deployment(device, model, tr.Plan(engine=engine), "calibrated").records


def grown(records, tokens):
    """What longer contexts add to steps beside a prompt [s]."""
    return kernels.mixed_time(*records, BATCH, LONG, tokens, 0.0) - kernels.mixed_time(
        *records, BATCH, SHORT, tokens, 0.0
    )


def rows(device, context, heads, kv_heads):
    """Attention of prompts of one token in a kernel that has them fill tiles [s]."""
    constants = find("attention_prefill", tr.device(device), "vllm", "bf16").constants
    own = tr.Calibration(constants={"attention_prefill": constants | {"single": 0.0}})
    return kernels.attention_prefill_operator(
        tr.device(device).pack(), own.packed, BATCH, 1.0, context - 1.0, heads, kv_heads, 128.0, 128.0, 0.0,
        float(tr.records.dtypes.code("bf16")), float(tr.records.dtypes.code("bf16")),
    )  # fmt: skip


@pytest.mark.parametrize("device", ["L40S", "RTX-PRO-6000", "RTX 4090"])
@pytest.mark.parametrize("tokens", [1.0, 500.0])
def test_rows_run_as_prompts_of_one_token(device, tokens):
    apart = rows(device, LONG, 32.0, 8.0) - rows(device, SHORT, 32.0, 8.0)
    layers = tr.model(MODEL).full_layers
    np.testing.assert_allclose(grown(on(device), tokens), layers * apart[..., 0], rtol=1e-9)


@pytest.mark.parametrize("device", ["H200-SXM", "B200-SXM", "MI300X"])
def test_kernels_that_pack_heads_or_come_apart_run_them_as_ever(device):
    records = on(device)
    alone = kernels.decode_time(*records, BATCH, LONG) - kernels.decode_time(*records, BATCH, SHORT)
    np.testing.assert_allclose(grown(records, 500.0), alone, rtol=1e-9)


def tile_more(records, batch, tokens):
    """What the least more than so many tokens of a prompt adds to a step beside so many sequences [s]."""
    fuller = kernels.mixed_time(*records, batch, LONG, np.nextafter(tokens, np.inf), 0.0)
    return fuller - kernels.mixed_time(*records, batch, LONG, tokens, 0.0)


@pytest.mark.parametrize("tokens", [64.0, 1024.0])
def test_each_tile_of_the_prompt_is_an_empty_block_of_each_row_and_head(tokens):
    """On the 142 multiprocessors of an L40S, of 32 heads in 32 layers, a tenth of a microsecond each."""
    records = on("L40S")
    beside = tile_more(records, 37.0, tokens) - tile_more(records, 13.0, tokens)
    assert beside == pytest.approx((37 - 13) * 32 * 32 * 1e-7 / 142, rel=1e-3)
    inside = tile_more(records, 37.0, tokens - 17.5) - tile_more(records, 13.0, tokens - 17.5)
    assert abs(inside) < 1e-6


def test_empty_blocks_are_those_of_one_call_for_all_rows():
    for device in ("H200-SXM", "B200-SXM"):
        records = on(device)
        assert abs(tile_more(records, 37.0, 64.0) - tile_more(records, 13.0, 64.0)) < 5e-8


@pytest.mark.parametrize("tokens", [0.0, 1.0, 64.0, 65.0, 700.0, 2048.0])
def test_steps_with_empty_blocks_equal_the_reference(tokens):
    for device in ("L40S", "RTX-PRO-6000"):
        records = on(device)
        given = (37.0, LONG, tokens, 0.0)
        want = reference.mixed_time(*named(records), *given)
        assert kernels.mixed_time(*records, *given) == want


def test_without_a_prompt_nothing_changes():
    for device in ("L40S", "RTX-PRO-6000"):
        records = on(device)
        alone = kernels.decode_time(*records, BATCH, LONG)
        np.testing.assert_array_equal(kernels.mixed_time(*records, BATCH, LONG, 0.0, 0.0), alone)
        assert (
            grown(records, 500.0) > 1.05 * (alone - kernels.decode_time(*records, BATCH, SHORT))
        )[1:].any()


def test_attention_with_sinks_is_another_kernel_s():
    model = tr.model("gpt-oss-20b")
    for has in (True, False):
        records = on("RTX-PRO-6000", model.replace(sinks=has))
        alone = kernels.decode_time(*records, BATCH, LONG) - kernels.decode_time(
            *records, BATCH, SHORT
        )
        beside = grown(records, 500.0)
        assert np.allclose(beside, alone, rtol=1e-9) == has


def test_a_record_knows_nothing_of_the_one_before_it():
    """Calibrations side by side: decode rows in the prompts' kernel, none measured on prompts, and the other way."""
    device, _, model, plan = on("L40S")
    measured = find("attention_prefill", tr.device("L40S"), "vllm", "bf16").constants
    decode = find("attention_decode", tr.device("L40S"), "vllm", "bf16").constants
    both = tr.Calibration(
        constants={"attention_prefill": measured, "attention_decode": decode}
    ).packed
    lone = tr.Calibration(constants={"attention_decode": decode}).packed
    load = (16.0, LONG, 500.0, 0.0)
    apart = [kernels.mixed_time(device, c, model, plan, *load) for c in (both, lone)]
    assert apart[0] != apart[1]
    for order in ([0, 1], [1, 0]):
        beside = kernels.mixed_time(device, np.stack([both, lone])[order], model, plan, *load)
        np.testing.assert_array_equal(beside, np.stack(apart)[order])
