"""What a machine must earn: by hand, against plain sums, and on the catalogue."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tokenroof import mining
from tokenroof.records.miner import Miner
from tokenroof.reference.mining import margins as twin

RIG = Miner(name="rig", hashrate=1e15, power=1000.0)  # a PH/s and a kW: 24 kWh a day
DARK = Miner(name="dark", hashrate=1e15)

#: Power that costs more is refused [$/kWh].
DEAREST = 20.0
machines = st.builds(
    Miner, name=st.just("any"), hashrate=st.floats(1e6, 1e16), power=st.floats(1.0, 1e5)
)
hashprices = st.floats(1e-3, 1e9)
prices = st.floats(0.0, 1.0)
fees = st.floats(0.0, 0.9)
pues = st.floats(1.0, 3.0)


# --- where a machine stops -----------------------------------------------------------------------------


def test_prices_by_hand():
    assert mining.margin_per_day(RIG, 48.0, 0.5) == 36.0
    assert mining.margin_per_day(RIG, 48.0, 0.5, fee=0.25, pue=2.0) == 12.0
    assert mining.break_even_power_price(RIG, 48.0) == 2.0
    assert mining.break_even_power_price(RIG, 48.0, fee=0.25, pue=1.5) == 1.0
    assert mining.shutdown_hashprice(RIG, 0.5) == 12.0
    assert mining.shutdown_hashprice(RIG, 0.5, fee=0.5, pue=2.0) == 48.0
    # at difficulty 86400e15 / 2**32 a PH/s finds a block a day
    daily = 86400e15 / 2**32
    assert mining.shutdown_price(RIG, 0.5, daily, 3.0, 1.0) == pytest.approx(3.0, rel=1e-15)
    hard = mining.break_even_difficulty(RIG, 0.5, 3.0, 3.0, 1.0)
    assert hard == pytest.approx(daily, rel=1e-15)
    assert mining.break_even_difficulty(RIG, 0.0, 3.0) == math.inf
    # the rig is 1 J/TH: 12 $ a day at 0.5; a terahash that may cost four times as much earns 48
    assert mining.break_even_efficiency(48.0, 0.5) == 4.0
    assert mining.break_even_efficiency([48.0, 0.0], 0.5, fee=0.5, pue=2.0).tolist() == [1.0, 0.0]
    assert mining.break_even_efficiency(48.0, [0.0, 0.5]).tolist() == [math.inf, 4.0]
    assert mining.shutdown_price(RIG, 0.0, 1e14) == 0.0 == mining.shutdown_hashprice(RIG, 0)


def test_scalars_are_floats_and_arrays_broadcast():
    for value in (
        mining.margin_per_day("Antminer S21", 50, 0.06),
        mining.break_even_power_price("antminer s21", 50),
        mining.shutdown_hashprice(RIG, np.float32(0.5)),
        mining.shutdown_price(RIG, 0.06, 10**30),
        mining.break_even_difficulty(RIG, 0.06, 10**5),
    ):
        assert type(value) is float
    table = mining.margin_per_day(RIG, [[10.0], [20.0]], [0.0, 0.1, 0.2])
    assert table.shape == (2, 3) and table[1, 2] == 20.0 - 4.8
    assert mining.break_even_power_price(RIG, [24.0, 48.0]).tolist() == [1.0, 2.0]
    assert mining.shutdown_price(RIG, [0.05, 0.1], [[1e14], [2e14]]).shape == (2, 2)
    hard = mining.break_even_difficulty(RIG, [0.0, 0.1], 1e5, fee=[[0.0], [0.02]])
    assert hard.shape == (2, 2) and np.isinf(hard[:, 0]).all()


@given(machine=machines, hashprice=hashprices, fee=fees, pue=pues)
def test_no_margin_at_the_break_even_price(machine, hashprice, fee, pue):
    price = mining.break_even_power_price(machine, hashprice, fee, pue)
    assume(price < DEAREST)
    revenue = mining.margin_per_day(machine, hashprice, 0.0, fee=fee, pue=pue)
    margin = mining.margin_per_day(machine, hashprice, price, fee=fee, pue=pue)
    assert abs(margin) <= 4 * np.spacing(revenue)
    by_hand = twin.margin_per_day(machine.hashrate, machine.power, hashprice, 0.07, fee, pue)
    got = mining.margin_per_day(machine, hashprice, 0.07, fee=fee, pue=pue)
    assert got == pytest.approx(by_hand, rel=1e-13, abs=1e-14 * revenue)


@given(machine=machines, price=st.floats(1e-4, 1.0), difficulty=st.floats(1.0, 1e16),
       reward=st.floats(1e-3, 50.0), fee=fees, pue=pues)  # fmt: skip
def test_the_three_thresholds_agree(machine, price, difficulty, reward, fee, pue):
    coin = mining.shutdown_price(machine, price, difficulty, reward, 0.0, fee, pue)
    least = mining.shutdown_hashprice(machine, price, fee, pue)
    assert mining.hashprice(difficulty, coin, reward) == pytest.approx(least, rel=1e-13)
    hard = mining.break_even_difficulty(machine, price, coin, reward, 0.0, fee, pue)
    assert hard == pytest.approx(difficulty, rel=1e-13)
    back = mining.break_even_power_price(machine, least, fee, pue)
    assert back == pytest.approx(price, rel=1e-13)


CALLS = {
    "margin_per_day": (RIG, 50.0, 0.06),
    "break_even_power_price": (RIG, 50.0),
    "shutdown_hashprice": (RIG, 0.06),
    "shutdown_price": (RIG, 0.06, 1e14),
    "break_even_difficulty": (RIG, 0.06, 1e5),
    "payback": (RIG, 3000.0, 50.0, 0.06),
    "curtailment": (RIG, 50.0, [0.05]),
}


@pytest.mark.parametrize("name", CALLS)
def test_machines_that_cannot_be_planned_with(name):
    call, rest = getattr(mining, name), CALLS[name][1:]
    with pytest.raises(ValueError, match="power of dark is unknown; allowed: a number > 0"):
        call(DARK, *rest)
    with pytest.raises(KeyError, match="unknown miner 'Antminer S2l'; did you mean 'Antminer S21'"):
        call("Antminer S2l", *rest)
    with pytest.raises(TypeError, match="miner must be a name or a tokenroof.Miner"):
        call(1e15, *rest)
    for key, bad in (("fee", 1.0), ("fee", -0.1), ("fee", math.nan), ("pue", 0.9), ("pue", math.inf),
                     ("fee", "2%"), ("pue", None)):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=f"{key} is .*allowed"):
            call(*CALLS[name], **{key: bad})


@pytest.mark.parametrize(
    "name,at,field",
    [("margin_per_day", 1, "hashprice"), ("margin_per_day", 2, "power_price_per_kwh"),
     ("break_even_power_price", 1, "hashprice"), ("shutdown_hashprice", 1, "power_price_per_kwh"),
     ("shutdown_price", 1, "power_price_per_kwh"), ("shutdown_price", 2, "difficulty"),
     ("break_even_difficulty", 2, "price"), ("payback", 1, "capex_usd"), ("payback", 2, "hashprice"),
     ("payback", 3, "power_price_per_kwh"), ("curtailment", 1, "hashprice")],
)  # fmt: skip
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "50", None, True, 1j])
def test_bad_numbers_by_name(name, at, field, bad):
    arguments = list(CALLS[name])
    arguments[at] = bad
    with pytest.raises((ValueError, TypeError), match=f"{field} is .*allowed"):
        getattr(mining, name)(*arguments)


def test_bad_arrays_by_index_and_shape():
    with pytest.raises(
        ValueError, match=r"hashprice\[1, 0\] is -2\.0; allowed: finite numbers >= 0"
    ):
        mining.margin_per_day(RIG, [[1.0], [-2.0]], 0.1)
    with pytest.raises(ValueError, match=r"hashprice \(2,\).*power_price_per_kwh \(3,\); allowed"):
        mining.margin_per_day(RIG, [1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="hashprice is .*allowed"):
        mining.margin_per_day(RIG, [[1.0], [2.0, 3.0]], 0.1)
    with pytest.raises(ValueError, match="difficulty is 0.0; allowed: finite numbers > 0"):
        mining.shutdown_price(RIG, 0.1, 0)
    with pytest.raises(ValueError, match="subsidy_btc \\+ fees_btc is 0; allowed: a sum > 0"):
        mining.shutdown_price(RIG, 0.1, 1e14, 0.0, [1.0, 0.0])
    with pytest.raises(ValueError, match="subsidy_btc is -1"):
        mining.break_even_difficulty(RIG, 0.1, 1e5, -1)


# --- payback -------------------------------------------------------------------------------------------


def test_payback_by_hand():
    flat = mining.payback(RIG, 360.0, 48.0, 0.5)
    assert flat.days == pytest.approx(10.0, rel=1e-12) and flat.pays
    assert flat.total_margin_usd == 36.0 * 1825 and flat.off_after_days == math.inf
    assert (
        str(flat) == "pays back after 10.0 days: within its life of 1825.0 days; no halving counted"
    )
    # free power: 48 / g (1 - exp(-g t)) = capex at g = ln 2 a year
    g = math.log(2.0) / 365
    free = mining.payback(RIG, 24.0 / g, 48.0, 0.0, hashprice_growth_per_year=-0.5)
    assert free.days == pytest.approx(365.0, rel=1e-12)
    for growth in ({"difficulty_growth_per_year": 1.0},
                   {"difficulty_growth_per_retarget": 2.0 ** (14 / 365) - 1.0}):  # fmt: skip
        same = mining.payback(RIG, 24.0 / g, 48.0, 0.0, **growth)
        assert same.days == pytest.approx(365.0, rel=1e-12)
    # off where 48 exp(-g t) = 12, after two years, having made 36 / g - 12 * 730
    off = mining.payback(RIG, 1e5, 48.0, 0.5, difficulty_growth_per_year=1.0)
    assert off.off_after_days == pytest.approx(730.0, rel=1e-12)
    assert off.total_margin_usd == pytest.approx(36.0 / g - 8760.0, rel=1e-12)
    assert off.days == math.inf and not off.pays
    assert str(off) == ("does not pay back: it earns $10197.01 of $100000.00, then no longer its running "
                        "cost after 730.0 days; no halving counted")  # fmt: skip


@pytest.mark.filterwarnings("ignore:hashprice_growth_per_year is 1e.200:UserWarning")
def test_payback_at_its_edges():
    assert mining.payback(RIG, 0.0, 0.0, 0.1).days == 0.0
    never = mining.payback(RIG, 1.0, 11.0, 0.5)
    assert (never.days, never.pays, never.total_margin_usd, never.off_after_days) == (
        math.inf,
        False,
        0.0,
        0.0,
    )
    assert str(never) == "does not pay back: it never earns its running cost; no halving counted"
    assert not mining.payback(RIG, 1.0, 0.0, 0.0).pays
    short = mining.payback(RIG, 3601.0, 48.0, 0.5, life_years=100 / 365)
    assert not short.pays and short.reason.endswith("then its life ends after 100.0 days")
    assert mining.payback(RIG, 3599.0, 48.0, 0.5, life_years=100 / 365).pays
    # operation counts as power does: 12 + 30 a day against 48
    run = mining.payback(RIG, 60.0, 48.0, 0.5, opex_usd_per_year=30 * 365)
    assert run.days == pytest.approx(10.0, rel=1e-12)
    # an endless life: what free power ever makes, and a hashprice that grows
    g = math.log(2.0) / 365
    ever = mining.payback(
        RIG, 47.0 / g, 48.0, 0.0, difficulty_growth_per_year=1.0, life_years=math.inf
    )
    assert ever.days == pytest.approx(math.log(48.0) / g, rel=1e-9)
    assert ever.total_margin_usd == pytest.approx(48.0 / g) and ever.off_after_days == math.inf
    assert not mining.payback(RIG, 49.0 / g, 48.0, 0.0, difficulty_growth_per_year=1.0,
                                life_years=math.inf).pays  # fmt: skip
    late = mining.payback(RIG, 1.0, 6.0, 0.5, hashprice_growth_per_year=1.0, life_years=math.inf)
    assert late.days > 365.0 and late.total_margin_usd == math.inf  # off until it has doubled
    wild = mining.payback(RIG, 1e300, 6.0, 0.5, hashprice_growth_per_year=1e200, life_years=1e4)
    assert 365 < wild.days < 3 * 365 and wild.total_margin_usd == math.inf


def test_halvings():
    # 48 a day for 10 days, 24 for 10, then 12, which only just is its power
    half = mining.payback(RIG, 400.0, 48.0, 0.5, halving_days=[20, 10])
    assert half.total_margin_usd == 360.0 + 120.0 and half.off_after_days == 20.0
    assert half.days == pytest.approx(10 + 40 / 12, rel=1e-12)
    # fees, half of the revenue, stay: 48, 36, 30
    fees = mining.payback(
        RIG, 1e9, 48.0, 0.5, halving_days=(10, 20), fees_share=0.5, life_years=30 / 365
    )
    assert fees.total_margin_usd == pytest.approx(360.0 + 240.0 + 180.0, rel=1e-14)
    assert mining.payback(RIG, 1e9, 48.0, 0.5, halving_days=[1e9]).total_margin_usd == 36.0 * 1825
    assert mining.payback(RIG, 1.0, 48.0, 0.5, halving_days=[0, 0]).pays is False
    assert half.halvings == (10.0, 20.0) and str(half).endswith("; halvings after 10, 20 days")
    once = mining.payback(RIG, 400.0, 48.0, 0.5, halving_days=[10])
    assert str(once).endswith("; halving after 10 days")


@given(
    hashprice=st.floats(1.0, 100.0),
    price=st.floats(0.0, 1.0),
    growth=st.none() | st.floats(-0.9, 1.5),
    capex=st.floats(1.0, 2e4),
    halvings=st.lists(st.integers(0, 900).map(float), max_size=3),
    share=st.floats(0.0, 1.0),
)
def test_payback_is_the_sum_of_days(hashprice, price, growth, capex, halvings, share):
    got = mining.payback(RIG, capex, hashprice, price, hashprice_growth_per_year=growth,
                           halving_days=halvings, fees_share=share, life_years=2.0)  # fmt: skip
    factor = (1.0 + (growth or 0.0)) ** (1 / 365)
    plain = (0.5, hashprice, 24.0 * price, factor, halvings, share)
    # of second order in the step, but for the two steps in which it is switched off or on
    slack = hashprice * 2.5**2 * 4e-3 + 1e-9
    assert got.total_margin_usd == pytest.approx(twin.earned_until(730.0, *plain), abs=slack)
    if got.pays:
        assert got.days <= 730.0
        # the last step of the sum may hold a halving
        last = 0.5 * hashprice * 2.5**2 if halvings else 0.0
        assert twin.earned_until(got.days, *plain) == pytest.approx(capex, abs=slack + last)
    else:
        assert got.days == math.inf and got.total_margin_usd < capex


@given(machine=machines, hashprice=hashprices, more=st.floats(1.0, 10.0), price=prices,
       growth=st.floats(-0.99, 3.0), capex=st.floats(0.01, 1e6), fee=fees, pue=pues)  # fmt: skip
def test_payback_is_no_longer_at_a_higher_hashprice(
    machine, hashprice, more, price, growth, capex, fee, pue
):
    rest = {"difficulty_growth_per_year": growth, "fee": fee, "pue": pue}
    low = mining.payback(machine, capex, hashprice, price, **rest)
    high = mining.payback(machine, capex, hashprice * more, price, **rest)
    assert high.days <= low.days * (1 + 1e-9)
    assert high.total_margin_usd >= low.total_margin_usd * (1 - 1e-9)
    assert low.pays == (low.days < math.inf) and low.total_margin_usd >= 0.0
    assert str(low).startswith("pays back after" if low.pays else "does not pay back")


@pytest.mark.parametrize(
    "key,bad",
    [("hashprice_growth_per_year", -1.0), ("difficulty_growth_per_year", math.nan),
     ("difficulty_growth_per_retarget", "2%"), ("opex_usd_per_year", -1.0), ("life_years", 0.0),
     ("life_years", math.nan), ("fees_share", 1.5), ("fees_share", -0.5), ("fee", 1), ("pue", 0.5),
     ("halving_days", "soon"), ("halving_days", 3.0)],
)  # fmt: skip
def test_bad_payback(key, bad):
    with pytest.raises((ValueError, TypeError), match=f"{key} (is|has) .*allowed"):
        mining.payback(RIG, 3000.0, 50.0, 0.06, **{key: bad})


def test_payback_takes_one_trend_and_halvings_to_come():
    with pytest.raises(
        ValueError, match="hashprice_growth_per_year and difficulty.* are given; allowed"
    ):
        mining.payback(RIG, 1, 1, 0, hashprice_growth_per_year=0.0, difficulty_growth_per_year=0.0)
    for growths in (("hashprice_growth_per_year", "price_growth_per_year"),
                    ("difficulty_growth_per_year", "difficulty_growth_per_retarget")):  # fmt: skip
        with pytest.raises(ValueError, match=f"{' and '.join(growths)} are given; allowed"):
            mining.payback(RIG, 1, 1, 0, **dict.fromkeys(growths, 0.1))
    # a price that doubles with the difficulty is a constant hashprice
    both = mining.payback(
        RIG,
        360.0,
        48.0,
        0.5,
        price_growth_per_year=1.0,
        difficulty_growth_per_retarget=2 ** (14 / 365) - 1,
    )
    assert both.days == pytest.approx(10.0, rel=1e-9)
    rise = mining.payback(RIG, 360.0, 48.0, 0.5, price_growth_per_year=0.3)
    assert rise == mining.payback(RIG, 360.0, 48.0, 0.5, hashprice_growth_per_year=0.3)
    with pytest.raises(ValueError, match=r"halving_days\[1\] is -5\.0; allowed"):
        mining.payback(RIG, 1, 1, 0, halving_days=[5, -5])


# --- curtailment ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*legal and odd:UserWarning")
def test_curtailment_by_hand():
    # 24 $/day is 1 $/h and 1 $/kWh
    got = mining.curtailment(RIG, 24.0, [0.5, -0.25, 1.0, 3.0])
    assert got.running.tolist() == [True, True, True, False]
    assert (got.uptime, got.energy_kwh, got.revenue_usd, got.power_cost_usd) == (
        0.75,
        3.0,
        3.0,
        1.25,
    )
    assert (got.margin_usd, got.margin_always_on_usd, got.saved_usd) == (1.75, -0.25, 2.0)
    assert got.break_even_per_kwh == 1.0
    quarter = mining.curtailment(RIG, 24.0, [0.5, -0.25, 1.0, 3.0], interval_s=900)
    assert quarter.margin_usd == 1.75 / 4 and quarter.energy_kwh == 0.75
    # bought at 0.5 for all four hours, one of them sold at 3
    fixed = mining.curtailment(RIG, 24.0, [0.5, -0.25, 1.0, 3.0], fixed_price_per_kwh=0.5)
    assert (fixed.power_cost_usd, fixed.margin_usd) == (2.0 - 3.0, 4.0)
    assert (fixed.margin_always_on_usd, fixed.saved_usd) == (2.0, 2.0)
    two = mining.curtailment(RIG, [24.0, 96.0], [3.0, 3.0])
    assert two.running.tolist() == [False, True] and two.margin_usd == 1.0
    assert not mining.curtailment(RIG, 24.0, [1.1], fee=0.0).running.any()
    assert mining.curtailment(RIG, 24.0, [-0.1], fee=0.5, pue=2.0).power_cost_usd == pytest.approx(
        -0.2
    )


@given(
    machine=machines,
    hashprice=hashprices,
    spot=st.lists(st.floats(-1.0, DEAREST), min_size=1, max_size=40),
    hours=st.floats(0.01, 24.0),
    fee=fees,
    pue=pues,
    fixed=st.none() | prices,
)
def test_curtailing_never_loses(machine, hashprice, spot, hours, fee, pue, fixed):
    got = mining.curtailment(machine, hashprice, spot, interval_s=3600 * hours, fee=fee, pue=pue,
                               fixed_price_per_kwh=fixed)  # fmt: skip
    assert got.margin_usd >= got.margin_always_on_usd and got.saved_usd >= 0.0
    if fixed is None:
        assert got.margin_usd >= 0.0
    kilowatts = machine.power * pue / 1000
    revenue = hashprice * machine.hashrate / 1e15 * (1 - fee) / 24
    want = twin.curtailment(kilowatts, revenue, spot, hours, fixed)
    size = (revenue + kilowatts * (sum(map(abs, spot)) + len(spot))) * hours * len(spot)
    assert got.margin_usd == pytest.approx(want[0], abs=1e-13 * size)
    assert got.margin_always_on_usd == pytest.approx(want[1], abs=1e-13 * size)
    assert got.revenue_usd - got.power_cost_usd == pytest.approx(got.margin_usd, abs=1e-13 * size)
    assert got.uptime == got.running.mean()


@given(machine=machines, hashprice=hashprices, fee=fees, pue=pues)
def test_it_runs_at_the_break_even_price(machine, hashprice, fee, pue):
    price = mining.break_even_power_price(machine, hashprice, fee, pue)
    assume(price < DEAREST)
    got = mining.curtailment(
        machine, hashprice, [price, np.nextafter(price, 1e300)], fee=fee, pue=pue
    )
    assert got.running.tolist() == [True, False] and got.margin_usd == 0.0


def test_bad_spot_prices_by_index():
    spot = [0.05] * 20
    spot[17] = math.nan
    with pytest.raises(
        ValueError, match=r"spot_prices_per_kwh\[17\] is nan; allowed: finite numbers"
    ):
        mining.curtailment(RIG, 50.0, spot)
    for bad, what in (([], "shape"), ([[0.1]], "shape"), (0.1, "shape"), ("cheap", "is 'cheap'"),
                      ([0.1, None], r"\[1\] is None")):  # fmt: skip
        with pytest.raises(
            (ValueError, TypeError), match=f"spot_prices_per_kwh ?(has )?{what}.*allowed"
        ):
            mining.curtailment(RIG, 50.0, bad)
    with pytest.raises(ValueError, match=r"hashprice has shape \(3,\); allowed: \(\) or \(2,\)"):
        mining.curtailment(RIG, [1.0, 2.0, 3.0], [0.1, 0.2])
    for key, bad in (("interval_s", 0), ("interval_s", math.nan), ("fixed_price_per_kwh", -0.1),
                     ("fixed_price_per_kwh", "0.05")):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=f"{key} is .*allowed"):
            mining.curtailment(RIG, 50.0, [0.1], **{key: bad})
