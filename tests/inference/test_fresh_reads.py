"""Kernels between products read from the L2 what the kernel in front of them has just written."""

import numpy as np
import pytest

import tokenroof as tr
from _support import named
from tokenroof import kernels, reference
from tokenroof.inference.constants import find

DEVICE, MODEL, PLAN = tr.device("L40S"), tr.model("Llama-3.1-8B"), tr.Plan()
CACHED, RESIDENT = 4.0, 0.5
REACHED = 0.9  # of the bandwidth, by kernels that do next to no work on boards with GDDR
LAYERS, HIDDEN, WIDTH = 32.0, 4096.0, 14336.0
QUERIES, KEYS = 32 * 128.0, 8 * 128.0
# a token's bytes of each kernel, those that it finds, how many kernels there are
NORM = (8 * HIDDEN, 2 * HIDDEN, 2 * LAYERS + 1)
ROTATION = (4 * (QUERIES + KEYS) + 4 * 2 * KEYS, 2 * (QUERIES + KEYS) + 2 * 2 * KEYS, LAYERS)
GATE = (3 * WIDTH * 2, 2 * WIDTH * 2, LAYERS)


def calibration(**others):
    own = find("attention_decode", DEVICE, "vllm", "bf16").constants
    own = own | {"cached": CACHED, "resident": RESIDENT} | others
    return tr.Calibration(constants={"attention_decode": own})


def elementwise(tokens, device=DEVICE, fidelity=None):
    """What these kernels take in a step of so many tokens [s]."""
    fidelity = calibration() if fidelity is None else fidelity
    step = tr.prefill(device, MODEL, PLAN, tokens=tokens, fidelity=fidelity)
    return step.breakdown()["operator"]["elementwise"]


def by_hand(tokens, l2=DEVICE.l2_bytes):
    """The same from bytes."""
    seconds = 0.0
    for moved, fresh, count in (NORM, ROTATION, GATE):
        fits = 1 / (1 + (tokens * moved / (RESIDENT * l2)) ** 6) if l2 else 0.0
        found = fits * (1 - 1 / CACHED) * fresh
        seconds += count * tokens * (moved - found) / (REACHED * DEVICE.memory_bandwidth)
    return seconds


@pytest.mark.parametrize("tokens", [1.0, 64.0, 300.0, 560.0, 900.0, 1500.0, 4096.0, 1e6])
def test_known_values(tokens):
    assert elementwise(tokens) == pytest.approx(by_hand(tokens), rel=1e-12)


def test_a_norm_finds_a_quarter_a_rotation_half_a_gate_two_thirds():
    assert [fresh / moved for moved, fresh, _ in (NORM, ROTATION, GATE)] == pytest.approx(
        [1 / 4, 1 / 2, 2 / 3]
    )


def test_without_measured_attention_or_where_the_l2_is_no_faster_all_is_read_from_memory():
    cold = by_hand(64.0, l2=0.0)
    assert elementwise(64.0, fidelity=calibration(cached=1.0)) == pytest.approx(cold, rel=1e-12)
    assert elementwise(64.0, fidelity=tr.Calibration()) == pytest.approx(REACHED * cold, rel=1e-12)
    unknown = elementwise(64.0, DEVICE.replace(l2_bytes=None))
    assert unknown == pytest.approx(cold, rel=1e-12)


def test_bytes_that_are_counted_do_not_change():
    found = tr.prefill(DEVICE, MODEL, PLAN, tokens=64.0, fidelity=calibration())
    cold = tr.prefill(DEVICE, MODEL, PLAN, tokens=64.0, fidelity=calibration(cached=1.0))
    assert found.bytes == cold.bytes
    assert found.time_s < cold.time_s


@pytest.mark.parametrize("model", ["Llama-3.1-8B", "Qwen3-30B-A3B", "DeepSeek-R1"])
def test_steps_equal_the_reference(model):
    vectors = DEVICE.pack(), calibration().packed, tr.model(model).pack(), PLAN.pack()
    for batch in (1.0, 48.0, 700.0):
        want = reference.decode_time(*named(vectors), batch, 900.0)
        assert kernels.decode_time(*vectors, batch, 900.0) == pytest.approx(want, rel=1e-12)


def test_more_tokens_never_take_less():
    seconds = elementwise(np.linspace(1.0, 4096.0, 400))
    assert (np.diff(seconds) > 0).all()
