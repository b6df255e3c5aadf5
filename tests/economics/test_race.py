"""Energy of a unit by year: records, halving times with their intervals, who is overtaken when."""

import numpy as np
import pytest
from scipy import stats

import tokenroof as tr
from tokenroof import economics as ec
from tokenroof.catalogue import all_miners
from tokenroof.records.miner import Miner


def made(name, release, joules):
    return Miner(name=name, hashrate=1e12, power=joules, release=release)


def test_a_line_is_found_exactly():
    """Halved every two years: no error, and an interval of nothing."""
    rows = [made(f"m{k}", f"{2010 + k}-06", 100.0 * 2 ** (-k / 2)) for k in range(6)]
    got = ec.race("miners", rows[::-1])
    assert got.names == tuple(f"m{k}" for k in range(6)) and got.record.all()
    assert got.released[0] == pytest.approx(2010 + 5.5 / 12)
    assert got.halving_years() == pytest.approx((2.0, 2.0, 2.0), rel=1e-6)


def test_the_interval_is_that_of_least_squares():
    rng = np.random.default_rng(4)
    rows = [
        made(f"m{k}", f"{2010 + k}-01", 100.0 * 2 ** (-k / 2) * np.exp(rng.normal(0, 0.05)))
        for k in range(8)
    ]
    got = ec.race("miners", rows)
    years, low, high = got.halving_years(0.9)
    fit = stats.linregress(got.released[got.record], np.log2(got.joules[got.record]))
    width = fit.stderr * stats.t.ppf(0.95, got.record.sum() - 2)
    assert years == pytest.approx(-1 / fit.slope)
    assert (low, high) == pytest.approx((-1 / (fit.slope - width), -1 / (fit.slope + width)))


def test_only_records_count():
    rows = [
        made("a", "2010-01", 100),
        made("bad", "2011-01", 300),
        made("b", "2012-01", 50),
        made("c", "2014-01", 25),
    ]
    got = ec.race("miners", rows)
    assert got.record.tolist() == [True, False, True, True]
    assert got.halving_years()[0] == pytest.approx(2.0)
    with pytest.raises(ValueError, match="there are 1 record; allowed: at least 3"):
        ec.race("miners", rows[:2]).halving_years()


def test_what_cannot_be_placed_is_left_out_by_name():
    got = ec.race(
        "miners", [made("a", "2010-01", 100), made("b", "", 50), Miner(name="c", hashrate=1e12)]
    )
    assert got.names == ("a",) and got.left_out == ("b", "c")


def test_dates_as_precise_as_their_source():
    rows = [
        made("q", "2026-Q3", 10),
        made("h", "2026-H1", 20),
        made("m", "2026-07", 15),
        made("y", "2026", 5),
    ]
    got = ec.race("miners", rows)
    assert got.names == ("h", "m", "q") and got.left_out == ("y",)
    assert got.released.tolist() == pytest.approx([2026.25, 2026 + 6.5 / 12, 2026.625])


def test_miners_of_the_catalogue():
    got = ec.race("miners")
    assert len(got.names) + len(got.left_out) == len(all_miners())
    assert (
        got.joules[got.record][0] > 1e6 and got.joules[got.record][-1] < 15
    )  # a processor, and an ASIC of 2024 on
    years, low, high = got.halving_years()
    assert (
        0.9 < low < years < high < 1.4
    )  # a factor of 400,000 within eighteen years: 18 / 18.6 halvings
    frame = got.to_frame()
    assert frame["joules"].tolist() == got.joules.tolist()


def test_inference_from_volta_on():
    got = ec.race("inference")
    assert got.unit == "J/token" and not got.left_out
    at = dict(zip(got.names, got.joules, strict=True))
    assert at["V100-SXM2-32GB"] > at["A100-SXM4-80GB"] > at["H100-SXM"] > at["B200-SXM"]
    front = tr.serving.frontier("H100-SXM", "Llama-3.1-8B", ttft_max=10.0)
    fast = front.output_tokens_per_s_per_mw.values[front.interactivity.values >= 30.0][0]
    assert at["H100-SXM"] == pytest.approx(1e6 / fast)
    slow = ec.race("inference", "H100-SXM", interactivity=1e6)
    assert slow.left_out == ("H100-SXM",)
    longer = ec.race("inference", ["H100-SXM"], input_tokens=8192, output_tokens=512)
    assert longer.joules[0] > at["H100-SXM"]
    assert ec.race("inference", ["H100-SXM"], model="Llama-3.3-70B").joules[0] > 3 * at["H100-SXM"]


def test_overtaken():
    got = ec.race(
        "miners", [made("a", "2010-01", 100), made("b", "2012-01", 60), made("c", "2014-01", 25)]
    )
    mid = 0.5 / 12
    assert got.overtaken(0.6).tolist() == pytest.approx([2012 + mid, 2014 + mid, np.inf])
    assert got.overtaken(0.3).tolist() == pytest.approx([2014 + mid, np.inf, np.inf])
    assert got.overtaken(0.1).tolist() == [np.inf] * 3


@pytest.mark.parametrize("call,said", [
    (lambda: ec.race("gpus"), "kind is 'gpus'; allowed: miners, inference"),
    (lambda: ec.race("miners", 3), "machines is 3"), (lambda: ec.race("miners", ["S99"]), "S99"),
    (lambda: ec.race("inference", ["H100-SXM"], interactivity=0), "interactivity is 0"),
    (lambda: ec.race("miners").halving_years(1.0), "level is 1.0"),
    (lambda: ec.race("miners").overtaken(0.0), "electricity_share is 0"),
])  # fmt: skip
def test_bad_input_by_name(call, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        call()
