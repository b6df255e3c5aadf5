"""Attention of a replayed graph, whose parts were cut for the longest sequence when it was captured."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, every_isa, same
from tokenroof import kernels, reference
from tokenroof.calibrate import SPECS
from tokenroof.inference.captured import captured_for
from tokenroof.inference.constants import find
from tokenroof.inference.door import deployment
from tokenroof.records import dtypes
from tokenroof.serving import Scheduler, simulate

BF16 = float(dtypes.code("bf16"))
KNOWN = find("attention_decode", tr.device("L40S"), "vllm", "bf16").constants
LONGEST = 131072.0


def took(batch, context, captured=None, kv_heads=8.0, constants=KNOWN):
    """Seconds of 32 query heads beyond the launch, on an L40S."""
    own = constants if captured is None else constants | {"captured": captured}
    record = tr.Calibration(constants={"attention_decode": own}).packed
    load = (batch, context, 32.0, kv_heads, 128.0, 128.0, 0.0, BF16, 0.0)
    return kernels.attention_decode_operator(tr.device("L40S").pack(), record, *load)[..., 0]


@given(
    own=st.fixed_dictionaries({n: st.floats(r.low, r.high) for n, r in SPECS["attention_decode"].constants.items()}),
    captured=st.sampled_from([0.0, 1.0, 4096.0, LONGEST, math.inf]) | st.floats(1, 2e6),
    batch=st.floats(0, 4096) | st.integers(0, 300).map(float), context=st.floats(0, 2e5),
    kv_heads=st.sampled_from([1.0, 4.0, 8.0, 32.0]), window=st.sampled_from([0.0, 1024.0]),
)  # fmt: skip
@every_isa
def test_equals_the_reference(isa, own, captured, batch, context, kv_heads, window):
    record = tr.Calibration(constants={"attention_decode": own | {"captured": captured}}).packed
    load = (
        tr.device("L40S").pack(),
        record,
        batch,
        context,
        32.0,
        kv_heads,
        128.0,
        128.0,
        window,
        BF16,
        0.0,
    )
    got = BY_ISA[isa]["attention_decode_operator"](*load)
    same(got, reference.attention_decode_operator(*load))


def test_one_block_reads_a_sequence_that_is_short_for_its_graph():
    """By hand, where nothing else takes as long: one sequence, a part of a hundred of the longest."""
    free = KNOWN | {"memory": 1e9, "compute": 1e9, "block": 0.0, "overlap": 0.0, "reread": 1e9}
    sms, group = tr.device("L40S").sm_count, 1.0 + KNOWN["group"] * 4.0
    parts = KNOWN["splits"] * sms / 8.0
    joined = 1.0 - 1.0 / parts
    per_key = KNOWN["key"] + (KNOWN["lone_key"] - KNOWN["key"]) * joined
    short = took(1.0, 1000.0, LONGEST, constants=free) - took(1.0, 0.0, LONGEST, constants=free)
    np.testing.assert_allclose(short, 1000.0 * per_key * group, rtol=1e-6)
    # of the longest itself each part is a block's, and all are joined
    whole = took(1.0, LONGEST, LONGEST, constants=free) - took(1.0, 0.0, LONGEST, constants=free)
    np.testing.assert_allclose(whole, LONGEST / parts * per_key * group, rtol=1e-6)
    none = took(1.0, 0.0, LONGEST, constants=free) - took(1.0, 0.0, constants=free)
    np.testing.assert_allclose(none, KNOWN["split"] * joined, rtol=1e-6)


def test_no_more_parts_than_the_kernel_has():
    roomy = KNOWN | {"splits": 1e6}
    limit = KNOWN | {"splits": 128.0 * 8.0 / tr.device("L40S").sm_count}
    np.testing.assert_allclose(
        took(1.0, 5e4, LONGEST, constants=roomy), took(1.0, 5e4, LONGEST, constants=limit)
    )


def test_longer_graphs_take_no_less_and_batches_that_fill_the_chip_the_same():
    graphs = np.array([2048.0, 8192.0, 32768.0, LONGEST])
    for batch in (1.0, 4.0, 12.0):
        times = np.array([took(batch, 2048.0, g) for g in graphs])
        assert (np.diff(times) >= 0.0).all()
        assert times[-1] > took(batch, 2048.0)
    assert took(1.0, 2048.0, LONGEST) > 1.5 * took(1.0, 2048.0)
    for batch in (18.0, 64.0, 256.0):
        np.testing.assert_array_equal(took(batch, 2048.0, LONGEST), took(batch, 2048.0))


def test_heads_of_their_own_are_never_cut():
    for batch in (1.0, 8.0):
        alone = took(batch, 4096.0, kv_heads=32.0)
        np.testing.assert_array_equal(took(batch, 4096.0, LONGEST, kv_heads=32.0), alone)


@pytest.mark.parametrize(
    "device, model, plan, captured",
    [
        ("L40S", "Llama-3.1-8B", {}, LONGEST), ("RTX 4090", "Llama-3.1-8B", {}, LONGEST),
        ("RTX-PRO-6000", "Qwen3-30B-A3B-Instruct-2507", {"dp": 2, "moe_ep": 2, "weights": "bf16"}, 262144.0),
        ("H200-SXM", "Llama-3.1-8B", {}, None), ("B200-SXM", "Llama-3.1-8B", {}, None),
        ("L40S", "Llama-3.1-8B", {"kv_cache": "fp8"}, None), ("L40S", "gpt-oss-20b", {}, None),
        ("L40S", "Llama-3.1-8B", {"engine": "trtllm"}, None),
    ],
)  # fmt: skip
def test_where_attention_is_laid_out_when_a_graph_is_captured(device, model, plan, captured):
    own = deployment(device, model, tr.Plan(**plan), "calibrated").calibration
    assert own.constants["attention_decode"].get("captured") == captured


def test_a_model_whose_longest_sequence_is_unknown_has_none():
    unknown = tr.model("Llama-3.1-8B").replace(context_max=0)
    own = deployment("L40S", unknown, tr.Plan(), "calibrated").calibration
    assert "captured" not in own.constants["attention_decode"]


def test_a_scheduler_says_for_what_its_graphs_are_captured():
    on = deployment("L40S", "Llama-3.1-8B", tr.Plan(), "calibrated")
    for knobs, want in (((8192, True), 8192.0), ((8192, False), 0.0)):
        now = captured_for(on, dict(zip(("max_model_len", "cudagraphs"), knobs, strict=True)))
        assert now.calibration.constants["attention_decode"]["captured"] == want
        np.testing.assert_array_equal(now.records[1], now.calibration.packed)
    assert captured_for(on, {"max_model_len": int(LONGEST), "cudagraphs": True}) is on
    other = deployment("H200-SXM", "Llama-3.1-8B", tr.Plan(), "calibrated")
    assert captured_for(other, {"max_model_len": 8192, "cudagraphs": True}) is other


def test_a_run_with_shorter_sequences_is_faster():
    load = {"arrival_ns": [0], "input_tokens": [2000], "output_tokens": [100]}
    ends = [
        simulate("L40S", "Llama-3.1-8B", None, load, Scheduler.preset("vllm-0.33", max_model_len=n))
        .requests["last_token_ns"][0]
        for n in (4096, 131072)
    ]  # fmt: skip
    assert ends[0] < 0.99 * ends[1]
