"""Energy of a run: who pays, that it adds up, and the power model behind it."""

import numpy as np
import pytest
import recorded
import scenarios
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from tokenroof import Plan, _core, kernels, serving
from tokenroof.inference.door import deployment
from tokenroof.serving.prompts import slower
from tokenroof.serving.simulation.step_time import step_table

SECOND = 10**9
GAP = _core.CALIBRATION_FIELDS.index("engine.kernel_gap")
WAITING = _core.SERVING_TERMS.index("waiting")


def run(requests, step, replicas=1, record_steps=True, path="counters", **knobs):
    knobs = {"num_blocks": 1000, "enable_prefix_caching": False, "loop": "sync"} | knobs
    return serving.simulate(
        None, None, None, requests, serving.Scheduler.preset("vllm-0.33", **knobs), step_time=step,
        replicas=replicas, record_steps=record_steps, path=path,
    )  # fmt: skip


def test_two_requests_by_hand():
    """One second a step at 100 W; the second request's prompt of 3 shares a step with the first's token."""
    load = {
        "arrival_ns": [0, SECOND, 10 * SECOND],
        "input_tokens": [4, 3, 1],
        "output_tokens": [2, 2, 1],
    }
    found = run(load, serving.StepTime(SECOND, watts=100.0, idle_watts=10.0))
    # steps: prompt of 4 | token of 0 and prompt of 3 | token of 1 | (7 s nothing) | prompt of 2
    assert found.requests["joules"].tolist() == [100.0 + 25.0, 75.0 + 100.0, 100.0]
    assert found.steps["joules"].tolist() == [100.0] * 4
    assert (found.energy.busy_j, found.energy.idle_j, found.energy.seconds) == (400.0, 70.0, 11.0)
    assert found.energy.watts == pytest.approx(470.0 / 11.0, rel=1e-15)
    summary = found.summary()
    assert summary["joules_per_request"] == pytest.approx(470.0 / 3.0, rel=1e-15)
    assert summary["joules_per_output_token"] == pytest.approx(470.0 / 5.0, rel=1e-15)
    watts = found.series(1.0)["watts"]
    assert watts == pytest.approx([100.0] * 3 + [10.0] * 7 + [100.0], rel=1e-12)


def test_replicas_that_rest_draw_power_too():
    load = {"arrival_ns": [0], "input_tokens": 4, "output_tokens": 2}
    found = run(load, serving.StepTime(SECOND, watts=100.0, idle_watts=10.0), replicas=3)
    assert found.energy.joules == 200.0 + 2 * 2 * 10.0
    assert found.series(2.0)["watts"].tolist() == [120.0]
    assert found.series(2.0)["kv_share"][0] == pytest.approx(1.0 / 999.0 / 3.0, rel=1e-12)


def _shares(run, inputs):
    """Of each request, from the record of steps: tokens of prompts pay by tokens, the others evenly."""
    paid = np.zeros(len(inputs))
    for i, step in enumerate(run.steps):
        entries = run.entries[run.entries["step"] == i]
        if not len(entries):
            continue
        prompt = entries["before"] < inputs[entries["request"]]
        tokens = entries["tokens"].sum() if prompt.any() else len(entries)
        each = step["joules"] / tokens
        np.add.at(paid, entries["request"][~prompt], each)
        rest = step["joules"] - each * (~prompt).sum()
        own = entries["tokens"][prompt]
        if prompt.any():
            np.add.at(paid, entries["request"][prompt], rest * own / own.sum())
    return paid


@given(seed=st.integers(0, 10**9))
def test_it_adds_up(seed):
    """Joules are watts by seconds; the sum over requests and the rest between steps are all."""
    trace = scenarios.draw(seed)
    version = ".".join(trace["engine"]["vllm"].split(".")[:2])
    scheduler = serving.Scheduler.preset(
        f"vllm-{version}", loop=trace["engine"]["loop"], **trace["config"]
    )
    step = serving.StepTime(*trace["step_time"].values(), watts=700.0, idle_watts=80.0)
    load = recorded.requests_of(trace)
    by_steps, by_counters = (
        serving.simulate(None, None, None, load, scheduler, step_time=step, record_steps=record)
        for record in (True, False)
    )
    joules = by_steps.requests["joules"]
    assert joules == pytest.approx(_shares(by_steps, load["input_tokens"]), rel=1e-9, abs=1e-12)
    assert by_counters.requests["joules"] == pytest.approx(joules, rel=1e-9, abs=1e-12)
    energy = by_steps.energy
    assert energy.busy_j == pytest.approx(700e-9 * by_steps.totals["busy_ns"], rel=1e-9)
    assert joules.sum() == pytest.approx(energy.busy_j, rel=1e-9)
    if energy.seconds > 0.0:
        assert energy.joules == pytest.approx(energy.watts * energy.seconds, rel=1e-12)
    assert energy.idle_j >= -1e-9
    done = by_steps.requests["status"] == "done"
    if done.all():
        series = by_steps.series()
        length = 2.0 * series["time_s"][0]
        assert length * series["watts"].sum() == pytest.approx(energy.joules, rel=1e-6)


def test_energy_that_is_not_known_is_none():
    load = {"arrival_ns": [0], "input_tokens": 4, "output_tokens": 2}
    found = run(load, serving.StepTime(SECOND))
    assert np.isnan(found.requests["joules"]).all() and np.isnan(found.energy.watts)
    assert np.isnan(found.series(1.0)["watts"]).all()
    assert "joules_per_request" not in found.summary()


@pytest.mark.parametrize(
    "watts, said",
    [
        ({"watts": 1.0}, "watts is 1.0 with idle_watts None; allowed: both or none"),
        (
            {"watts": -1.0, "idle_watts": 0.0},
            "watts is -1.0; allowed: a finite number of at least 0",
        ),
        ({"watts": 1.0, "idle_watts": np.nan}, "idle_watts is nan; allowed"),
    ],
)
def test_watts_that_are_refused(watts, said):
    with pytest.raises((ValueError, TypeError), match=said):
        serving.StepTime(1, **watts)


def _limits(on):
    scheduler = serving.Scheduler.preset("vllm-0.33")
    return scheduler.limits(scheduler.resolved(on))


def test_tables_of_joules_are_the_kernels_within_their_error():
    """Watts of steps within 6 %, on average within 1 %, where the time is the table's own."""
    on = deployment("H100-SXM", "Llama-3.1-8B", None, "calibrated")
    table = step_table(on, _limits(on), 16384.0)
    assert step_table(on, _limits(on), 9000.0) is table  # the same points, kept
    assert step_table(on, _limits(on), 17000.0) is not table
    rng = np.random.default_rng(0)
    b = np.floor(np.exp(rng.uniform(0, np.log(1024), 3000)))
    x = np.exp(rng.uniform(np.log(16), np.log(16000), 3000))
    t = np.floor(np.exp(rng.uniform(0, np.log(8000), 3000)))
    s = np.floor(rng.uniform(0, 1, 3000) * (16000 - t))
    sequences, context, tokens, past, _, dense, _ = table.axes
    field = kernels.STEP_FIELDS.index("watts")
    # a prompt takes longer in company: as a gap would make the step
    more = slower(on, t, s) / kernels.serving_terms(*on.records, 1.0, 1.0, 1.0)[WAITING]
    assert table.slower > 0.1 and (more > 0.0).all()
    slowed = np.tile(on.records[1], (3000, 1))
    slowed[:, GAP] += more
    mixed = RegularGridInterpolator((sequences, context, tokens, past), table.joules[0])(
        (b, x, t, s)
    )
    joules, ns = (
        RegularGridInterpolator((dense, context), v)((b, x))
        for v in (table.joules[2], table.decode)
    )
    for watts, direct in (
        (mixed, kernels.mixed_step(on.records[0], slowed, *on.records[2:], b, x, t, s)),
        (1e9 * joules / ns, kernels.decode_step(*on.records, b, x)),
    ):
        error = watts / direct[:, field] - 1.0
        assert np.abs(error).max() < 0.06 and abs(error.mean()) < 0.01


def test_the_watts_of_a_closed_loop_are_those_of_its_curve():
    """Gaps of the engine at what boards draw at rest in a step, and the limit over both, as in the steps played:
    what is left is the tables' error (1 % in the mean), and a user's own prompts, of which the curve has none."""
    for users in (1, 4, 64):
        load = serving.users(users, 12 * users, input_tokens=1000, output_tokens=200, seed=1)
        found = serving.simulate("H100-SXM", "Llama-3.1-8B", None, load)
        table = serving.curve("H100-SXM", "Llama-3.1-8B", None, 1000, 200, [users])
        assert found.energy.watts == pytest.approx(float(table.watts[0]), rel=0.02)
        assert found.energy.idle_watts == pytest.approx(70.0)  # a tenth of 700 W
        assert (found.requests["joules"] > 0.0).all()


def test_an_ideal_engine_is_tabulated_in_silence():
    """A step of nothing takes no time there, and no share of it is asked for."""
    step_table.__globals__["_KEPT"].clear()
    with np.errstate(all="raise"):
        found = serving.simulate(
            "H200-SXM",
            "Llama-3.1-8B",
            Plan(engine="ideal"),
            serving.poisson(2, requests=20),
        )
    assert np.isfinite(found.requests["joules"]).all() and found.requests["joules"].min() > 0.0
