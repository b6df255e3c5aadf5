"""Paths of a factory's cash: against the reference and closed forms, on any thread and instruction set."""

import math

import numpy as np
import pytest
from _cash import CALM, play
from hypothesis import given, settings
from hypothesis import strategies as st

from _support import BY_ISA, each_isa, every_isa
from tokenroof import _core
from tokenroof import economics as ec
from tokenroof.economics.risk import _columns
from tokenroof.reference.economics import cash_paths as reference

LEASE = {"income.kind": "lease", "income.lease_per_mw_year": 1.9e6}
MINE = ec.mine("Antminer S21", hashprice=50.0, usd_per_terahash=16.0)
WILD = ec.Uncertainty(
    price_volatility=0.4, price_reversion=0.5, power_volatility=0.3, power_reversion=1.0, correlation=0.4,
    jumps_per_year=0.2, jump_up_share=0.3, jump_up=0.25, jump_down=0.4, supply_response=0.6, output_error=0.1,
    capital_error=0.2, capital_correlation=0.5,
)  # fmt: skip

part, money = st.floats(0.0, 1.0), st.floats(0.0, 100.0)


@st.composite
def cases(draw):
    years = draw(st.integers(1, 12))
    model = CALM | {
        "price_start": draw(st.floats(-1, 1)), "price_keep": draw(part), "price_noise": draw(part),
        "power_start": draw(st.floats(-1, 1)), "power_keep": draw(part), "power_noise": draw(part),
        "correlation": draw(st.floats(-1, 1)), "jump_chance": draw(st.sampled_from([0.0, 0.3, 1.0])),
        "jump_up_share": draw(part), "jump_up": draw(part), "jump_down": draw(part),
        "supply_follow": draw(part), "output_noise": draw(st.sampled_from([0.0, 0.3])), "capital_noise": draw(part),
        "capital_correlation": draw(st.floats(-1, 1)),
        "can_stop": float(draw(st.booleans())), "tax_rate": draw(part),
    }  # fmt: skip
    columns = {
        name: draw(st.lists(money, min_size=years, max_size=years)) for name in _core.CASH_COLUMNS
    }
    columns["other"] = [x - 50.0 for x in columns["other"]]
    columns["discount"] = [x / 100.0 for x in columns["discount"]]
    return model, columns


@settings(max_examples=40)
@given(case=cases(), seed=st.integers(0, 2**64 - 1))
@every_isa
def test_a_path_equals_its_reference(isa, case, seed):
    """Of a year's two exponentials, logarithm, root and sine each is within some ulps, sums of 12 within 100."""
    _is_its_reference(isa, *case, seed, 9)


@each_isa
@pytest.mark.parametrize("ones", [("price_noise",), ("power_noise",), ("power_noise", "correlation"),
                                  ("capital_noise",), ("capital_noise", "capital_correlation"), ("output_noise",),
                                  ("price_start",), ("power_start",), ("jump_chance",), ("jump_chance", "jump_up_share"),
                                  ("can_stop",), ("tax_rate",), ("supply_follow", "price_noise")])  # fmt: skip
def test_what_is_uncertain_alone_and_whole(isa, ones):
    """At 0 a number is not drawn; at exactly 1 it is like any other."""
    columns = {name: [3.0, 5.0, 4.0, 8.0, 6.0] for name in _core.CASH_COLUMNS}
    columns |= {"other": [-4.0, -3.0, -2.0, -1.0, 0.5], "discount": [0.95, 0.9, 0.85, 0.8, 0.75]}
    odd = {"jump_up": 0.25, "jump_down": 0.4}
    _is_its_reference(isa, CALM | odd | dict.fromkeys(ones, 1.0), columns, 11, 3)


def _is_its_reference(isa, model, columns, seed, paths):
    worth, lowest, rows = play(model, columns, paths, seed, isa, rows=True)
    for path in range(paths):
        want, low, each = reference.cash_path(model, columns, seed, path)
        size = sum(abs(row[-1]) for row in each)
        size += 10 * sum(columns["revenue"]) * math.exp(max(row[0] for row in each))
        size += 100 * sum(columns["deductions"]) + 100 * sum(columns["capital"])
        size += sum(columns["power"]) * math.exp(max(row[1] for row in each))
        assert pytest.approx(np.array(each), rel=1e-11, abs=1e-12 * (size + 1)) == rows[path].T
        assert worth[path] == pytest.approx(want, rel=1e-11, abs=1e-12 * (size + 1))
        assert lowest[path] == pytest.approx(low, rel=1e-11, abs=1e-12 * (size + 1))


def test_every_instruction_set_and_number_of_threads_gives_the_same_bits():
    plan = ec.factory(MINE)
    columns = dict(
        zip(_core.CASH_COLUMNS, _columns(plan.flow, WILD, 0.083).reshape(7, -1), strict=True)
    )
    model = WILD.model(0.2) | {"can_stop": 1.0}
    worth, lowest = play(model, columns, 10_007, 5)
    for isa in BY_ISA:
        for threads in (1, 3):
            again = play(model, columns, 10_007, 5, isa, threads)
            assert again[0].tobytes() == worth.tobytes() and again[1].tobytes() == lowest.tobytes()
    found = [ec.risk(MINE, WILD, paths=5000, seed=7, threads=n) for n in (1, 2, 5)]
    assert len({f.worth.tobytes() for f in found}) == 1
    assert ec.risk(MINE, WILD, paths=5000, seed=8).worth.tobytes() != found[0].worth.tobytes()


TAXED = {
    "finance.tax_rate": 0.3,
    "finance.loan_to_cost": 0.6,
    "shell.build_years": 2,
    "shell.om_share": 0.02,
}


@pytest.mark.parametrize("plan", [LEASE | TAXED, {"shell.capex_per_it_mw": 1e6, "income.kind": "nothing"}, MINE,
                                  ec.rent_gpus("H200-SXM", 31_000).with_values({"finance.tax_rate": 0.25}),
                                  ec.sell_tokens("H200-SXM", "gpt-oss-120b", 31_000)])  # fmt: skip
def test_without_uncertainty_each_path_is_the_factory(plan):
    got = ec.risk(plan, ec.Uncertainty(), paths=17)
    flow = ec.factory(plan).flow
    assert got.worth == pytest.approx(got.certain, rel=1e-11, abs=1e-11 * flow.capex.sum())
    assert got.certain == ec.factory(plan).equity_npv
    assert got.lowest == pytest.approx(
        np.cumsum(flow.equity).min(), abs=1e-11 * (flow.capex.sum() + 1)
    )


@pytest.mark.parametrize("how", [
    ec.Uncertainty(price_volatility=0.5), ec.Uncertainty(price_volatility=0.5, price_reversion=0.7),
    ec.Uncertainty(power_volatility=0.5, power_reversion=0.3), WILD,
    ec.Uncertainty(price_volatility=0.5, supply_response=1.5), ec.Uncertainty(output_error=0.4, capital_error=0.3),
    ec.Uncertainty(jumps_per_year=0.5, jump_up=0.3, jump_down=0.5, supply_response=0.7, price_reversion=0.3),
    ec.Uncertainty(jumps_per_year=0.5, jump_up=0.3, jump_down=0.5, jump_up_share=0.6, price_reversion=0.2),
])  # fmt: skip
def test_prices_mean_what_the_scenario_says(how):
    """Without tax and stops the mean present value is the certain one, in closed form; within 4.5 errors."""
    got = ec.risk(MINE.with_values({"site.price_per_mwh": 50.0}), how, paths=400_000, seed=3)
    assert got.mean == pytest.approx(got.certain, abs=4.5 * got.mean_error)
    assert got.mean_error > 0.0


def test_the_variance_of_a_year_is_that_of_a_lognormal():
    """One year, one price: exp(2 m + s^2)(exp(s^2) - 1)."""
    columns = {name: [0.0] * 2 for name in _core.CASH_COLUMNS}
    columns |= {"revenue": [0.0, 1.0], "discount": [1.0, 1.0]}
    worth, _ = play(CALM | {"price_noise": 0.5}, columns, 400_000, 11)
    s2 = 0.25
    want = math.exp(s2) * (math.exp(s2) - 1.0)
    kurtosis = math.exp(4 * s2) + 2 * math.exp(3 * s2) + 3 * math.exp(2 * s2) - 3
    assert worth.var() == pytest.approx(want, rel=4.5 * math.sqrt((kurtosis - 1) / 400_000))
    assert np.median(worth) == pytest.approx(1.0, abs=0.005)


def test_correlation_and_reversion_of_the_logarithms():
    columns = {name: [0.0] * 30 for name in _core.CASH_COLUMNS}
    how = ec.Uncertainty(price_volatility=0.4, price_reversion=0.6, power_volatility=0.2, power_reversion=0.3,
                         correlation=-0.7)  # fmt: skip
    *_, rows = play(how.model(0.0), columns, 100_000, 2, rows=True)
    x, y = rows[:, 0, :], rows[:, 1, :]
    assert x[:, -1].std() == pytest.approx(0.4 / math.sqrt(2 * 0.6), rel=0.01)  # stationary
    assert np.corrcoef(x[:, 10], x[:, 11])[0, 1] == pytest.approx(math.exp(-0.6), abs=0.01)
    assert np.corrcoef(x[:, 1], y[:, 1])[0, 1] == pytest.approx(-0.7, abs=0.01)
    assert not x[:, 0].any() and not y[:, 0].any()  # known now


def spread_of_log_price(plan, how, column):
    """Standard deviation of the logarithm of a price in the one year that has it, from what paths are worth."""
    made = ec.factory(plan)
    amounts = getattr(made.flow, column)
    assert np.count_nonzero(amounts) == 1
    year = int(np.argmax(amounts))
    rate, sign = plan.finance.discount_rate, -1.0 if column == "power" else 1.0
    rest = made.equity_npv - sign * amounts[year] / (1.0 + rate) ** year
    worth = ec.risk(plan, how, paths=40_000, seed=1).worth
    return year, np.log(sign * (worth - rest) * (1.0 + rate) ** year / amounts[year]).std()


@pytest.mark.parametrize("build,delay", [(1, 0), (2, 0), (3, 0), (1, 1), (1, 2)])
@pytest.mark.parametrize("column", ["revenue", "power"])
def test_a_price_has_wandered_for_as_many_years_as_it_is_from_now(build, delay, column):
    """The first year's income is a year from now: volatility sqrt(years), by hand; with what fades too."""
    plan = MINE.with_values({"site.price_per_mwh": 50.0, "finance.years": 1, "shell.build_years": build,
                             "shell.delay_years": delay})  # fmt: skip
    of = "price" if column == "revenue" else "power"
    for fades in (0.0, 0.5):
        how = ec.Uncertainty(**{f"{of}_volatility": 0.5, f"{of}_reversion": fades})
        year, got = spread_of_log_price(plan, how, column)
        assert year == build + delay
        time = (1.0 - math.exp(-2.0 * fades * year)) / (2.0 * fades) if fades else year
        assert got == pytest.approx(0.5 * math.sqrt(time), rel=4.5 / math.sqrt(2 * 40_000))


def test_a_hall_of_five_years_is_a_process_of_ornstein_and_uhlenbeck_from_now():
    """In NumPy, with draws of its own: percentiles and losses of 200,000 paths, within their errors."""
    plan = MINE.with_values({"site.power_mw": 20, "site.price_per_mwh": 50.0})
    got = ec.risk(
        plan, ec.Uncertainty(price_volatility=0.5, price_reversion=0.5), paths=200_000, seed=2
    )
    flow, keep = ec.factory(plan).flow, math.exp(-0.5)
    noise = 0.5 * math.sqrt(1.0 - math.exp(-1.0))
    rng, x, variance = np.random.default_rng(3), np.zeros(200_000), 0.0
    worth = np.full(200_000, flow.equity[0])
    for year in range(1, 6):
        x = keep * x + noise * rng.standard_normal(x.size)
        variance = keep**2 * variance + noise**2
        moved = flow.revenue[year] * (np.exp(x - variance / 2.0) - 1.0)
        worth += (flow.equity[year] + moved) / (1.0 + plan.finance.discount_rate) ** year
    for part, found in ((10, got.p10), (50, got.p50), (90, got.p90)):
        assert found == pytest.approx(np.percentile(worth, part), abs=0.02 * worth.std())
    assert got.loss == pytest.approx(np.mean(worth < 0), abs=0.005)
    assert got.worth.std() == pytest.approx(worth.std(), rel=0.02)


def test_difficulty_follows_profit():
    """A price that stays half as high as it was takes the hashrate with it: income comes back."""
    how = ec.Uncertainty(price_volatility=0.6, supply_response=1.2)
    assert how.shocks(4) == pytest.approx(
        np.exp(-1.2 * np.arange(4))
    )  # of a price that wanders freely
    columns = {name: [0.0] * 13 for name in _core.CASH_COLUMNS}  # now, and 12 years
    *_, rows = play(how.model(0.0), columns, 100_000, 4, rows=True)
    income, supply = rows[:, 0], rows[:, 2]
    price = income + supply
    follow = 1.0 - math.exp(-1.2)
    moved = np.diff(supply, axis=1)
    np.testing.assert_allclose(moved, follow * (price - supply)[:, :-1], rtol=1e-9, atol=1e-12)
    assert price[:, -1].std() == pytest.approx(0.6 * math.sqrt(12), rel=0.01)
    assert income[:, -1].std() == pytest.approx(0.6 / math.sqrt(1.0 - math.exp(-2.4)), rel=0.01)
    free, held = (ec.risk(MINE, ec.Uncertainty(price_volatility=0.6, supply_response=r, can_stop=True), paths=40_000)
                  for r in (0.0, 1.2))  # fmt: skip
    assert held.p90 - held.p10 < 0.8 * (free.p90 - free.p10)
    late = ec.Uncertainty(
        price_reversion=1.0, supply_response=1.0
    )  # which overshoots: 1, 0.37 - 0.63, ...
    assert late.shocks(2)[1] == pytest.approx(2.0 * math.exp(-1.0) - 1.0)


def test_levels_are_lognormal_and_correlated():
    one = {name: [0.0] * 2 for name in _core.CASH_COLUMNS} | {"discount": [1.0, 1.0]}
    noise = {
        "price_noise": 0.3,
        "output_noise": 0.2,
        "capital_noise": 0.4,
        "capital_correlation": -0.6,
    }
    both = [
        play(CALM | noise, one | {name: [0.0, 1.0]}, 200_000, 6)[0]
        for name in ("revenue", "capital")
    ]
    made, cost = np.log(both[0]), np.log(-both[1])
    assert (made.mean(), made.std()) == pytest.approx((-0.02, math.hypot(0.3, 0.2)), abs=0.004)
    assert (cost.mean(), cost.std()) == pytest.approx((-0.08, 0.4), abs=0.004)
    assert np.corrcoef(made, cost)[0, 1] == pytest.approx(
        -0.6 * 0.3 / math.hypot(0.3, 0.2), abs=0.01
    )
    taxed = play(CALM | noise | {"tax_rate": 0.5, "price_noise": 0.0, "output_noise": 0.0},
                 one | {"revenue": [0.0, 100.0], "deductions": [0.0, 1.0]}, 1000, 6)[0]  # fmt: skip
    assert taxed == pytest.approx(
        50.0 - 0.5 * both[1][:1000], rel=1e-9
    )  # what costs more saves more tax


def test_to_stop_is_worth_something_and_never_costs():
    one = ec.risk(MINE, WILD, paths=20_000)
    free = ec.risk(MINE, ec.Uncertainty(**{n: getattr(WILD, n) for n in WILD.__dataclass_fields__} | {"can_stop": True}),
                   paths=20_000)  # fmt: skip
    assert (free.worth >= one.worth - 1e-6).all() and free.mean > one.mean
    assert one.p10 < one.p50 < one.p90 and 0.0 < one.loss < 1.0
    assert one.loss == np.mean(one.worth < 0)


def test_ruin():
    spent = ec.factory(MINE).flow.capex.sum()
    got = [
        ec.risk(MINE, WILD, paths=20_000, reserve=spent * part) for part in (0.25, 1.0, 2.0, 10.0)
    ]
    assert got[0].ruin == 1.0 and got[3].ruin < got[2].ruin < got[1].ruin < 1.0
    assert got[1].ruin == np.mean(got[1].lowest < -spent)
    assert math.isnan(ec.risk(MINE, WILD, paths=10).ruin)


def test_tornado():
    ranges = {
        "site.price_per_mwh": (40, 60),
        "income.hashprice": (30, 70),
        "finance.discount_rate": (0.05, 0.12),
    }
    found = ec.tornado(MINE, ranges)
    assert [s.swing for s in found] == sorted((s.swing for s in found), reverse=True)
    for s in found:
        assert s.npv_low == ec.factory(MINE.with_values({s.name: s.low})).equity_npv
        assert s.npv_high == ec.factory(MINE.with_values({s.name: s.high})).equity_npv
        assert s.swing == abs(s.npv_high - s.npv_low)
        assert (s.low, s.high) == ranges[s.name]


def test_progress_and_an_exception_in_it():
    told = []
    ec.risk(MINE, WILD, paths=1000, progress=lambda *at: told.append(at))
    assert told[-1] == (1000, 1000)

    def fail(done, n):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        ec.risk(MINE, WILD, paths=1000, progress=fail)


@pytest.mark.parametrize("call,said", [
    (lambda: ec.risk(MINE, 3), "uncertainty is 3"), (lambda: ec.risk(MINE, WILD, paths=1), "paths is 1"),
    (lambda: ec.risk(MINE, WILD, seed=-1), "seed is -1"), (lambda: ec.risk(MINE, WILD, threads=0), "threads is 0"),
    (lambda: ec.risk(MINE, WILD, reserve=-1), "reserve is -1"), (lambda: ec.risk(3, WILD), "scenario is 3"),
    (lambda: ec.risk(MINE, WILD, progress=3), "progress is 3"),
    (lambda: ec.Uncertainty(price_volatility=-1), "price_volatility is -1"),
    (lambda: ec.Uncertainty(correlation=-1.1), "correlation is -1.1"),
    (lambda: ec.Uncertainty(correlation=1.1), "correlation is 1.1"),
    (lambda: ec.Uncertainty(jumps_per_year=1.1), "jumps_per_year is 1.1"),
    (lambda: ec.Uncertainty(supply_response=-1), "supply_response is -1"),
    (lambda: ec.Uncertainty(capital_correlation=2), "capital_correlation is 2"),
    (lambda: ec.Uncertainty(price_reversion=2, supply_response=3, jump_down=2), "jump_down is 2.*supply_response: below 1.2"),
    (lambda: ec.Uncertainty(jump_up=1.0), "jump_up is 1.0"), (lambda: ec.Uncertainty(can_stop=1), "can_stop is 1"),
    (lambda: ec.tornado(MINE, 3), "ranges is 3"), (lambda: ec.tornado(MINE, {"site.pue": 3}), r"ranges\['site.pue'\]"),
    (lambda: ec.tornado(MINE, {"site.pu": (1, 2)}), "did you mean site.pue"),
])  # fmt: skip
def test_bad_input_by_name(call, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        call()


@pytest.mark.parametrize("change,said", [
    ({"isa": "x86_64_v9"}, "isa is 'x86_64_v9'"), ({"threads": 0}, "threads is 0"),
    ({"worth": np.empty(3, np.float32)}, "worth is not"), ({"lowest": np.empty(2)}, "lowest is not"),
    ({"model": np.empty(3)}, "model is not"), ({"columns": np.empty(8)}, "columns is not"),
    ({"rows": np.empty(3)}, "rows is not"),
])  # fmt: skip
def test_the_kernel_refuses_other_buffers(change, said):
    given = {"isa": _core.ISA, "model": np.zeros(len(_core.CASH_FIELDS)), "columns": np.zeros(14), "seed": 0,
             "worth": np.empty(3), "lowest": np.empty(3), "rows": None, "threads": 1} | change  # fmt: skip
    with pytest.raises(ValueError, match=said):
        _core.simulate_cash(**given)
