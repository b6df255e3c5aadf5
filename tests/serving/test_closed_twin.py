"""Users in closed loop with percentiles: the kernel against its twin, both against the simulator."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tokenroof import _core
from tokenroof.reference.serving.closed_loop import closed_loop, others_variance
from tokenroof.reference.serving.open_loop import Sum
from tokenroof.serving import Lengths, Scheduler, StepTime, curve, simulate, summary, users
from tokenroof.serving.closed_twin import closed_at, shape_from

PLAIN = {
    "users": 32.0, "places": 64.0, "step_s": 0.01, "alone_s": 0.008, "begin_s": 0.0, "prompt_s": 0.03,
    "prompt_s2": 0.03**2 * 0.25, "prompt_s3": 0.03**3 * 0.25**2 * 3.25, "input": 800.0,
    "input_cv2": 0.25, "output": 200.0, "output_cv2": 0.25, "budget": 8192.0, "lag": 1.0,
}  # fmt: skip
POINTS = st.fixed_dictionaries({
    "users": st.integers(1, 2000).map(float), "places": st.integers(1, 600).map(float),
    "step_s": st.floats(1e-4, 0.1), "alone_s": st.floats(1e-4, 0.1),
    "begin_s": st.floats(-1e-5, 0.1), "prompt_s": st.floats(1e-5, 1.0),
    "prompt_s2": st.floats(0.0, 1.0), "prompt_s3": st.floats(0.0, 1.0),
    "input": st.floats(1.0, 1e5), "input_cv2": st.floats(0.0, 4.0), "output": st.floats(1.0, 4000.0),
    "output_cv2": st.floats(0.0, 4.0), "budget": st.floats(16.0, 65536.0), "lag": st.sampled_from([0.0, 1.0]),
})  # fmt: skip


@given(point=POINTS)
def test_the_kernel_is_its_twin(point):
    found, want = closed_at(point), closed_loop(point)
    for name in _core.CLOSED_LOOP_FIELDS:
        # halvings end where rounding decides
        assert found[name][0] == pytest.approx(want[name], rel=1e-6), name


@given(point=POINTS)
def test_percentiles_rise_and_users_are_counted(point):
    found = {name: x[0] for name, x in closed_at(point).items()}
    for name in ("ttft", "tpot", "e2e"):
        p50, p90, p99 = (found[f"{name}_{p}"] for p in ("p50", "p90", "p99"))
        assert 0.0 < p50 <= p90 * (1 + 1e-9) <= p99 * (1 + 1e-8)
    # Little: those that run are the rate times what each stays, but for prompts that the budget cuts; others are one
    # fewer than all
    if found["prompt_over_budget"] > 0.2 or point["output"] < 20 or found["running"] < 20:
        return
    stay = found["e2e"] - found["queue"]
    assert found["rate"] * stay == pytest.approx(found["running"], rel=0.1)


def test_who_is_alone_by_hand():
    """A step with its prompt, then steps of one; nothing is decided before it comes."""
    found = closed_at(
        {**PLAIN, "users": 1.0, "prompt_s2": 0.0, "prompt_s3": 0.0, "output_cv2": 0.0}
    )
    assert found["ttft"][0] == pytest.approx(0.038)
    assert found["tpot"][0] == pytest.approx(0.01)
    assert found["e2e"][0] == pytest.approx(0.038 + 199 * 0.01)
    for name in ("ttft", "tpot", "e2e"):
        assert found[f"{name}_p99"][0] == pytest.approx(found[name][0], rel=0.01)
    assert found["means_hold"][0] and found["percentiles_hold"][0]


@pytest.mark.parametrize("out2", [1.0, 0.25])
@pytest.mark.parametrize("others", [0.04, 0.9, 3.0])
@pytest.mark.parametrize("begin", [1.0, 0.3, -0.02])
def test_a_token_and_all_of_them_have_the_moments_of_their_steps(others, begin, out2):
    """Counted out by the number of prompts: none, or the first's begin and a sum of what each takes, cv 1.

    Of answers that are less varied than exponential numbers are too. E2E is the first token's time and as
    many steps as an answer has: counted out by its length.
    """
    w, s, output = 1.0, 2.0, 100.0
    own2, own3 = 1.0, 4.0
    point = {
        **PLAIN, "users": 1.0 + others * output, "places": 1e4, "lag": 0.0, "step_s": s, "begin_s": begin,
        "prompt_s": w, "prompt_s2": own2, "prompt_s3": own3, "output": output, "output_cv2": out2,
        "budget": 1e9,
    }  # fmt: skip
    many = np.arange(60.0)
    share = np.exp(-others) * np.cumprod(np.r_[1.0, others / many[1:]])
    # central moments of what k prompts add, by their number and within it
    mean = np.where(many > 0.0, begin + many * w, 0.0)
    m = float(share @ mean)
    even = others_variance(out2)
    two = even * float(share @ (mean - m) ** 2) + others * own2
    three = (
        even**3 * float(share @ (mean - m) ** 3)
        + 3.0 * even * float(share @ ((mean - m) * many)) * own2
        + others * own3
    )
    short = (1.0 + out2) / output
    step = Sum(s + m, two * short, three * short**2 * (1.0 + out2))
    found = closed_at(point)
    assert found["tpot"][0] == pytest.approx(step.mean, rel=1e-12)
    for p, value in zip(("p50", "p90", "p99"), step.percentiles(), strict=True):
        assert found[f"tpot_{p}"][0] == pytest.approx(value, rel=1e-8), p

    at, weight = np.polynomial.hermite_e.hermegauss(60)
    weight /= weight.sum()
    spread = np.log1p(out2)
    steps = output * np.exp(at * spread**0.5 - spread / 2.0) - 1.0
    apart = (steps - weight @ steps) * step.mean
    raw = [w, w * w + own2, w**3 + 3.0 * w * own2 + own3]
    whole = Sum(
        s + begin + w + others * raw[0] + float(weight @ steps) * step.mean,
        own2 + others * raw[1] + float(weight @ (apart**2 + steps * two)),
        own3 + others * raw[2] + float(weight @ (apart**3 + 3.0 * apart * steps * two + steps * three)),
    )  # fmt: skip
    assert found["e2e"][0] == pytest.approx(whole.mean, rel=1e-9)
    for p, value in zip(("p50", "p90", "p99"), whole.percentiles(), strict=True):
        assert found[f"e2e_{p}"][0] == pytest.approx(value, rel=1e-7), p


@pytest.mark.parametrize("cv", [0.2, 0.35, 0.5, 0.7])
def test_prompts_of_another_place_are_nearly_one_a_life_where_answers_are_alike(cv):
    """Renewals counted in lives of the same spread, beside what lives vary by themselves."""
    random = np.random.default_rng(5)
    spread = np.log1p(cv * cv)

    def lives(*shape, tilt=-0.5):
        return np.exp(spread**0.5 * random.standard_normal(shape) + tilt * spread)

    own = lives(40_000)
    begun = lives(40_000, tilt=0.5) * random.random(40_000)  # the rest of one that is under way
    came = np.cumsum(np.column_stack([begun, lives(40_000, 12)]), axis=1)
    number = (came < own[:, None]).sum(axis=1)
    assert number.mean() == pytest.approx(1.0, abs=0.02)
    assert number.var() - own.var() == pytest.approx(others_variance(cv * cv), rel=0.11)
    assert others_variance(4.0) == others_variance(1.0) == 1.0 > others_variance(cv * cv)


@pytest.mark.parametrize("begin", [0.4, 0.0, -0.02])
def test_those_who_run_are_the_rate_times_what_each_stays(begin):
    """Little's law, exactly where the budget cuts no prompt: of one user, of few and many, and with a queue."""
    many = np.array([1.0, 2.0, 16.0, 64.0, 300.0])
    point = {**PLAIN, "users": many, "begin_s": begin, "output": 20.0, "budget": 1e9}
    found = closed_at(point)
    stay = found["e2e"] - found["queue"]
    assert found["rate"] * stay == pytest.approx(found["running"], rel=1e-9)
    # of one user, a step with its prompt and 19 without
    assert found["rate"][0] == pytest.approx(1.0 / (0.008 + begin + 0.03 + 19 * 0.01))
    shares = (begin + 0.03) / (20 * 0.01 + begin + 0.03)
    assert found["prompt_load"][0] == pytest.approx(shares)


def test_others_queue_for_as_long_as_those_before_them_take():
    found = closed_at({**PLAIN, "users": np.array([64.0, 128.0, 192.0]), "lag": 0.0})
    assert found["queue"][0] == 0.0
    assert found["queue"][2] == pytest.approx(2 * found["queue"][1])
    assert found["queue"][1] * found["rate"][1] == pytest.approx(64.0)
    each = 200.0 * 0.01 + 64.0 * 0.03  # a life's steps, and the prompts of all who run
    assert found["queue"][1] == pytest.approx(each)


def test_where_it_does_not_hold_it_says_so():
    cases = {
        "output_cv2": 0.0, "budget": 900.0, "users": 32.0, "input": 7000.0,
    }  # fmt: skip
    held = {name: closed_at({**PLAIN, name: value}) for name, value in cases.items()}
    assert [bool(held[name]["means_hold"][0]) for name in cases] == [False, False, True, False]
    assert not closed_at(PLAIN, memory=30.0)["means_hold"][0]
    few = {**PLAIN, "users": np.array([1.0, 2.0, 64.0]), "places": 1.0}
    assert closed_at(few, memory=1.8)["means_hold"].tolist() == [True, False, False]
    assert closed_at(few, memory=2.8)["means_hold"].all()  # a scheduler's place, not the memory's
    alike = closed_at({**PLAIN, "input_cv2": 0.0})  # a prompt more is another percentile
    assert alike["means_hold"][0] and not alike["percentiles_hold"][0]
    long = closed_at({**PLAIN, "budget": 1500.0})  # prompts of twice the mean do not fit a step
    assert long["means_hold"][0] and not long["percentiles_hold"][0]


def test_a_wide_prompt_is_long_at_its_99th_percentile():
    """404 tokens, as varied as exponential: one in a hundred has 1,982, whose halves a budget of 2,048 often parts."""
    alone = {**PLAIN, "users": 1.0, "input": 404.0, "input_cv2": 1.0, "output": 40.0}
    found = closed_at({**alone, "budget": np.array([2048.0, 2700.0])})
    assert found["means_hold"].tolist() == [True, True]
    assert found["long_over_budget"] * [2047.0, 2699.0] == pytest.approx([1981.6, 1981.6], rel=1e-4)
    assert found["percentiles_hold"].tolist() == [False, True]


def lengths(mean, cv):
    return Lengths.fixed(mean) if cv == 0 else Lengths.lognormal(mean, cv)


@settings(max_examples=25)
@given(
    line=st.tuples(st.integers(3_000_000, 20_000_000), st.integers(5_000, 50_000), st.integers(0, 8)),
    inputs=st.integers(100, 3000), outputs=st.integers(40, 400), input_cv=st.sampled_from([0.0, 0.5, 1.0]),
    output_cv=st.sampled_from([0.2, 0.5, 1.0]), sequences=st.sampled_from([64, 128]),
    budget=st.sampled_from([2048, 8192]), loop=st.sampled_from(["sync", "async"]),
    many=st.sampled_from([1, 4, 16, 48, 64, 100, 200]), seed=st.integers(0, 99),
)  # fmt: skip
def test_it_agrees_with_the_simulator_where_it_says_so(
    line, inputs, outputs, input_cv, output_cv, sequences, budget, loop, many, seed
):
    """Means within 10 %, percentiles within 20 %, over lengths, steps, limits, loops and users."""
    sizes = {
        "input_tokens": lengths(inputs, input_cv),
        "output_tokens": lengths(outputs, output_cv),
    }
    load = users(many, max(60 * many, 4000), seed=seed, **sizes)
    shape = shape_from(Lengths.empirical(load.input_tokens), Lengths.empirical(load.output_tokens))[
        1
    ]
    fixed, token, context = (1e-9 * x for x in line)
    n, lag = min(many, sequences), float(loop == "async")
    decoding = n * (shape.output_tokens - 1) / (shape.output_tokens + lag * (many > 1))
    found = closed_at({
        "users": many, "places": sequences, "alone_s": fixed, "begin_s": 0.0,
        "prompt_s": token * shape.input_tokens, "prompt_s2": token**2 * load.input_tokens.var(),
        "prompt_s3": token**3 * ((load.input_tokens - shape.input_tokens) ** 3).mean(),
        "step_s": fixed + (token + context * shape.context) * decoding, "input": shape.input_tokens,
        "input_cv2": shape.input_cv2, "output": shape.output_tokens, "output_cv2": shape.output_cv2,
        "budget": budget, "lag": lag,
    })  # fmt: skip
    assume(found["means_hold"][0])
    engine = Scheduler(
        max_batched_tokens=budget, max_sequences=sequences, num_blocks=2**24, loop=loop
    )
    run = simulate(None, None, None, load, engine, step_time=StepTime(*line))
    seen = summary(run.requests[5 * many : -2 * many])
    for name in ("ttft", "tpot", "e2e"):
        assert found[name][0] == pytest.approx(seen[f"{name}_s"]["mean"], rel=0.1), name
        for p in ("p50", "p90", "p99"):
            if found["percentiles_hold"][0]:
                want = seen[f"{name}_s"][p]
                assert found[f"{name}_{p}"][0] == pytest.approx(want, rel=0.2), (name, p)


def test_of_a_device_in_the_table_of_curve():
    """The step kernels in both: the simulator's table, the twin's step of those who run."""
    sizes = {
        "input_tokens": Lengths.lognormal(1000, 0.5),
        "output_tokens": Lengths.lognormal(200, 0.4),
    }
    table = curve("H200-SXM", "Llama-3.1-8B", concurrency=[8, 48], **sizes)
    assert table.percentiles_hold.all() and table.ttft_p99_s.attrs["units"] == "s"
    load = users(48, 2500, **sizes)
    seen = summary(simulate("H200-SXM", "Llama-3.1-8B", None, load).requests[150:-100])
    for name in ("ttft", "tpot", "e2e"):
        assert float(table[f"{name}_mean_s"][1]) == pytest.approx(
            seen[f"{name}_s"]["mean"], rel=0.1
        )
        assert float(table[f"{name}_p99_s"][1]) == pytest.approx(seen[f"{name}_s"]["p99"], rel=0.2)
    alike = curve("H200-SXM", "Llama-3.1-8B", None, 1000, 200, concurrency=[1, 48])
    assert alike.percentiles_hold.values.tolist() == [True, False]
    few = curve(
        "H200-SXM", "Llama-3.1-8B", concurrency=[48], scheduler=Scheduler(max_sequences=8), **sizes
    )
    assert few.ttft_p50_s[0] > 3 * table.ttft_p50_s[1]


def test_times_to_the_first_token_of_both_loops_are_two_things():
    """Over users with what engines take beside the scheduler, over rates without: what compares is the mean."""
    on = "H200-SXM", "Llama-3.1-8B", None, 1024, 200
    users, rates = curve(*on, concurrency=[1]), curve(*on, rate=[1e-6])
    assert users.ttft_mean_s[0] == pytest.approx(float(rates.ttft_s[0]), rel=1e-3)
    assert users.ttft_s[0] > 2.0 * rates.ttft_s[0]


def test_where_nothing_fits_there_is_nothing():
    table = curve("L4", "Llama-3.1-70B", concurrency=[4])
    assert np.isnan(table.ttft_p99_s).all() and not table.means_hold.any()


def test_which_means_a_flag_speaks_of_is_said():
    """Of those under the scheduler; `tpot_s` and the rates are not among them."""
    table = curve("H200-SXM", "Llama-3.1-8B", concurrency=[4])
    said = table.means_hold.attrs["long_name"]
    assert all(
        f"{name}_mean_s" in said and f"{name}_mean_s" in table for name in ("ttft", "tpot", "e2e")
    )
