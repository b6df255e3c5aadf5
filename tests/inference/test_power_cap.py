"""A cap on the power of boards: the twin, identities, proved directions, published sweeps, bad input."""

from importlib import util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokenroof as tr
from _support import BY_ISA, every_isa
from tokenroof import kernels, reference
from tokenroof.inference.power_cap import CAP_BAND, cap_band

BENCH = Path(__file__).parents[2] / "bench"

watts = st.floats(0.0, 500.0)
clock = st.floats(0.1, 1.0)
draws = st.tuples(watts, watts, watts, watts, st.floats(0.0, 1.0))


@given(draw=draws, limit=st.floats(1.0, 2000.0), y=clock)
@every_isa
def test_clocks_equal_the_reference(isa, draw, limit, y):
    table = BY_ISA[isa]
    assert table["clock_volts"](y) == reference.clock_volts(y)
    assert table["clock_seconds"](y, draw[4]) == reference.clock_seconds(y, draw[4])
    assert table["clock_watts"](y, *draw) == reference.clock_watts(y, *draw)
    assert table["capped_clock"](limit, *draw) == reference.capped_clock(limit, *draw)


@given(draw=draws, limit=st.floats(1.0, 2000.0))
def test_the_clock_draws_the_limit_or_is_an_end(draw, limit):
    y = float(kernels.capped_clock(limit, *draw))
    drawn = float(kernels.clock_watts(y, *draw))
    if y == 1.0:
        assert drawn <= limit
    elif y == 0.1:
        assert drawn >= limit * (1.0 - 1e-9)
    else:
        assert drawn == pytest.approx(limit, rel=1e-6) and drawn <= limit


@given(draw=draws, y=st.tuples(clock, clock))
def test_watts_never_fall_with_the_clock(draw, y):
    """So that halving finds the one clock of a limit."""
    low, high = sorted(y)
    few, many = (float(kernels.clock_watts(x, *draw)) for x in (low, high))
    assert few <= many * (1.0 + 1e-12)


def test_by_hand():
    # half the clock is below the knee at 0.93: volts 0.85, squared 0.7225
    assert float(kernels.clock_watts(0.5, 30.0, 400.0, 100.0, 50.0, 0.2)) == pytest.approx(
        30.0 + 400.0 * 0.5 * 0.7225 + (100.0 * 0.7225 + 50.0) / 1.2, rel=1e-14
    )
    # between knee and boost: half of the way, half of the volts that fall
    assert float(kernels.clock_volts(0.965)) == pytest.approx(0.925, rel=1e-14)


PLANS = (
    ("H200-SXM", "Llama-3.1-70B", tr.Plan(tp=4, weights="fp8", kv_cache="fp8")),
    ("B200-SXM", "DeepSeek-R1", tr.Plan(tp=2, dp=2, pp=2, weights="nvfp4", kv_cache="fp8")),
    ("L40S", "gpt-oss-20b", tr.Plan(weights="mxfp4")),
)


@pytest.mark.parametrize(("device", "model", "plan"), PLANS)
@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
def test_at_its_limit_nothing_changes(device, model, plan, fidelity):
    at = plan.replace(power_cap_w=tr.device(device).tdp_w)
    how = {"batch": [1.0, 3.5, 256.0], "context": 2048.0, "fidelity": fidelity}
    one, other = (tr.decode(device, model, p, **how) for p in (plan, at))
    assert np.array_equal(one.fields, other.fields) and np.array_equal(one.time_s, other.time_s)
    assert (one.error_band, one.calibrated_on) == (other.error_band, other.calibrated_on) or (
        fidelity == "datasheet"
    )
    users = {"concurrency": [1, 64], "fidelity": fidelity}
    assert tr.serving.curve(device, model, plan, **users).equals(
        tr.serving.curve(device, model, at, **users)
    )


@pytest.mark.parametrize(("device", "model", "plan"), PLANS)
@pytest.mark.parametrize("fidelity", ["calibrated", "datasheet"])
def test_lower_caps_are_slower_and_draw_less(device, model, plan, fidelity):
    limit = tr.device(device).tdp_w
    for kind in (
        {"call": tr.decode, "batch": np.array([1.0, 48.0, 700.0]), "context": 3000.0},
        {"call": tr.prefill, "tokens": np.array([64.0, 2048.0, 16384.0])},
        {"call": tr.mixed, "batch": 32.0, "context": 900.0, "tokens": np.array([128.0, 4096.0])},
    ):
        call = kind.pop("call")
        steps = [
            call(device, model, plan.replace(power_cap_w=x * limit), **kind, fidelity=fidelity)
            for x in (1.0, 0.8, 0.6, 0.45, 0.3)
        ]
        for before, after in pairwise(steps):
            assert (after.time_s >= before.time_s).all()
            assert (after.watts <= before.watts * (1.0 + 1e-12)).all()
        for share, step in zip((1.0, 0.8, 0.6, 0.45, 0.3), steps, strict=True):
            assert (step.watts <= share * limit * plan.devices * (1.0 + 1e-9)).all()
            assert np.array_equal(step.fields[..., 0], step.time_s)
            for by in step.breakdown().values():
                assert np.allclose(sum(by.values()), step.time_s, rtol=1e-12)
        # work does not go away, and a board at most the share of the cap slower than what it may draw says
        assert np.array_equal(steps[0].flops, steps[-1].flops)
        assert (steps[-1].time_s > steps[0].time_s).all()


def test_time_kernels_over_many_loads_are_those_of_steps():
    """Those kernels take lanes of loads, and tables of whole batches: a cap has to reach every way."""
    on = PLANS[0][2].replace(power_cap_w=300)
    step = tr.decode(*PLANS[0][:2], on, batch=np.arange(1.0, 6001.0) % 400.0 + 1.0, context=777.0)
    assert np.array_equal(step.time_s, step.fields[..., 0])


def test_computing_pays_and_traffic_hardly():
    device, model, plan = PLANS[0]
    cap = plan.replace(power_cap_w=350)
    slower = {
        name: float(
            call(device, model, cap, **load).time_s / call(device, model, plan, **load).time_s
        )
        for name, call, load in (
            ("decode", tr.decode, {"batch": 32.0, "context": 1024.0}),
            ("prefill", tr.prefill, {"tokens": 8192.0}),
        )
    }
    assert 1.0 <= slower["decode"] < 1.12 < 1.2 < slower["prefill"] < 2.0


def test_published_sweep():
    """RTX PRO 6000, Qwen3.6-27B in four bits, one and 32 sequences [Light-Heart-Labs, 2026-04-30].

    Ours is too fast at half the limit, by 9 to 16 % (docs/inference/power.md).
    """
    plan = tr.Plan(weights="int4")
    for batch, limit, speeds in ((1.0, 0.13, {450: 0.999, 400: 0.989, 350: 0.951, 300: 0.868}),
                                 (32.0, 1 / 6, {450: 0.997, 400: 0.952, 350: 0.866, 300: 0.745})):  # fmt: skip

        def seconds(cap, n=batch):
            layout = plan.replace(power_cap_w=cap)
            step = tr.decode(
                "RTX PRO 6000 Workstation", "Qwen3.6-27B", layout, batch=n, context=1024
            )
            return float(step.time_s)

        ours = {cap: seconds(600) / seconds(cap) for cap in speeds}
        off = np.array([ours[cap] / speed - 1.0 for cap, speed in speeds.items()])
        assert np.abs(off).max() < limit and np.abs(off).mean() < 0.08, off


def test_pools_and_drafts_keep_their_caps():
    plan = tr.Plan(tp=8, weights="fp8_block", kv_cache="fp8")
    low = plan.replace(power_cap_w=400)
    drafts = tr.serving.Speculation("mtp", 2, 0.8)

    def curve(prefill, decode):
        system = tr.serving.disaggregate(("H200-SXM", prefill, 2), ("H200-SXM", decode, 3), drafts)
        return tr.serving.curve(system, "DeepSeek-R1", concurrency=[256]).isel(concurrency=0)

    free, prompts, answers = curve(plan, plan), curve(low, plan), curve(plan, low)
    assert float(free.tpot_s) == pytest.approx(float(prompts.tpot_s), rel=0.01)
    assert float(answers.tpot_s) > 1.01 * float(free.tpot_s)
    assert float(prompts.ttft_s) > float(free.ttft_s)
    # 300 W less of each board, and their part of supplies and cooling
    h200 = tr.device("H200-SXM")
    around = tr.power.provisioned_power(h200)[0] / h200.system_power_w
    assert float(free.provisioned_watts - answers.provisioned_watts) == pytest.approx(
        24 * 300.0 * around
    )


def test_bands_and_names():
    plan = tr.Plan(tp=4)
    free, held = (
        tr.decode("H200-SXM", "Llama-3.1-70B", p) for p in (plan, plan.replace(power_cap_w=500))
    )
    assert held.error_band == pytest.approx(np.hypot(free.error_band, np.exp(1.1 * 200 / 700) - 1))
    assert held.plan.label() == "tp4 bf16 kv bf16 at 500 W"
    assert held.calibrated_on.endswith("boards at 500 W: by the clocks of another board")
    fitted = tr.decode(
        "RTX PRO 6000 Blackwell Workstation", "Llama-3.1-8B", tr.Plan(power_cap_w=400)
    )
    assert fitted.calibrated_on.endswith("boards at 400 W: by the clocks of this board")


def test_bands_of_caps_hold_four_in_five_points_of_boards_that_nothing_was_fitted_on():
    """Of the published sweeps; close to the limit, and on the board that was fitted, 15 % as before."""
    spec = util.spec_from_file_location("power_caps", BENCH / "power_caps.py")
    caps = util.module_from_spec(spec)
    spec.loader.exec_module(caps)
    inside, old = [], []
    for _, device, model, plan, what, speeds in caps.SWEEPS:
        most, *rest = speeds
        board = tr.device(device)
        plain = caps.modelled(device, model, plan, what, min(most, board.tdp_w))
        for cap in rest if device != caps.PRO else ():
            ours = plain / caps.modelled(device, model, plan, what, cap)
            error = abs(np.log(ours * speeds[most] / speeds[cap]))
            inside.append(error <= np.log1p(cap_band(board, cap)))
            old.append(error <= np.log1p(CAP_BAND))
    assert len(inside) == 16 and np.mean(inside) >= 0.8 > np.mean(old)
    assert cap_band(tr.device(caps.PRO), 300.0) == CAP_BAND
    h200 = tr.device("H200-SXM")
    assert cap_band(h200, 690.0) == CAP_BAND and cap_band(h200, 350.0) == pytest.approx(
        0.7333, abs=1e-4
    )
    assert cap_band(h200, 200.0) > cap_band(h200, 300.0)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [(lambda: tr.Plan(power_cap_w="x"), TypeError, "power_cap_w is 'x'"),
     (lambda: tr.Plan(power_cap_w=0.0), ValueError, "power_cap_w is 0"),
     (lambda: tr.Plan(power_cap_w=np.nan), ValueError, "power_cap_w is nan"),
     (lambda: tr.decode("H200-SXM", "GPT-2", tr.Plan(power_cap_w=701)), ValueError,
      "power_cap_w is 701 on H200-SXM; allowed: 200 to 700 W"),
     (lambda: tr.decode("A100-SXM4-80GB", "GPT-2", tr.Plan(power_cap_w=99)), ValueError, "allowed: 100 to 400 W"),
     (lambda: tr.decode(tr.Device(name="x", memory_bandwidth=1e12, peak={"bf16": 1e14}), "GPT-2",
                        tr.Plan(power_cap_w=99)), ValueError, "whose tdp_w is unknown"),
     (lambda: tr.serving.System(both=("H200-SXM", tr.Plan(power_cap_w=100))), ValueError, "both: power_cap_w is 100"),
     ],
)  # fmt: skip
def test_bad_caps(call, error, text):
    with pytest.raises(error, match=text):
        call()
