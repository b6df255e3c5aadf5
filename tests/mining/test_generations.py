"""The generations' race: by hand, on round numbers, and on what the catalogue quotes of the market."""

import math

import numpy as np
import pytest

from tokenroof import catalogue, mining, plot
from tokenroof.records.miner import Miner

RIG = Miner(name="rig", hashrate=1e15, power=1000.0)  # a PH/s and a kW: 24 kWh a day
DARK = Miner(name="dark", hashrate=1e15)

# Januaries with round numbers of the size that the chain saw: difficulty, price, subsidy.
PATH = {
    "2010-01": (1.0, 0.01, 50.0), "2011-01": (2e4, 0.3, 50.0), "2012-01": (1.2e6, 6.0, 50.0),
    "2013-01": (3e6, 14.0, 25.0), "2014-01": (1.5e9, 800.0, 25.0), "2015-01": (4e10, 250.0, 25.0),
    "2016-01": (1e11, 400.0, 25.0), "2017-01": (3.5e11, 950.0, 12.5), "2018-01": (2e12, 13000.0, 12.5),
    "2019-01": (5.6e12, 3700.0, 12.5), "2020-01": (1.4e13, 8000.0, 12.5), "2022-01": (2.4e13, 42000.0, 6.25),
    "2024-01": (7e13, 43000.0, 6.25), "2026-06": (1.4e14, 90000.0, 3.125),
}  # fmt: skip


def catalogue_race(power_price=0.08):
    difficulty, price, subsidy = np.array(list(PATH.values())).T
    return mining.generations_race(catalogue.all_miners(), PATH, power_price, difficulty=difficulty,
                                     price=price, subsidy_btc=subsidy)  # fmt: skip


def test_generations_of_the_catalogue_die_in_order():
    race = catalogue_race()
    assert race.margin.shape == (224, len(PATH)) == race.earning.shape
    last = [race.last(kind) for kind in ("cpu", "gpu", "fpga", "asic")]
    assert last == sorted(last) and len(set(last)) == 4
    assert last[-1] == race.months[-1] == race.last()
    # their years alone are known
    assert all(name == "Avalon A1146 Pro" or name.startswith("Bitaxe") for name in race.undated)
    assert (
        set(race.unpowered) == {m.name for m in catalogue.all_miners() if m.power is None} != set()
    )
    assert (
        race.last_month["Antminer S21"] == "2026-06" and race.last_month["Antminer S1"] < "2017-01"
    )
    assert race.last_month[race.unpowered[0]] is None
    s9 = race.names.index("Antminer S9 (13.5T)")
    out = np.array([month >= "2016-06" for month in race.months])
    assert (np.isnan(race.margin[s9]) == ~out).all()
    best = race.best("asic")
    assert np.isnan(best[0]) and best[-1] == pytest.approx(8372 / 886)
    assert (np.diff(best[~np.isnan(best)]) <= 0).all()
    share = race.share("cpu")
    assert share[0] == 1.0 and share[-1] == 0.0 and np.isnan(race.share("asic")[0])
    for name, i in zip(race.names, range(len(race.names)), strict=True):
        if name not in race.unpowered:
            at = [race.months[j] for j in np.flatnonzero(race.earning[i])]
            assert race.last_month[name] == (at[-1] if at else None)


def test_cheaper_power_keeps_machines_alive():
    dear, cheap = catalogue_race(0.2), catalogue_race(0.02)
    assert (cheap.earning | ~dear.earning).all() and cheap.earning.sum() > dear.earning.sum()


def test_race_by_hand():
    old = Miner(name="old", hashrate=1e15, power=2000.0, release="2020-01-15", kind="gpu")
    new = Miner(name="new", hashrate=1e15, power=1000.0, release="2020-03")
    some = [old, new, Miner(name="when", hashrate=1e15, power=1.0, release="2020"), DARK]
    months = ("2020-01", "2020-02", "2020-04", "2020-05")
    race = mining.generations_race(some, months, 0.5, [25.0, 24.0, 12.0, 11.0])
    assert np.array_equal(race.margin, [[1.0, 0.0, -12.0, -13.0], [np.nan, np.nan, 0.0, -1.0],
                                        [np.nan] * 4, [np.nan] * 4], equal_nan=True)  # fmt: skip
    assert race.last_month == {"old": "2020-02", "new": "2020-04", "when": None, "dark": None}
    assert race.undated == ("when", "dark") and race.unpowered == ("dark",)
    assert race.best().tolist() == [2.0, 2.0, 1.0, 1.0] and race.share().tolist() == [
        1.0,
        1.0,
        0.5,
        0.0,
    ]
    assert race.last("gpu") == "2020-02" and race.last("cpu") is None
    dearer = mining.generations_race(some, months, [0.5, 0.6, 0.5, 0.4], 24.0, fee=0.5, pue=1.5)
    assert dearer.margin[0].tolist() == pytest.approx([12 - 36, 12 - 43.2, 12 - 36, 12 - 28.8])
    assert mining.generations_race([], ["2020-01"], 0.1, 1.0).share().shape == (1,)
    parts = mining.generations_race([new], ["2020-03"], 0.1, difficulty=86400e15 / 2**32, price=2.0,
                                      subsidy_btc=3.0, fees_btc=1.0)  # fmt: skip
    assert parts.margin[0, 0] == pytest.approx(8.0 - 2.4)


@pytest.mark.parametrize(
    "change,what",
    [({"months": ["٢٠٢٠-01"]}, r"months\[0\] is .*allowed"), ({"miners": "Antminer S21"}, "miners is 'Antminer S21'; allowed"),
     ({"miners": [RIG, RIG]}, r"miners\[1\] is 'rig' again"),
     ({"months": "2020-01"}, "months is '2020-01'; allowed"), ({"months": []}, "months is empty"),
     ({"months": ["2020-01", "2020-13"]}, r"months\[1\] is '2020-13'; allowed"),
     ({"months": ["2020-02", "2020-01"]}, r"months\[1\] is '2020-01'; allowed"),
     ({"months": ["2020-01", 202002]}, r"months\[1\] is 202002; allowed"),
     ({"months": ["2020-01-01", "2020-02"]}, r"months\[0\] is .*allowed"),
     ({"power_price_per_kwh": [0.1, -0.1]}, r"power_price_per_kwh\[1\] is -0\.1; allowed"),
     ({"power_price_per_kwh": [0.1] * 3}, "power_price_per_kwh has shape .*allowed"),
     ({"hashprice": [1.0, math.nan]}, r"hashprice\[1\] is nan; allowed"),
     ({"hashprice": "50"}, "hashprice is '50'"),
     ({"hashprice": None}, r"months\[0\] is '2020-01', of which no price"),
     ({"hashprice": None, "difficulty": 1e14}, "price is None; allowed"),
     ({"hashprice": None, "difficulty": 0.0, "price": 1.0, "subsidy_btc": 1.0}, "difficulty is 0.0; allowed"),
     ({"price": 1e5}, "price is given beside hashprice; allowed"),
     ({"fees_btc": [0.0, 0.1]}, "fees_btc is given beside hashprice; allowed"),
     ({"months": None}, "months is None; allowed beside hashprice"), ({"fee": 1.0}, "fee is 1.0; allowed"),
     ({"pue": 0.0}, "pue is 0.0; allowed")],
)  # fmt: skip
def test_bad_races(change, what):
    arguments = {"miners": [RIG], "months": ["2020-01", "2020-02"], "power_price_per_kwh": 0.1,
                 "hashprice": 50.0}  # fmt: skip
    with pytest.raises((ValueError, TypeError), match=what):
        mining.generations_race(**{**arguments, **change})


def test_races_of_unknown_names():
    with pytest.raises(KeyError, match="unknown miner 'Antminer S2l'; did you mean 'Antminer S21'"):
        mining.generations_race(["Antminer S2l"], ["2020-01"], 0.1, 50.0)
    race = mining.generations_race([RIG], ["2020-01"], 0.1, 50.0)
    for method in (race.last, race.share, race.best):
        with pytest.raises(ValueError, match="kind is 'abacus'; allowed: cpu, gpu, fpga, asic"):
            method("abacus")


def test_the_race_as_it_was():
    """At 10 c/kWh: processors until 2010, graphics cards until 2013, FPGAs until the year's end."""
    race = mining.generations_race(power_price_per_kwh=0.1)
    last = [race.last(kind) for kind in ("cpu", "gpu", "fpga", "asic")]
    assert last == ["2010-11", "2013-03", "2013-12", race.months[-1]]
    assert race.months == mining.market_history().months and len(race.names) == 224
    cheap = mining.generations_race()  # at 5 c/kWh each lives as long or longer
    assert all(cheap.last(k) >= end for k, end in zip(("cpu", "gpu", "fpga"), last, strict=False))
    # a first-generation ASIC earns its power in its first year and not in its third
    s1 = race.names.index("Antminer S1")
    assert race.earning[s1, race.months.index("2013-12")]
    assert not race.earning[s1, race.months.index("2015-08") :].any()
    # and the margin is what the market's own numbers say
    history = mining.market_history()
    at = race.months.index("2021-10")
    s19 = race.names.index("Antminer S19 Pro")
    by_hand = history.hashprice[at] * 0.110 - 3.25 * 24 * 0.1
    assert race.margin[s19, at] == pytest.approx(by_hand)
    # the threshold says the same as the margins
    known = ~np.isnan(race.margin)
    assert np.array_equal(race.earning[known], (race.efficiency[:, None] <= race.threshold)[known])


def test_figures():
    pytest.importorskip("plotly")
    race = mining.generations_race(power_price_per_kwh=0.1)
    figure = plot.generations(race)
    assert [trace.name for trace in figure.data[:4]] == ["CPU", "GPU", "FPGA", "ASIC"]
    points = sum(len(trace.x) for trace in figure.data[:4])
    assert points == np.count_nonzero(~np.isnan(race.margin))
    filled = sum(shade != "white" for trace in figure.data[:4] for shade in trace.marker.color)
    assert filled == race.earning.sum()
    assert np.array_equal(figure.data[-1].y, race.threshold)
    fleet = [mining.Tranche("Antminer S21", 1e6, 0.05),
             mining.Tranche("Antminer S23", math.inf, 0.05, capital_usd_per_day=4.0)]  # fmt: skip
    curve = plot.cost_curve(fleet, [50_000, 100_000])
    level = mining.equilibrium(fleet, [50_000, 100_000])
    for trace, rate, earned in zip(curve.data[1:], level.hashrate, level.hashprice, strict=True):
        assert (trace.x[-1], trace.y[-1]) == pytest.approx((rate / 1e18, earned))
        assert np.asarray(trace.x) * trace.y == pytest.approx(
            rate / 1e18 * earned
        )  # one sum of money
    assert np.isfinite(curve.data[0].x).all()


def test_months_without_their_numbers_are_named_and_those_that_there_are():
    quoted = mining.market_history().months
    with pytest.raises(ValueError, match=rf"months\[0\] is '1999-01'.*{quoted[0]} to {quoted[-1]}"):
        mining.network_power(["1999-01"])
    with pytest.raises(
        ValueError, match=r"price is None; allowed beside difficulty: .*\(2022-01\)"
    ):
        mining.network_power(["2022-01"], difficulty=2e13)


def test_months_of_the_catalogue_by_name():
    history, every = mining.market_history(), mining.network_power()
    at = [history.months.index(month) for month in ("2021-10", "2024-09")]
    some = mining.network_power(["2021-10", "2024-09"])
    assert some.months == ("2021-10", "2024-09")
    for name in ("hashrate", "threshold", "lower_w", "best_guess_w", "upper_w"):
        assert getattr(some, name).tolist() == getattr(every, name)[at].tolist(), name
    race = mining.generations_race(["Antminer S21"], ["2024-09"], 0.05)
    # 200 TH/s earn a fifth of a hashprice and take 84 kWh a day
    earned = history.hashprice[at[1]]
    assert race.margin[0].tolist() == pytest.approx([0.2 * earned - 84.0 * 0.05], rel=1e-12)
