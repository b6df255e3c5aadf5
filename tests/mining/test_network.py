"""The network from a miner's side: waits, confidence intervals, power; by hand, scipy and real days."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import tokenroof as tr
from _support import BY_ISA, each_isa
from tokenroof import catalogue, mining
from tokenroof.records.miner import Miner
from tokenroof.reference.mining import network_power as twin

# --- waits ---------------------------------------------------------------------------------------------


def test_waits_by_hand():
    mean = mining.expected_time_to_block(100e12, 1e14)
    assert mean == 2.0**32
    assert mining.block_probability(100e12, 1e14, mean) == pytest.approx(
        -math.expm1(-1.0), rel=1e-15
    )
    assert (
        mining.block_probability(0.0, 1.0, 1e300) == 0.0 == mining.block_probability(1e18, 1e14, 0)
    )
    assert mining.block_probability(1e21, 1.0, 1e9) == 1.0
    assert mining.time_to_block_quantile(100e12, 1e14, 0.5) == pytest.approx(mean * math.log(2.0))
    assert mining.time_to_block_quantile(100e12, 1e14, [0.0, 0.9]).tolist() == pytest.approx(
        [0.0, mean * math.log(10.0)]
    )
    assert mining.network_hashrate(1.0) == 2.0**32 / 600
    assert mining.network_hashrate([1.0, 2.0], 300).tolist() == [2.0**32 / 300, 2.0**33 / 300]


@given(
    rate=st.floats(1e6, 1e21),
    hard=st.floats(1.0, 1e16),
    part=st.floats(1e-9, 1.0, exclude_max=True),
)
def test_the_quantile_inverts_the_probability(rate, hard, part):
    time = mining.time_to_block_quantile(rate, hard, part)
    # a probability near one is known only to the spacing of 1 - p
    assert 1.0 - mining.block_probability(rate, hard, time) == pytest.approx(1.0 - part, rel=1e-9)
    assert mining.block_probability(rate, hard, time) == pytest.approx(part, rel=1e-9)


@each_isa
def test_hashes_below_zero_have_no_probability(isa):
    kernel = BY_ISA[isa]["block_probability"]
    with pytest.raises(FloatingPointError, match="invalid"), np.errstate(all="raise"):
        kernel(-1.0, 1.0, 1.0)
    with np.errstate(invalid="ignore"):
        got = kernel(np.array([1e9, -1.0, 1e9]), 1.0, np.array([1.0, 1.0, -2.0]))
    assert np.isnan(got).tolist() == [False, True, True]


@each_isa
def test_difficulty_after_a_period(isa):
    kernel = BY_ISA[isa]["next_difficulty"]
    spans = np.array([1209600, 604800, 2419200, 1.0, 0.0, -5.0, 1e9])
    assert kernel(8.0, spans, 1209600.0).tolist() == [8.0, 16.0, 4.0, 32.0, 32.0, 32.0, 2.0]


# --- hashrate from blocks ------------------------------------------------------------------------------

counts = st.integers(0, 300) | st.integers(0, 200_000)


@given(blocks=counts, confidence=st.floats(1e-3, 0.9999))
def test_the_interval_is_garwoods(blocks, confidence):
    got = mining.hashrate_from_blocks(
        blocks, 2.0**32, 1.0, confidence
    )  # a block is a hash a second
    tail = (1 - confidence) / 2
    assert got.hashrate == blocks and got.blocks == blocks
    low = stats.chi2.ppf(tail, 2 * blocks) / 2 if blocks else 0.0
    assert got.low == pytest.approx(low, rel=1e-8)
    assert got.high == pytest.approx(stats.chi2.isf(tail, 2 * blocks + 2) / 2, rel=1e-8)
    assert got.low <= got.hashrate <= got.high


@pytest.mark.parametrize("blocks", [10**6, 10**7])
def test_long_counts(blocks):
    got = mining.hashrate_from_blocks(blocks, 2.0**32, 1.0, 0.9)
    assert got.low == pytest.approx(stats.chi2.ppf(0.05, 2 * blocks) / 2, rel=1e-9)
    assert got.high == pytest.approx(stats.chi2.isf(0.05, 2 * blocks + 2) / 2, rel=1e-9)


@pytest.mark.parametrize("mean", [0.3, 3.0, 30.0])
def test_the_interval_holds_as_often_as_it_says(mean):
    """Summed over the Poisson weights of every count that matters: no simulation."""
    held = 0.0
    for blocks in range(int(mean + 12 * math.sqrt(mean) + 20)):
        got = mining.hashrate_from_blocks(blocks, 2.0**32, 1.0, 0.9)
        if got.low <= mean <= got.high:
            held += stats.poisson.pmf(blocks, mean)
    assert 0.9 - 1e-9 <= held < 0.99


def test_hashrates_of_real_days():
    """The catalogue's daily hashrates are this estimate of the day's blocks."""
    rates = {q.date: q.value for q in catalogue.quotes("btc_hashrate", "blocks of that day")}
    hard = {q.date: q.value for q in catalogue.quotes("btc_difficulty")}
    days = [q for q in catalogue.quotes("btc_blocks_per_day") if q.date in rates]
    assert len(days) == 8
    near = []
    for day in days:
        got = mining.hashrate_from_blocks(int(day.value), 86400.0, hard[day.date])
        assert got.low < rates[day.date] * 1e18 < got.high
        near.append(got.hashrate / (rates[day.date] * 1e18))
    # but for a day that a retarget cuts, to the digits that are quoted
    assert np.median(near) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "change,what",
    [({"blocks": -1}, "blocks is -1"), ({"blocks": 1.5}, "blocks is 1.5"), ({"blocks": 10**10}, "blocks is 10000000000"),
     ({"seconds": 0}, "seconds is 0"), ({"difficulty": math.nan}, "difficulty is nan"),
     ({"confidence": 1.0}, "confidence is 1.0"), ({"confidence": 0}, "confidence is 0"),
     ({"confidence": "95%"}, "confidence is '95%'")],
)  # fmt: skip
def test_bad_counts(change, what):
    arguments = {"blocks": 100, "seconds": 86400, "difficulty": 1e14, "confidence": 0.95}
    with pytest.raises((ValueError, TypeError), match=f"{what}.*; allowed"):
        mining.hashrate_from_blocks(**{**arguments, **change})


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "1", None])
def test_bad_waits(bad):
    for call, name in (
        (lambda: mining.expected_time_to_block(bad, 1.0), "hashrate"),
        (lambda: mining.block_probability(1.0, bad, 1.0), "difficulty"),
        (lambda: mining.block_probability(1.0, 1.0, bad), "seconds"),
        (lambda: mining.time_to_block_quantile(1.0, 1.0, bad), "probability"),
        (lambda: mining.network_hashrate(1.0, bad), "block_seconds"),
        (lambda: mining.hashprice(1.0, 1.0, bad), "subsidy_btc"),
        (lambda: mining.hashprice(1.0, 1.0, 1.0, bad), "fees_btc"),
    ):
        with pytest.raises((ValueError, TypeError), match=f"{name} is .*; allowed"):
            call()
    with pytest.raises(ValueError, match=r"probability is 1\.0; allowed"):
        mining.time_to_block_quantile(1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"hashrate \(2,\), difficulty \(3,\); allowed"):
        mining.expected_time_to_block([1.0, 2.0], [1.0, 2.0, 3.0])


# --- the network's power -------------------------------------------------------------------------------

OLD = Miner(name="old", hashrate=1e12, power=100.0, release="2020-01")
NEW = Miner(name="new", hashrate=1e12, power=20.0, release="2021-01")
MID = Miner(name="mid", hashrate=1e12, power=60.0, release="2020-06")


def test_power_by_hand():
    # 1 J/TH is 1 kW to the PH/s: 24 kWh a day, 2.4 $ at 0.10; 100 J/TH at PUE 1 costs 240
    got = mining.network_power(["2020-01", "2020-12", "2021-01"], hashprice=[240.0, 239.0, 100.0],
                               hashrate=1e18, power_price_per_kwh=0.1, pue=(1.0, 1.0, 1.5),
                               miners=[OLD, MID, NEW])  # fmt: skip
    assert got.threshold.tolist() == pytest.approx([100.0, 239 / 2.4, 100 / 2.4])
    assert got.lower_w.tolist() == pytest.approx([100e6, 60e6, 20e6])
    assert got.best_guess_w.tolist() == pytest.approx([100e6, 60e6, 20e6])
    assert got.upper_w.tolist() == pytest.approx([150e6, 90e6, 30e6])
    assert got.basket("2020-12") == {"mid": 1.0} and got.basket("2021-01") == {"new": 1.0}
    rich = mining.network_power(["2021-02"], hashprice=1e4, hashrate=1e18, miners=[OLD, MID, NEW, "ZTEX 1.15x"],
                                weights={"old": 1.0, "new": 3.0}, pue=(1.0, 1.0, 1.0))  # fmt: skip
    assert rich.basket("2021-02") == {"old": 0.25, "new": 0.75} and rich.left_out == ("ZTEX 1.15x",)
    assert (rich.lower_w[0], rich.best_guess_w[0], rich.upper_w[0]) == pytest.approx(
        (20e6, 40e6, 100e6)
    )
    assert [twh[0] for twh in rich.annual_twh] == pytest.approx([0.17532, 0.35064, 0.8766])
    young = mining.network_power(["2021-02"], hashprice=1e4, hashrate=1e18, miners=[OLD, MID, NEW],
                                 max_age_years=1.0)  # fmt: skip
    assert set(young.basket("2021-02")) == {"mid", "new"}
    for years, some in ((8 / 12, {"mid", "new"}), (0.66, {"new"})):  # of eight months
        aged = mining.network_power(["2021-02"], hashprice=1e4, hashrate=1e18, miners=[MID, NEW],
                                    max_age_years=years)  # fmt: skip
        assert set(aged.basket("2021-02")) == some
    for month, some in (
        ("2025-01", {"old", "mid", "new"}),
        ("2025-02", {"mid", "new"}),
        ("2026-01", {"new"}),
    ):
        five = mining.network_power([month], hashprice=1e4, hashrate=1e18, miners=[OLD, MID, NEW])
        assert set(five.basket(month)) == some  # CBECI's five years
    ever = mining.network_power(
        ["2040-01"], hashprice=1e4, hashrate=1e18, miners=[OLD], max_age_years=None
    )
    assert ever.basket("2040-01") == {"old": 1.0}
    # a machine in the basket earns its own power, unless more is asked: 60 J/TH cost 144 $, or 216
    for hashprice, needed, some in ((143.9, 1.0, {"new": 1.0}), (144.1, 1.0, {"mid": 0.5, "new": 0.5}),
                                    (215.9, 1.5, {"new": 1.0}), (216.1, 1.5, {"mid": 0.5, "new": 0.5})):  # fmt: skip
        edge = mining.network_power(["2021-02"], hashprice=hashprice, hashrate=1e18, power_price_per_kwh=0.1,
                                    pue=(1.0, 1.5, 2.0), threshold_pue=needed, miners=[MID, NEW])  # fmt: skip
        assert edge.basket("2021-02") == some
    poor = mining.network_power(["2021-02"], hashprice=1.0, hashrate=1e18, miners=[OLD, NEW])
    assert np.isnan([poor.best_guess_w[0], poor.upper_w[0]]).all() and poor.lower_w[0] > 0
    before = mining.network_power(["2019-02"], hashprice=1e9, hashrate=1e18, miners=[OLD, NEW])
    assert np.isnan([before.lower_w[0], before.best_guess_w[0], before.upper_w[0]]).all()
    with pytest.raises(KeyError, match="month is '2020-02'; allowed: 2019-02"):
        before.basket("2020-02")


@given(
    hashprice=st.floats(1.0, 1e4),
    price=st.floats(0.0, 0.3),
    fee=st.floats(0.0, 0.5),
    overhead=st.lists(st.floats(1.0, 2.0), min_size=3, max_size=3).map(sorted).map(tuple),
    # a product with a subnormal weight has no digits left, here as in the twin
    weights=st.none()
    | st.lists(st.floats(0.0, 10.0, allow_subnormal=False), min_size=12, max_size=12),
    year=st.integers(2016, 2026),
)
def test_bounds_are_in_order_and_as_the_reference_says(
    hashprice, price, fee, overhead, weights, year
):
    machines = [
        m for m in catalogue.all_miners() if m.kind == "asic" and len(m.release or "") == 7
    ][::6][:12]
    month = f"{year}-06"
    by_name = (
        None if weights is None else {m.name: w for m, w in zip(machines, weights, strict=False)}
    )
    got = mining.network_power([month], hashprice=hashprice, hashrate=2e20, power_price_per_kwh=price,
                               pue=overhead, fee=fee, miners=machines, weights=by_name)  # fmt: skip
    low, best, high = got.lower_w[0], got.best_guess_w[0], got.upper_w[0]
    out = [(m.efficiency, 1.0 if by_name is None else by_name[m.name])
           for m in machines if m.release <= month <= f"{int(m.release[:4]) + 5}{m.release[4:7]}"]  # fmt: skip
    threshold = math.inf if price == 0.0 else (
        hashprice * (1 - fee) / (24.0 * price))  # fmt: skip
    assert got.threshold[0] == pytest.approx(threshold)
    if any(abs(joules / threshold - 1.0) < 1e-9 for joules, _ in out):
        return  # on the threshold, where rounding decides
    if not any(joules <= threshold and weight > 0.0 for joules, weight in out):
        assert np.isnan(best) and np.isnan(high) and (low > 0.0 or not out)
        return
    assert low <= best * (1 + 1e-12) and best <= high * (1 + 1e-12)
    want = twin.network_watts(out, 2e20, threshold)
    assert [low, best, high] == pytest.approx([w * u for w, u in zip(want, overhead, strict=True)])
    assert sum(got.basket(month).values()) == pytest.approx(1.0)


def test_power_of_2024_against_the_industry_s_survey():
    """Cambridge Digital Mining Industry Report, April 2025: 138 TWh a year, half of the network asked.

    Its 268 EH/s are 48 % of the network. The nearest month with quotes is three later than the survey.
    """
    history = mining.market_history()
    at = history.months.index("2024-09")
    power = mining.network_power(
        ["2024-09"], hashprice=history.hashprice[at], hashrate=268e18 / 0.48
    )
    low, best, high = (float(twh[0]) for twh in power.annual_twh)
    assert low < 138.0 < high
    assert best == pytest.approx(138.0, rel=0.2)


def test_power_of_the_years():
    """CBECI by equal parts: 105.3 TWh for 2022, and 116.4 and 93.8 on the first days of 2022 and 2023.

    Its list of machines is not the catalogue's, and it smooths thresholds over 14 days: within 15 %.
    """
    power = mining.network_power()
    low, best, high = power.annual_twh
    assert (low <= best).all() and (best <= high).all()  # a basket in every month that is quoted
    for month, theirs in (("2022-01", 116.4), ("2023-01", 93.8)):
        assert best[power.months.index(month)] == pytest.approx(theirs, rel=0.15)
    year = [i for i, month in enumerate(power.months) if month.startswith("2022")]
    assert len(year) == 12 and best[year].mean() == pytest.approx(105.3, rel=0.15)
    assert 105.3 < best[power.months.index("2024-09")] < 2 * 105.3
    assert best[0] < 1e-2  # 2010


@pytest.mark.parametrize(
    "name,release,joules",
    [("M30S", "2020-04", 38.0), ("M30S+", "2020-10", 34.0), ("M31S", "2020-04", 46.0), ("M50S+", "2023-06", 22.0),
     ("S19j Pro+", "2022-12", 27.5), ("S19k Pro", "2023-09", 23.0), ("T19", "2020-06", 37.5), ("S17", "2019-04", 45.0),
     ("T17", "2019-05", 55.0), ("M21S", "2019-06", 60.0), ("M63S", "2023-11", 18.5), ("Avalon A16", "2025-10", 13.83),
     ("Avalon A16XP", "2025-10", 12.83), ("Avalon A1366", "2022-08", 25.0), ("S21e", "2025-04", 17.0),
     ("Teraflux AH3880", "2025-03", 17.9), ("SealMiner A1", "2024-06", 22.57), ("SealMiner A2 Pro", "2025-03", 14.86),
     ("SealMiner A3", "2025-09", 14.0), ("Bitaxe Gamma", "2024", 17.74)],
)  # fmt: skip
def test_machines_by_their_introductions(name, release, joules):
    machine = tr.miner(name)
    assert machine.release == release
    assert machine.efficiency == pytest.approx(joules, abs=0.005)


@pytest.mark.parametrize(
    "change,what",
    [({"pue": (1.2, 1.1, 1.0)}, "pue is"), ({"pue": (0.9, 1.0, 1.0)}, r"pue\[0\] is 0\.9"), ({"pue": 1.1}, "pue is 1.1"),
     ({"weights": {"old": -1.0}}, r"weights\['old'\] is -1.0"), ({"weights": [1.0]}, "weights is"),
     ({"weights": {"Antminer S21": 1.0}}, "weights has 'Antminer S21'"), ({"fee": 1.0}, "fee is 1.0"),
     ({"hashrate": 0.0}, r"hashrate is 0\.0"), ({"max_age_years": 0}, "max_age_years is 0"), ({"threshold_pue": 0.9}, "threshold_pue is 0.9"),
     ({"months": "2021-01"}, "months is '2021-01'"), ({"months": None}, "months is None"),
     ({"hashrate": None}, "hashrate is None"), ({"miners": "old"}, "miners is 'old'"),
     ({"power_price_per_kwh": [0.1, 0.2]}, "power_price_per_kwh has shape")],
)  # fmt: skip
def test_bad_networks(change, what):
    arguments = {"months": ["2021-01"], "hashprice": 100.0, "hashrate": 1e18, "miners": [OLD, NEW]}
    with pytest.raises((ValueError, TypeError), match=f"{what}.*; allowed"):
        mining.network_power(**{**arguments, **change})
    with pytest.raises(KeyError, match="unknown miner 'olt'"):
        mining.network_power(
            ["2021-01"], hashprice=1.0, hashrate=1.0, miners=[OLD], weights={"olt": 1.0}
        )


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.995, "99.5%"), (0.9999, "99.99%"), (0.95, "95%"), (0.6827, "68.27%"), (0.07, "7%")],
)
def test_a_confidence_is_not_rounded(confidence, said):
    found = str(mining.hashrate_from_blocks(151, 86400, 13912524048945.9, confidence))
    assert f" {said} between" in found


def test_a_weight_is_given_once():
    names = {"Antminer S21": 1.0, "antminer_s21": 2.0}
    with pytest.raises(ValueError, match="weights has 'Antminer S21' again, as 'antminer_s21'"):
        mining.network_power(weights=names)
