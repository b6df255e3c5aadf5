"""Dated shares of pools, makers and buyers, and what they leave open of concentration."""

import pytest

from tokenroof import catalogue
from tokenroof import economics as ec
from tokenroof.records.provenance import Provenance


def held(*shares, exceed=False):
    return catalogue.Holding(
        "x", "2026", shares, exceed, Provenance("estimate", "here", "2026", "1")
    )


def bounds(*shares, exceed=False, **given):
    return ec.concentration_bounds(held(*shares, exceed=exceed), **given)[0]


def test_dated_shares_have_sources():
    rows = catalogue.holdings()
    assert {h.of for h in rows} == {
        "pools",
        "pools over three years",
        "miner makers",
        "buyers of NVIDIA",
    }
    for h in rows:
        assert (
            h.date
            and h.provenance.source
            and 0.0 < sum(s for _, _, s in h.shares) <= 1.0
            and h.rest >= 0.0
        )
    march = catalogue.holdings("pools")[-1]
    assert [round(s * 809.65) for _, _, s in march.shares] == [246, 173, 111]
    assert 1.0 - march.rest == pytest.approx(0.655, abs=5e-4)  # as printed
    (years,) = catalogue.holdings("pools over three years")
    assert [round(s * 160_432) for _, _, s in years.shares] == [46_076, 34_365]
    assert set(catalogue.sources().query("file == 'holders'")["kind"]) == {"press"}
    with pytest.raises(KeyError, match="did you mean 'pools'"):
        catalogue.holdings("pool")


def test_the_keynotes_five_buyers():
    """Five of 12 % are an HHI of 720; one with nearly all of the 60 %, and one with the rest: 3,600 and 1,600."""
    (got,) = ec.concentration_bounds("buyers of NVIDIA")
    assert 1e4 * got.hhi[0] == pytest.approx(720.0) and 1e4 * got.hhi[1] == pytest.approx(5200.0)
    assert got.nakamoto == (1, 5) and got.named == pytest.approx(0.6)
    assert got.date == "2026-03-16" and "keynote" in got.source


def test_bounds_by_hand():
    got = bounds(("a", 1, 0.3), ("b", 1, 0.2))
    assert got.hhi == pytest.approx((0.13, 0.13 + 2 * 0.04 + 0.01))  # the rest as 0.2, 0.2 and 0.1
    assert got.nakamoto == (3, 3)
    free = bounds(("a", 1, 0.3), ("b", 1, 0.2), exceed=True)
    assert free.hhi == pytest.approx((0.13, 0.13 + 0.25)) and free.nakamoto[0] == 2
    all_named = bounds(("a", 1, 0.5), ("b", 1, 0.5))
    assert all_named.hhi == pytest.approx((0.5, 0.5))
    assert all_named.nakamoto == (2, 2)
    assert bounds(("a", 1, 0.5), ("b", 1, 0.5), threshold=0.5).nakamoto == (1, 1)
    assert bounds(("a", 1, 0.5), ("b", 1, 0.5), threshold=0.5, strict=True).nakamoto == (2, 2)
    exact = ec.concentration([0.5, 0.3, 0.2])
    same = bounds(("a", 1, 0.5), ("b", 1, 0.3), ("c", 1, 0.2))
    assert (
        same.hhi == pytest.approx((exact.hhi, exact.hhi)) and same.nakamoto == (exact.nakamoto,) * 2
    )


def test_makers_are_more_concentrated_than_pools():
    makers, pools = (
        ec.concentration_bounds("miner makers")[-1],
        ec.concentration_bounds("pools")[-1],
    )
    assert makers.hhi[0] > pools.hhi[1] and makers.nakamoto == (1, 1)
    assert pools.nakamoto == (2, 2)  # 0.304 and 0.214 are above 0.51


@pytest.mark.parametrize("call,said", [
    (lambda: ec.concentration_bounds("makers"), "makers"),
    (lambda: ec.concentration_bounds(threshold=0.0), "threshold is 0.0; allowed"),
    (lambda: ec.concentration_bounds(strict=1), "strict is 1; allowed"),
    (lambda: ec.concentration_bounds(threshold=1.0, strict=True), "threshold is 1.0 with strict; allowed"),
])  # fmt: skip
def test_bad_input_is_named(call, said):
    with pytest.raises((ValueError, TypeError, KeyError), match=said):
        call()
